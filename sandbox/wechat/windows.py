"""When and how often an account may write to a follower of its own accord."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.wechat.errcodes import Refusal

ALLOWANCE: dict[str, tuple[float, int]] = {
    "message": (48 * 3600.0, 5),
    "click": (60.0, 3),
    "subscribe": (60.0, 3),
    "scan": (60.0, 3),
}
"""What opens a window: seconds it stays open, messages that fit in."""
CLICKS = frozenset({"click", "scancode_push", "scancode_waitmsg"})
TYPING_SECONDS = 15.0
"""How long 「对方正在输入」 stays; asking again meanwhile is refused."""
TYPING_WINDOW = 30.0
"""Typing may be shown only so long after the follower did something."""


def trigger(msg_type: str, event: str = "", menu_tap: bool = False) -> str:
    """Which window a push opens; empty when none."""
    if msg_type != "event":
        # a tapped menu item arrives as a text, but counts as a click
        return "click" if menu_tap else "message"
    if event in CLICKS:
        return "click"
    return event if event in ("subscribe", "scan") else ""


@dataclass(slots=True)
class _Window:
    closes: float
    left: int


class Windows:
    """One follower's windows. Times are unix seconds."""

    def __init__(self) -> None:
        self._open: dict[str, _Window] = {}
        self._seen = float("-inf")
        self._typing_until = float("-inf")

    def enter(self, kind: str, now: float) -> None:
        """The follower did something; `kind` as `trigger` names it."""
        self._seen = now
        if kind:
            seconds, messages = ALLOWANCE[kind]
            self._open[kind] = _Window(now + seconds, messages)

    def close(self) -> None:
        """The follower left the account: nothing may be sent until it comes back."""
        self._open.clear()

    def spend(self, now: float) -> None:
        """One message goes out. Raises 45015 outside every window, 45047 when all open ones are used up."""
        current = sorted((each for each in self._open.values() if each.closes > now), key=lambda w: w.closes)
        if not current:
            raise Refusal(45015)
        for window in current:
            if window.left:
                window.left -= 1
                self._typing_until = float("-inf")
                return
        raise Refusal(45047)

    def start_typing(self, now: float) -> None:
        """Raises 45080 without a recent interaction, 45081 while it still shows."""
        reachable = any(each.closes > now for each in self._open.values())
        if not reachable or now - self._seen > TYPING_WINDOW:
            raise Refusal(45080)
        if now < self._typing_until:
            raise Refusal(45081)
        self._typing_until = now + TYPING_SECONDS

    def cancel_typing(self) -> None:
        self._typing_until = float("-inf")
