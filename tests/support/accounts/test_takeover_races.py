"""Two gateways on one database: of two agents who take a session at once, exactly one has it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import create_app
from handler.desk import Desk as HandlersDesk
from handler.handoff import Escalation
from settings import Settings
from storage.handoff_tables import HandoffStep
from support.passwords import Passwords
from tests.engines import empty_database, migrate, on_every_engine
from tests.race import at_once
from tests.support.accounts.conftest import CHEAP, Desk

RACES = 200


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", on_every_engine)
def test_each_of_200_races_between_two_gateways_has_one_winner(
    engine: str,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("support.people.Passwords", lambda: Passwords(CHEAP))
    with ExitStack() as stack:
        url = stack.enter_context(empty_database(engine, tmp_path))
        migrate(url)
        desks = [Desk(create_app(make_settings(database_url=url))) for _ in range(2)]
        for each in desks:
            stack.callback(each.app.extensions["yingda"].close)
        names = {"wang": "小王", "li": "小李"}
        for username, name in names.items():
            desks[0].add(username, name=name, max_sessions=2 * RACES)
        headers = {username: desks[0].bearer(username) for username in names}
        yingda = desks[0].app.extensions["yingda"]
        front: HandlersDesk = yingda.desk.desk

        def take(desk: Desk, path: str, username: str) -> TestResponse:
            return desk.client().post(path, headers=headers[username])

        won = dict.fromkeys(names, 0)
        for race in range(RACES):
            number = yingda.dialogues.ensure("web", "default", f"v{race}", f"v{race}")
            front.handoffs.escalate(number, Escalation(), actor="customer", limit=1000, line="请求人工")
            path = f"/api/sessions/v{race}/takeover"
            pairs = zip(desks, names if race % 2 else reversed(names), strict=True)
            racers = [(desk, username) for desk, username in pairs]
            answers = at_once([partial(take, desk, path, username) for desk, username in racers])
            outcomes = {username: got for (_, username), got in zip(racers, answers, strict=True)}
            [winner] = [username for username, got in outcomes.items() if got.status_code == 200]
            [loser] = set(names) - {winner}
            assert outcomes[loser].status_code == 409
            assert outcomes[loser].json["detail"] == f"ALREADY_TAKEN: {names[winner]}"
            row = front.handoffs.get(number)
            assert row is not None
            assert (row.status, row.agent_username) == ("manual_live", winner)
            won[winner] += 1
        with yingda.db.read() as session:
            taken = session.scalars(select(HandoffStep).where(HandoffStep.action == "takeover")).all()
        assert len({each.session_id for each in taken}) == len(taken) == sum(won.values()) == RACES
