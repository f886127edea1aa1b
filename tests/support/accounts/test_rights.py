"""Every role at every endpoint, on its own objects and on others': exactly what the matrix says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from flask import Flask

from storage.canned_replies import CannedReplies
from support.agent import Role
from support.rights import MEANING, RIGHTS, ROLES, Action, allows, scope
from support.rights_doc import markdown
from support.routes import DeskRoute
from tests.support.accounts.conftest import BY, HASH, PASSWORD, Desk
from tests.support.accounts.test_session_rights import REQUESTS

NEW = "a new good phrase"
PASSWORDS = {"old": PASSWORD, "new": NEW, "again": NEW}
fresh = map("user{}".format, itertools.count())
EXAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "POST /api/agent/logout": dict,
    "POST /api/agent/logout-everywhere": dict,
    "POST /api/agent/change-password": lambda: {"json": {"old_password": PASSWORD, "new_password": NEW}},
    "GET /api/agent/profile": dict,
    "GET /api/agent/status": dict,
    "PUT /api/agent/status": lambda: {"json": {"status": "busy"}},
    "POST /api/agent/status/heartbeat": dict,
    "GET /api/agent/events": dict,
    "GET /api/agents": dict,
    "POST /api/agents": lambda: {"json": {"username": next(fresh), "password": NEW}},
    "PUT /api/agents/<username>": lambda: {"json": {"name": next(fresh)}},
    "DELETE /api/agents/<username>": dict,
    "POST /api/agents/<username>/reset-password": lambda: {"json": {"new_password": NEW}},
    "GET /api/audit": dict,
    "GET /console": dict,
    "GET /console/account": dict,
    "GET /api/workbench": dict,
    "GET /api/canned-replies": dict,
    "POST /api/canned-replies": lambda: {"json": {"key": next(fresh), "text": "您好"}},
    "PUT /api/canned-replies/<int:number>": lambda: {"json": {"key": next(fresh), "text": "您好"}},
    "DELETE /api/canned-replies/<int:number>": dict,
    "GET /console/replies": dict,
    "GET /console/audit": dict,
    "POST /console/replies": lambda: {"data": {"key": next(fresh), "text": "您好"}},
    "POST /console/replies/<int:number>": lambda: {"data": {"key": next(fresh), "text": "您好"}},
    "POST /console/replies/<int:number>/delete": dict,
    "GET /api/workbench/numbers": dict,
    "POST /console/status": lambda: {"data": {"status": "online"}},
    "POST /console/logout": dict,
    "POST /console/logout-everywhere": dict,
    "GET /console/password": dict,
    "POST /console/password": lambda: {"data": PASSWORDS},
    "GET /console/accounts": dict,
    "POST /console/accounts": lambda: {"data": {"username": next(fresh), "password": NEW}},
    "POST /console/accounts/<username>/change": lambda: {"data": {"name": next(fresh)}},
    "POST /console/accounts/<username>/on": dict,
    "POST /console/accounts/<username>/off": dict,
    "POST /console/accounts/<username>/password": lambda: {"data": {"password": NEW}},
}
"""A request that each endpoint takes, if its caller may make it."""


def desk_routes(app: Flask) -> list[DeskRoute]:
    return [each for each in app.extensions["yingda"].routes if isinstance(each, DeskRoute)]


@pytest.mark.parametrize("role", ROLES)
def test_each_endpoint_does_for_this_role_what_the_matrix_says(
    make_desk: Callable[..., Desk], role: Role
) -> None:
    desk = make_desk()
    desk.add("me", role)
    desk.add("keeper", "admin")
    desk.add("other")
    asked = 0
    for route in desk_routes(desk.app):
        method = route.methods[0]
        if route.action is None or f"{method} {route.path}" in REQUESTS:
            continue
        example = EXAMPLES[f"{method} {route.path}"]
        for whose in ("me", "other") if "<username>" in route.path else ("me",):
            desk.people.agents.set_password(BY, "me", HASH, action="password.reset")
            path = route.path.replace("<username>", whose)
            if "<int:number>" in path:
                canned = CannedReplies(desk.people.agents.db).add(BY, next(fresh), "您好")
                path = path.replace("<int:number>", str(canned.id))
            response = desk.client().open(path, method=method, headers=desk.bearer("me"), **example())
            may = allows(role, route.action, whose == "me")
            expected = {200, 201, 303} if may else {403}
            assert response.status_code in expected, f"{role} {method} {path}: {response.status}"
            response.close()
            asked += 1
    assert asked > len(EXAMPLES)


def test_nobody_gets_anywhere_without_a_sign_in(desk: Desk) -> None:
    for route in desk_routes(desk.app):
        if route.action is not None and not route.also:
            path = route.path.replace("<username>", "wang")
            path = re.sub(r"<int:\w+>", "1", path.replace("<path:name>", "v1"))
            response = desk.client().open(path, method=route.methods[0])
            if path.startswith("/console"):
                assert (response.status_code, response.location) == (303, "/console/login"), path
            else:
                assert response.status_code == 401, path


def test_every_endpoint_below_the_desks_paths_declares_what_it_needs(desk: Desk) -> None:
    open_to_all = {
        "/api/agent/login",
        "/api/auth/agent/login",
        "/api/agent/refresh",
        "/api/manual/escalate",
        "/api/manual/rating",
        "/api/shift/config",
        "/api/shift/status",
        "/console/login",
        "/console/static/<name>",
    }
    for route in desk.app.extensions["yingda"].routes:
        if re.match(
            r"/(console|api/(agents?|auth|audit|sessions|transfer-requests|manual|shift))(/|$)", route.path
        ):
            assert isinstance(route, DeskRoute), route.path
            assert (route.action is None) == (route.path in open_to_all), route.path
    used = {route.action for route in desk_routes(desk.app)} - {None}
    assert used == set(RIGHTS) == set(MEANING) == set(get_args(Action))


def test_the_matrix_gives_a_higher_role_never_less() -> None:
    reach = {"none": 0, "own": 1, "others": 1, "all": 2}
    for action in RIGHTS:
        granted = [reach[scope(role, action)] for role in ROLES]
        assert granted == sorted(granted), action
    assert {action for action in RIGHTS if allows("guest", action, False)} == {
        "accounts.list",
        "sessions.read",
    }


@pytest.mark.parametrize(
    "body", [{"role": "admin"}, {"max_sessions": 9}, {"enabled": True}, {"name": "x", "role": "agent"}]
)
def test_ones_own_account_is_not_ones_own_to_promote(desk: Desk, body: dict[str, object]) -> None:
    response = desk.client().put("/api/agents/wang", headers=desk.bearer("wang"), json=body)
    assert response.status_code == 403
    account = desk.people.agents.get("wang")
    assert account is not None
    assert (account.role, account.name, account.max_sessions) == ("agent", "小王", 5)
    assert desk.client().get("/api/agents?all=true", headers=desk.bearer("wang")).status_code == 403


def test_the_guard_of_the_desk_checks_roles(desk: Desk) -> None:
    from errors import Forbidden, Unauthorized

    guard = desk.people.guard
    with desk.app.test_request_context(headers=desk.bearer("wang")):
        assert guard.agent().username == "wang"
        assert guard.agent("agent", "supervisor").name == "小王"
        with pytest.raises(Forbidden):
            guard.agent("supervisor", "admin")
    with desk.app.test_request_context(), pytest.raises(Unauthorized):
        guard.agent()


def test_the_page_about_rights_says_what_the_code_says(desk: Desk) -> None:
    written = markdown(desk.app.extensions["yingda"].routes)
    page = Path(__file__).parents[3] / "docs/rights.md"
    assert page.read_text("utf-8") == written, "run `flask agents rights > docs/rights.md`"
    result = desk.app.test_cli_runner().invoke(args=["agents", "rights"])
    assert result.output == written
