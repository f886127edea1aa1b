"""What the endpoints of the desk know of sign-in."""

from __future__ import annotations

from typing import Protocol

from support.agent import Agent, Role
from support.rights import Action


class Guard(Protocol):
    """Who is signed in, for the endpoints of the desk."""

    def agent(self, *roles: Role) -> Agent:
        """The request's agent, who has one of these roles (none named: any).

        Raises `Unauthorized` without a valid sign-in, `Forbidden` for another role.
        """
        ...

    def entitled(self, action: Action, own: bool | None = None) -> Agent:
        """The request's agent, who may do this, to an object of its own or of another (None: to some object).

        Raises as `agent`.
        """
        ...
