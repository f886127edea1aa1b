"""One access token for all threads and processes, and one ticket."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from adapters.wechat.client import OfficialApi
from errors import NotNow, Undeliverable
from sandbox.wechat import LocalWeChat
from storage import tokens as shared
from storage.db import Database, now_ms
from tests.adapters.wechat.api.conftest import OK, OPENID, TOKEN, account
from tests.gateway_double import FakeTokens


def test_twenty_threads_fetch_one_token(api: OfficialApi, wechat: LocalWeChat) -> None:
    wechat.faults.token_delay = 0.1
    together = threading.Barrier(20)

    def prepare(_: int) -> None:
        together.wait(10)
        api.prepare()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(prepare, range(20)))
    assert wechat.tokens.fetches == 1


def test_two_processes_fetch_one_token(url: str, db: Database, wechat: LocalWeChat) -> None:
    wechat.faults.token_delay = 0.1
    apis = [OfficialApi(account(url), shared.Tokens(db)) for _ in range(2)]
    together = threading.Barrier(10)

    def prepare(number: int) -> None:
        together.wait(10)
        apis[number % 2].prepare()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(prepare, range(10)))
    assert wechat.tokens.fetches == 1


def test_a_token_near_its_end_is_replaced_and_meanwhile_used(
    api: OfficialApi, wechat: LocalWeChat, tokens: shared.Tokens
) -> None:
    (name, old, ours) = ("wechat:wx1:access_token", wechat.tokens.stable()[0], now_ms() + 299_000)
    tokens.store(name, old, ours)
    assert tokens.may_refresh(name, "another process", 20)
    api.custom_send(OPENID, "一")
    assert wechat.tokens.fetches == 1
    tokens.leave(name, "another process")
    api.custom_send(OPENID, "二")
    assert wechat.tokens.fetches == 2
    stored = tokens.get(name)
    assert stored is not None
    assert stored[1] > now_ms() + 7_000_000


def test_a_token_with_time_left_is_used_as_it_is(
    api: OfficialApi, wechat: LocalWeChat, tokens: shared.Tokens
) -> None:
    tokens.store("wechat:wx1:access_token", wechat.tokens.stable()[0], now_ms() + 302_000)
    api.custom_send(OPENID, "好")
    assert wechat.tokens.fetches == 1


def test_an_old_token_serves_on_while_no_new_one_is_to_be_had(
    api: OfficialApi, wechat: LocalWeChat, tokens: shared.Tokens
) -> None:
    tokens.store("wechat:wx1:access_token", wechat.tokens.stable()[0], now_ms() + 200_000)
    wechat.faults.token_html = True
    api.custom_send(OPENID, "好")
    assert [each.text for each in wechat.inbox(OPENID)] == ["好"]


def test_who_waits_for_a_refresher_that_dies_takes_over(scripted: Any) -> None:
    api, wire = scripted(TOKEN, OK)
    held = cast(FakeTokens, api._access._tokens)
    assert held.may_refresh("wechat:wx1:access_token", "dead", 60)
    threading.Timer(0.2, held.leave, ["wechat:wx1:access_token", "dead"]).start()
    api.custom_send(OPENID, "好")
    assert len(wire.seen) == 2


def test_nobody_waits_for_a_refresher_for_ever(scripted: Any) -> None:
    api, wire = scripted()
    cast(FakeTokens, api._access._tokens).may_refresh("wechat:wx1:access_token", "frozen", 60)
    with pytest.raises(NotNow):
        api.custom_send(OPENID, "好")
    assert wire.seen == []


def test_twenty_threads_fetch_one_ticket(api: OfficialApi, wechat: LocalWeChat) -> None:
    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(lambda _: api.ticket(), range(20)))) == 1
    assert (wechat.tokens.fetches, wechat.tickets_asked) == (1, 1)


def test_two_processes_fetch_one_ticket(url: str, db: Database, wechat: LocalWeChat) -> None:
    apis = [OfficialApi(account(url), shared.Tokens(db)) for _ in range(2)]
    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(lambda number: apis[number % 2].ticket(), range(10)))) == 1
    assert wechat.tickets_asked == 1


def test_the_trouble_of_one_process_is_seen_by_another_until_it_is_over(
    url: str, db: Database, wechat: LocalWeChat
) -> None:
    one, other = (OfficialApi(account(url), shared.Tokens(db)) for _ in range(2))
    wechat.ip_whitelist = {"192.0.2.1"}
    with pytest.raises(Undeliverable):
        one.prepare()
    assert "127.0.0.1" in other.trouble()
    wechat.ip_whitelist = None
    other.prepare()
    assert one.trouble() == ""
