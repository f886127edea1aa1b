"""What the gateway asks of WeChat: messages of every kind, pictures, the typing indicator, tickets, the menu.

The only file here that knows `requests`. A message has no id that would make a repetition harmless, hence
three answers to every failure: nothing was done (`NotNow`), it never will be (`Undeliverable`), or nobody
can tell (`InDoubt`). Secrets, tokens and openids stand in URLs and bodies only, never in an error or a log.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import encode_multipart_formdata
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from adapters.base import as_json
from adapters.gateway import Tokens
from adapters.wechat.access import FETCH_SECONDS, TICKET_MARGIN_MS, SharedToken
from adapters.wechat.errcodes import (
    MISCONFIGURED,
    TOKEN_REFUSED,
    WRONG_SETTINGS,
    in_words,
    refusal,
    status_refusal,
)
from errors import InDoubt, NotNow, Unavailable, Undeliverable, UpstreamError
from settings.accounts import WeChatAccount

log = logging.getLogger(__name__)

STABLE_TOKEN = "/cgi-bin/stable_token"  # noqa: S105 - a path
CLASSIC_TOKEN = "/cgi-bin/token"  # noqa: S105 - a path
TICKET = "/cgi-bin/ticket/getticket"
CUSTOM_SEND = "/cgi-bin/message/custom/send"
TYPING = "/cgi-bin/message/custom/typing"
UPLOAD = "/cgi-bin/media/upload"
JSON = "application/json; charset=utf-8"
NOTICES = {
    "template": "/cgi-bin/message/template/send",
    "subscription": "/cgi-bin/message/subscribe/bizsend",
    "once": "/cgi-bin/message/template/subscribe",
}
"""Messages that answer nothing: what the account says of its own accord."""
MENU_CREATE = "/cgi-bin/menu/create"
MENU_GET = "/cgi-bin/menu/get"
MENU_DELETE = "/cgi-bin/menu/delete"
MEDIA_GET = "/cgi-bin/media/get"
BODY_CAP = 64 * 1024
"""Bytes of an answer that are read; a genuine one has a few hundred."""
FILE_CAP = 10 * 1024 * 1024
"""Bytes of the largest picture that WeChat takes from a customer."""
NO_MENU = 46003
TROUBLE_MS = 3_600_000
"""How long a fault of the settings is shown to operators after it was last met."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one call may take."""

    connect: float = 3.0
    read: float = 8.0
    """Silence between bytes."""
    whole: float = FETCH_SECONDS
    """From the first byte sent to the last one read."""
    file: float = 20.0
    """The same for a file of some megabytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object that WeChat answered with."""

    errcode: int
    errmsg: str
    token: str
    """Access token, of the token endpoint only."""
    seconds: int
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The whole object."""


class OfficialApi:
    """One account's side of WeChat's API; safe to share between threads.

    Raises `NotNow`, `Undeliverable` or `InDoubt`, whose message is `wechat_<errcode>` and a few words.
    """

    def __init__(self, account: WeChatAccount, tokens: Tokens, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._account = account
        self._secret = account.appsecret.get_secret_value() if account.appsecret is not None else ""
        self._base = account.api_base.rstrip("/")
        self._tokens = tokens
        # by appid: two accounts' tokens must never be mistaken for each other, whatever they are called
        self._name = f"wechat:{account.appid}"
        self._classic = account.token_api == "classic"  # noqa: S105 - a choice
        self._access = SharedToken(
            f"{self._name}:access_token",
            tokens,
            self._fetch_token,
            replacing=self._classic,
        )
        self._ticket = SharedToken(f"{self._name}:jsapi_ticket", tokens, self._fetch_ticket, TICKET_MARGIN_MS)

    def prepare(self) -> None:
        """Sees to a good access token, so that what comes next is the sending alone."""
        self._access.get(time.monotonic() + self.patience.whole)

    def custom_send(self, openid: str, content: str, *, ai: bool = False) -> None:
        """Sends one text bubble of at most 2048 bytes; `ai` has WeChat mark it as made by AI."""
        self.send(openid, "text", {"content": content}, ai=ai)

    def send(self, openid: str, kind: str, content: Mapping[str, object], *, ai: bool = False) -> None:
        """Sends one message of any kind that WeChat documents; `content` is that kind's own part."""
        body: dict[str, object] = {"touser": openid, "msgtype": kind, kind: content}
        if ai and self._account.ai_label:
            body["aimsgcontext"] = {"is_ai_msg": 1}
        self._call(CUSTOM_SEND, body, openid)

    def upload_image(self, content: bytes, mime: str) -> str:
        """Stores a picture for three days; returns its media_id. Doing so twice does no harm."""
        name = f"picture.{mime.removeprefix('image/')}"
        body, kind = encode_multipart_formdata({"media": (name, content, mime)})
        try:
            answer = self._call(UPLOAD, body, kind=kind, type="image")
        except InDoubt as problem:
            raise NotNow(problem.message) from None
        if not (media_id := str(answer.fields.get("media_id") or "")):
            raise NotNow("WeChat's answer holds no media_id")
        return media_id

    def typing(self, openid: str) -> None:
        """Shows 「对方正在输入」 for 15 seconds, or until a message comes."""
        self._call(TYPING, {"touser": openid, "command": "Typing"}, openid)

    def media(self, media_id: str) -> bytes:
        """A customer's picture or recording; WeChat keeps them for three days.

        Whatever it raises, nothing was done: fetching may be repeated.
        """
        token = self._access.get(time.monotonic() + self.patience.whole)
        content, answer = self._file(media_id, token)
        if answer is not None and answer.errcode in TOKEN_REFUSED:
            self._tell(MEDIA_GET, answer, token)
            token = self._access.get(time.monotonic() + self.patience.whole, refused=token)
            content, answer = self._file(media_id, token)
        if answer is None:
            return content
        self._tell(MEDIA_GET, answer, token)
        raise refusal(answer.errcode)

    def _file(self, media_id: str, token: str) -> tuple[bytes, Answer | None]:
        """The file, or WeChat's answer in its place, which comes with status 200 as well."""
        params = {"access_token": token, "media_id": media_id}
        content = download(self._base + MEDIA_GET, self.patience, params)
        if not content.startswith(b"{") or len(content) > BODY_CAP:
            return content, None
        try:
            return b"", _answer(content)
        except (ValueError, TypeError):
            return content, None

    def notify(self, kind: str, body: Mapping[str, object]) -> str:
        """Sends one of `NOTICES`; returns the number by which WeChat reports on it, if it gave one."""
        answer = self._call(NOTICES[kind], body, str(body.get("touser", "")))
        return str(answer.fields.get("msgid") or "")

    def ticket(self) -> str:
        """The ticket that signs pages for the JS-SDK. It must never leave the gateway."""
        return self._ticket.get(time.monotonic() + self.patience.whole)

    def create_menu(self, menu: Mapping[str, object]) -> None:
        """Replaces the account's menu."""
        self._call(MENU_CREATE, menu)

    def menu(self) -> dict[str, Any] | None:
        """The menu that was made through the API; None when there is none."""
        try:
            found = self._call(MENU_GET).fields.get("menu")
        except Undeliverable as problem:
            if problem.message == f"wechat_{NO_MENU}":
                return None
            raise
        return found if isinstance(found, dict) else None

    def delete_menu(self) -> None:
        """Removes the menu."""
        self._call(MENU_DELETE)

    def trouble(self) -> str:
        """What an operator has to mend in the account's settings, as any process has met it; or nothing."""
        found = self._tokens.get(f"{self._name}:trouble")
        return found[0] if found is not None and found[1] > _now_ms() else ""

    def _call(
        self, path: str, body: object = None, openid: str = "", kind: str = JSON, **query: str
    ) -> Answer:
        """Without a body a GET. A refused token is renewed once and the call repeated once."""
        token = self._access.get(time.monotonic() + self.patience.whole)
        answer = self._ask(path, body, kind, access_token=token, **query)
        if answer.errcode in TOKEN_REFUSED:
            self._tell(path, answer, token, openid)
            token = self._access.get(time.monotonic() + self.patience.whole, refused=token)
            answer = self._ask(path, body, kind, access_token=token, **query)
        if answer.errcode:
            self._tell(path, answer, token, openid)
            raise refusal(answer.errcode)
        return answer

    def _fetch_token(self, *, force: bool) -> tuple[str, int]:
        client = {"grant_type": "client_credential", "appid": self._account.appid, "secret": self._secret}
        path = CLASSIC_TOKEN if self._classic else STABLE_TOKEN
        try:
            if self._classic:
                answer = self._ask(path, **client)
            else:
                answer = self._ask(path, {**client, "force_refresh": True} if force else client)
        except InDoubt as problem:
            # asking for a token twice does no harm
            raise NotNow(problem.message) from None
        if answer.errcode:
            self._tell(path, answer)
            raise refusal(answer.errcode, else_=NotNow)
        self._mended()
        return _usable(answer.token, answer.seconds)

    def _fetch_ticket(self, *, force: bool) -> tuple[str, int]:
        try:
            answer = self._call(TICKET, type="jsapi")
        except InDoubt as problem:
            raise NotNow(problem.message) from None
        return _usable(str(answer.fields.get("ticket", "")), answer.seconds)

    def _ask(self, path: str, body: object = None, kind: str = JSON, **query: str) -> Answer:
        deadline = time.monotonic() + self.patience.whole
        with _session() as session:
            try:
                response = session.request(
                    "GET" if body is None else "POST",
                    self._base + path,
                    # WeChat shows \u escapes to the customer as they stand
                    data=body if body is None or isinstance(body, bytes) else as_json(body),
                    params=query,
                    headers={"Content-Type": kind},
                    timeout=(self.patience.connect, self.patience.read),
                    allow_redirects=False,
                    stream=True,
                )
            except requests.RequestException as problem:
                # the exception's own words quote the address, and the token with it
                raise _lost(problem) from None
            with response:
                if response.status_code // 100 != 2:
                    raise status_refusal(response.status_code)
                try:
                    return _answer(_read(response, deadline, BODY_CAP))
                except (HTTPError, OSError, ValueError, TypeError):
                    raise InDoubt("WeChat's answer cannot be read") from None

    def _tell(self, path: str, answer: Answer, *hidden: str) -> None:
        why = answer.errmsg[:300]
        for each in (*hidden, self._secret):
            why = why.replace(each, "***") if each else why
        log.warning(
            "WeChat refuses",
            extra={"account": self._account.name, "call": path, "errcode": answer.errcode, "why": why},
        )
        if answer.errcode in WRONG_SETTINGS:
            mend = in_words(answer.errcode, answer.errmsg)
            log.error(
                "WeChat's API is not set up: late answers cannot be pushed",
                extra={"account": self._account.name, "mend": f"{MISCONFIGURED[answer.errcode]}; {mend}"},
            )
            self._remember(mend)

    def _remember(self, trouble: str) -> None:
        # beside the tokens, because each process may be asked for it; it is never worth failing for
        with suppress(Unavailable):
            self._tokens.store(f"{self._name}:trouble", trouble, _now_ms() + TROUBLE_MS)

    def _mended(self) -> None:
        with suppress(Unavailable):
            if self.trouble():
                self._tokens.store(f"{self._name}:trouble", "", 0)


