"""What a platform adapter is, and the one boundary that every request of every platform passes.

An adapter says how its platform's requests are verified and parsed and how an answer is written. The base
class owns the order (read the capped body, verify, parse, answer, respond) and turns whatever goes wrong
on the way into the platform's own error shape: a parser's surprise is a 400, never a 500.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

import orjson
from flask import Request, Response, request
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from werkzeug.exceptions import HTTPException

from adapters.gateway import Gateway
from errors import (
    BadRequest,
    ConfigurationError,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Undeliverable,
    YingdaError,
)
from handler.message import (
    InboundMessage,
    LateReply,
    Media,
    Notice,
    Reply,
    Via,
)
from handler.run import Follows
from peek import peek

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)

BODY_CAP = 64 * 1024
"""Bytes of a request body. The longest genuine message of any platform is a few KiB."""
REQUEST_ID = "yingda.request_id"
"""Where the request's id stands among what the server says of it."""
KEY = r"[A-Za-z0-9_.:-]{1,128}"
"""A name that a caller gives to what it asks for, so that asking again does nothing twice."""


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. The models document it in /openapi.json; adapters validate by themselves."""

    path: str
    methods: tuple[str, ...]
    view: Callable[..., Response]
    summary: str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    content_type: str = "application/json"
    tag: str = ""


class PlatformSettings(BaseSettings):
    """What a platform's own settings class inherits; it lives in the platform's file and has a prefix."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def load(cls) -> Self:
        """From the environment, then `.env`. `ConfigurationError` names the variables, never their values."""
        try:
            return cls()
        except ValidationError as problem:
            prefix = cls.model_config.get("env_prefix", "")
            lines = [f"{prefix}{each['loc'][0]}".upper() + f": {each['msg']}" for each in problem.errors()]
            raise ConfigurationError("\n".join(lines)) from None


class Endpoints(Protocol):
    """Any part that answers on paths of its own."""

    def routes(self) -> Sequence[Route]: ...


class Adapter(ABC):
    """One platform. A subclass sets `name` and fills the abstract methods; see docs/adding_a_platform.md."""

    name: ClassVar[str]
    """Module name, URL segment, settings prefix and fixture folder at once."""
    brings: ClassVar[Literal["push", "callback"]] = "push"
    """The kind of job that carries its late answers."""
    speaks_up: ClassVar[bool] = False
    """Whether `push` can bring a person's words to a customer who has not just asked something."""
    is_silent: ClassVar[bool] = False
    """Whether a message may go unanswered here; else its writer is told that a person will answer."""
    listens: float = 17.0
    """Seconds after which no request of a message waits any more: WeChat's three deliveries, and some."""
    body_cap: int = BODY_CAP
    """Bytes of a request body that are read."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @classmethod
    def build(cls, gateway: Gateway) -> Self | None:
        """The adapter for these settings, or None when the platform is not configured."""
        return cls(gateway)

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The endpoints; views are usually `self.receive` and functions that call `self.guarded`."""

    @abstractmethod
    def verify(self, request: Request, body: bytes) -> None:
        """Raises `Forbidden` or `Unauthorized` unless the platform itself made this request.

        Runs before anything of the body is parsed. Compare secrets with `signing.same`.
        """

    @abstractmethod
    def parse(self, request: Request, body: bytes) -> InboundMessage | Response:
        """The message in our terms, or at once the response to what asks nothing of the bot.

        Anything it raises becomes a 400.
        """

    @abstractmethod
    def respond(self, message: InboundMessage, run: Follows) -> Response:
        """The platform's form of the answer: wait for it, stream it, or acknowledge."""

    @abstractmethod
    def refuse(self, error: YingdaError) -> Response:
        """The platform's form of an error. `error.message` may be shown; nothing else may."""

    def resolve(self, message: InboundMessage) -> InboundMessage | Reply:
        """The message as the bot can be asked: media fetched and uploaded, recordings written down.

        Runs in the background after the claim and may take its time, each call with a deadline. A reply means
        that there is nothing to ask.
        """
        return message

    def picture(self, account: str, media: Media) -> bytes:
        """What a customer's picture holds, for agents to look at: perhaps no picture at all.

        Takes its time, with a deadline. `NotFound` when it is not there (any more), an `UpstreamError` when
        the platform does not give it. By default what `Gateway.pictures` has under the media's id.
        """
        if (kept := self.gateway.pictures.get(media.id) if media.id else None) is None:
            raise NotFound("there is no such picture")
        return kept.content

    def pushing(self) -> Collection[str]:
        """Accounts whose answers may be pushed without having been promised, should every request die."""
        return ()

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via:
        """Brings an answer to its customer after the request is over; returns the way it took.

        Call `sending` right before what cannot be repeated. Raise `NotNow` to be called again,
        `Undeliverable` to give up visibly, `InDoubt` when the outcome is unknown.
        """
        raise Undeliverable("this platform has no way to bring an answer later")

    def notify(self, notice: Notice, sending: Callable[[], None]) -> str:
        """Sends a notice; returns the platform's number for it, or nothing. Else as `push`."""
        raise Undeliverable("this platform sends no notices")

    def warnings(self) -> Sequence[str]:
        """What an operator has to mend although messages are answered. Asks the database at most."""
        return ()

    def receive(self, **_path: str) -> Response:
        """The view of a message endpoint."""
        return self.received(self.respond)

    def received(self, respond: Callable[[InboundMessage, Follows], Response]) -> Response:
        """The fixed order of steps, ending in `respond`; two forms of answer make two views."""

        def steps() -> Response:
            body = read_body(request, self.body_cap)
            self.checked(self.verify, request, body, otherwise=Forbidden)
            message = self.checked(self.parse, request, body, otherwise=BadRequest)
            if isinstance(message, Response):
                return message
            return respond(message, self.gateway.answer(message))

        return self.guarded(steps)

    def guarded(self, view: Callable[[], Response]) -> Response:
        """Runs a view; every failure leaves in the platform's error shape."""
        try:
            return view()
        except YingdaError as error:
            if error.status in {401, 403}:
                # the signature and the body stay out of the log: they are what an attacker sends
                log.warning(
                    "refused", extra={"platform": self.name, "error": error.code, "why": error.message}
                )
            return self.refuse(error)
        except Exception:
            log.exception("failed inside", extra={"platform": self.name})
            return self.refuse(YingdaError("internal error"))

    def checked(
        self,
        step: Callable[[Request, bytes], Any],
        request: Request,
        body: bytes,
        otherwise: type[YingdaError],
    ) -> Any:
        """Runs `verify` or `parse` on hostile input: whatever else it raises becomes `otherwise`."""
        try:
            return step(request, body)
        except (YingdaError, ConfigurationError):
            # settings that cannot work are our fault: they must not look like a bad signature
            raise
        except Exception as surprise:
            log.info("malformed", extra={"platform": self.name, "surprise": type(surprise).__name__})
            raise otherwise("malformed request") from None


