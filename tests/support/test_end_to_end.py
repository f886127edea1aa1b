"""A customer asks for a person, talks with one, and goes back to a bot that knows what was said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.conftest import OPENID, TIMEOUT, World
from texts import Texts

texts = Texts()
ON_WECHAT = f"wechat:default:{OPENID}:{OPENID}"


def bubbles(world: World) -> list[str]:
    return [bubble.text for bubble in world.wechat.inbox(OPENID)]


def conversation(world: World, name: str) -> list[tuple[str, str]]:
    number = world.session(name)["conversation_id"]
    return [(each.role, each.content) for each in world.coze.conversations[number].messages]


def test_on_wechat(world: World) -> None:
    send = world.wechat.send_text
    assert "您好" in send(OPENID, "你好", patience=10).text
    assert send(OPENID, "转人工", patience=10).text == texts.transferred.format(place=1)
    assert send(OPENID, "我叫李雷", patience=10).text == ""
    assert send(OPENID, "排队", patience=10).text.startswith("您正在排队等待人工客服，当前排队序号：1")
    assert send(OPENID, "转人工", patience=10).text == texts.transferred.format(place=1)
    queued = world.get("/api/sessions/queue")
    assert (queued["total_count"], queued["queue"][0]["position"]) == (1, 1)
    taken = world.post(f"/api/sessions/{ON_WECHAT}/takeover", "wang", agent_id="wang", agent_name="小王")
    assert taken["data"]["status"] == "manual_live"
    assert taken["data"]["assigned_agent"] == {"id": "wang", "name": "小王"}
    before, asked = len(bubbles(world)), len(world.coze.conversations)
    said = world.say(ON_WECHAT, "您好，三天内给您退款")
    assert said["delivery"] == "queued"
    world.run_jobs()
    assert bubbles(world)[before:] == ["您好，三天内给您退款"]
    assert world.session(ON_WECHAT)["history"][-1]["delivery"] == "sent"
    assert send(OPENID, "好的，谢谢", patience=10).text == ""
    assert ("user", "好的，谢谢") == world.history(ON_WECHAT)[-1]
    assert len(world.coze.conversations) == asked
    world.post(f"/api/sessions/{ON_WECHAT}/release", "wang", reason="解决")
    world.run_jobs()
    assert bubbles(world)[-1] == texts.rate_us
    assert conversation(world, ON_WECHAT)[-3:] == [
        ("user", "我叫李雷"),
        ("assistant", "您好，三天内给您退款"),
        ("user", "好的，谢谢"),
    ]
    assert send(OPENID, "5", patience=10).text == texts.rated
    assert "李雷" in send(OPENID, "我叫什么？", patience=10).text
    shown = world.get(f"/api/sessions/{ON_WECHAT}")
    assert shown["session"]["rating"] == 5
    assert [step["action"] for step in shown["audit_trail"]] == ["escalate", "takeover", "release", "rate"]


def test_without_quota_the_words_ride_with_the_customers_next_message(world: World) -> None:
    send = world.wechat.send_text
    send(OPENID, "转人工", patience=10)
    world.post(f"/api/sessions/{ON_WECHAT}/takeover", "wang")
    for number in range(7):
        world.say(ON_WECHAT, f"第{number}句")
        world.run_jobs()
    lines = [each for each in world.session(ON_WECHAT)["history"] if each["role"] == "agent"]
    assert [each["delivery"] for each in lines] == ["sent"] * 5 + ["queued"] * 2
    assert lines[-1]["delivery_error"].startswith("wechat_45047")
    answered = send(OPENID, "在吗", patience=10).text
    assert "第5句" in answered
    assert "第6句" in answered
    assert "AI" not in answered
    lines = [each for each in world.session(ON_WECHAT)["history"] if each["role"] == "agent"]
    assert [each["delivery"] for each in lines] == ["sent"] * 7
    assert send(OPENID, "在吗？", patience=10).text == ""


def test_an_answer_that_comes_after_the_take_over_is_shown_to_the_agent_only(world: World) -> None:
    world.coze.faults.queue("slow_first_byte", seconds=2)
    answer: list[Any] = []
    asking = threading.Thread(target=lambda: answer.append(world.ask("你好")))
    asking.start()
    while not world.get("/api/sessions")["total"]:
        response = world.call("POST", "/api/sessions/v1/takeover", "wang", json={})
        assert response.status_code in {200, 404}
    asking.join()
    assert (answer[0].status_code, answer[0].json()["error"]) == (409, "SESSION_IN_MANUAL_MODE: manual_live")
    roles = [role for role, _ in world.history("v1")]
    assert "assistant" not in roles
    assert any("未发给客户" in content for role, content in world.history("v1") if role == "system")


def test_a_stream_ends_when_a_person_takes_the_dialogue(world: World) -> None:
    world.ask("你好")
    world.coze.faults.queue("hang_mid_stream", seconds=3, after=6)
    streamed: list[requests.Response] = []
    body = {"message": "请详细介绍一下退货的规则", "user_id": "v1"}
    asking = threading.Thread(
        target=lambda: streamed.append(world.call("POST", "/api/chat/stream", json=body))
    )
    asking.start()
    while len(world.history("v1")) < 3:
        time.sleep(0.05)
    time.sleep(1)
    world.post("/api/sessions/v1/takeover", "wang")
    asking.join()
    *_, news, last = frames(streamed[0])
    assert '"status":"manual_live"' in news
    assert '"content":"SESSION_IN_MANUAL_MODE: manual_live"' in last
    assert [role for role, _ in world.history("v1")].count("assistant") == 1
    assert any("未发给客户" in content for _, content in world.history("v1"))


def frames(response: requests.Response) -> list[str]:
    return [line for line in response.text.splitlines() if line.startswith("data:")]


def test_on_the_web(world: World) -> None:
    assert world.ask("你好").json()["success"] is True
    escalated = world.post("/api/manual/escalate", session_name="v1", reason="user_request")
    assert (escalated["queue_num"], escalated["email_sent"], escalated["is_in_shift"]) == (1, False, True)
    assert (escalated["data"]["status"], escalated["data"]["escalation"]["reason"]) == (
        "pending_manual",
        "manual",
    )
    refused = world.ask("还在吗")
    assert (refused.status_code, refused.json()["error"]) == (409, "SESSION_IN_MANUAL_MODE: pending_manual")
    assert refused.json()["detail"] == "SESSION_IN_MANUAL_MODE: pending_manual"
    assert ("user", "还在吗") in world.history("v1")
    streamed = world.call("POST", "/api/chat/stream", json={"message": "喂", "user_id": "v1"})
    assert len(frames(streamed)) == 1
    assert '"content":"SESSION_IN_MANUAL_MODE: pending_manual"' in frames(streamed)[0]
    kept = world.post("/api/manual/messages", session_name="v1", role="user", content="订单123")["data"]
    assert kept["message_id"]
    listening = requests.get(
        f"{world.url}/api/events", params={"user_id": "v1", "after": 0}, stream=True, timeout=TIMEOUT
    )
    seen: list[str] = []
    world.post("/api/sessions/v1/takeover", "wang")
    said = world.say("v1", "您好 <b>")
    for line in listening.iter_lines():
        seen.append(line.decode())
        if "manual_message" in seen[-1]:
            break
    assert any('"status":"manual_live"' in each and '"agent_name":"小王"' in each for each in seen)
    assert f'"message_id":"{said["message_id"]}"' in seen[-1]
    world.say("v1", "还有问题吗")
    for line in listening.iter_lines():
        if "还有问题吗" in line.decode():
            break
    listening.close()
    first = next(each for each in world.session("v1")["history"] if each["id"] == said["message_id"])
    assert first["delivery"] == "sent"
    assert world.refused("POST", "/api/manual/escalate", json={"session_name": "v1"}) == (
        409,
        "MANUAL_IN_PROGRESS",
    )
    world.post("/api/sessions/v1/release", "wang")
    assert world.refused(
        "POST", "/api/manual/messages", json={"session_name": "v1", "role": "user", "content": "谢谢"}
    ) == (409, "INVALID_STATUS: bot_active")
    world.run_jobs()
    assert ("user", "订单123") in conversation(world, "v1")
    assert world.ask("你好").json()["success"] is True


def test_on_yishiting(world: World) -> None:
    def ask(content: str, number: str) -> dict[str, Any]:
        raw = {"response_url": world.callback_url}
        body = {"user": "zhang", "msg_type": "text", "content": content, "msg_id": number, "raw_msg": raw}
        answered: dict[str, Any] = world.call("POST", "/chat/sync", json=body).json()
        return answered

    name = "yishiting:default:zhang:zhang"
    assert ask("转人工", "1")["msg_content"] == texts.transferred.format(place=1)
    assert ask("我叫李雷", "2")["msg_content"] == texts.queued_message.format(place=1)
    world.post(f"/api/sessions/{name}/takeover", "li")
    world.say(name, "我是小李", agent="li")
    world.run_jobs()
    assert [each.body["msg_content"] for each in world.callbacks.listed("zhang")] == ["我是小李"]
    live = ask("在吗", "3")
    assert (live["code"], live["msg_content"]) == (0, texts.with_person)
    world.callbacks.statuses.append(400)
    world.say(name, "没送到的话", agent="li")
    world.run_jobs()
    assert world.session(name)["history"][-1]["delivery"] == "failed"
    assert "没送到的话" in ask("好了吗", "4")["msg_content"]
    world.post(f"/api/sessions/{name}/release", "li")
    world.run_jobs()
    assert "李雷" in ask("我叫什么？", "5")["msg_content"]


@pytest.mark.parametrize("keeps_marks", [True, False])
def test_what_died_half_way_is_written_into_the_conversation_once(world: World, keeps_marks: bool) -> None:
    world.ask("你好")
    world.post("/api/sessions/v1/takeover", "wang")
    for words in ("一", "二", "三"):
        world.say("v1", words)
    world.post("/api/sessions/v1/release", "wang")
    jobs = world.yingda.jobs
    job = jobs.claim(world.yingda.runner.owner)[0]
    telling = world.yingda.runner.tasks[job.kind]
    create, calls = telling.client.create_message, []  # type: ignore[attr-defined]

    def dying(*args: Any, **options: Any) -> object:
        calls.append(args)
        if not keeps_marks:
            options["mark"] = ""
        made = create(*args, **options)
        if len(calls) == 2:
            raise ZeroDivisionError  # it was written, and nobody lived to say so
        return made

    telling.client.create_message = dying  # type: ignore[attr-defined]
    world.yingda.runner.do(job)
    found = jobs.get(job.id)
    assert found is not None
    assert found.job.status == "waiting"
    jobs.db.transact(lambda session: setattr(session.get(type(job), job.id), "due_ms", 0))
    assert world.run_jobs() >= 1
    assert [words for _, words in conversation(world, "v1")][-3:] == ["一", "二", "三"]
    assert [words for _, words in conversation(world, "v1")].count("二") == 1


@pytest.mark.parametrize("text", ["请转人工", "帮我转人工吧"])
def test_a_phrase_calls_a_person_and_a_denied_one_does_not(world: World, text: str) -> None:
    assert world.ask(f"不用{text[-3:]}").json()["success"] is True
    assert world.ask(text).json()["message"] == texts.transferred.format(place=1)
    assert world.session("v1")["escalation"]["reason"] == "keyword"


def test_failures_in_a_row_call_a_person(open_world: Callable[..., World]) -> None:
    world = open_world(regulator_fail_threshold=2)
    for _ in range(2):
        world.coze.faults.queue("chat_failed")
    assert texts.transferred.format(place=1) not in world.ask("一").json()["error"]
    assert texts.transferred.format(place=1) in world.ask("二").json()["error"]
    assert world.session("v1")["escalation"]["reason"] == "fail_loop"
    assert world.session("v1")["status"] == "pending_manual"


def test_a_full_queue_is_said_and_the_bot_goes_on(open_world: Callable[..., World]) -> None:
    world = open_world(max_queue_length=1)
    assert world.ask("转人工", "a").json()["message"] == texts.transferred.format(place=1)
    assert world.ask("转人工", "b").json()["message"] == texts.queue_full
    assert world.ask("你好", "b").json()["success"] is True


def test_in_the_shop_a_person_without_an_account_takes_the_dialogue(world: World) -> None:
    def shop(path: str, **body: str) -> dict[str, Any]:
        answered: dict[str, Any] = world.call("POST", path, json={"user_id": "k", **body}).json()
        return answered

    assert shop("/api/ai_chat", msg="你好")["need_transfer"] is False
    assert shop("/api/transfer_service")["queue_num"] == 1
    assert shop("/api/ai_chat", msg="在吗")["ai_reply"] == texts.queued_message.format(place=1)
    assert shop("/api/service_reply", service_msg="您好")["code"] == 200
    live = shop("/api/ai_chat", msg="我叫李雷")
    assert live["ai_reply"] == texts.with_person
    assert [each["content"] for each in live["chat_records"]][-2:] == ["您好", "我叫李雷"]
    assert shop("/api/transfer_service") == {
        "code": 200,
        "msg": texts.already_with_person,
        "queue_num": 0,
        "service_status": "online",
    }
    world.post("/api/sessions/shop:default:k:k/release", "chen")
    world.run_jobs()
    assert "李雷" in shop("/api/ai_chat", msg="我叫什么？")["ai_reply"]
    world.post("/api/sessions/shop:default:k:k/takeover", "wang")
    assert shop("/api/service_reply", service_msg="您好") == {"code": 409, "msg": "ALREADY_TAKEN: 小王"}


def test_a_long_line_of_an_agents_is_read_to_its_end_with_a_command(world: World) -> None:
    send = world.wechat.send_text
    send(OPENID, "转人工", patience=10)
    world.post(f"/api/sessions/{ON_WECHAT}/takeover", "wang")
    world.say(ON_WECHAT, "很长" * 1600)
    world.run_jobs()
    rest = send(OPENID, "继续", patience=10).text
    said = "".join(bubbles(world))
    assert "很长" in rest
    assert said.count("很长") + rest.count("很长") >= 1600
    assert "AI" not in rest


def test_a_vip_is_put_through_at_once(open_world: Callable[..., World]) -> None:
    world = open_world(regulator_vip_users="v1", regulator_vip_auto_escalate=True)
    assert world.ask("你好").json()["message"] == texts.transferred.format(place=1)
    shown = world.session("v1")
    assert (shown["escalation"]["reason"], shown["priority"]["level"]) == ("vip", "urgent")
    assert world.ask("你好", "v2").json()["success"] is True
