"""Crash points: places in an exchange's life where a worker of the fault suite can be made to die.

The gateway knows nothing of them. A worker that is started with CRASH_AT wraps one method and kills itself,
as `kill -9` would, when a message passes there for the first time; markers in CRASH_MARKS let the same
message pass the next time. At the points of leftovers only customers who are named after the point are hit,
each once however often they ask again, so that many points can be tried in one installation.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from adapters.wechat.adapter import WeChatAdapter
from handler.message import InboundMessage, Reply
from handler.work import Work
from storage.deliveries import Deliveries
from storage.exchange_rows import Claim
from storage.exchanges import Exchanges
from storage.jobs import Jobs
from storage.leases import Leases
from storage.leftovers import Leftovers

Scene = Literal["prompt", "late", "fetch", "relay", "rest", "ride"]
Key = Callable[[tuple[Any, ...], Any], object]
"""From a call's arguments (self first) and result to what must die only once; None: not here.

A list names several that pass together: one death is the first of each.
"""

AGAIN = "再问"
"""How a question begins whose answer is to take a late one along."""
PASSAGE = "〔"
"""What every answer of these customers has in it, and nothing else that is said to them."""


def first_argument(arguments: tuple[Any, ...], _result: object) -> object:
    return arguments[1]


def _message(arguments: tuple[Any, ...], _result: object) -> object:
    return arguments[1].raw["MsgId"]


def _job(arguments: tuple[Any, ...], _result: object) -> object:
    return arguments[1].id


def _won(arguments: tuple[Any, ...], result: object) -> object:
    return result.exchange.id if isinstance(result, Claim) and result.won else None


def _claimed_jobs(_arguments: tuple[Any, ...], result: object) -> object:
    return [job.id for job in result] if isinstance(result, list) else None


def _taken(arguments: tuple[Any, ...], result: object) -> object:
    return arguments[1].exchange_id if result else None


def _fetched(arguments: tuple[Any, ...], result: object) -> object:
    return arguments[1] if result else None


def _asker(arguments: tuple[Any, ...], result: object) -> object:
    """Whoever asks again is let through: else each 继续 would fetch what the one before has died with."""
    return _customer(arguments) if result else None


def _working(arguments: tuple[Any, ...], _result: object) -> object:
    return arguments[0].exchange.id


def _noted(arguments: tuple[Any, ...], _result: object) -> object:
    return [note.exchange_id for note in arguments[1]]


def _brought(arguments: tuple[Any, ...], _result: object) -> object:
    """An answer that 继续 brought, and not one that says there is none."""
    reply: Reply = arguments[3]
    return arguments[1] if reply.source in ("command", "rest") and PASSAGE in reply.text else None


def _written(text: str) -> Key:
    return lambda arguments, _result: (
        arguments[1].raw["MsgId"] if arguments[1].text.startswith(text) else None
    )


def _customer_service(arguments: tuple[Any, ...], _result: object) -> object:
    request: requests.PreparedRequest = arguments[1]
    if "/cgi-bin/message/custom/send" not in (request.url or ""):
        return None
    body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
    return body.hex()[:64]


@dataclass(frozen=True, slots=True)
class Point:
    """Before or after one method of the gateway; `key` tells the messages apart that pass there."""

    owner: type
    method: str
    when: Literal["before", "after"]
    key: Key = first_argument
    scene: Scene = "prompt"
    """What has to happen for a message to pass: a quick answer, a late one, a fetch, a first crash."""


POINTS: Mapping[str, Point] = {
    "before_claim": Point(Exchanges, "claim", "before", _message),
    "after_claim": Point(Exchanges, "claim", "after", _won),
    "before_calling": Point(Work, "calling", "before", _working),
    "after_calling": Point(Work, "calling", "after", _working),
    "before_chat_named": Point(Work, "named", "before", _working),
    "before_name_written": Point(Exchanges, "named", "before", _noted),
    "after_name_written": Point(Exchanges, "named", "after", _noted),
    "mid_stream": Point(Work, "delta", "after", _working),
    "before_answer_recorded": Point(Exchanges, "answer", "before"),
    "after_answer_recorded": Point(Exchanges, "answer", "after"),
    "before_deliver": Point(Deliveries, "deliver", "before", scene="relay"),
    "after_deliver": Point(Deliveries, "deliver", "after", scene="relay"),
    "before_response_written": Point(WeChatAdapter, "respond", "after", _message),
    "after_take_over": Point(Leases, "take_over", "after", _taken, "relay"),
    "after_fetch": Point(Deliveries, "fetch", "after", _asker, "fetch"),
    "before_promise": Point(Deliveries, "promise", "before", scene="late"),
    "after_promise": Point(Deliveries, "promise", "after", scene="late"),
    "after_job_claimed": Point(Jobs, "claim", "after", _claimed_jobs, "late"),
    "before_sending": Point(Jobs, "sending", "before", _job, "late"),
    "after_sending": Point(Jobs, "sending", "after", _job, "late"),
    "before_push": Point(requests.Session, "send", "before", _customer_service, "late"),
    "after_push": Point(requests.Session, "send", "after", _customer_service, "late"),
    "before_job_done": Point(Jobs, "done", "before", _job, "late"),
    "after_job_done": Point(Jobs, "done", "after", _job, "late"),
}
"""In the order of an exchange's life."""
LEFTOVERS: Mapping[Scene, Mapping[str, Point]] = {
    "fetch": {
        "before_fetch": Point(Deliveries, "fetch", "before"),
        "after_fetch": Point(Deliveries, "fetch", "after", _fetched),
        "before_fetched_recorded": Point(Exchanges, "answer", "before", _brought),
        "after_fetched_recorded": Point(Exchanges, "answer", "after", _brought),
        "before_fetched_written": Point(WeChatAdapter, "respond", "after", _written("继续")),
    },
    "rest": {
        "before_keep": Point(Leftovers, "keep", "before"),
        "after_keep": Point(Leftovers, "keep", "after"),
        "before_take_rest": Point(Leftovers, "take_rest", "before"),
        "after_take_rest": Point(Leftovers, "take_rest", "after", _fetched),
        "before_rest_recorded": Point(Exchanges, "answer", "before", _brought),
        "after_rest_recorded": Point(Exchanges, "answer", "after", _brought),
        "before_rest_written": Point(WeChatAdapter, "respond", "after", _written("继续")),
    },
    "ride": {
        "before_carry": Point(Leftovers, "carry", "before"),
        "after_carry": Point(Leftovers, "carry", "after", _fetched),
        "before_carrier_written": Point(WeChatAdapter, "respond", "after", _written(AGAIN)),
    },
}
"""By how a leftover comes: 继续 fetches a late answer or takes a rest, or it rides with the next one."""
RELAY = "after_name_written"
"""The first crash of a relay: the second one hits the process that took over."""


