"""When a person is called unasked: who, then what they say, then how the bot fares."""

from __future__ import annotations

import pytest

from handler.regulator import Given, Rules, asked_for, contains, failures, gave_up
from settings import Settings

RULES = Rules(keywords=("转人工服务",), urgent=("我要投诉",), threshold=3, vip_auto=True, vip_users=("v",))
GOOD, BAD = Given("好的", None, recalled=True), Given("抱歉", "coze_timeout", recalled=False)


def test_a_vip_comes_before_the_words() -> None:
    found = asked_for("转人工服务", "v", RULES)
    assert found is not None
    assert (found.reason, found.severity, found.vip) == ("vip", "high", True)
    found = asked_for("请转人工服务，我要投诉", "u", RULES)
    assert found is not None
    assert (found.reason, found.details, found.severity, found.urgent) == (
        "keyword",
        "转人工服务",
        "high",
        True,
    )


@pytest.mark.parametrize("text", ["客服在吗", "人工智能", "不用转人工服务了", "别给我转人工服务", "你好"])
def test_parts_of_phrases_and_denied_ones_call_nobody(text: str) -> None:
    assert asked_for(text, "u", RULES) is None


def test_a_phrase_may_be_denied_once_and_meant_the_second_time() -> None:
    assert contains("刚才说不要转人工服务，现在请转人工服务", RULES.keywords) == "转人工服务"


@pytest.mark.parametrize(
    "text", ["你们的客服电话是多少", "投诉电话", "抱歉打扰，请问怎么退货", "人工智能是什么"]
)
def test_the_default_phrases_leave_ordinary_questions_to_the_bot(text: str) -> None:
    fields = Settings.model_fields
    rules = Rules(fields["regulator_keywords"].default, fields["regulator_urgent_keywords"].default)
    assert asked_for(text, "u", rules) is None


@pytest.mark.parametrize(
    ("latest", "count"),
    [
        ([BAD, BAD, BAD, GOOD, BAD], 3),
        ([GOOD, BAD, BAD, BAD], 0),
        ([BAD, Given("忙", "queue_full", recalled=False), BAD, Given(" ", None, recalled=True)], 3),
        ([BAD, Given("您好", None, recalled=True, from_bot=False), BAD], 2),
        ([Given("抱歉，我无法查询", None, recalled=True)], 0),
    ],
)
def test_failures_in_a_row_are_what_the_bot_reports(latest: list[Given], count: int) -> None:
    assert failures(latest, RULES) == count
    assert (gave_up(latest, "u", RULES) is not None) == (count >= 3)


def test_recall_and_words_count_where_an_operator_says_so() -> None:
    rules = Rules(no_recall_fails=True, phrases=("没有找到相关资料",), threshold=1)
    assert failures([Given("好的", None, recalled=False)], rules) == 1
    assert failures([Given("没有找到相关资料。", None, recalled=True)], rules) == 1
    assert gave_up([BAD], "u", Rules(threshold=0)) is None
