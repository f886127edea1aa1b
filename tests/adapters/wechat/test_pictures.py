"""An address out of a bot's answer leads nowhere but to a picture on the open internet."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask, Response

from adapters.wechat import pictures
from adapters.wechat.pictures import NoPicture, download, is_public
from sandbox.serve import Server

JPEG = b"\xff\xd8\xff" + b"x" * 1000


@pytest.fixture
def server() -> Iterator[str]:
    app = Flask("pictures")
    app.add_url_rule("/a", "a", lambda: Response(JPEG, mimetype="text/html"))
    app.add_url_rule("/endless", "endless", lambda: Response(iter(lambda: JPEG, None)))
    with Server(app) as running:
        yield running.url


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
        "not an address",
    ],
)
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a",
        "https://localhost/a",
        "https://[::1]/a",
        "https://2130706433/a",
        "https://0x7f.1/a",
        "https://10.0.0.1/a",
        "http://1.1.1.1/a",
        "https://1.1.1.1:8443/a",
        "https://user:secret@1.1.1.1/a",
        "https://user@1.1.1.1/a",
        "https:///a",
        "https://[broken/a",
        "https://x.cn:port/a",
        "ftp://1.1.1.1/a",
        "file:///etc/passwd",
    ],
)
def test_production_calls_nobody_inside(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(pictures, "_pool", lambda *address: called.append(address))
    with pytest.raises(NoPicture) as refusal:
        download(url)
    assert called == []
    assert "secret" not in str(refusal.value)


def test_a_name_with_one_foot_inside_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(0, 0, 0, "", (address, 443)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(NoPicture, match="open internet"):
        download("https://pictures.example/a")


def test_a_picture_is_known_by_its_bytes(server: str) -> None:
    found = download(f"{server}/a", anywhere=True)
    assert (found.content, found.mime) == (JPEG, "image/jpeg")


def test_a_picture_without_end_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SIZE_CAP", 100_000)
    with pytest.raises(NoPicture, match="too large"):
        download(f"{server}/endless", anywhere=True)


def test_a_server_that_trickles_its_headers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "WHOLE_SECONDS", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection:
                while not over.wait(0.05):
                    connection.sendall(b"H")

        threading.Thread(target=trickle, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(NoPicture, match="too long"):
            download(f"http://127.0.0.1:{listening.getsockname()[1]}/a", anywhere=True)
        assert time.monotonic() - begun < 20
        over.set()
