"""The Q&A library's entries: read for matching and for operators, and written one writer at a time.

Every change raises the library's number first (`LibraryState`), which locks out other writers until the
commit. So two people cannot add the same phrasing at once, and a process that saw number n has everything up
to n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from errors import Conflict, NotFound
from handler.library import Draft, Mode, same_key
from storage.columns import storable
from storage.db import Database, now_ms
from storage.library_tables import LibraryEntry, LibraryPhrasing, LibraryState, LibraryUse
from storage.only_row import write_only_row

AT_ONCE = 1_000
_count_hit = (
    update(LibraryUse)
    .where(LibraryUse.entry_id == bindparam("entry"))
    .values(hits=LibraryUse.hits + 1, last_hit_ms=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list. An empty string or None does not filter."""

    text: str = ""
    """Part of a phrasing or of the answer; the case of letters does not matter."""
    mode: str = ""
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as an import meets it."""

    id: int
    version: int
    draft: Draft


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of one entry; `id` None makes a new one."""

    draft: Draft
    id: int | None = None


class Library:
    """Entries in the database. Functions raise `Unavailable` when it does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def revision(self) -> int:
        """The number of changes so far; what a process compares to know whether it is up to date."""
        with self.db.read() as session:
            return session.scalar(select(LibraryState.revision)) or 0

    def since(self, revision: int) -> tuple[dict[int, Draft], set[int]]:
        """Entries changed after `revision`, and the ids of all there are now."""
        with self.db.read() as session:
            ids = set(session.scalars(select(LibraryEntry.id)))
            found = {each.id: each.draft for each in _stored(session, LibraryEntry.revision > revision)}
        return found, ids

    def get(self, entry_id: int) -> LibraryEntry:
        """One entry; raises `NotFound`."""
        with self.db.read() as session:
            return _entry(session, entry_id)

    def after(self, wanted: Wanted, entry_id: int, limit: int) -> Sequence[LibraryEntry]:
        """Up to `limit` entries with ids above `entry_id`, in the order of their ids."""
        query = select(LibraryEntry).where(LibraryEntry.id > entry_id)
        if wanted.text:
            said = exists().where(
                LibraryPhrasing.entry_id == LibraryEntry.id, _contains(LibraryPhrasing.text, wanted.text)
            )
            query = query.where(or_(said, _contains(LibraryEntry.answer, wanted.text)))
        if wanted.mode:
            query = query.where(LibraryEntry.mode == wanted.mode)
        if wanted.enabled is not None:
            query = query.where(LibraryEntry.enabled.is_(wanted.enabled))
        with self.db.read() as session:
            return session.scalars(query.order_by(LibraryEntry.id).limit(limit)).all()

    def add(self, draft: Draft, by: str) -> LibraryEntry:
        """A new entry. `Conflict` when another one already has one of its phrasings for the same messages."""

        def step(session: Session) -> LibraryEntry:
            revision = _raise_revision(session)
            _require_free(session, draft, None)
            entry = _new(draft, by, revision)
            session.add(entry)
            session.flush()
            return entry

        return self.db.transact(step)

    def change(self, entry_id: int, version: int, by: str, draft: Draft) -> LibraryEntry:
        """Saves the entry as `draft` says, if `version` is still its version; else `Conflict`."""

        def step(session: Session) -> LibraryEntry:
            revision = _raise_revision(session)
            entry = _entry(session, entry_id)
            _require_version(entry, version)
            _require_free(session, draft, entry_id)
            _write(entry, draft, by, revision)
            session.flush()
            return entry

        return self.db.transact(step)

    def remove(self, entry_id: int, version: int) -> None:
        """Deletes the entry, if `version` is still its version; exchanges keep its number."""

        def step(session: Session) -> None:
            _raise_revision(session)
            entry = _entry(session, entry_id)
            _require_version(entry, version)
            for table in (LibraryPhrasing, LibraryUse):
                session.execute(delete(table).where(table.entry_id == entry_id))
            session.execute(delete(LibraryEntry).where(LibraryEntry.id == entry_id))

        self.db.transact(step)

    def everything(self) -> list[Stored]:
        """All entries, in the order of their ids."""
        with self.db.read() as session:
            return list(_stored(session))

    def rewrite(self, plan: Callable[[Sequence[Stored]], Sequence[Change] | None], by: str) -> bool:
        """Makes the changes that `plan` decides on, all or none, while nobody else can write.

        `plan` gets the entries as they are; None, or no change at all, leaves everything as it was.
        """

        def step(session: Session) -> bool:
            revision = _raise_revision(session)
            changes = plan(list(_stored(session)))
            if not changes:
                session.rollback()
                return False
            _add_all(session, [each.draft for each in changes if each.id is None], by, revision)
            known = {each.id: each.draft for each in changes if each.id is not None}
            for ids in _batches(sorted(known)):
                for entry in session.scalars(select(LibraryEntry).where(LibraryEntry.id.in_(ids))):
                    _write(entry, known[entry.id], by, revision)
                session.flush()
            return True

        return self.db.transact(step)


def count_hit(connection: Connection, entry_id: int, now: int) -> None:
    """Counts, in the caller's transaction, that the entry has answered."""
    connection.execute(_count_hit, {"entry": entry_id, "now": now})


def draft_of(entry: LibraryEntry) -> Draft:
    """The entry as an operator would write it."""
    return _draft(entry, [each.text for each in entry.phrasings])


