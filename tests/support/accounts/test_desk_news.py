"""What happens to a session is on every agent's page at once, whichever gateway did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from errors import Conflict
from handler.desk import Desk as HandlersDesk
from handler.handoff import Escalation, Person
from sandbox.serve import Server
from storage.db import now_ms
from storage.handoff_requests import HandoffRequests
from storage.models import Message
from tests.support.accounts.conftest import BY, Desk
from tests.support.accounts.test_agent_events import listening


def told(desk: Desk, after: int = 0) -> list[dict[str, Any]]:
    events = desk.people.kept_events.since(after)
    return [{"type": each.event.kind, **each.event.payload} for each in events]


def known(desk: Desk, username: str) -> Person:
    account = desk.people.agents.get(username)
    assert account is not None
    return Person(account.id, account.username, account.name)


def handlers_desk(desk: Desk) -> HandlersDesk:
    found: HandlersDesk = desk.app.extensions["yingda"].desk.desk
    return found


def test_agents_of_another_gateway_see_the_queue_the_taking_and_each_line(
    desk: Desk, served: str, make_desk: Callable[..., Desk]
) -> None:
    other = make_desk()
    number = other.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    with Server(other.app) as second, listening(served, desk.bearer("li")) as events:
        next(events)
        news = (content for _, content in events if content["type"] != "agent_status")
        handlers_desk(other).escalate(number, Escalation("keyword", "顾客的原话"))
        session = {"session_id": str(number), "session_name": "v1"}
        called = {"action": "escalate", "status": "pending_manual", "agent_id": None, "actor": "customer"}
        assert next(news) == {"type": "session_changed", **session, **called}
        assert next(news) == {"type": "queue_changed", **session, "action": "escalate"}
        client = other.client()
        line = {"session_name": "v1", "role": "user", "content": "在吗"}
        said = client.post("/api/manual/messages", json=line).json["data"]["message_id"]
        heard = {"type": "message", **session, "message_id": said, "role": "user", "agent_id": None}
        assert next(news) == heard
        assert client.post("/api/sessions/v1/takeover", headers=desk.bearer("wang")).status_code == 200
        taken = next(news)
        assert (taken["action"], taken["agent_id"], taken["status"]) == ("takeover", "wang", "manual_live")
        assert next(news)["type"] == "queue_changed"
        line = {"session_name": "v1", "role": "agent", "content": "您好"}
        headers = desk.bearer("wang")
        said = client.post("/api/manual/messages", json=line, headers=headers).json["data"]["message_id"]
        heard = {"type": "message", **session, "message_id": said, "role": "agent", "agent_id": "wang"}
        assert next(news) == heard
        assert second


def test_requests_releases_and_the_rest_are_told_without_a_customers_words(desk: Desk) -> None:
    front = handlers_desk(desk)
    requests = HandoffRequests(front.handoffs)
    number = desk.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    wang, li = known(desk, "wang"), known(desk, "li")
    front.escalate(number, Escalation("keyword", "顾客的原话"))
    front.take(number, wang)
    asked = requests.ask(number, "wang", li, "原因里的话", "备注里的话", anybodys=False)
    requests.respond(asked.id, li, True, "")
    requests.note(number, li, "笔记里的话")
    front.release(number, "li", "resolved")
    news = [each for each in told(desk) if each["type"] == "session_changed"]
    assert [each["action"] for each in news] == [
        "escalate", "takeover", "transfer_ask", "transfer", "note", "release",
    ]  # fmt: skip
    assert [each["agent_id"] for each in news] == [None, "wang", "wang", "li", "li", None]
    assert news[2]["to_agent_id"] == "li"
    assert "的话" not in str(told(desk))
    assert "原话" not in str(told(desk))


def test_what_did_not_happen_is_not_told(desk: Desk) -> None:
    front = handlers_desk(desk)
    number = desk.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    front.take(number, known(desk, "wang"))
    before = desk.people.kept_events.newest()
    with pytest.raises(Conflict, match="ALREADY_TAKEN: 小王"):
        front.take(number, known(desk, "li"))
    with pytest.raises(Conflict):
        front.say(number, known(desk, "li"), "您好")
    assert desk.people.kept_events.newest() == before


def test_a_supervisor_gives_a_session_to_another_who_is_there_and_has_room(desk: Desk) -> None:
    desk.add("chen", "supervisor", name="陈主管")
    front, client = handlers_desk(desk), desk.client()
    number = desk.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    headers, body = desk.bearer("chen"), {"to_agent_id": "li", "reason": "午休"}

    def reassigned() -> tuple[int, str]:
        response = client.post("/api/sessions/v1/reassign", headers=headers, json=body)
        return response.status_code, response.json.get("detail", "")

    assert reassigned() == (409, "OFFLINE: 小李")
    li = desk.people.agents.get("li")
    assert li is not None
    desk.people.agents.set_status(BY, li.agent, "busy")
    assert reassigned() == (409, "INVALID_STATUS: bot_active")
    front.take(number, known(desk, "wang"))
    asked = HandoffRequests(front.handoffs).ask(number, "wang", known(desk, "boss"), "r", "", anybodys=False)
    assert reassigned()[0] == 200
    assert reassigned()[0] == 409
    row = front.handoffs.get(number)
    assert row is not None
    assert (row.agent_username, row.agent_id) == ("li", li.id)
    path = f"/api/transfer-requests/{asked.id}/respond"
    assert client.post(path, headers=desk.bearer("boss"), json={"accept": True}).status_code == 409
    trail = client.get("/api/sessions/v1", headers=headers).json["data"]["audit_trail"]
    [step] = [each for each in trail if each["action"] == "reassign"]
    assert (step["operator"], step["details"]) == ("chen", {"from": "wang", "to": "li", "reason": "午休"})
    desk.people.agents.change(BY, "wang", {"max_sessions": 0})
    body["to_agent_id"] = "wang"
    assert reassigned() == (409, "AT_CAPACITY: 小王 has 0 of 0 sessions")


def test_a_whisper_is_heard_by_who_has_the_session_and_by_nobody_else(desk: Desk) -> None:
    desk.add("chen", "supervisor", name="陈主管")
    front, client = handlers_desk(desk), desk.client()
    number = desk.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    headers = desk.bearer("chen")
    body = {"content": "先道歉"}
    assert client.post("/api/sessions/v1/whisper", headers=headers, json=body).status_code == 409
    front.take(number, known(desk, "wang"))
    assert client.post("/api/sessions/v1/whisper", headers=headers, json=body).status_code == 201
    kept = desk.people.kept_events
    [heard] = [each for each in kept.of_dialogue(known(desk, "wang").id, 0) if each.kind == "whisper"]
    assert (heard.payload["content"], heard.payload["from_agent_id"]) == ("先道歉", "chen")
    assert not [each for each in kept.of_dialogue(known(desk, "li").id, 0) if each.kind == "whisper"]
    notes = client.get("/api/sessions/v1/notes", headers=desk.bearer("wang")).json["data"]["notes"]
    assert [each["content"] for each in notes] == ["先道歉"]
    with desk.app.extensions["yingda"].db.read() as session:
        lines = session.scalars(select(Message.text)).all()
    assert not any("道歉" in each for each in lines), "the customer could read it"


def test_who_looks_and_who_types_is_news_for_seconds(desk: Desk) -> None:
    desk.app.extensions["yingda"].dialogues.ensure("web", "default", "v1", "v1")
    client, headers = desk.client(), desk.bearer("wang")
    for doing in ("viewing", "typing", "gone"):
        body = {"doing": doing}
        assert client.post("/api/sessions/v1/presence", headers=headers, json=body).status_code == 200
    assert client.post("/api/sessions/v1/presence", headers=headers, json={"doing": "x"}).status_code == 400
    seen = [each for each in told(desk) if each["type"] == "presence"]
    assert [(each["agent_id"], each["doing"]) for each in seen] == [
        ("wang", "viewing"), ("wang", "typing"), ("wang", "gone"),
    ]  # fmt: skip
    kept = desk.people.kept_events
    newest = kept.newest()
    assert kept.purge_presence(now_ms() + 9_000) == 0
    assert kept.purge_presence(now_ms() + 11_000) == 2
    assert kept.newest() == newest, "a number that comes again is one that pages have seen"
