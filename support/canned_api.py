"""Canned replies: `/api/canned-replies` for the workbench and programs, `/console/replies` for keepers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from flask import Response, request
from pydantic import AfterValidator, StringConstraints

from adapters.base import read_body, validated
from adapters.shape import Shape
from errors import YingdaError
from storage.agents import Agents
from storage.canned_replies import Canned, CannedReplies
from storage.columns import storable
from support import pages
from support.agent import Agent
from support.console import Console
from support.pages import form, page, see
from support.rights import Action, allows
from support.routes import DeskRoute, answered, entered
from support.signed_in import by
from support.words import explained

View = Callable[..., Response]


def _kept(text: str) -> str:
    if storable(text) != text:
        raise ValueError("must be text")
    return text


class NewCanned(Shape):
    """A canned reply. In `text`, `{name}` becomes the customer's name and `{agent}` the agent's."""

    key: Annotated[
        str,
        StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[^\s/]+$", max_length=32),
        AfterValidator(_kept),
    ]
    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(_kept)
    ]


class CannedShown(NewCanned):
    id: int


class CannedAnswer(Shape):
    success: Literal[True] = True
    reply: CannedShown


class CannedList(Shape):
    success: Literal[True] = True
    replies: list[CannedShown]


class CannedApi:
    """The endpoints and the page."""

    def __init__(self, replies: CannedReplies, agents: Agents, console: Console) -> None:
        self._replies = replies
        self._agents = agents
        self._console = console

    def routes(self) -> Sequence[DeskRoute]:
        guard, one = self._console.guard, "/<int:number>"

        def api(action: Action, path: str, method: str, view: View, summary: str, **more: Any) -> DeskRoute:
            steps = entered(guard, action, view)
            return DeskRoute(f"/api/canned-replies{path}", (method,), steps, summary, tag="desk",
                             action=action, **more)  # fmt: skip

        def html(action: Action, path: str, method: str, view: View, summary: str) -> DeskRoute:
            steps = entered(guard, action, view, self._console.refused)
            return DeskRoute(f"/console/replies{path}", (method,), steps, summary, tag="console",
                             content_type="text/html", action=action)  # fmt: skip

        return (
            api("canned.read", "", "GET", self.list, "The canned replies", answer=CannedList),
            api("canned.keep", "", "POST", self.add, "Add one", body=NewCanned, answer=CannedAnswer),
            api("canned.keep", one, "PUT", self.change, "Rewrite one", body=NewCanned, answer=CannedAnswer),
            api("canned.keep", one, "DELETE", self.remove, "Delete one"),
            html("canned.read", "", "GET", self.page, "Page of the canned replies"),
            html("canned.keep", "", "POST", self.add_by_form, "Add one"),
            html("canned.keep", one, "POST", self.change_by_form, "Rewrite one"),
            html("canned.keep", f"{one}/delete", "POST", self.remove_by_form, "Delete one"),
        )

    def list(self, agent: Agent) -> Response:
        return answered(CannedList(replies=[_shown(each) for each in self._replies.all()]).model_dump())

    def add(self, agent: Agent) -> Response:
        body = validated(NewCanned, read_body(request))
        made = self._replies.add(by(agent.username), body.key, body.text)
        return answered(CannedAnswer(reply=_shown(made)).model_dump(), 201)

    def change(self, agent: Agent, number: int) -> Response:
        body = validated(NewCanned, read_body(request))
        made = self._replies.change(by(agent.username), number, body.key, body.text)
        return answered(CannedAnswer(reply=_shown(made)).model_dump())

    def remove(self, agent: Agent, number: int) -> Response:
        self._replies.remove(by(agent.username), number)
        return answered({"success": True})

    def page(
        self, agent: Agent, error: str = "", status: int = 200, key: str = "", text: str = ""
    ) -> Response:
        return page(
            "replies.html",
            status,
            account=self._agents.get(agent.username),
            replies=self._replies.all(),
            keeps=allows(agent.role, "canned.keep", None),
            typed={"key": key, "text": text},
            error=error,
        )

    def add_by_form(self, agent: Agent) -> Response:
        fields = form()
        try:
            body = validated(NewCanned, dict(fields))
            self._replies.add(by(agent.username), body.key, body.text)
        except YingdaError as error:
            typed = fields.get("key", "")[:32], fields.get("text", "")[:2000]
            return self.page(agent, explained(error, pages.words()), error.status, *typed)
        return see("/console/replies?done=saved")

    def change_by_form(self, agent: Agent, number: int) -> Response:
        try:
            body = validated(NewCanned, dict(form()))
            self._replies.change(by(agent.username), number, body.key, body.text)
        except YingdaError as error:
            return self.page(agent, explained(error, pages.words()), error.status)
        return see("/console/replies?done=saved")

    def remove_by_form(self, agent: Agent, number: int) -> Response:
        try:
            self._replies.remove(by(agent.username), number)
        except YingdaError as error:
            return self.page(agent, explained(error, pages.words()), error.status)
        return see("/console/replies?done=saved")


def _shown(reply: Canned) -> CannedShown:
    return CannedShown(id=reply.id, key=reply.shortcut, text=reply.text)
