"""The spool: kept means on the disk, whole and once; given back in order; never an endless loop."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errors import NotKept, Unavailable
from handler.message import InboundMessage, Media
from storage.spool import BLOCK, Spool

ROOT = Path(__file__).parents[2]


def message(key: str = "1", text: str = "你好") -> InboundMessage:
    return InboundMessage("wechat", "default", "openid", key, text, raw={"MsgId": key}, later="push")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "var" / "spool", 1 << 20)


def everything(spool: Spool) -> list[InboundMessage]:
    taken: list[InboundMessage] = []
    while spool.replay(taken.append, 100):
        pass
    return taken


def files(spool: Spool) -> list[Path]:
    return [each for each in spool.folder.iterdir() if each.name != ".lock"]


def test_a_message_comes_back_as_it_was_but_for_its_deadline(spool: Spool) -> None:
    kept = InboundMessage(
        platform="wechat",
        account="default",
        user="o",
        dedupe_key="k\x1f\ud83d",
        text="半个\ud83d字\x00",
        session="s",
        kind="image",
        media=(Media("image", id="m", url="https://example.com/1"),),
        sent_at=1700000000.0,
        reply_by=time.monotonic() + 4,
        raw={"MsgId": "1", "list": [1, None, {"a": "乙"}]},
        request_id="trace",
        later="push",
    )
    spool.keep(kept)
    (back,) = everything(spool)
    assert back.reply_by is None
    assert {**_fields(back), "reply_by": 0} == {**_fields(kept), "reply_by": 0}


def _fields(one: InboundMessage) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}


def test_deliveries_of_one_message_are_one_file_and_others_are_not(spool: Spool) -> None:
    for _ in range(3):
        spool.keep(message("1"))
    spool.keep(message("2"))
    spool.keep(InboundMessage("web", "default", "openid", "1", "你好"))
    assert spool.waiting() == 3
    assert Counter(each.platform for each in everything(spool)) == {"wechat": 2, "web": 1}
    assert spool.waiting() == 0


def test_they_come_back_in_the_order_in_which_they_came(spool: Spool) -> None:
    for number in range(20):
        spool.keep(message(str(number)))
        time.sleep(0.005)  # a file system's clock may tick in steps of 4 ms
    taken: list[str] = []
    assert spool.replay(lambda each: taken.append(each.dedupe_key), 5) == 5
    assert spool.replay(lambda each: taken.append(each.dedupe_key), 100) == 15
    assert taken == [str(number) for number in range(20)]


def test_nobody_else_on_the_machine_may_read_them(spool: Spool) -> None:
    spool.keep(message())
    (file,) = files(spool)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700


def test_nothing_is_made_before_the_first_message(spool: Spool) -> None:
    assert (spool.waiting(), spool.set_aside(), everything(spool)) == (0, 0, [])
    assert not spool.folder.exists()


def test_what_could_not_be_taken_stays_and_ends_the_replay(spool: Spool) -> None:
    for number in range(3):
        spool.keep(message(str(number)))
    tried: list[str] = []

    def away(each: InboundMessage) -> None:
        tried.append(each.dedupe_key)
        raise Unavailable

    assert spool.replay(away, 10) == 0
    assert len(tried) == 1
    assert spool.waiting() == 3


def test_a_message_that_no_claim_takes_is_put_aside_and_the_others_go_on(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        spool.keep(message(str(number)))

    def take(each: InboundMessage) -> None:
        if each.dedupe_key == "1":
            raise ValueError("no")

    assert spool.replay(take, 10) == 2
    assert (spool.waiting(), spool.set_aside()) == (0, 1)
    assert "could not be taken" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"platform": "web"}', b'{"platform": 1, "text": null}'],
)
def test_a_file_that_is_not_a_message_is_put_aside_once(
    spool: Spool, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    spool.keep(message())
    (spool.folder / "odd.json").write_bytes(content)
    assert [each.dedupe_key for each in everything(spool)] == ["1"]
    assert (spool.waiting(), spool.set_aside()) == (0, 1)
    assert (spool.folder / "odd.bad").read_bytes() == content
    assert [each.levelno for each in caplog.records] == [logging.CRITICAL]


def test_a_full_spool_says_so_keeps_what_it_has_and_takes_more_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, 3 * BLOCK)
    for number in range(3):
        spool.keep(message(str(number)))
    with pytest.raises(NotKept):
        spool.keep(message("3"))
    spool.keep(message("2"))
    assert "the spool is full" in caplog.text
    assert spool.waiting() == 3
    assert len(everything(spool)) == 3
    fresh = Spool(tmp_path, 3 * BLOCK)
    fresh.keep(message("3"))
    assert fresh.waiting() == 1


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_another_process_takes_away_meanwhile_stops_nobody(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.keep(message("1"))
    other = Spool(spool.folder, 1 << 20)

    def found_and_then_gone(*endings: str) -> Iterator[os.DirEntry[str]]:
        for each in list(Spool._files(other, *endings)):
            os.unlink(each.path)
            yield each

    monkeypatch.setattr(other, "_files", found_and_then_gone)
    other.keep(message("2"))
    assert [each.dedupe_key for each in everything(spool)] == ["2"]


def test_a_disk_without_room_leaves_nothing_half_written(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    spool.keep(message("1"))
    # the log is captured in memory, so the limit meets the spool alone
    with no_file_larger_than(100), pytest.raises(NotKept):
        spool.keep(message("2", "长" * 1000))
    assert [each.suffix for each in files(spool)] == [".json"]
    assert "could not be kept" in caplog.text
    spool.keep(message("2", "长" * 1000))
    assert len(everything(spool)) == 2


def test_a_folder_that_cannot_be_made_is_told_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotKept):
        Spool(tmp_path / "file" / "spool", 1 << 20).keep(message())


def test_one_process_at_a_time_gives_messages_back(spool: Spool) -> None:
    spool.keep(message())
    inside, go = threading.Event(), threading.Event()

    def slowly(_each: InboundMessage) -> None:
        inside.set()
        assert go.wait(10)

    first = threading.Thread(target=spool.replay, args=(slowly, 10))
    first.start()
    assert inside.wait(10)
    assert Spool(spool.folder, 1 << 20).replay(lambda _each: None, 10) == 0
    go.set()
    first.join()
    assert spool.waiting() == 0


def test_what_a_dead_writer_left_is_cleaned_away_later(spool: Spool) -> None:
    spool.keep(message("1"))
    for name, age in (("old.1.1.part", 3600), ("new.1.1.part", 0)):
        part = spool.folder / name
        part.write_bytes(b'{"platf')
        os.utime(part, (time.time() - age,) * 2)
    assert len(everything(spool)) == 1
    assert [each.name for each in files(spool)] == ["new.1.1.part"]


WRITER = """
    import sys
    from pathlib import Path
    from handler.message import InboundMessage
    from storage.spool import Spool

    spool = Spool(Path(sys.argv[1]), 1 << 26)
    for number in range(int(sys.argv[2]), 1 << 30):
        spool.keep(InboundMessage("web", "a", "u", str(number), "x" * 3000))
        print(number, flush=True)
