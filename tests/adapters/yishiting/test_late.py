"""Answers that did not fit into the platform's minute: announced in the request, posted to the callback."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from tests.adapters.yishiting.conftest import Late
from tests.adapters.yishiting.desk import ask, frames, newest, row, undelivered
from texts import Texts

SLOW = "给我使用指南[[delay:1]]"
texts = Texts()


def asked(late: Late, **more: Any) -> dict[str, Any]:
    return {"content": SLOW, "raw_msg": {"response_url": late.url}, **more}


def test_a_slow_stream_ends_with_a_frame_that_says_so_and_the_answer_is_posted(late: Late) -> None:
    rig = late.rig()
    *_, last = frames(rig, **asked(late))
    assert last["finished"] is True
    assert last["response"].strip() == texts.comes_later
    assert last["global_output"] == {"answer_success": 0, "docs": []}
    assert row(rig, "delivered")["delivery"] == "callback"
    (arrived,) = late.desk.listed()
    assert set(arrived.body) == {
        "code",
        "err_msg",
        "is_async_response",
        "is_recall_success",
        "recall_docs",
        "msg_type",
        "msg_content",
        "third_party_trace_id",
        "user",
        "msg_id",
        "session_id",
        "business_keys",
    }
    logged = rig.log()[0]
    assert arrived.body["msg_content"] == logged["answer"]
    assert (arrived.body["code"], arrived.body["err_msg"], arrived.body["msg_type"]) == (0, "", "text")
    assert (arrived.body["is_async_response"], arrived.body["is_recall_success"]) == (True, 1)
    assert set(arrived.body["recall_docs"][0]) == {"doc_id", "space_id", "title", "url", "score"}
    assert arrived.body["third_party_trace_id"] == arrived.trace_id == logged["trace_id"]
    assert (arrived.body["user"], arrived.body["msg_id"]) == ("test_user", "test_123")
    assert (arrived.body["session_id"], arrived.body["business_keys"]) == ("session_456", ["售后"])


def test_a_slow_synchronous_call_succeeds_and_says_the_same(late: Late) -> None:
    rig = late.rig()
    body = ask(rig, **asked(late)).json()
    assert (body["code"], body["err_msg"], body["is_async_response"]) == (0, "", True)
    assert body["msg_content"] == texts.comes_later
    assert late.desk.wait_for(1)
    assert late.desk.listed()[0].body["third_party_trace_id"] == body["third_party_trace_id"]


def test_an_asynchronous_call_is_accepted_at_once_and_answered_later(late: Late) -> None:
    rig = late.rig()
    response = ask(rig, "/chat/async", **asked(late, content="你好"))
    assert response.status_code == 200
    body = response.json()
    assert body == {
        "code": 0,
        "err_msg": "",
        "is_async_response": True,
        "third_party_trace_id": response.headers["X-Trace-ID"],
    }
    assert late.desk.wait_for(1)
    assert late.desk.listed()[0].body["third_party_trace_id"] == body["third_party_trace_id"]
    assert row(rig, "delivered")["delivery"] == "callback"


def test_the_same_asynchronous_message_twice_is_posted_once(late: Late) -> None:
    rig = late.rig()
    first, second = (ask(rig, "/chat/async", **asked(late)).json() for _ in range(2))
    assert first == second
    row(rig, "delivered")
    third = ask(rig, "/chat/async", **asked(late)).json()
    time.sleep(0.4)
    assert third == first
    assert late.desk.tries == len(rig.coze.chats) == 1


def test_a_retry_of_what_the_callback_brings_does_not_say_it_a_second_time(late: Late) -> None:
    rig = late.rig()
    first = ask(rig, **asked(late)).json()
    row(rig, "delivered")
    assert ask(rig, **asked(late)).json() == first
    (only,) = frames(rig, **asked(late))
    assert only["response"] == texts.comes_later
    assert late.desk.tries == 1


def test_the_robots_own_address_serves_messages_that_name_none(late: Late) -> None:
    rig = late.rig(yishiting_callback_url=late.url)
    ask(rig, "/chat/async", raw_msg=None)
    assert late.desk.wait_for(1)


def test_an_original_message_that_came_as_text_is_understood(late: Late) -> None:
    rig = late.rig()
    ask(rig, "/chat/async", raw_msg=f'{{"response_url": "{late.url}"}}')
    assert late.desk.wait_for(1)


def test_a_failed_answer_is_posted_as_a_failure(late: Late) -> None:
    rig = late.rig()
    rig.coze.faults.queue("chat_failed")
    ask(rig, "/chat/async", **asked(late))
    assert late.desk.wait_for(1)
    body = late.desk.listed()[0].body
    assert body["code"] == 1
    assert body["err_msg"] == body["msg_content"] == texts.apology


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "no response_url came with the message"),
        ("https://elsewhere.example/later", "response_url: the host of the address is not allowed"),
        ("ftp://127.0.0.1/later", "response_url: the address is not a plain https:// one"),
        ("http://user:pass@127.0.0.1/later", "response_url: the address is not a plain https:// one"),
        ("https://127.0.0.1:99999/", "response_url: the address is malformed"),
        ("x" * 3000, "no response_url came with the message"),
    ],
)
def test_without_a_usable_address_the_customer_is_told_what_to_do(
    late: Late, url: str | None, why: str
) -> None:
    rig = late.rig()
    raw = {"response_url": url} if url else None
    *_, last = frames(rig, content=SLOW, raw_msg=raw)
    assert last["finished"] is True
    assert last["response"].strip() == texts.ask_for_it
    assert undelivered(rig) == why
    assert late.desk.tries == 0


def test_what_the_customer_is_told_to_do_works(late: Late) -> None:
    rig = late.rig()
    body = ask(rig, content=SLOW).json()
    assert (body["code"], body["err_msg"]) == (1, texts.ask_for_it)
    undelivered(rig)
    fetched = ask(rig, content="继续", msg_id="2").json()
    assert fetched["code"] == 0
    assert fetched["msg_content"].startswith("为您找到以下资料")
    assert rig.log()[1]["delivery"] == "fetch"


def test_a_retry_finds_the_answer_whose_callback_was_refused(late: Late) -> None:
    late.desk.statuses.append(403)
    rig = late.rig()
    ask(rig, "/chat/async", **asked(late))
    assert undelivered(rig) == "callback_http_403"
    body = ask(rig, **asked(late)).json()
    assert body["code"] == 0
    assert body["msg_content"].startswith("为您找到以下资料")
    assert row(rig, "delivered")["delivery"] == "fetch"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_was_certainly_not_taken_is_posted_again(late: Late, status: int) -> None:
    late.desk.statuses.append(status)
    rig = late.rig()
    ask(rig, "/chat/async", **asked(late, content="你好"))
    assert row(rig, "delivered")["delivery"] == "callback"
    assert (late.desk.tries, len(late.desk.listed())) == (2, 1)


@pytest.mark.parametrize(
    ("statuses", "says", "why"),
    [
        ([302], {}, "callback_http_302"),
        ([400], {}, "callback_http_400"),
        ([504], {}, "in_doubt"),
        ([], {"errcode": 60140, "errmsg": "response_code expired"}, "callback_code_60140"),
    ],
)
def test_what_is_refused_or_in_doubt_is_not_posted_again(
    late: Late, statuses: list[int], says: dict[str, Any], why: str
) -> None:
    late.desk.statuses.extend(statuses)
    late.desk.says = says or late.desk.says
    rig = late.rig()
    ask(rig, "/chat/async", **asked(late, content="你好"))
    assert undelivered(rig) == why
    assert late.desk.tries == 1
    assert newest(rig, "status", "jobs") == ("in_doubt" if why == "in_doubt" else "failed")


def test_a_connection_that_breaks_after_the_body_was_sent_is_in_doubt(late: Late) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(65536)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        rig = late.rig(yishiting_callback_hosts=f"127.0.0.1:{port}")
        ask(rig, "/chat/async", raw_msg={"response_url": f"http://127.0.0.1:{port}/"})
        assert undelivered(rig) == "in_doubt"


def test_a_host_that_is_not_there_yet_is_tried_again(late: Late) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    rig = late.rig(yishiting_callback_hosts=f"127.0.0.1:{port}")
    ask(rig, "/chat/async", raw_msg={"response_url": f"http://127.0.0.1:{port}/"})
    deadline = time.monotonic() + 60
    while newest(rig, "error", "jobs") != "the host cannot be reached: NewConnectionError":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert newest(rig, "status", "jobs") in {"waiting", "running", "sending"}
    assert row(rig, "answered")["delivery"] is None


def test_an_answer_that_comes_after_an_hour_is_given_up(late: Late) -> None:
    late.desk.statuses.append(503)
    rig = late.rig()
    ask(rig, "/chat/async", **asked(late, content="你好"))
    assert late.desk.wait_for(1)
    with rig.app.extensions["yingda"].db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE exchanges SET created_ms = created_ms - 3601000")
    assert undelivered(rig) == "response_url: it was asked more than an hour ago"
    assert late.desk.tries == 1


def test_a_request_that_dies_unanswered_leaves_its_answer_to_the_callback(late: Late) -> None:
    rig = late.rig(yishiting_budget=30)
    host, port = rig.url.removeprefix("http://").split(":")
    body = (
        '{"user": "u", "msg_type": "text", "content": "hello[[delay:0.5]]", '
        f'"raw_msg": {{"response_url": "{late.url}"}}}}'
    ).encode()
    head = f"POST /chat/sync HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + body)
        time.sleep(0.3)
    assert row(rig, "delivered")["delivery"] == "callback"
    assert len(late.desk.listed()) == 1


def test_the_callback_address_is_in_no_log_and_no_page(late: Late, caplog: pytest.LogCaptureFixture) -> None:
    late.desk.statuses.append(400)
    rig = late.rig()
    secret = "a-code-that-lets-its-bearer-write"
    ask(rig, "/chat/async", content="你好", raw_msg={"response_url": f"{late.url}?response_code={secret}"})
    undelivered(rig)
    shown = rig.get("/api/messages", headers={"X-Api-Key": "yingda-development-key"}).text
    assert secret not in caplog.text + shown + repr([vars(each) for each in caplog.records])


def test_a_promised_answer_survives_the_process_that_promised_it(late: Late) -> None:
    # the first gateway never works on its jobs, as if it had been killed right after its promise
    first = late.open(yishiting_budget=0.4, yishiting_callback_hosts=late.host)
    body = ask(first, **asked(late)).json()
    assert body["is_async_response"] is True
    row(first, "answered")
    assert late.desk.tries == 0
    second = late.rig()
    assert row(second, "delivered")["delivery"] == "callback"
    assert late.desk.listed()[0].body["third_party_trace_id"] == body["third_party_trace_id"]