def download(url: str, patience: Patience, params: dict[str, str] | None = None) -> bytes:
    """A file of at most `FILE_CAP` bytes, without following redirects. Raises an `UpstreamError`."""
    deadline = time.monotonic() + patience.file
    with _session() as session:
        try:
            response = session.get(
                url,
                params=params,
                timeout=(patience.connect, patience.read),
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as problem:
            raise _lost(problem) from None
        with response:
            if response.status_code != 200:
                raise status_refusal(response.status_code)
            try:
                return _read(response, deadline, FILE_CAP)
            except (HTTPError, OSError, ValueError):
                raise NotNow("the file is too large, too slow or broken off") from None


class _Secure(HTTPAdapter):
    """HTTPS with certificates that were read once: reading them takes 25 ms, for each connection anew."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=trusted(), **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def trusted() -> ssl.SSLContext:
    """TLS that believes the usual authorities."""
    return ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)


def _usable(value: str, seconds: int) -> tuple[str, int]:
    if not (value and value.isascii() and value.isprintable() and seconds > 0):
        raise NotNow("WeChat's answer holds no token")
    return value, seconds


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _session() -> requests.Session:
    """One for each call: were a kept connection just being closed, a message's fate would be unknown."""
    session = requests.Session()
    session.trust_env = False  # a proxy or .netrc of the host would change where the token goes
    session.headers["User-Agent"] = "yingda"
    session.headers["Accept-Encoding"] = "identity"
    session.mount("https://", _Secure())
    return session


def _lost(problem: requests.RequestException) -> UpstreamError:
    """A call without an answer. Where it broke before the request was out, nothing was done."""
    reason = getattr(problem.args[0], "reason", None) if problem.args else None
    cause = reason.args[0] if isinstance(reason, HTTPError) and reason.args else None
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return NotNow(f"WeChat cannot be reached: {type(reason).__name__}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NotNow("WeChat cannot be reached: its certificate is not valid")
    if isinstance(problem, requests.exceptions.Timeout):
        return InDoubt("WeChat did not answer in time")
    if isinstance(problem, requests.exceptions.ConnectionError):
        return InDoubt("the connection to WeChat broke")
    return Undeliverable(f"the request cannot be made: {type(problem).__name__}")


def _read(response: requests.Response, deadline: float, cap: int) -> bytes:
    """The whole body; raises `ValueError` over the cap or after the deadline, however it trickles."""
    body = bytearray()
    while piece := response.raw.read1(BODY_CAP, decode_content=True):
        body += piece
        if len(body) > cap or time.monotonic() > deadline:
            raise ValueError("too long")
    return bytes(body)


def _answer(body: bytes) -> Answer:
    """Raises `ValueError` or `TypeError` unless it is such a JSON object, whatever its content type says."""
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return Answer(
        errcode=int(found.get("errcode") or 0),
        errmsg=str(found.get("errmsg", "")),
        token=str(found.get("access_token", "")),
        seconds=int(found.get("expires_in") or 0),
        fields=found,
    )
