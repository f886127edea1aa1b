"""The message log over HTTP: who may read it, what it says, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask, jsonify
from sqlalchemy import update

from errors import YingdaError
from handler.message import Doc, InboundMessage, Reply, Usage
from ops.keys import ApiKeys
from ops.message_log import MessageLogApi
from sandbox.serve import Server
from storage import schema
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.log import MessageLog
from storage.models import Exchange

READER = {"Authorization": "Bearer reader-key-0123456789"}
KEYS = ("reader:reader-key-0123456789:log", "chatter:chatter-key-0123456789:chat")
MESSAGE = InboundMessage("wechat", "default", "oAlice", "m1", "居住证怎么办?", request_id="trace-1")
JANUARY = 1_767_225_600_000
"""2026-01-01T00:00:00Z in milliseconds."""
DAY = 86_400_000


class Log:
    """A served log and the means to write to it."""

    def __init__(self, db: Database, scan: int = 20_000) -> None:
        self.db = db
        self.exchanges = Exchanges(db)
        self.log = MessageLog(db, scan)
        self.url = ""

    def add(self, message: InboundMessage, created_ms: int, reply: Reply | None = None) -> int:
        number = self.exchanges.claim(message, "owner", 60_000).exchange.id
        if reply:
            self.exchanges.answer(number, "owner", reply, Timing(40, 900))
        with self.db.write() as session:
            session.execute(update(Exchange).where(Exchange.id == number).values(created_ms=created_ms))
        return number

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return requests.get(self.url + path, params=parameters, headers=READER, timeout=10)

    def ids(self, path: str, **parameters: Any) -> list[int]:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return [message["id"] for message in answer.json()["messages"]]


def app_of(log: MessageLog) -> Flask:
    app = Flask("log")
    for route in MessageLogApi(log, ApiKeys(KEYS, development=False)).routes():
        app.add_url_rule(route.path, route.path, route.view, methods=list(route.methods))

    @app.errorhandler(YingdaError)
    def refuse(error: YingdaError) -> Any:
        return jsonify(error={"code": error.code, "message": error.message}), error.status

    return app


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    schema.upgrade(url)
    served = Log(Database(url))
    with Server(app_of(served.log)) as server:
        served.url = server.url
        yield served
    served.db.close()


def message(number: int, **fields: Any) -> InboundMessage:
    return replace(MESSAGE, dedupe_key=f"m{number}", **fields)


@pytest.mark.parametrize("path", ["/api/wechat/messages", "/api/messages", "/api/messages?format=csv"])
def test_the_log_is_read_only_with_the_scope(log: Log, path: str) -> None:
    nobody = requests.get(log.url + path, timeout=10)
    wrong = requests.get(log.url + path, headers={"X-Api-Key": "guess"}, timeout=10)
    chatter = requests.get(log.url + path, headers={"X-Api-Key": "chatter-key-0123456789"}, timeout=10)
    assert [answer.status_code for answer in (nobody, wrong, chatter)] == [401, 401, 403]
    assert chatter.json() == {"error": {"code": "forbidden", "message": "the API key lacks the scope log"}}
    assert log.get(path).status_code == 200


def test_an_answered_message_is_shown_whole(log: Log) -> None:
    reply = Reply(
        "部分答案",
        "coze",
        docs=(Doc("d1", "指南", score=0.5),),
        suggestions=("还有呢?",),
        usage=Usage(12, 34),
        error="coze_timeout",
        truncated=True,
    )
    number = log.add(MESSAGE, JANUARY + 5, reply)
    Deliveries(log.exchanges.db).deliver(number, "passive")
    with log.db.write() as session:
        ids = {"conversation_id": "c", "chat_id": "h", "logid": "l"}
        moments = {"answered_ms": JANUARY + 905, "delivered_ms": JANUARY + 1_000}
        session.execute(update(Exchange).values(**ids, **moments))
    assert log.get("/api/wechat/messages").json() == {
        "total": 1,
        "page": 1,
        "limit": 20,
        "messages": [
            {
                "id": number,
                "trace_id": "trace-1",
                "platform": "wechat",
                "account": "default",
                "user_id": "oAlice",
                "session_id": "oAlice",
                "type": "text",
                "question": "居住证怎么办?",
                "answer": "部分答案",
                "source": "coze",
                "library_id": None,
                "status": "delivered",
                "error_code": "coze_timeout",
                "truncated": True,
                "delivery": "passive",
                "attempts": 1,
                "conversation_id": "c",
                "chat_id": "h",
                "logid": "l",
                "usage": {"input_tokens": 12, "output_tokens": 34},
                "first_delta_ms": 40,
                "total_ms": 900,
                "docs": [
                    {"doc_id": "d1", "title": "指南", "url": "", "space_id": "", "score": 0.5, "text": ""}
                ],
                "suggestions": ["还有呢?"],
                "created_at": "2026-01-01T00:00:00.005Z",
                "created_ts": 1_767_225_600,
                "answered_at": "2026-01-01T00:00:00.905Z",
                "delivered_at": "2026-01-01T00:00:01.000Z",
            }
        ],
    }


def test_a_message_without_an_answer_says_so_with_null(log: Log) -> None:
    log.add(MESSAGE, JANUARY)
    (shown,) = log.get("/api/messages").json()["messages"]
    empty = {name for name, value in shown.items() if value is None}
    assert {"answer", "source", "usage", "error_code", "delivery", "answered_at", "delivered_at"} <= empty
    assert shown["status"] == "claimed"


def test_the_wechat_log_shows_wechat_only_page_by_page(log: Log) -> None:
    numbers = [log.add(message(n), JANUARY + n) for n in range(5)]
    log.add(message(9, platform="web"), JANUARY + 9)
    pages = [log.get("/api/wechat/messages", page=page, limit=2).json() for page in (1, 2, 3, 4)]
    assert [[m["id"] for m in page["messages"]] for page in pages] == [
        [numbers[4], numbers[3]],
        [numbers[2], numbers[1]],
        [numbers[0]],
        [],
    ]
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}
    assert [page["page"] for page in pages] == [1, 2, 3, 4]


def test_the_wechat_log_is_filtered_by_customer(log: Log) -> None:
    log.add(message(1), JANUARY)
    mine = log.add(message(2, user="oBob"), JANUARY)
    assert log.ids("/api/wechat/messages", user_id="oBob") == [mine]
    assert log.ids("/api/wechat/messages", user_id="obob") == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("1767312000", "1767398400"),
        ("1767312000.000", "1767398400.0"),
        ("2026-01-02", "2026-01-03"),
        ("2026-01-02T00:00:00", "2026-01-03T00:00:00Z"),
        ("2026-01-02T08:00:00+08:00", "2026-01-03T08:00:00+0800"),
        ("2026-01-02 00:00", "2026-01-03 00:00:00.000"),
    ],
)
@pytest.mark.parametrize("path", ["/api/wechat/messages", "/api/messages"])
def test_a_period_is_given_in_seconds_or_iso_8601(log: Log, path: str, start: str, end: str) -> None:
    before, first, last, after = (
        log.add(message(n), JANUARY + offset) for n, offset in enumerate((DAY - 1, DAY, 2 * DAY - 1, 2 * DAY))
    )
    assert log.ids(path, start=start, end=end) == [last, first]
    assert log.ids(path, start=start) == [after, last, first]
    assert log.ids(path, end=end) == [last, first, before]


def test_an_unescaped_plus_of_a_zone_is_understood(log: Log) -> None:
    number = log.add(MESSAGE, JANUARY)
    query = "start=2026-01-01T08:00:00+08:00&end=2026-01-01T08:00:01+08:00"
    answer = requests.get(f"{log.url}/api/messages?{query}", headers=READER, timeout=10)
    assert [m["id"] for m in answer.json()["messages"]] == [number]


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/api/wechat/messages", "page", "0"),
        ("/api/wechat/messages", "page", "-1"),
        ("/api/wechat/messages", "page", "one"),
        ("/api/wechat/messages", "page", "99999999999999999999"),
        ("/api/wechat/messages", "limit", "201"),
        ("/api/wechat/messages", "limit", "0"),
        ("/api/wechat/messages", "start", "yesterday"),
        ("/api/wechat/messages", "start", "1767225600000"),
        ("/api/wechat/messages", "end", "-5"),
        ("/api/wechat/messages", "end", "9" * 400),
        ("/api/wechat/messages", "start", "0001-01-01T00:00:00+23:59"),
        ("/api/wechat/messages", "user_id", "u" * 129),
        ("/api/wechat/messages", "userid", "oAlice"),
        ("/api/wechat/messages", "q", "word"),
        ("/api/messages", "status", "lost"),
        ("/api/messages", "source", "nobody"),
        ("/api/messages", "cursor", "5"),
        ("/api/messages", "cursor", "1-2; DROP TABLE exchanges"),
        ("/api/messages", "cursor", "９-１"),
        ("/api/messages", "cursor", "9" * 30 + "-1"),
        ("/api/messages", "format", "xlsx"),
        ("/api/messages", "q", "w" * 201),
        ("/api/messages", "page", "2"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(log: Log, path: str, parameter: str, value: str) -> None:
    answer = log.get(path, **{parameter: value})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert parameter in error["message"]


def test_a_period_that_ends_before_it_starts_is_refused(log: Log) -> None:
    answer = log.get("/api/messages", start="2026-01-02", end="2026-01-01")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "start must not be later than end",
    )


def test_an_empty_parameter_does_not_filter(log: Log) -> None:
    number = log.add(MESSAGE, JANUARY)
    empty = dict.fromkeys(
        ("user_id", "platform", "status", "error", "q", "cursor", "start", "format", "limit"), ""
    )
    assert log.ids("/api/messages", **empty) == [number]


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "%ff", "' OR 1=1 --", "𠮷", "\ufffe"])
@pytest.mark.parametrize("parameter", ["user_id", "platform", "account", "session", "error", "q"])
def test_hostile_values_find_nothing_and_break_nothing(log: Log, parameter: str, value: str) -> None:
    log.add(MESSAGE, JANUARY)
    answer = log.get("/api/messages", **{parameter: value})
    assert answer.status_code == 200
    assert answer.json()["messages"] == [] or (parameter, value) == ("q", "\x00")


def test_filters_narrow_the_log_together(log: Log) -> None:
    failed = Reply("sorry", "coze", error="coze_4016")
    fine = Reply("Bring your ID card", "library")
    a = log.add(message(1), JANUARY, fine)
    b = log.add(message(2), JANUARY + 1, failed)
    c = log.add(message(3, platform="web", account="site", session="s-9"), JANUARY + 2, fine)
    d = log.add(message(4), JANUARY + 3)
    for expected, parameters in (
        ([c], {"platform": "web"}),
        ([c], {"account": "site"}),
        ([c], {"session": "s-9"}),
        ([d], {"status": "claimed"}),
        ([c, a], {"source": "library"}),
        ([b], {"error": "any"}),
        ([d, c, a], {"error": "none"}),
        ([b], {"error": "coze_4016"}),
        ([], {"error": "coze_4017"}),
        ([c, a], {"q": "id CARD"}),
        (
            [a],
            {
                "q": "id card",
                "platform": "wechat",
                "source": "library",
                "status": "answered",
                "user_id": "oAlice",
            },
        ),
    ):
        assert log.ids("/api/messages", **parameters) == expected, parameters


def test_cursors_lead_through_the_whole_log(log: Log) -> None:
    numbers = [log.add(message(n), JANUARY + n // 3) for n in range(8)]
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        answer = log.get("/api/messages", limit=3, cursor=cursor).json()
        seen += [m["id"] for m in answer["messages"]]
        cursor = answer["next_cursor"]
    assert seen == numbers[::-1]


def test_a_search_that_pauses_says_how_far_it_came(log: Log) -> None:
    log.add(message(0, text="needle"), JANUARY)
    for n in range(1, 6):
        log.add(message(n), JANUARY + n)
    with Server(app_of(MessageLog(log.db, scan=4))) as server:
        log.url = server.url
        first = log.get("/api/messages", q="needle").json()
        second = log.get("/api/messages", q="needle", cursor=first["next_cursor"]).json()
    assert (first["messages"], first["searched_until"]) == ([], "2026-01-01T00:00:00.002Z")
    assert [m["question"] for m in second["messages"]] == ["needle"]
    assert (second["next_cursor"], second["searched_until"]) == (None, None)


def test_csv_opens_in_a_spreadsheet_and_runs_nothing_there(log: Log) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "a=1", 'line\nbreak, "quoted"']
    for n, words in enumerate(texts):
        log.add(
            message(n, text=words),
            JANUARY + n,
            Reply(words, "coze", docs=(Doc("d", words),), suggestions=(words,)),
        )
    answer = log.get("/api/messages", format="csv", limit=1)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="messages-')
    assert answer.content.startswith(b"\xef\xbb\xbfid,trace_id,")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [line["question"].removeprefix("'") for line in lines] == texts[::-1]
    cells = [cell for line in lines for cell in line.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))]
    assert lines[0]["created_at"] == "2026-01-01T00:00:00.009Z"


def test_json_lines_hold_the_same_messages_as_the_pages(log: Log) -> None:
    for n in range(3):
        log.add(message(n), JANUARY + n, Reply("a\u2028b", "coze"))
    answer = log.get("/api/messages", format="jsonl")
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    exported = [json.loads(line) for line in answer.content.decode().split("\n") if line]
    assert exported == log.get("/api/messages").json()["messages"]


def test_an_export_of_nothing_is_a_header_or_nothing(log: Log) -> None:
    assert log.get("/api/messages", format="csv", user_id="nobody").text.count("\n") == 1
    assert log.get("/api/messages", format="jsonl", user_id="nobody").content == b""


def test_an_export_follows_filters_and_cursor(log: Log) -> None:
    numbers = [log.add(message(n), JANUARY + n) for n in range(4)]
    log.add(message(9, user="oBob"), JANUARY + 9)
    cursor = log.get("/api/messages", user_id="oAlice", limit=1).json()["next_cursor"]
    answer = log.get("/api/messages", user_id="oAlice", cursor=cursor, format="jsonl")
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == numbers[2::-1]


def test_an_export_from_a_database_that_is_away_is_an_error_and_no_file(log: Log) -> None:
    with log.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE exchanges RENAME TO gone")
    for form in ("csv", "jsonl"):
        answer = log.get("/api/messages", format=form)
        assert answer.status_code == 503
        assert "Content-Disposition" not in answer.headers


def test_no_copy_of_peoples_words_is_kept_on_the_way(log: Log) -> None:
    for path in ("/api/wechat/messages", "/api/messages", "/api/messages?format=jsonl"):
        assert log.get(path).headers["Cache-Control"] == "no-store"
