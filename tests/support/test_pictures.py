"""Pictures of customers: fetched from where they are, for agents to look at and for nobody else."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select

from storage.pictures_tables import KeptPicture
from support.pictures_api import SENT
from tests.support.conftest import World
from tests.support.picture_steps import JPEG, ON_WECHAT, PNG, line, look, on_wechat, photograph
from tests.support.workbench_world import Browser, open_with_sign_in

DAY = 86400.0


@pytest.mark.parametrize("with_person", [False, True])
def test_an_agent_sees_what_the_customer_sees(world: World, with_person: bool) -> None:
    if with_person:
        on_wechat(world)
    photograph(world, JPEG, "text/html")
    answer = look(world, ON_WECHAT, line(world, ON_WECHAT)["id"])
    assert (answer.status_code, answer.content) == (200, JPEG)
    headers = answer.headers
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, max-age=86400, immutable"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_bot_gets_the_picture_all_the_same_and_its_failure_hides_it_from_nobody(world: World) -> None:
    world.coze.faults.queue("http_status", on="upload", status=500)
    photograph(world, PNG)
    assert look(world, ON_WECHAT, line(world, ON_WECHAT)["id"]).content == PNG
    photograph(world, JPEG)
    assert "1个文件" in world.history(ON_WECHAT)[-1][1]
    assert look(world, ON_WECHAT, line(world, ON_WECHAT)["id"]).content == JPEG


@pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"<html>", b""])
def test_what_is_no_picture_is_not_served(world: World, content: bytes) -> None:
    on_wechat(world)
    photograph(world, content)
    assert look(world, ON_WECHAT, line(world, ON_WECHAT)["id"]).status_code == 404


def test_where_there_is_none_there_is_a_404(world: World) -> None:
    on_wechat(world)
    photograph(world, PNG)
    line_id = line(world, ON_WECHAT)["id"]
    world.ask("你好")
    text = world.session("v1")["history"][0]["id"]
    for name, message, place in (
        (ON_WECHAT, line_id, 1),
        (ON_WECHAT, "99999999999999999999999", 0),
        (ON_WECHAT, text, 0),
        ("v1", text, 0),
        ("v1", line_id, 0),
        ("nobody", line_id, 0),
    ):
        assert look(world, name, message, place).status_code == 404, (name, message, place)
    world.wechat.now = lambda: time.time() + 4 * DAY
    assert look(world, ON_WECHAT, line_id).status_code == 404, "WeChat has deleted it after three days"
    assert look(world, ON_WECHAT, line_id, agent="").status_code == 401


def test_an_upload_of_a_visitors_is_shown_to_agents_and_to_nobody_else(world: World) -> None:
    files = {"file": ("a.png", PNG)}
    token = world.call("POST", "/api/files", files=files, data={"user_id": "v1"}).json()["file"]
    world.call("POST", "/api/chat", json={"message": "这是什么？", "user_id": "v1", "files": [token]})
    shown = line(world, "v1")
    assert look(world, "v1", shown["id"]).content == PNG
    assert shown["media"] == [{"kind": "image", "url": "", "name": "a.png"}]
    with world.yingda.db.read() as session:
        name = session.scalars(select(KeptPicture.name)).one()
    assert world.call("GET", f"{SENT}/{name}").status_code == 404


def test_a_picture_of_yishitings_is_shown_to_agents(open_world: Callable[..., World]) -> None:
    world = open_world(yishiting_msg_types="text,image")
    content = base64.b64encode(PNG).decode()
    body = {"user": "zhang", "msg_type": "image", "content": content, "msg_id": "1"}
    assert world.call("POST", "/chat/sync", json=body).json()["code"] == 0
    name = "yishiting:default:zhang:zhang"
    assert look(world, name, line(world, name)["id"]).content == PNG


def test_the_workbench_shows_it_in_the_place_of_the_words_about_it(
    open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_with_sign_in(open_world, monkeypatch)
    photograph(world, PNG)
    li = Browser(world, "li")
    lines = str(li.panes(session=ON_WECHAT)["regions"]["lines"])
    assert '<p class="words">（用户发来一张图片）' not in lines
    address = lines.partition('<img src="')[2].partition('"')[0]
    answer = li.open("GET", address)
    assert (answer.status_code, answer.content) == (200, PNG)
    # an address of WeChat's would tell WeChat who looks, and the page's policy forbids it
    assert "http" not in lines
