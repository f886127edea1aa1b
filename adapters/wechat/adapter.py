"""The callback of official accounts: handshake, messages, and the promise that a genuine push gets a 200."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from flask import Request, Response, g, request

from adapters.base import Adapter, Route, hung_up, request_id
from adapters.gateway import Gateway
from adapters.wechat import envelope, messages, reply
from adapters.wechat.client import OfficialApi
from adapters.wechat.crypto import Cipher, Credentials
from adapters.wechat.jssdk import JsSdk
from adapters.wechat.late import Pushes, Typing
from adapters.wechat.media import Incoming
from adapters.wechat.notices import Notices
from adapters.wechat.passive import Passive
from adapters.wechat.quota import open_window
from adapters.wechat.strategy import Hold, Timing, strategy_of
from errors import (
    BadRequest,
    ConfigurationError,
    Forbidden,
    NotFound,
    NotKept,
    TooManyRequests,
    Unavailable,
    Undeliverable,
    YingdaError,
)
from handler.message import InboundMessage, LateReply, Media, Notice, Reply, Via
from handler.run import Follows
from settings.accounts import WeChatAccount

log = logging.getLogger(__name__)

PATHS = ("/api/wechat", "/api/wechat/", "/api/wechat/<account>", "/api/wechat/<account>/")
"""With and without the slash: WeChat does not follow a redirect with its body."""
SILENT = frozenset({"merged", "agent", "system", "queue", "desk"})
"""Whose empty words are meant: another message's answer says it, or a person, or nobody is there to read."""
PERSON_SECONDS = 7200
"""How long a person is believed to talk with a customer, should WeChat's word of the end be lost."""
ECHO = re.compile(r"[0-9A-Za-z_.~+/=-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Push:
    """A verified delivery: what its later steps need to know of it."""

    account: WeChatAccount
    received: float
    """`time.monotonic()` when the request came in."""
    xml: str
    token: str
    nonce: str
    cipher: Cipher | None
    """What the push was encrypted with and its reply must be; None for plaintext."""


class WeChatAdapter(Adapter):
    """WeChat official accounts (公众号, 服务号)."""

    name = "wechat"
    speaks_up = is_silent = True

    def __init__(self, gateway: Gateway, timing: Timing | None = None) -> None:
        super().__init__(gateway)
        self.timing = timing or Timing()
        self._accounts = {
            each.name: (each, Credentials.of(each)) for each in gateway.settings.wechat_accounts
        }
        self.apis = {
            account.name: OfficialApi(account, gateway.tokens)
            for account, _ in self._accounts.values()
            if account.appsecret is not None
        }
        self.incoming = {
            account.name: Incoming(account, self.apis.get(account.name), gateway.files, gateway.texts)
            for account, _ in self._accounts.values()
        }
        self.hold = Hold(self.timing, gateway.settings.wechat_held_requests)
        self.typing = Typing()
        self.passive = Passive(gateway)
        accounts = {name: account for name, (account, _) in self._accounts.items()}
        self.jssdk = JsSdk(accounts, self.apis, everywhere=gateway.settings.development)
        self.notices = Notices(gateway, accounts, self.apis)
        for account, _ in self._accounts.values():
            self._check_strategy(account)

    @classmethod
    def build(cls, gateway: Gateway) -> Self | None:
        return cls(gateway) if gateway.settings.wechat_accounts else None

    def routes(self) -> Sequence[Route]:
        callbacks = [
            route
            for path in PATHS
            for route in (
                Route(
                    path,
                    ("GET",),
                    self.handshake,
                    "WeChat verifies the callback address",
                    content_type="text/plain",
                    tag="wechat",
                ),
                Route(
                    path,
                    ("POST",),
                    self.receive,
                    "WeChat delivers a message or an event",
                    content_type="application/xml",
                    tag="wechat",
                ),
            )
        ]
        return [*callbacks, *self.jssdk.routes(), *self.notices.routes()]

    def handshake(self, **_path: str) -> Response:
        """Proves to WeChat that we know the token, by echoing its string. Plain in every mode."""

        def steps() -> Response:
            _, credentials = self._account(request)
            credentials.signer(*_signed(request, "signature"), now=time.time())
            echo = _once(request, "echostr")
            if not ECHO.fullmatch(echo):
                raise BadRequest("echostr is not what WeChat sends")
            return _plain(echo)

        return self.guarded(steps)

    def receive(self, **path: str) -> Response:
        # WeChat's five seconds run while the body is still being read
        g.wechat_received = time.monotonic()
        return super().receive(**path)

    def verify(self, request: Request, body: bytes) -> None:
        account, credentials = self._account(request)
        encrypt_type = _once(request, "encrypt_type", "raw") or "raw"
        if encrypt_type == "aes":
            parts = envelope.sealed_parts(body)
            if not parts:
                raise BadRequest("there is no Encrypt element")
            given, timestamp, nonce = _signed(request, "msg_signature")
            token, sealed = credentials.signer(given, timestamp, nonce, parts, now=time.time())
            xml, cipher = credentials.decrypt(sealed)
            g.wechat_push = Push(account, g.wechat_received, xml, token, nonce, cipher)
        elif encrypt_type == "raw" and account.mode == "plain":
            given, timestamp, nonce = _signed(request, "signature")
            token, _ = credentials.signer(given, timestamp, nonce, now=time.time())
            xml = envelope.decoded(body)
            g.wechat_push = Push(account, g.wechat_received, xml, token, nonce, None)
        else:
            # the plain signature does not cover the body: whoever saw one address could forge messages
            raise Forbidden("this account takes encrypted messages only")

    def parse(self, request: Request, body: bytes) -> InboundMessage | Response:
        push: Push = g.wechat_push
        fields = envelope.fields(push.xml)
        asked = messages.understand(
            fields,
            push.account,
            self.gateway.texts,
            reply_by=push.received + self.timing.answer_within,
            request_id=request_id(),
        )
        if push.account.original_id and fields["ToUserName"] != push.account.original_id:
            raise Forbidden("the message is for another account")
        if isinstance(asked, messages.Immediate):
            self._may_be_written_to(push.account, fields)
            if asked.person is not None and push.account.transfer:
                self._note_person(push.account, fields, came=asked.person)
            return self._say(fields, asked.text)
        if asked.kind == "leave":
            g.wechat_left = True
            return asked
        # from here on the sender is known and waits: whatever happens, `refuse` answers in words
        g.wechat_fields = fields
        return replace(asked, later="push") if self._api_to_push(push.account) else asked

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        push: Push = g.wechat_push
        if message.kind == "leave":
            return self._acknowledged(run, push)
        if run.attempt == 1:
            # after the claim: the answer is being made meanwhile
            self._may_be_written_to(push.account, g.wechat_fields)
        outcome = self.hold.follow(
            run,
            push.received,
            patience=1 if push.account.strategy == "placeholder" else None,
            promise=self._promise(run, push.account, message.user),
            gone=partial(hung_up, request),
        )
        if outcome.promised or (outcome.in_time and not self._is_ours_to_say(run)):
            return _plain("success")
        if outcome.reply is None:
            heard = time.monotonic() < push.received + self.hold.timing.hold_until and not hung_up(request)
            # what 继续 is about to fetch must not go along with its own placeholder
            heard = heard and message.text.strip() not in self.gateway.settings.command_continue
            words = self.passive.placeholder(push.account, run.exchange_id, heard)
            return self._say(g.wechat_fields, words)
        if self._is_for_a_person(message, outcome.reply, push.account):
            return self._hand_over(g.wechat_fields)
        if _is_silent(outcome.reply):
            words = self.passive.waiting(push.account, run.exchange_id) if outcome.in_time else ""
            return self._say(g.wechat_fields, words)
        words = self.passive.answer(
            push.account, run.exchange_id, outcome.reply, heard=outcome.in_time, alone=run.alone
        )
        return self._say(g.wechat_fields, words)

    def resolve(self, message: InboundMessage) -> InboundMessage | Reply:
        incoming = self.incoming.get(message.account)
        return message if incoming is None else incoming.resolve(message)

    def picture(self, account: str, media: Media) -> bytes:
        if (incoming := self.incoming.get(account)) is None:
            raise NotFound("there is no such account")
        return incoming.picture(media)

    def pushing(self) -> Sequence[str]:
        return [name for name, (account, _) in self._accounts.items() if self._api_to_push(account)]

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via:
        if (api := self.apis.get(late.account)) is None:
            raise Undeliverable(f"no AppSecret is set for the account {late.account}")
        if _is_silent(late.reply):
            return "push"
        account, _ = self._accounts[late.account]
        Pushes(self.gateway, account, api).push(late, sending)
        return "push"

    def notify(self, notice: Notice, sending: Callable[[], None]) -> str:
        return self.notices.send(notice, sending)

    def warnings(self) -> Sequence[str]:
        return [f"wechat {name}: {words}" for name, api in self.apis.items() if (words := api.trouble())]

    def refuse(self, error: YingdaError) -> Response:
        if g.get("wechat_left"):
            # it waits in the spool, or cannot be kept at all: there is nobody to be told
            return _plain("success")
        fields: envelope.Fields | None = g.get("wechat_fields")
        if fields is None:
            return _plain(error.code, error.status)
        texts = self.gateway.texts
        if isinstance(error, TooManyRequests):
            return self._say(fields, texts.busy)
        if isinstance(error, NotKept):
            return self._say(fields, texts.send_again)
        return self._say(fields, texts.maintenance if isinstance(error, Unavailable) else texts.apology)

    def _account(self, request: Request) -> tuple[WeChatAccount, Credentials]:
        name = (request.view_args or {}).get("account") or next(iter(self._accounts))
        if name not in self._accounts:
            raise NotFound("there is no such account")
        return self._accounts[name]

    def _check_strategy(self, account: WeChatAccount) -> None:
        if strategy_of(account) != "push" or account.name in self.apis:
            return
        if account.strategy == "push":
            raise ConfigurationError(f"WECHAT_APPSECRET of account {account.name} is missing (push needs it)")
        log.warning(
            "without WECHAT_APPSECRET late answers wait to be fetched", extra={"account": account.name}
        )

    def _api_to_push(self, account: WeChatAccount) -> OfficialApi | None:
        return self.apis.get(account.name) if strategy_of(account) == "push" else None

    def _promise(self, run: Follows, account: WeChatAccount, openid: str) -> Callable[[], bool] | None:
        """What hands a slow answer over to be pushed; None for an account that does not push."""
        if (api := self._api_to_push(account)) is None:
            return None

        def promise() -> bool:
            try:
                if not self.gateway.promise(run, "push"):
                    return self.gateway.deliver(run, "passive") not in {"passive", None}
            except Exception:
                # `success` would end WeChat's retries, and nobody would bring the answer
                log.exception("an answer could not be promised", extra={"exchange": run.exchange_id})
                return False
            self.typing.show(api, openid, run)
            return True

        return promise

    def _may_be_written_to(self, account: WeChatAccount, fields: envelope.Fields) -> None:
        """Notes how many messages this push lets us send, for accounts that can send any."""
        if account.name not in self.apis:
            return
        try:
            open_window(self.gateway.quotas, account.name, fields, time.time_ns() // 1_000_000)
        except Exception:
            # a push notes it again; nobody waits for this
            log.exception("a quota was not noted", extra={"account": account.name})

    def _is_ours_to_say(self, run: Follows) -> bool:
        """Records the passive reply; False when another way has the answer."""
        try:
            return self.gateway.deliver(run, "passive") in {"passive", None}
        except Exception:
            # the answer is in our hands and its reader waits: the record is worth less than the answer
            log.exception("a delivery was not recorded", extra={"exchange": run.exchange_id})
            return True

    def _acknowledged(self, run: Follows, push: Push) -> Response:
        """To a follower who has left nobody can say anything: only whether it is done is worth knowing."""
        if run.wait(max(0.0, push.received + self.timing.answer_within - time.monotonic())) is not None:
            self._is_ours_to_say(run)
        return _plain("success")

    def _note_person(self, account: WeChatAccount, fields: envelope.Fields, *, came: bool) -> None:
        now = time.time()
        told = messages.sent_at(fields) or now
        try:
            self.gateway.customers.met(
                self.name,
                account.name,
                fields["FromUserName"],
                told_ms=int(told * 1000),
                until_ms=int((now + PERSON_SECONDS) * 1000) if came else 0,
            )
        except Unavailable:
            # an error would have WeChat show its failure notice, and say it no more often than three times
            log.warning("who talks with a person is not known", extra={"account": account.name})

    def _is_for_a_person(self, message: InboundMessage, answer: Reply, account: WeChatAccount) -> bool:
        """Whether WeChat's own customer service gets the message: it takes messages only, never events."""
        if not account.transfer or message.kind == "event":
            return False
        asked = answer.source == "command" and message.text.strip() in self.gateway.settings.command_human
        return asked or (answer.source == "agent" and not answer.text)

    def _say(self, fields: envelope.Fields, text: str) -> Response:
        """The passive reply to the push with these fields; an acknowledgement if there is nothing to say."""
        content = reply.fitted(reply.cleaned(text), self.gateway.texts.truncated)
        if not content:
            return _plain("success")
        return self._sealed(
            reply.text_reply(fields["FromUserName"], fields["ToUserName"], _created(fields), content)
        )

    def _hand_over(self, fields: envelope.Fields) -> Response:
        return self._sealed(reply.hand_over(fields["FromUserName"], fields["ToUserName"], _created(fields)))

    def _sealed(self, xml: str) -> Response:
        """The reply in the form of its push: encrypted if that was."""
        push: Push = g.wechat_push
        now = int(time.time())
        if push.cipher is not None:
            xml = reply.sealed_reply(xml, push.token, push.cipher, now, push.nonce)
        return Response(xml, content_type="application/xml; charset=utf-8")


def _is_silent(answer: Reply) -> bool:
    return not answer.text and answer.source in SILENT


def _created(fields: envelope.Fields) -> int:
    # the message's own time, so that each delivery of it gets the same bytes
    return int(messages.sent_at(fields)) or int(time.time())


def _signed(request: Request, kind: str) -> tuple[str, str, str]:
    return _once(request, kind), _once(request, "timestamp"), _once(request, "nonce")


def _once(request: Request, name: str, default: str | None = None) -> str:
    """A query parameter; `Forbidden` when it comes twice, or is missing and has no default."""
    values = request.args.getlist(name)
    if not values and default is not None:
        return default
    if len(values) != 1:
        raise Forbidden(f"{name} is missing or repeated")
    return values[0]


def _plain(text: str, status: int = 200) -> Response:
    response = Response(text, status, content_type="text/plain; charset=utf-8")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
