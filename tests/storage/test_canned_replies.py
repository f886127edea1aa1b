"""Canned replies and the counts of the workbench's tabs, on every engine."""

from __future__ import annotations

import pytest

from errors import Conflict, NotFound
from handler.handoff import Escalation, Person
from storage.audit import Audit, By
from storage.canned_replies import CannedReplies
from storage.db import Database
from storage.desk_views import Counts, DeskViews
from storage.handoffs import Handoffs
from storage.models import DialogueSession
from storage.sessions import Sessions

BY = By("chen", "request-1", "127.0.0.1")


def test_they_are_kept_changed_and_removed_with_their_lines_in_the_audit(db: Database) -> None:
    replies = CannedReplies(db)
    hi = replies.add(BY, "hi", "您好 🙂" * 500)
    bye = replies.add(BY, "bye", "再见")
    assert [each.shortcut for each in replies.all()] == ["bye", "hi"]
    with pytest.raises(Conflict):
        replies.add(BY, "hi", "又一个")
    with pytest.raises(Conflict):
        replies.change(BY, bye.id, "hi", "又一个")
    # unchanged words are a change all the same
    assert replies.change(BY, bye.id, "bye", "再见") == bye
    replies.remove(BY, hi.id)
    for gone in (lambda: replies.remove(BY, hi.id), lambda: replies.change(BY, hi.id, "hi", "x")):
        with pytest.raises(NotFound):
            gone()
    assert replies.all() == [bye]
    actions = [entry.action for entry in Audit(db).before(None, 10)]
    assert actions == ["canned.removed", "canned.changed", "canned.added", "canned.added"]


def test_the_tabs_count_what_stands_under_them(db: Database) -> None:
    numbers: list[int] = []
    for name in ("a", "b", "c"):
        row = DialogueSession(
            platform="web", account="default", user_id="ann", session_key=name, created_ms=1, updated_ms=1
        )
        db.transact(lambda session, row=row: session.add(row))  # type: ignore[misc]
        numbers.append(row.id)
    handoffs, views = Handoffs(db), DeskViews(db)
    for number in numbers[:2]:
        handoffs.escalate(number, Escalation(), actor="customer", limit=10, line="")
    handoffs.take(numbers[0], Person(1, "wang", "小王"), "")
    assert views.counts("wang") == Counts(waiting=1, live=1, mine=1, all=2)
    assert views.counts("li") == Counts(waiting=1, live=1, mine=0, all=2)
    dialogue = Sessions(db).exactly("web", "default", "ann", "c")
    assert dialogue is not None
    earlier = [(each.dialogue.session_key, each.status) for each in views.earlier(dialogue)]
    assert earlier == [("b", "pending_manual"), ("a", "manual_live")]
