"""Posting a late answer to 易事厅: where to, how its reply is read, and until when it is worth it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from adapters.base import as_json
from adapters.outbound import Answered, Outbound
from adapters.yishiting import wire
from adapters.yishiting.robots import Robot
from errors import InDoubt, NotNow, Undeliverable
from handler.message import LateReply, Reply

EXPIRES_SECONDS = 3600
"""How long 易事厅 takes an answer at a response_url."""


class Callbacks:
    """One robot's way for late answers."""

    def __init__(self, robot: Robot, *, plain: bool) -> None:
        self._own_url = robot.callback_url
        self._outbound = Outbound(robot.callback_hosts, plain=plain)

    def address(self, raw: Mapping[str, object]) -> str:
        """Where the answer to a message with these stored fields goes. Raises `Undeliverable`, saying why."""
        url = str(raw.get("response_url") or self._own_url)
        if not url:
            raise Undeliverable("no response_url came with the message")
        try:
            self._outbound.check(url)
        except Undeliverable as problem:
            raise Undeliverable(f"response_url: {problem.message}") from None
        return url

    def reaches(self, raw: Mapping[str, object]) -> bool:
        """Whether a late answer to such a message has somewhere to go."""
        try:
            return bool(self.address(raw))
        except Undeliverable:
            return False

    def post(self, late: LateReply, reply: Reply, sending: Callable[[], None]) -> None:
        """Posts it once. Raises `NotNow`, `Undeliverable` or `InDoubt` as adapters' `push` does."""
        url = self.address(late.raw)
        if time.time() - late.asked_ms / 1000 > EXPIRES_SECONDS:
            raise Undeliverable("response_url: it was asked more than an hour ago")
        body = as_json(wire.Callback.late(late, reply).model_dump())
        sending()
        _judge(self._outbound.post(url, body, {"X-Trace-ID": late.trace_id}))


def _judge(answered: Answered) -> None:
    """Raises unless it took the answer. A no is believed, but not from a proxy that only stopped waiting."""
    status = answered.status
    if status == 504:
        raise InDoubt("callback_http_504")
    if status >= 500 or status == 429:
        raise NotNow(f"callback_http_{status}")
    if status // 100 != 2:
        raise Undeliverable(f"callback_http_{status}")
    if code := _refusal(answered.body or b""):
        raise Undeliverable(f"callback_code_{code}")


def _refusal(body: bytes) -> str:
    """The code of a JSON object that says no although the status says yes; empty for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    for name in ("errcode", "code"):
        code = said.get(name)
        if isinstance(code, int | str) and str(code) not in {"0", "", "200", "False"}:
            return str(code)[:32]
    return ""
