"""What one push leaves behind: every try, what the follower sees, and whether the notice was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sandbox.wechat.documents import Parsed
from sandbox.wechat.rules import Rule, Verdict
from sandbox.wechat.wire import Answer

NOTICE_TEXT = "该公众号提供的服务出现故障，请稍后再试"


@dataclass(frozen=True, slots=True)
class Bubble:
    """One thing the follower received."""

    msg_type: str
    text: str
    """The words in it: a text's Content, the titles of articles; empty for media."""
    fields: dict[str, Parsed]
    """Everything in it, by the platform's names."""
    via: Literal["passive", "push"]
    at: float
    """Unix seconds."""
    ai: bool = False
    """Whether the client writes 「内容由第三方AI生成」 under it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The follower was shown that the account is out of order."""

    openid: str
    problem: str
    at: float
    """Unix seconds."""
    text: str = NOTICE_TEXT


@dataclass(frozen=True, slots=True)
class Try:
    """One delivery: what went out, what came back, what WeChat thinks of it."""

    number: int
    url: str
    headers: dict[str, str]
    body: bytes
    """As it travelled: in safe mode the envelope."""
    plaintext: str
    """The XML of the push before encryption."""
    answer: Answer
    verdict: Verdict

    @property
    def seconds(self) -> float:
        return self.answer.seconds

    @property
    def status(self) -> int | None:
        """HTTP status; None when no answer came."""
        return self.answer.status

    @property
    def response(self) -> bytes:
        return self.answer.body

    @property
    def decrypted(self) -> str:
        """The plain XML of the reply; empty for `success`, silence and unreadable answers."""
        return self.verdict.decrypted

    @property
    def rule(self) -> Rule | None:
        return self.verdict.rule

    @property
    def problem(self) -> str:
        """Which rule was broken, in words; empty when none was."""
        return self.verdict.problem

    @property
    def unanswered(self) -> bool:
        """Whether WeChat heard nothing, so that it asks again."""
        return self.answer.failure is not None

    def as_json(self) -> dict[str, object]:
        return {
            "number": self.number,
            "request": {
                "method": "POST",
                "url": self.url,
                "headers": self.headers,
                "body": self.body.decode("utf-8", "replace"),
                "plaintext": self.plaintext,
            },
            "response": {
                "status": self.status,
                "headers": self.answer.headers,
                "body": self.response.decode("utf-8", "replace"),
                "plaintext": self.decrypted,
            },
            "seconds": round(self.seconds, 3),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one push."""

    openid: str
    msg_id: str
    """Empty for an event."""
    tries: list[Try] = field(default_factory=list)
    bubbles: list[Bubble] = field(default_factory=list)
    """What the follower sees at once: one reply, or nothing."""
    notice: bool = False
    """Whether the follower was shown the failure notice."""
    problem: str = ""
    """The rule that brought the notice, in words."""

    @property
    def text(self) -> str:
        """The words the follower reads."""
        return "\n".join(each.text for each in self.bubbles)

    def as_json(self) -> dict[str, object]:
        return {
            "openid": self.openid,
            "msg_id": self.msg_id,
            "bubbles": [bubble_as_json(each) for each in self.bubbles],
            "notice": NOTICE_TEXT if self.notice else "",
            "problem": self.problem,
            "tries": [each.as_json() for each in self.tries],
        }


def bubble_as_json(bubble: Bubble) -> dict[str, object]:
    return {
        "msg_type": bubble.msg_type,
        "text": bubble.text,
        "fields": bubble.fields,
        "via": bubble.via,
        "at": bubble.at,
        "ai": bubble.ai,
    }