"""
READER = """
    import sys
    from pathlib import Path
    from storage.spool import Spool

    spool, taken = Spool(Path(sys.argv[1]), 1 << 26), open(sys.argv[2], "a")
    while True:
        spool.replay(lambda each: print(each.dedupe_key, file=taken, flush=True), 20)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_writers_and_readers_lose_nothing_that_was_kept(tmp_path: Path) -> None:
    folder, taken_by = tmp_path / "spool", tmp_path / "taken"
    kept: set[str] = set()
    reader = start(READER, folder, taken_by)
    for round_ in range(25):
        writer = start(WRITER, folder, round_ * 1_000_000)
        assert writer.stdout is not None
        # a kill at any moment of its work, after it has begun
        kept.add(writer.stdout.readline().strip())
        time.sleep(0.002 * round_)
        for process in (writer, reader):
            process.send_signal(signal.SIGKILL)
        # a line is whole or was not written: what is cut off has no end
        lines = writer.communicate()[0].splitlines(keepends=True)
        kept |= {line.strip() for line in lines if line.endswith("\n")}
        reader.communicate()
        reader = start(READER, folder, taken_by)
    deadline = time.monotonic() + 60
    while Spool(folder, 1).waiting() and time.monotonic() < deadline:
        time.sleep(0.05)
    reader.kill()
    reader.communicate()
    taken = Counter(taken_by.read_text().split())
    assert len(kept) > 25
    assert not kept - set(taken)
    # a reader that dies between taking and forgetting takes once more: the claim's key forgives that
    assert sum(taken.values()) - len(taken) <= 25
    assert Spool(folder, 1).set_aside() == 0


def test_a_kept_file_is_plain_json_that_a_person_can_read(spool: Spool) -> None:
    spool.keep(message("1", "你好"))
    (file,) = files(spool)
    assert json.loads(file.read_text())["text"] == "你好"
