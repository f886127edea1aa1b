"""One check for each fault in how bytes are written and sent, and in endpoints of their own."""

from __future__ import annotations

import gzip as gz
import json
import time
from typing import Any

import pytest

from tests.sandbox.coze.fault_steps import ASKED, QUIET, answer, ask, chunks, query, whole

# framing


def dialect(api: Any) -> None:
    studio = ask(api, "dialect", like="studio")
    assert studio.events[-1] == ("conversation.stream.done", "")
    flow = whole(api, "dialect", like="studio_chatflow")
    assert flow.raw.startswith(b"id: 1\nevent: ")
    assert "debug_url" in flow.events[-1][1]
    asked = api.ask(ASKED, query="&dialect=chatflow")
    assert asked.raw.startswith(b"event: conversation.chat.created\ndata: {")


def spaced(api: Any) -> None:
    assert whole(api, "spaced").raw.startswith(b"event: conversation.chat.created\ndata: {")


def ids(api: Any) -> None:
    raw = whole(api, "ids").raw
    assert raw.startswith(b"id:1\nevent:")
    assert b"\nid:2\nevent:" in raw


def crlf(api: Any) -> None:
    raw = whole(api, "crlf").raw
    assert raw.count(b"\n") == raw.count(b"\r\n") > 9


def cr(api: Any) -> None:
    assert b"\n" not in whole(api, "cr").raw


def no_blank_lines(api: Any) -> None:
    assert b"\n\n" not in whole(api, "no_blank_lines").raw


def no_final_newline(api: Any) -> None:
    assert whole(api, "no_final_newline").raw.endswith(b'data:"[DONE]"')


def multiline_data(api: Any) -> None:
    assert b'\ndata: "conversation_id": ' in whole(api, "multiline_data").raw


def bom(api: Any) -> None:
    assert whole(api, "bom").raw.startswith(b"\xef\xbb\xbfevent:")


def comments(api: Any) -> None:
    assert b"\n:keep-alive\nretry: 3000\n" in whole(api, "comments").raw


def pings(api: Any) -> None:
    assert {"content": "{}"} in whole(api, "pings").data("PING")


def shuffled(api: Any) -> None:
    created = whole(api, "shuffled").events[0][1]
    assert not created.startswith('{"id"')


def no_done(api: Any) -> None:
    assert whole(api, "no_done").names[-1] == "conversation.chat.completed"


def done(api: Any) -> None:
    assert whole(api, "done", data="[DONE]").events[-1] == ("done", "[DONE]")
    assert whole(api, "done").events[-1] == ("done", "")


def studio_done(api: Any) -> None:
    assert whole(api, "studio_done").events[-1] == ("conversation.stream.done", "")


def id_gap(api: Any) -> None:
    got = stream_run(api, "id_gap")
    assert b"id: 1\n" in got.raw
    assert b"id: 2\n" not in got.raw
    assert b"id: 3\n" in got.raw


# delivery


def no_content_type(api: Any) -> None:
    assert "content-type" not in whole(api, "no_content_type").headers


def wrong_content_type(api: Any) -> None:
    assert whole(api, "wrong_content_type").headers["content-type"] == "application/json"


def unchunked(api: Any) -> None:
    headers = whole(api, "unchunked").headers
    assert "transfer-encoding" not in headers
    assert "content-length" not in headers
    assert headers["x-tt-logid"]


def gzip(api: Any) -> None:
    got = ask(api, "gzip")
    assert got.headers["content-encoding"] == "gzip"
    assert b'data:"[DONE]"' in gz.decompress(got.raw)


def bytewise(api: Any) -> None:
    assert max(map(len, chunks(api, "bytewise"))) == 1
    whole(api, "bytewise")


def split_utf8(api: Any) -> None:
    whole(api, "split_utf8")
    with pytest.raises(UnicodeDecodeError):
        [chunk.decode() for chunk in chunks(api, "split_utf8")]


def slow_first_byte(api: Any) -> None:
    began = time.monotonic()
    whole(api, "slow_first_byte", seconds=QUIET)
    assert time.monotonic() - began >= QUIET
    late = ask(api, "slow_first_byte", timeout=QUIET, seconds=9)
    assert (late.status, isinstance(late.broken, TimeoutError)) == (0, True)
    assert api.truth() == [answer(api)]


def hang_after_headers(api: Any) -> None:
    got = ask(api, "hang_after_headers", timeout=QUIET)
    assert (got.status, got.raw, isinstance(got.broken, TimeoutError)) == (200, b"", True)
    assert api.truth() == [answer(api)]
    whole(api, "hang_after_headers", seconds=QUIET)


def hang_mid_stream(api: Any) -> None:
    got = ask(api, "hang_mid_stream", timeout=QUIET, after=3)
    assert isinstance(got.broken, TimeoutError)
    assert 3 <= len(got.events) <= 4
    assert api.truth() == [answer(api)]
    whole(api, "hang_mid_stream", seconds=QUIET)


def cut_mid_event(api: Any) -> None:
    got = ask(api, "cut_mid_event", after=5)
    assert got.broken is not None
    assert not got.raw.endswith(b"\n")
    assert len([data for _, data in got.events if data.endswith("}")]) == 5
    assert api.truth() == [answer(api)]
    silent = api.ask(f"{ASKED}[[cut_mid_event]][[unchunked]]")
    assert silent.broken is None
    assert "done" not in silent.names


