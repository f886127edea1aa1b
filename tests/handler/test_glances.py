"""One look for all answers that are being made."""

from __future__ import annotations

import pytest

from handler.glances import Glances


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("handler.glances.time.monotonic", lambda: self.now)


class Desk:
    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.looks: list[list[int]] = []

    def owned(self, dialogues: object) -> set[int]:
        asked = sorted(dialogues)  # type: ignore[call-overload]
        self.looks.append(asked)
        return self.taken & {*asked}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_one_look_serves_all_answers_for_a_second(clock: Clock) -> None:
    desk = Desk()
    glances = Glances(desk.owned, 1.0)
    with glances.at(1) as one, glances.at(2) as two:
        desk.taken = {2}
        assert not one()
        assert not two()
        assert desk.looks == []
        clock.now += 1.0
        assert not one()
        assert two()
        assert desk.looks == [[1, 2]]


def test_a_yes_is_for_good_and_only_for_that_answer(clock: Clock) -> None:
    desk = Desk()
    glances = Glances(desk.owned, 1.0)
    with glances.at(1) as first:
        desk.taken = {1}
        clock.now += 1.0
        assert first()
        desk.taken = set()
        with glances.at(1) as second:
            # given back meanwhile: the next answer is the bot's
            assert not second()
            assert first()
        clock.now += 1.0
        assert first()


def test_nobody_is_asked_about_answers_that_are_over(clock: Clock) -> None:
    desk = Desk()
    glances = Glances(desk.owned, 1.0)
    with glances.at(1), glances.at(1):
        pass
    with glances.at(2) as other:
        assert not other()
        clock.now += 1.0
        assert not other()
    assert desk.looks == [[2]]
