"""The page's own views: what they serve, what they pass on, what they refuse."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import sandbox.page
from sandbox.desk import LocalDesk, create_desk
from sandbox.page import create_blueprint
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings import DEVELOPMENT_KEY, load_settings

STATIC = Path(sandbox.page.__file__).parent / "static"


@pytest.fixture
def visit() -> Callable[..., FlaskClient]:
    """A client of an app that has only the page; keyword arguments are settings."""

    def make(**settings: object) -> FlaskClient:
        app = Flask("page", static_folder=None)
        app.register_blueprint(create_blueprint(load_settings(**settings)), url_prefix="/sandbox")
        return app.test_client()

    return make


@pytest.fixture
def wechat_port() -> Iterator[int]:
    """A local WeChat whose gateway does not exist; the port of its API."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        wechat = LocalWeChat(f"http://127.0.0.1:{nobody.getsockname()[1]}/api/wechat")
        with Server(create_app(wechat)) as server:
            yield int(server.url.rsplit(":", 1)[1])


@pytest.fixture
def no_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("path", ["/sandbox", "/sandbox/"])
def test_the_page_allows_nothing_but_its_own_files(visit: Callable[..., FlaskClient], path: str) -> None:
    answer = visit().get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", answer.text) == [""]
    assert not re.search(r"(?:src|href)=\"(?!/)", answer.text)


@pytest.mark.parametrize("name", ["page.css", "page.js", "channels.js", "wire.js", "icon.svg"])
def test_every_file_is_served_under_the_same_policy(visit: Callable[..., FlaskClient], name: str) -> None:
    with visit().get(f"/sandbox/static/{name}") as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_script_makes_html_of_text() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function",
            path.read_text("utf-8"),
        )


def test_the_development_key_opens_the_log_and_a_chosen_key_is_never_shown(
    visit: Callable[..., FlaskClient],
) -> None:
    assert f'data-log-key="{DEVELOPMENT_KEY}"' in visit().get("/sandbox").text
    page = (
        visit(api_keys="ops:a-key-somebody-chose:log", yishiting_token="a-token-somebody-chose")
        .get("/sandbox")
        .text
    )
    assert 'data-log-key=""' in page
    assert "somebody-chose" not in page
    assert 'id="yishiting-token"' in page


def test_a_message_is_passed_to_the_local_wechat(visit: Callable[..., FlaskClient], wechat_port: int) -> None:
    client = visit(sandbox_wechat_port=wechat_port)
    answer = client.post("/sandbox/wechat/send", json={"openid": "oA", "type": "text", "text": "在吗"})
    assert answer.status_code == 200
    assert len(answer.get_json()["tries"]) == 3
    assert answer.get_json()["notice"]
    assert client.get("/sandbox/wechat/inbox?openid=oA").get_json() == {"bubbles": []}


def test_late_answers_of_the_desk_are_passed_on(visit: Callable[..., FlaskClient]) -> None:
    desk, app = LocalDesk(), Flask("desk")
    app.register_blueprint(create_desk(desk))
    desk.take("t1", {"user": "li.lei", "msg_content": "答案"})
    with Server(app) as server:
        client = visit(sandbox_wechat_port=int(server.url.rsplit(":", 1)[1]))
        (shown,) = client.get("/sandbox/yishiting/inbox?user=li.lei").get_json()["callbacks"]
        assert shown["body"]["msg_content"] == "答案"
        assert client.get("/sandbox/yishiting/inbox?user=other").get_json() == {"callbacks": []}
        assert "/_desk/callback" in client.get("/sandbox").text


def test_an_absent_local_wechat_is_explained(visit: Callable[..., FlaskClient], no_port: int) -> None:
    client = visit(sandbox_wechat_port=no_port)
    answer = client.post("/sandbox/wechat/send", json={"openid": "oA", "text": "在吗"})
    assert (answer.status_code, "python -m sandbox" in answer.get_json()["error"]) == (502, True)


def test_a_real_account_cannot_be_played(visit: Callable[..., FlaskClient]) -> None:
    client = visit(
        wechat_token="a-real-token-of-32-characters-xx", wechat_appid="wxreal", wechat_mode="plain"
    )
    assert client.post("/sandbox/wechat/send", json={"openid": "oA", "text": "在吗"}).status_code == 409
    assert 'id="wechat-real"' in client.get("/sandbox").text


@pytest.mark.parametrize(
    "request_of",
    [
        {"data": '{"openid": "oA"}', "content_type": "text/plain"},
        {"data": "{", "content_type": "application/json"},
        {"json": []},
        {"json": {"text": "在吗"}},
        {"json": {"openid": "../oA"}},
        {"json": {"openid": 5}},
    ],
)
def test_a_malformed_order_is_refused(
    visit: Callable[..., FlaskClient], request_of: dict[str, object]
) -> None:
    answer = visit().post("/sandbox/wechat/send", **request_of)
    assert (answer.status_code, list(answer.get_json())) == (400, ["error"])


def test_an_order_that_is_too_large_is_refused(visit: Callable[..., FlaskClient]) -> None:
    answer = visit().post("/sandbox/wechat/send", json={"openid": "oA", "text": "字" * 20_000})
    assert answer.status_code == 413


def test_an_inbox_needs_an_openid(visit: Callable[..., FlaskClient]) -> None:
    assert visit().get("/sandbox/wechat/inbox").status_code == 400
