"""Every endpoint that the client calls."""

from __future__ import annotations

from contextlib import closing

import pytest

from coze.client import CozeClient
from coze.errors import CodeError
from coze.protocol import Ended, Named
from coze.records import Said
from coze.workflows import WorkflowRun
from sandbox.coze import LocalCoze, samples
from tests.coze.calls import BOT, ask, client_of, text_of
from tests.coze.wire import Wire, answer_json

pytestmark = pytest.mark.usefixtures("quick_retries")


def test_a_chat_is_retrieved_by_get_and_cancelled_by_body(client: CozeClient, coze: LocalCoze) -> None:
    (named, *_) = ask(client)
    assert isinstance(named, Named)
    ids = named.chat.conversation_id, named.chat.id
    assert client.retrieve_chat(*ids).status == "completed"
    assert coze.requests[-1].method == "GET"
    assert any(each.type == "answer" for each in client.list_messages(*ids))
    with pytest.raises(CodeError, match="4104"):
        client.cancel(*ids)
    assert dict(coze.requests[-1].query) == {}
    assert coze.requests[-1].json == {"conversation_id": ids[0], "chat_id": ids[1]}


def test_cancelling_needs_no_data_in_the_answer(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("studio_cancel_key")
    with client.chat(BOT, "u", [Said("说 [[endless seconds=3]]")]) as stream:
        named = next(iter(stream))
        assert isinstance(named, Named)
        client.cancel(named.chat.conversation_id, named.chat.id)


def test_a_message_list_without_data_is_empty() -> None:
    with Wire([[answer_json({"code": 0, "msg": ""})]]) as wire, closing(client_of(wire.url)) as client:
        assert client.list_messages("72", "71") == ()


def test_a_conversation_has_its_whole_life(client: CozeClient) -> None:
    made = client.create_conversation(bot_id=BOT)
    client.create_message(made.id, Said("您好，我是人工客服", role="assistant"))
    ask(client, "问", conversation_id=made.id)
    page = client.list_conversation(made.id, order="asc")
    assert [each.content for each in page.messages][:2] == ["您好，我是人工客服", "问"]
    section = client.clear_conversation(made.id)
    again = client.retrieve_conversation(made.id)
    assert (again.id, again.section_id) == (made.id, section)


def test_tool_outputs_go_on_with_the_chat(client: CozeClient) -> None:
    events = ask(client, "天气 [[tool_call]]")
    ended = next(each for each in events if isinstance(each, Ended))
    assert (ended.chat.status, ended.chat.tool_calls[0]) == ("requires_action", "function")
    calls = {str(each["id"]): "晴" for each in samples.TOOL_CALLS}
    with client.submit_tool_outputs(ended.chat.conversation_id, ended.chat.id, calls) as stream:
        assert text_of(stream)


def test_the_bot_is_known_or_not(client: CozeClient, coze: LocalCoze) -> None:
    assert client.bot_info(BOT).id == BOT
    coze.faults.queue("code", on="bot", code=4200)
    with pytest.raises(CodeError):
        client.bot_info("1")


def test_a_file_is_uploaded_in_a_form(client: CozeClient, coze: LocalCoze) -> None:
    uploaded = client.upload_file("图.png", b"\x89PNG", "image/png")
    assert (uploaded.id in coze.files, uploaded.size) == (True, 4)
    assert coze.requests[-1].headers["Content-Type"].startswith("multipart/form-data; boundary=")


def test_a_recording_is_transcribed(client: CozeClient) -> None:
    assert isinstance(client.transcribe("a.mp3", b"ID3", "audio/mpeg"), str)


@pytest.mark.parametrize("fault", [None, "plain", "wrapped"])
def test_a_workflow_is_run(client: CozeClient, coze: LocalCoze, fault: str | None) -> None:
    if fault:
        coze.faults.queue(fault)
    assert client.run_workflow("7300", {"input": "问"}).text


def test_a_workflow_is_followed_interrupted_and_resumed(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("interrupt")
    with client.stream_workflow("7300", {"input": "问"}) as stream:
        list(stream)
    interrupt = stream.run.interrupt
    assert interrupt is not None
    with client.resume("7300", interrupt.event_id, interrupt.type, "好") as resumed:
        assert "".join(resumed)
    assert resumed.run.ended


def test_a_failing_workflow_raises_what_it_failed_with(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("workflow_error")
    with client.stream_workflow("7300") as stream, pytest.raises(CodeError):
        list(stream)


def test_a_repeating_end_node_is_heard_once(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("output_node")
    with client.stream_workflow("7300", {"input": "问"}) as stream:
        list(stream)
    assert isinstance(stream.run, WorkflowRun)
    assert "{" not in stream.run.text
    assert "\n" not in stream.run.text
