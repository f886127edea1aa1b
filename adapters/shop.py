"""The shop's chat API: questions to the bot, a place in the queue for a person, and that person's words.

In development anybody may call; in production a page's server needs an API key with the scope `chat`, and
who speaks for a person one with the scope `agent`. Field names are those of the shop's clients.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl

from flask import Request, Response, request
from pydantic import BaseModel, ConfigDict, Field

from adapters.base import Adapter, Route, as_json, idempotency_key, read_body, request_id, validated
from adapters.gateway import Gateway
from adapters.shape import Shape
from errors import BadRequest, Forbidden, NotFound, TooManyRequests, YingdaError
from handler.message import Customer, InboundMessage, Line, Reply
from handler.run import Follows

Model = TypeVar("Model", bound=BaseModel)

WANTS_PERSON = ("转人工", "人工客服", "人工服务", "真人客服", "找客服")
"""Whole phrases, so that 人工智能 or a mere 客服 does not call a person."""
ROLES = {"user": "user", "assistant": "ai", "agent": "service", "system": "system"}
BEIJING = timezone(timedelta(hours=8))
FIELDS = 20
"""Fields a form may have."""


class Caller(Shape):
    """Whose dialogue is meant; a WeChat customer is meant by its openid."""

    model_config = ConfigDict(str_strip_whitespace=True)

    user_id: str = Field(min_length=1, max_length=128)


class Question(Caller):
    msg: str = Field(min_length=1, max_length=4000)


class Spoken(Caller):
    """`client_message_id`, or the header `Idempotency-Key`, makes a repeated call say nothing twice."""

    service_msg: str = Field(min_length=1, max_length=4000)
    client_message_id: str = Field("", max_length=128)


class Record(Shape):
    """One line of the dialogue; `time` is Beijing's."""

    role: str
    content: str
    time: str


class Answer(Shape):
    code: int = 200
    ai_reply: str
    need_transfer: bool
    chat_records: list[Record]


class Queued(Shape):
    code: int = 200
    msg: str
    queue_num: int
    service_status: str


class Told(Shape):
    code: int = 200
    service_msg: str
    chat_records: list[Record]


class ShopAdapter(Adapter):
    """`/api/ai_chat`, `/api/transfer_service`, `/api/service_reply`."""

    name: ClassVar[str] = "shop"

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.transcripts = gateway.transcripts

    def routes(self) -> Sequence[Route]:
        def post(path: str, view: Any, summary: str, body: type[BaseModel], answer: type[BaseModel]) -> Route:
            return Route(path, ("POST",), view, summary, body=body, answer=answer, tag="shop")

        return (
            post("/api/ai_chat", self.receive, "Ask the bot", Question, Answer),
            post("/api/transfer_service", self.transfer, "Ask for a person", Caller, Queued),
            post("/api/service_reply", self.service_reply, "A person answers", Spoken, Told),
        )

    def verify(self, request: Request, body: bytes) -> None:
        self._require(request, "chat")

    def parse(self, request: Request, body: bytes) -> InboundMessage:
        question = _read(Question, request, body)
        return InboundMessage(
            platform=self.name,
            account="default",
            user=question.user_id,
            session=question.user_id,
            dedupe_key=uuid.uuid4().hex,
            text=question.msg,
            reply_by=time.monotonic() + self.gateway.settings.coze_answer_timeout,
            request_id=request_id(),
        )

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        reply = run.wait(message.seconds_left(), "sync") or Reply(
            self.gateway.texts.busy, "system", error="out_of_time"
        )
        # the apology is an answer too: it is what the page shows, with the way to a person beside it
        self.gateway.deliver(run, "sync")
        return _json(
            Answer(
                ai_reply=reply.text,
                need_transfer=reply.error is not None or wants_person(message.text),
                chat_records=self._records(self._own(message.user)),
            )
        )

    def transfer(self) -> Response:
        """The view of `/api/transfer_service`."""

        def steps(body: bytes) -> Response:
            who = self._customer(_read(Caller, request, body).user_id)
            called = self.gateway.desk.escalate(who)
            if called.outcome == "full":
                raise TooManyRequests(called.words)
            return _json(
                Queued(
                    msg=called.words,
                    queue_num=called.place,
                    service_status="online" if called.online else "offline",
                )
            )

        return self._checked("chat", steps)

    def service_reply(self) -> Response:
        """The view of `/api/service_reply`."""

        def steps(body: bytes) -> Response:
            spoken = _read(Spoken, request, body)
            key = idempotency_key(request, spoken.client_message_id)
            who = self.transcripts.find(self._candidates(spoken.user_id))
            if who is None:
                raise NotFound("this customer has not written")
            self.gateway.desk.serve(who, spoken.service_msg, key)
            return _json(Told(service_msg=spoken.service_msg, chat_records=self._records(who)))

        return self._checked("agent", steps)

    def refuse(self, error: YingdaError) -> Response:
        response = Response(as_json({"code": error.status, "msg": error.message}), status=error.status)
        response.mimetype = "application/json"
        return response

    def _checked(self, scope: str, steps: Callable[[bytes], Response]) -> Response:
        def checked() -> Response:
            body = read_body(request)
            self.checked(lambda request, _: self._require(request, scope), request, body, otherwise=Forbidden)
            return steps(body)

        return self.guarded(checked)

    def _require(self, request: Request, scope: str) -> None:
        if not self.gateway.settings.development:
            self.gateway.keys.require(request, scope)

    def _own(self, user: str) -> Customer:
        return Customer(self.name, "default", user, user)

    def _candidates(self, user: str) -> list[Customer]:
        """The dialogues that this id may mean: the shop's own, and those of WeChat accounts."""
        accounts = self.gateway.settings.wechat_accounts
        return [self._own(user), *(Customer("wechat", each.name, user, user) for each in accounts)]

    def _customer(self, user: str) -> Customer:
        # whoever has never written may ask for a person all the same
        return self.transcripts.find(self._candidates(user)) or self._own(user)

    def _records(self, who: Customer) -> list[Record]:
        return [
            Record(role=ROLES[line.role], content=line.text, time=_beijing(line))
            for line in self.transcripts.lines(who)
        ]


def wants_person(text: str) -> bool:
    """Whether the customer asks for a person in so many words."""
    return any(phrase in text for phrase in WANTS_PERSON)


def _read(model: type[Model], request: Request, body: bytes) -> Model:
    """The body as JSON, or as the form that simpler clients send; `BadRequest` names what does not fit."""
    given: bytes | Mapping[str, object] = body
    if request.mimetype == "application/x-www-form-urlencoded" and not body.lstrip().startswith(b"{"):
        try:
            given = dict(parse_qsl(body.decode(), errors="strict", max_num_fields=FIELDS))
        except ValueError:
            raise BadRequest("the form cannot be read") from None
    return validated(model, given)


def _beijing(line: Line) -> str:
    moment = datetime.fromtimestamp(line.said_ms / 1000, UTC).astimezone(BEIJING)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _json(model: BaseModel) -> Response:
    return Response(
        as_json(model.model_dump()), mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
