"""What is asked of template and subscription messages, and told about them; limits as WeChat has them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from adapters.shape import Shape

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
# the length apart from the pattern: counting a class of all letters there is takes megabytes
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00-\x1f]+$", max_length=1008)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,32}$")]


class _Strict(Shape):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Value(_Strict):
    """What stands in one field of a template."""

    value: Words
    color: Colour | None = None


class MiniProgram(_Strict):
    """Where a tap leads, instead of a page."""

    appid: Id
    pagepath: str = Field("", max_length=1024)


class NoticeBody(_Strict):
    """What the three kinds have in common."""

    account: str = Field("", max_length=64, description="name of the account; the first one if left out")
    key: str = Field(
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="your own name for this message: the same key is never sent twice",
    )
    touser: Id = Field(description="openid")
    template_id: Id
    miniprogram: MiniProgram | None = None

    def message(self) -> dict[str, Any]:
        """The body of WeChat's call."""
        return self.model_dump(exclude={"account", "key"}, exclude_none=True)


class TemplateBody(NoticeBody):
    """A template message: of a verified 服务号, about something the customer did."""

    data: dict[FieldName, Value] = Field(min_length=1, max_length=32)
    url: Address | None = None

    def message(self) -> dict[str, Any]:
        # WeChat itself drops a second one within ten minutes: for operators who send again
        again = hashlib.sha256(f"{self.account}:{self.key}".encode()).hexdigest()[:32]
        return {**super().message(), "client_msg_id": again}


class SubscriptionBody(NoticeBody):
    """A subscription message: the customer agreed to this template, once or for good."""

    data: dict[FieldName, Value] = Field(min_length=1, max_length=32)
    page: Address | None = None


class OnceBody(NoticeBody):
    """A one-time subscription: the customer agreed on a page to exactly one message."""

    scene: int = Field(ge=0, le=10000, description="the scene that the customer agreed to")
    title: str = Field(min_length=1, max_length=15)
    data: dict[FieldName, Value] = Field(min_length=1, max_length=1, description="`content` only")
    url: Address | None = None

    @field_validator("data")
    @classmethod
    def _content_only(cls, data: dict[str, Value]) -> dict[str, Value]:
        if "content" not in data or len(data["content"].value) > 200:
            raise ValueError("it holds content, of 200 characters at most")
        return data


class NoticeState(Shape):
    """What became of a message."""

    id: int
    account: str
    kind: str = Field(description="template, subscription or once")
    key: str
    state: str = Field(description="waiting, sending, sent, failed or in_doubt")
    tries: int
    error: str | None = Field(description="wechat_<errcode> or a few words")
    meaning: str | None = Field(description="the error in words")
    msgid: str | None = Field(description="WeChat's number, in its later event")
    created_ms: int
    finished_ms: int | None
