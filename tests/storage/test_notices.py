"""Notices on every engine: one row for a key, whoever asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from errors import Conflict
from storage.db import Database
from storage.jobs import Jobs
from storage.notices import Notices

CONTENT = {"kind": "template", "message": {"touser": "oA", "data": {"thing1": {"value": "已发货 📦"}}}}


def test_a_notice_is_what_was_asked_for(db: Database) -> None:
    notice = Notices(db).put("wechat", "shop", "order-1", CONTENT)
    assert (notice.account, notice.key, notice.state, notice.content) == (
        "shop",
        "order-1",
        "waiting",
        CONTENT,
    )
    assert Notices(db).get("wechat", notice.id) == notice
    assert Notices(db).get("yishiting", notice.id) is None
    assert Notices(db).get("wechat", notice.id + 1) is None


def test_many_at_once_with_one_key_are_one_notice(db: Database) -> None:
    notices = Notices(db)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: notices.put("wechat", "shop", "k", CONTENT).id, range(16)))
    assert len(made) == 1
    assert Jobs(db).stats() == {("notice", "waiting"): 1}


def test_a_key_belongs_to_its_account_and_its_content(db: Database) -> None:
    notices = Notices(db)
    first = notices.put("wechat", "shop", "k", CONTENT)
    assert notices.put("wechat", "other", "k", CONTENT).id != first.id
    with pytest.raises(Conflict):
        notices.put("wechat", "shop", "k", {**CONTENT, "kind": "once"})


def test_the_longest_names_stay_apart(db: Database) -> None:
    notices = Notices(db)
    one, other = (notices.put("wechat", "a" * 64, "k" * 63 + end, CONTENT) for end in "12")
    assert one.id != other.id
    assert notices.put("wechat", "a" * 64, "k" * 63 + "1", CONTENT).id == one.id


def test_the_platforms_number_is_kept_through_the_end_of_the_job(db: Database) -> None:
    notices, jobs = Notices(db), Jobs(db)
    number = notices.put("wechat", "shop", "k", CONTENT).id
    (job,) = jobs.claim("me")
    assert jobs.sending(job)
    sending = notices.get("wechat", number)
    assert sending is not None
    assert sending.state == "sending"
    notices.sent(job, "3001")
    assert jobs.done(job)
    notice = notices.put("wechat", "shop", "k", CONTENT)
    assert (notice.state, notice.message_id, notice.tries) == ("sent", "3001", 1)


def test_a_runner_that_lost_its_job_writes_no_number(db: Database) -> None:
    notices, jobs = Notices(db), Jobs(db)
    number = notices.put("wechat", "shop", "k", CONTENT).id
    (job,) = jobs.claim("me")
    jobs.hand_over("me")
    jobs.claim("another")
    notices.sent(job, "3001")
    notice = notices.get("wechat", number)
    assert notice is not None
    assert notice.message_id == ""
