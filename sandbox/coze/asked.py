"""A chat request read strictly: what the platform refuses is refused here, by the same code."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import cast

from sandbox.coze.context import meta_data_of, text_of
from sandbox.coze.errors import Refusal
from sandbox.coze.state import Json

MOST_MESSAGES = 100
MOST_FLOW_MESSAGES = 50
TOOL_TYPES = frozenset({"function_call", "tool_output", "tool_response"})


@dataclass(frozen=True, slots=True)
class Entered:
    """A message of the request; `text` is what it says, `files` how many files it holds."""

    role: str
    type: str
    content: str
    content_type: str
    text: str
    files: int
    meta_data: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request that is in order."""

    bot_id: str
    user_id: str
    stream: bool
    saved: bool
    meta_data: dict[str, str]
    entered: list[Entered]


def read_chat(body: Json, files: Container[str]) -> Asked:
    """The request of /v3/chat; `files` are the ids of uploaded files. Refusal when it is not in order."""
    bot_id, user_id = text_of(body, "bot_id"), text_of(body, "user_id")
    stream, saved = _flag(body, "stream", False), _flag(body, "auto_save_history", True)
    if not stream and not saved:
        raise Refusal(4007)
    for key in ("custom_variables", "parameters", "extra_params"):
        if body.get(key) is not None and not isinstance(body[key], dict):
            raise Refusal(4000, f"{key} must be an object")
    entered = _messages(body, MOST_MESSAGES, files)
    if saved and any(message.type in TOOL_TYPES for message in entered):
        raise Refusal(4000, "tool messages need auto_save_history=false")
    return Asked(bot_id, user_id, stream, saved, meta_data_of(body), entered)


def read_chatflow(body: Json) -> Asked:
    """The request of /v1/workflows/chat: always a stream, and text only."""
    text_of(body, "workflow_id")
    bot_id, app_id = text_of(body, "bot_id", False), text_of(body, "app_id", False)
    if bool(bot_id) == bool(app_id):
        raise Refusal(4000, "exactly one of bot_id and app_id is required")
    if not isinstance(body.get("parameters", {}), dict):
        raise Refusal(4000, "parameters must be an object")
    entered = _messages(body, MOST_FLOW_MESSAGES, ())
    if not entered or entered[-1].role != "user":
        raise Refusal(4000, "additional_messages must end with a message of the user")
    if any(message.content_type != "text" for message in entered):
        raise Refusal(4000, "additional_messages must be text")
    ext = body.get("ext") or {}
    user_id = ext.get("user_id", "") if isinstance(ext, dict) else ""
    return Asked("", str(user_id), True, True, {}, entered)


def read_message(given: object, files: Container[str]) -> Entered:
    """One message as it may be entered. Refusal 4000 when it is not in order."""
    if not isinstance(given, dict):
        raise Refusal(4000, "a message must be an object")
    body = cast(Json, given)
    role, content = text_of(body, "role"), body.get("content")
    kind = text_of(body, "type", False) or ("question" if role == "user" else "answer")
    content_type = text_of(body, "content_type", False) or "text"
    if not isinstance(content, str):
        raise Refusal(4000, "content must be a string")
    if role not in {"user", "assistant"} or content_type not in {"text", "object_string"}:
        raise Refusal(4000, "role or content_type is not supported")
    if (role == "user" and kind != "question") or kind not in {"question", "answer", *TOOL_TYPES}:
        raise Refusal(4000, f"type {kind} is not supported as input")
    text, count = (content, 0) if content_type == "text" else _read_objects(content, files)
    return Entered(role, kind, content, content_type, text, count, meta_data_of(body))


def _messages(body: Json, most: int, files: Container[str]) -> list[Entered]:
    given = body.get("additional_messages") or []
    if not isinstance(given, list):
        raise Refusal(4000, "additional_messages must be an array")
    if len(given) > most:
        raise Refusal(4004)
    entered = [read_message(each, files) for each in given]
    for place, message in enumerate(entered):
        neighbours = entered[max(0, place - 1) : place] + entered[place + 1 : place + 2]
        if message.files and not message.text and not any(each.text for each in neighbours):
            raise Refusal(4000, "a message of files needs a message of text beside it")
    return entered


def _read_objects(content: str, files: Container[str]) -> tuple[str, int]:
    """The text and the number of files of an object_string."""
    try:
        items = json.loads(content)
    except ValueError as wrong:
        raise Refusal(4000, "object_string content must be a serialised array") from wrong
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refusal(4000, "object_string content must be an array of objects")
    texts = [item.get("text") for item in items if item.get("type") == "text"]
    media = [item for item in items if item.get("type") in {"file", "image", "audio"}]
    if len(texts) > 1 or not media or len(texts) + len(media) != len(items):
        raise Refusal(4000, "object_string needs a file or image, at most one text, and nothing else")
    for item in media:
        if not item.get("file_url") and str(item.get("file_id")) not in files:
            raise Refusal(4000, "file_id is unknown to this account")
    return str(texts[0] or "") if texts else "", len(media)


def _flag(body: Json, key: str, default: bool) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refusal(4000, f"{key} must be a boolean")
    return value
