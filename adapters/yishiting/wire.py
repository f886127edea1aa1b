"""What travels between 易事厅 and us: field names and frames are its own, to the letter.

Unknown fields of its requests are tolerated. Its client strips exactly `data:` from a line, so no space
follows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from adapters.base import as_json
from adapters.shape import Shape
from handler.message import Doc, LateReply, Reply

RESPONSE_URL_CAP = 2048


class Question(Shape):
    """What 易事厅 posts."""

    user: str = Field(min_length=1, max_length=128)
    msg_type: str
    content: str = Field(min_length=1)
    msg_id: str | None = Field(None, max_length=256)
    session_id: str | None = Field(None, max_length=128)
    business_keys: list[str] | None = None
    file_name: str | None = Field(None, max_length=255)
    raw_msg: Any = None

    @property
    def response_url(self) -> str:
        """Where a late answer may be posted to, for about an hour; empty when the message names none."""
        raw = self.raw_msg
        if isinstance(raw, str):
            # some robots pass the original message on as the text it was
            try:
                raw = json.loads(raw)
            except (ValueError, RecursionError):
                return ""
        url = raw.get("response_url") if isinstance(raw, dict) else None
        return url if isinstance(url, str) and len(url) <= RESPONSE_URL_CAP else ""


class RecallDoc(Shape):
    doc_id: str
    space_id: str
    title: str
    url: str
    score: float | None


class Accepted(Shape):
    """What `/chat/async` returns at once."""

    code: Literal[0] = 0
    err_msg: Literal[""] = ""
    is_async_response: Literal[True] = True
    third_party_trace_id: str


class Answer(Shape):
    """What `/chat/sync` returns; `err_msg` is empty exactly when it succeeded."""

    code: int
    err_msg: str
    is_async_response: bool = False
    is_recall_success: Literal[0, 1]
    recall_docs: list[RecallDoc]
    msg_type: Literal["text"] = "text"
    msg_content: str
    third_party_trace_id: str

    @classmethod
    def of(cls, reply: Reply, trace_id: str, *, later: bool = False) -> Answer:
        """The reply in its words; `later` when it is brought, or will be, in another way."""
        failed = reply.error is not None
        return cls(
            code=1 if failed else 0,
            err_msg=reply.text if failed else "",
            is_async_response=later,
            is_recall_success=1 if reply.docs else 0,
            recall_docs=[_recall(doc) for doc in reply.docs],
            msg_content=reply.text,
            third_party_trace_id=trace_id,
        )


class Callback(Answer):
    """What is posted to a callback address: the synchronous answer, and whose question it answers."""

    user: str
    msg_id: str | None
    session_id: str | None
    business_keys: list[str] | None

    @classmethod
    def late(cls, late: LateReply, reply: Reply) -> Callback:
        asked = {name: late.raw.get(name) for name in ("msg_id", "session_id", "business_keys")}
        answer = Answer.of(reply, late.trace_id, later=True).model_dump()
        return cls.model_validate({**answer, "user": late.user, **asked})


class Health(Shape):
    status: Literal["healthy"] = "healthy"
    service: str
    version: str


def delta_frame(text: str) -> bytes:
    """A piece of an answer."""
    return _frame(text, {"urls": "", "context": "", "answer_success": 0, "docs": []}, finished=False)


def last_frame(text: str, reply: Reply, *, success: bool) -> bytes:
    """What the stream still lacks, and how it went."""
    docs = [{"doc_id": doc.doc_id, "title": doc.title, "url": doc.url} for doc in reply.docs]
    return _frame(text, {"answer_success": 1 if success else 0, "docs": docs}, finished=True)


def _frame(text: str, outcome: Mapping[str, object], *, finished: bool) -> bytes:
    data = as_json({"response": text, "finished": finished, "global_output": outcome})
    return b"event:delta\ndata:" + data + b"\n\n"


def _recall(doc: Doc) -> RecallDoc:
    return RecallDoc(doc_id=doc.doc_id, space_id=doc.space_id, title=doc.title, url=doc.url, score=doc.score)
