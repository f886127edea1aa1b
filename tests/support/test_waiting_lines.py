"""An agent's lines that WeChat's quota held back go out by themselves, in order, when the customer writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sandbox.wechat.outcome import Bubble
from storage.models import Job
from tests.support.conftest import OPENID, World

ON_WECHAT = f"wechat:default:{OPENID}:{OPENID}"


def live(world: World) -> None:
    world.wechat.send_text(OPENID, "转人工", patience=10)
    world.post(f"/api/sessions/{ON_WECHAT}/takeover", "wang")


def say(world: World, *lines: str) -> None:
    for each in lines:
        world.say(ON_WECHAT, each)
        world.run_jobs()


def fates(world: World) -> list[str]:
    history = world.session(ON_WECHAT)["history"]
    return [each["delivery"] for each in history if each["role"] == "agent"]


def inbox(world: World) -> list[str]:
    return [bubble.text for bubble in world.wechat.inbox(OPENID)]


def write(world: World, text: str) -> str:
    """The customer writes; what they read in reply. Then every job that waits is done, due or not."""
    # WeChat dates messages by the second, and one of the same second is no newer one for the quota
    time.sleep(1.01 - time.time() % 1)
    read = world.wechat.send_text(OPENID, text, patience=10).text
    jobs = world.yingda.jobs
    for _ in range(20):
        jobs.db.transact(lambda session: session.query(Job).filter_by(status="waiting").update({"due_ms": 0}))
        if not world.run_jobs():
            return read
    raise AssertionError("the jobs come to no end")


def test_more_lines_than_fit_into_a_reply_follow_it_by_themselves(world: World) -> None:
    live(world)
    say(world, *(f"第{number}句" for number in range(10)))
    assert fates(world) == ["sent"] * 5 + ["queued"] * 5
    before = len(inbox(world))
    assert "第5句" in write(world, "在吗")
    said = "\n".join(inbox(world)[before:])
    places = [said.index(f"第{number}句") for number in range(5, 10)]
    assert places == sorted(places)
    assert all(said.count(f"第{number}句") == 1 for number in range(5, 10))
    assert fates(world) == ["sent"] * 10
    assert write(world, "好的") == ""


def test_a_line_that_fits_into_no_reply_goes_out_by_itself_and_whole(world: World) -> None:
    live(world)
    say(world, "一", "二", "三", "四")
    long = "".join(f"{number:04d}字" for number in range(500))
    # one message is left: the long line needs two, and what comes after it must not come before it
    say(world, long, "最后")
    before = inbox(world)
    assert "0000字" not in "".join(before)
    history = [each for each in world.session(ON_WECHAT)["history"] if each["role"] == "agent"]
    assert [each["delivery"] for each in history] == ["sent"] * 4 + ["queued"] * 2
    assert [each["delivery_error"].split(":")[0] for each in history[-2:]] == ["wechat_45047"] * 2
    assert write(world, "在吗") == ""
    news = inbox(world)[len(before) :]
    assert "".join(news[:-1]).replace("\n", "") == long
    assert news[-1] == "最后"
    assert fates(world) == ["sent"] * 6


def test_when_wechat_itself_refuses_a_line_the_next_message_lets_it_go(world: World) -> None:
    live(world)
    # somebody else's program has used the quota up, which our count does not know
    for _ in range(5):
        world.wechat.receive(OPENID, Bubble("text", "别的程序", {}, "push", 0.0), {})
    say(world, "您好，" + "很长" * 700)
    assert fates(world) == ["queued"]
    before = len(inbox(world))
    assert write(world, "在吗") == ""
    assert inbox(world)[before].startswith("您好，")
    assert fates(world) == ["sent"]


def test_after_the_session_has_ended_what_waits_still_goes_first(world: World) -> None:
    live(world)
    say(world, "一", "二", "三", "四", "五", "六", "长" * 900)
    world.post(f"/api/sessions/{ON_WECHAT}/release", "wang")
    world.run_jobs()
    read = write(world, "你好")
    assert "六" in read
    assert "长" * 600 in "".join(inbox(world))
    assert fates(world) == ["sent"] * 7


def test_an_account_that_cannot_push_has_its_lines_ride_and_says_so(open_world: Callable[..., World]) -> None:
    world = open_world(wechat_account_kind="unverified", wechat_appsecret=None)
    live(world)
    say(world, "您好")
    line: dict[str, Any] = world.session(ON_WECHAT)["history"][-1]
    assert (line["delivery"], line["delivery_error"][:12]) == ("queued", "no AppSecret")
    assert write(world, "在吗") == "您好"
    assert fates(world) == ["sent"]