def read_body(request: Request, cap: int = BODY_CAP) -> bytes:
    """The whole body; `PayloadTooLarge` beyond `cap` bytes, whether announced, chunked or lied about.

    `BadRequest` when it cannot be read to its end. A compressed body is not unpacked.
    """
    if request.content_length is not None and request.content_length > cap:
        raise PayloadTooLarge(f"the body is larger than {cap} bytes")
    body = bytearray()
    try:
        # one byte more than allowed: Flask's own limit silently cuts a chunked body instead of refusing it;
        # a loop, because a server's stream may hand out less than it was asked for
        while len(body) <= cap and (piece := request.stream.read(cap + 1 - len(body))):
            body += piece
    except (OSError, HTTPException):
        # a broken chunk, a connection closed half way: the caller's doing, not ours
        raise BadRequest("the body ended early or is not framed correctly") from None
    if len(body) > cap:
        raise PayloadTooLarge(f"the body is larger than {cap} bytes")
    return bytes(body)


def hung_up(request: Request) -> bool:
    """Whether the caller is no longer there: what is written now nobody reads."""
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    if connection is None:
        return False
    try:
        return peek(connection) == b""
    except OSError:
        return True  # closed on our side


def event_stream(frames: Iterable[bytes], **headers: str) -> Response:
    """A Server-Sent Events response that neither Werkzeug nor a proxy may buffer."""
    response = Response(frames, mimetype="text/event-stream", direct_passthrough=True)
    response.headers.update({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def bearer_token(request: Request) -> str:
    """The credential in `Authorization: Bearer …` or `X-Api-Key`; `Unauthorized` when there is none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "")
    if not token:
        raise Unauthorized("an API key is needed: Authorization: Bearer <key>")
    return token


def is_allowed_address(address: str | None, allowed: Sequence[str]) -> bool:
    """Whether the peer's address lies in one of the addresses or networks."""
    try:
        peer = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # a socket that listens on IPv6 shows an IPv4 peer as ::ffff:192.0.2.1
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in ipaddress.ip_network(each, strict=False) for each in allowed)


def idempotency_key(request: Request, given: str = "") -> str:
    """The caller's own name for what it asks for: `given` in the body, else `Idempotency-Key`; may be empty.

    Asked for twice under one name it is done once. `BadRequest` when it is not of the form that is kept.
    """
    key = given or request.headers.get("Idempotency-Key", "")
    if key and not re.fullmatch(KEY, key):
        raise BadRequest("Idempotency-Key: 1 to 128 letters, digits and _ . : - are understood")
    return key


def request_id() -> str:
    """The id that ties this request's log lines, exchange and Coze call together."""
    return str(request.environ.get(REQUEST_ID, ""))


def validated(model: type[Model], body: bytes | str | Mapping[str, object]) -> Model:
    """JSON text or a mapping as `model`; `BadRequest` names the first field that does not fit."""
    try:
        if isinstance(body, bytes | str):
            return model.model_validate_json(body)
        return model.model_validate(body)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{where}: {first['msg']}" if where else "the body is not a JSON object") from None


def as_json(content: object) -> bytes:
    """JSON in UTF-8. Half a surrogate pair, which UTF-8 cannot carry, becomes `?`: an answer may hold one."""
    try:
        return orjson.dumps(content)
    except TypeError:
        # the fast writer refuses halves of pairs, and anything else that it is not sure of
        pass
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
