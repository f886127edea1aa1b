"""Importing a file into the Q&A library: what becomes of each row, and all of it or nothing.

A row with an id changes that entry. One without changes the entry that has the same phrasings, or makes a
new one; so the same file may be imported twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from handler.library import Draft, same_key
from ops.library_models import EntryBody, Report, Row
from ops.library_sheets import Record
from storage.library import Change, Library, Stored

NUMBER: TypeAdapter[int] = TypeAdapter(int)


@dataclass(slots=True)
class _Read:
    """One row that can be understood."""

    row: Row
    draft: Draft
    id: int | None
    version: int | None


def run(library: Library, records: Sequence[tuple[int, Record]], by: str, *, dry_run: bool) -> Report:
    """Imports the rows of a file, or says what would happen. Nothing is written unless every row is good."""
    # patterns are tried here and not while the library is locked
    rows, read = _understood(records)
    imported = False
    if dry_run or any(row.outcome == "invalid" for row in rows):
        _plan(read, library.everything())
    else:
        imported = library.rewrite(lambda stored: _plan(read, stored), by)
    outcomes = Counter(row.outcome for row in rows)
    return Report(
        dry_run=dry_run,
        imported=imported,
        new=outcomes["new"],
        changed=outcomes["changed"],
        unchanged=outcomes["unchanged"],
        conflicts=outcomes["conflict"],
        invalid=outcomes["invalid"],
        rows=rows,
    )


def refused(report: Report) -> bool:
    """Whether the file cannot be imported as it is."""
    return bool(report.conflicts or report.invalid)


def _understood(records: Sequence[tuple[int, Record]]) -> tuple[list[Row], list[_Read]]:
    rows, read = [], []
    for number, record in records:
        row = Row(row=number, outcome="new")
        rows.append(row)
        fields = {name: value for name, value in record.items() if name not in ("id", "version")}
        try:
            wanted = [
                NUMBER.validate_python(record[name]) if record.get(name) not in (None, "") else None
                for name in ("id", "version")
            ]
            read.append(_Read(row, EntryBody.model_validate(fields).draft(), *wanted))
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            words = first["msg"].removeprefix("Value error, ")
            row.outcome, row.problem = "invalid", f"{where}: {words}" if where else words
    return rows, read


def _plan(read: Sequence[_Read], stored: Sequence[Stored]) -> list[Change] | None:
    """Fills in each row's outcome; the changes, or None when one of them is impossible."""
    known = {each.id: each for each in stored}
    by_phrasings = {(each.draft.mode, _keys(each.draft), each.draft.applies_to): each for each in stored}
    taken: dict[int, int] = {}
    for each in read:
        each.row.outcome, each.row.problem = "new", ""
        if each.id is None:
            same = by_phrasings.get((each.draft.mode, _keys(each.draft), each.draft.applies_to))
            target = None if same is None else same.id
        else:
            target = each.id
        each.row.entry_id = target
        if target is None:
            continue
        if (problem := _problem(each, known.get(target), taken.get(target))) is not None:
            each.row.outcome, each.row.problem = "conflict", problem
            continue
        taken[target] = each.row.row
        each.row.outcome = "unchanged" if known[target].draft == each.draft else "changed"
    _find_clashes(read, known)
    if any(each.row.outcome in ("conflict", "invalid") for each in read):
        return None
    return [Change(each.draft, each.row.entry_id) for each in read if each.row.outcome in ("new", "changed")]


def _problem(each: _Read, target: Stored | None, row: int | None) -> str | None:
    if target is None:
        return f"there is no entry {each.id}; leave the id empty to make one"
    if row is not None:
        return f"row {row} is the same entry"
    if each.version is not None and each.version != target.version:
        return f"somebody saved entry {target.id} since the export: its version is {target.version} now"
    return None


def _find_clashes(read: Sequence[_Read], known: dict[int, Stored]) -> None:
    """Marks rows whose phrasing another entry would have too, as everything will be after the import."""
    owners: dict[str, list[tuple[str, Draft]]] = {}
    replaced = {each.row.entry_id for each in read}
    for entry in known.values():
        if entry.id not in replaced:
            for key in _keys(entry.draft):
                owners.setdefault(key, []).append((f"entry {entry.id}", entry.draft))
    for each in read:
        for key in _keys(each.draft):
            for owner, draft in owners.get(key, ()):
                if each.row.outcome != "conflict" and each.draft.meets(draft):
                    each.row.outcome = "conflict"
                    each.row.problem = f"{owner} has the phrasing {key.partition(' ')[2][:80]!r} too"
            owners.setdefault(key, []).append((f"row {each.row.row}", each.draft))


def _keys(draft: Draft) -> frozenset[str]:
    return frozenset(same_key(draft.mode, each) for each in draft.phrasings)
