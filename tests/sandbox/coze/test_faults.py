"""Every fault of the table is visible on the wire, and the chat's truth survives it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.coze import FAULTS
from tests.sandbox.coze import script_faults, wire_faults
from tests.sandbox.coze.fault_steps import ASKED, answer, query


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_visible_on_the_wire(name: str, api: Any) -> None:
    """Each fault has a check of its name; a fault without one fails here."""
    place = script_faults if name in vars(script_faults) else wire_faults
    getattr(place, name)(api)


def test_a_fault_may_be_asked_for_within_a_question_and_is_not_part_of_it(api: Any) -> None:
    got = api.ask(f'[[fault:spaced]]{ASKED} [[fault:chat_failed after=1 msg="two words"]]')
    assert got.raw.startswith(b"event: ")
    assert got.data("conversation.chat.failed")[0]["last_error"]["msg"] == "two words"
    assert "[[" not in api.ask(f"{ASKED} [[spaced]]").text()[0]
    assert "[[别的]]" in api.ask(f"{ASKED} [[别的]]").text()[0]


def test_a_misspelt_fault_is_an_error_rather_than_nothing(api: Any) -> None:
    got = api.ask("[[fault:rest]]")
    assert (got.status, got.json["code"]) == (400, 4000)
    with pytest.raises(ValueError, match="unknown fault"):
        api.coze.faults.queue("rest")
    with pytest.raises(ValueError, match="unknown endpoint"):
        api.coze.faults.queue("reset", on="nowhere")


def test_a_fault_of_a_later_endpoint_asked_for_in_a_question_waits_for_it(api: Any) -> None:
    api.ask(f"{ASKED}[[status value=deleted]][[fault:http_status on=list status=502]]")
    assert api.call("GET", "/v3/chat/message/list", params=query(api)).status_code == 502
    assert api.call("GET", "/v3/chat/retrieve", params=query(api)).json()["data"]["status"] == "deleted"
    assert api.truth() == [answer(api)]


@pytest.mark.parametrize("name", ["cut_mid_event", "reset", "hang_after_headers", "gzip", "unchunked"])
def test_delivery_faults_work_on_json_answers_too(api: Any, name: str) -> None:
    api.ask(ASKED)
    api.coze.faults.queue(name, on="retrieve", after=0, seconds=0.1)
    chat = api.last_chat()
    path = f"/v3/chat/retrieve?conversation_id={chat.conversation_id}&chat_id={chat.id}"
    got = api.wire("GET", path, None)
    assert (got.broken is not None) == (name in {"cut_mid_event", "reset"})
    assert (got.headers.get("content-encoding") == "gzip") == (name == "gzip")


def test_faults_are_queued_and_requests_shown_by_http(api: Any) -> None:
    told = api.call("POST", "/_sandbox/faults", json={"name": "code", "on": "retrieve", "code": 4013})
    assert told.status_code == 200
    api.ask(ASKED)
    assert api.call("GET", "/v3/chat/retrieve", params=query(api)).json()["code"] == 4013
    assert api.call("POST", "/_sandbox/faults", json={"name": "rest"}).status_code == 400
    assert set(api.call("GET", "/_sandbox/faults").json()) == set(FAULTS)
    shown = api.call("GET", "/_sandbox/requests")
    assert [each["path"] for each in shown.json()["requests"]] == ["/v3/chat", "/v3/chat/retrieve"]
    assert api.token not in shown.text
