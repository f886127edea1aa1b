"""Images and files: refused as documented by default, handed to the bot where a robot allows them."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, redirect

from adapters.yishiting import files
from errors import UpstreamError
from sandbox.serve import Server
from tests.adapters.yishiting.desk import ask
from tests.rig import Rig

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
ENCODED = base64.b64encode(PNG).decode()
TAKEN = {"yishiting_msg_types": "text,image,file", "yishiting_file_bytes": 100_000}


@contextmanager
def host() -> Iterator[str]:
    app = Flask("files")

    @app.get("/picture.png")
    def picture() -> Response:
        return Response(PNG, mimetype="image/png")

    @app.get("/large.png")
    def large() -> Response:
        return Response(PNG + b"\0" * 200_000, mimetype="image/png")

    @app.get("/elsewhere.png")
    def elsewhere() -> Any:
        return redirect("/picture.png")

    with Server(app) as server:
        yield server.url


@pytest.mark.parametrize("kind", ["image", "file", "voice", "event"])
def test_by_default_only_text_is_answered(rig: Rig, kind: str) -> None:
    response = ask(rig, msg_type=kind, content=ENCODED)
    assert response.status_code == 400
    assert response.json() == {"code": 1, "err_msg": f"msg_type: '{kind}' is not supported"}


@pytest.mark.parametrize(
    "content", [ENCODED, f"data:image/png;base64,{ENCODED}", ENCODED[:80] + "\n" + ENCODED[80:]]
)
def test_an_image_in_base64_reaches_the_bot(open_rig: Callable[..., Rig], content: str) -> None:
    rig = open_rig(**TAKEN)
    body = ask(rig, msg_type="image", content=content).json()
    assert body["code"] == 0
    assert "1个文件" in body["msg_content"]
    assert rig.log()[0]["question"] == "（用户发来一张图片）"


def test_a_file_keeps_its_name(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(**TAKEN)
    content = base64.b64encode(b"a,b\n1,2\n").decode()
    assert ask(rig, msg_type="file", content=content, file_name="../报销.csv").json()["code"] == 0
    assert rig.log()[0]["question"] == "（用户发来一个文件：报销.csv）"


def test_an_image_is_fetched_from_a_listed_host(open_rig: Callable[..., Rig]) -> None:
    with host() as url:
        rig = open_rig(**TAKEN, yishiting_file_hosts=url.removeprefix("http://"))
        body = ask(rig, msg_type="image", content=f"{url}/picture.png").json()
        assert "1个文件" in body["msg_content"]
        for path, status in (("/large.png", 413), ("/elsewhere.png", 502), ("/none.png", 502)):
            response = ask(rig, msg_type="image", content=url + path)
            assert response.status_code == status, path
            assert set(response.json()) == {"code", "err_msg"}
    assert ask(rig, msg_type="image", content=f"{url}/picture.png", msg_id="2").status_code == 502


def test_no_other_host_is_asked(open_rig: Callable[..., Rig]) -> None:
    with host() as url:
        rig = open_rig(**TAKEN, yishiting_file_hosts="files.example")
        response = ask(rig, msg_type="image", content=f"{url}/picture.png")
    assert response.status_code == 400
    assert response.json()["err_msg"] == "content: the host of the address is not allowed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content": "no base64 at all"}, 400),
        ({"content": "data:image/png;base64,%%%"}, 400),
        ({"content": base64.b64encode(PNG + b"\0" * 101_000).decode()}, 413),
        ({"content": "A" * 300_000}, 413),
        ({"content": base64.b64encode(b"MZ\0\0").decode(), "file_name": "virus.exe"}, 415),
        ({"content": base64.b64encode(b"?").decode()}, 415),
    ],
)
def test_what_cannot_be_taken_is_refused_and_asks_nobody(
    open_rig: Callable[..., Rig], changes: dict[str, str], status: int
) -> None:
    rig = open_rig(**TAKEN)
    response = ask(rig, msg_type="image", **changes)
    assert response.status_code == status
    assert set(response.json()) == {"code", "err_msg"}
    assert rig.coze.chats == {}


def test_the_same_image_twice_is_one_message(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(**TAKEN)
    first, second = (ask(rig, msg_type="image", content=ENCODED).json() for _ in range(2))
    assert first == second
    assert len(rig.coze.chats) == 1


def test_long_words_are_refused_also_where_long_files_are_taken(open_rig: Callable[..., Rig]) -> None:
    assert ask(open_rig(**TAKEN), content="长" * 10_001).status_code == 400


def test_work_that_takes_too_long_is_left_alone() -> None:
    with pytest.raises(UpstreamError, match="in time"):
        files.within(0.05, lambda: time.sleep(0.3))
    with pytest.raises(KeyError):
        files.within(1, lambda: {}["nothing"])
    assert files.within(1, lambda: 5) == 5
