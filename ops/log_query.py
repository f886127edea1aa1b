"""The parameters of the message log's endpoints: what they mean, and which are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from flask import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from adapters.shape import Shape
from errors import BadRequest
from ops.logged_message import Format
from storage.log import Filters, Position

LAST_SECOND = 253_402_300_799
"""The end of the year 9999, which every database and client can still write."""
SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
LOST_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})", re.ASCII)
CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,18})", re.ASCII)
TIME_FORMS = (
    "unix seconds, or ISO 8601 (`2026-01-31`, `2026-01-31T08:00:00+08:00`); UTC when no zone is given"
)


def unix_ms(value: object) -> object:
    """Unix milliseconds from the forms of `TIME_FORMS`; raises `ValueError` for anything else."""
    if not isinstance(value, str):
        return value
    if SECONDS.fullmatch(value):
        seconds = float(value)
    else:
        # an unescaped `+` of a zone arrives as a blank
        written = LOST_PLUS.sub(r"\1+\2", value)
        try:
            parsed = datetime.fromisoformat(written)
        except ValueError:
            raise ValueError(f"must be {TIME_FORMS.replace('`', '')}") from None
        seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds <= LAST_SECOND:
        raise ValueError("is out of range: unix seconds, not milliseconds")
    return round(seconds * 1000)


def position(value: object) -> object:
    """A place in the log from the text of `next_cursor`."""
    if not isinstance(value, str):
        return value
    if not (found := CURSOR.fullmatch(value)):
        raise ValueError("is not a next_cursor of an earlier answer")
    return Position(int(found[1]), int(found[2]))


def cursor_text(at: Position) -> str:
    return f"{at.created_ms}-{at.id}"


Moment = Annotated[int | None, BeforeValidator(unix_ms, json_schema_input_type=str)]
Cursor = Annotated[Position | None, BeforeValidator(position, json_schema_input_type=str)]
Limit = Annotated[int, Field(ge=1, le=200, description="messages in one answer")]


class _Period(Shape):
    # an unknown parameter is refused: a misspelt filter would show everybody's messages
    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = Field("", max_length=128, description="the platform's id of the customer")
    start: Moment = Field(None, description=f"first moment included: {TIME_FORMS}")
    end: Moment = Field(None, description="first moment not included any more; written like `start`")
    limit: Limit = 20

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("start must not be later than end")
        return self


class WeChatLogQuery(_Period):
    """Parameters of `GET /api/wechat/messages`."""

    page: int = Field(1, ge=1, le=10_000_000, description="number of the page, the newest messages first")

    def filters(self) -> Filters:
        return Filters(platform="wechat", user=self.user_id, start_ms=self.start, end_ms=self.end)


class LogQuery(_Period):
    """Parameters of `GET /api/messages`."""

    platform: str = Field("", max_length=32)
    account: str = Field("", max_length=64)
    session: str = Field("", max_length=128, description="key of the dialogue (`session_id` in the answer)")
    status: Literal["", "claimed", "running", "answered", "delivered", "undelivered"] = ""
    source: Literal[
        "", "coze", "library", "command", "agent", "system", "merged", "fallback", "rest", "queue", "desk"
    ] = ""
    error: str = Field("", max_length=64, description="`any`, `none`, or an exact code such as `coze_4016`")
    q: str = Field("", max_length=200, description="part of the question or the answer; case does not matter")
    cursor: Cursor = Field(None, description="`next_cursor` of the answer before")
    format: Format | None = Field(
        None, description="`csv` or `jsonl` streams everything that fits, whatever `limit` says"
    )

    def filters(self) -> Filters:
        any_or_none = {"any": True, "none": False}.get(self.error)
        return Filters(
            platform=self.platform,
            account=self.account,
            user=self.user_id,
            session=self.session,
            status=self.status,
            source=self.source,
            error=self.error if any_or_none is None else "",
            failed=any_or_none,
            start_ms=self.start,
            end_ms=self.end,
            text=self.q,
        )


Query = TypeVar("Query", bound=BaseModel)


def query_of(request: Request, kind: type[Query]) -> Query:
    """The request's parameters; empty ones count as not given. `BadRequest` names the wrong ones."""
    return checked({name: value for name, value in request.args.items() if value}, kind)


def checked(given: dict[str, str], kind: type[Query]) -> Query:
    """Validated parameters, whether of a URL or of a command line."""
    try:
        return kind.model_validate(given)
    except ValidationError as problem:
        raise BadRequest("; ".join(_in_words(error) for error in problem.errors())) from None


def _in_words(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown parameter {name[:40]}"
    words = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {words}" if name else words
