"""A signed JSON webhook: any program of yours can ask the bot. Also the example to copy for a new platform.

Requests are signed the way https://www.standardwebhooks.com describes, so ready-made libraries can make
them. Three headers carry it:

    webhook-id: msg_2Lh9…            names the message; a retry carries the same one
    webhook-timestamp: 1700000000    unix seconds, at most 300 away from our clock
    webhook-signature: v1,K5oZ…      base64 of HMAC-SHA256(secret, id.timestamp.body), or several

The file has one section for each thing a platform decides: its settings, its payloads, and the adapter with
`routes`, `verify`, `parse`, `respond` and `refuse` in the order a request meets them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from flask import Request, Response
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from adapters.base import Adapter, PlatformSettings, Route, as_json, request_id, validated
from adapters.gateway import Gateway
from adapters.shape import Shape
from adapters.signing import check_window, same_as_any
from errors import BadRequest, Forbidden, YingdaError
from handler.message import InboundMessage
from handler.run import Follows

MESSAGE_ID = re.compile(r"[A-Za-z0-9_:-]{1,128}", re.ASCII)
"""Without a full stop, which separates the signed parts: two requests must not sign alike."""
SIGNATURES = 8
"""Signatures that one request may offer: enough for a rotation, too few to make us work."""
RETRY_AFTER = 5
"""Seconds after which a caller that was not served in time should ask again."""


# --- settings: environment variables that begin with the platform's name -----------------------------------


class WebhookSettings(PlatformSettings, env_prefix="WEBHOOK_"):
    """Signed webhook"""

    secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="`whsec_…` or 24 characters at least; several, comma-separated, while rotating",
    )
    wait: float = Field(25.0, gt=0, le=110, description="seconds a caller waits for the answer before a 202")

    @field_validator("secrets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("secrets")
    @classmethod
    def _strong(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(signing_key(each)) < 24 for each in secrets):
            raise ValueError("a secret is shorter than 24 bytes")
        return secrets


def signing_key(secret: SecretStr) -> bytes:
    """The bytes to sign with. `ValueError` when what follows `whsec_` is not base64."""
    text = secret.get_secret_value()
    encoded = text.removeprefix("whsec_")
    if encoded == text:
        return text.encode()
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("what follows whsec_ is not base64") from None


# --- payloads: what comes in and what goes out, as pydantic models -----------------------------------------


class Question(Shape):
    """What the caller posts. Fields we do not know are ignored, so that callers may be newer than we are."""

    user: str = Field(min_length=1, max_length=128, description="who asks, by the caller's own id")
    text: str = Field(min_length=1, max_length=10_000)
    session: str = Field("", max_length=128, description="dialogue to continue; the user's own when left out")


class Document(Shape):
    """A document that the answer draws on."""

    doc_id: str
    title: str
    url: str


class Problem(Shape):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str


class Answer(Shape):
    """The answer. With `error`, `reply` is an apology that may be shown."""

    trace_id: str
    reply: str
    source: str
    docs: list[Document]
    suggestions: list[str]
    error: Problem | None = None


# --- the adapter -------------------------------------------------------------------------------------------


class WebhookAdapter(Adapter):
    """`POST /api/webhook`."""

    name: ClassVar[str] = "webhook"

    def __init__(self, gateway: Gateway, own: WebhookSettings) -> None:
        super().__init__(gateway)
        self.wait = own.wait
        self._keys = [signing_key(each) for each in own.secrets]

    @classmethod
    def build(cls, gateway: Gateway) -> Self | None:
        # without a secret nobody could call it, so the endpoint does not exist at all
        own = WebhookSettings.load()
        return cls(gateway, own) if own.secrets else None

    def routes(self) -> Sequence[Route]:
        # `receive` is the base class's view: it calls verify, parse and respond, in that order
        return (Route("/api/webhook", ("POST",), self.receive, "Ask, signed", body=Question, answer=Answer),)

    def verify(self, request: Request, body: bytes) -> None:
        message_id = request.headers.get("webhook-id", "")
        timestamp = request.headers.get("webhook-timestamp", "")
        if not MESSAGE_ID.fullmatch(message_id):
            raise Forbidden("webhook-id is missing or malformed")
        check_window(timestamp, time.time())
        signed = f"{message_id}.{timestamp}.".encode() + body
        valid = [_signature(key, signed) for key in self._keys]
        given = request.headers.get("webhook-signature", "").split(" ")[:SIGNATURES]
        if not any(same_as_any(valid, each) for each in given):
            raise Forbidden("the signature does not fit; compare WEBHOOK_SECRETS with the sender's")

    def parse(self, request: Request, body: bytes) -> InboundMessage:
        question = validated(Question, body)
        if not question.text.strip():
            raise BadRequest("text: is empty")
        message_id = request.headers["webhook-id"]
        return InboundMessage(
            platform=self.name,
            account="default",
            user=question.user,
            session=question.session,
            dedupe_key=message_id,
            text=question.text,
            sent_at=float(request.headers["webhook-timestamp"]),
            reply_by=time.monotonic() + self.wait,
            raw={"webhook_id": message_id},
            request_id=request_id(),
        )

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        reply = run.wait(message.seconds_left(), "sync")
        if reply is None:
            # the run goes on: the same message, sent again, joins it and finds the answer
            later = _json({"trace_id": run.trace_id}, status=202)
            later.headers["Retry-After"] = str(RETRY_AFTER)
            return later
        if reply.error is None:
            self.gateway.deliver(run, "sync")
        answer = Answer(
            trace_id=run.trace_id,
            reply=reply.text,
            source=reply.source,
            docs=[Document(doc_id=doc.doc_id, title=doc.title, url=doc.url) for doc in reply.docs],
            suggestions=list(reply.suggestions),
            error=Problem(code=reply.error, message=reply.text) if reply.error else None,
        )
        return _json(answer.model_dump(exclude_none=True))

    def refuse(self, error: YingdaError) -> Response:
        return _json({"error": {"code": error.code, "message": error.message}}, status=error.status)


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _json(content: dict[str, object], status: int = 200) -> Response:
    return Response(as_json(content), status=status, mimetype="application/json")
