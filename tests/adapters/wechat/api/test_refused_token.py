"""A token that WeChat refuses is renewed once for all, and a classic one is spared."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from adapters.wechat.client import OfficialApi
from errors import NotNow, Undeliverable
from sandbox.wechat import LocalWeChat
from storage import tokens as shared
from storage.db import now_ms
from tests.adapters.wechat.api.conftest import OPENID, account
from tests.coze.wire import Hang, answer_json


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_refused_token_is_renewed_once_and_the_message_sent_once(
    api: OfficialApi, wechat: LocalWeChat, errcode: int
) -> None:
    wechat.faults.send_errcodes = [errcode]
    api.custom_send(OPENID, "好")
    assert [each.text for each in wechat.inbox(OPENID)] == ["好"]
    # asked for, given out again although refused, and then replaced by force
    assert wechat.tokens.fetches == 3


def test_a_revoked_token_is_replaced_without_force(api: OfficialApi, wechat: LocalWeChat) -> None:
    api.prepare()
    wechat.tokens.revoke()
    api.custom_send(OPENID, "好")
    assert (len(wechat.inbox(OPENID)), wechat.tokens.fetches) == (1, 2)


def test_a_token_that_another_process_has_replaced_is_read_again(
    api: OfficialApi, wechat: LocalWeChat, tokens: shared.Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.prepare()
    old = tokens.get("wechat:wx1:access_token")
    wechat.tokens.revoke()
    tokens.store("wechat:wx1:access_token", wechat.tokens.stable()[0], now_ms() + 7_200_000)
    answers = [old]
    new = tokens.get
    monkeypatch.setattr(tokens, "get", lambda name: answers.pop() if answers else new(name))
    api.custom_send(OPENID, "好")
    assert (len(wechat.inbox(OPENID)), wechat.tokens.fetches) == (1, 2)


def test_a_token_refused_for_ever_is_given_up_after_one_retry(api: OfficialApi, wechat: LocalWeChat) -> None:
    wechat.faults.send_errcodes = [40001] * 50
    with pytest.raises(NotNow, match="wechat_40001"):
        api.custom_send(OPENID, "好")
    assert (50 - len(wechat.faults.send_errcodes), wechat.tokens.fetches) == (2, 3)
    # force is rationed: the next try asks once and does not force again
    with pytest.raises(NotNow):
        api.custom_send(OPENID, "好")
    assert (50 - len(wechat.faults.send_errcodes), wechat.tokens.fetches) == (3, 4)


def test_twenty_threads_with_a_refused_token_renew_it_once(api: OfficialApi, wechat: LocalWeChat) -> None:
    api.prepare()
    wechat.tokens.revoke()
    together = threading.Barrier(20)

    def typing(_: int) -> None:
        together.wait(10)
        with suppress(Undeliverable):  # shown already
            api.typing(OPENID)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(typing, range(20)))
    assert wechat.tokens.fetches == 2


def test_one_failure_to_fetch_is_enough_for_all_who_waited(scripted: Any) -> None:
    slow = [Hang(0.3), answer_json({"errcode": -1, "errmsg": "system error"})]
    api, wire = scripted(slow, slow, slow)
    together = threading.Barrier(10)

    def prepare(_: int) -> str:
        together.wait(10)
        with pytest.raises(NotNow) as caught:
            api.prepare()
        return caught.value.message

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(prepare, range(10))) == {"wechat_-1"}
    assert len(wire.seen) == 1


# the classic endpoint


def test_a_classic_account_fetches_a_classic_token_once(
    url: str, tokens: shared.Tokens, wechat: LocalWeChat
) -> None:
    stable = wechat.tokens.stable()[0]
    api = OfficialApi(account(url, token_api="classic"), tokens)
    api.custom_send(OPENID, "一")
    api.custom_send(OPENID, "二")
    assert wechat.tokens.fetches == 2
    stored = tokens.get("wechat:wx1:access_token")
    assert stored is not None
    assert stored[0] != stable


def test_a_classic_token_that_was_replaced_is_good_for_five_minutes_more(
    url: str, tokens: shared.Tokens, wechat: LocalWeChat
) -> None:
    api = OfficialApi(account(url, token_api="classic"), tokens)
    api.prepare()
    wechat.tokens.classic()  # another program fetches its own
    api.custom_send(OPENID, "好")
    later = time.time() + 301
    wechat.tokens._now = lambda: later
    api.custom_send(OPENID, "又")
    assert len(wechat.inbox(OPENID)) == 2
    assert wechat.tokens.fetches == 3, "refused once, renewed once"


def test_a_classic_token_refused_for_ever_is_renewed_once_and_not_again(
    url: str, tokens: shared.Tokens, wechat: LocalWeChat
) -> None:
    api = OfficialApi(account(url, token_api="classic"), tokens)
    wechat.faults.send_errcodes = [40001] * 50
    for _ in range(3):
        with pytest.raises(NotNow):
            api.custom_send(OPENID, "好")
    assert wechat.tokens.fetches == 2, "two thousand a day are all there are"