def _draft(row: Any, phrasings: Sequence[str]) -> Draft:
    return Draft(
        phrasings=tuple(phrasings),
        answer=row.answer,
        mode=cast("Mode", row.mode),
        priority=row.priority,
        threshold=row.threshold,
        applies_to=tuple(row.applies_to),
        valid_from_ms=row.valid_from_ms,
        valid_until_ms=row.valid_until_ms,
        enabled=row.enabled,
        tags=tuple(row.tags),
    )


COLUMNS = (
    LibraryEntry.id,
    LibraryEntry.version,
    LibraryEntry.answer,
    LibraryEntry.mode,
    LibraryEntry.priority,
    LibraryEntry.threshold,
    LibraryEntry.applies_to,
    LibraryEntry.valid_from_ms,
    LibraryEntry.valid_until_ms,
    LibraryEntry.enabled,
    LibraryEntry.tags,
)


def _stored(session: Session, *wanted: Any) -> Iterable[Stored]:
    # plain columns: ten thousand objects with a history each would take a worker half a second
    texts: dict[int, list[str]] = {}
    lines = (
        select(LibraryPhrasing.entry_id, LibraryPhrasing.text)
        .join(LibraryEntry, LibraryEntry.id == LibraryPhrasing.entry_id)
        .where(*wanted)
        .order_by(LibraryPhrasing.entry_id, LibraryPhrasing.place)
    )
    for entry_id, text in session.execute(lines):
        texts.setdefault(entry_id, []).append(text)
    for row in session.execute(select(*COLUMNS).where(*wanted).order_by(LibraryEntry.id)):
        yield Stored(row.id, row.version, _draft(row, texts.get(row.id, [])))


def _raise_revision(session: Session) -> int:
    write_only_row(session, LibraryState, {"revision": LibraryState.revision + 1}, {"revision": 1})
    return session.scalars(select(LibraryState.revision)).one()


def _entry(session: Session, entry_id: int) -> LibraryEntry:
    entry = session.get(LibraryEntry, entry_id)
    if entry is None:
        raise NotFound("there is no such entry")
    return entry


def _require_version(entry: LibraryEntry, version: int) -> None:
    if entry.version != version:
        raise Conflict(f"somebody saved this entry in between: its version is {entry.version} now")


def _require_free(session: Session, draft: Draft, own_id: int | None) -> None:
    same = {digest(draft.mode, each): each for each in draft.phrasings}
    found = session.execute(
        select(LibraryPhrasing.entry_id, LibraryPhrasing.same).where(
            LibraryPhrasing.same.in_(same), LibraryPhrasing.entry_id != (own_id or 0)
        )
    ).all()
    for entry_id, key in found:
        if draft.meets(draft_of(_entry(session, entry_id))):
            raise Conflict(f"entry {entry_id} has the phrasing {same[key][:80]!r} for the same messages")


def _add_all(session: Session, drafts: Sequence[Draft], by: str, revision: int) -> None:
    """New entries by the thousand, in a few statements: one by one they keep MariaDB busy for a minute."""
    if not drafts:
        return
    rows = [_columns(each, by, revision) | {"version": 1} for each in drafts]
    made = {"created_by": by, "created_ms": now_ms()}
    session.execute(insert(LibraryEntry), [row | made for row in rows])
    # nobody else writes now, so what has this number and is new is ours, in the order of its ids
    mine = LibraryEntry.revision == revision, LibraryEntry.version == 1
    ids = session.scalars(select(LibraryEntry.id).where(*mine).order_by(LibraryEntry.id)).all()
    pairs = list(zip(ids, drafts, strict=True))
    session.execute(insert(LibraryUse), [{"entry_id": number, "hits": 0} for number in ids])
    session.execute(
        insert(LibraryPhrasing),
        [
            {"entry_id": number, "place": place, "text": text, "same": digest(draft.mode, text)}
            for number, draft in pairs
            for place, text in enumerate(draft.phrasings)
        ],
    )


def _columns(draft: Draft, by: str, revision: int) -> dict[str, Any]:
    return {
        "mode": draft.mode,
        "answer": draft.answer,
        "priority": draft.priority,
        "threshold": draft.threshold,
        "applies_to": list(draft.applies_to),
        "tags": list(draft.tags),
        "valid_from_ms": draft.valid_from_ms,
        "valid_until_ms": draft.valid_until_ms,
        "enabled": draft.enabled,
        "revision": revision,
        "updated_by": by,
        "updated_ms": now_ms(),
    }


def _new(draft: Draft, by: str, revision: int) -> LibraryEntry:
    now = now_ms()
    entry = LibraryEntry(version=0, created_by=by, created_ms=now, use=LibraryUse(hits=0))
    _write(entry, draft, by, revision)
    return entry


def _write(entry: LibraryEntry, draft: Draft, by: str, revision: int) -> None:
    for name, value in _columns(draft, by, revision).items():
        setattr(entry, name, value)
    entry.version += 1
    entry.phrasings = [
        LibraryPhrasing(place=place, text=text, same=digest(draft.mode, text))
        for place, text in enumerate(draft.phrasings)
    ]


def digest(mode: Mode, phrasing: str) -> str:
    """The key of phrasings that fit the same texts, as stored."""
    return hashlib.sha256(same_key(mode, phrasing).encode("utf-8", "surrogatepass")).hexdigest()


def _contains(column: Any, words: str) -> Any:
    return column.icontains(storable(words), autoescape=True)


def _batches(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE))
