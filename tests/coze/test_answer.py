"""One answer from many events: what is shown while they come, and what stands at the end."""

from __future__ import annotations

import json

import pytest

from coze.answer import Answer, from_messages, recalled
from coze.errors import Malformed
from coze.protocol import Chat, Done, Message, Named, chat_event, chat_of, loads, message_of
from coze.sse import Event
from handler.message import Usage

CARD = "（卡片）"


class Told:
    """An answer and everything it showed."""

    def __init__(self) -> None:
        self.answer = Answer(CARD)
        self.pieces: list[str] = []

    def event(self, name: str, data: object) -> Told:
        event = chat_event(Event(name, data if isinstance(data, str) else json.dumps(data), ""))
        if event is not None and (piece := self.answer.take(event)):
            self.pieces.append(piece)
        return self

    def delta(self, text: str, key: str = "1", **more: object) -> Told:
        return self.event("conversation.message.delta", said(text, key, **more))

    def whole(self, text: str, key: str = "1", kind: str = "answer", **more: object) -> Told:
        return self.event("conversation.message.completed", said(text, key, **{"type": kind, **more}))

    def completed(self, **more: object) -> Told:
        chat = {"id": "71", "conversation_id": "72", "status": "completed", **more}
        return self.event("conversation.chat.completed", chat)

    @property
    def shown(self) -> str:
        return "".join(self.pieces)


def said(text: str, key: str, **more: object) -> dict[str, object]:
    return {"id": key, "role": "assistant", "type": "answer", "content": text, "content_type": "text", **more}


@pytest.fixture
def told() -> Told:
    return Told()


def test_completed_replaces_the_deltas_of_its_message(told: Told) -> None:
    told.delta("你").delta("好").whole("你好").completed()
    assert (told.answer.text, told.pieces) == ("你好", ["你", "好"])


def test_a_longer_completed_shows_what_the_deltas_left_out(told: Told) -> None:
    told.delta("你好").whole("你好”").completed()
    assert (told.answer.text, told.shown) == ("你好”", "你好”")


def test_a_different_completed_wins_without_being_shown_again(told: Told) -> None:
    told.delta("你号").whole("你好").completed()
    assert (told.answer.text, told.shown) == ("你好", "你号")


def test_a_second_completed_of_a_message_adds_nothing(told: Told) -> None:
    told.delta("好").whole("好").whole("好").completed()
    assert told.answer.text == told.shown == "好"


def test_several_answers_keep_the_order_of_their_first_appearance(told: Told) -> None:
    told.delta("甲", "9").delta("乙", "2").whole("甲", "9").whole("乙", "2").whole("丙", "5").completed()
    assert told.answer.text == told.shown == "甲\n乙\n丙"


def test_an_answer_without_deltas_is_taken_from_completed(told: Told) -> None:
    told.whole("短").completed()
    assert told.answer.text == told.shown == "短"


def test_deltas_without_completed_are_what_there_is(told: Told) -> None:
    told.delta("一").delta("半")
    assert (told.answer.text, told.answer.finished) == ("一半", False)


@pytest.mark.parametrize(
    "kind", ["verbose", "knowledge", "function_call", "tool_response", "tool_output", "new"]
)
def test_only_answers_reach_the_customer(told: Told, kind: str) -> None:
    told.delta("秘", "8", type=kind).whole('{"name":"秘', "8", kind).delta("好").whole("好").completed()
    assert told.answer.text == told.shown == "好"


def test_a_question_echoed_as_a_message_is_no_answer(told: Told) -> None:
    told.whole("我的问题", "8", role="user").whole("好").completed()
    assert told.answer.text == "好"


def test_deltas_without_type_role_or_id_are_the_answer(told: Told) -> None:
    told.event("conversation.message.delta", {"content": "你"}).event(
        "conversation.message.delta", {"content": "好", "role": "assistant", "type": ""}
    )
    told.whole("你好").completed()
    assert told.answer.text == told.shown == "你好"


def test_suggestions_are_kept_apart(told: Told) -> None:
    told.delta("好").whole("好").whole("还有呢？", "2", "follow_up").whole(
        "为什么？", "3", "follow_up"
    ).completed()
    assert told.answer.suggestions == ["还有呢？", "为什么？"]
    assert told.answer.text == "好"


