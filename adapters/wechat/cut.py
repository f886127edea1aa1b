"""Cutting a text to pieces of so many UTF-8 bytes where a reader would cut it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

WHOLE = re.compile(
    r"<a\s[^<>]{0,2000}>[^<>]{0,2000}</a>"
    r"|\[[^\[\]\n]{0,500}\]\(https?://[!-~]{1,2000}\)"
    r"|https?://[!#-&(-;=?-~]{1,2000}",
    re.IGNORECASE,
)
"""What loses its meaning when cut: a link with its words, a Markdown link, a bare address."""
BORDERS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n|(?:[。！？!?；;…]|\.(?=\s))[\"'”’」』）)]*"),
    re.compile(r"[，、：,:]|\s+"),
)
"""Paragraph, sentence, word: in the order in which they are liked."""
LONGEST_CLUSTER = 64
"""Characters of one visible character; longer ones are an attack on the eye and may be cut."""


def cut(text: str, limit: int, suffix: str) -> tuple[str, str]:
    """The text's beginning with `suffix`, in at most `limit` bytes of UTF-8, and the rest of the text.

    A text that fits is returned whole with an empty rest. Neither a visible character nor a link is split,
    unless it alone is longer than the limit. White space around the text and at the cut is dropped.
    """
    text = text.strip()
    if len(text.encode()) <= limit:
        return text, ""
    suffix_size = len(suffix.encode())
    if suffix_size >= limit:
        suffix, suffix_size = "", 0
    beginning = text.encode()[: limit - suffix_size].decode("utf-8", "ignore")
    at = _best(text[: len(beginning) + 4096], len(beginning))
    return text[:at].rstrip() + suffix, text[at:].lstrip()


def split(text: str, limit: int, most: int, suffix: str) -> tuple[list[str], str]:
    """The text in at most `most` pieces of `limit` bytes, and the rest; if there is one, the last piece ends
    in `suffix`."""
    found: list[str] = []
    while text and len(found) < most:
        piece, text = cut(text, limit, suffix if len(found) == most - 1 else "")
        found.append(piece)
    return found, text


def _best(text: str, hard: int) -> int:
    """The best place to cut `text`, at most `hard`."""
    links = [found.span() for found in WHOLE.finditer(text)]
    # a border in the first half would throw away more than it gives
    least = hard // 2
    for border in BORDERS:
        places = [
            place
            for place in _places(border, text, hard)
            if place >= least and not _inside(links, place) and not _is_joined(text, place)
        ]
        if places:
            return places[-1]
    before_link = next((start for start, end in links if start < hard < end), hard)
    at = _cluster_border(text, before_link)
    return at or _cluster_border(text, hard) or hard


def _places(border: re.Pattern[str], text: str, hard: int) -> Iterator[int]:
    for found in border.finditer(text, 0, hard + 1):
        # white space goes with what follows, a full stop stays with what it ends
        place = found.start() if found.group().isspace() else found.end()
        if 0 < place <= hard:
            yield place


def _inside(spans: list[tuple[int, int]], place: int) -> bool:
    return any(start < place < end for start, end in spans)


def _cluster_border(text: str, at: int) -> int:
    for place in range(at, max(0, at - LONGEST_CLUSTER), -1):
        if not _is_joined(text, place):
            return place
    return at if at > LONGEST_CLUSTER else 0


def _is_joined(text: str, at: int) -> bool:
    """Whether the characters before and after `at` are seen as one."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if unicodedata.category(after) in {"Mn", "Mc", "Me"} or before == "\u200d" or after == "\u200d":
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True  # skin tones, and the tags that spell a region's flag
    if _is_flag_letter(before) and _is_flag_letter(after):
        start = at
        while start and _is_flag_letter(text[start - 1]):
            start -= 1
        return (at - start) % 2 == 1
    return "\u1160" <= after <= "\u11ff"  # the later parts of a Korean syllable


def _is_flag_letter(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"
