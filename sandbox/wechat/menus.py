"""The custom menu, as WeChat judges it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from sandbox.wechat.calls import as_json, check_token, ok, read_body
from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.local import LocalWeChat

NEEDED: dict[str, tuple[str, ...]] = {
    "view": ("url",),
    "miniprogram": ("url", "appid", "pagepath"),
    "media_id": ("media_id",),
    "view_limited": ("media_id",),
    "article_id": ("article_id",),
    "article_view_limited": ("article_id",),
    **dict.fromkeys(
        (
            "click",
            "scancode_push",
            "scancode_waitmsg",
            "pic_sysphoto",
            "pic_photo_or_album",
            "pic_weixin",
            "location_select",
        ),
        ("key",),
    ),
}
"""What each type of button has besides its name."""
TOP = {"count": 40016, "type": 40017, "name": 40018, "key": 40019, "url": 40020}
SUB = {"count": 40023, "type": 40024, "name": 40025, "key": 40026, "url": 40027}


def create_menus(wechat: LocalWeChat) -> Blueprint:
    """`menu/create`, `menu/get`, `menu/delete`."""
    menus = Blueprint("menus", __name__, url_prefix="/cgi-bin/menu")

    def begin() -> None:
        check_token(wechat)
        if not (wechat.verified or wechat.service):
            raise Refusal(48001)

    @menus.post("/create")
    def create() -> Response:
        begin()
        body = read_body()
        buttons = body.get("button")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
            raise Refusal(40016)
        for each in buttons:
            _check(each, TOP, 16)
        wechat.menu = body
        return ok()

    @menus.get("/get")
    def get() -> Response:
        begin()
        if wechat.menu is None:
            raise Refusal(46003)
        return as_json({"menu": wechat.menu})

    @menus.get("/delete")
    def delete() -> Response:
        begin()
        wechat.menu = None
        return ok()

    return menus


def _check(button: Any, codes: dict[str, int], name_bytes: int) -> None:
    if not isinstance(button, dict):
        raise Refusal(47001)
    name = button.get("name")
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= name_bytes:
        raise Refusal(codes["name"])
    if below := button.get("sub_button"):
        if codes is SUB or not isinstance(below, list) or len(below) > 5:
            raise Refusal(SUB["count"])
        for each in below:
            _check(each, SUB, 60)
        return
    if (needed := NEEDED.get(button.get("type", ""))) is None:
        raise Refusal(codes["type"])
    for part in needed:
        value = button.get(part)
        limit = 128 if part == "key" else 1024
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= limit:
            raise Refusal(codes.get(part, 40035))
