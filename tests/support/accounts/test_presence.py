"""Agents who are there, or not, and how many sessions each has room for."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import update

from handler.desk import Desk as HandlersDesk
from handler.handoff import Escalation
from handler.queue_life import QueueLife
from storage.agents import SILENCE_MS
from storage.agents_tables import DeskAgent
from storage.db import now_ms
from storage.handoff_tables import Handoff
from storage.presence import Presence
from support.desk_endpoints import join_people
from tests.race import at_once
from tests.support.accounts.conftest import BY, Desk
from tests.support.accounts.test_desk_news import handlers_desk, known, told


def waiting(desk: Desk, name: str) -> int:
    number: int = desk.app.extensions["yingda"].dialogues.ensure("web", "default", name, name)
    handlers_desk(desk).escalate(number, Escalation())
    return number


def row(desk: Desk, number: int) -> Handoff:
    found = handlers_desk(desk).handoffs.get(number)
    assert found is not None
    return found


def silent_since(desk: Desk, username: str, milliseconds: int, number: int = 0) -> None:
    """As if the last heartbeat, and what was last done in a session, were so long ago."""
    before = now_ms() - milliseconds
    db = desk.app.extensions["yingda"].db
    beat = update(DeskAgent).where(DeskAgent.username == username).values(heartbeat_ms=before)
    acted = update(Handoff).where(Handoff.session_id == number).values(agent_ms=before, customer_ms=before)
    db.transact(lambda session: (session.execute(beat), session.execute(acted)))


def life(desk: Desk) -> QueueLife:
    return QueueLife(handlers_desk(desk), desk.app.extensions["yingda"].settings)


def online(desk: Desk, *usernames: str) -> None:
    for each in usernames:
        account = desk.people.agents.get(each)
        assert account is not None
        desk.people.agents.set_status(BY, account.agent, "online")


def test_nobody_takes_more_than_they_have_room_for(desk: Desk) -> None:
    desk.people.agents.change(BY, "wang", {"max_sessions": 2})
    for name in ("v1", "v2", "v3"):
        waiting(desk, name)
    headers, client = desk.bearer("wang"), desk.client()
    assert client.post("/api/sessions/v1/takeover", headers=headers).status_code == 200
    assert client.post("/api/sessions/v2/takeover", headers=headers).status_code == 200
    refused = client.post("/api/sessions/v3/takeover", headers=headers)
    assert (refused.status_code, refused.json["detail"]) == (409, "AT_CAPACITY: 小王 has 2 of 2 sessions")
    assert client.post("/api/sessions/v1/release", headers=headers).status_code == 200
    assert client.post("/api/sessions/v3/takeover", headers=headers).status_code == 200


def test_of_many_taken_at_once_no_more_than_there_is_room(desk: Desk) -> None:
    desk.people.agents.change(BY, "wang", {"max_sessions": 3})
    names = [f"v{number}" for number in range(8)]
    for each in names:
        waiting(desk, each)
    headers = desk.bearer("wang")

    def take(name: str) -> int:
        return desk.client().post(f"/api/sessions/{name}/takeover", headers=headers).status_code

    assert sorted(at_once([partial(take, each) for each in names])) == [200] * 3 + [409] * 5


def test_a_session_is_accepted_only_where_there_is_room(desk: Desk) -> None:
    desk.people.agents.change(BY, "li", {"max_sessions": 1})
    for name, who in (("v1", "wang"), ("v2", "li")):
        handlers_desk(desk).take(waiting(desk, name), known(desk, who))
    body = {"to_agent_id": "li", "reason": "r"}
    client = desk.client()
    asked = client.post("/api/sessions/v1/transfer", headers=desk.bearer("wang"), json=body).json["data"]
    path, yes = f"/api/transfer-requests/{asked['id']}/respond", {"accept": True}
    assert client.post(path, headers=desk.bearer("li"), json=yes).status_code == 409
    client.post("/api/sessions/v2/release", headers=desk.bearer("li"))
    assert client.post(path, headers=desk.bearer("li"), json=yes).status_code == 200
    nobody = {**body, "to_agent_id": "nobody"}
    assert client.post("/api/sessions/v1/transfer", headers=desk.bearer("li"), json=nobody).status_code == 404


def test_who_takes_a_session_is_there(desk: Desk) -> None:
    number = waiting(desk, "v1")
    account = desk.people.agents.get("wang")
    assert account is not None
    assert account.status == "offline"
    handlers_desk(desk).take(number, known(desk, "wang"))
    account = desk.people.agents.get("wang")
    assert account is not None
    assert account.status == "online"
    assert {"type": "agent_status", "username": "wang", "status": "online"} in told(desk)
    assert desk.audited(target="wang")[-1] == "status.changed"
    assert life(desk)() == 0


@pytest.mark.parametrize("how", ["offline", "silent", "off"])
def test_who_is_gone_loses_the_session_to_the_queue(desk: Desk, how: str) -> None:
    number = waiting(desk, "v1")
    handlers_desk(desk).take(number, known(desk, "wang"))
    account = desk.people.agents.get("wang")
    assert account is not None
    if how == "offline":
        desk.people.agents.set_status(BY, account.agent, "offline")
    elif how == "off":
        desk.people.agents.change(BY, "wang", {"enabled": False})
    else:
        silent_since(desk, "wang", SILENCE_MS - 5_000, number)
        assert life(desk)() == 0
        silent_since(desk, "wang", SILENCE_MS + 1_000, number)
    assert life(desk)() == 1
    assert (row(desk, number).status, row(desk, number).agent_username) == ("pending_manual", None)


def test_a_page_that_beats_keeps_a_session_of_which_nothing_is_heard(desk: Desk) -> None:
    number = waiting(desk, "v1")
    handlers_desk(desk).take(number, known(desk, "wang"))
    silent_since(desk, "wang", SILENCE_MS + 60_000, number)
    assert desk.client().post("/api/agent/status/heartbeat", headers=desk.bearer("wang")).status_code == 200
    assert life(desk)() == 0


def assigning(desk: Desk) -> HandlersDesk:
    front = handlers_desk(desk)
    join_people(front, Presence(desk.app.extensions["yingda"].db), assigns=True)
    return front


def test_a_waiting_customer_is_kept_for_whom_the_fewest_occupy(desk: Desk) -> None:
    front = assigning(desk)
    first = waiting(desk, "v1")
    assert life(desk)() == 0, "nobody is online"
    online(desk, "wang", "li")
    front.take(waiting(desk, "v2"), known(desk, "wang"))
    assert life(desk)() == 1
    assert row(desk, first).agent_username == "li"
    refused = desk.client().post("/api/sessions/v1/takeover", headers=desk.bearer("wang"))
    assert (refused.status_code, refused.json["detail"]) == (409, "ASSIGNED_TO_OTHER: 小李")
    assert desk.client().post("/api/sessions/v1/takeover", headers=desk.bearer("li")).status_code == 200


def test_who_let_a_customer_wait_is_not_asked_again(desk: Desk) -> None:
    front = assigning(desk)
    online(desk, "wang")
    number = waiting(desk, "v1")
    assert life(desk)() == 1
    assert front.handoffs.withdraw(number, now_ms() + 1)
    assert life(desk)() == 0
    assert row(desk, number).agent_username is None
    online(desk, "li")
    assert life(desk)() == 1
    assert row(desk, number).agent_username == "li"


def test_nobody_is_assigned_by_default(desk: Desk) -> None:
    online(desk, "wang", "li")
    number = waiting(desk, "v1")
    assert life(desk)() == 0
    assert row(desk, number).agent_username is None
