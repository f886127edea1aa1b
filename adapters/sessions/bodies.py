"""What the session service is sent, and what of it is too much."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from adapters.shape import Shape
from errors import BadRequest
from handler.message import Line

EARLIER_CHARS = 8_000
"""Characters of all additional messages: they are put to the bot together with the first question."""
METADATA_BYTES = 8 * 1024


class AdditionalMessage(Shape):
    """Something said before the session began. Other fields of Coze's messages are tolerated."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=4000)
    content_type: Literal["text"] = "text"


class NewSession(Shape):
    """The body of `POST /coze/sessions`."""

    model_config = ConfigDict(str_strip_whitespace=True)

    user_id: str = Field(min_length=1, max_length=128)
    bot_id: str | None = Field(
        None, max_length=64, description="kept and shown; the bot of this installation answers"
    )
    additional_messages: list[AdditionalMessage] | None = Field(None, max_length=20)
    auto_save_history: bool = Field(True, description="if false, no message draws on those before it")
    meta_data: dict[str, Any] | None = None

    @field_validator("user_id")
    @classmethod
    def _can_be_told_apart(cls, user: str) -> str:
        if not user.isprintable():
            raise ValueError("has characters that nobody can see")
        return user

    @field_validator("meta_data")
    @classmethod
    def _can_be_kept(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise ValueError("holds a number that JSON cannot carry") from None
        if size > METADATA_BYTES:
            raise ValueError(f"is larger than {METADATA_BYTES} bytes")
        return value

    @model_validator(mode="after")
    def _not_too_much(self) -> NewSession:
        if sum(len(each.content) for each in self.additional_messages or ()) > EARLIER_CHARS:
            raise ValueError(f"additional_messages have more than {EARLIER_CHARS} characters")
        return self

    def earlier(self) -> list[Line]:
        """The additional messages in our words."""
        return [Line(each.role, each.content) for each in self.additional_messages or ()]


class NewMessage(Shape):
    """The body of `POST /coze/sessions/{id}/messages`."""

    message: str = Field(min_length=1)
    stream: bool = False

    def checked(self, longest: int) -> NewMessage:
        """Itself; `BadRequest` unless the message says something, in `longest` characters at most."""
        if not self.message.strip():
            raise BadRequest("message: is empty")
        if len(self.message) > longest:
            raise BadRequest(f"message: has more than {longest} characters")
        return self
