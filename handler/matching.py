"""Which entry of the Q&A library answers a text: an index over all of them, for a message in well under 2 ms.

Exact texts are looked up. Keywords, and a literal piece that a regular expression cannot do without, are
found in one walk over the text, whose cost does not grow with the number of entries. Only similar texts are
compared one by one, in C, and only those of about the same length. Pure.
"""

from __future__ import annotations

import logging
import re
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handler.library import (
    MATCHED,
    PATTERN_SECONDS,
    Draft,
    Match,
    Mode,
    keywords,
    normalised,
    pattern_of,
)

if TYPE_CHECKING:
    import regex

log = logging.getLogger(__name__)

STRENGTH: dict[Mode, int] = {"exact": 3, "keywords": 2, "regex": 1, "fuzzy": 0}
"""Between entries of the same priority."""
PATTERNS_SECONDS = 0.03
"""All regular expressions of one message together, in computing time."""
FUZZY = 200
"""Characters: longer texts are not one question in other words."""
TOKEN = re.compile(
    r"(?P<piece>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.)(?:(?P<many>\{[^}]*\}|[?*+])[?+]?)?", re.DOTALL
)
"""One element of a regular expression and how often it may occur."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One phrasing of one entry, ready to be compared."""

    entry_id: int
    draft: Draft
    phrasing: str
    text: str
    words: frozenset[str] = frozenset()
    pattern: regex.Pattern[str] | None = None
    literal: str = ""


def lines_of(entry_id: int, draft: Draft) -> tuple[Line, ...]:
    """The entry's phrasings, compiled; one that cannot be used is left out and logged."""
    made = []
    for phrasing in draft.phrasings:
        words: frozenset[str] = frozenset()
        pattern, literal = None, ""
        if draft.mode == "keywords":
            words = keywords(phrasing)
        elif draft.mode == "regex":
            import regex  # libraries without expressions are most

            try:
                pattern, literal = pattern_of(phrasing), needed(phrasing)
            except (regex.error, RecursionError, OverflowError):
                log.warning("a library pattern cannot be used", extra={"entry": entry_id})
                continue
        made.append(Line(entry_id, draft, phrasing, normalised(phrasing), words, pattern, literal))
    return tuple(made)


@dataclass(slots=True)
class _Best:
    """The matches so far; knows whether a weaker kind could still win."""

    platform: str
    account: str
    now_ms: int
    all: list[Match] = field(default_factory=list)

    def add(self, line: Line, score: float) -> None:
        if line.draft.applies(self.platform, self.account, self.now_ms):
            draft = line.draft
            self.all.append(
                Match(line.entry_id, draft.answer, draft.mode, line.phrasing, round(score, 1), draft.priority)
            )

    def beats(self, mode: Mode, priority: int) -> bool:
        return any((m.priority, STRENGTH[m.mode]) > (priority, STRENGTH[mode]) for m in self.all)