def arm(names: str, marks: Path) -> None:
    """Wraps the methods of these points, comma-separated; empty arms nothing.

    The name of a scene stands for all points of its leftovers.
    """
    for name in filter(None, names.split(",")):
        if (points := LEFTOVERS.get(name)) is None:  # type: ignore[call-overload]
            _wrap(name, POINTS[name], POINTS[name].key, marks)
            continue
        for each, point in points.items():
            _wrap(each, point, _of_customers_named_after(each, point.key), marks)


def _wrap(name: str, point: Point, key: Key, marks: Path) -> None:
    method: Callable[..., object] = getattr(point.owner, point.method)

    @functools.wraps(method)
    def wrapped(*arguments: Any, **options: Any) -> object:
        if point.when == "before":
            _die_once(name, key(arguments, None), marks)
        result = method(*arguments, **options)
        if point.when == "after":
            _die_once(name, key(arguments, result), marks)
        return result

    setattr(point.owner, point.method, wrapped)


def _of_customers_named_after(name: str, key: Key) -> Key:
    def narrowed(arguments: tuple[Any, ...], result: object) -> object:
        if key(arguments, result) is None:
            return None
        who = _customer(arguments)
        return who if who.startswith(f"{name}-") else None

    return narrowed


def _customer(arguments: tuple[Any, ...]) -> str:
    """Whom this call is about; all methods here are told a message or an exchange's number first."""
    part, subject = arguments[:2]
    if isinstance(subject, InboundMessage):
        return subject.user
    exchange = Exchanges(part.db).get(subject)
    return "" if exchange is None else exchange.user_id


def _die_once(name: str, key: object, marks: Path) -> None:
    keys = key if isinstance(key, list) else [] if key is None else [key]
    first = [each for each in keys if _first(marks / f"{name}-{each}")]
    if first:
        os.kill(os.getpid(), signal.SIGKILL)


def _first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
