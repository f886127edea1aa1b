"""Liveness never depends on anything; readiness names each cause in words, soon."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app import Yingda
from handler.message import InboundMessage
from storage.db import patiently
from tests.rig import Rig

SOON = 15.0
"""The promise is two seconds; the machine may have other things to do."""


def parts(rig: Rig) -> Yingda:
    yingda: Yingda = rig.app.extensions["yingda"]
    return yingda


def test_a_gateway_that_has_all_it_needs_is_ready(rig: Rig) -> None:
    ready = rig.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"database": "ok", "spool": "ok", "coze": "ok", "wechat": "ok"},
        "spooled": {"waiting": 0, "set_aside": 0},
    }


def test_a_locked_database_is_named_with_what_waits_for_it(rig: Rig, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        for number in range(2):
            assert rig.post("/api/chat", json={"message": f"第{number}问"}).status_code == 503
        began = time.monotonic()
        ready = rig.get("/readyz")
        assert time.monotonic() - began < SOON
        assert rig.get("/healthz").json() == {"status": "alive"}
        connection.execute("ROLLBACK")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "the database does not answer"
    assert ready.json()["checks"]["spool"] == "2 messages wait for the database"
    assert ready.json()["spooled"] == {"waiting": 2, "set_aside": 0}
    patiently(parts(rig).db.touch, 10)
    assert parts(rig).intake.replay() == 2
    assert rig.get("/readyz").status_code == 200


def test_a_database_that_was_never_there_is_named_and_its_address_is_not(
    open_rig: Callable[..., Rig],
) -> None:
    rig = open_rig(database_url="postgresql+psycopg://somebody:secret-word@127.0.0.1:1/none")
    ready = rig.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "the database does not answer")
    assert not {word for word in ("somebody", "secret-word", "127.0.0.1") if word in ready.text}
    assert rig.get("/healthz").status_code == 200


def test_what_was_set_aside_is_counted_and_stops_no_traffic(rig: Rig) -> None:
    spool = parts(rig).intake.spool
    spool.keep(InboundMessage("web", "default", "u", "k", "甲"))
    (file,) = (each for each in spool.folder.iterdir() if each.suffix == ".json")
    file.write_text("{")
    assert parts(rig).intake.replay() == 0
    ready = rig.get("/readyz")
    assert (ready.status_code, ready.json()["spooled"]) == (200, {"waiting": 0, "set_aside": 1})
