"""`python -m sandbox`: the local Coze and the local WeChat until Ctrl-C. `make run` starts it by itself."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack

from flask import Flask

from errors import ConfigurationError
from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.desk import LocalDesk, create_desk
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from sandbox.wechat import create_app as create_wechat
from settings import Settings, load_settings

HOST = "127.0.0.1"
"""The sandbox opens to anybody who reaches it, so nobody from outside may."""


def main() -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit status: 1 when a port is taken, 2 for bad settings."""
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        sys.stderr.write(f"The settings cannot work:\n{problem}\n")
        return 2
    parts: tuple[tuple[str, str, int, Callable[[], Flask]], ...] = (
        ("Coze", "SANDBOX_COZE_PORT", settings.sandbox_coze_port, lambda: create_coze(LocalCoze())),
        ("WeChat", "SANDBOX_WECHAT_PORT", settings.sandbox_wechat_port, lambda: local_wechat(settings)),
    )
    with ExitStack() as running:
        for name, variable, port, make in parts:
            if is_taken(port):
                sys.stderr.write(
                    f"Port {port} for the local {name} is taken: stop what listens there, "
                    f"or choose another with {variable}.\n"
                )
                return 1
            server = running.enter_context(Server(make(), HOST, port))
            _say(f"local {name}: {server.url}")
        _say(f"local WeChat calls back {callback_url(settings)}")
        stop.wait()
    return 0


def local_wechat(settings: Settings) -> Flask:
    """The account with the sandbox's well-known credentials, as verified as the settings say."""
    verified = settings.wechat_account_kind == "verified"
    app = create_wechat(LocalWeChat(callback_url(settings), verified=verified))
    # one more thing that is local: where 易事厅's late answers arrive
    app.register_blueprint(create_desk(LocalDesk()))
    return app


def callback_url(settings: Settings) -> str:
    """Where the gateway of these settings listens for WeChat."""
    host = {"0.0.0.0": HOST, "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared only
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/api/wechat"


def is_taken(port: int) -> bool:
    """Whether somebody listens on that port already."""
    with socket.socket() as probe:
        # connections of a sandbox that just ended do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
