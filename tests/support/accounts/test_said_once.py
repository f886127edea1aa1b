"""A person's line that is posted twice under one key is said once, whichever gateways it is posted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app import create_app
from settings import Settings
from storage.events_tables import VisitorEvent
from storage.models import Exchange, Job, Message
from support.passwords import Passwords
from tests.engines import empty_database, migrate, on_every_engine
from tests.race import at_once
from tests.support.accounts.conftest import CHEAP, Desk

RACES = 12
SAY, REPLY = "/api/manual/messages", "/api/service_reply"


class Pair:
    """Two gateways on one database, and an agent who is signed in to both."""

    def __init__(self, desks: list[Desk]) -> None:
        self.desks = desks
        desks[0].add("wang", name="小王", max_sessions=100)
        desks[0].add("li", name="小李", max_sessions=100)
        self.yingda = desks[0].app.extensions["yingda"]

    def live(self, name: str, platform: str = "web", username: str = "wang") -> None:
        """A dialogue that this agent has; without one, it only exists."""
        self.yingda.dialogues.ensure(platform, "default", name, name)
        if username:
            took = self.post(0, f"/api/sessions/{name}/takeover", username)
            assert took.status_code == 200, took.text

    def post(self, gateway: int, path: str, username: str = "wang", **body: Any) -> TestResponse:
        desk = self.desks[gateway]
        headers = {"Idempotency-Key": body.pop("header")} if "header" in body else {}
        if username:
            headers |= desk.bearer(username)
        return desk.client().post(path, json=body, headers=headers)

    def count(self, kind: type[Any], *conditions: Any) -> int:
        with self.yingda.db.read() as session:
            return session.scalar(select(func.count()).select_from(kind).where(*conditions)) or 0

    def said(self, text: str) -> tuple[int, int]:
        """How often it stands in transcripts, and in the message log."""
        return self.count(Message, Message.text == text), self.count(Exchange, Exchange.answer == text)


@pytest.fixture(params=on_every_engine)
def pair(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pair]:
    monkeypatch.setattr("support.people.Passwords", lambda: Passwords(CHEAP))
    with ExitStack() as stack:
        url = stack.enter_context(empty_database(request.param, tmp_path))
        migrate(url)
        desks = [Desk(create_app(make_settings(database_url=url))) for _ in range(2)]
        for each in desks:
            stack.callback(each.app.extensions["yingda"].close)
        yield Pair(desks)


def test_a_line_that_reaches_two_gateways_at_once_is_one_line(pair: Pair) -> None:
    for race in range(RACES):
        pair.live(f"v{race}")
        line = {"session_name": f"v{race}", "role": "agent", "content": f"第{race}句"}
        calls = [partial(pair.post, n % 2, SAY, client_message_id="k", **line) for n in range(4)]
        answers = at_once(calls)
        assert [each.status_code for each in answers] == [200] * 4, [each.text for each in answers]
        numbers = {(each.json["data"]["message_id"], each.json["data"]["timestamp"]) for each in answers}
        assert len(numbers) == 1
        assert pair.said(f"第{race}句") == (1, 1)
    assert pair.count(VisitorEvent, VisitorEvent.kind == "manual_message") == RACES


def test_a_reply_without_an_account_that_comes_twice_at_once_takes_the_dialogue_and_is_said_once(
    pair: Pair,
) -> None:
    for race in range(RACES):
        pair.live(f"s{race}", "shop", "")
        body = {"user_id": f"s{race}", "service_msg": f"答{race}"}
        answers = at_once([partial(pair.post, n % 2, REPLY, header="k", **body) for n in range(4)])
        assert [each.status_code for each in answers] == [200] * 4, [each.text for each in answers]
        assert pair.said(f"答{race}") == (1, 1)
        other = pair.post(0, REPLY, user_id=f"s{race}", service_msg="别的", client_message_id="k")
        assert (other.status_code, other.json["code"]) == (409, 409)
        assert "KEY_REUSED" in other.json["msg"]


def test_replies_that_come_at_once_under_two_keys_are_both_said(pair: Pair) -> None:
    pair.live("s", "shop", "")
    bodies = [{"user_id": "s", "service_msg": "同一句", "client_message_id": key} for key in ("a", "b")]
    answers = at_once([partial(pair.post, n, REPLY, **body) for n, body in enumerate(bodies)])
    assert [each.status_code for each in answers] == [200, 200], [each.text for each in answers]
    assert pair.said("同一句") == (2, 2)


def test_a_key_is_this_agents_in_this_session_and_names_one_line(pair: Pair) -> None:
    pair.live("v")
    pair.live("u", username="li")
    line = {"session_name": "v", "role": "agent", "content": "您好\0"}
    first = pair.post(0, SAY, header="k", **line)
    again = pair.post(1, SAY, client_message_id="k", **line)
    assert first.json["data"]["message_id"] == again.json["data"]["message_id"]
    other = pair.post(0, SAY, header="k", **{**line, "content": "再见"})
    assert other.status_code == 409
    assert other.json["error"]["code"] == "conflict"
    assert other.json["detail"].startswith("KEY_REUSED")
    assert pair.post(0, SAY, "li", header="k", **{**line, "session_name": "u"}).status_code == 200
    assert pair.said("您好") == (2, 2)
    # a line without a key is a new one every time
    assert pair.post(0, SAY, **line).status_code == pair.post(0, SAY, **line).status_code == 200
    assert pair.said("您好") == (4, 4)


def test_a_repeated_line_gets_its_answer_after_the_session_has_ended(pair: Pair) -> None:
    pair.live("v")
    line = {"session_name": "v", "role": "agent", "content": "再见"}
    first = pair.post(0, SAY, client_message_id="k", **line)
    assert pair.post(0, "/api/sessions/v/release").status_code == 200
    again = pair.post(1, SAY, client_message_id="k", **line)
    assert (again.status_code, again.json["data"]["message_id"]) == (200, first.json["data"]["message_id"])
    refused = pair.post(1, SAY, client_message_id="new", **line)
    assert (refused.status_code, refused.json["detail"]) == (409, "INVALID_STATUS: bot_active")
    assert pair.said("再见") == (1, 1)


@pytest.mark.parametrize("key", ["a b", "k" * 129, "键", "a/b", "k\nk"])
def test_a_key_of_another_form_is_refused(pair: Pair, key: str) -> None:
    pair.live("v")
    line = {"session_name": "v", "role": "agent", "content": "您好"}
    assert pair.post(0, SAY, client_message_id=key, **line).status_code == 400
    assert pair.post(0, REPLY, user_id="v", service_msg="您好", client_message_id=key).status_code == 400
    assert pair.said("您好") == (0, 0)


def test_a_customers_line_is_kept_once_and_another_customers_is_another(pair: Pair) -> None:
    for name in ("v", "u"):
        pair.live(name)
        line = {"session_name": name, "role": "user", "content": "订单123"}
        kept = [pair.post(n, SAY, "", header="k", **line).json["data"]["message_id"] for n in range(2)]
        assert kept[0] == kept[1]
    assert pair.count(Message, Message.text == "订单123") == 2
    other = pair.post(0, SAY, "", session_name="v", role="user", content="订单456", header="k")
    assert (other.status_code, other.json["detail"][:10]) == (409, "KEY_REUSED")


def test_a_line_that_a_job_brings_has_one_job(pair: Pair) -> None:
    pair.live("o", "yishiting", "")
    name = "yishiting:default:o:o"
    assert pair.post(0, f"/api/sessions/{name}/takeover").status_code == 200
    line = {"session_name": name, "role": "agent", "content": "您好"}
    at_once([partial(pair.post, n % 2, SAY, client_message_id="k", **line) for n in range(4)])
    assert pair.count(Job, Job.kind == "callback") == 1
