"""From how a chat ended to what the customer reads. Pure; nothing of Coze's own words but the answer."""

from __future__ import annotations

from coze.answer import Answer
from coze.errors import CozeError, Empty, Policy
from handler.message import Reply
from texts import Texts

BUSY = frozenset({"coze_4009", "coze_4016", "coze_4020", "coze_http_429"})
"""Causes that another try in a while may well overcome."""


def good_reply(answer: Answer) -> Reply:
    """The whole answer with everything that came along."""
    return Reply(
        answer.text,
        "coze",
        docs=answer.docs,
        suggestions=tuple(answer.suggestions),
        usage=answer.usage,
        reasoning=answer.reasoning,
    )


def bad_reply(error: CozeError, answer: Answer, texts: Texts) -> Reply:
    """What had come before it went wrong, marked as broken off; or a sentence of ours."""
    if not answer.text or error.policy is Policy.TELL_USER:
        return Reply(_sentence(error, texts), "coze", usage=answer.usage, error=error.name)
    return Reply(
        f"{answer.text}\n{texts.interrupted}",
        "coze",
        docs=answer.docs,
        usage=answer.usage,
        error=error.name,
        truncated=True,
        reasoning=answer.reasoning,
    )


def _sentence(error: CozeError, texts: Texts) -> str:
    if error.policy is Policy.TELL_USER:
        return texts.sensitive
    if isinstance(error, Empty):
        return texts.no_answer
    return texts.busy if error.name in BUSY else texts.apology
