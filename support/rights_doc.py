"""docs/rights.md, made from the table of rights and from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adapters.base import Route
from support.rights import MEANING, RIGHTS, ROLES
from support.routes import DeskRoute

HEAD = """# Who may do what at the desk

Made by `flask agents rights` from `support/rights.py` and the routes: do not edit. A test asks every endpoint
in every role, on objects of one's own and of others.

`own`: on objects of one's own (an account is its holder's, a session that of the agent it is assigned to, a
transfer request its target's); `others`: on all but those; `all`: on any; `–`: not at all.
"""


def markdown(routes: Sequence[Route]) -> str:
    """The text of docs/rights.md."""
    lines = [*HEAD.splitlines(), "", "## Actions", ""]
    lines += [f"| action | means | {' | '.join(ROLES)} |", "|---" * (2 + len(ROLES)) + "|"]
    for action, scopes in RIGHTS.items():
        shown = " | ".join("–" if each == "none" else each for each in scopes)
        lines.append(f"| `{action}` | {MEANING[action]} | {shown} |")
    lines += ["", "## Endpoints", "", "| endpoint | action |", "|---|---|"]
    for route in routes:
        if isinstance(route, DeskRoute):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
            needed = f"`{route.action}`" if route.action else "nobody has to be signed in"
            needed += f", or {route.also}" * bool(route.also)
            methods = "/".join(each for each in route.methods if each != "OPTIONS")
            lines.append(f"| `{methods} {path}` | {needed} |")
    lines += [
        "",
        "`PUT /api/agents/{username}` takes `role`, `max_sessions` and `enabled` from those who may also",
        "`accounts.administer`, and so does `GET /api/agents?all=true`.",
    ]
    return "\n".join(lines) + "\n"
