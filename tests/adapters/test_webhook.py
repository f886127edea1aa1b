"""The signed webhook: the contract, and what is its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from adapters.webhook import WebhookAdapter
from errors import ConfigurationError
from handler.message import Doc, Reply
from settings import Settings
from tests.contract import AdapterContract, Call, FakeGateway, make_app

NEW = "whsec_" + base64.b64encode(b"canary: the new secret, 32 bytes").decode()
OLD = "canary-old-secret-in-plain-letters"


def key_of(secret: str) -> bytes:
    """Written down a second time on purpose: the adapter must agree with a sender, not with itself."""
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def sign(body: bytes, *, message_id: str, timestamp: str, secret: str) -> str:
    content = message_id.encode() + b"." + timestamp.encode("latin-1") + b"." + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), content, hashlib.sha256).digest()).decode()


class TestWebhook(AdapterContract):
    adapter = WebhookAdapter
    signature_in = ("headers", "webhook-signature")
    secrets = (NEW, OLD)

    def environment(self) -> Mapping[str, str]:
        return {"WEBHOOK_SECRETS": f"{NEW}, {OLD}"}

    def payload(self, text: str, *, key: str) -> bytes:
        return json.dumps({"user": "u1", "text": text, "session": "s1"}, ensure_ascii=False).encode()

    def seal(self, payload: bytes, *, timestamp: str, key: str, secret: str) -> Call:
        headers = {
            "webhook-id": key,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(payload, message_id=key, timestamp=timestamp, secret=secret),
            "Content-Type": "application/json",
        }
        return Call("/api/webhook", payload, headers=headers)

    def reply_text(self, response: TestResponse) -> str:
        answer = response.get_json()
        assert set(answer) == {"trace_id", "reply", "source", "docs", "suggestions"}
        return str(answer["reply"])

    def error_text(self, response: TestResponse) -> str:
        answer = response.get_json()
        assert set(answer) == {"error"}
        assert set(answer["error"]) == {"code", "message"}
        return str(answer["error"]["message"])

    # what is the webhook's own

    def test_the_standard_s_published_example_is_accepted(
        self, monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
    ) -> None:
        # secret, id, timestamp, body and signature as the standard's own documents print them
        monkeypatch.setenv("WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        example = Call(
            "/api/webhook",
            b'{"test": 2432232314}',
            headers={
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp": "1614265330",
                "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            },
        )
        app = make_app(WebhookAdapter, make_settings())
        with mock.patch.object(time, "time", return_value=1614265330.0):
            response = self.call(app, example)
            changed = self.call(app, replace(example, body=b'{"test": 2432232315}'))
        # genuine, and not one of our messages
        assert (response.status_code, self.error_text(response)) == (400, "user: Field required")
        assert changed.status_code == 403

    def test_one_good_signature_among_several_is_enough(self, app: Flask) -> None:
        call = self.signed("hi")
        good = self.signature(call)
        for several in (f"v1,AAAA {good}", f"v1a,ed25519== {good} v2,BBBB"):
            assert self.call(app, self.with_signature(call, several)).status_code == 200

    def test_a_signature_behind_many_others_is_not_looked_at(self, app: Flask) -> None:
        call = self.signed("hi")
        self.assert_refused(app, self.with_signature(call, "v1,AAAA " * 8 + self.signature(call)))

    @pytest.mark.parametrize("message_id", ["", "a.b", "a b", "é", "x" * 129])
    def test_an_id_that_could_move_the_border_of_the_signed_parts_is_refused(
        self, app: Flask, message_id: str
    ) -> None:
        payload = self.payload("hi", key="")
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(self.now),
            "webhook-signature": "v1,"
            + base64.b64encode(
                hmac.new(key_of(NEW), f"{message_id}.{self.now}.".encode() + payload, hashlib.sha256).digest()
            ).decode(),
        }
        self.assert_refused(app, Call("/api/webhook", payload, headers=headers))

    def test_the_message_carries_user_session_and_deadline(self, app: Flask, gateway: FakeGateway) -> None:
        self.call(app, self.signed("hi", key="msg_1"))
        message = gateway.exchanges[0].message
        assert (message.user, message.session, message.dedupe_key) == ("u1", "s1", "msg_1")
        assert message.sent_at == self.now
        assert 20 < (message.seconds_left() or 0) <= 25

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b'{"text": "hi"}', "user"),
            (b'{"user": "u1"}', "text"),
            (b'{"user": "u1", "text": "  "}', "text"),
            (b'{"user": "u1", "text": 7}', "text"),
            (b'{"user": "u1", "text": "hi", "session": null}', "session"),
            (b'["user"]', "JSON object"),
            (b"user=u1", "JSON object"),
        ],
    )
    def test_a_malformed_message_is_told_which_field_is_wrong(
        self, app: Flask, body: bytes, named: str
    ) -> None:
        response = self.call(app, self.seal(body, timestamp=str(self.now), key="k1", secret=NEW))
        assert response.status_code == 400
        assert response.get_json()["error"]["code"] == "bad_request"
        assert named in self.error_text(response)

    def test_documents_and_suggestions_come_along(self, app: Flask, gateway: FakeGateway) -> None:
        gateway.says = lambda message: Reply(
            "see there",
            "library",
            docs=(Doc("7", "Guide", "https://example.com/7"),),
            suggestions=("and then?",),
        )
        answer = self.call(app, self.signed("hi")).get_json()
        assert answer == {
            "trace_id": "trace-1",
            "reply": "see there",
            "source": "library",
            "docs": [{"doc_id": "7", "title": "Guide", "url": "https://example.com/7"}],
            "suggestions": ["and then?"],
        }
        assert gateway.delivered == {1: "sync"}

    def test_an_apology_is_marked_as_one_and_not_as_delivered(self, app: Flask, gateway: FakeGateway) -> None:
        gateway.says = lambda message: Reply("抱歉", "system", error="coze_timeout")
        response = self.call(app, self.signed("hi"))
        assert response.status_code == 200
        assert response.get_json()["reply"] == "抱歉"
        assert response.get_json()["error"] == {"code": "coze_timeout", "message": "抱歉"}
        assert gateway.delivered == {}


def test_a_late_answer_is_promised_and_then_fetched_with_the_same_message(
    monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", NEW)
    monkeypatch.setenv("WEBHOOK_WAIT", "0.05")
    webhook = TestWebhook()
    app = make_app(WebhookAdapter, make_settings())
    gateway: FakeGateway = app.extensions["gateway"]
    gateway.gate.clear()
    call = webhook.signed("hi", now=time.time())
    early = webhook.call(app, call)
    assert early.status_code == 202
    assert early.get_json() == {"trace_id": "trace-1"}
    assert int(early.headers["Retry-After"]) > 0
    assert gateway.delivered == {}
    gateway.gate.set()
    gateway.exchanges[0].progress.wait(5)
    late = webhook.call(app, call)
    assert late.status_code == 200
    assert webhook.reply_text(late) == "answer to hi"
    assert len(gateway.exchanges) == 1


class TestSettings:
    """When the platform is on, and what stops the start."""

    def test_without_a_secret_there_is_no_endpoint(self, make_settings: Callable[..., Settings]) -> None:
        assert WebhookAdapter.build(FakeGateway(make_settings())) is None

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("whsec_not*base64*at*all*canary", "WEBHOOK_SECRETS: .*not base64"),
            ("whsec_Y2FuYXJ5", "WEBHOOK_SECRETS: .*shorter than 24"),
            ("short-canary", "WEBHOOK_SECRETS: .*shorter than 24"),
            (f"{NEW},short-canary", "WEBHOOK_SECRETS: .*shorter than 24"),
        ],
    )
    def test_a_weak_secret_stops_the_start_and_is_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings], value: str, why: str
    ) -> None:
        monkeypatch.setenv("WEBHOOK_SECRETS", value)
        with pytest.raises(ConfigurationError, match=why) as caught:
            WebhookAdapter.build(FakeGateway(make_settings()))
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_secret_without_padding_is_read(
        self, monkeypatch: pytest.MonkeyPatch, make_settings: Callable[..., Settings]
    ) -> None:
        monkeypatch.setenv("WEBHOOK_SECRETS", "whsec_" + base64.b64encode(b"x" * 25).decode().rstrip("="))
        assert WebhookAdapter.build(FakeGateway(make_settings())) is not None

    def test_secrets_are_read_from_the_env_file(self, make_settings: Callable[..., Settings]) -> None:
        Path(".env").write_text(f"WEBHOOK_SECRETS={NEW}\n", "utf-8")
        assert WebhookAdapter.build(FakeGateway(make_settings())) is not None
