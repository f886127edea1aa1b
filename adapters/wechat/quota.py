"""WeChat's limits on messages of our own accord, in the terms of the gateway's quotas.

What a follower does opens a window in which a few messages may be sent. The gateway counts along so that an
answer is cut to what will arrive; WeChat's own count decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from adapters.gateway import Quotas

Trigger = Literal["message", "click", "subscribe", "scan"]

ALLOWED: Mapping[Trigger, tuple[int, int]] = {
    "message": (48 * 3600, 5),
    "click": (60, 3),
    "subscribe": (60, 3),
    "scan": (60, 3),
}
"""Seconds that each window is open, and messages that fit in."""
CLICKS = frozenset({"click", "scancode_push", "scancode_waitmsg"})


def trigger(fields: Mapping[str, object]) -> Trigger | None:
    """Which window a push opens; None for events that open none."""
    if fields.get("MsgType") != "event":
        # a tapped line of a message menu comes as a text and counts as a click
        return "click" if "bizmsgmenuid" in fields else "message"
    match str(fields.get("Event", "")).lower():
        case "subscribe":
            return "subscribe"
        case "scan":
            return "scan"
        case event:
            return "click" if event in CLICKS else None


def open_window(quotas: Quotas, account: str, fields: Mapping[str, object], otherwise_ms: int) -> None:
    """Notes what a follower did; doing so again for the same push changes nothing.

    The moment is WeChat's own; `otherwise_ms` is for a push that does not say.
    """
    if (by := trigger(fields)) is None:
        return
    seconds, allowed = ALLOWED[by]
    created = str(fields.get("CreateTime", ""))
    at_ms = int(created) * 1000 if re.fullmatch("[0-9]{10}", created) else otherwise_ms
    user = str(fields.get("FromUserName", ""))
    quotas.opened(
        "wechat", account, user, by=by, at_ms=at_ms, closes_ms=at_ms + seconds * 1000, allowed=allowed
    )
