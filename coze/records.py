"""What goes to Coze's endpoints and comes back from them, chats apart. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from coze.protocol import Message
from handler.message import Media

ITEM_KINDS = {"image": "image", "file": "file", "video": "file"}
"""Media Coze takes along with words. A voice is left out: it would be answered by voice."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message as it is sent: who said it, and what."""

    content: str
    role: str = "user"
    content_type: str = "text"

    def as_json(self) -> dict[str, str]:
        kind = "question" if self.role == "user" else "answer"
        return {"role": self.role, "type": kind, "content": self.content, "content_type": self.content_type}


def said_with(text: str, media: Sequence[Media]) -> Said:
    """The customer's words, and beside them what is uploaded or has a public address."""
    items = [
        {"type": ITEM_KINDS[each.kind], **address}
        for each in media
        if each.kind in ITEM_KINDS and (address := _address(each))
    ]
    if not items:
        return Said(text)
    return Said(orjson.dumps([{"type": "text", "text": text}, *items]).decode(), content_type="object_string")


def _address(media: Media) -> dict[str, str]:
    if media.file_id:
        return {"file_id": media.file_id}
    return {"file_url": media.url} if media.url.startswith(("http://", "https://")) else {}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of ours on Coze."""

    id: str
    name: str = ""
    section_id: str = ""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages of a conversation, newest first unless asked otherwise."""

    messages: tuple[Message, ...]
    last_id: str = ""
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class BotInfo:
    """A published bot."""

    id: str
    name: str
    description: str = ""
    icon_url: str = ""
    welcome: str = ""
    suggestions: tuple[str, ...] = ()
    """Questions that the bot's owner proposes to begin with."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that chats of the same account may refer to, for about three months."""

    id: str
    name: str = ""
    size: int = 0
