"""What the session service answers: its two envelopes, and sessions and chats as they stand inside.

The nesting is that of the service this one replaces; existing clients read `data.task_result.data`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from adapters.shape import Shape
from errors import YingdaError
from handler.message import Line, ServiceChat, ServiceSession


class Context(Shape):
    """What the bot was told about the session before its first message."""

    bot_id: str
    """The bot that answers."""
    requested_bot_id: str | None
    """The bot that was wished for; it is noted, and changes nothing."""
    additional_messages: list[dict[str, str]]
    auto_save_history: bool


class Said(Shape):
    role: str
    content: str
    created_at: str | None = None


class Session(Shape):
    session_id: str
    user_id: str
    status: str
    context: Context
    chat_history: list[Said]
    created_at: str
    updated_at: str
    expires_at: str
    metadata: dict[str, Any]


class Chat(Shape):
    chat_id: str
    session_id: str
    user_message: str
    status: Literal["in_progress", "completed", "failed"]
    assistant_message: str | None
    content: str | None
    reasoning_content: str | None = None
    follow_up_questions: list[str]
    created_at: str
    updated_at: str
    completed_at: str | None
    error_message: str | None
    metadata: dict[str, Any]


class TaskResult(Shape):
    success: Literal[True] = True
    timestamp: str
    data: dict[str, Any]
    message: str


class Data(Shape):
    task_id: None = None
    task_status: Literal["completed"] = "completed"
    task_result: TaskResult
    session: Session | None = Field(None, description="beside the result where one session was asked for")


class Success(Shape):
    success: Literal[True] = True
    data: Data
    error: None = None


def success(
    data: Mapping[str, Any], message: str, session: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The envelope of what went well; `session` stands beside the result, for those who ask for one."""
    result = {"success": True, "timestamp": moment(_now_ms()), "data": data, "message": message}
    outer: dict[str, Any] = {"task_id": None, "task_status": "completed", "task_result": result}
    if session is not None:
        outer["session"] = session
    return {"success": True, "data": outer, "error": None}


def failure(error: YingdaError, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The envelope of what went wrong."""
    inner: dict[str, Any] = {
        "message": error.message,
        "code": error.code.upper(),
        "timestamp": moment(_now_ms()),
    }
    if details:
        inner["details"] = details
    return {"success": False, "error": inner, "data": None, "task_id": None, "task_status": None}


def session_data(of: ServiceSession, bot_id: str, chats: Sequence[ServiceChat]) -> dict[str, Any]:
    """A session. `bot_id` answers it; `chats` become its history."""
    history = [*of.earlier]
    for chat in chats if of.remembers else ():
        history.append(Line("user", chat.question, chat.created_ms))
        if chat.reply is not None and chat.reply.error is None:
            history.append(Line("assistant", chat.reply.text, chat.answered_ms or chat.created_ms))
    return Session(
        session_id=of.id,
        user_id=of.user,
        status=of.status,
        context=Context(
            bot_id=bot_id,
            requested_bot_id=of.bot_id or None,
            additional_messages=[{"role": each.role, "content": each.text} for each in of.earlier],
            auto_save_history=of.remembers,
        ),
        chat_history=[
            Said(role=each.role, content=each.text, created_at=moment(each.said_ms) if each.said_ms else None)
            for each in history
        ],
        created_at=moment(of.created_ms),
        updated_at=moment(of.updated_ms),
        expires_at=moment(of.expires_ms),
        metadata=dict(of.metadata),
    ).model_dump()


def chat_data(chat: ServiceChat) -> dict[str, Any]:
    """A chat, with its answer as soon as there is one. A thinking model's thoughts are not given away."""
    reply = chat.reply
    words = reply.text if reply is not None and reply.error is None else None
    done = moment(chat.answered_ms) if chat.answered_ms is not None and reply is not None else None
    return Chat(
        chat_id=chat.id,
        session_id=chat.session,
        user_message=chat.question,
        status="in_progress" if reply is None else "failed" if reply.error else "completed",
        assistant_message=words,
        content=words,
        follow_up_questions=list(reply.suggestions) if reply is not None else [],
        created_at=moment(chat.created_ms),
        updated_at=done or moment(chat.created_ms),
        completed_at=done,
        error_message=reply.text if reply is not None and reply.error else None,
        metadata={"error_code": reply.error} if reply is not None and reply.error else {},
    ).model_dump()


def moment(ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
