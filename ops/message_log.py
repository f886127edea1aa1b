"""The message log's endpoints: numbered pages for WeChat, cursors, search and export for every platform."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain

from flask import Response, request
from pydantic import BaseModel, Field

from adapters.base import Route
from adapters.shape import Shape
from ops.keys import ApiKeys
from ops.log_query import LogQuery, WeChatLogQuery, cursor_text, query_of
from ops.logged_message import MIME, LoggedMessage, lines, moment
from storage.log import MessageLog
from storage.models import Exchange

SCOPE = "log"


class WeChatLogPage(Shape):
    """A numbered page; `total` counts every message that fits."""

    total: int
    page: int
    limit: int
    messages: list[LoggedMessage]


class LogSlice(Shape):
    """The next messages, the newest first."""

    messages: list[LoggedMessage]
    next_cursor: str | None = Field(description="send it as `cursor` to go on; null at the end of the log")
    limit: int
    searched_until: str | None = Field(
        description="set when the search paused before the page was full: "
        "everything newer than this moment has been looked at"
    )


class MessageLogApi:
    """Who wrote what and what we answered, for callers with the scope `log`."""

    def __init__(self, log: MessageLog, keys: ApiKeys) -> None:
        self._log = log
        self._keys = keys

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                "/api/wechat/messages",
                ("GET",),
                self.wechat_messages,
                "WeChat messages by customer and time, numbered pages",
                query=WeChatLogQuery,
                answer=WeChatLogPage,
                tag="log",
            ),
            Route(
                "/api/messages",
                ("GET",),
                self.messages,
                "Messages of every platform: filters, text search, export as CSV or JSON lines",
                query=LogQuery,
                answer=LogSlice,
                tag="log",
            ),
        )

    def wechat_messages(self) -> Response:
        self._keys.require(request, SCOPE)
        query = query_of(request, WeChatLogQuery)
        found = self._log.page(query.filters(), query.page, query.limit)
        return _json(
            WeChatLogPage(
                total=found.total,
                page=query.page,
                limit=query.limit,
                messages=[LoggedMessage.of(row) for row in found.rows],
            )
        )

    def messages(self) -> Response:
        self._keys.require(request, SCOPE)
        query = query_of(request, LogQuery)
        if query.format is not None:
            return self._export(query)
        found = self._log.after(query.filters(), query.cursor, query.limit)
        return _json(
            LogSlice(
                messages=[LoggedMessage.of(row) for row in found.rows],
                next_cursor=None if found.next is None else cursor_text(found.next),
                limit=query.limit,
                searched_until=None if found.searched_until is None else moment(found.searched_until),
            )
        )

    def _export(self, query: LogQuery) -> Response:
        form = query.format or "jsonl"
        # the first row is read now, so that a database that is away is still an error and not an empty file
        rows = _begun(self._log.export(query.filters(), query.cursor))
        name = f"messages-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.{form}"
        return Response(
            lines(rows, form),
            content_type=MIME[form],
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )


def _begun(rows: Iterator[Exchange]) -> Iterator[Exchange]:
    first = next(rows, None)
    return rows if first is None else chain((first,), rows)


def _json(answer: BaseModel) -> Response:
    # people's words: no proxy and no browser keeps a copy
    return Response(
        answer.model_dump_json(), mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
