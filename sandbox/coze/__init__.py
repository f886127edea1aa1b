"""A local Coze: the open platform's HTTP protocol, with a small deterministic brain behind it.

    coze = LocalCoze()
    with Server(create_app(coze)) as server: ...  # COZE_API_BASE=server.url, token pat_yingda-sandbox
    coze.faults.queue("cut_mid_event", after=5)

A fault can also be asked for in words, through a whole gateway: `你好 [[fault:cut_mid_event after=5]]`.
It imports nothing of the gateway: what both sides understand alike is what the protocol says.
"""

from sandbox.coze.app import create_app
from sandbox.coze.faults import FAULTS
from sandbox.coze.state import LocalCoze

__all__ = ["FAULTS", "LocalCoze", "create_app"]
