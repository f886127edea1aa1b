"""Where a long text is cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wechat.cut import cut, split

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
SUFFIX = "……（更多）"


def size(text: str) -> int:
    return len(text.encode())


def test_a_text_that_fits_stays_whole() -> None:
    assert cut("好" * 100, 300, SUFFIX) == ("好" * 100, "")


def test_one_byte_too_many_is_cut_with_the_suffix_inside_the_limit() -> None:
    head, rest = cut("好" * 100, 299, SUFFIX)
    assert head.endswith(SUFFIX)
    assert size(head) <= 299
    assert head.removesuffix(SUFFIX) + rest == "好" * 100


def test_a_paragraph_is_the_best_border_then_a_sentence_then_a_word() -> None:
    sentence, clause = "今天天气很好。", "我们去公园，"
    assert cut("甲" * 30 + "\n\n" + sentence * 9, 180, "") == ("甲" * 30, sentence * 9)
    head, rest = cut(sentence * 20, 100, "")
    assert (head[-1], rest[0]) == ("。", "今")
    head, rest = cut(clause * 20, 100, "")
    assert (head[-1], rest[0]) == ("，", "我")
    head, rest = cut("some plain words " * 20, 100, "")
    assert head.split() == ("some plain words " * 20).split()[: len(head.split())]
    assert cut("first line\nsecond " + "x" * 50, 19, "")[0] == "first line"


def test_a_sentence_keeps_its_closing_quote() -> None:
    head, rest = cut("他说：“好的。”" + "乙" * 50, 40, "")
    assert head == "他说：“好的。”"
    assert rest == "乙" * 50


def test_a_full_stop_inside_a_number_or_name_is_no_border() -> None:
    head, _ = cut("version 3.14159 of example.com " + "y" * 50, 28, "")
    assert head == "version 3.14159 of"


def test_a_border_that_would_throw_away_most_of_the_room_is_not_taken() -> None:
    head, _ = cut("短。" + "长" * 200, 300, "")
    assert size(head) > 290


@pytest.mark.parametrize(
    "cluster",
    [
        FAMILY,
        "👍🏽",
        "🇨🇳",
        "1️⃣",
        "e\u0301",
        "\u1112\u1161\u11ab",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_a_visible_character_is_never_split(cluster: str) -> None:
    for offset in range(26):
        text = "x" * offset + cluster * 60
        head, rest = cut(text, 100, "")
        assert head + rest == text
        assert head == "x" * offset + cluster * head.count(cluster)
        assert 100 - size(head) < size(cluster)


@pytest.mark.parametrize(
    "link",
    [
        '<a href="https://example.com/page?a=1">点 这里。看看</a>',
        "https://example.com/a.b/c?d=e,f;g#h",
        "[说明 文档](https://example.com/doc)",
    ],
)
def test_a_link_is_kept_whole_or_left_for_later(link: str) -> None:
    for lead in range(20, 90):
        text = "甲" * lead + link + "乙" * 100
        head, rest = cut(text, 200, "")
        assert head + rest == text
        assert (link in head) != (link in rest)


def test_a_link_longer_than_the_limit_is_cut_all_the_same() -> None:
    text = "https://example.com/" + "p" * 5000
    head, rest = cut(text, 2048, SUFFIX)
    assert 1900 < size(head) <= 2048
    assert head.removesuffix(SUFFIX) + rest == text


def test_a_pile_of_marks_is_cut_rather_than_swallowed() -> None:
    head, _ = cut("e" + "\u0301" * 5000, 2048, "")
    assert 1900 < size(head) <= 2048


def test_a_suffix_longer_than_the_limit_is_left_away() -> None:
    assert cut("x" * 50, 10, "y" * 10) == ("x" * 10, "x" * 40)


@pytest.mark.parametrize(
    "piece", ["<a ", "<a >", "[", "[x](", "https://", "。", "\n", " ", "🇨", "\u200d", "\u0301", FAMILY]
)
def test_no_text_makes_cutting_slow(piece: str) -> None:
    begun = time.process_time()
    cut(piece * (200_000 // len(piece)), 2048, SUFFIX)
    assert time.process_time() - begun < 1


PIECES = st.sampled_from(
    [
        "好",
        "a",
        "。",
        "，",
        " ",
        "\n\n",
        FAMILY,
        "🇨🇳",
        "e\u0301",
        "https://a.b/c",
        '<a href="https://x">y</a>',
        "\r\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=120), st.integers(40, 200))
def test_parts_put_together_are_the_text(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    parts, rest = [], text
    while rest:
        head, rest = cut(rest, limit, SUFFIX)
        assert size(head) <= limit
        parts.append(head.removesuffix(SUFFIX) if rest else head)
        assert parts[-1] or not rest.strip()
    assert "".join("".join(parts).split()) == "".join(text.split())


# several pieces


def test_pieces_are_no_more_than_allowed_and_only_the_last_says_so() -> None:
    text = "这是一句话。" * 100
    pieces = split(text, 300, 3, SUFFIX)[0]
    assert [each.endswith(SUFFIX) for each in pieces] == [False, False, True]
    assert text.startswith("".join(pieces).removesuffix(SUFFIX))
    assert all(size(each) <= 300 for each in pieces)


def test_a_text_that_fits_into_its_pieces_is_whole() -> None:
    text = "这是一句话。" * 40
    assert "".join(split(text, 300, 3, SUFFIX)[0]) == text
    assert split("好", 300, 3, SUFFIX)[0] == ["好"]
    assert split("", 300, 3, SUFFIX)[0] == []


@given(st.text(), st.integers(20, 60), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_pieces_of_any_text_keep_the_limit_and_the_order(text: str, limit: int, most: int) -> None:
    pieces = split(text.encode("utf-8", "replace").decode(), limit, most, "…")[0]
    assert len(pieces) <= most
    assert all(size(each) <= limit for each in pieces)
    joined = "".join("".join(pieces).removesuffix("…").split())
    assert "".join(text.encode("utf-8", "replace").decode().split()).startswith(joined.removesuffix("…"))
