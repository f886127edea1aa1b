"""The custom menu: read from a TOML or JSON file and held against WeChat's limits, every fault in words."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from errors import BadRequest

TOP_BUTTONS, SUB_BUTTONS = 3, 5
NAME_BYTES = {"top": 16, "sub": 60}
"""A Chinese character takes three bytes: five on top, twenty below."""
KEY_BYTES, URL_BYTES = 128, 1024
BY_KEY = ("click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin",
          "location_select")  # fmt: skip
NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BY_KEY, ("key",)),
    "view": ("url",),
    "miniprogram": ("url", "appid", "pagepath"),
    "media_id": ("media_id",),
    "article_id": ("article_id",),
    "article_view_limited": ("article_id",),
}
"""The types of a button, and what each has besides its name."""

Menu = dict[str, Any]


def read(path: Path) -> Menu:
    """The menu in the file, as WeChat takes it. `BadRequest` tells everything that is wrong with it."""
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as problem:
        raise BadRequest(f"{path.name} cannot be read: {problem.strerror}") from None
    except ValueError as problem:
        form = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise BadRequest(f"{path.name} is not {form}: {problem}") from None
    # menu/get wraps what menu/create takes: what was shown may be pushed again
    menu = found.get("menu", found) if isinstance(found, dict) else found
    if faults := check(menu):
        raise BadRequest("\n".join(faults))
    return {"button": [_clean(each) for each in menu["button"]]}


def check(menu: Any) -> list[str]:
    """Everything WeChat would refuse, one line each; empty when it would take the menu."""
    buttons = menu.get("button") if isinstance(menu, dict) else None
    if not isinstance(buttons, list) or not buttons:
        return ["the menu needs a list `button` with one to three buttons"]
    faults = [] if len(buttons) <= TOP_BUTTONS else [f"{len(buttons)} buttons: WeChat shows {TOP_BUTTONS}"]
    for number, button in enumerate(buttons, 1):
        faults += _check_button(button, f"button {number}", "top")
    return faults


def _check_button(button: Any, where: str, level: str) -> list[str]:
    if not isinstance(button, dict):
        return [f"{where} is not an object"]
    name = button.get("name")
    if not isinstance(name, str) or not name.strip():
        return [f"{where} has no name"]
    where = f"{where} 「{name}」"
    faults = _too_long(where, "name", name, NAME_BYTES[level])
    below = button.get("sub_button")
    if not below:
        return faults + _check_action(button, where)
    if level == "sub":
        return [*faults, f"{where} is below another and cannot have buttons of its own"]
    if not isinstance(below, list):
        return [*faults, f"{where}: sub_button is not a list"]
    if len(below) > SUB_BUTTONS:
        faults.append(f"{where} has {len(below)} buttons below: {SUB_BUTTONS} at most")
    if extra := sorted(button.keys() & {"type", "key", "url"}):
        faults.append(f"{where} opens a list, so it cannot have {', '.join(extra)} itself")
    for number, each in enumerate(below, 1):
        faults += _check_button(each, f"{where} → {number}", "sub")
    return faults


def _check_action(button: Menu, where: str) -> list[str]:
    kind = button.get("type")
    if not isinstance(kind, str) or kind not in NEEDS:
        return [f"{where}: type is {kind!r}, not one of {', '.join(sorted(NEEDS))}"]
    faults: list[str] = []
    for part in NEEDS[kind]:
        value = button.get(part)
        if not isinstance(value, str) or not value:
            faults.append(f"{where}: {kind} needs {part}")
            continue
        faults += _too_long(where, part, value, KEY_BYTES if part == "key" else URL_BYTES)
        if part == "url" and not value.startswith(("https://", "http://")):
            faults.append(f"{where}: url must begin with https://")
    return faults


def _too_long(where: str, part: str, value: str, limit: int) -> list[str]:
    size = len(value.encode())
    return [f"{where}: {part} has {size} bytes, {limit} are allowed"] if size > limit else []


def _clean(button: Menu) -> Menu:
    """Without the empty `sub_button` that WeChat adds when it shows a menu."""
    kept = {name: value for name, value in button.items() if name != "sub_button"}
    if below := button.get("sub_button"):
        kept["sub_button"] = [_clean(each) for each in below]
    return kept
