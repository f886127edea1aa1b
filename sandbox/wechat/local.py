"""LocalWeChat: one official account and its followers, as WeChat keeps them."""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import urlencode

from sandbox.wechat.crypto import Cipher, sign
from sandbox.wechat.delivery import Knobs, Push, fresh_nonce
from sandbox.wechat.desk import Desk
from sandbox.wechat.documents import Parsed, Value
from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.outcome import Bubble, Notice, Outcome
from sandbox.wechat.records import Faults, Sent, Stored, Typed, Verification
from sandbox.wechat.rules import Asked, Mode
from sandbox.wechat.tokens import Tokens
from sandbox.wechat.windows import Windows, trigger
from sandbox.wechat.wire import call

MEDIA_SECONDS = 3 * 86400.0
"""How long temporary media are kept."""


@dataclass(slots=True)
class _Follower:
    windows: Windows = field(default_factory=Windows)
    inbox: list[Bubble] = field(default_factory=list)
    left: bool = False


class LocalWeChat:
    """WeChat's servers for one official account, in this process.

    Pushes go to `callback_url`. `patience` (seconds) and `tries` are how WeChat waits. The API side is
    `create_app(wechat)`. With `again_after_refusal`, an answer that breaks a rule is asked for again
    before the notice is shown (WeChat does not document which it is). `ip_whitelist` None admits every
    caller to the token endpoints; `service` tells a 服务号 from a 订阅号. `now` gives unix seconds, so
    that two days may pass in a test.
    """

    def __init__(
        self,
        callback_url: str,
        token: str = "yingda-sandbox",  # noqa: S107 - public on purpose: it opens the sandbox only
        appid: str = "wx5a9db0c5a9db0c5a",
        appsecret: str = "yingda-sandbox",
        aes_key: str = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A",
        original_id: str = "gh_yingda_sandbox",
        mode: Mode = "safe",
        patience: float = 5.0,
        tries: int = 3,
        verified: bool = False,
        service: bool = True,
        again_after_refusal: bool = False,
        ip_whitelist: Collection[str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.callback_url = callback_url
        self.token = token
        self.appid = appid
        self.appsecret = appsecret
        self.original_id = original_id
        self.mode: Mode = mode
        self.patience = patience
        self.tries = tries
        self.verified = verified
        self.service = service
        self.again_after_refusal = again_after_refusal
        self.ip_whitelist = ip_whitelist
        self.now = now
        self.cipher = Cipher(aes_key, appid)
        self.tokens = Tokens(now)
        self.faults = Faults()
        self.outcomes: list[Outcome] = []
        """Every finished push, in the order they finished."""
        self.shown_notices: list[Notice] = []
        self.pushes: list[Sent] = []
        """Customer-service messages the API accepted, in order."""
        self.typing: list[Typed] = []
        """Accepted calls of the typing indicator, in order."""
        self.desk = Desk()
        """Templates, agreements, and the messages sent by them."""
        self.menu: dict[str, Any] | None = None
        """The custom menu."""
        self.tickets_asked = 0
        """Answered requests for a ticket."""
        self._media: dict[str, Stored] = {}
        self._followers: defaultdict[str, _Follower] = defaultdict(_Follower)
        self._lock = threading.RLock()
        self._next_id = random.randrange(24_000_000_000_000_000, 25_000_000_000_000_000)

    # what a follower does

    def send_text(
        self,
        openid: str,
        text: str,
        *,
        msg_id: int | str | None = None,
        menu_id: str = "",
        **knobs: Unpack[Knobs],
    ) -> Outcome:
        """The follower writes `text`, or with `menu_id` taps a menu link that says it."""
        fields: dict[str, Value] = {"Content": text}
        if menu_id:
            fields["bizmsgmenuid"] = menu_id
        return self.send(openid, "text", fields, msg_id=msg_id, **knobs)

    def send(
        self,
        openid: str,
        msg_type: str,
        fields: Mapping[str, Value],
        *,
        msg_id: int | str | None = None,
        **knobs: Unpack[Knobs],
    ) -> Outcome:
        """The follower sends a message of any type; `fields` are the elements of that type.

        Blocks until WeChat is through with it: `tries` times `patience` at the most.
        """
        chosen = self._fresh_id() if msg_id is None else msg_id
        return self._push(openid, msg_type, {**fields, "MsgId": chosen}, str(chosen), knobs)

    def send_event(
        self,
        openid: str,
        event: str,
        key: str = "",
        fields: Mapping[str, Value] | None = None,
        **knobs: Unpack[Knobs],
    ) -> Outcome:
        """The follower follows, taps, scans, …; `event` as WeChat spells it, `key` its EventKey."""
        keyed: dict[str, Value] = {} if event.lower() == "location" else {"EventKey": key}
        return self._push(openid, "event", {"Event": event, **keyed, **(fields or {})}, "", knobs)

    def verify_url(
        self, echostr: str | None = None, *, bad_signature: bool = False, skew: float = 0.0
    ) -> Verification:
        """The handshake of the console: GET with a random echostr that must come back as it went."""
        echo = fresh_nonce() + fresh_nonce() if echostr is None else echostr
        timestamp, nonce = str(int(self.now() + skew)), fresh_nonce()
        token = secrets.token_hex(8) if bad_signature else self.token
        query = {"signature": sign(token, timestamp, nonce), "timestamp": timestamp, "nonce": nonce}
        answer = call(
            "GET", f"{self.callback_url}?{urlencode({**query, 'echostr': echo})}", None, self.patience
        )
        ok = answer.status == 200 and answer.body == echo.encode()
        return Verification(answer.status or 0, answer.body.decode("utf-8", "replace"), ok)

    # what the follower sees

    @property
    def notices(self) -> int:
        """How often a follower was shown the failure notice. A correct gateway leaves it at zero."""
        return len(self.shown_notices)

    def inbox(self, openid: str) -> list[Bubble]:
        """Everything the follower received, passive replies and pushes, in order."""
        with self._lock:
            return list(self._followers[openid].inbox) if openid in self._followers else []

    # what the API needs

    def receive(self, openid: str, bubble: Bubble, body: Mapping[str, object]) -> None:
        """A customer-service message for the follower. Raises `Refusal` 40003, 45015 or 45047."""
        with self._lock:
            self._known(openid).windows.spend(self.now())
            self._followers[openid].inbox.append(bubble)
            self.pushes.append(Sent(openid, bubble, body))

    def show_typing(self, openid: str, command: str) -> None:
        """Raises `Refusal` 40003, 45072, 45080 or 45081."""
        with self._lock:
            windows = self._known(openid).windows
            if command == "Typing":
                windows.start_typing(self.now())
                self.typing.append(Typed(openid, "Typing", self.now()))
            elif command == "CancelTyping":
                windows.cancel_typing()
                self.typing.append(Typed(openid, "CancelTyping", self.now()))
            else:
                raise Refusal(45072)

    def follows(self, openid: str) -> bool:
        """Whether the account's follower is still one. Raises `Refusal` 40003 for somebody else's openid."""
        with self._lock:
            return not self._known(openid).left

    def add_media(self, data: bytes, mime: str) -> str:
        """Stores a temporary file, as if a follower had sent it; returns its media_id."""
        with self._lock:
            media_id = secrets.token_urlsafe(48)
            self._media[media_id] = Stored(data, mime, self.now())
            return media_id

    def media(self, media_id: str) -> Stored:
        """The file. Raises `Refusal` 40007 when there is none, or no longer."""
        with self._lock:
            stored = self._media.get(media_id)
            if stored is None or self.now() - stored.at > MEDIA_SECONDS:
                raise Refusal(40007)
            return stored

    def _known(self, openid: str) -> _Follower:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", openid) or openid not in self._followers:
            raise Refusal(40003)
        return self._followers[openid]

    def _fresh_id(self) -> int:
        with self._lock:
            self._next_id += 1
            return self._next_id

    def _push(
        self, openid: str, msg_type: str, fields: Mapping[str, Value], msg_id: str, knobs: Knobs
    ) -> Outcome:
        event = str(fields.get("Event", "")).lower()
        with self._lock:
            windows = self._followers[openid].windows
            windows.enter(trigger(msg_type, event, "bizmsgmenuid" in fields), self.now())
            if event == "unsubscribe":
                windows.close()
            if event in {"subscribe", "unsubscribe"}:
                self._followers[openid].left = event == "unsubscribe"
        created = knobs.get("create_time", int(self.now() + knobs.get("skew", 0.0)))
        head: dict[str, Value] = {
            "ToUserName": self.original_id,
            "FromUserName": openid,
            "CreateTime": created,
            "MsgType": msg_type,
        }
        push = Push(
            asked=Asked(openid, self.original_id, self.token, self.mode, event),
            fields={**head, **fields},
            cipher=self.cipher,
            callback_url=self.callback_url,
            tries=self.tries,
            patience=self.patience,
            again=self.again_after_refusal,
            now=self.now,
        )
        return self._record(openid, msg_id, push, knobs)

    def _record(self, openid: str, msg_id: str, push: Push, knobs: Knobs) -> Outcome:
        """Delivers, and shows the follower the first good reply, or the notice."""
        tries = push.deliver(knobs)
        good = next((each for each in tries if each.rule is None), None)
        # a broken answer shows the notice even beside a good one; a missed try only if all were missed
        broken = [each for each in tries if each.rule is not None and not each.unanswered]
        blamed = broken if broken and not self.again_after_refusal else [] if good else tries
        bubbles: list[Bubble] = []
        if good is not None and good.verdict.fields is not None:
            shown: dict[str, Parsed] = good.verdict.fields
            bubbles.append(Bubble(good.verdict.msg_type, good.verdict.text, shown, "passive", self.now()))
        problem = blamed[-1].problem if blamed else ""
        outcome = Outcome(openid, msg_id, tries, bubbles, bool(blamed), problem)
        with self._lock:
            self._followers[openid].inbox.extend(bubbles)
            self.outcomes.append(outcome)
            if blamed:
                self.shown_notices.append(Notice(openid, problem, self.now()))
        return outcome
