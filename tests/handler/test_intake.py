"""The intake: a polite answer in time whatever ails the database, and every message taken once it is well."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, select

from adapters.base import as_json
from app import Yingda
from handler.message import InboundMessage
from sandbox.wechat import LocalWeChat
from storage.models import Exchange
from tests.rig import Rig
from texts import Texts

POLITE_SECONDS = 15.0
"""The promise is half of it; the machine may have other things to do."""
MAINTENANCE = Texts().maintenance


def parts(rig: Rig) -> Yingda:
    yingda: Yingda = rig.app.extensions["yingda"]
    return yingda


@contextmanager
def locked(rig: Rig, tmp_path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def full(rig: Rig, tmp_path: Path) -> Iterator[None]:
    engine = parts(rig).db.engine

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        # SQLite makes the file's present size of it
        connection.execute("PRAGMA max_page_count=1")

    event.listen(engine, "connect", limit)
    engine.dispose()
    yield
    event.remove(engine, "connect", limit)
    engine.dispose()


@contextmanager
def exhausted(rig: Rig, tmp_path: Path) -> Iterator[None]:
    engine = parts(rig).db.engine
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(closing(engine.raw_connection()))
            except Exception:
                break
        yield


AILMENTS = pytest.mark.parametrize("ailing", [locked, full, exhausted])


def exchanges(rig: Rig) -> list[Exchange]:
    with parts(rig).db.read() as session:
        return list(session.scalars(select(Exchange).order_by(Exchange.id)))


def recovered(rig: Rig, count: int) -> None:
    """Waits until so many messages are taken from the spool, and answered."""
    deadline = time.monotonic() + 60
    while count or parts(rig).handler.running:
        count -= parts(rig).intake.replay()
        assert time.monotonic() < deadline, f"{count} messages are missing"
        time.sleep(0.05)


@AILMENTS
def test_every_platform_is_told_in_its_own_way_and_every_message_taken_later(
    rig: Rig, tmp_path: Path, ailing: Callable[..., Iterator[None]]
) -> None:
    wechat = LocalWeChat(f"{rig.url}/api/wechat")
    # longer than what fits into the pages that a full disk still has
    long = "字" * 3000
    with ailing(rig, tmp_path):
        outcome = wechat.send_text("oFollower", f"甲{long}")
        began = time.monotonic()
        web = rig.post("/api/chat", json={"message": f"乙{long}", "user_id": "visitor"})
        stream = rig.post("/chat", json={"user": "li.lei", "msg_type": "text", "content": f"丙{long}"})
        sync = rig.post("/chat/sync", json={"user": "li.lei", "msg_type": "text", "content": f"丁{long}"})
        elapsed = time.monotonic() - began
        assert parts(rig).intake.replay() == 0
        assert parts(rig).intake.spool.waiting() == 4
    assert (outcome.text, len(outcome.tries), outcome.tries[0].status) == (MAINTENANCE, 1, 200)
    assert outcome.tries[0].seconds < POLITE_SECONDS
    assert elapsed < 3 * POLITE_SECONDS
    assert (web.status_code, web.json()) == (503, {"success": False, "error": MAINTENANCE})
    for desk in (stream, sync):
        assert (desk.status_code, desk.json()) == (503, {"code": 1, "err_msg": MAINTENANCE})
    recovered(rig, 4)
    assert [each.question[0] for each in exchanges(rig)] == ["甲", "乙", "丙", "丁"]
    assert parts(rig).intake.replay() == 0


def test_a_message_that_cannot_be_kept_either_is_asked_for_again(
    open_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = open_rig(spool_max_bytes=4096)
    wechat = LocalWeChat(f"{rig.url}/api/wechat")
    with locked(rig, tmp_path):
        assert wechat.send_text("oFollower", "甲").text == MAINTENANCE
        assert wechat.send_text("oFollower", "乙").text == Texts().send_again
        web = rig.post("/api/chat", json={"message": "丙"})
        assert (web.status_code, web.json()["error"]) == (503, Texts().send_again)
    recovered(rig, 1)
    assert [each.question for each in exchanges(rig)] == ["甲"]


@pytest.mark.parametrize(("kind", "later"), [("verified", "push"), ("unverified", None)])
def test_an_answer_from_the_spool_is_pushed_where_the_account_may_push(
    open_rig: Callable[..., Rig], tmp_path: Path, kind: str, later: str | None
) -> None:
    rig = open_rig(wechat_account_kind=kind)
    with locked(rig, tmp_path):
        LocalWeChat(f"{rig.url}/api/wechat").send_text("oFollower", "甲")
    recovered(rig, 1)
    (exchange,) = exchanges(rig)
    assert exchange.later == later


def test_a_platform_s_own_retry_and_the_spool_make_one_answer(rig: Rig, tmp_path: Path) -> None:
    wechat = LocalWeChat(f"{rig.url}/api/wechat")
    with locked(rig, tmp_path):
        wechat.send_text("oFollower", "甲", msg_id=7_000_000_001, create_time=1_700_000_000)
    time.sleep(1)
    again = wechat.send_text("oFollower", "甲", msg_id=7_000_000_001, create_time=1_700_000_000)
    assert again.text
    assert again.text != MAINTENANCE
    recovered(rig, 1)
    (exchange,) = exchanges(rig)
    assert exchange.attempts == 2
    assert exchange.answer
    assert again.text.startswith(exchange.answer)
    assert sum(each.path == "/v3/chat" for each in rig.coze.requests) == 1


def test_a_message_lost_between_claim_and_forgetting_is_claimed_once(rig: Rig, tmp_path: Path) -> None:
    message = InboundMessage("web", "default", "u", "k", "甲", request_id="trace")
    intake = parts(rig).intake
    intake.spool.keep(message)
    (file,) = (each for each in intake.spool.folder.iterdir() if each.suffix == ".json")
    copy = file.read_bytes()
    recovered(rig, 1)
    file.write_bytes(copy)
    recovered(rig, 1)
    assert len(exchanges(rig)) == 1


def test_what_customers_wrote_survives_as_they_wrote_it(rig: Rig, tmp_path: Path) -> None:
    words = "😀 ]]> \u2028 半个字"
    with locked(rig, tmp_path):
        rig.post("/api/chat", data=as_json({"message": words}), headers={"Content-Type": "application/json"})
    recovered(rig, 1)
    assert [each.question for each in exchanges(rig)] == [words]
