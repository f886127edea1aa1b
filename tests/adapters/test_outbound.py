"""Calls to addresses from outside: whom they reach, and what a failure says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from adapters.outbound import Host, Outbound, Patience, is_public
from errors import InDoubt, NotNow, Undeliverable


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("desk.example", "https://desk.example/later?code=1"),
        ("desk.example", "https://DESK.example./later"),
        ("desk.example", "https://desk.example:443/"),
        ("desk.example:8443", "https://desk.example:8443/"),
        ("private=desk.corp", "https://desk.corp/"),
        ("10.0.0.5:8080", "https://10.0.0.5:8080/"),
        ("[::1]:9", "https://[::1]:9/"),
        ("易事厅.example", "https://xn--3kq24jd3s.example/"),
    ],
)
def test_a_listed_host_is_allowed(entry: str, url: str) -> None:
    assert Outbound([entry]).check(url).name


@pytest.mark.parametrize(
    "url",
    [
        "http://desk.example/",
        "https://desk.example:8443/",
        "https://evil-desk.example/",
        "https://desk.example.evil.example/",
        "https://desk.example@evil.example/",
        "https://evil.example#@desk.example/",
        "https://evil.example\\@desk.example/",
        "https://evil.example/?desk.example",
        "https://desk.example:80:443/",
        "https://desk%2eexample/",
        "//desk.example/",
        "desk.example",
        "file:///etc/passwd",
        "gopher://desk.example/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "https://[/",
        "https://",
        "",
        "https://desk.example/\r\nHost: evil.example",
        "https://desk.example/ x",
        "https://desk.example/" + "a" * 3000,
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(Undeliverable):
        Outbound(["desk.example"]).check(url)


@pytest.mark.parametrize(
    "entry", ["", " ", "https://a", "a/b", "a@b", "*", "*.example", "a:b", "a:70000", "a?b", ":80"]
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Host.parse(entry)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("64:ff9b::7f00:1", False),
        ("nonsense", False),
    ],
)
def test_only_the_open_internet_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@contextmanager
def listening(does: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A raw server for one connection; what it received is in the list."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                received.append(connection.recv(65536))
                try:
                    does(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
    thread.join(5)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"


def agree(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")


def test_a_name_that_leads_inside_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with listening(agree) as (
        port,
        received,
    ):
        monkeypatch.setattr(socket, "getaddrinfo", inside)
        url = f"http://desk.example:{port}/"
        with pytest.raises(Undeliverable, match="private network"):
            Outbound([f"desk.example:{port}"], plain=True).post(url, b"{}", {})
        time.sleep(0.05)
        assert received in ([], [b""])
    with listening(agree) as (
        port,
        received,
    ):
        # the same name, marked as an inner one
        answered = Outbound([f"private=desk.example:{port}"], plain=True).post(
            f"http://desk.example:{port}/", b"{}", {}
        )
        assert (answered.status, answered.body, answered.mime) == (200, b"{}", "application/json")


def call(port: int, **patience: float) -> bytes | None:
    outbound = Outbound([f"127.0.0.1:{port}"], plain=True, patience=Patience(**patience))
    return outbound.post(f"http://127.0.0.1:{port}/", b'{"a":1}', {}, cap=1000).body


def test_the_request_is_one_post_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with listening(agree) as (
        port,
        received,
    ):
        assert call(port) == b"{}"
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert body in {b'{"a":1}', b""}


def test_a_body_over_the_cap_or_cut_short_is_not_taken_for_one() -> None:
    for rest in (b"Content-Length: 5000\r\n\r\n" + b"x" * 5000, b"Content-Length: 50\r\n\r\nshort"):
        with listening(lambda connection, rest=rest: connection.sendall(OK + rest)) as (port, _):  # type: ignore[misc]
            assert call(port) is None


def test_a_trickling_answer_ends_at_the_deadline() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        for _ in range(600):
            connection.sendall(b"x")
            time.sleep(0.05)

    began = time.monotonic()
    with listening(trickle) as (port, _):
        assert call(port, whole=0.3) is None
        assert time.monotonic() - began < 20


def test_a_trickling_head_ends_at_the_deadline_in_doubt() -> None:
    def trickle(connection: socket.socket) -> None:
        for letter in OK * 20:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    began = time.monotonic()
    with listening(trickle) as (port, _), pytest.raises(InDoubt):
        call(port, whole=0.3)
    assert time.monotonic() - began < 20


def test_silence_after_the_request_is_in_doubt() -> None:
    with listening(lambda _: time.sleep(0.6)) as (port, _), pytest.raises(InDoubt):
        call(port, read=0.2)


def test_a_port_where_nobody_listens_is_not_in_doubt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotNow):
        call(port)


def test_a_name_that_does_not_resolve_is_not_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotNow, match="NameResolutionError"):
        Outbound(["desk.example"]).post("https://desk.example/", b"{}", {})
