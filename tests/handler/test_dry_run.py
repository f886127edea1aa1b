"""The rules over a log: each by itself, each session once, and people's own time left out."""

from __future__ import annotations

from itertools import count

from handler.dry_run import Hit, Logged, replay
from handler.regulator import Given, Rules

RULES = Rules(keywords=("请转人工",), threshold=2, vip_auto=True, vip_users=("vip",))
GOOD, BAD = Given("好的", None, recalled=True), Given("", "coze_timeout", recalled=False)
moments = count(1)


def message(
    session: int, text: str, answer: Given = GOOD, *, user: str = "u", source: str = "coze"
) -> Logged:
    return Logged(session, user, "text", text, source, answer, next(moments))


def rules_hit(hits: list[Hit]) -> list[tuple[str, int, str]]:
    return [(each.reason, each.session_id, each.details) for each in hits]


def test_each_rule_names_its_sessions_once_and_in_order() -> None:
    hits = replay(
        [
            message(1, "你好", BAD),
            message(2, "请转人工"),
            message(1, "在吗", BAD),
            message(2, "请转人工"),
            message(3, "你好", user="vip"),
            message(3, "请转人工", user="vip"),
        ],
        RULES,
    )
    assert rules_hit(hits) == [
        ("keyword", 2, "请转人工"),
        ("fail_loop", 1, "2"),
        ("vip", 3, ""),
        ("keyword", 3, "请转人工"),
    ]


def test_failures_of_different_sessions_or_with_a_good_answer_between_are_not_in_a_row() -> None:
    hits = replay(
        [message(1, "一", BAD), message(2, "二", BAD), message(1, "三"), message(1, "四", BAD)], RULES
    )
    assert hits == []


def test_what_is_said_while_a_person_has_the_dialogue_calls_nobody() -> None:
    said = [message(1, "请转人工", source="desk"), message(1, "请转人工", source="queue")]
    silent = [message(1, "话", Given("", None, recalled=False), source="agent") for _ in range(3)]
    assert replay([*said, *silent], RULES) == []


def test_customers_that_agents_marked_are_vips() -> None:
    assert rules_hit(replay([message(7, "你好")], RULES, {7})) == [("vip", 7, "")]
    assert replay([message(7, "你好")], Rules(), {7}) == []
