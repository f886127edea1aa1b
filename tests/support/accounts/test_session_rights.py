"""Every role at every endpoint about sessions, on its own and on another's: exactly what the matrix says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handler.handoff import Escalation, Person
from handler.message import Picture
from storage.handoff_requests import HandoffRequests
from storage.handoff_tables import Handoff
from support.agent import Role
from support.rights import ROLES, allows
from support.routes import DeskRoute
from tests.support.accounts.conftest import BY, Desk

ONE = "/api/sessions/<path:name>"
REQUESTS: dict[str, dict[str, Any]] = {
    "GET /api/sessions": {},
    "GET /api/sessions/queue": {},
    "GET /api/sessions/stats": {},
    f"GET {ONE}": {},
    f"POST {ONE}/takeover": {},
    f"POST {ONE}/release": {},
    f"POST {ONE}/transfer": {"to_agent_id": "third", "reason": "专业问题"},
    f"GET {ONE}/notes": {},
    f"POST {ONE}/notes": {"content": "n"},
    f"PUT {ONE}/tags": {"tags": ["t"]},
    f"PUT {ONE}/mark": {"vip": True},
    f"PUT {ONE}/profile": {"email": "a@example.com"},
    f"POST {ONE}/messages/<int:number>/retry": {},
    f"GET {ONE}/messages/<int:number>/media/<int:place>": {},
    f"POST {ONE}/reassign": {"to_agent_id": "third"},
    f"POST {ONE}/whisper": {"content": "w"},
    f"POST {ONE}/presence": {"doing": "typing"},
    "GET /api/transfer-requests": {},
    "POST /api/transfer-requests/<int:number>/respond": {"accept": False},
    "POST /api/manual/messages": {"role": "agent", "content": "您好"},
    "POST /api/manual/pictures": {},
}
"""A body that each endpoint takes, if its caller may send it."""
PNG = Picture(b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")


def case(desk: Desk, route: DeskRoute, name: str, whose: str) -> str:
    """A fresh session that this agent has, and the path of the route for it; to be taken, it only waits."""
    people, front = desk.people, desk.app.extensions["yingda"].desk.desk
    persons = {each.username: Person(each.id, each.username, each.name) for each in people.agents.all()}
    number = desk.app.extensions["yingda"].dialogues.ensure("web", "default", name, name)
    path = route.path.replace("<path:name>", name)
    if path.endswith("takeover"):
        front.escalate(number, Escalation())
        return path
    requests = HandoffRequests(front.handoffs)
    if path.startswith("/api/transfer-requests/"):
        front.take(number, persons["third"])
        asked = requests.ask(number, "third", persons[whose], "r", "", anybodys=False)
        return path.replace("<int:number>", str(asked.id))
    front.take(number, persons[whose])
    if path.endswith("/media/<int:place>"):
        line = front.show(number, persons[whose], PNG, "/api/pictures").message_id
        return path.replace("<int:number>", str(line)).replace("<int:place>", "0")
    if "<int:number>" in path:
        line = front.say(number, persons[whose], "在的").message_id
        path = path.replace("<int:number>", str(line))
    return path


@pytest.mark.parametrize("role", ROLES)
def test_each_endpoint_about_sessions_does_what_the_matrix_says(
    make_desk: Callable[..., Desk], role: Role
) -> None:
    desk = make_desk()
    for username in ("other", "third"):
        desk.add(username, max_sessions=99)
    desk.add("me", role, max_sessions=99)
    third = desk.people.agents.get("third")
    assert third is not None
    desk.people.agents.set_status(BY, third.agent, "online")
    bearer, asked = desk.bearer("me"), set()
    for route in desk.app.extensions["yingda"].routes:
        key = f"{route.methods[0]} {route.path}"
        if key not in REQUESTS:
            continue
        assert isinstance(route, DeskRoute), key
        assert route.action is not None, key
        for whose in ("me", "other"):
            name = f"v{len(asked)}-{whose}"
            path = case(desk, route, name, whose)
            body = {"session_name": name, **REQUESTS[key]} if "manual" in key else REQUESTS[key]
            body = {} if route.methods[0] == "GET" else {"json": body}
            if key.endswith("/pictures"):
                body = {"query_string": {"session_name": name}, "data": PNG.content}
            response = desk.client().open(path, method=route.methods[0], headers=bearer, **body)
            may = allows(role, route.action, whose == "me")
            # who may talk to some customers is told who talks to this one
            else_ = 409 if route.action == "sessions.say" and role != "guest" else 403
            expected = {200, 201} if may else {else_}
            assert response.status_code in expected, f"{role} {key} {whose}: {response.text}"
        asked.add(key)
    assert asked == set(REQUESTS)


def test_what_a_role_may_not_do_changes_nothing(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    for username in ("me", "other", "third"):
        desk.add(username)
    desk.add("looker", "guest")
    yingda = desk.app.extensions["yingda"]
    other = desk.people.agents.get("other")
    assert other is not None
    number = yingda.dialogues.ensure("web", "default", "v", "v")
    yingda.desk.desk.take(number, Person(other.id, "other", "other"))

    def row() -> Handoff:
        found: Handoff = yingda.desk.desk.handoffs.get(number)
        return found

    before = row().revision
    for username in ("me", "looker"):
        for key in ("release", "transfer"):
            response = desk.client().post(
                f"/api/sessions/v/{key}",
                headers=desk.bearer(username),
                json={"to_agent_id": "third", "reason": "r"},
            )
            assert response.status_code == 403
    assert (row().revision, row().agent_username) == (before, "other")
