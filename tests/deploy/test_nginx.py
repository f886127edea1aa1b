"""nginx takes our configuration, and keeps what it promises; where nginx is installed."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import urllib3
from flask import Flask, Response, request

from adapters.base import BODY_CAP
from sandbox.serve import Server
from tests.certificates import self_signed

CONFIG = Path(__file__).parents[2] / "deploy/nginx.conf"
NGINX = sys.platform == "linux" and shutil.which(
    "nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
)


def test_the_body_cap_is_the_gateways_own() -> None:
    assert BODY_CAP == 64 * 1024
    assert "client_max_body_size 64k;" in CONFIG.read_text()


def test_paths_are_logged_without_the_query_that_holds_signatures() -> None:
    logged = CONFIG.read_text().split("log_format json")[1].split("access_log")[0]
    assert "$uri" in logged
    assert not any(name in logged for name in ("$request_uri", "$args", "$query_string", '"$request"'))


@dataclass
class Behind:
    """What stands in for the gateway, and nginx in front of it at `url`."""

    url: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    def app(self) -> Flask:
        app = Flask("gateway")
        methods = ["GET", "POST"]
        app.add_url_rule("/", "root", self.echo, methods=methods, defaults={"path": ""})
        app.add_url_rule("/<path:path>", "any", self.echo, methods=methods)
        app.add_url_rule("/api/chat/stream", "stream", self.stream, methods=methods)
        app.add_url_rule("/chat", "chat", self.stream, methods=methods)
        app.add_url_rule("/robots/hr/chat", "robot", self.stream, methods=methods)
        return app

    def echo(self, path: str) -> str:
        self.seen.append({"body": str(len(request.get_data())), **request.headers})
        return path

    def stream(self) -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"data: 1\n\n"
            assert self.go_on.wait(10)
            yield b"data: 2\n\n"

        return Response(pieces(), mimetype="text/event-stream")


if NGINX:

    @pytest.fixture(scope="module")
    def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
        folder = tmp_path_factory.mktemp("nginx")
        ports = free_ports(2)
        part = Behind(f"https://127.0.0.1:{ports[1]}")
        with Server(part.app()) as server:
            path = adapted(folder, server.url.removeprefix("http://"), *ports)
            checked = subprocess.run([NGINX, "-t", "-c", path, "-p", folder], capture_output=True, text=True)
            assert checked.returncode == 0, checked.stderr
            assert "[warn]" not in checked.stderr.replace('the "user" directive', "")
            process = subprocess.Popen([NGINX, "-c", path, "-p", folder, "-g", "daemon off;"])
            try:
                await_port(ports[1])
                yield part
            finally:
                process.terminate()
                process.wait(10)

    @pytest.fixture(autouse=True)
    def _any_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def test_a_request_arrives_with_the_visitors_own_address_only(behind: Behind) -> None:
        forged = {
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "http",
        }
        answer = requests.get(f"{behind.url}/healthz", headers=forged, verify=False, timeout=5)
        assert answer.text == "healthz"
        seen = behind.seen[-1]
        assert seen["X-Forwarded-For"] == "127.0.0.1"
        assert seen["X-Forwarded-Proto"] == "https"
        assert "X-Forwarded-Host" not in seen
        assert len(seen["X-Request-Id"]) == 32
        assert answer.headers["Strict-Transport-Security"]
        assert not any(digit in answer.headers["Server"] for digit in "0123456789")

    @pytest.mark.parametrize("path", ["/api/chat/stream", "/chat", "/robots/hr/chat"])
    def test_each_piece_of_a_stream_passes_when_it_comes(path: str, behind: Behind) -> None:
        behind.go_on.clear()
        with requests.post(behind.url + path, json={}, verify=False, timeout=5, stream=True) as answer:
            assert answer.raw.read1(1000) == b"data: 1\n\n"
            behind.go_on.set()
            assert answer.raw.read1(1000) == b"data: 2\n\n"

    def test_a_body_over_the_cap_is_refused_in_the_apis_shape(behind: Behind) -> None:
        url = f"{behind.url}/chat/sync"
        at_cap = requests.post(url, data=b"x" * BODY_CAP, verify=False, timeout=5)
        assert at_cap.status_code == 200
        before = len(behind.seen)
        over = requests.post(url, data=b"x" * (BODY_CAP + 1), verify=False, timeout=5)
        assert over.status_code == 413
        assert over.json()["error"]["code"] == "payload_too_large"
        assert len(behind.seen) == before

    def test_a_body_that_drips_does_not_reach_the_gateway(behind: Behind) -> None:
        before = len(behind.seen)
        context = ssl._create_unverified_context()
        host, port = behind.url.removeprefix("https://").split(":")
        with (
            socket.create_connection((host, int(port)), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname="x") as client,
        ):
            client.sendall(b"POST /api/wechat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
            # a whole request of somebody else goes through meanwhile
            assert requests.get(f"{behind.url}/healthz", verify=False, timeout=5).ok
        assert len(behind.seen) == before + 1

    def test_wechats_messages_are_not_limited_by_their_few_addresses(behind: Behind) -> None:
        with requests.Session() as session:
            codes = {
                session.post(f"{behind.url}/api/wechat", data=b"<xml/>", verify=False, timeout=5).status_code
                for _ in range(100)
            }
        assert codes == {200}

    def test_a_web_visitor_who_hammers_is_told_to_wait(behind: Behind) -> None:
        url = f"{behind.url}/api/chat"
        # from an address of its own, so that the other tests are not told to wait, too
        with urllib3.PoolManager(cert_reqs="CERT_NONE", source_address=("127.0.0.2", 0)) as visitor:
            answers = [visitor.request("POST", url, body=b"{}", timeout=5, retries=False) for _ in range(100)]
        refused = [each for each in answers if each.status != 200]
        assert refused
        assert {each.status for each in refused} == {429}
        assert refused[0].headers["Retry-After"] == "5"
        assert refused[0].json()["error"]["code"] == "too_many_requests"
        assert requests.post(url, data=b"{}", verify=False, timeout=5).status_code == 200

    def test_the_sandbox_is_nobodys_business(behind: Behind) -> None:
        assert requests.get(f"{behind.url}/sandbox/", verify=False, timeout=5).status_code == 404


def adapted(folder: Path, upstream: str, plain: int, secure: int) -> Path:
    """Our file with this test's ports, folders and certificate; everything else as it is shipped."""
    pem = self_signed("bot.example.com")
    (folder / "fullchain.pem").write_bytes(pem)
    (folder / "privkey.pem").write_bytes(pem)
    text = CONFIG.read_text()
    for old, new in {
        "pid /run/nginx.pid;": f"pid {folder}/pid;",
        "worker_processes auto;": "worker_processes 1;\nuser root;"
        if os.geteuid() == 0
        else "worker_processes 1;",
        "worker_rlimit_nofile 65536;": "",
        "worker_connections 8192;": "worker_connections 512;",
        "server 127.0.0.1:8000;": f"server {upstream};",
        "listen 80 default_server;": f"listen 127.0.0.1:{plain} default_server;",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{secure} ssl http2;",
        "/etc/nginx/tls": str(folder),
        "/var/log/nginx": str(folder),
        "default_type application/octet-stream;": "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return numbers


def await_port(number: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", number), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "nginx does not start"
            time.sleep(0.05)
