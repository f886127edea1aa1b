from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from adapters.yishiting import YishitingAdapter
from sandbox.desk import LocalDesk, create_desk
from sandbox.serve import Server
from tests.rig import Rig


@dataclass
class Late:
    """A gateway that works on its jobs, and the desk that late answers are posted to."""

    desk: LocalDesk
    url: str
    """The desk's callback address."""
    open: Callable[..., Rig] = field(repr=False)

    @property
    def host(self) -> str:
        return self.url.split("/")[2]

    def rig(self, **settings: Any) -> Rig:
        """With little patience, so that [[delay:1]] is too long; works on jobs."""
        given = {"yishiting_budget": 0.4, "yishiting_callback_hosts": self.host, **settings}
        rig = self.open(**given)
        yingda = rig.app.extensions["yingda"]
        (adapter,) = (each for each in yingda.adapters if isinstance(each, YishitingAdapter))
        adapter.listens = 1.5
        yingda.runner.poll = 0.1
        yingda.runner.start()
        return rig


@pytest.fixture
def late(open_rig: Callable[..., Rig]) -> Iterator[Late]:
    desk = LocalDesk()
    app = Flask("desk")
    app.register_blueprint(create_desk(desk))
    with Server(app) as server:
        yield Late(desk, f"{server.url}/_desk/callback", open_rig)
