"""An endpoint of the desk: the right it needs stands beside its path, and is checked before its view runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, request

from adapters.base import Route, as_json
from errors import NotFound, YingdaError
from support.agent import Agent
from support.bodies import USERNAME
from support.guard import Guard
from support.rights import Action
from support.sign_ins import Throttled

log = logging.getLogger(__name__)

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class DeskRoute(Route):
    """A route that says what its caller must be entitled to; None: it is open to whoever is not signed in."""

    action: Action | None = None
    also: str = ""
    """Who else may call it, without a sign-in, for what is theirs."""


def entered(
    guard: Guard,
    action: Action,
    view: Callable[..., Response],
    refuse: Callable[[YingdaError], Response] | None = None,
) -> Callable[..., Response]:
    """The view, called with the agent first, for those who are entitled to `action`.

    A path with `<username>` is about that account: of the agent's own, or of another. A view whose object
    is known only once it is looked up asks `guard.entitled(action, own)` again then.
    """

    def steps(**path: str) -> Response:
        agent = guard.entitled(action)
        if "username" in path:
            # in the one form in which it is kept: what a column would make equal later must be equal here
            path["username"] = path["username"].lower()
            guard.entitled(action, own=path["username"] == agent.username)
            if not re.fullmatch(USERNAME, path["username"], re.ASCII):
                raise NotFound("there is no such account")
        return view(agent, **path)

    return opened(steps, refuse)


def opened(
    view: Callable[..., Response], refuse: Callable[[YingdaError], Response] | None = None
) -> Callable[..., Response]:
    """The view, with every failure in the desk's error shape, and with answers that nobody stores."""

    def steps(**path: str) -> Response:
        try:
            response = view(**path)
        except YingdaError as error:
            if error.status in {401, 403}:
                log.info("refused", extra={"path": request.path, "error": error.code, "why": error.message})
            response = (refuse or refused)(error)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return steps


def refused(error: YingdaError) -> Response:
    """The JSON of an error: `detail` is what older clients read."""
    response = answered(
        {
            "success": False,
            "detail": error.message,
            "error": {"code": error.code, "message": error.message},
        },
        error.status,
    )
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(error.seconds)
    elif error.status in {429, 503}:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def answered(content: dict[str, object], status: int = 200) -> Response:
    """JSON; keys without a value stay, since clients of before read them."""
    return Response(as_json(content), status=status, mimetype="application/json")


def named(agent: Agent) -> dict[str, object]:
    """An agent in an answer, in short."""
    return {"id": agent.username, "username": agent.username, "name": agent.name, "role": agent.role}
