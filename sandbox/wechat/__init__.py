"""A local WeChat: official account callbacks by WeChat's own rules, and the API beside them.

    wechat = LocalWeChat("http://127.0.0.1:8000/api/wechat")
    outcome = wechat.send_text("oFollower", "你好")
    outcome.bubbles, outcome.notice, outcome.tries

It imports nothing of the gateway: what both sides understand alike is what the protocol says.
"""

from sandbox.wechat.api import create_app
from sandbox.wechat.delivery import Knobs
from sandbox.wechat.local import LocalWeChat
from sandbox.wechat.outcome import Bubble, Notice, Outcome, Try
from sandbox.wechat.records import Faults, Sent, Typed, Verification
from sandbox.wechat.rules import Rule

__all__ = [
    "Bubble",
    "Faults",
    "Knobs",
    "LocalWeChat",
    "Notice",
    "Outcome",
    "Rule",
    "Sent",
    "Try",
    "Typed",
    "Verification",
    "create_app",
]
