"""The endpoints that a 易事厅 robot is configured with, and where its late answers go.

`/chat` streams Server-Sent Events (its intelligent robots), `/chat/sync` answers with one JSON (its service
accounts and group robots), `/chat/async` takes the question and posts the answer to a callback address. What
does not fit into the platform's 60 seconds goes to the callback address too, as a job that outlives us.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, cast

from flask import Request, Response, g, request
from pydantic import BaseModel

from adapters.base import BODY_CAP, Adapter, Route, as_json, event_stream, hung_up, request_id, validated
from adapters.gateway import Gateway
from adapters.images import with_picture
from adapters.outbound import Outbound
from adapters.yishiting import files, wire
from adapters.yishiting.callback import Callbacks
from adapters.yishiting.knowledge import Knowledge
from adapters.yishiting.riding import riding_along
from adapters.yishiting.robots import Robot, Robots
from errors import BadRequest, Unavailable, Undeliverable, YingdaError
from handler.message import InboundMessage, LateReply, Media, Reply, Via, remainder
from handler.run import Follows
from version import VERSION

QUIET_SECONDS = 15.0
"""Silence after which a comment line shows proxies, and us, that the connection still lives."""
TEXT_CAP = 10_000
"""Characters of a question."""
FILE_SECONDS = 30.0
"""What fetching a file and handing it to the bot may take of the time for the answer."""
GRACE_SECONDS = 5.0
"""How much longer than its budget a request may need to say its last frame."""
SEARCHED = frozenset({"coze", "library"})
"""Whose answers may draw on documents."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a request says in the end."""

    reply: Reply
    elsewhere: bool = False
    """The answer itself takes another way: `reply` only says so."""