def test_thoughts_are_kept_apart(told: Told) -> None:
    told.delta("", reasoning_content="嗯").delta("", reasoning_content="……").delta(
        "好", reasoning_content=None
    )
    told.whole("好", reasoning_content="嗯……").completed()
    assert (told.answer.text, told.answer.reasoning, told.shown) == ("好", "嗯……", "好")


def test_an_empty_answer_is_empty_and_no_error(told: Told) -> None:
    told.whole("").completed()
    assert (told.answer.text, told.answer.error, told.answer.ended) == ("", None, True)


def test_an_empty_answer_between_others_leaves_no_line(told: Told) -> None:
    told.whole("甲", "1").whole("", "2").whole("乙", "3").completed()
    assert told.answer.text == told.shown == "甲\n乙"


def test_a_card_becomes_a_neutral_text(told: Told) -> None:
    told.whole('{"card_type":3}', content_type="card").completed()
    assert told.answer.text == told.shown == CARD


def test_an_object_string_becomes_its_words(told: Told) -> None:
    parts = json.dumps([{"type": "text", "text": "看图"}, {"type": "image", "file_url": "https://x/y.png"}])
    told.whole(parts, content_type="object_string").completed()
    assert told.answer.text == "看图\nhttps://x/y.png"


def test_audio_after_the_end_changes_nothing(told: Told) -> None:
    told.whole("好").completed().event(
        "conversation.audio.delta", {"content": "UklGRg==", "content_type": "audio"}
    )
    assert told.answer.text == "好"


def test_an_answer_is_finished_before_its_chat(told: Told) -> None:
    told.delta("好").whole(json.dumps({"msg_type": "generate_answer_finish", "data": "{}"}), "5", "verbose")
    assert (told.answer.finished, told.answer.ended) == (True, False)


def test_usage_is_read_under_both_spellings(told: Told) -> None:
    told.completed(usage={"token_count": 7, "input_count": 3, "output_count": 4})
    assert told.answer.usage == Usage(3, 4)
    assert Told().completed(usage={"input_tokens": "5", "output_tokens": 6}).answer.usage == Usage(5, 6)
    assert Told().completed(usage=None).answer.usage is None


@pytest.mark.parametrize("last_error", [None, {}, {"code": 0, "msg": ""}, {"code": None, "msg": ""}])
def test_an_empty_last_error_is_no_error(told: Told, last_error: object) -> None:
    told.whole("好").completed(last_error=last_error, required_action={"type": ""}, completed_at=1)
    assert told.answer.error is None


def test_completed_with_a_code_is_a_failure(told: Told) -> None:
    error = told.completed(last_error={"code": 4011, "msg": "no balance"}).answer.error
    assert error is not None
    assert error.name == "coze_4011"


@pytest.mark.parametrize(
    ("name", "data", "cause"),
    [
        (
            "conversation.chat.failed",
            {"last_error": {"code": 5000, "msg": "event interval error"}},
            "coze_5000",
        ),
        ("conversation.chat.failed", {"code": 701231, "msg": "error"}, "coze_701231"),
        ("conversation.chat.failed", "", "coze_failed"),
        ("conversation.chat.canceled", {"status": "canceled"}, "coze_canceled"),
        ("error", {"code": 4016, "msg": "busy"}, "coze_4016"),
        ("error", {"code": "777777775", "msg": "conversation not found"}, "coze_777777775"),
        ("error", {}, "coze_error"),
        ("error", "plain words", "coze_error"),
        ("error", "", "coze_error"),
    ],
)
def test_every_shape_of_failure_ends_the_answer(told: Told, name: str, data: object, cause: str) -> None:
    told.event(name, data)
    assert told.answer.ended
    assert told.answer.error is not None
    assert told.answer.error.name == cause


def test_a_question_of_the_bot_is_an_ordinary_answer(told: Told) -> None:
    action = {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": [{"type": "reply_message"}]},
    }
    told.whole("哪一项？").event("conversation.chat.requires_action", {"id": "71", "required_action": action})
    assert (told.answer.text, told.answer.error) == ("哪一项？", None)


def test_a_call_of_a_tool_that_nobody_serves_is_a_failure(told: Told) -> None:
    told.event("conversation.chat.requires_action", {"id": "71"})
    assert told.answer.error is not None
    assert told.answer.error.name == "coze_requires_action"


