"""`flask up`: the whole gateway with one command, and nothing left behind after Ctrl-C.

Checks the ports, brings the database up to date, starts gunicorn and, where nothing real is configured, the
sandbox, and says what to open. The children are separate processes: no request is served in this one.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import orjson

from errors import ConfigurationError
from settings import DEVELOPMENT_KEY, Settings, load_settings
from storage import schema

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30.0
"""How long a start may take on a slow machine before we say what is missing."""
GRACE_SECONDS = 8.0
"""How long open answers may go on after Ctrl-C; a second Ctrl-C does not wait."""
POLL_SECONDS = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(click.ClickException):
    """One plain sentence about why; the command ends with status 1."""

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


@dataclass(frozen=True, slots=True)
class Port:
    """An address that one of the children will listen on, and the variable that moves it."""

    variable: str
    host: str
    number: int

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared only
        return f"http://[{host}]:{self.number}" if ":" in host else f"http://{host}:{self.number}"


class Child:
    """A process that we started, in its own group: Ctrl-C reaches it only through us."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            command,
            cwd=ROOT,
            env=None if environ is None else dict(environ),
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    def ended(self) -> int | None:
        """The exit status, or None while it runs."""
        return self.process.poll()

    def stop(self, seconds: float, stop: Stop) -> None:
        """Asks it to end, waits up to `seconds` or for another signal, then ends it."""
        asked, deadline = stop.count, time.monotonic() + seconds
        _signal_group(self.process, signal.SIGTERM)
        while self.ended() is None and time.monotonic() < deadline and stop.count == asked:
            time.sleep(POLL_SECONDS)
        # the group and not only its head: a worker may outlive its master
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()


class Stop:
    """How often we were asked to stop."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes over the stop signals for the length of the block."""
        # under nohup the terminal's end is meant to be survived
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        wanted = [each for each in STOP_SIGNALS if not (ignored and each == signal.SIGHUP)]
        before = {each: signal.signal(each, self) for each in wanted}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@click.command("up")
def up() -> None:
    """Start everything: database, gateway and, without credentials, the sandbox."""
    try:
        settings = load_settings()
        settings.require_fit()
    except ConfigurationError as problem:
        raise CannotStart(f"The settings cannot work:\n{problem}") from None
    ports = needed_ports(settings)
    for port in ports:
        check_free(port)
    migrate(settings)
    stop, children = Stop(), []
    with stop.listening():
        try:
            for name, command in commands(settings).items():
                children.append(Child(name, command))
            state = wait_until_ready(ports, children, stop)
            if not stop.count:
                click.echo(banner(settings, ports, state))
            _watch(children, stop)
        finally:
            for child in reversed(children):
                child.stop(GRACE_SECONDS, stop)
    click.echo("Stopped.")


def commands(settings: Settings) -> dict[str, list[str]]:
    """What to run, by name; the sandbox first, for the gateway may ask it at once."""
    gateway = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
    sandbox = {"sandbox": [sys.executable, "-m", "sandbox"]} if uses_sandbox(settings) else {}
    return {**sandbox, "gateway": gateway}


def uses_sandbox(settings: Settings) -> bool:
    """Whether Coze or WeChat is the local stand-in."""
    return settings.sandbox_coze or settings.sandbox_wechat


def needed_ports(settings: Settings) -> list[Port]:
    """Every address that must be free; the gateway's is the first."""
    ports = [Port("PORT", settings.host, settings.port)]
    if uses_sandbox(settings):
        ports.append(Port("SANDBOX_COZE_PORT", "127.0.0.1", settings.sandbox_coze_port))
        ports.append(Port("SANDBOX_WECHAT_PORT", "127.0.0.1", settings.sandbox_wechat_port))
    return ports


