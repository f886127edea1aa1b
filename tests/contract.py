"""What every platform owes the gateway, as a suite to inherit.

A platform's test module subclasses `AdapterContract`, says how its requests are made and how its answers
are read, and gets every test below. A promise that a protocol cannot keep is given up by name and with a
reason in `without`; nothing is given up silently.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import logging
import random
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, TypeVar
from unittest import mock

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from adapters.base import BODY_CAP, Adapter
from errors import Unavailable
from sandbox.serve import Server
from settings import Settings
from tests.gateway_double import FakeGateway, make_app
from tests.hostile import ANSWERS, Call, assert_discreet, mutated, spellings, status_of

__all__ = ["AdapterContract", "Call", "FakeGateway", "make_app"]

Test = TypeVar("Test", bound=Callable[..., None])

Promise = Literal["signed_body", "window", "rotation", "identity"]
PROMISES: dict[str, str] = {
    "signed_body": "the signature covers what is read of the body",
    "window": "a request carries a signed timestamp and is accepted only around it",
    "rotation": "an old and a new secret are valid at the same time",
    "identity": "a message has an id, so that a retry is known to be one",
}


def needs(*promises: Promise) -> Callable[[Test], Test]:
    """Marks a test that a platform without one of the promises does not inherit."""

    def mark(test: Test) -> Test:
        test.needs = frozenset(promises)  # type: ignore[attr-defined]
        return test

    return mark


class AdapterContract(ABC):
    """Subclass as `Test…`, set `adapter`, fill the four abstract methods; override the rest where needed."""

    adapter: ClassVar[type[Adapter]]
    signature_in: ClassVar[tuple[Literal["headers", "query"], str]]
    """Where the proof of origin stands: a signature, or a token where the protocol has nothing better."""
    without: ClassVar[Mapping[Promise, str]] = {}
    """Promises that the protocol cannot keep, each with the reason."""
    secrets: ClassVar[tuple[str, ...]]
    """What `environment` sets: the current one, with `rotation` the old one, then others not to be leaked."""
    stranger: ClassVar[str] = "whsec_" + base64.b64encode(b"a stranger's secret of 32 bytes!").decode()
    """A well-formed secret that is not configured."""
    refused: ClassVar[frozenset[int]] = frozenset({401, 403})
    fuzzed: ClassVar[frozenset[int]] = frozenset({200, 400, 403, 413})
    failed: ClassVar[Mapping[type[Exception], int]] = {RuntimeError: 500, Unavailable: 503}
    """HTTP status when the gateway itself fails. A platform that may only see 200 says so here."""
    now: ClassVar[int] = 1_750_000_000

    def __init_subclass__(cls) -> None:
        """Takes the tests of given-up promises away, once each has a reason."""
        for promise, reason in cls.without.items():
            if promise not in PROMISES or len(reason.split()) < 4:
                raise TypeError(f"{cls.__name__}.without: {promise!r} needs a known name and a full reason")
        for name, test in inspect.getmembers(cls, inspect.isfunction):
            if getattr(test, "needs", frozenset()) & cls.without.keys():
                setattr(cls, name, None)

    # what a platform says about itself

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The variables that switch the platform on, with `secrets` in them."""

    @abstractmethod
    def payload(self, text: str, *, key: str) -> bytes:
        """The platform's message with this text; `key` is its id where the payload carries it."""

    @abstractmethod
    def seal(self, payload: bytes, *, timestamp: str, key: str, secret: str) -> Call:
        """The request around any payload, signed so that the platform itself could have made it."""

    @abstractmethod
    def reply_text(self, response: TestResponse) -> str:
        """What the customer reads; fails when the response has not the platform's shape."""

    @abstractmethod
    def error_text(self, response: TestResponse) -> str:
        """The message in the platform's error shape; fails when the response has another."""

    def rendered(self, text: str) -> str:
        """What is left of an answer on this platform; override where it trims, and say why."""
        return text.encode("utf-8", "replace").decode()

    def covered(self, body: bytes) -> range:
        """Positions of the body that the signature covers; override where an envelope stands around them."""
        return range(len(body))

    def make_gateway(self, settings: Settings) -> FakeGateway:
        return FakeGateway(settings)

    def signed(
        self, text: str, *, now: float | None = None, key: str | None = None, secret: str | None = None
    ) -> Call:
        """A genuine request; `now` is what the platform's clock shows, in unix seconds."""
        key = key or uuid.uuid4().hex
        timestamp = str(int(self.now if now is None else now))
        return self.seal(
            self.payload(text, key=key), timestamp=timestamp, key=key, secret=secret or self.secrets[0]
        )

    # how a test uses it

    @pytest.fixture
    def settings(self, monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]) -> Settings:
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        return make_settings()

    @pytest.fixture
    def gateway(self, settings: Settings) -> Iterator[FakeGateway]:
        gateway = self.make_gateway(settings)
        yield gateway
        gateway.gate.set()

    @pytest.fixture
    def app(self, settings: Settings, gateway: FakeGateway) -> Flask:
        return make_app(self.adapter, settings, gateway)

    @pytest.fixture(autouse=True)
    def _clock(self) -> Iterator[None]:
        with mock.patch.object(time, "time", return_value=float(self.now)):
            yield

    @staticmethod
    def call(app: Flask, call: Call) -> TestResponse:
        return app.test_client().open(
            call.path,
            method=call.method,
            headers=list(call.headers.items()),
            query_string=dict(call.query),
            data=call.body,
        )

    def signature(self, call: Call) -> str:
        place, name = self.signature_in
        return str(getattr(call, place)[name])

    def with_signature(self, call: Call, value: str | None) -> Call:
        """The same request with another signature, or with none at all."""
        place, name = self.signature_in
        others = {each: its for each, its in getattr(call, place).items() if each != name}
        return replace(call, **{place: others if value is None else {**others, name: value}})

    def assert_refused(self, app: Flask, call: Call, why: str = "") -> None:
        response = self.call(app, call)
        assert response.status_code in self.refused, (response.status_code, why)
        assert self.error_text(response) is not None
        assert_discreet(response.data)
        assert app.extensions["gateway"].exchanges == [], f"asked although refused: {why}"

    # genuine requests

    def test_a_genuine_message_is_answered(self, app: Flask, gateway: FakeGateway) -> None:
        response = self.call(app, self.signed("你好"))
        assert response.status_code == 200
        assert self.reply_text(response) == "answer to 你好"
        (exchange,) = gateway.exchanges
        assert exchange.message.text == "你好"
        assert exchange.message.platform == self.adapter.name
        assert exchange.message.user
        assert exchange.message.request_id
        assert exchange.number in gateway.delivered

    @needs("rotation")
    def test_the_old_and_the_new_secret_are_both_valid(self, app: Flask) -> None:
        new, old = self.secrets[:2]
        for secret in (new, old):
            response = self.call(app, self.signed(f"by {secret[-4:]}", secret=secret))
            assert self.reply_text(response) == f"answer to by {secret[-4:]}"

    @needs("window")
    @pytest.mark.parametrize("skew", [-300, -299, 0, 299, 300])
    def test_a_timestamp_inside_the_window_is_accepted(self, app: Flask, skew: int) -> None:
        assert self.call(app, self.signed("hi", now=self.now + skew)).status_code == 200

    # requests that the platform did not make

    def test_a_stranger_s_signature_is_refused(self, app: Flask) -> None:
        self.assert_refused(app, self.signed("hi", secret=self.stranger))

    def test_a_signature_with_any_one_character_changed_is_refused(self, app: Flask) -> None:
        call = self.signed("hi")
        good = self.signature(call)
        for at, character in enumerate(good):
            other = "b" if character in "aA" else "a"
            self.assert_refused(
                app, self.with_signature(call, good[:at] + other + good[at + 1 :]), f"at {at}"
            )

    def test_a_signature_of_another_form_is_refused(self, app: Flask) -> None:
        call = self.signed("hi")
        good = self.signature(call)
        forms = {
            "missing": None,
            "empty": "",
            "blank": "   ",
            "one character": good[:1],
            "first half": good[: len(good) // 2],
            "last character gone": good[:-1],
            "first character gone": good[1:],
            "other case": good.swapcase(),
            "upper case": good.upper(),
            "doubled": good * 2,
            "a character more": good + "a",
            "not ASCII": "é" * len(good),
            "10 kB": "a" * 10_000,
            "10 kB after it": good + "a" * 10_000,
            "percent signs": "%00%ff",
            "null": "null",
        }
        for name, value in forms.items():
            if value != good:
                self.assert_refused(app, self.with_signature(call, value), name)

    @needs("signed_body")
    def test_a_body_changed_after_signing_is_refused(self, app: Flask) -> None:
        call = self.signed("hi")
        body, covered = call.body, self.covered(call.body)
        changed = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in covered]
        changed += [body[: covered.start], body[: covered.stop - 1] + body[covered.stop :]]
        changed += [body[: covered.stop] + b"A" + body[covered.stop :]]
        for other in changed:
            response = self.call(app, replace(call, body=other))
            # an envelope may turn out broken before there is anything to check a signature against
            assert response.status_code in {*self.refused, 400}
        assert app.extensions["gateway"].exchanges == []

    @needs("window")
    @pytest.mark.parametrize("skew", [-86_400, -301, 301, 86_400])
    def test_a_timestamp_outside_the_window_is_refused(self, app: Flask, skew: int) -> None:
        self.assert_refused(app, self.signed("hi", now=self.now + skew))

    @needs("window")
    @pytest.mark.parametrize(
        "form", ["", "abc", "-{}", "+{}", " {}", "{}.0", "{}000", "1e30", "0x1", "٣" * 10]
    )
    def test_a_timestamp_that_is_not_ten_digits_is_refused(self, app: Flask, form: str) -> None:
        timestamp = form.format(self.now)
        if self.signature_in[0] == "headers":
            timestamp = timestamp.encode("utf-8").decode("latin-1")
        payload = self.payload("hi", key="k1")
        self.assert_refused(
            app, self.seal(payload, timestamp=timestamp, key="k1", secret=self.secrets[0]), form
        )

    # the same message again

    @needs("identity")
    def test_a_replay_gets_the_same_answer_and_asks_nobody(self, app: Flask, gateway: FakeGateway) -> None:
        count = iter(range(100))
        gateway.says = lambda message: f"answer number {next(count)}"
        call = self.signed("hi")
        answers = {self.reply_text(self.call(app, call)) for _ in range(20)}
        assert answers == {"answer number 0"}
        assert len(gateway.exchanges) == 1

    @needs("identity")
    def test_fifty_deliveries_at_once_are_one_exchange(self, app: Flask, gateway: FakeGateway) -> None:
        call = self.signed("hi")
        answers: list[str] = []
        gateway.gate.clear()
        threads = [
            threading.Thread(target=lambda: answers.append(self.reply_text(self.call(app, call))))
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        assert gateway.wait_for_attempts(50)
        gateway.gate.set()
        for thread in threads:
            thread.join(20)
        assert Counter(answers) == {"answer to hi": 50}
        assert len(gateway.exchanges) == 1

    # hostile input

    def test_a_body_over_the_cap_is_refused_however_it_is_sent(self, app: Flask) -> None:
        body = b"x" * (BODY_CAP + 1)
        call = self.seal(body, timestamp=str(self.now), key="k1", secret=self.secrets[0])
        half = len(call.body) // 2
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (call.body[:half], call.body[half:], b""))
        forms = {
            "announced": ({"Content-Length": str(len(call.body))}, call.body),
            "chunked": ({"Transfer-Encoding": "chunked"}, chunks),
            "chunked, with a lying length": (
                {"Transfer-Encoding": "chunked", "Content-Length": "10"},
                chunks,
            ),
            "announced, never sent": ({"Content-Length": "10000000000"}, b""),
        }
        with Server(app) as server:
            for name, (headers, sent) in forms.items():
                assert status_of(server.url, call, headers, sent) == 413, name
        assert app.extensions["gateway"].exchanges == []

    @pytest.mark.slow
    def test_mutated_messages_never_break_anything(self, app: Flask, gateway: FakeGateway) -> None:
        gateway.says = lambda message: "fine"
        chance = random.Random(f"{self.adapter.name} 1")
        original = self.payload("你好 <b>&amp;</b> ]]> \\u0000", key="k1")
        statuses: Counter[int] = Counter()
        with quiet(logging.getLogger("adapters")):
            for number in range(10_000):
                before = len(gateway.exchanges)
                call = self.seal(
                    mutated(original, chance),
                    timestamp=str(self.now),
                    key=f"m{number}",
                    secret=self.secrets[0],
                )
                status, body = call.run(app)
                assert status in self.fuzzed, (number, status)
                assert_discreet(body)
                assert status == 200 or len(gateway.exchanges) == before, number
                statuses[status] += 1
        # some of the mutants are harmless, most are not: otherwise the mutants would prove nothing
        assert set(statuses) >= {200, 400}, statuses

    # hostile output

    @pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
    def test_a_hostile_answer_arrives_as_text(self, app: Flask, gateway: FakeGateway, text: str) -> None:
        gateway.says = lambda message: text
        response = self.call(app, self.signed("hi"))
        assert response.status_code == 200
        assert self.reply_text(response) == self.rendered(text)

    # failures inside

    @pytest.mark.parametrize("kind", [RuntimeError, Unavailable])
    def test_a_failure_inside_has_the_platform_s_shape(
        self, app: Flask, gateway: FakeGateway, kind: type[Exception]
    ) -> None:
        gateway.fails_with = kind("the database is away")
        with quiet(logging.getLogger("adapters")):
            response = self.call(app, self.signed("hi"))
        assert response.status_code == self.failed[kind]
        assert self.error_text(response)
        assert_discreet(response.data)
        if kind is RuntimeError:
            assert b"database" not in response.data

    def test_secrets_are_in_no_log_no_response_and_no_repr(
        self, app: Flask, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        good = self.signed("hi")
        calls = [
            good,
            self.with_signature(good, self.signature(good)[:-1] + "~"),
            self.with_signature(good, None),
            self.seal(b"\xff{", timestamp=str(self.now), key="k1", secret=self.secrets[0]),
        ]
        seen = [self.call(app, call).get_data(as_text=True) for call in calls]
        gateway.fails_with = RuntimeError("inside")
        seen.append(self.call(app, self.signed("hi")).get_data(as_text=True))
        seen += [caplog.text, repr(app.extensions["adapter"]), str(app.extensions["adapter"])]
        # fields given as `extra` stand in the record, not in its message
        seen += [repr(vars(record)) for record in caplog.records]
        # to name the signature that would have been right is to hand it out
        watched = {self.signature(good)}.union(*map(spellings, self.secrets))
        assert not any(form in each for form in watched for each in seen), "a secret leaked"


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Thousands of expected log lines cost time and hide the one that matters."""
    with mock.patch.object(logger, "disabled", True), mock.patch.object(logger, "propagate", False):
        yield
