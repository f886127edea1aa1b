"""What followers send besides questions: the local WeChat, the whole gateway and the local Coze."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from tests.rig import Rig
from texts import Texts

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
AMR = b"#!AMR\n" + bytes(94)
texts = Texts()


@dataclass
class World:
    rig: Rig
    wechat: LocalWeChat

    def row(self, number: int = 0) -> dict[str, Any]:
        """A logged message, newest first, once it is finished."""
        deadline = time.monotonic() + 60
        while (row := self.rig.log()[number])["status"] not in {"delivered", "undelivered"}:
            assert time.monotonic() < deadline, row
            time.sleep(0.05)
        return row


@pytest.fixture
def open_world(open_rig: Callable[..., Rig]) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def start(**more: Any) -> World:
            wechat = LocalWeChat("", appsecret=SECRET, aes_key=AES_KEY)
            api = stack.enter_context(Server(create_app(wechat)))
            settings = {
                "wechat_token": wechat.token,
                "wechat_appid": wechat.appid,
                "wechat_appsecret": SECRET,
                "wechat_aes_key": AES_KEY,
                "wechat_api_base": api.url,
            }
            rig = open_rig(**{**settings, **more})
            wechat.callback_url = f"{rig.url}/api/wechat"
            return World(rig, wechat)

        yield start


def test_a_picture_is_seen_by_the_bot(open_world: Callable[..., World]) -> None:
    world = open_world()
    media_id = world.wechat.add_media(PNG, "image/png")
    outcome = world.wechat.send(OPENID, "image", {"PicUrl": "http://x/", "MediaId": media_id}, patience=10)
    assert (len(outcome.bubbles), outcome.problem) == (1, "")
    (stored,) = world.rig.coze.files.values()
    assert (stored["bytes"], stored["file_name"]) == (len(PNG), "image.png")
    assert (world.row()["question"], world.row()["source"]) == (texts.describe_image, "coze")


def test_a_picture_that_is_gone_is_described(open_world: Callable[..., World]) -> None:
    world = open_world()
    outcome = world.wechat.send(OPENID, "image", {"PicUrl": "http://x/", "MediaId": "gone"}, patience=10)
    assert (len(outcome.bubbles), outcome.problem) == (1, "")
    assert world.rig.coze.files == {}
    assert (world.row()["source"], world.row()["error_code"]) == ("coze", None)


def test_a_recording_is_written_down_where_that_is_wanted(open_world: Callable[..., World]) -> None:
    world = open_world(wechat_transcribe_voice=True)
    media_id = world.wechat.add_media(AMR, "audio/amr")
    voice = {"MediaId": "8k", "MediaId16K": media_id, "Format": "amr", "Recognition": ""}
    assert len(world.wechat.send(OPENID, "voice", voice, patience=10).bubbles) == 1
    assert world.row()["question"] == "这是一段100字节的语音。"
    gone = {**voice, "MediaId16K": "gone"}
    assert world.wechat.send(OPENID, "voice", gone, patience=10).text == texts.voice_unreadable


def test_the_bot_forgets_when_it_is_asked_to(open_world: Callable[..., World]) -> None:
    world = open_world()
    world.wechat.send_text(OPENID, "我叫小明", patience=10)
    assert "小明" in world.wechat.send_text(OPENID, "我叫什么？", patience=10).text
    assert world.wechat.send_text(OPENID, " 清除记忆 ", menu_id="2", patience=10).text == texts.forgotten
    assert world.row()["source"] == "command"
    assert "小明" not in world.wechat.send_text(OPENID, "我叫什么？", patience=10).text


def test_words_of_one_s_own_are_commands(open_world: Callable[..., World]) -> None:
    world = open_world(command_human="找人,真人", command_forget="忘了吧")
    assert world.wechat.send_text(OPENID, "忘了吧", patience=10).text == texts.forgotten
    assert world.wechat.send_text(OPENID, "转人工", patience=10).text != texts.transferred.format(place=1)
    assert world.wechat.send_text(OPENID, "真人", patience=10).text == texts.transferred.format(place=1)


def test_a_person_takes_over_and_leaves_again(open_world: Callable[..., World]) -> None:
    world = open_world(wechat_transfer=True)
    wechat = world.wechat
    assert wechat.send_text(OPENID, "转人工", patience=10).problem == ""
    assert world.row()["source"] == "command"
    now = int(time.time())
    account = {"KfAccount": "a@b"}
    assert wechat.send_event(OPENID, "kf_create_session", fields=account, create_time=now).notice is False
    silent = wechat.send_text(OPENID, "在吗", patience=10)
    assert "transfer_customer_service" in silent.tries[-1].decrypted
    assert (world.row()["source"], world.row()["question"]) == ("agent", "在吗")
    wechat.send_event(OPENID, "kf_close_session", fields=account, create_time=now + 1)
    assert wechat.send_text(OPENID, "你好", patience=10).text
    assert world.row()["source"] == "coze"


def test_who_leaves_is_forgotten(open_world: Callable[..., World]) -> None:
    world = open_world()
    world.wechat.send_text(OPENID, "我叫小明", patience=10)
    for _ in range(2):
        gone = world.wechat.send_event(OPENID, "unsubscribe", create_time=1_750_000_000, patience=10)
        assert (list(gone.bubbles), gone.notice) == ([], False)
    rows = world.rig.log()
    assert [row["question"] for row in rows] == ["", ""]
    assert "小明" not in str(rows)
    world.wechat.send_event(OPENID, "subscribe", patience=10)
    assert "小明" not in world.wechat.send_text(OPENID, "我叫什么？", patience=10).text


def test_a_tap_on_the_menu_asks(open_world: Callable[..., World]) -> None:
    world = open_world()
    assert world.wechat.send_event(OPENID, "CLICK", "营业时间", patience=10).text
    assert (world.row()["question"], world.row()["source"]) == ("营业时间", "coze")


@pytest.mark.parametrize("event", ["LOCATION", "VIEW", "SCAN", "TEMPLATESENDJOBFINISH", "kf_switch_session"])
def test_what_asks_nothing_leaves_no_trace(open_world: Callable[..., World], event: str) -> None:
    world = open_world()
    outcome = world.wechat.send_event(OPENID, event, "k", fields={"Status": "success"})
    assert outcome.notice is False
    assert world.rig.log() == []
