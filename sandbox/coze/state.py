"""What the local Coze knows: tokens, conversations, chats, files and the requests it saw.

Nothing runs in the background. A chat is a script with a time for each line, so its state is always a
question of the clock: it runs on when nobody listens, and ends when its last line is due.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.coze.errors import Refusal
from sandbox.coze.faults import Faults
from sandbox.coze.oauth import TokenDesk

KEPT_REQUESTS = 10_000
"""Recorded requests; the oldest go first, so that a sandbox may run for days."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: two tokens of one account and session name see the same conversations."""

    session_name: str = ""
    oauth: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came in; `json` is None unless the body was a JSON document."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: object
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation, as the API shows it."""

    id: str
    conversation_id: str
    role: str
    type: str
    content: str
    content_type: str = "text"
    bot_id: str = ""
    chat_id: str = ""
    section_id: str = ""
    reasoning_content: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)
    created_at: int = 0

    def as_json(self) -> Json:
        shown: Json = {"id": self.id, "conversation_id": self.conversation_id}
        if self.bot_id:
            shown["bot_id"] = self.bot_id
        shown |= {"role": self.role, "type": self.type, "content": self.content}
        shown |= {"content_type": self.content_type, "chat_id": self.chat_id, "section_id": self.section_id}
        shown |= {
            "meta_data": dict(self.meta_data),
            "created_at": self.created_at,
            "updated_at": self.created_at,
        }
        if self.reasoning_content:
            shown["reasoning_content"] = self.reasoning_content
        return shown


@dataclass(slots=True)
class Conversation:
    """A dialogue of one session name. Messages before the current section are out of context."""

    id: str
    session_name: str
    bot_id: str
    name: str
    meta_data: Mapping[str, str]
    connector_id: str
    section_id: str
    created_at: int
    updated_at: int
    messages: list[Message] = field(default_factory=list)
    chats: list[Chat] = field(default_factory=list)
    question_open: bool = False
    """The bot asked something and waits for the answer."""

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "meta_data": dict(self.meta_data),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "creator_id": "2500000000000001",
            "connector_id": self.connector_id,
            "last_section_id": self.section_id,
        }


@dataclass(slots=True)
class Chat:
    """One turn of the bot. `offset` counts seconds from `started`, a monotonic time."""

    id: str
    conversation_id: str
    section_id: str
    bot_id: str
    user_id: str
    session_name: str
    saved: bool
    meta_data: Mapping[str, str]
    created_at: int
    started: float
    outcome: str = "completed"
    ends_after: float = 0.0
    last_error: Json = field(default_factory=lambda: {"code": 0, "msg": ""})
    required_action: Json | None = None
    usage: Json = field(default_factory=dict)
    messages: list[tuple[float, Message]] = field(default_factory=list)
    canceled: bool = False

    @property
    def status(self) -> str:
        """`in_progress`, then `completed`, `failed` or `requires_action`; `canceled` at any time before."""
        if self.canceled:
            return "canceled"
        return self.outcome if time.monotonic() >= self.started + self.ends_after else "in_progress"

    @property
    def running(self) -> bool:
        return self.status == "in_progress"

    def visible(self) -> list[Message]:
        """The messages completed by now."""
        now = time.monotonic()
        return [message for offset, message in self.messages if now >= self.started + offset]

    def as_json(self, status: str | None = None) -> Json:
        """The chat object with the status of this moment, or with the one named."""
        status = status or self.status
        ended = self.created_at + round(self.ends_after)
        shown: Json = {"id": self.id, "conversation_id": self.conversation_id}
        if self.bot_id:
            shown["bot_id"] = self.bot_id
        shown |= {"status": status, "created_at": self.created_at, "section_id": self.section_id}
        shown["last_error"] = self.last_error if status == "failed" else {"code": 0, "msg": ""}
        shown["usage"] = self.usage if status in {"completed", "requires_action"} else None
        shown["meta_data"] = dict(self.meta_data)
        if status == "completed":
            shown["completed_at"] = ended
        if status == "failed":
            shown["failed_at"] = ended
        if status == "requires_action":
            shown["required_action"] = self.required_action
        return shown


class LocalCoze:
    """A whole Coze account in memory; every method may be called from any thread.

    `tokens` are accepted as personal access tokens; `pace` is the seconds between two deltas.
    """

    def __init__(self, tokens: tuple[str, ...] = ("pat_yingda-sandbox",), pace: float = 0.0) -> None:
        self.tokens = set(tokens)
        self.pace = pace
        self.faults = Faults()
        self.requests: list[Recorded] = []
        self.chats: dict[str, Chat] = {}
        self.conversations: dict[str, Conversation] = {}
        self.files: dict[str, Json] = {}
        self.interrupts: dict[str, tuple[str, int]] = {}
        """Interrupted workflow runs: event id -> (what the run was asked, resumes so far)."""
        self.desk = TokenDesk()
        self.lock = threading.RLock()
        # 19 digits that grow over restarts too: a gateway keeps ids for days
        self._ids = itertools.count(7_000_000_000_000_000_000 + int(time.time() * 1000) * 100_000)

    def new_id(self) -> str:
        return str(next(self._ids))

    def register_app(self, client_id: str, kid: str, public_key_pem: str | bytes) -> None:
        """Lets an OAuth service app exchange JWTs signed with this key; up to any number of keys each."""
        self.desk.register(client_id, kid, public_key_pem)

    def identify(self, authorization: str) -> Identity:
        """Who bears this `Authorization`; Refusal 4100 for nobody."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token:
            if token in self.tokens:
                return Identity()
            session_name = self.desk.session_of(token)
            if session_name is not None:
                return Identity(session_name, oauth=True)
        raise Refusal(4100)

    def record(self, request: Recorded) -> None:
        with self.lock:
            self.requests.append(request)
            if len(self.requests) > KEPT_REQUESTS:
                del self.requests[: KEPT_REQUESTS // 10]

    def open_conversation(
        self,
        who: Identity,
        bot_id: str = "",
        name: str = "",
        meta_data: Mapping[str, str] | None = None,
        connector_id: str = "1024",
    ) -> Conversation:
        """A new conversation of this session name."""
        now = int(time.time())
        conversation = Conversation(
            self.new_id(),
            who.session_name,
            bot_id,
            name,
            meta_data or {},
            connector_id,
            self.new_id(),
            now,
            now,
        )
        with self.lock:
            self.conversations[conversation.id] = conversation
        return conversation

    def conversation(self, who: Identity, conversation_id: object, code: int = 4200) -> Conversation:
        """The conversation, if it is this session's own; Refusal `code` otherwise."""
        found = self.conversations.get(str(conversation_id))
        if found is None or found.session_name != who.session_name:
            raise Refusal(code)
        return found

    def chat(self, who: Identity, conversation_id: object, chat_id: object) -> Chat:
        """The chat, if it was saved and is this session's own; Refusal 4001 or 4002 otherwise."""
        self.conversation(who, conversation_id, code=4002)
        found = self.chats.get(str(chat_id))
        if found is None or not found.saved or found.conversation_id != conversation_id:
            raise Refusal(4001)
        return found

    def add_chat(self, conversation: Conversation, chat: Chat) -> None:
        """Makes a chat known; the caller holds `lock` since it looked whether the conversation is busy."""
        self.chats[chat.id] = chat
        conversation.chats.append(chat)

    def history(self, conversation: Conversation) -> list[Message]:
        """The conversation's context by now, oldest first: entered messages and finished answers."""
        with self.lock:
            entered = [each for each in conversation.messages if each.section_id == conversation.section_id]
            answers = [
                message
                for chat in conversation.chats
                if chat.section_id == conversation.section_id and chat.saved and not chat.canceled
                for message in chat.visible()
                if message.type == "answer"
            ]
        return sorted([*entered, *answers], key=lambda each: int(each.id))

    def busy(self, conversation: Conversation) -> bool:
        """Whether a chat runs in it; the answer to one more is 4016."""
        return any(chat.running for chat in conversation.chats)

    def cancel(self, chat: Chat) -> None:
        """Ends a running chat; its question leaves the context. Refusal 4104 when it has ended."""
        with self.lock:
            if not chat.running:
                raise Refusal(4104)
            chat.canceled = True
            kept = self.conversations[chat.conversation_id].messages
            kept[:] = [message for message in kept if message.chat_id != chat.id]