def cut_mid_utf8(api: Any) -> None:
    got = ask(api, "cut_mid_utf8")
    assert got.broken is not None
    with pytest.raises(UnicodeDecodeError):
        got.raw.decode()
    assert api.truth() == [answer(api)]


def cut_before_completed(api: Any) -> None:
    got = ask(api, "cut_before_completed")
    assert got.broken is not None
    assert got.names[-1] == "conversation.message.delta"
    assert got.deltas == api.truth()[0] == answer(api)


def reset(api: Any) -> None:
    got = ask(api, "reset")
    assert isinstance(got.broken, ConnectionResetError)
    assert got.status == 200
    assert api.truth() == [answer(api)]
    nothing = ask(api, "reset", after=0)
    assert (nothing.status, isinstance(nothing.broken, ConnectionResetError)) == (0, True)
    assert api.truth() == [answer(api)]


# endpoints of their own


def sse_for_nonstream(api: Any) -> None:
    api.coze.faults.queue("sse_for_nonstream")
    got = api.ask(ASKED, stream=False)
    assert got.headers["content-type"] == "text/event-stream"
    assert got.names[-1] == "done"


def created_status(api: Any) -> None:
    api.coze.faults.queue("created_status")
    assert api.ask(ASKED, stream=False).json["data"]["status"] == "created"
    assert api.truth() == [answer(api)]


def status(api: Any) -> None:
    api.ask(ASKED)
    api.coze.faults.queue("status", value="expired")
    assert api.call("GET", "/v3/chat/retrieve", params=query(api)).json()["data"]["status"] == "expired"


def list_unordered(api: Any) -> None:
    api.ask(ASKED)
    api.coze.faults.queue("list_unordered")
    listed = api.call("GET", "/v3/chat/message/list", params=query(api)).json()["data"]
    assert [each["type"] for each in listed] == ["verbose", "answer"]


def list_no_data(api: Any) -> None:
    api.ask(ASKED)
    api.coze.faults.queue("list_no_data")
    listed = api.call("GET", "/v3/chat/message/list", params=query(api)).json()
    assert "data" not in listed
    assert listed["code"] == 5000


def cancel_4104(api: Any) -> None:
    api.ask(f"{ASKED}[[delay:5]]", timeout=QUIET)
    api.coze.faults.queue("cancel_4104")
    assert api.call("POST", "/v3/chat/cancel", json=query(api)).json()["code"] == 4104


def studio_cancel_key(api: Any) -> None:
    api.ask(f"{ASKED}[[delay:5]]", timeout=QUIET)
    api.coze.faults.queue("studio_cancel_key")
    told = api.call("POST", "/v3/chat/cancel", json=query(api)).json()
    assert told["data"] is None
    assert told["ChatV3ChatDetail"]["status"] == "canceled"


def token(api: Any, name: str, **params: Any) -> Any:
    api.coze.faults.queue(name, **params)
    return api.call("POST", "/api/permission/oauth2/token", json={})


def token_slow(api: Any) -> None:
    began = time.monotonic()
    token(api, "token_slow", seconds=QUIET)
    assert time.monotonic() - began >= QUIET


def token_html(api: Any) -> None:
    got = token(api, "token_html")
    assert (got.status_code, "<html>" in got.text) == (502, True)


def token_error(api: Any) -> None:
    got = token(api, "token_error", error_code="access_deny")
    assert (got.status_code, got.json()["error_code"]) == (401, "access_deny")


def token_empty(api: Any) -> None:
    assert token(api, "token_empty").json() == {}


# workflows


def run(api: Any, name: str) -> Any:
    api.coze.faults.queue(name)
    body = {"workflow_id": "1", "parameters": {"input": ASKED}}
    return api.call("POST", "/v1/workflow/run", json=body).json()["data"]


def stream_run(api: Any, name: str) -> Any:
    api.coze.faults.queue(name, on="workflow_stream")
    return api.wire("POST", "/v1/workflow/stream_run", {"workflow_id": "1", "parameters": {"input": ASKED}})


def plain(api: Any) -> None:
    assert run(api, "plain") == answer(api)


def wrapped(api: Any) -> None:
    assert json.loads(run(api, "wrapped"))["data"] == answer(api)


def interrupt(api: Any) -> None:
    event = stream_run(api, "interrupt").data("Interrupt")[0]["interrupt_data"]
    resumed = {"workflow_id": "1", "event_id": event["event_id"], "resume_data": "A", "interrupt_type": 2}
    for _ in range(3):
        api.coze.faults.queue("interrupt", on="workflow_resume")
        got = api.wire("POST", "/v1/workflow/stream_resume", resumed)
        resumed["event_id"] = got.data("Interrupt")[0]["interrupt_data"]["event_id"]
    assert api.wire("POST", "/v1/workflow/stream_resume", resumed).names == ["Error"]
    assert api.wire("POST", "/v1/workflow/stream_resume", resumed).json["code"] == 4200


def workflow_error(api: Any) -> None:
    got = stream_run(api, "workflow_error")
    assert got.names[-1] == "Error"
    assert got.data("Error")[0]["error_code"] == 5000


def output_node(api: Any) -> None:
    messages = stream_run(api, "output_node").data("Message")
    assert json.loads(messages[-1]["content"]) == {"output": answer(api)}
    assert "".join(each["content"] for each in messages[:-1]) == answer(api)
