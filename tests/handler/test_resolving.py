"""What a message carries reaches the bot, whoever dies on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from sqlalchemy import select

from handler.handler import Handler
from handler.message import InboundMessage, Media, Reply
from handler.resolving import Resolving
from handler.work import Work
from storage.db import Database
from storage.models import Message
from storage.spool import Spool

Process = Callable[..., Handler]
PICTURE = Media("image", "m1", "http://pic/1")
UPLOADED = Media("image", name="image.png", file_id="f1")


class Platform:
    """Uploads a picture, or does what it is told instead."""

    name: ClassVar[str] = "wechat"

    def __init__(self, instead: Exception | Reply | None = None) -> None:
        self.instead = instead
        self.resolved: list[InboundMessage] = []

    def resolve(self, message: InboundMessage) -> InboundMessage | Reply:
        self.resolved.append(message)
        if isinstance(self.instead, Exception):
            raise self.instead
        if isinstance(self.instead, Reply):
            return self.instead
        if message.media[0].file_id:
            return message
        return replace(message, text="写下来的话", media=(UPLOADED,))


class Bot:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Media, ...]]] = []

    def respond(self, work: Work) -> Reply | None:
        self.asked.append((work.message.text, work.message.media))
        return Reply("好看", "coze")


def picture() -> InboundMessage:
    return InboundMessage(
        "wechat", "shop", "oOne", "1", "（图片）", kind="image", media=(PICTURE,), request_id="t"
    )


def test_the_bot_gets_the_resolved_message_and_the_log_tells_it(
    process: Process, shared_db: Database
) -> None:
    bot = Bot()
    handler = process(Resolving([Platform()]), bot)
    run = handler.answer(picture())
    assert run.wait(10) == Reply("好看", "coze")
    assert bot.asked == [("写下来的话", (UPLOADED,))]
    kept = handler.exchanges.get(run.exchange_id)
    assert kept is not None
    assert kept.question == "写下来的话"
    with shared_db.read() as session:
        said = session.scalars(select(Message.text).where(Message.role == "user")).all()
    assert said == ["写下来的话"]


def test_whoever_takes_over_fetches_what_was_not_fetched(process: Process) -> None:
    process().exchanges.claim(picture(), "dead", 300)
    platform, bot = Platform(), Bot()
    run = process(Resolving([platform]), bot).answer(picture())
    assert run.wait(10) == Reply("好看", "coze")
    assert [each.media for each in platform.resolved] == [(PICTURE,)]
    assert bot.asked == [("写下来的话", (UPLOADED,))]


def test_whoever_takes_over_finds_what_was_uploaded(process: Process) -> None:
    first = process()
    number = first.exchanges.claim(picture(), "dead", 300).exchange.id
    assert first.exchanges.understood(number, "dead", "写下来的话", (UPLOADED,))
    platform, bot = Platform(), Bot()
    process(Resolving([platform]), bot).answer(picture()).wait(10)
    assert [each.media for each in platform.resolved] == [(UPLOADED,)]
    assert bot.asked == [("写下来的话", (UPLOADED,))]


def test_a_process_that_lost_the_exchange_changes_nothing(process: Process) -> None:
    handler = process()
    number = handler.exchanges.claim(picture(), "owner", 3000).exchange.id
    assert not handler.exchanges.understood(number, "another", "x", ())
    kept = handler.exchanges.get(number)
    assert kept is not None
    assert kept.question == "（图片）"


def test_the_spool_keeps_what_a_message_carries(process: Process, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.keep(picture())
    bot = Bot()
    handler = process(Resolving([Platform()]), bot)
    assert spool.replay(lambda message: handler.answer(message).wait(10), 10) == 1
    assert bot.asked == [("写下来的话", (UPLOADED,))]


def test_a_failure_leaves_the_words(process: Process) -> None:
    bot = Bot()
    process(Resolving([Platform(OSError("surprise"))]), bot).answer(picture()).wait(10)
    assert bot.asked == [("（图片）", ())]


def test_a_platform_may_have_nothing_to_ask(process: Process) -> None:
    bot = Bot()
    polite = Reply("请打字", "system", error="voice_unreadable")
    run = process(Resolving([Platform(polite)]), bot).answer(picture())
    assert (run.wait(10), bot.asked) == (polite, [])


@pytest.mark.parametrize("change", [{"media": ()}, {"platform": "web"}])
def test_others_pass_untouched(process: Process, change: dict[str, object]) -> None:
    platform, bot = Platform(), Bot()
    message = replace(picture(), **change)  # type: ignore[arg-type]
    process(Resolving([platform]), bot).answer(message).wait(10)
    assert (platform.resolved, bot.asked) == ([], [("（图片）", message.media)])
