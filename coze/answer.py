"""One answer, put together from the events of a chat. Pure.

Only messages of type `answer` reach the customer. Several of them are joined by newlines in the order of
their first appearance; a complete message replaces the pieces that came before it.

Documents recalled from a knowledge base are accepted in these shapes, each possibly as a JSON string:
a `knowledge` message, or a `verbose` message with `msg_type` `knowledge_recall` and the rest in `data`;
in it a list, or an object with `chunks`, `docs`, `documents` or `data`; each entry an object with
`slice` | `content` | `text`, `score`, and ids, titles and links either flat (`doc_id` | `document_id` | `id`,
`title` | `document_name` | `name`, `url`, `space_id` | `dataset_id`) or under `meta` (`document.id`,
`document.name`, `dataset.id`, `link.title`, `link.url`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from coze.errors import ChatFailed, CozeError
from coze.protocol import (
    Chat,
    ChatEvent,
    Done,
    Ended,
    Failed,
    Json,
    Message,
    Named,
    Whole,
    items,
    mapping,
    nested,
    text,
)
from growing import Growing
from handler.message import Doc, Usage

JOINER = "\n"


@dataclass(slots=True)
class _Part:
    """One answer message."""

    pieces: Growing = field(default_factory=Growing)
    """All that came of it and, while it is the one being shown, all that was shown of it."""
    reasoning: list[str] = field(default_factory=list)
    whole: str | None = None

    @property
    def text(self) -> str:
        return str(self.pieces) if self.whole is None else self.whole


class Answer:
    """Takes events, says what to show at once, and holds the result.

    `card` stands for content that is a card and cannot be shown as text.
    """

    def __init__(self, card: str) -> None:
        self.conversation_id = ""
        self.chat_id = ""
        self.status = ""
        """The chat's last known status; empty before its end."""
        self.finished = False
        """Every answer message has come. Suggestions and usage may still follow."""
        self.ended = False
        """The chat is over."""
        self.usage: Usage | None = None
        self.debug_url = ""
        self.suggestions: list[str] = []
        self._card = card
        self._parts: dict[str, _Part] = {}
        self._docs: dict[str, Doc] = {}
        self._failure: CozeError | None = None
        self._before = ""
        """What was shown before the part that is being shown."""
        self._showing: _Part | None = None

    @property
    def text(self) -> str:
        """The answers so far, joined."""
        return JOINER.join(filter(None, (part.text for part in self._parts.values())))

    @property
    def shown(self) -> str:
        """Everything that `take` has given out."""
        return self._before + str(self._showing.pieces) if self._showing else self._before

    @property
    def docs(self) -> tuple[Doc, ...]:
        return tuple(self._docs.values())

    @property
    def reasoning(self) -> str:
        return JOINER.join(filter(None, ("".join(part.reasoning) for part in self._parts.values())))

    @property
    def error(self) -> CozeError | None:
        """Why the chat did not succeed; None while it runs and when it did."""
        if self._failure is not None:
            return self._failure
        if self.status in {"failed", "canceled", "expired", "deleted"}:
            return ChatFailed(self.status)
        if self.status == "requires_action" and not self.text:
            # a question of the bot is an ordinary answer; a call of a client-side tool nobody can serve
            return ChatFailed(self.status)
        return None

    def take(self, event: ChatEvent) -> str:
        """Adds one event; returns the text to show now, often empty."""
        if isinstance(event, Message):
            return self._piece(event)
        if isinstance(event, Whole):
            return self._whole(event.message)
        if isinstance(event, Named):
            self._name(event.chat.conversation_id, event.chat.id)
        elif isinstance(event, Ended):
            self._end(event.chat)
        elif isinstance(event, Failed):
            self._failure = self._failure or event.error
            self.finished = self.ended = True
        elif isinstance(event, Done):
            self.debug_url = event.debug_url
            self.finished = self.ended = True
        return ""

    def rest(self, final: str) -> str:
        """What must still be shown for the shown text to become `final`; empty when it cannot."""
        shown = self.shown
        return final[len(shown) :] if final.startswith(shown) else ""

    def showed(self, shown: str) -> None:
        """Says what has been shown already, by another answer of the same chat, instead of this one's own."""
        self._before, self._showing = shown, None

    def _name(self, conversation_id: str, chat_id: str) -> None:
        self.conversation_id = self.conversation_id or conversation_id
        self.chat_id = self.chat_id or chat_id

    def _end(self, chat: Chat) -> None:
        self._name(chat.conversation_id, chat.id)
        self.status = chat.status
        self.usage = chat.usage or self.usage
        self._failure = self._failure or chat.error
        self.finished = self.ended = True

    def _piece(self, message: Message) -> str:
        self._name(message.conversation_id, message.chat_id)
        if not message.is_answer:
            return ""
        part = self._part(message.id)
        if message.reasoning:
            part.reasoning.append(message.reasoning)
        if part.whole is not None or not message.content or message.content_type in {"card", "audio"}:
            return ""
        return self._show(part, message.content)

    def _whole(self, message: Message) -> str:
        self._name(message.conversation_id, message.chat_id)
        if message.type == "follow_up":
            if message.content and message.content not in self.suggestions:
                self.suggestions.append(message.content)
        elif message.type == "verbose":
            self._verbose(message.content)
        elif message.type == "knowledge":
            self._recall(message.content)
        elif message.is_answer:
            part = self._part(message.id)
            if message.reasoning:
                part.reasoning = [message.reasoning]
            had = part.text
            part.whole = self._readable(message)
            if part.whole.startswith(had):
                return self._show(part, part.whole[len(had) :])
        return ""

    def _part(self, key: str) -> _Part:
        if (part := self._parts.get(key)) is not None:
            return part
        if not key and self._parts:
            # a piece without an id goes on with the message before it
            return next(reversed(self._parts.values()))
        # and the first message with an id takes over what came without one
        part = self._parts.pop("", None) or _Part()
        self._parts[key] = part
        return part

    def _show(self, part: _Part, piece: str) -> str:
        """Adds to the part; returns what to show of it."""
        if not piece:
            return ""
        shown = piece
        if part is not self._showing:
            if self._showing is not None:
                if part is not next(reversed(self._parts.values())):
                    # a later answer is on the screen already: this piece can only be in the final text
                    part.pieces.add(piece)
                    return ""
                self._before, shown = self.shown + JOINER, JOINER + piece
            self._showing = part
        part.pieces.add(piece)
        return shown

    def _readable(self, message: Message) -> str:
        if message.content_type == "card":
            return self._card
        if message.content_type == "object_string":
            return _words(message.content)
        if message.content_type == "audio":
            return ""
        return message.content

    def _verbose(self, content: str) -> None:
        packet = mapping(nested(content))
        kind = packet.get("msg_type")
        if kind == "generate_answer_finish":
            self.finished = True
        elif kind == "knowledge_recall":
            self._recall(packet.get("data"))

    def _recall(self, content: object) -> None:
        for doc in recalled(content):
            known = self._docs.get(doc.doc_id)
            if known is None or (doc.score or 0.0) > (known.score or 0.0):
                self._docs[doc.doc_id] = doc


