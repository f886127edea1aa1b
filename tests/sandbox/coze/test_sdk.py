"""The platform's own SDK finds nothing unusual about the local Coze."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cozepy import (
    ChatEventType,
    ChatStatus,
    Coze,
    CozeAPIError,
    JWTOAuthApp,
    Message,
    MessageContentType,
    MessageObjectString,
    MessageRole,
    MessageType,
    TokenAuth,
    WorkflowEventType,
)
from cozepy.request import SyncHTTPClient

from sandbox.coze import LocalCoze

BOT = "7000000000000000001"
USER = "u1"


@pytest.fixture
def http() -> Iterator[SyncHTTPClient]:
    with SyncHTTPClient() as client:
        yield client


@pytest.fixture
def sdk(api: Any, http: SyncHTTPClient) -> Coze:
    return Coze(auth=TokenAuth("pat_yingda-sandbox"), base_url=api.url, http_client=http)


def said(text: str) -> list[Message]:
    return [Message.build_user_question_text(text)]


def stream(sdk: Coze, text: str, **more: Any) -> list[Any]:
    return list(sdk.chat.stream(bot_id=BOT, user_id=USER, additional_messages=said(text), **more))


def test_a_chat_is_created_and_polled(sdk: Coze) -> None:
    poll = sdk.chat.create_and_poll(
        bot_id=BOT, user_id=USER, additional_messages=said("你好"), poll_timeout=9
    )
    assert poll.chat.status == ChatStatus.COMPLETED
    assert poll.chat.usage is not None
    assert poll.chat.usage.token_count == poll.chat.usage.input_count + poll.chat.usage.output_count
    assert poll.messages is not None
    assert [each.content[:2] for each in poll.messages if each.type == MessageType.ANSWER] == ["您好"]


def test_a_chat_is_streamed_in_small_deltas_that_make_up_the_answer(sdk: Coze) -> None:
    events = stream(sdk, "你好", meta_data={"request": "r1"})
    assert [each.event for each in events[:2]] == [
        ChatEventType.CONVERSATION_CHAT_CREATED,
        ChatEventType.CONVERSATION_CHAT_IN_PROGRESS,
    ]
    assert events[-1].event == ChatEventType.CONVERSATION_CHAT_COMPLETED
    assert events[-1].chat.meta_data == {"request": "r1"}
    deltas = [
        each.message.content for each in events if each.event == ChatEventType.CONVERSATION_MESSAGE_DELTA
    ]
    whole = [
        each.message
        for each in events
        if each.event == ChatEventType.CONVERSATION_MESSAGE_COMPLETED
        and each.message.type == MessageType.ANSWER
    ]
    assert max(map(len, deltas)) <= 4
    assert "".join(deltas) == whole[0].content
    assert all(len(each) == 19 for each in (whole[0].id, whole[0].chat_id, whole[0].conversation_id))


def test_a_conversation_is_kept_listed_cleared_renamed_and_deleted(sdk: Coze) -> None:
    made = sdk.conversations.create(bot_id=BOT, name="甲", messages=said("我叫张三"), meta_data={"a": "b"})
    events = stream(sdk, "我叫什么？", conversation_id=made.id)
    assert "张三" in events[-3].message.content
    assert sdk.conversations.retrieve(conversation_id=made.id).meta_data == {"a": "b"}
    sdk.conversations.messages.create(
        conversation_id=made.id,
        role=MessageRole.ASSISTANT,
        content="人工客服的话",
        content_type=MessageContentType.TEXT,
    )
    pages = sdk.conversations.messages.list(conversation_id=made.id, order="asc", limit=2)
    texts = [each.content for each in pages]
    assert texts[:2] == ["我叫张三", "我叫什么？"]
    assert (len(texts), texts[-1]) == (4, "人工客服的话")
    section = sdk.conversations.clear(conversation_id=made.id)
    assert section.conversation_id == made.id
    assert section.id != made.last_section_id
    assert list(sdk.conversations.messages.list(conversation_id=made.id)) == []
    assert "不知道" in stream(sdk, "我叫什么？", conversation_id=made.id)[-3].message.content
    assert sdk.conversations.update(conversation_id=made.id, name="乙").name == "乙"
    other = sdk.conversations.create(bot_id=BOT)
    assert [each.id for each in sdk.conversations.list(bot_id=BOT, page_size=1)] == [other.id, made.id]
    sdk.conversations.delete(conversation_id=made.id)
    with pytest.raises(CozeAPIError, match="4200"):
        sdk.conversations.retrieve(conversation_id=made.id)


def test_a_file_is_uploaded_and_asked_about(sdk: Coze) -> None:
    file = sdk.files.upload(file=("图片.png", b"\x89PNG...."))
    assert (file.bytes, file.file_name) == (8, "图片.png")
    question = Message.build_user_question_objects(
        [MessageObjectString.build_text("看图"), MessageObjectString.build_image(file_id=file.id)]
    )
    events = list(sdk.chat.stream(bot_id=BOT, user_id=USER, additional_messages=[question]))
    assert "1个文件" in events[-3].message.content
    assert "看图" in events[-3].message.content
    assert sdk.audio.transcriptions.create(file=("a.wav", b"1234")).text


def test_a_running_chat_is_cancelled_once(sdk: Coze) -> None:
    chat = sdk.chat.create(bot_id=BOT, user_id=USER, additional_messages=said("你好[[delay:30]]"))
    told = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    assert sdk.chat.cancel(**told).status == ChatStatus.CANCELED
    assert sdk.chat.retrieve(**told).status == ChatStatus.CANCELED
    with pytest.raises(CozeAPIError, match="4104"):
        sdk.chat.cancel(**told)


def test_a_workflow_runs_whole_and_streamed_and_resumes(sdk: Coze) -> None:
    runs = sdk.workflows.runs
    done = runs.create(workflow_id="1", parameters={"input": "你好"})
    assert json.loads(done.data or "")["output"].startswith("您好")
    assert done.debug_url
    events = list(runs.stream(workflow_id="1", parameters={"input": "你好"}))
    assert [each.id for each in events] == list(range(len(events)))
    assert "".join(each.message.content for each in events if each.message).startswith("您好")
    asked = list(runs.stream(workflow_id="1", parameters={"input": "你好[[interrupt]]"}))
    assert asked[-1].event == WorkflowEventType.INTERRUPT
    data = asked[-1].interrupt.interrupt_data
    resumed = runs.resume(workflow_id="1", event_id=data.event_id, resume_data="A", interrupt_type=data.type)
    assert "A" in "".join(each.message.content for each in resumed if each.message)


def test_a_chatflow_streams_and_remembers(sdk: Coze) -> None:
    first = list(
        sdk.workflows.chat.stream(
            workflow_id="1", additional_messages=said("我今年25岁"), parameters={}, app_id="9"
        )
    )
    assert first[0].chat.bot_id is None
    second = list(
        sdk.workflows.chat.stream(
            workflow_id="1",
            additional_messages=said("我多大？"),
            parameters={},
            bot_id=BOT,
            conversation_id=first[0].chat.conversation_id,
        )
    )
    assert "25" in second[-3].message.content


def test_the_bot_describes_itself(api: Any) -> None:
    found = api.call("GET", "/v1/bot/get_online_info", params={"bot_id": BOT}).json()["data"]
    assert found["bot_id"] == BOT
    assert api.call("GET", "/v1/bot/get_online_info").json()["code"] == 4000


def test_an_oauth_app_gets_a_token_that_is_bound_to_its_session(
    coze: LocalCoze, api: Any, http: SyncHTTPClient, keys: tuple[str, str]
) -> None:
    private, public = keys
    coze.register_app("app-1", "kid-1", public)
    app = JWTOAuthApp("app-1", private, "kid-1", base_url=api.url)
    mine = app.get_access_token(ttl=600, session_name="张三")
    yours = app.get_access_token(ttl=600, session_name="李四")
    first = Coze(auth=TokenAuth(mine.access_token), base_url=api.url, http_client=http)
    second = Coze(auth=TokenAuth(yours.access_token), base_url=api.url, http_client=http)
    conversation = first.conversations.create(bot_id=BOT)
    stream(first, "我叫王五", conversation_id=conversation.id)
    assert "王五" in stream(first, "我叫什么？", conversation_id=conversation.id)[-3].message.content
    with pytest.raises(CozeAPIError, match="4002"):
        stream(second, "我叫什么？", conversation_id=conversation.id)
    with pytest.raises(CozeAPIError, match="4200"):
        second.conversations.retrieve(conversation_id=conversation.id)
    assert list(second.conversations.list(bot_id=BOT)) == []
    assert list(coze.chats.values())[-1].session_name == "张三"
