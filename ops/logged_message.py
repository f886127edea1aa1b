"""One line of the message log as callers see it, and its three forms: JSON, JSON lines, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

from pydantic import ConfigDict, Field

from adapters.shape import Shape
from storage.models import Exchange

Format = Literal["csv", "jsonl"]
MIME: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads the file in the machine's old code page and garbles Chinese."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that a spreadsheet may run as a formula; the wide ones count too on Chinese systems."""


class Document(Shape):
    """A document of the knowledge base that the answer rests on."""

    doc_id: str
    title: str = ""
    url: str = ""
    space_id: str = ""
    score: float | None = None
    text: str = ""


class TokenUsage(Shape):
    """Tokens as Coze counted them."""

    input_tokens: int
    output_tokens: int


class LoggedMessage(Shape):
    """One customer message and what became of it. Moments are ISO 8601 in UTC with milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: int
    trace_id: str = Field(description="ties it to log lines and to Coze's meta_data")
    platform: str
    account: str
    user_id: str
    session_id: str = Field(description="key of the dialogue")
    type: str = Field(description="text, image, voice, video, file, location, link or event")
    question: str
    answer: str | None
    source: str | None = Field(
        description="who answered: coze, library, command, agent, system, fallback; queue, desk: people"
    )
    library_id: int | None = Field(description="the entry of the Q&A library that answered")
    status: str = Field(description="claimed, running, answered, delivered or undelivered")
    error_code: str | None
    truncated: bool
    delivery: str | None = Field(description="passive, stream, sync, push, fetch or callback")
    attempts: int = Field(description="how often the platform delivered the message")
    conversation_id: str | None
    chat_id: str | None
    logid: str | None = Field(description="Coze's own id of the call, for its support")
    usage: TokenUsage | None
    first_delta_ms: int | None = Field(description="milliseconds to the first piece of the answer")
    total_ms: int | None = Field(description="milliseconds to the whole answer")
    docs: list[Document]
    suggestions: list[str]
    created_at: str
    created_ts: int = Field(description="unix seconds")
    answered_at: str | None
    delivered_at: str | None

    @classmethod
    def of(cls, row: Exchange) -> LoggedMessage:
        used = row.input_tokens is not None or row.output_tokens is not None
        return cls(
            id=row.id,
            trace_id=row.trace_id,
            platform=row.platform,
            account=row.account,
            user_id=row.user_id,
            session_id=row.session_key,
            type=row.kind,
            question=row.question,
            answer=row.answer,
            source=row.source,
            library_id=row.library_id,
            status=row.status,
            error_code=row.error_code,
            truncated=row.truncated,
            delivery=row.delivery,
            attempts=row.attempts,
            conversation_id=row.conversation_id,
            chat_id=row.chat_id,
            logid=row.logid,
            usage=TokenUsage(input_tokens=row.input_tokens or 0, output_tokens=row.output_tokens or 0)
            if used
            else None,
            first_delta_ms=row.first_delta_ms,
            total_ms=row.total_ms,
            docs=[Document.model_validate(doc) for doc in row.docs],
            suggestions=row.suggestions,
            created_at=moment(row.created_ms),
            created_ts=row.created_ms // 1000,
            answered_at=None if row.answered_ms is None else moment(row.answered_ms),
            delivered_at=None if row.delivered_ms is None else moment(row.delivered_ms),
        )


NESTED = {"usage", "docs", "suggestions"}
CSV_COLUMNS = (
    *(name for name in LoggedMessage.model_fields if name not in NESTED),
    *("input_tokens", "output_tokens", "docs", "suggestions"),
)


def moment(milliseconds: int) -> str:
    """Unix milliseconds as `2026-01-02T03:04:05.678Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def lines(rows: Iterable[Exchange], form: Format) -> Iterator[str]:
    """The export, line by line; CSV begins with its header."""
    messages = map(LoggedMessage.of, rows)
    if form == "jsonl":
        return (message.model_dump_json() + "\n" for message in messages)
    return _csv(messages)


def _csv(messages: Iterable[LoggedMessage]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + _csv_line(CSV_COLUMNS)
    for message in messages:
        cells = message.model_dump(exclude=NESTED)
        usage = message.usage
        cells["input_tokens"] = usage.input_tokens if usage else None
        cells["output_tokens"] = usage.output_tokens if usage else None
        cells["docs"] = " | ".join(doc.title or doc.doc_id for doc in message.docs)
        cells["suggestions"] = " | ".join(message.suggestions)
        yield _csv_line([_cell(cells[name]) for name in CSV_COLUMNS])


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: object) -> object:
    """The value, made harmless: a customer's `=HYPERLINK(…)` must stay text in the operator's spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
