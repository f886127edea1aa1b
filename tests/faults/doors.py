"""The four doors a customer comes in by, with what is seen at each; and the bot behind them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coze.bot import Bot
from handler.ownership import Ownership
from handler.responders import CozeResponder
from sandbox.wechat import LocalWeChat
from tests.rig import Rig


def bot_of(rig: Rig) -> Bot:
    responders = rig.app.extensions["yingda"].handler.responders
    (ownership,) = (each for each in responders if isinstance(each, Ownership))
    (coze,) = (each for each in ownership.responders if isinstance(each, CozeResponder))
    return coze.bot


@dataclass(frozen=True)
class Seen:
    """What came out of a door: the text a customer ends up with, how often an end came, and every byte."""

    text: str
    ends: int
    raw: str


def frames(body: str) -> Iterator[dict[str, object]]:
    for line in body.splitlines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def ask_sync(rig: Rig, user: str) -> Seen:
    response = rig.post("/chat/sync", json={"user": user, "msg_type": "text", "content": "你好"})
    return Seen(response.json()["msg_content"], 1, response.text)


def ask_sse(rig: Rig, user: str) -> Seen:
    response = rig.post("/chat", json={"user": user, "msg_type": "text", "content": "你好"})
    response.encoding = "utf-8"
    told = list(frames(response.text))
    text = "".join(str(each["response"]) for each in told)
    return Seen(text, sum(each["finished"] is True for each in told), response.text)


def ask_web(rig: Rig, user: str) -> Seen:
    response = rig.post("/api/chat/stream", json={"message": "你好", "user_id": user})
    response.encoding = "utf-8"
    told = [(each["type"], str(each["content"])) for each in frames(response.text)]
    errors = [content for kind, content in told if kind == "error"]
    text = errors[0] if errors else "".join(content for kind, content in told if kind == "message")
    return Seen(text, sum(kind in {"error", "done"} for kind, _ in told), response.text)


def ask_wechat(rig: Rig, user: str) -> Seen:
    outcome = LocalWeChat(f"{rig.url}/api/wechat").send_text(f"o{user}", "你好")
    assert not outcome.notice, outcome.problem
    return Seen(outcome.text, len(outcome.bubbles), outcome.text)


DOORS: dict[str, Callable[[Rig, str], Seen]] = {
    "sync": ask_sync,
    "sse": ask_sse,
    "web": ask_web,
    "wechat": ask_wechat,
}
