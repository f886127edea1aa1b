"""Writers of one SQLite file take turns, also across processes, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from storage.patience import within
from storage.turnstile import Turnstile

PATIENCE = 20.0


def hold(file: Path, inside: Event, go: Event) -> None:
    with Turnstile(file, PATIENCE).turn():
        inside.set()
        go.wait(PATIENCE)


def another_inside(file: Path) -> tuple[SpawnProcess, Event]:
    """A process whose turn it is until it is let go."""
    context = multiprocessing.get_context("spawn")
    inside, go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(file, inside, go))
    other.start()
    assert inside.wait(PATIENCE)
    return other, go


def come_again_and_again(file: Path, inside: Event, stop: Event) -> None:
    """A busy writer, who asks for the next turn as soon as one is over."""
    turnstile = Turnstile(file, PATIENCE)
    while not stop.is_set():
        with turnstile.turn():
            inside.set()
            time.sleep(0.005)
            inside.clear()


def test_nobody_writes_beside_another_process(tmp_path: Path) -> None:
    other, go = another_inside(tmp_path / "a.db")
    mine = threading.Event()

    def write() -> None:
        with Turnstile(tmp_path / "a.db", PATIENCE).turn():
            mine.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not mine.wait(0.2)
    go.set()
    assert mine.wait(PATIENCE)
    writer.join()
    other.join()


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    turnstile, inside, most = Turnstile(tmp_path / "a.db", PATIENCE), 0, 0

    def write() -> None:
        nonlocal inside, most
        with turnstile.turn():
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)
            inside -= 1

    writers = [threading.Thread(target=write) for _ in range(20)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert most == 1


def test_a_busy_writer_lets_another_through(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    inside, stop = context.Event(), context.Event()
    busy = context.Process(target=come_again_and_again, args=(tmp_path / "a.db", inside, stop))
    busy.start()
    assert inside.wait(PATIENCE)
    turnstile = Turnstile(tmp_path / "a.db", PATIENCE)
    begun = time.monotonic()
    for _ in range(20):
        with turnstile.turn():
            assert not inside.is_set()
    # whoever asks only now and then for what is nearly always taken would wait for much longer
    assert time.monotonic() - begun < PATIENCE
    stop.set()
    busy.join()


def test_patience_ends_and_the_file_decides(tmp_path: Path) -> None:
    other, go = another_inside(tmp_path / "a.db")
    begun = time.monotonic()
    with within(0.2), Turnstile(tmp_path / "a.db", PATIENCE).turn():
        assert time.monotonic() - begun < PATIENCE / 2
    go.set()
    other.join()


def test_a_process_that_is_killed_keeps_nobody_out(tmp_path: Path) -> None:
    other, _ = another_inside(tmp_path / "a.db")
    other.kill()
    other.join()
    begun = time.monotonic()
    with Turnstile(tmp_path / "a.db", PATIENCE).turn():
        assert time.monotonic() - begun < PATIENCE / 2


def test_where_no_file_can_be_made_writers_go_on(tmp_path: Path) -> None:
    with Turnstile(tmp_path / "nowhere" / "a.db", PATIENCE).turn():
        pass


def test_a_closed_one_opens_again(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path / "a.db", PATIENCE)
    for _ in range(2):
        with turnstile.turn():
            pass
        turnstile.close()
    assert (tmp_path / "a.db-turn").exists()