def from_messages(messages: Iterable[Message], chat: Chat, card: str) -> Answer:
    """The answer of a chat that has ended, from its stored messages, whatever their order."""
    answer = Answer(card)
    for message in sorted(messages, key=lambda each: (each.created_at, len(each.id), each.id)):
        answer.take(Whole(message))
    answer.take(Ended(chat))
    return answer


def recalled(content: object) -> list[Doc]:
    """The documents in a recall packet; see the module's docstring for its shapes."""
    packet = nested(content)
    for name in ("data", "chunks", "docs", "documents"):
        if isinstance(packet, dict) and name in packet:
            packet = nested(packet[name])
    return [doc for each in items(packet) if (doc := _doc(mapping(nested(each)))) is not None]


def _doc(entry: Json) -> Doc | None:
    meta = mapping(nested(entry.get("meta")))
    document, dataset, link = (mapping(meta.get(name)) for name in ("document", "dataset", "link"))
    doc_id = text(document.get("id") or entry.get("doc_id") or entry.get("document_id") or entry.get("id"))
    title = document.get("name") or entry.get("title") or entry.get("document_name") or entry.get("name")
    title = text(link.get("title") or title)
    if not (doc_id or title):
        return None
    score = entry.get("score")
    return Doc(
        doc_id=doc_id or title,
        title=title,
        url=text(link.get("url") or entry.get("url")),
        space_id=text(dataset.get("id") or entry.get("space_id") or entry.get("dataset_id")),
        score=float(score) if isinstance(score, int | float) else None,
        text=text(entry.get("slice") or entry.get("content") or entry.get("text")),
    )


def _words(content: str) -> str:
    """The text of an `object_string`: its words and the addresses of its files, a line each."""
    parts = [mapping(each) for each in items(nested(content))]
    lines = [text(part.get("text") or part.get("file_url")) for part in parts]
    return JOINER.join(filter(None, lines))
