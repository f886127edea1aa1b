"""A bot, the Coze it asks, and a customer's dialogue: what the tests of the bot share."""

from __future__ import annotations

import json
import time

from coze.bot import Bot
from coze.errors import Abandoned
from handler.message import Reply
from sandbox.coze import LocalCoze
from storage.models import DialogueSession
from storage.sessions import Sessions
from tests.coze.wire import CLOSE, answer_json, whole
from texts import Texts

TEXTS = Texts()
FINISH = whole(json.dumps({"msg_type": "generate_answer_finish", "data": "{}"}), "5", "verbose")


class Follower:
    """A sink that remembers, for the dialogue too where it has one, and stops when it is told to."""

    dialogue: tuple[Sessions, int] | None = None

    def __init__(self, calls: int = 100, stop_at: str | None = None) -> None:
        self.calls_left = calls
        self.calls = 0
        self.refusals = 0
        self.names: list[tuple[str, str]] = []
        self.pieces: list[str] = []
        self.stop_at = stop_at
        self.reads = True
        """Whether somebody reads the pieces as they come."""

    def calling(self) -> bool:
        if self.calls >= self.calls_left:
            return False
        self.calls += 1
        return True

    def refused(self) -> None:
        self.refusals += 1

    def named(self, conversation_id: str, chat_id: str, logid: str, owner: str | None) -> None:
        self.names.append((conversation_id, chat_id))
        if owner is not None and self.dialogue is not None:
            sessions, number = self.dialogue
            sessions.remember(number, conversation_id, owner)

    def delta(self, text: str) -> None:
        self.pieces.append(text)
        if self.stop_at is not None and self.stop_at in self.shown:
            raise Abandoned("enough")

    def followed(self) -> bool:
        return self.reads

    @property
    def shown(self) -> str:
        return "".join(self.pieces)


class World:
    """A bot, the Coze it asks, and one customer's dialogue."""

    def __init__(self, bot: Bot, sessions: Sessions, session_id: int) -> None:
        self.bot = bot
        self.sessions = sessions
        self.session_id = session_id
        self.sink = Follower()

    @property
    def session(self) -> DialogueSession:
        return self.sessions.get(self.session_id)

    def ask(self, text: str = "你好", seconds: float = 5.0, **options: object) -> Reply:
        deadline = time.monotonic() + seconds
        self.sink.dialogue = self.sessions, self.session_id
        return self.bot.ask(
            self.session, text, request_id="req-1", sink=self.sink, deadline=deadline, **options  # type: ignore[arg-type]
        )  # fmt: skip


def posts(coze: LocalCoze, path: str = "/v3/chat") -> list[dict[str, object]]:
    return [each.json for each in coze.requests if each.path == path]  # type: ignore[misc]


def stored(text: str | None, status: str = "completed") -> list[list[bytes]]:
    """What retrieve and message/list answer."""
    chat = {"id": "71", "conversation_id": "72", "status": status}
    answer = [{"id": "1", "type": "answer", "role": "assistant", "content": text}] if text else []
    return [[answer_json({"code": 0, "data": data}, headers=CLOSE)] for data in (chat, answer)]