def check_free(port: Port) -> None:
    """Raises `CannotStart` with the remedy when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as gunicorn does, so that connections of a gateway that just ended do not count as taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
            probe.listen()
        except PermissionError:
            raise CannotStart(
                f"Port {port.number} is reserved: choose one above 1023 in {port.variable}."
            ) from None
        except socket.gaierror:
            raise CannotStart(f"HOST={port.host} is not an address of this machine.") from None
        except OSError as problem:
            if "assign" in str(problem):
                raise CannotStart(f"HOST={port.host} is not an address of this machine.") from None
            raise CannotStart(
                f"Port {port.number} is taken: stop what listens there, or choose another, "
                f"for example `{port.variable}={_other(port.number)} make run`."
            ) from None


def migrate(settings: Settings) -> None:
    """Brings the tables up to date."""
    try:
        schema.upgrade(settings.database_url)
    except Exception as problem:
        # the driver's own words may quote the address with its password
        raise CannotStart(
            f"The database cannot be prepared ({type(problem).__name__}): check DATABASE_URL."
        ) from None


def wait_until_ready(ports: Sequence[Port], children: Sequence[Child], stop: Stop) -> str:
    """Waits for every port and for /readyz; returns what is still missing in words, or an empty string."""
    deadline = time.monotonic() + READY_SECONDS
    state = "nothing listens yet"
    while time.monotonic() < deadline and not stop.count:
        _raise_if_ended(children)
        if all(_listens(port) for port in ports[1:]) and not (state := readiness(ports[0])):
            return ""
        time.sleep(POLL_SECONDS)
    return state


def readiness(port: Port) -> str:
    """What /readyz of the gateway complains about; empty when it is ready."""
    connection = http.client.HTTPConnection(port.url.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(65536)
        return "" if response.status == 200 else _causes(body)
    except (OSError, http.client.HTTPException):
        return "the gateway does not answer"
    finally:
        connection.close()


def banner(settings: Settings, ports: Sequence[Port], missing: str) -> str:
    """What a newcomer needs to see: what runs, what to open, three commands to paste."""
    base = ports[0].url
    lines = ["", f"Yingda 应答 is running at {base}"]
    if missing:
        lines.append(f"  but not ready: {missing}")
    if settings.sandbox_coze:
        lines.append(f"  Coze is the local sandbox ({ports[1].url}): no credential is set")
    if settings.sandbox_wechat:
        lines.append(f"  WeChat is the local sandbox ({ports[2].url}): no account is set")
    if settings.development:
        lines.append(f"  Open {base}/sandbox/ and write as a customer of each platform")
    key = DEVELOPMENT_KEY if settings.development and not settings.api_keys else "<a key of API_KEYS>"
    token = "" if settings.yishiting_token is None else " -H 'Authorization: Bearer <YISHITING_TOKEN>'"
    web = "" if settings.development else f" -H 'Authorization: Bearer {key}'"
    lines += [
        "",
        "Paste into another terminal:",
        "",
        "  # 易事厅, streamed",
        f"  curl -N {base}/chat{token} -H 'Content-Type: application/json' \\",
        """    -d '{"user": "li.lei", "msg_type": "text", "content": "你好"}'""",
        "  # a web page, one JSON",
        f"  curl {base}/api/chat{web} -H 'Content-Type: application/json' -d '{{\"message\": \"你好\"}}'",
        "  # the message log",
        f"  curl -H 'Authorization: Bearer {key}' '{base}/api/messages?limit=5'",
        "",
        f"API: {base}/openapi.json   Is it ready: {base}/readyz   Something wrong: make doctor",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _watch(children: Sequence[Child], stop: Stop) -> None:
    while not stop.count:
        _raise_if_ended(children)
        time.sleep(POLL_SECONDS)


def _raise_if_ended(children: Sequence[Child]) -> None:
    for child in children:
        if (status := child.ended()) is not None:
            how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            raise CannotStart(f"The {child.name} ended {how}; its last lines above say why.")


def _listens(port: Port) -> bool:
    try:
        socket.create_connection((port.host, port.number), timeout=1).close()
    except OSError:
        return False
    return True


def _causes(body: bytes) -> str:
    try:
        checks = orjson.loads(body)["checks"]
        return "; ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "/readyz answers in an unknown way: is another program on this port?"


def _other(number: int) -> int:
    return number + 10 if number + 10 <= 65535 else number - 10


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _die_with_parent() -> None:
    # kill -9 of the launcher must not leave a gateway holding the port
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    up()
