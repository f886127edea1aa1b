"""Menus and messages by template, judged as WeChat judges them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.wechat.desk import SAMPLE

OPENID = "oFollower"
DATA = {"thing1": {"value": "一"}, "time2": {"value": "二"}}


def call(api: Any, path: str, body: Any = None) -> dict[str, Any]:
    token = api.stable()["access_token"]
    answer = api.get(path, access_token=token) if body is None else api.post(path, body, access_token=token)
    found: dict[str, Any] = answer.json()
    return found


def button(**more: Any) -> dict[str, Any]:
    return {"type": "click", "name": "菜单", "key": "k", **more}


@pytest.mark.parametrize(
    ("buttons", "errcode"),
    [
        ([], 40016),
        ([button()] * 4, 40016),
        ([button(type="tap")], 40017),
        ([button(name="一二三四五六")], 40018),
        ([button(key="k" * 129)], 40019),
        ([button(type="view", url="u" * 1025)], 40020),
        ([{"name": "一", "sub_button": [button()] * 6}], 40023),
        ([{"name": "一", "sub_button": [{"name": "二", "sub_button": [button()]}]}], 40023),
        ([{"name": "一", "sub_button": [button(type="tap")]}], 40024),
        ([{"name": "一", "sub_button": [button(name="一" * 21)]}], 40025),
        (["x"], 47001),
    ],
)
def test_a_menu_beyond_the_limits_is_refused(api: Any, buttons: Any, errcode: int) -> None:
    assert call(api, "/cgi-bin/menu/create", {"button": buttons})["errcode"] == errcode
    assert call(api, "/cgi-bin/menu/get")["errcode"] == 46003


def test_a_menu_is_kept_shown_and_removed(api: Any) -> None:
    menu = {"button": [button(), {"name": "更多", "sub_button": [button(name="一" * 20)]}]}
    assert call(api, "/cgi-bin/menu/create", menu)["errcode"] == 0
    assert call(api, "/cgi-bin/menu/get") == {"menu": menu}
    assert call(api, "/cgi-bin/menu/delete")["errcode"] == 0
    assert call(api, "/cgi-bin/menu/get")["errcode"] == 46003


def test_an_unverified_subscription_account_has_no_menu_and_an_unverified_service_account_has(
    api: Any,
) -> None:
    api.wechat.verified = False
    assert call(api, "/cgi-bin/menu/delete")["errcode"] == 0
    api.wechat.service = False
    assert call(api, "/cgi-bin/menu/delete")["errcode"] == 48001


@pytest.mark.parametrize(("verified", "service"), [(False, True), (True, False)])
def test_templates_are_for_verified_service_accounts(api: Any, verified: bool, service: bool) -> None:
    api.wechat.verified, api.wechat.service = verified, service
    body = {"touser": OPENID, "template_id": SAMPLE, "data": DATA}
    for path in ("template/send", "subscribe/bizsend", "template/subscribe"):
        assert call(api, f"/cgi-bin/message/{path}", body)["errcode"] == 48001


def test_a_template_message_is_repeated_within_ten_minutes_only_without_a_mark(api: Any, clock: Any) -> None:
    api.wechat.send_event(OPENID, "subscribe")
    body = {"touser": OPENID, "template_id": SAMPLE, "data": DATA, "client_msg_id": "one"}
    for _ in range(2):
        assert call(api, "/cgi-bin/message/template/send", body)["errcode"] == 0
    assert len(api.wechat.desk.sent) == 1
    clock.time += 601
    call(api, "/cgi-bin/message/template/send", body)
    assert len(api.wechat.desk.sent) == 2
