"""A client that asks and never reads."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from storage.db import Database
from tests.deploy.served import gunicorn, until

REQUEST = b"GET /widget.js HTTP/1.1\r\nHost: gateway\r\n\r\n"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_client_that_does_not_read_is_cut_off(db: Database, tmp_path: Path) -> None:
    with (
        Server(create_coze(LocalCoze())) as coze,
        gunicorn(str(db.engine.url), coze.url, tmp_path / "gunicorn.log") as (_, url),
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client,
    ):
        # the answers are far more than the buffers between us hold, and the gateway is stuck with them
        client.sendall(REQUEST * 1000)
        until(lambda: is_held(client))
        until(lambda: not is_held(client), 60)


def is_held(client: socket.socket) -> bool:
    """Whether the other end of this connection still exists: the kernel tells nobody that it gave up."""
    ours, theirs = (f":{name[1]:04X}" for name in (client.getsockname(), client.getpeername()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(theirs) and row[2].endswith(ours) for row in rows)
