"""The Q&A library's endpoints, for callers with the scope `library`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from adapters.base import Route, read_body, validated
from adapters.shape import Shape
from errors import BadRequest, NotFound
from handler.library import Match
from ops import library_import, library_sheets
from ops.keys import ApiKeys
from ops.library_models import (
    Entry,
    EntryAdded,
    EntryBody,
    EntryChanged,
    EntryList,
    EntryReplaced,
    Fit,
    Question,
    Questions,
    Report,
    Tried,
    Try,
    fields_of,
)
from ops.library_sheets import FILE_CAP, MIME, Form
from ops.log_query import Moment, checked
from ops.logged_message import moment
from storage.db import now_ms
from storage.library import Library, Wanted, draft_of
from storage.unanswered import Group, Unanswered

SCOPE = "library"
PERIOD_MS = 30 * 24 * 3600 * 1000
"""How far /unanswered looks back when nobody says."""
PLACE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,9})-([0-9]{1,15})-([0-9]{1,18})", re.ASCII)


class Finds(Protocol):
    """The library as messages are matched with it; `parts.py` hands it in."""

    library: Library

    def matches(self, question: str, platform: str, account: str) -> list[Match]: ...


class _Query(Shape):
    model_config = ConfigDict(extra="forbid", frozen=True)


Q = TypeVar("Q", bound=_Query)


class ListQuery(_Query):
    """Parameters of `GET /api/library/entries`."""

    q: str = Field("", max_length=200, description="part of a phrasing or of the answer")
    mode: str = Field("", pattern="^(|exact|keywords|regex|fuzzy)$")
    enabled: bool | None = None
    cursor: int = Field(0, ge=0, lt=2**63, description="`next_cursor` of the answer before")
    limit: int = Field(50, ge=1, le=500)


class VersionQuery(_Query):
    """Parameters of DELETE."""

    version: int = Field(ge=1, description="the version that you saw")


class ExportQuery(_Query):
    """Parameters of the export."""

    format: Form = "csv"


class ImportQuery(_Query):
    """Parameters of the import. The body is the file itself."""

    format: Form = "csv"
    dry_run: bool = Field(False, description="say what would happen, and do nothing")


class UnansweredQuery(_Query):
    """Parameters of `GET /api/library/unanswered`."""

    start: Moment = Field(None, description="first moment included; default: 30 days before `end`")
    end: Moment = Field(None, description="first moment not included any more; default: now")
    error: str = Field("", max_length=64, description="one error code, such as `coze_empty`")
    platform: str = Field("", max_length=32)
    cursor: str = Field("", pattern=f"^$|^{PLACE.pattern}$", description="`next_cursor`; it keeps the period")
    limit: int = Field(50, ge=1, le=200)


class LibraryApi:
    """Entries to read, write, try, export and import; and the questions that still need one."""

    def __init__(self, shelf: Finds, unanswered: Unanswered, keys: ApiKeys) -> None:
        self._shelf = shelf
        self._library = shelf.library
        self._unanswered = unanswered
        self._keys = keys

    def routes(self) -> Sequence[Route]:
        entries, one = "/api/library/entries", "/api/library/entries/<int:entry_id>"

        def route(path: str, method: str, view: Any, summary: str, **models: Any) -> Route:
            return Route(path, (method,), view, summary, tag="library", **models)

        return (
            route(entries, "GET", self.list, "Entries of the Q&A library", query=ListQuery, answer=EntryList),
            route(entries, "POST", self.add, "Add an entry", body=EntryAdded, answer=Entry),
            route(one, "GET", self.get, "One entry", answer=Entry),
            route(one, "PUT", self.replace, "Replace an entry", body=EntryReplaced, answer=Entry),
            route(one, "PATCH", self.change, "Change fields", body=EntryChanged, answer=Entry),
            route(one, "DELETE", self.remove, "Delete an entry", query=VersionQuery),
            route("/api/library/test", "POST", self.test, "Who would answer a text", body=Try, answer=Tried),
            route(
                "/api/library/export",
                "GET",
                self.export,
                "Every entry as CSV, XLSX or JSON",
                query=ExportQuery,
                content_type="application/octet-stream",
            ),
            route(
                "/api/library/import",
                "POST",
                self.take_in,
                "Import a CSV, XLSX or JSON file, all of it or nothing",
                query=ImportQuery,
                answer=Report,
            ),
            route(
                "/api/library/unanswered",
                "GET",
                self.unanswered,
                "Questions that ended without an answer, grouped, the most frequent first",
                query=UnansweredQuery,
                answer=Questions,
            ),
        )

    def list(self) -> Response:
        self._keys.require(request, SCOPE)
        query = _query(ListQuery)
        wanted = Wanted(query.q, query.mode, query.enabled)
        found = self._library.after(wanted, query.cursor, query.limit + 1)
        more = len(found) > query.limit
        entries = [Entry.of(row) for row in found[: query.limit]]
        cursor = str(entries[-1].id) if more else None
        return _json(EntryList(entries=entries, next_cursor=cursor, limit=query.limit))

    def add(self) -> Response:
        name = self._keys.require(request, SCOPE)
        body = validated(EntryAdded, read_body(request))
        fields = body.model_dump(exclude={"from_exchange"}, exclude_unset=True)
        if body.from_exchange is not None:
            question = self._unanswered.question(body.from_exchange)
            if question is None:
                raise NotFound("there is no such exchange")
            fields["phrasings"] = [*body.phrasings, question.strip()]
        entry = self._library.add(validated(EntryBody, _again(fields)).draft(), name)
        return _json(Entry.of(entry), 201)

    def get(self, entry_id: int) -> Response:
        self._keys.require(request, SCOPE)
        return _json(Entry.of(self._library.get(entry_id)))

    def replace(self, entry_id: int) -> Response:
        name = self._keys.require(request, SCOPE)
        body = validated(EntryReplaced, read_body(request))
        return _json(Entry.of(self._library.change(entry_id, body.version, name, body.draft())))

    def change(self, entry_id: int) -> Response:
        name = self._keys.require(request, SCOPE)
        body = validated(EntryChanged, read_body(request))
        # what is merged here was read before the lock: `version` says whether it is still so
        now = fields_of(draft_of(self._library.get(entry_id)))
        merged = now | body.model_dump(exclude={"version"}, exclude_unset=True)
        draft = validated(EntryBody, merged).draft()
        return _json(Entry.of(self._library.change(entry_id, body.version, name, draft)))

    def remove(self, entry_id: int) -> Response:
        self._keys.require(request, SCOPE)
        self._library.remove(entry_id, _query(VersionQuery).version)
        return Response(status=204)

    def test(self) -> Response:
        self._keys.require(request, SCOPE)
        body = validated(Try, read_body(request))
        found = self._shelf.matches(body.text, body.platform, body.account)
        return _json(Tried(answered=bool(found), fits=[Fit.of(match) for match in found[:20]]))

    def export(self) -> Response:
        self._keys.require(request, SCOPE)
        form = _query(ExportQuery).format
        content = library_sheets.written(self._library.everything(), form)
        name = f"library-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.{form}"
        return Response(
            content,
            content_type=MIME[form],
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    def take_in(self) -> Response:
        name = self._keys.require(request, SCOPE)
        query = _query(ImportQuery)
        records = library_sheets.read(read_body(request, FILE_CAP), query.format)
        report = library_import.run(self._library, records, name, dry_run=query.dry_run)
        blocked = library_import.refused(report) and not query.dry_run
        return _json(report, 409 if blocked else 200)

    def unanswered(self) -> Response:
        self._keys.require(request, SCOPE)
        query = _query(UnansweredQuery)
        if (found := PLACE.fullmatch(query.cursor)) is not None:
            start, end, count, last, number = map(int, found.groups())
            after: tuple[int, ...] | None = (-count, -last, -number)
        else:
            end = now_ms() if query.end is None else query.end
            start = max(0, end - PERIOD_MS) if query.start is None else query.start
            after = None
        if start > end:
            raise BadRequest("start must not be later than end")
        gathered = self._unanswered.groups(start, end, query.error, query.platform)
        rest = [group for group in gathered.groups if after is None or group.place > after]
        shown = rest[: query.limit]
        cursor = None
        if len(rest) > query.limit:
            last_shown = shown[-1]
            place = last_shown.count, last_shown.last_ms, last_shown.exchange_id
            cursor = "-".join(map(str, (start, end, *place)))
        return _json(
            Questions(
                start=moment(start),
                end=moment(end),
                questions=[self._question(group, query.platform) for group in shown],
                next_cursor=cursor,
                limit=query.limit,
                searched_until=None if gathered.searched_until is None else moment(gathered.searched_until),
            )
        )

    def _question(self, group: Group, platform: str) -> Question:
        fits = self._shelf.matches(group.question, platform, "")
        return Question(
            question=group.question,
            exchange_id=group.exchange_id,
            count=group.count,
            first_seen=moment(group.first_ms),
            last_seen=moment(group.last_ms),
            errors=dict(group.errors.most_common()),
            entry_id=fits[0].entry_id if fits else None,
        )


def _query(kind: type[Q]) -> Q:
    return checked({name: value for name, value in request.args.items() if value}, kind)


def _again(fields: dict[str, Any]) -> dict[str, Any]:
    """Validated moments are milliseconds; written again they are text."""
    return {
        name: moment(value) if name.startswith("valid_") and value is not None else value
        for name, value in fields.items()
    }


def _json(answer: BaseModel, status: int = 200) -> Response:
    return Response(
        answer.model_dump_json(),
        status=status,
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )
