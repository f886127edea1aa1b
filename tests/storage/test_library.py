"""The library's rows: versions, conflicts, one writer at a time, and imports that are all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from errors import Conflict, NotFound
from handler.library import Draft
from handler.message import InboundMessage, Reply
from storage.db import Database
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.library import Change, Library, Stored, Wanted, draft_of
from storage.unanswered import Unanswered

DRAFT = Draft(
    ("居住证怎么办？", "怎么办居住证"), "请到服务中心办理。", tags=("证件",), applies_to=("wechat", "web")
)


@pytest.fixture
def library(db: Database) -> Library:
    return Library(db)


def ask(db: Database, text: str, reply: Reply, key: str = "") -> int:
    exchanges = Exchanges(db)
    message = InboundMessage("web", "default", "u", key or text, text)
    number = exchanges.claim(message, "owner", 60_000).exchange.id
    assert exchanges.answer(number, "owner", reply, Timing(None, 5))
    return number


def test_what_is_written_is_read(library: Library) -> None:
    made = library.add(DRAFT, "alice")
    read = library.get(made.id)
    assert draft_of(read) == DRAFT
    assert (read.version, read.created_by, read.use.hits, read.use.last_hit_ms) == (1, "alice", 0, None)
    later = replace(DRAFT, answer="新的答案", phrasings=("只剩一个",), valid_until_ms=5)
    library.change(made.id, 1, "bob", later)
    read = library.get(made.id)
    assert draft_of(read) == later
    assert (read.version, read.created_by, read.updated_by) == (2, "alice", "bob")


def test_who_saw_an_older_version_changes_nothing(library: Library) -> None:
    made = library.add(DRAFT, "alice")
    library.change(made.id, 1, "bob", replace(DRAFT, answer="bob's"))
    with pytest.raises(Conflict, match="version is 2"):
        library.change(made.id, 1, "carol", replace(DRAFT, answer="carol's"))
    with pytest.raises(Conflict):
        library.remove(made.id, 1)
    assert library.get(made.id).answer == "bob's"


def test_a_deleted_entry_is_gone_and_its_exchanges_stay(db: Database, library: Library) -> None:
    made = library.add(DRAFT, "alice")
    asked = ask(db, "居住证怎么办", Reply("请到…", "library", library_id=made.id))
    library.remove(made.id, 1)
    with pytest.raises(NotFound):
        library.get(made.id)
    row = Exchanges(db).get(asked)
    assert row is not None
    assert row.library_id == made.id
    # an answer that was on its way when the entry went is recorded all the same
    ask(db, "居住证怎么办", Reply("请到…", "library", library_id=made.id), "late")


def test_an_answer_counts_a_hit_in_its_own_transaction(db: Database, library: Library) -> None:
    made = library.add(DRAFT, "alice")
    for number in range(3):
        ask(db, "居住证怎么办", Reply("请到…", "library", library_id=made.id), f"m{number}")
    read = library.get(made.id)
    assert read.use.hits == 3
    assert read.use.last_hit_ms is not None
    assert read.version == 1


def test_the_same_phrasing_cannot_be_in_two_entries_that_meet(library: Library) -> None:
    first = library.add(DRAFT, "alice")
    other = Draft(("居住证 怎么办",), "anything")
    with pytest.raises(Conflict, match=f"entry {first.id} has the phrasing"):
        library.add(other, "bob")
    second = library.add(replace(other, priority=1), "bob")
    with pytest.raises(Conflict):
        library.change(second.id, 1, "bob", other)
    library.add(replace(other, applies_to=("yishiting",)), "bob")


def test_of_two_who_add_the_same_phrasing_at_once_one_wins(library: Library) -> None:
    def add(number: int) -> bool:
        try:
            library.add(Draft(("同一个问题",), f"answer {number}"), "racer")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(4))) == [False, False, False, True]


def test_a_reader_gets_what_changed_since_a_number_and_what_is_gone(library: Library) -> None:
    one, two = library.add(DRAFT, "a"), library.add(Draft(("二",), "2"), "a")
    seen = library.revision()
    assert set(library.since(-1)[0]) == {one.id, two.id}
    assert library.since(seen) == ({}, {one.id, two.id})
    library.remove(one.id, 1)
    changed = library.change(two.id, 1, "a", Draft(("二二",), "22"))
    fresh, ids = library.since(seen)
    assert fresh == {two.id: Draft(("二二",), "22")}
    assert ids == {two.id}
    assert library.revision() > seen
    assert changed.revision == library.revision()


def test_entries_are_listed_in_steps_and_searched(library: Library) -> None:
    ids = [library.add(Draft((f"问题{n}%",), f"Answer {n}", enabled=n != 2), "a").id for n in range(5)]
    first = library.after(Wanted(), 0, 3)
    assert [each.id for each in first] == ids[:3]
    assert [each.id for each in library.after(Wanted(), ids[2], 3)] == ids[3:]
    assert [each.id for each in library.after(Wanted(text="题3%"), 0, 9)] == [ids[3]]
    assert [each.id for each in library.after(Wanted(text="aNSWER 4"), 0, 9)] == [ids[4]]
    assert [each.id for each in library.after(Wanted(enabled=False), 0, 9)] == [ids[2]]
    assert library.after(Wanted(mode="regex"), 0, 9) == []


def test_a_rewrite_is_all_or_nothing(library: Library) -> None:
    kept = library.add(DRAFT, "alice")

    def plan(stored: Sequence[Stored]) -> list[Change]:
        assert [each.id for each in stored] == [kept.id]
        return [Change(Draft((f"新{n}",), "x")) for n in range(2_500)] + [
            Change(replace(DRAFT, answer="changed"), kept.id)
        ]

    assert library.rewrite(plan, "import")
    assert len(library.everything()) == 2_501
    assert library.get(kept.id).answer == "changed"
    before = library.revision()
    assert not library.rewrite(lambda _: None, "import")
    assert not library.rewrite(lambda _: [], "import")
    assert library.revision() == before

    def breaks(_: Sequence[Stored]) -> list[Change]:
        # the entries are in the table when their phrasings turn out to be none
        return [Change(Draft(("kept?",), "x")), Change(Draft((None,), "broken"))]  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        library.rewrite(breaks, "import")
    assert len(library.everything()) == 2_501


def test_unanswered_questions_are_grouped_and_counted(db: Database) -> None:
    bad = Reply("抱歉", "coze", error="coze_empty")
    ids = [
        ask(db, text, bad, f"k{n}")
        for n, text in enumerate(["退款多久？", "退款多久", "退 款多久！", "发票"])
    ]
    ask(db, "退款多久", Reply("抱歉", "coze", error="coze_timeout"), "timeout")
    ask(db, "你好", Reply("您好", "coze"))
    found = Unanswered(db).groups(0, 2**45)
    assert [(group.question, group.count) for group in found.groups] == [("退款多久", 4), ("发票", 1)]
    assert dict(found.groups[0].errors) == {"coze_empty": 3, "coze_timeout": 1}
    assert found.groups[1].exchange_id == ids[3]
    assert found.searched_until is None
    assert [group.count for group in Unanswered(db).groups(0, 2**45, "coze_timeout").groups] == [1]
    assert Unanswered(db).groups(0, 2**45, platform="wechat").groups == []
    assert Unanswered(db).groups(0, 1).groups == []
    assert Unanswered(db, scan=2).groups(0, 2**45).searched_until is not None