@pytest.mark.parametrize("data", ['"[DONE]"', "[DONE]", "{}", "", "null"])
def test_done_may_hold_anything(data: str) -> None:
    assert chat_event(Event("done", data, "")) == Done("")
    assert chat_event(Event("conversation.stream.done", data, "")) == Done("")


def test_done_may_hold_the_debug_address(told: Told) -> None:
    told.event("done", {"debug_url": "https://www.coze.cn/work_flow?execute_id=1"})
    assert told.answer.debug_url.endswith("execute_id=1")


@pytest.mark.parametrize("name", ["PING", "ping", "", "conversation.chat.in_progress"])
def test_events_without_news_are_passed_over(name: str) -> None:
    assert chat_event(Event(name, '{"content":"{}"}', "")) is None


@pytest.mark.parametrize("name", ["conversation.message.renamed", "conversation.chat.paused", "x"])
def test_unknown_events_are_told_from_the_known(name: str) -> None:
    with pytest.raises(LookupError):
        chat_event(Event(name, "{}", ""))


@pytest.mark.parametrize("data", ["", "{", "[]", "1", '"x"', "[" * 5000])
def test_unreadable_data_of_an_event_that_matters_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        chat_event(Event("conversation.message.delta", data, ""))


def test_ids_written_as_numbers_lose_nothing() -> None:
    event = chat_event(
        Event("conversation.chat.created", '{"id":7382159487131697202,"conversation_id":1}', "")
    )
    assert event == Named(Chat("7382159487131697202", "1", ""))


def test_half_an_emoji_does_not_spoil_a_delta() -> None:
    assert loads('{"a":"\\ud83d\\ude00 \\ud83d"}') == {"a": "😀 \ufffd"}


def test_odd_types_become_plain_ones() -> None:
    message = message_of({"id": 5, "content": None, "created_at": "17", "role": None, "reasoning_content": 3})
    assert (message.id, message.content, message.created_at, message.reasoning) == ("5", "", 17, "3")
    assert chat_of({"status": "cancelled", "last_error": []}).status == "canceled"


def test_stored_messages_are_put_in_order() -> None:
    def stored(key: str, at: int, text: str, kind: str = "answer") -> Message:
        return message_of({"id": key, "type": kind, "role": "assistant", "content": text, "created_at": at})

    messages = [
        stored("10", 5, "二"),
        stored("7", 9, "三"),
        stored("9", 5, "一"),
        stored("1", 1, "{}", "verbose"),
    ]
    answer = from_messages(messages, chat_of({"status": "completed"}), CARD)
    assert (answer.text, answer.ended) == ("一\n二\n三", True)


CHUNK = {
    "slice": "第一段",
    "score": 0.5,
    "meta": {
        "dataset": {"id": "30", "name": "库"},
        "document": {"id": "40", "name": "指南"},
        "link": {"title": "易事厅使用指南", "url": "https://x/40"},
    },
}
FLAT = {
    "doc_id": "40",
    "title": "易事厅使用指南",
    "url": "https://x/40",
    "space_id": "30",
    "score": 0.5,
    "text": "第一段",
}


@pytest.mark.parametrize(
    "content",
    [
        {"chunks": [CHUNK]},
        [CHUNK],
        {"docs": [FLAT]},
        {"data": {"chunks": json.dumps([CHUNK])}},
        json.dumps({"documents": [json.dumps(CHUNK)]}),
    ],
)
def test_recalled_documents_are_read_in_every_known_shape(content: object) -> None:
    (doc,) = recalled(content)
    assert (doc.doc_id, doc.title, doc.url, doc.space_id, doc.score, doc.text) == tuple(FLAT.values())


@pytest.mark.parametrize("content", [None, "", "words", "{", {"chunks": "x"}, {"chunks": [1, None, {}]}, 3])
def test_a_recall_that_says_nothing_gives_no_documents(content: object) -> None:
    assert recalled(content) == []


def test_documents_come_once_with_their_best_score(told: Told) -> None:
    better = json.dumps({"chunks": [{**CHUNK, "score": 0.9}]})
    told.whole(json.dumps([CHUNK]), "5", "knowledge")
    told.whole(json.dumps({"msg_type": "knowledge_recall", "data": better}), "6", "verbose").whole(
        "好"
    ).completed()
    assert [(doc.doc_id, doc.score) for doc in told.answer.docs] == [("40", 0.9)]
    assert told.shown == "好"
