"""The dry run of the escalation rules, as an operator sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from sqlalchemy import func, select

from storage.db import now_ms
from storage.handoff_tables import Handoff
from storage.models import Exchange
from tests.support.accounts.conftest import Desk

DAY_MS = 24 * 3600 * 1000


def log(desk: Desk, name: str, question: str, *, error: str | None = None, days: float = 0) -> None:
    yingda = desk.app.extensions["yingda"]
    number = yingda.dialogues.ensure("web", "default", name, name)
    row = Exchange(
        trace_id="t",
        session_id=number,
        platform="web",
        account="default",
        user_id=name,
        session_key=name,
        dedupe_key=f"{name}{question}{now_ms()}"[-64:],
        kind="text",
        question=question,
        raw={},
        status="delivered",
        lease_ms=0,
        attempts=1,
        coze_calls=1,
        answer="" if error else "好的",
        source="coze",
        error_code=error,
        truncated=False,
        docs=[],
        suggestions=[],
        created_ms=now_ms() - round(days * DAY_MS),
    )
    yingda.db.transact(lambda session: session.add(row))


def run(desk: Desk, *words: str) -> Result:
    return desk.app.test_cli_runner().invoke(args=["desk", "dry-run", *words])


def test_an_operator_reads_whom_each_rule_would_have_put_through(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.handoff_replay.BATCH", 2)
    desk = make_desk(regulator_keywords="请转人工", regulator_fail_threshold=2, regulator_vip_users="v-vip")
    for number in range(3):
        log(desk, "v-failing", f"问{number}", error="coze_timeout")
    log(desk, "v-calling", "请转人工，我的秘密是一二三")
    log(desk, "v-calling-long-ago", "请转人工", days=8)
    log(desk, "v-content", "你好")
    result = run(desk)
    assert result.exit_code == 0, result.output
    assert "3 sessions wrote in the last 7 days." in result.output
    assert "keyword (phrases of REGULATOR_KEYWORDS): 1 sessions, 33.3%" in result.output
    assert "fail_loop (failed answers in a row): 1 sessions" in result.output
    assert "vip (VIPs, put through at once): 0 sessions" in result.output
    assert "v-failing" in result.output
    assert "v-content" not in result.output
    assert "秘密" not in result.output
    assert "keyword (phrases of REGULATOR_KEYWORDS): 2 sessions" in run(desk, "--days", "30").output
    assert "… and 1 more" in run(desk, "--days", "30", "--shown", "1").output
    with desk.app.extensions["yingda"].db.read() as session:
        assert session.scalar(select(func.count()).select_from(Handoff)) == 0, "it changes nothing"


def test_an_empty_log_is_no_error(desk: Desk) -> None:
    result = run(desk)
    assert (result.exit_code, "0 sessions wrote" in result.output) == (0, True)
    assert run(desk, "--days", "0").exit_code == 2
