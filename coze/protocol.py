"""Coze's objects and stream events, made typed. Pure: from decoded JSON or `sse.Event` to dataclasses.

Tolerance lives here: a field may be missing, null, a number instead of a string, or JSON within a string.
Whoever reads further on gets plain types. Ids are always text: they are larger than a double can hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from coze.errors import CozeError, Malformed, code_number, error_from
from coze.sse import Event
from handler.message import Usage

Json = Mapping[str, object]
NOTHING: Json = {}

RUNNING = frozenset({"created", "in_progress"})
ENDED = frozenset({"completed", "failed", "canceled", "requires_action", "expired", "deleted"})
SPELLINGS = {"cancelled": "canceled", "required_action": "requires_action", "compleated": "completed"}


@dataclass(frozen=True, slots=True)
class Chat:
    """One run of the bot: a question being answered in a conversation."""

    id: str
    conversation_id: str
    status: str
    """created, in_progress, completed, failed, canceled, requires_action, expired, deleted, or unknown"""
    usage: Usage | None = None
    error: CozeError | None = None
    """What `last_error` says; None when it says nothing."""
    tool_calls: tuple[str, ...] = ()
    """Kinds of the calls it waits for: `function`, `reply_message`."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Message(NamedTuple):
    """One message of a chat, or as an event of a stream the next piece of one.

    A tuple, because thousands are made each second.
    """

    id: str
    conversation_id: str
    chat_id: str
    role: str
    type: str
    content: str
    content_type: str
    reasoning: str = ""
    created_at: int = 0
    mark: str = ""
    """What whoever wrote it noted under `yingda` in its `meta_data`; empty for all but ours."""

    @property
    def is_answer(self) -> bool:
        # deltas without role or type have been seen; whatever names another type is not for the customer
        return self.type in {"answer", ""} and self.role in {"assistant", ""}


@dataclass(frozen=True, slots=True)
class Named:
    """The chat exists: its ids are known from here on."""

    chat: Chat


@dataclass(frozen=True, slots=True)
class Whole:
    """A complete message; it replaces the pieces that came under its id."""

    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """The chat came to an end, good or bad: see its status and error."""

    chat: Chat


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream said `error`. Nothing follows."""

    error: CozeError


@dataclass(frozen=True, slots=True)
class Done:
    """The stream says that it is complete."""

    debug_url: str = ""


ChatEvent = Named | Message | Whole | Ended | Failed | Done

_TEXTS = "id conversation_id chat_id role type content content_type reasoning_content".split()
"""The fields of a message that its tuple begins with."""
DELTA = "conversation.message.delta"
CHAT = "conversation.chat."
IGNORED = frozenset({"", "ping", "conversation.chat.in_progress", "conversation.audio.delta"})


def chat_event(event: Event, logid: str = "") -> ChatEvent | None:
    """What a record of a chat stream says; None for what needs no attention.

    Raises `Malformed` when a record that matters cannot be read, `LookupError` for an unknown name.
    """
    name = event.event
    if name == DELTA:
        return message_of(loads_object(event.data))
    if name == "conversation.message.completed":
        return Whole(message_of(loads_object(event.data)))
    if name in {"done", "conversation.stream.done"}:
        return Done(text(_maybe_object(event.data).get("debug_url")))
    if name == "error":
        return Failed(_stream_error(event.data, logid))
    if name.lower() in IGNORED:
        return None
    if name == "conversation.chat.created":
        return Named(chat_of(loads_object(event.data), logid))
    status = _status(name.removeprefix(CHAT)) if name.startswith(CHAT) else ""
    if status in ENDED:
        # an end without readable data is an end all the same
        return Ended(chat_of({**_maybe_object(event.data), "status": status}, logid))
    raise LookupError(name)


def chat_of(data: Json, logid: str = "") -> Chat:
    """A chat object. `completed_at` and an empty `required_action` say nothing, so they are not read."""
    error = mapping(data.get("last_error"))
    status = _status(text(data.get("status")))
    number, msg = error.get("code"), error.get("msg")
    if not code_number(number) and "code" in data:
        # one shape of chat.failed has code and msg where the chat's fields should be
        number, msg = data.get("code"), data.get("msg")
    failure = error_from(number, msg, logid) if code_number(number) or (msg and status == "failed") else None
    action = mapping(mapping(data.get("required_action")).get("submit_tool_outputs"))
    return Chat(
        id=text(data.get("id")),
        conversation_id=text(data.get("conversation_id")),
        status=status,
        usage=usage_of(data.get("usage")),
        error=failure,
        tool_calls=tuple(text(mapping(call).get("type")) for call in items(action.get("tool_calls"))),
    )


def message_of(data: Json) -> Message:
    """A message object."""
    noted, moment = data.get("meta_data"), data.get("created_at")
    # without a call for what is as it should be: it is done for each piece of an answer
    fields: list[Any] = [value if type(value) is str else text(value) for value in map(data.get, _TEXTS)]
    fields += integer(moment) if moment else 0, text(mapping(noted).get("yingda")) if noted else ""
    return Message._make(fields)


def usage_of(value: object) -> Usage | None:
    """Tokens under either spelling; None when nothing is said."""
    usage = mapping(value)
    if not usage:
        return None
    return Usage(
        integer(usage.get("input_count") or usage.get("input_tokens")),
        integer(usage.get("output_count") or usage.get("output_tokens")),
    )


def loads(data: str | bytes) -> object:
    """Decoded JSON; raises `Malformed`. Halves of surrogate pairs become U+FFFD."""
    try:
        decoded: object = orjson.loads(data)
    except ValueError:
        # the strict parser is also the one that refuses lone surrogates, which Coze's models do produce
        try:
            scrubbed = json.dumps(json.loads(data), ensure_ascii=False)
            decoded = orjson.loads(scrubbed.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        except (ValueError, RecursionError):
            raise Malformed("the data is not JSON") from None
    return decoded


def loads_object(data: str | bytes) -> Json:
    """A decoded JSON object; raises `Malformed` for anything else."""
    decoded = loads(data)
    if not isinstance(decoded, dict):
        raise Malformed("the data is not a JSON object")
    return decoded


def text(value: object) -> str:
    """A string field: numbers as their digits, null as nothing, structures as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return orjson.dumps(value).decode()


def integer(value: object) -> int:
    """A number field, also when it is written as a string; 0 for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value)
    return code_number(value)


def mapping(value: object) -> Json:
    """An object field; empty for anything else."""
    return value if isinstance(value, dict) else NOTHING


def items(value: object) -> list[object]:
    """A list field; empty for anything else."""
    return value if isinstance(value, list) else []


def nested(value: object) -> object:
    """A field that holds JSON as a string, decoded; what is no JSON comes back as it is."""
    if not isinstance(value, str):
        return value
    try:
        return loads(value)
    except Malformed:
        return value


def _status(status: str) -> str:
    return SPELLINGS.get(status, status)


def _maybe_object(data: str) -> Json:
    return mapping(nested(data))


def _stream_error(data: str, logid: str) -> CozeError:
    fields = _maybe_object(data)
    code = fields.get("code") or fields.get("error_code")
    msg = fields.get("msg") or fields.get("error_message")
    return error_from(code, msg or ("" if fields else data), logid)
