"""Pictures in the database: whose may be fetched by whom, and when they go; on every engine."""

from __future__ import annotations

from adapters.images import KEPT_BYTES
from handler.message import InboundMessage, Picture
from storage.customers import Customers
from storage.db import Database, now_ms
from storage.exchanges import Exchanges
from storage.pictures import KEPT_MS, Pictures, new_name, put
from storage.sessions import Sessions

LARGE = Picture(bytes(range(256)) + b"\0'\\\"" * ((KEPT_BYTES - 256) // 4), "image/png")
"""As large as is kept, of every byte there is and mostly of those that a statement has to escape."""


def sent(db: Database, user: str) -> str:
    number = Sessions(db).ensure("wechat", "default", user, user)
    name = new_name()
    db.transact(lambda session: put(session, name, LARGE, number))
    return name


def test_a_picture_comes_back_byte_by_byte(db: Database) -> None:
    pictures = Pictures(db)
    name = pictures.keep(LARGE)
    assert pictures.get(name) == LARGE
    assert pictures.get(name.swapcase()) is None
    assert pictures.get("") is None


def test_only_what_an_agent_sent_is_given_to_whoever_knows_its_name(db: Database) -> None:
    pictures = Pictures(db)
    uploaded, shown = pictures.keep(LARGE), sent(db, "oOne")
    assert pictures.sent(uploaded) is None
    assert pictures.sent(shown) == pictures.get(shown) == LARGE


def test_a_picture_goes_after_thirty_days(db: Database) -> None:
    pictures = Pictures(db)
    names = [pictures.keep(LARGE), sent(db, "oOne")]
    assert pictures.purge(now_ms() + KEPT_MS - 60_000) == 0
    assert pictures.purge(now_ms() + KEPT_MS + 60_000) == 2
    assert [pictures.get(each) for each in names] == [None, None]


def test_who_leaves_takes_the_pictures_that_were_sent_to_them(db: Database) -> None:
    pictures = Pictures(db)
    theirs, others = sent(db, "oOne"), sent(db, "oTwo")
    leaving = InboundMessage("wechat", "default", "oOne", "1", "", kind="leave")
    Customers(db).erase(Exchanges(db).claim(leaving, "me", 3000).exchange)
    assert pictures.get(theirs) is None
    assert pictures.get(others) == LARGE
