"""Delivering one push: signed afresh for every try, sent up to three times, each answer judged.

The follower's side of things (what is shown, windows, the API) is not here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import urlencode

from sandbox.wechat.crypto import Cipher, sign
from sandbox.wechat.documents import Value, render
from sandbox.wechat.outcome import Try
from sandbox.wechat.rules import Asked, Verdict, judge
from sandbox.wechat.wire import HEADERS, call


class Knobs(TypedDict, total=False):
    """What can go otherwise than usual with one push. Unset knobs mean an uneventful day."""

    tries: int
    """Deliveries at most, instead of the account's."""
    patience: float
    """Seconds until the connection is cut, instead of the account's."""
    together: int
    """So many tries start at the same moment, each on its own connection."""
    duplicate: int
    """So many more deliveries follow although one was answered well."""
    delay: float
    """Seconds that pass between the follower's message and the first delivery."""
    skew: float
    """Seconds by which WeChat's clock is ahead (or, negative, behind)."""
    create_time: int
    """CreateTime to claim: two events of one second have the same."""
    bad_signature: bool
    """Signs with another token."""
    callback_urls: Sequence[str]
    """Where try 1, 2, … go, the last one for all that follow: another process of the gateway."""


@dataclass(frozen=True, slots=True)
class Push:
    """One message or event on its way to the gateway."""

    asked: Asked
    fields: Mapping[str, Value]
    cipher: Cipher
    callback_url: str
    tries: int
    patience: float
    again: bool
    """Whether an answer that breaks a rule is asked for again like one that never came."""
    now: Callable[[], float]

    def deliver(self, knobs: Knobs) -> list[Try]:
        """Every try in order; the last one decided, unless duplicates follow it."""
        time.sleep(knobs.get("delay", 0.0))
        limit = knobs.get("tries", self.tries)
        together = min(knobs.get("together", 1), limit)
        with ThreadPoolExecutor(together) as pool:
            made = list(pool.map(lambda number: self._try(number, knobs), range(1, together + 1)))
        while len(made) < limit and all(map(self._asks_again, made)):
            made.append(self._try(len(made) + 1, knobs))
        for _ in range(knobs.get("duplicate", 0)):
            made.append(self._try(len(made) + 1, knobs))
        return made

    def _asks_again(self, one: Try) -> bool:
        return one.unanswered or (self.again and one.rule is not None)

    def _try(self, number: int, knobs: Knobs) -> Try:
        urls = knobs.get("callback_urls") or [self.callback_url]
        plaintext = render(self.fields)
        query, body = self._signed(plaintext, knobs)
        base = urls[min(number, len(urls)) - 1]
        url = f"{base}{'&' if '?' in base else '?'}{urlencode(query)}"
        answer = call("POST", url, body.encode(), knobs.get("patience", self.patience))
        if answer.failure is not None:
            verdict = Verdict(answer.failure, answer.detail)
        else:
            verdict = judge(answer.status or 0, answer.body, self.asked, self.cipher)
        return Try(number, url, dict(HEADERS), body.encode(), plaintext, answer, verdict)

    def _signed(self, plaintext: str, knobs: Knobs) -> tuple[dict[str, str], str]:
        """Query and body of one try: nothing of an earlier try's signature or ciphertext comes again."""
        token = self.asked.token if not knobs.get("bad_signature") else secrets.token_hex(8)
        timestamp = str(int(self.now() + knobs.get("skew", 0.0)))
        nonce = fresh_nonce()
        query = {
            "signature": sign(token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": self.asked.openid,
        }
        if self.asked.mode == "plain":
            return query, plaintext
        sealed = self.cipher.encrypt(plaintext)
        query |= {"encrypt_type": "aes", "msg_signature": sign(token, timestamp, nonce, sealed)}
        outside = self.fields if self.asked.mode == "compatible" else {"ToUserName": self.asked.original_id}
        return query, render({**outside, "Encrypt": sealed})


def fresh_nonce() -> str:
    """9 or 10 random digits, as WeChat's nonces are."""
    return str(secrets.randbelow(9_900_000_000) + 100_000_000)
