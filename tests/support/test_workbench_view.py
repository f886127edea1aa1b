"""What the workbench says of a session, in the words of the page."""

from __future__ import annotations

import pytest

from storage.handoff_tables import Handoff
from support.words import WORDS
from support.workbench_view import about, ended


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("resolved", "已解决"),
        ("resolved: 已核实退款", "已解决 · 已核实退款"),
        ("customer_left: a: b", "客户已离开 · a: b"),
        ("客户要求: 换人", "客户要求: 换人"),
        ("resolved_ok", "resolved_ok"),
        ("", ""),
    ],
)
def test_why_it_ended_is_said_in_words(reason: str, said: str) -> None:
    assert ended(reason, WORDS["zh"]) == said


@pytest.mark.parametrize(
    ("reason", "details", "said"),
    [
        ("fail_loop", "3", "连续 3 次没有答上"),
        ("fail_loop", "机器人", "机器人"),
        ("keyword", "3", "3"),
        ("manual", "长" * 300, "长" * 200),
    ],
)
def test_what_called_for_a_person_is_words_or_a_count_of_failures(
    reason: str, details: str, said: str
) -> None:
    assert about(Handoff(reason=reason, details=details), WORDS["zh"]) == said
