"""A bot's Markdown → text that reads well in a WeChat bubble, which shows words and web links and no more.

Pure. Marks that only decorate are dropped, marks that carry meaning become signs: 【heading】, •, and in a
table `column：value`. HTML is left as it stands; reply.py tames what comes out, as it does with any text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

LONGEST = 20_000
"""Characters that are parsed, about 28 bubbles; more is shown as it is, rather than keep a process busy."""
MARK = re.compile(r"[\\`*_\[\]<>&#|~\r\0]")
"""What means something wherever it stands."""
WORDS = re.compile(r"(?![+=:-]|[0-9]{1,9}[.)])\S(?:.*\S)?|")
"""A line that begins like no list, rule or table and has no blanks around it; or an empty one."""
WEB = re.compile(r"https?://[!#-&(-;=?-~]{1,1000}", re.IGNORECASE)
"""An address that can stand between quotes as it is."""
ADDRESS_LIKE = re.compile(r"://|www\.|[A-Za-z0-9-]\.[A-Za-z]{2,}")
"""Words that look like an address: as a link's words they could show another one than they lead to."""
BREAK = re.compile(r"<br\s{0,3}/?>", re.IGNORECASE)
LITTLE = 60
"""Characters beside its link that an article's answer may have."""
RULE = "————"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that the text refers to."""

    url: str
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Article:
    """An answer that is little more than one link."""

    title: str
    url: str
    description: str = ""
    picture: str = ""
    """Address of its picture; may be empty."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A bubble's text, and what of it could be shown in another form."""

    text: str
    pictures: tuple[Picture, ...] = ()
    article: Article | None = None


def render(markdown: str, picture_word: str, shown: Collection[str] = ()) -> Rendered:
    """The text of an answer; pictures whose address is in `shown` are sent by themselves and leave words.

    `picture_word` stands for a picture without a description.
    """
    if len(markdown) > LONGEST:
        return Rendered(markdown)
    if not MARK.search(markdown) and all(map(WORDS.fullmatch, markdown.split("\n"))):
        # most answers: to look takes a twentieth of the time of parsing
        return Rendered(re.sub("\n{3,}", "\n\n", markdown.strip("\n")))
    page = _Page(picture_word, frozenset(shown))
    try:
        tree = SyntaxTreeNode(_parser().parse(markdown))
        text, article = page.blocks(tree.children), _article(tree, page, picture_word)
    except RecursionError:
        # marks within marks a thousand deep: nobody meant that to be read
        return Rendered(markdown)
    return Rendered(text, tuple(page.pictures), article)


@cache
def _parser() -> MarkdownIt:
    """The only parser: making one takes longer than reading an answer."""
    # indented Chinese paragraphs are no code
    parser = MarkdownIt("commonmark").enable("table").disable("code")
    # what it knows of an answer is in that answer's own state; only its rules are put in order with the
    # first, and no two threads shall do that at once
    parser.parse("")
    return parser


_parser()


def _article(tree: SyntaxTreeNode, page: _Page, picture_word: str) -> Article | None:
    if len(page.links) != 1 or len(page.pictures) > 1:
        return None
    words, url = page.links[0]
    beside = _Page(picture_word, frozenset(), bare=True).blocks(tree.children).strip(" \n：:，。")
    if len(beside) > LITTLE or not WEB.fullmatch(url) or not words or ADDRESS_LIKE.search(words):
        return None
    return Article(words, url, beside, page.pictures[0].url if page.pictures else "")


class _Page:
    """One walk through a document; `bare` leaves links and pictures out."""

    def __init__(self, picture_word: str, shown: frozenset[str], bare: bool = False) -> None:
        self.picture_word = picture_word
        self.shown = shown
        self.bare = bare
        self.pictures: list[Picture] = []
        self.links: list[tuple[str, str]] = []

    def blocks(self, nodes: Sequence[SyntaxTreeNode], between: str = "\n\n") -> str:
        return between.join(filter(None, (self.block(each) for each in nodes)))

    def block(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "heading":
                words = self.inline(node)
                return f"【{words}】" if words else ""
            case "bullet_list" | "ordered_list":
                return "\n".join(self.items(node))
            case "blockquote":
                return "\n".join(f"｜{line}" for line in self.blocks(node.children, "\n").split("\n"))
            case "fence" | "html_block":
                return node.content.strip("\n")
            case "table":
                return "\n".join(self.rows(node))
            case "hr":
                return RULE
        return self.inline(node)

    def items(self, node: SyntaxTreeNode) -> Iterator[str]:
        number = int(node.attrs.get("start", 1))
        for item in node.children:
            mark = "• " if node.type == "bullet_list" else f"{number}{item.markup or '.'} "
            # what belongs to an item stands below its words
            yield mark + self.blocks(item.children, "\n").replace("\n", "\n  ")
            number += 1

    def rows(self, table: SyntaxTreeNode) -> Iterator[str]:
        """A bubble is too narrow for columns: each row becomes a line that names them."""
        rows = [row for part in table.children for row in part.children]
        lines = [[self.inline(cell) for cell in row.children] for row in rows]
        head, body = lines[0], lines[1:]
        if not body:
            yield " / ".join(head)
        for cells in body:
            if len(head) == 2:
                yield "：".join(filter(None, cells))
            else:
                named = zip(head, cells, strict=False)
                yield "• " + "；".join(f"{name}：{cell}" if name else cell for name, cell in named if cell)

    def inline(self, node: SyntaxTreeNode) -> str:
        nodes = [
            each
            for child in node.children
            for each in (child.children if child.type == "inline" else [child])
        ]
        said = "".join(
            self.piece(each, before) for before, each in pairwise([None, *nodes]) if each is not None
        )
        return said.strip()

    def piece(self, node: SyntaxTreeNode, before: SyntaxTreeNode | None) -> str:
        match node.type:
            case "softbreak" | "hardbreak":
                return "\n"
            case "image":
                return self.picture(Picture(str(node.attrs.get("src", "")), node.content.strip()))
            case "link":
                return self.link(self.inline(node), str(node.attrs.get("href", "")))
            case "html_inline":
                return "\n" if BREAK.fullmatch(node.content) else node.content
            case "em" if node.markup == "*" and _is_factor(before):
                # 2*3*4 is arithmetic
                return f"*{self.inline(node)}*"
            case "em" | "strong":
                return self.inline(node)
        return node.content

    def picture(self, picture: Picture) -> str:
        words = picture.alt or self.picture_word
        self.pictures.append(picture)
        if self.bare:
            return ""
        return f"［{words}］" if picture.url in self.shown else f"{words}：{picture.url}"

    def link(self, words: str, url: str) -> str:
        self.links.append((words, url))
        if self.bare:
            return ""
        if not words or words == url:
            return url
        if not url:
            return words
        if WEB.fullmatch(url) and not re.search("[<>\n]", words) and not ADDRESS_LIKE.search(words):
            return f'<a href="{url}">{words}</a>'
        return f"{words}：{url}"


def _is_factor(before: SyntaxTreeNode | None) -> bool:
    return before is not None and before.type == "text" and before.content[-1:].isdigit()
