"""LocalDesk: the receiving end of 易事厅's callbacks, so that late answers can be seen to arrive.

`POST /_desk/callback` takes one, `GET /_desk/callbacks` lists them, the oldest first. Shares no code with the
adapter: it checks what the documents promise.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from flask import Blueprint, Response, jsonify, request

KEPT = 200
"""Callbacks that are remembered."""
FIELDS = {
    "code": int,
    "err_msg": str,
    "is_async_response": bool,
    "is_recall_success": int,
    "recall_docs": list,
    "msg_type": str,
    "msg_content": str,
    "third_party_trace_id": str,
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """One callback as it came."""

    at: float
    """Unix seconds."""
    trace_id: str
    body: dict[str, Any]


@dataclass
class LocalDesk:
    """What arrived, and how the next callbacks are answered."""

    arrived: deque[Arrived] = field(default_factory=lambda: deque(maxlen=KEPT))
    statuses: deque[int] = field(default_factory=deque)
    """HTTP statuses of the next answers, taken one by one; afterwards 200."""
    says: dict[str, Any] = field(default_factory=lambda: {"errcode": 0, "errmsg": "ok"})
    slow: float = 0.0
    """Seconds before each answer."""
    tries: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, trace_id: str, body: dict[str, Any]) -> int:
        """Keeps a callback unless the next status refuses it; returns the status."""
        with self._changed:
            self.tries += 1
            status = self.statuses.popleft() if self.statuses else 200
            if status == 200:
                self.arrived.append(Arrived(time.time(), trace_id, body))
            self._changed.notify_all()
        return status

    def wait_for(self, tries: int, seconds: float = 15) -> bool:
        """Whether so many callbacks were tried."""
        with self._changed:
            return self._changed.wait_for(lambda: self.tries >= tries, seconds)

    def listed(self, user: str = "") -> list[Arrived]:
        """What arrived for this user, or for everybody."""
        with self._changed:
            return [each for each in self.arrived if user in {"", each.body.get("user")}]


def create_desk(desk: LocalDesk) -> Blueprint:
    """The endpoints of `desk`, under `/_desk`."""
    pages = Blueprint("desk", __name__, url_prefix="/_desk")

    @pages.post("/callback")
    def callback() -> tuple[Response, int]:
        request.max_content_length = 4 * 1024 * 1024
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return jsonify(errcode=40001, errmsg="a JSON object is needed"), 400
        wrong = [name for name, kind in FIELDS.items() if not isinstance(body.get(name), kind)]
        if wrong:
            return jsonify(errcode=40002, errmsg=f"missing or malformed: {', '.join(wrong)}"), 400
        status = desk.take(request.headers.get("X-Trace-ID", ""), body)
        time.sleep(desk.slow)
        return jsonify(desk.says), status

    @pages.get("/callbacks")
    def callbacks() -> Response:
        return jsonify(callbacks=[asdict(each) for each in desk.listed(request.args.get("user", ""))])

    return pages
