"""Coze failing in twenty ways: what customers and operators see of it at each of four doors.

Everything runs through the whole gateway on real sockets, with time limits scaled down. `PROMISES_FULL=1`
repeats more often.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coze.breaker import Breaker
from sandbox.coze import LocalCoze
from tests.faults.conftest import FULL
from tests.faults.doors import DOORS, bot_of
from tests.rig import Rig
from texts import Texts

pytestmark = pytest.mark.promise

TEXTS = Texts()
ANSWER_SECONDS = 2.5
"""The deadline of an answer here; in production it is minutes."""
LIMITS = {
    "coze_connect_timeout": 1.0,
    "coze_read_timeout": 1.0,
    "coze_answer_timeout": ANSWER_SECONDS,
    # every door shows the same words
    "wechat_ai_line": False,
}


@dataclass(frozen=True)
class Case:
    """A fault, and what a customer and an operator may expect of it."""

    fault: str
    sees: str
    """`whole`, `partial` or a sentence of ours."""
    error: str | None = None
    times: int = 1
    """How many calls in a row suffer it."""
    oauth: bool = False
    params: dict[str, object] = field(default_factory=dict)


CASES = {
    "slow first byte": Case("slow_first_byte", "whole", params={"seconds": 0.5}),
    "no first byte": Case("slow_first_byte", TEXTS.apology, "coze_timeout", params={"seconds": 60}),
    "hang after headers": Case("hang_after_headers", TEXTS.apology, "coze_timeout"),
    "hang in mid stream": Case("hang_mid_stream", "whole"),
    "cut in mid event": Case("cut_mid_event", "whole"),
    "cut in mid character": Case("cut_mid_utf8", "whole"),
    "reset in mid stream": Case("reset", "whole"),
    "reset before the answer": Case("reset", TEXTS.apology, "coze_disconnected", 9, params={"after": 0}),
    "token refused once": Case("http_status", "whole", oauth=True, params={"status": 401}),
    "token refused": Case("http_status", TEXTS.apology, "coze_4100", 9, True, {"status": 401}),
    "forbidden": Case("http_status", TEXTS.apology, "coze_4101", 9, params={"status": 403}),
    "rate limit": Case("http_status", "whole", params={"status": 429, "retry_after": 1}),
    "rate limit for long": Case(
        "http_status", TEXTS.busy, "coze_4020", params={"status": 429, "retry_after": 60}
    ),
    "internal error": Case("http_status", TEXTS.apology, "coze_http_500", params={"status": 500}),
    "bad gateway": Case("http_status", TEXTS.apology, "coze_http_502", 9, params={"status": 502}),
    "error code with 200": Case(
        "json_error_200", TEXTS.apology, "coze_4000", params={"msg": "internal error Tengine"}
    ),
    "no stream but a page": Case("html_200", TEXTS.apology, "coze_malformed"),
    "an event of 1 MB": Case("big_event", "whole"),
    "endless stream": Case("endless", "partial", "coze_timeout", params={"seconds": 20}),
    "unknown events": Case("unknown_events", "whole"),
    "comments between events": Case("comments", "whole"),
    "completed twice": Case("duplicate_completed", "whole"),
    "byte by byte": Case("bytewise", "whole"),
    "gzip": Case("gzip", "whole"),
}
RAW = ("Tengine", "<html", "<!DOCTYPE", "internal server error", "conversation.", "logid", "coze_", "czs_",
       "pat_", "Traceback", "heartbeat", '"role"')  # fmt: skip
"""Of Coze, or of us, and no customer's business."""


STAYING = {"answer", "leases", "naming", "together"}


@dataclass(frozen=True)
class Census:
    """Threads and sockets of this process, without threads that stay for the next task: see `Crew.busy`. The
    keeper of leases may stay a second longer."""

    threads: frozenset[threading.Thread]
    sockets: frozenset[str]

    @classmethod
    def now(cls) -> Census:
        sockets = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                sockets.add(os.readlink(f"/proc/self/fd/{number}"))
            except OSError:
                continue
        return cls(
            frozenset(each for each in threading.enumerate() if each.name not in STAYING),
            frozenset(each for each in sockets if each.startswith("socket:")),
        )

    def more_than(self, before: Census) -> list[object]:
        return [*(self.threads - before.threads), *(self.sockets - before.sockets)]


@pytest.fixture(scope="module")
def service_app() -> tuple[bytes, dict[str, object]]:
    """The public key of an OAuth service app, and the settings that use the private one."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return public, {
        "coze_api_token": None,
        "coze_auth_mode": "OAUTH_JWT",
        "coze_oauth_client_id": "app1",
        "coze_oauth_public_key_id": "kid1",
        "coze_oauth_private_key": private.decode(),
    }


def spoken(coze: LocalCoze) -> str:
    """What the local Coze said in its last chat."""
    messages = list(coze.chats.values())[-1].visible()
    return "\n".join(each.content for each in messages if each.type == "answer")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", CASES)
def test_a_fault_has_one_visible_outcome_one_row_and_leaves_nothing_behind(
    open_rig: Callable[..., Rig],
    service_app: tuple[bytes, dict[str, object]],
    caplog: pytest.LogCaptureFixture,
    case: str,
    door: str,
) -> None:
    given = CASES[case]
    public, oauth = service_app
    rig = open_rig(**LIMITS, **(oauth if given.oauth else {}))
    rig.coze.register_app("app1", "kid1", public)
    bot = bot_of(rig)
    for turn in range(20 if FULL else 1):
        bot.breaker = Breaker()
        rig.coze.faults.clear()
        for _ in range(given.times):
            rig.coze.faults.queue(given.fault, **given.params)
        before = Census.now()
        deadline = time.monotonic() + ANSWER_SECONDS
        with caplog.at_level(logging.DEBUG):
            seen = DOORS[door](rig, f"customer{turn}")

        assert seen.ends == 1
        if given.sees == "whole":
            assert seen.text == spoken(rig.coze) != ""
        elif given.sees == "partial":
            assert seen.text.endswith(f"\n{TEXTS.interrupted}")
            assert len(seen.text) > len(TEXTS.interrupted) + 2
        else:
            assert seen.text == given.sees
        assert not [each for each in RAW if each in seen.raw]

        rows = rig.log()
        assert len(rows) == turn + 1
        assert rows[0]["error_code"] == given.error
        assert not [each for each in caplog.records if each.exc_info]

        # idle connections are no leak: what stays after they are closed is one
        bot.client.close()
        bot.client._calls.credentials.__dict__.get("_transport", bot.client).close()
        crew = rig.app.extensions["yingda"].handler._crew
        while (left := Census.now().more_than(before)) or crew.busy:
            assert time.monotonic() < deadline + 1, left or "an answer is still being made"
            time.sleep(0.02)
    tokens = sum(each.path.endswith("/oauth2/token") for each in rig.coze.requests)
    assert tokens == (2 * (turn + 1) if given.oauth else 0), "a refused token is renewed once"
