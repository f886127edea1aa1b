"""An entry of the Q&A library: what it says, and when two texts are the same question. Pure.

Matching itself is in matching.py.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import regex

Mode = Literal["exact", "keywords", "regex", "fuzzy"]
MODES: tuple[Mode, ...] = get_args(Mode)

MATCHED = 1_000
"""Characters of a message that are looked at: a longer one is a letter, and the bot reads those."""
PATTERN_SECONDS = 0.02
"""What one regular expression may take. Greenlets share a thread: while it runs, nobody else does."""
SEPARATORS = re.compile(r"[\s,;，；、]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """What an operator writes: how customers may put the question, and the answer."""

    phrasings: tuple[str, ...]
    """Questions; in mode `keywords` words that must all occur, in mode `regex` a pattern, each one enough."""
    answer: str
    mode: Mode = "exact"
    priority: int = 0
    """Of several entries that fit, the one with the highest answers."""
    threshold: int = 85
    """Mode `fuzzy`: how similar a text must be, 0 to 100."""
    applies_to: tuple[str, ...] = ()
    """Platforms (`wechat`) or accounts (`wechat:service`) where it answers; empty means everywhere."""
    valid_from_ms: int | None = None
    """First moment at which it answers, unix milliseconds."""
    valid_until_ms: int | None = None
    """First moment at which it does not any more."""
    enabled: bool = True
    tags: tuple[str, ...] = ()

    def applies(self, platform: str, account: str, now_ms: int) -> bool:
        """Whether it may answer a message of this account at this moment."""
        if self.valid_from_ms is not None and now_ms < self.valid_from_ms:
            return False
        if self.valid_until_ms is not None and now_ms >= self.valid_until_ms:
            return False
        where = self.applies_to
        return self.enabled and (not where or platform in where or f"{platform}:{account}" in where)

    def meets(self, other: Draft) -> bool:
        """Whether both may be asked the same message, so that one of them would be in the other's way."""
        if self.priority != other.priority or not (self.enabled and other.enabled):
            return False
        begins = max(self.valid_from_ms or 0, other.valid_from_ms or 0)
        ends = min(each.valid_until_ms or 2**63 for each in (self, other))
        return begins < ends and _places_meet(self.applies_to, other.applies_to)


def _places_meet(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    if not some or not others:
        return True
    return any(a == b or a.startswith(f"{b}:") or b.startswith(f"{a}:") for a in some for b in others)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that answers a text, and why."""

    entry_id: int
    answer: str
    mode: Mode
    phrasing: str
    """The one that fitted."""
    score: float
    """0 to 100: how much of the text the phrasing accounts for."""
    priority: int


class _Kept(dict[int, int | None]):
    """A table for `str.translate` that drops blanks, punctuation and what cannot be seen; fills itself."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        dropped = category[0] in "PZC" or category == "Sk" or code == 0x7E
        self[code] = None if dropped else code
        return self[code]


_KEPT = _Kept()


def folded(text: str) -> str:
    """Wide and narrow, capital and small letters made one."""
    return unicodedata.normalize("NFKC", text).casefold()


def normalised(text: str) -> str:
    """The text as texts are compared: folded, without blanks and punctuation; `你好！` is `你好`.

    Of a text of nothing else the folded form remains.
    """
    bare = folded(text)
    return bare.translate(_KEPT) or bare.strip()


def keywords(phrasing: str) -> frozenset[str]:
    """The words that must all occur; they are separated by blanks or commas of any kind."""
    return frozenset(filter(None, map(normalised, SEPARATORS.split(phrasing))))


def same_key(mode: Mode, phrasing: str) -> str:
    """Equal for phrasings that fit the same texts."""
    match mode:
        case "keywords":
            return "keywords " + " ".join(sorted(keywords(phrasing)))
        case "regex":
            return f"regex {phrasing}"
    return f"text {normalised(phrasing)}"


def problem_with(mode: Mode, phrasing: str) -> str | None:
    """Why this phrasing cannot be used, for the operator who wrote it; None when it can."""
    if mode == "regex":
        return _problem_with_pattern(phrasing)
    usable = keywords(phrasing) if mode == "keywords" else normalised(phrasing)
    return None if usable else "a phrasing says nothing"


def pattern_of(phrasing: str) -> regex.Pattern[str]:
    """The compiled expression; raises `regex.error`."""
    import regex  # libraries without expressions are most

    return regex.compile(phrasing, regex.IGNORECASE)


def _problem_with_pattern(phrasing: str) -> str | None:
    import regex

    try:
        pattern = pattern_of(phrasing)
    except (regex.error, RecursionError, OverflowError) as problem:
        return f"not a regular expression: {str(problem)[:120]}"
    try:
        if pattern.search("", timeout=PATTERN_SECONDS):
            return "this expression fits every text"
        for worst in _worst_texts(phrasing):
            pattern.search(worst, timeout=PATTERN_SECONDS)
    except TimeoutError:
        return f"too slow: this expression took over {PATTERN_SECONDS * 1000:.0f} ms for one text"
    return None


def _worst_texts(phrasing: str) -> list[str]:
    """Long texts that nearly fit: the pattern's own letters over and over, and something else at the end.

    What the pattern cannot do without is there as well, or the search would end before it begins.
    """
    own = [each for each in dict.fromkeys(phrasing) if each.isalnum()][:12]
    units = [*own, "".join(own), "a", "0", " ", "的", "a0", "a "]
    rest = f"\x00{phrasing[:100]}"
    return [(unit * MATCHED)[: MATCHED - len(rest)] + rest for unit in units if unit]
