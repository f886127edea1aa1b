"""A menu file is taken as WeChat would take it, and what is wrong with it is said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.wechat import menu
from errors import BadRequest
from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.menus import SUB, TOP
from sandbox.wechat.menus import _check as judge

GOOD = """
[[button]]
name = "查订单"
type = "view"
url = "https://shop.example.com/orders"

[[button]]
name = "帮助"
[[button.sub_button]]
name = "继续"
type = "click"
key = "继续"
[[button.sub_button]]
name = "小程序"
type = "miniprogram"
url = "https://shop.example.com/"
appid = "wx1"
pagepath = "pages/index"
"""


def write(folder: Path, content: Any, name: str = "menu.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return file


def button(**more: Any) -> dict[str, Any]:
    return {"type": "click", "name": "菜单", "key": "k", **more}


def test_toml_and_json_are_the_same_menu(tmp_path: Path) -> None:
    made = menu.read(write(tmp_path, GOOD, "menu.toml"))
    assert [each["name"] for each in made["button"]] == ["查订单", "帮助"]
    assert menu.read(write(tmp_path, made)) == made


def test_what_wechat_shows_may_be_pushed_again(tmp_path: Path) -> None:
    shown = {"menu": {"button": [button(sub_button=[])]}}
    assert menu.read(write(tmp_path, shown)) == {"button": [button()]}


@pytest.mark.parametrize(
    ("buttons", "words"),
    [
        ([], "one to three buttons"),
        ([button()] * 4, "4 buttons"),
        (["x"], "button 1 is not an object"),
        ([button(name="")], "button 1 has no name"),
        ([button(name="一二三四五六")], "「一二三四五六」: name has 18 bytes, 16 are allowed"),
        ([button(type="tap")], "type is 'tap'"),
        ([button(type=["click"])], "type is ['click']"),
        ([button(key="k" * 129)], "key has 129 bytes"),
        ([{"type": "click", "name": "一"}], "click needs key"),
        ([button(type="view", url="shop.example.com")], "url must begin with https://"),
        ([button(type="view", url=f"https://{'x' * 1020}")], "url has 1028 bytes"),
        ([button(type="miniprogram", url="https://a.cn")], "miniprogram needs appid"),
        ([{"name": "一", "sub_button": [button()] * 6}], "6 buttons below: 5 at most"),
        ([{"name": "一", "sub_button": {"x": 1}}], "not a list"),
        ([button(sub_button=[button()])], "cannot have key, type itself"),
        ([{"name": "一", "sub_button": [button(name="一" * 21)]}], "「一」 → 1"),
        ([{"name": "一", "sub_button": [button(sub_button=[button()])]}], "cannot have buttons of its own"),
    ],
)
def test_every_fault_is_named_with_its_place(tmp_path: Path, buttons: Any, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        menu.read(write(tmp_path, {"button": buttons}))
    assert words in caught.value.message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadRequest) as caught:
        menu.read(write(tmp_path, {"button": [button(name="一" * 6), button(type="tap"), button(key="")]}))
    assert len(caught.value.message.splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("{", "menu.json", "is not JSON"),
        ("[[", "menu.toml", "is not TOML"),
        ("[1]", "menu.json", "needs a list"),
    ],
)
def test_a_file_that_is_no_menu_is_said_to_be_none(
    tmp_path: Path, content: str, name: str, words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        menu.read(write(tmp_path, content, name))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read"):
        menu.read(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["一二三四五", "x" * 16, "x" * 17, "一二三四五六"])
@pytest.mark.parametrize("kind", [*menu.NEEDS, "tap"])
def test_two_readings_of_the_limits_agree(name: str, kind: str) -> None:
    made = {"name": name, "type": kind, **dict.fromkeys(menu.NEEDS.get(kind, ()), "https://a.cn")}
    for level, codes, longest in (("top", TOP, 16), ("sub", SUB, 60)):
        try:
            judge(made, codes, longest)
            refused = False
        except Refusal:
            refused = True
        assert bool(menu._check_button(made, "button 1", level)) is refused
