"""The Q&A library's entries as callers write and read them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from adapters.shape import Shape
from handler.library import Draft, Match, Mode, problem_with
from ops.log_query import TIME_FORMS, unix_ms
from ops.logged_message import moment
from storage.library import draft_of
from storage.library_tables import LibraryEntry

PHRASINGS = 50


def _moment_ms(value: object) -> object:
    """A JSON number is unix seconds too, as in a URL."""
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a moment")
    return unix_ms(str(value))


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Moment = Annotated[int | None, BeforeValidator(_moment_ms, json_schema_input_type=str | float | None)]
# the length apart from the pattern: counting a class of all letters there is takes a megabyte
Place = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}(:\S+)?$", max_length=97)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class EntryBody(Shape):
    """An entry as it is to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrasings: list[Text] = Field(
        min_length=1,
        max_length=PHRASINGS,
        description="questions; in mode `keywords` words that must all occur; in mode `regex` a pattern",
    )
    answer: str = Field(min_length=1, max_length=5_000)
    mode: Mode = "exact"
    priority: int = Field(
        0, ge=-1_000, le=1_000, description="of several entries that fit, the highest answers"
    )
    threshold: int = Field(85, ge=50, le=100, description="mode `fuzzy`: least similarity in percent")
    applies_to: list[Place] = Field(
        [], max_length=50, description="`wechat` or `wechat:<account>`; empty means everywhere"
    )
    valid_from: Moment = Field(None, description=f"first moment at which it answers: {TIME_FORMS}")
    valid_until: Moment = Field(None, description="first moment at which it does not any more")
    enabled: bool = True
    tags: list[Tag] = Field([], max_length=20)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.answer.strip():
            raise ValueError("answer says nothing")
        if None not in (self.valid_from, self.valid_until) and self.valid_from >= self.valid_until:  # type: ignore[operator]
            raise ValueError("valid_from must be earlier than valid_until")
        for phrasing in self.phrasings:
            if problem := problem_with(self.mode, phrasing):
                raise ValueError(f"{phrasing[:80]!r}: {problem}")
        return self

    def draft(self) -> Draft:
        return Draft(
            phrasings=tuple(dict.fromkeys(self.phrasings)),
            answer=self.answer,
            mode=self.mode,
            priority=self.priority,
            threshold=self.threshold,
            applies_to=tuple(dict.fromkeys(self.applies_to)),
            valid_from_ms=self.valid_from,
            valid_until_ms=self.valid_until,
            enabled=self.enabled,
            tags=tuple(dict.fromkeys(self.tags)),
        )


class EntryAdded(EntryBody):
    """Body of POST: an entry, perhaps made from a question that nobody answered."""

    phrasings: list[Text] = Field([], max_length=PHRASINGS)
    from_exchange: int | None = Field(
        None, description="number of an exchange whose question becomes a phrasing, as /unanswered shows it"
    )


class EntryReplaced(EntryBody):
    """Body of PUT: the whole entry, and the version that the writer saw."""

    version: int = Field(ge=1)


class EntryChanged(Shape):
    """Body of PATCH: the fields that change, and the version that the writer saw."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    phrasings: list[str] | None = None
    answer: str | None = None
    mode: Mode | None = None
    priority: int | None = None
    threshold: int | None = None
    applies_to: list[str] | None = None
    valid_from: str | float | None = None
    valid_until: str | float | None = None
    enabled: bool | None = None
    tags: list[str] | None = None


class Entry(Shape):
    """An entry as it is stored. Moments are ISO 8601 in UTC with milliseconds."""

    id: int
    version: int = Field(description="say it when you save or delete; 409 when somebody was faster")
    phrasings: list[str]
    answer: str
    mode: Mode
    priority: int
    threshold: int
    applies_to: list[str]
    valid_from: str | None
    valid_until: str | None
    enabled: bool
    tags: list[str]
    hits: int = Field(description="messages it has answered")
    last_hit_at: str | None
    created_by: str
    updated_by: str
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, row: LibraryEntry) -> Entry:
        return cls(
            id=row.id,
            version=row.version,
            **fields_of(draft_of(row)),
            hits=row.use.hits,
            last_hit_at=_iso(row.use.last_hit_ms),
            created_by=row.created_by,
            updated_by=row.updated_by,
            created_at=moment(row.created_ms),
            updated_at=moment(row.updated_ms),
        )


class EntryList(Shape):
    """The next entries, in the order in which they were made."""

    entries: list[Entry]
    next_cursor: str | None = Field(description="send it as `cursor` to go on; null at the end")
    limit: int


class Try(Shape):
    """A text to try on the library."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=10_000)
    platform: str = Field("", max_length=32, description="as which platform's message; empty: of none")
    account: str = Field("", max_length=64)


class Fit(Shape):
    """An entry that fits a text, and why."""

    entry_id: int
    answer: str
    mode: Mode
    phrasing: str = Field(description="the phrasing that fitted")
    score: float = Field(description="0 to 100: how much of the text it accounts for")
    priority: int

    @classmethod
    def of(cls, match: Match) -> Fit:
        return cls(
            entry_id=match.entry_id,
            answer=match.answer,
            mode=match.mode,
            phrasing=match.phrasing,
            score=match.score,
            priority=match.priority,
        )


class Tried(Shape):
    """Who would answer the text: the first of `fits`, or nobody."""

    answered: bool
    fits: list[Fit] = Field(description="the best first: by priority, then mode, then score")


class Question(Shape):
    """A question that ended in an apology or without an answer, however often."""

    question: str
    exchange_id: int = Field(description="the newest exchange; `from_exchange` of a new entry")
    count: int
    first_seen: str
    last_seen: str
    errors: dict[str, int] = Field(description="error codes, and how often each")
    entry_id: int | None = Field(description="the entry that would answer it today")


class Questions(Shape):
    """The next questions, the most frequent first."""

    start: str
    end: str
    questions: list[Question]
    next_cursor: str | None
    limit: int
    searched_until: str | None = Field(
        description="set when the period has more failures than one request looks at: "
        "everything newer than this moment was"
    )


class Row(Shape):
    """What an import does, or would do, with one row of the file."""

    row: int = Field(description="as the spreadsheet counts; the heading is row 1")
    outcome: Literal["new", "changed", "unchanged", "conflict", "invalid"]
    entry_id: int | None = None
    problem: str = ""


class Report(Shape):
    """What an import did, or would do. With a conflict or an invalid row it does nothing."""

    dry_run: bool
    imported: bool
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    conflicts: int = 0
    invalid: int = 0
    rows: list[Row]


def fields_of(draft: Draft) -> dict[str, Any]:
    """The fields that operators write, as they are written."""
    return {
        "phrasings": list(draft.phrasings),
        "answer": draft.answer,
        "mode": draft.mode,
        "priority": draft.priority,
        "threshold": draft.threshold,
        "applies_to": list(draft.applies_to),
        "valid_from": _iso(draft.valid_from_ms),
        "valid_until": _iso(draft.valid_until_ms),
        "enabled": draft.enabled,
        "tags": list(draft.tags),
    }


def _iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else moment(milliseconds)