class Index:
    """All entries that are switched on. Built once for each version of the library; threads share it."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        lines = [each for each in lines if each.draft.enabled]
        kinds: dict[Mode, list[Line]] = defaultdict(list)
        for line in lines:
            kinds[line.draft.mode].append(line)
        self.size = len({line.entry_id for line in lines})
        self._highest = {mode: max(line.draft.priority for line in found) for mode, found in kinds.items()}
        self._exact: dict[str, list[Line]] = defaultdict(list)
        for line in kinds["exact"]:
            self._exact[line.text].append(line)
        self._build_words(kinds["keywords"], kinds["regex"])
        self._fuzzy = sorted(kinds["fuzzy"], key=lambda line: len(line.text))
        if self._fuzzy:
            # when the library is read, and not when the first customer waits
            import rapidfuzz.fuzz
            import rapidfuzz.process  # noqa: F401
        self._fuzzy_texts = [line.text for line in self._fuzzy]
        self._fuzzy_lengths = [len(text) for text in self._fuzzy_texts]
        self._lowest = min((line.draft.threshold for line in self._fuzzy), default=100)
        self._too_slow: set[Line] = set()

    def _build_words(self, lines: list[Line], patterns: list[Line]) -> None:
        use = Counter(word for line in lines for word in line.words)
        self._by_word: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            # under its rarest word, so that a word like 怎么 does not bring every entry up
            self._by_word[min(line.words, key=lambda word: (use[word], -len(word), word))].append(line)
        self._by_literal: dict[str, list[Line]] = defaultdict(list)
        self._anyway = [line for line in patterns if not line.literal]
        for line in patterns:
            if line.literal:
                self._by_literal[line.literal].append(line)
        self._words = {*use, *self._by_literal}
        lengths: dict[str, set[int]] = defaultdict(set)
        for word in self._words:
            lengths[word[0]].add(len(word))
        self._lengths = {first: tuple(sorted(found)) for first, found in lengths.items()}

    def best(self, question: str, platform: str, account: str, now_ms: int) -> Match | None:
        """The entry that answers, or None."""
        return next(iter(self._matches(question, _Best(platform, account, now_ms), hurry=True)), None)

    def matches(self, question: str, platform: str, account: str, now_ms: int) -> list[Match]:
        """Every entry that would answer if the better ones were not there; the best first."""
        return self._matches(question, _Best(platform, account, now_ms), hurry=False)

    def _matches(self, question: str, best: _Best, *, hurry: bool) -> list[Match]:
        if not self.size or len(question) > MATCHED or not (text := normalised(question)):
            return []

        def needed_no_more(mode: Mode) -> bool:
            highest = self._highest.get(mode)
            return highest is None or (hurry and best.beats(mode, highest))

        for line in self._exact.get(text, ()):
            best.add(line, 100)
        if not (needed_no_more("keywords") and needed_no_more("regex")):
            found = self._words_in(text)
            for word in found:
                for line in self._by_word.get(word, ()):
                    if line.words <= found:
                        best.add(line, min(100, 100 * sum(map(len, line.words)) / len(text)))
            if not needed_no_more("regex"):
                self._try_patterns(question, found, best)
        if not needed_no_more("fuzzy") and len(text) <= FUZZY:
            for line, score in self._similar(text):
                best.add(line, score)
        order = sorted(best.all, key=lambda m: (-m.priority, -STRENGTH[m.mode], -m.score, m.entry_id))
        # an entry counts once, by the phrasing that fits best
        return list({match.entry_id: match for match in reversed(order)}.values())[::-1] if order else []

    def _words_in(self, text: str) -> set[str]:
        found = set()
        lengths, words = self._lengths, self._words
        for place, letter in enumerate(text):
            for length in lengths.get(letter, ()):
                if (word := text[place : place + length]) in words:
                    found.add(word)
        return found

    def _try_patterns(self, question: str, found: set[str], best: _Best) -> None:
        # what this thread computes: on a busy machine the wait for its turn is no pattern's fault
        ends = time.thread_time() + PATTERNS_SECONDS
        for line in self._candidates(found):
            if line in self._too_slow or line.pattern is None:
                continue
            left = min(PATTERN_SECONDS, ends - time.thread_time())
            try:
                hit = line.pattern.search(question, timeout=left) if left > 0 else None
            except TimeoutError:
                # rather no answer of this entry than a worker that stands still for every message
                self._too_slow.add(line)
                log.error("a library pattern is too slow and left out", extra={"entry": line.entry_id})
                continue
            if hit:
                best.add(line, 100 * len(hit[0]) / len(question))

    def _candidates(self, found: set[str]) -> Iterator[Line]:
        for word in found:
            yield from self._by_literal.get(word, ())
        yield from self._anyway

    def _similar(self, text: str) -> Iterator[tuple[Line, float]]:
        from rapidfuzz import fuzz, process  # loaded with the first entry of mode `fuzzy`

        # the score is 200 × common / (both lengths): beyond these lengths it cannot reach the threshold
        ratio = self._lowest / (200 - self._lowest)
        first = bisect_left(self._fuzzy_lengths, len(text) * ratio)
        last = bisect_right(self._fuzzy_lengths, len(text) / ratio if ratio else float("inf"))
        for _, score, number in process.extract(
            text, self._fuzzy_texts[first:last], scorer=fuzz.ratio, score_cutoff=self._lowest, limit=None
        ):
            line = self._fuzzy[first + number]
            if score >= line.draft.threshold:
                yield line, score


def needed(pattern: str) -> str:
    """A piece of plain letters without which the pattern cannot fit; empty when none is certain."""
    if any(sign in pattern for sign in ("|", "(?", "[[")):
        return ""
    runs, depth = [""], 0
    for token in TOKEN.finditer(pattern):
        piece, many = token["piece"], token["many"]
        if piece[0] == "\\" and piece[1].isalnum() and piece[1] not in "dDwWsSbB":
            # a reference, a property, a code point: its letters are no text
            return ""
        depth += {"(": 1, ")": -1}.get(piece, 0)
        plain = depth == 0 and piece.isalnum() and many in (None, "+")
        if plain:
            runs[-1] += piece
        if not plain or many:
            runs.append("")
    return normalised(max(runs, key=len))
