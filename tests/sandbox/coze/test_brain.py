"""The bot's small mind: pure, deterministic, and honest about what it does not know."""

from __future__ import annotations

import pytest

from sandbox.coze.brain import count_tokens, think


@pytest.mark.parametrize(
    ("told", "asked", "known"),
    [
        ("我叫张三", "我叫什么？", "张三"),
        ("你好，我叫欧阳娜娜。", "我叫什么名字", "欧阳娜娜"),
        ("我的名字是 Tom".replace(" ", ""), "你知道我的名字吗", "Tom"),
        ("我叫Mary Ann", "我是谁", "Mary Ann"),
        ("我今年25岁", "我几岁？", "25"),
        ("我25岁", "我今年多大", "25"),
        ("我叫张三，今年8岁", "我几岁了", "8"),
    ],
)
def test_what_was_told_is_known(told: str, asked: str, known: str) -> None:
    assert known in think(asked, [told]).answer
    assert known in think(told).answer
    assert "不知道" in think(asked).answer


def test_the_newest_word_counts() -> None:
    assert "李四" in think("我叫什么", ["我叫张三", "不对，我叫李四"]).answer
    assert "张三" in think("我叫什么", ["我叫张三", "我叫什么"]).answer


@pytest.mark.parametrize("asked", ["刚才客服答应了我什么？", "人工客服说过什么", "客服都承诺了些什么"])
def test_what_was_written_in_its_name_is_quoted(asked: str) -> None:
    answer = think(asked, ["我的订单呢"], written=["三天内退款。", "再送您一张券。"]).answer
    assert "三天内退款。" in answer
    assert "再送您一张券。" in answer
    assert "还没有" in think(asked).answer


def test_a_question_for_papers_recalls_two() -> None:
    for word in ("有操作指南吗", "文档在哪"):
        thought = think(word)
        assert len(thought.documents) == 2
        assert all(each.name in thought.answer for each in thought.documents)


def test_anything_else_is_echoed_in_some_sentences_and_always_the_same() -> None:
    answer = think("天气<b>如何").answer
    assert "天气<b>如何" in answer
    assert answer.count("。") >= 3
    assert answer == think("天气<b>如何").answer
    assert think("\ud800").answer


def test_tokens_grow_with_the_text() -> None:
    assert (count_tokens(""), count_tokens("我")) == (0, 1)
    assert count_tokens("我" * 100) == 67
