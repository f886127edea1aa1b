"""Pictures and articles in a late answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from flask import Flask, Response, redirect

from adapters.wechat import WeChatAdapter
from errors import Undeliverable
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.late.conftest import OPENID, Sending, answer, bubbles, quotas, rests

PNG = b"\x89PNG\r\n\x1a\n" + b"a picture" * 100


@pytest.fixture
def album() -> Iterator[str]:
    """The address of a server with a picture, a page, and a redirect to the picture."""
    app = Flask("album")
    app.add_url_rule("/a.png", "a", lambda: Response(PNG, mimetype="image/png"))
    app.add_url_rule("/page.png", "page", lambda: Response("<html>", mimetype="image/png"))
    app.add_url_rule("/moved.png", "moved", lambda: redirect("/a.png"))
    with Server(app) as server:
        yield server.url


def test_a_picture_is_sent_as_a_picture(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, album: str
) -> None:
    adapter.push(answer(f"请看：\n\n![示意图]({album}/a.png)"), sending)
    text, image = wechat.inbox(OPENID)
    assert (text.msg_type, text.text) == ("text", "请看：\n\n［示意图］")
    assert image.msg_type == "image"
    assert wechat.media(str(cast(Any, image.fields)["media_id"])).data == PNG


@pytest.mark.parametrize("path", ["/page.png", "/moved.png", "/none.png"])
def test_what_is_no_picture_stays_a_link(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, album: str, path: str
) -> None:
    adapter.push(answer(f"![示意图]({album}{path})"), sending)
    assert bubbles(wechat) == [f"示意图：{album}{path}"]


def test_a_picture_without_a_place_in_the_quota_stays_a_link(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, album: str
) -> None:
    quotas(adapter).allowed = 1
    adapter.push(answer(f"请看 ![示意图]({album}/a.png)"), sending)
    assert bubbles(wechat) == [f"请看 示意图：{album}/a.png"]


def test_a_picture_that_is_refused_can_be_had_as_a_link(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, album: str
) -> None:
    wechat.faults.send_errcodes = [0, 45047]
    with pytest.raises(Undeliverable, match="part 2 of 2"):
        adapter.push(answer(f"请看 ![示意图]({album}/a.png)"), sending)
    assert rests(adapter)[1] == f"{album}/a.png"


def test_an_answer_that_is_one_link_may_be_an_article(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    account, credentials = adapter._accounts["default"]
    said = answer("请看[办事指南](https://x.cn/g) ![](https://x.cn/c.jpg)")
    adapter._accounts["default"] = account.model_copy(update={"send_images": False}), credentials
    adapter.push(said, sending)
    with_articles = account.model_copy(update={"send_images": False, "send_news": True})
    adapter._accounts["default"] = with_articles, credentials
    adapter.push(said, sending)
    text, news = wechat.inbox(OPENID)
    assert text.text == '请看<a href="https://x.cn/g">办事指南</a> 图片：https://x.cn/c.jpg'
    assert cast(Any, news.fields)["articles"] == [
        {"title": "办事指南", "description": "请看", "url": "https://x.cn/g", "picurl": "https://x.cn/c.jpg"}
    ]
