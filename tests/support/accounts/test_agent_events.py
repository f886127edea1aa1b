"""The stream of a signed-in agent: across processes, from where it was, and only while signed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import requests

from sandbox.serve import Server
from storage.agent_events import EVERYONE, tell
from tests.support.accounts.conftest import BY, HASH, Desk


@contextmanager
def listening(url: str, headers: dict[str, str], last: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
    """Id and content of each event; the first has no content and says where it begins."""
    headers = {**headers, **({"Last-Event-ID": last} if last else {})}
    response = requests.get(f"{url}/api/agent/events", headers=headers, stream=True, timeout=(2, 20))
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("text/event-stream")

    def events() -> Iterator[tuple[str, Any]]:
        for frame in response.iter_lines(delimiter=b"\n\n", chunk_size=1):
            lines = dict(each.split(": ", 1) for each in frame.decode().splitlines() if ": " in each)
            if "id" in lines:
                yield lines["id"], json.loads(lines["data"]) if "data" in lines else None

    with closing(response):
        yield events()


def say(desk: Desk, agent: str, words: str) -> int:
    number = EVERYONE
    if agent:
        account = desk.people.agents.get(agent)
        assert account is not None
        number = account.id
    db = desk.app.extensions["yingda"].db
    return db.transact(lambda session: tell(session, number, "note", {"content": words}))


def test_an_agent_hears_what_is_for_it_and_what_is_for_everyone(desk: Desk, served: str) -> None:
    say(desk, "wang", "从前")
    with listening(served, desk.bearer("wang")) as events:
        assert next(events)[1] is None
        say(desk, "li", "别人的")
        say(desk, "wang", "一")
        last = say(desk, "", "众")
        assert next(events)[1] == {"type": "note", "content": "一"}
        assert next(events) == (str(last), {"type": "note", "content": "众"})
    missed = say(desk, "wang", "二")
    with listening(served, desk.bearer("wang"), last=str(last)) as events:
        assert next(events) == (str(last), None)
        assert next(events)[0] == str(missed)


def test_what_another_process_does_is_heard_here(
    desk: Desk, served: str, make_desk: Callable[..., Desk]
) -> None:
    other = make_desk()
    with Server(other.app) as second, listening(served, desk.bearer("li")) as events:
        next(events)
        response = requests.put(
            f"{second.url}/api/agent/status",
            headers=desk.bearer("wang"),
            json={"status": "busy"},
            timeout=(2, 20),
        )
        assert response.status_code == 200
        assert next(events)[1] == {"type": "agent_status", "username": "wang", "status": "busy"}


@pytest.mark.parametrize("how", ["password", "everywhere", "role"])
def test_a_stream_ends_with_its_sign_in(desk: Desk, served: str, how: str) -> None:
    with listening(served, desk.bearer("wang")) as events, listening(served, desk.bearer("li")) as others:
        next(events), next(others)
        if how == "password":
            desk.people.agents.set_password(BY, "wang", HASH, action="password.reset")
        elif how == "role":
            desk.people.agents.change(BY, "wang", {"role": "guest"})
        else:
            account = desk.people.agents.get("wang")
            assert account is not None
            desk.people.logins.end_all(BY, account.agent)
        assert [each for _, each in events] == [{"type": "signed_out"}]
        say(desk, "", "还在")
        assert next(others)[1] == {"type": "note", "content": "还在"}


def test_a_sign_in_that_ended_quietly_hears_nothing_more(
    desk: Desk, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.agent_api.LOOK_SECONDS", 0.0)
    login = desk.login("wang")
    header = {"Authorization": f"Bearer {desk.people.tokens.issue(login, 'access')}"}
    with listening(served, header) as events:
        next(events)
        desk.people.logins.end(BY, login)
        say(desk, "wang", "秘密")
        assert [each for _, each in events] == [{"type": "signed_out"}]


def test_only_the_signed_in_may_listen_and_a_strange_place_is_refused(desk: Desk, served: str) -> None:
    assert requests.get(f"{served}/api/agent/events", timeout=(2, 20)).status_code == 401
    headers = {**desk.bearer("wang"), "Last-Event-ID": "x"}
    assert requests.get(f"{served}/api/agent/events", headers=headers, timeout=(2, 20)).status_code == 400


def test_a_process_that_leaves_ends_its_streams(desk: Desk, served: str) -> None:
    with listening(served, desk.bearer("wang")) as events:
        next(events)
        desk.app.extensions["yingda"].hang_up()
        assert list(events) == []
    assert desk.people.listening.listeners == 0
