"""Pictures that agents send: on their way to the customers of each platform."""

from __future__ import annotations

import pytest
import requests

from adapters.images import KEPT_BYTES
from support.pictures_api import SENT, PicturesApi
from tests.support.conftest import OPENID, TIMEOUT, World
from tests.support.picture_steps import ON_WECHAT, PNG, line, look, on_wechat, show, state_of


def test_an_agents_picture_arrives_on_wechat_as_a_picture(world: World) -> None:
    on_wechat(world)
    answer = show(world, ON_WECHAT, PNG)
    assert (answer.status_code, answer.json()["data"]["delivery"]) == (200, "queued")
    world.run_jobs()
    bubble = world.wechat.inbox(OPENID)[-1]
    assert (bubble.msg_type, bubble.via) == ("image", "push")
    stored = world.wechat.media(str(bubble.fields["media_id"]))
    assert (stored.data, stored.mime) == (PNG, "image/png")
    assert state_of(world, ON_WECHAT) == ("sent", None)
    assert look(world, ON_WECHAT, line(world, ON_WECHAT)["id"]).content == PNG


def test_pictures_and_words_keep_their_order(world: World) -> None:
    on_wechat(world)
    before = len(world.wechat.inbox(OPENID))
    world.say(ON_WECHAT, "一")
    show(world, ON_WECHAT, PNG)
    world.say(ON_WECHAT, "三")
    world.run_jobs()
    got = [each.text or each.msg_type for each in world.wechat.inbox(OPENID)[before:]]
    assert got == ["一", "image", "三"]


def test_a_picture_that_wechat_refused_is_sent_again_by_a_person(world: World) -> None:
    on_wechat(world)
    world.wechat.faults.send_errcodes.append(40007)
    number = show(world, ON_WECHAT, PNG).json()["data"]["message_id"]
    world.run_jobs()
    assert state_of(world, ON_WECHAT)[0] == "failed"
    assert world.wechat.pushes == []
    world.post(f"/api/sessions/{ON_WECHAT}/messages/{number}/retry", "wang")
    world.run_jobs()
    assert state_of(world, ON_WECHAT) == ("sent", None)
    assert [each.bubble.msg_type for each in world.wechat.pushes] == ["image"]


def test_without_quota_its_address_rides_with_the_next_reply(world: World) -> None:
    on_wechat(world)
    for number in range(5):
        world.say(ON_WECHAT, f"第{number}句")
    show(world, ON_WECHAT, PNG)
    world.run_jobs()
    assert state_of(world, ON_WECHAT)[0] == "queued"
    words = world.wechat.send_text(OPENID, "在吗", patience=10).text
    assert words.startswith(f"[图片] {world.url}{SENT}/")
    fetched = requests.get(words.partition(" ")[2], timeout=TIMEOUT)
    assert (fetched.status_code, fetched.content, fetched.headers["Content-Type"]) == (200, PNG, "image/png")
    assert fetched.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_on_the_web_it_is_an_event_with_an_address_that_anybody_can_open(world: World) -> None:
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    show(world, "v1", PNG)
    events = requests.get(
        f"{world.url}/api/events", params={"user_id": "v1", "after": 0}, stream=True, timeout=TIMEOUT
    )
    seen = next(each for each in events.iter_lines() if b'"media"' in each).decode()
    events.close()
    address = seen.partition('"media":[{"kind":"image","url":"')[2].partition('"')[0]
    assert requests.get(address, timeout=TIMEOUT).content == PNG
    assert world.call("GET", f"{SENT}/{'x' * 32}").status_code == 404
    assert world.call("GET", f"{SENT}/..%2f..%2fetc").status_code == 404


def test_on_yishiting_it_is_a_link(world: World) -> None:
    body = {"user": "zhang", "msg_type": "text", "content": "转人工", "msg_id": "1",
            "raw_msg": {"response_url": world.callback_url}}  # fmt: skip
    world.call("POST", "/chat/sync", json=body)
    name = "yishiting:default:zhang:zhang"
    world.post(f"/api/sessions/{name}/takeover", "wang")
    show(world, name, PNG)
    world.run_jobs()
    said = world.callbacks.listed("zhang")[-1].body["msg_content"]
    assert requests.get(said.removeprefix("[图片] "), timeout=TIMEOUT).content == PNG


def test_without_a_public_address_only_pages_of_ours_get_pictures(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PicturesApi, "_below", lambda self: SENT)
    world.call("POST", "/api/transfer_service", json={"user_id": "k"})
    world.post("/api/sessions/shop:default:k:k/takeover", "wang")
    refused = show(world, "shop:default:k:k", PNG)
    assert (refused.status_code, refused.json()["detail"][:13]) == (409, "NO_PUBLIC_URL")
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    assert show(world, "v1", PNG).status_code == 200
    assert world.history("v1")[-1] == ("agent", "[图片]")


def test_in_a_shop_the_record_holds_the_address(world: World) -> None:
    world.call("POST", "/api/transfer_service", json={"user_id": "k"})
    world.post("/api/sessions/shop:default:k:k/takeover", "wang")
    show(world, "shop:default:k:k", PNG)
    records = world.call("POST", "/api/ai_chat", json={"user_id": "k", "msg": "？"}).json()["chat_records"]
    address = next(each["content"] for each in records if "[图片]" in each["content"])
    assert requests.get(address.removeprefix("[图片] "), timeout=TIMEOUT).content == PNG


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 415),
        (b"<svg onload=alert(1)>", 415),
        (b"RIFF\0\0\0\0WEBPVP8 ", 415),
        (b"BM" + bytes(64), 415),
        (PNG + bytes(KEPT_BYTES), 413),
        (PNG + bytes(KEPT_BYTES - len(PNG)), 200),
    ],
)
def test_what_an_agent_may_send_is_limited(world: World, content: bytes, status: int) -> None:
    on_wechat(world)
    before = len(world.history(ON_WECHAT))
    assert show(world, ON_WECHAT, content).status_code == status
    assert len(world.history(ON_WECHAT)) == before + (status == 200)


def test_only_who_has_the_session_sends_pictures(world: World) -> None:
    on_wechat(world)
    assert show(world, ON_WECHAT, PNG, "li").json()["detail"] == "ALREADY_TAKEN: 小王"
    assert show(world, ON_WECHAT, PNG, "gu").status_code == 403
    assert show(world, ON_WECHAT, PNG, "").status_code == 401
    assert show(world, "nobody", PNG).status_code == 404
    assert show(world, "", PNG).status_code == 400
    world.post(f"/api/sessions/{ON_WECHAT}/release", "wang")
    assert show(world, ON_WECHAT, PNG).json()["detail"] == "INVALID_STATUS: bot_active"