class YishitingAdapter(Adapter):
    """易事厅's robots."""

    name: ClassVar[str] = "yishiting"
    brings: ClassVar[Literal["push", "callback"]] = "callback"
    speaks_up = True

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        settings = gateway.settings
        self.robots = Robots(settings)
        plain = settings.development
        self._callbacks = {each.name: Callbacks(each, plain=plain) for each in self.robots}
        self._files = {each.name: Outbound(each.file_hosts, plain=plain) for each in self.robots}
        self._knowledge = Knowledge(
            settings.yishiting_knowledge_url,
            settings.yishiting_knowledge_token,
            settings.yishiting_knowledge_seconds,
            plain=plain,
        )
        self.listens = settings.yishiting_budget + GRACE_SECONDS
        if any(each.msg_types - {"text"} for each in self.robots):
            # base64 makes four characters of three bytes
            self.body_cap = BODY_CAP + settings.yishiting_file_bytes * 4 // 3

    @classmethod
    def build(cls, gateway: Gateway) -> Self | None:
        return cls(gateway)

    def routes(self) -> Sequence[Route]:
        def post(
            path: str, view: Callable[..., Response], summary: str, answer: type[BaseModel] | None
        ) -> Route:
            kind = "application/json" if answer else "text/event-stream"
            return Route(path, ("POST",), view, summary, body=wire.Question, answer=answer, content_type=kind)

        return (
            *(
                route
                for base in ("/chat", "/robots/<robot>/chat")
                for route in (
                    post(base, self.receive, "易事厅 robot, streamed", None),
                    post(f"{base}/sync", self.receive_sync, "易事厅 robot, one JSON", wire.Answer),
                    post(f"{base}/async", self.receive_async, "易事厅 robot, posted later", wire.Accepted),
                )
            ),
            Route("/health", ("GET",), self.health, "易事厅's health check", answer=wire.Health),
        )

    def verify(self, request: Request, body: bytes) -> None:
        g.yishiting_robot = self.robots.admit(request)

    def parse(self, request: Request, body: bytes) -> InboundMessage:
        robot: Robot = g.yishiting_robot
        reply_by = time.monotonic() + self.gateway.settings.yishiting_budget
        question = validated(wire.Question, body)
        if question.msg_type not in robot.msg_types:
            raise BadRequest(f"msg_type: {question.msg_type[:32]!r} is not supported")
        if not question.content.strip():
            raise BadRequest("content: is empty")
        session = question.session_id or question.user
        # the content belongs to the key: clients in the field reuse one msg_id for different questions
        content = hashlib.sha256(question.content.encode("utf-8", "surrogatepass")).hexdigest()
        parts = (question.user, session, question.msg_id, question.msg_type, content)
        raw = {
            "msg_id": question.msg_id,
            "session_id": question.session_id,
            "business_keys": question.business_keys,
            "response_url": question.response_url,
        }
        message = InboundMessage(
            platform=self.name,
            account=robot.name,
            user=question.user,
            session=session,
            dedupe_key="\0".join(map(str, parts)) if question.msg_id else uuid.uuid4().hex,
            text=question.content,
            reply_by=reply_by,
            raw=raw,
            request_id=request_id(),
            # without an address it stays there to be fetched
            later="callback" if self._callbacks[robot.name].reaches(raw) else None,
        )
        if question.msg_type != "text":
            return self._with_file(message, question, robot)
        if len(question.content) > TEXT_CAP:
            raise BadRequest(f"content: String should have at most {TEXT_CAP} characters")
        return message

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        return event_stream(self._frames(message, run), X_Trace_ID=run.trace_id)

    def receive_sync(self, **_path: str) -> Response:
        """The view of `/chat/sync`."""
        return self.received(self._respond_sync)

    def receive_async(self, **_path: str) -> Response:
        """The view of `/chat/async`."""
        return self.received(self._respond_async)

    def refuse(self, error: YingdaError) -> Response:
        return _json({"code": 1, "err_msg": error.message}, status=error.status)

    def health(self) -> Response:
        """Alive, in 易事厅's words."""
        return _json(wire.Health(service="yingda", version=VERSION).model_dump())

    def pushing(self) -> Collection[str]:
        # also those without a callback address: that an answer never arrived has to be seen
        return [each.name for each in self.robots]

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via:
        if (callbacks := self._callbacks.get(late.account)) is None:
            raise Undeliverable(f"there is no robot {late.account}")
        if late.reply.source != "merged":
            asked = {"user": late.user, "robot": late.account}
            callbacks.post(late, self._documented(late.reply, late.question, late.raw, asked), sending)
        return "callback"

    def _respond_sync(self, message: InboundMessage, run: Follows) -> Response:
        reply = run.wait(message.seconds_left())
        if reply is not None and hung_up(request):
            # nobody reads this: left undelivered, the answer is brought by a job
            return _traced({}, run)
        ending = self._ending(message, run, reply, "sync")
        reply = ending.reply if ending.elsewhere else self._with_docs(ending.reply, message)
        if reply.error is None and (words := riding_along(self.gateway.leftovers, run)):
            # while a person talks there is no other answer than theirs
            reply = replace(reply, text=words if reply.source == "desk" else f"{words}\n\n{reply.text}")
        return _traced(wire.Answer.of(reply, run.trace_id, later=ending.elsewhere).model_dump(), run)

    def _respond_async(self, message: InboundMessage, run: Follows) -> Response:
        self.gateway.promise(run, "callback")
        return _traced(wire.Accepted(third_party_trace_id=run.trace_id).model_dump(), run)

    def _frames(self, message: InboundMessage, run: Follows) -> Iterator[bytes]:
        if run.attempt > 1 and self.gateway.deliver(run, "stream") == "callback":
            # an earlier request handed the answer over: to stream it as well would say it twice
            yield self._last(self._ending(message, run, run.wait(0), "stream"), "", message)
            return
        if words := riding_along(self.gateway.leftovers, run):
            yield wire.delta_frame(f"{words}\n\n")
        reply: Reply | None = None
        told = 0
        quiet = min(QUIET_SECONDS, message.seconds_left() or QUIET_SECONDS)
        for text in run.deltas(heartbeat=quiet):
            left = message.seconds_left()
            if not text:
                yield b": keep-alive\n\n"
            else:
                told += len(text)
                yield wire.delta_frame(text)
            if left is not None and left <= 0:
                break
        else:
            reply = run.wait(0)
        said = run.streamed[:told]
        if reply is None:
            yield self._last(self._out_of_time(message, run), said, message)
            return
        yield self._last(Ending(reply), said, message)
        # the last frame was taken: had the reader gone before, a job would bring the answer
        self.gateway.deliver(run, "stream")

    def _last(self, ending: Ending, said: str, message: InboundMessage) -> bytes:
        if ending.elsewhere or ending.reply.error == "out_of_time":
            return wire.last_frame(("\n" if said else "") + ending.reply.text, ending.reply, success=False)
        reply = self._with_docs(ending.reply, message)
        return wire.last_frame(remainder(said, reply), reply, success=reply.error is None)

    def _ending(
        self, message: InboundMessage, run: Follows, reply: Reply | None, via: Literal["sync", "stream"]
    ) -> Ending:
        if reply is None:
            return self._out_of_time(message, run)
        if self.gateway.deliver(run, via) != "callback":
            return Ending(reply)
        # a callback that failed leaves the answer to whoever asks again
        if self.gateway.deliver(run, "fetch") == "fetch":
            return Ending(reply)
        return self._comes_later()

    def _out_of_time(self, message: InboundMessage, run: Follows) -> Ending:
        """Hands the answer over to the callback; without an address the customer is told to fetch it."""
        if message.later is None:
            return Ending(Reply(self.gateway.texts.ask_for_it, "system", error="out_of_time"))
        try:
            if not self.gateway.promise(run, "callback") and (reply := run.wait(0)) is not None:
                return Ending(reply)
        except Unavailable:
            # what nobody promised is found and brought once the database is back
            return self._comes_later()
        return self._comes_later()

    def _comes_later(self) -> Ending:
        return Ending(Reply(self.gateway.texts.comes_later, "system"), elsewhere=True)

    def _with_docs(self, reply: Reply, message: InboundMessage) -> Reply:
        return self._documented(
            reply, message.text, message.raw, {"user": message.user, "robot": message.account}
        )

    def _documented(self, reply: Reply, question: str, raw: object, asked: dict[str, str]) -> Reply:
        """The reply with documents: the bot's own, or else what the operator's search finds."""
        if reply.docs or reply.error is not None or reply.source not in SEARCHED:
            return reply
        known = cast("dict[str, object]", raw)
        about = {**asked, **{name: known.get(name) for name in ("session_id", "business_keys")}}
        return replace(reply, docs=self._knowledge.search(question, about))

    def _with_file(self, message: InboundMessage, question: wire.Question, robot: Robot) -> InboundMessage:
        """The message with its file uploaded: the bot gets the file, the log its name."""
        kind: Literal["image", "file"] = "image" if question.msg_type == "image" else "file"
        cap = self.gateway.settings.yishiting_file_bytes

        def hand_over() -> Media:
            found = files.fetched(question.content, question.file_name or "", self._files[robot.name], cap)
            media = self.gateway.files.upload(kind, *found)
            return with_picture(self.gateway.pictures, media, found[1])

        media = files.within(min(FILE_SECONDS, message.seconds_left() or FILE_SECONDS), hand_over)
        texts = self.gateway.texts
        words = texts.describe_image if kind == "image" else texts.describe_file.format(title=media.name)
        return replace(message, kind=kind, text=words, media=(media,))


def _json(content: dict[str, object], status: int = 200) -> Response:
    return Response(as_json(content), status=status, mimetype="application/json")


def _traced(content: dict[str, object], run: Follows) -> Response:
    response = _json(content)
    response.headers["X-Trace-ID"] = run.trace_id
    return response
