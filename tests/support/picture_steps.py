"""What customers and agents do with pictures, in tests of the desk."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from tests.support.conftest import OPENID, World

PNG, JPEG = b"\x89PNG\r\n\x1a\n" + bytes(64), b"\xff\xd8\xff\xe0" + bytes(64)
ON_WECHAT = f"wechat:default:{OPENID}:{OPENID}"


def photograph(world: World, content: bytes, mime: str = "image/png") -> str:
    """The follower sends a picture; returns its media_id."""
    number = world.wechat.add_media(content, mime)
    fields = {"PicUrl": "http://10.0.0.1/inside", "MediaId": number}
    world.wechat.send(OPENID, "image", fields, patience=10)
    return number


def line(world: World, name: str, place: int = -1) -> dict[str, Any]:
    """A line of the session with something in it."""
    with_media = [each for each in world.session(name)["history"] if each.get("media")]
    found: dict[str, Any] = with_media[place]
    return found


def look(world: World, name: str, number: str, place: int = 0, agent: str = "li") -> requests.Response:
    path = f"/api/sessions/{quote(name, safe='')}/messages/{number}/media/{place}"
    return world.call("GET", path, agent)


def show(world: World, name: str, content: bytes, agent: str = "wang") -> requests.Response:
    return world.call("POST", "/api/manual/pictures", agent, params={"session_name": name}, data=content)


def on_wechat(world: World) -> None:
    world.wechat.send_text(OPENID, "转人工", patience=10)
    world.post(f"/api/sessions/{ON_WECHAT}/takeover", "wang")


def state_of(world: World, name: str) -> tuple[str, str | None]:
    newest = world.session(name)["history"][-1]
    return newest["delivery"], newest["delivery_error"]
