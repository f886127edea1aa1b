"""Liveness and readiness: is the process there, and may traffic be sent to it, and if not why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import orjson
from flask import Response

from adapters.base import Adapter, Route
from errors import Unavailable
from settings import Settings
from storage import schema
from storage.db import Database
from storage.patience import within
from storage.spool import Spool

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""How long the database may take to show that it is there: the answer is promised within two."""


class Health:
    """The two probes. A check returns the cause it fails for, or an empty string."""

    def __init__(
        self, settings: Settings, db: Database, spool: Spool, adapters: Sequence[Adapter] = ()
    ) -> None:
        self.settings = settings
        self.db = db
        self.spool = spool
        self.adapters = adapters
        self.checks: dict[str, Callable[[], str]] = {
            "database": self._database,
            "spool": self._spool,
            "coze": self._coze,
            "wechat": self._wechat,
        }

    def routes(self) -> Sequence[Route]:
        return (
            Route("/healthz", ("GET",), self.live, "The process answers", tag="ops"),
            Route("/readyz", ("GET",), self.ready, "Whether to send traffic, with causes", tag="ops"),
        )

    def live(self) -> Response:
        return _json({"status": "alive"})

    def ready(self) -> Response:
        causes = {name: cause for name, check in self.checks.items() if (cause := check())}
        outcome = {name: causes.get(name, "ok") for name in self.checks}
        spooled = {"waiting": self.spool.waiting(), "set_aside": self.spool.set_aside()}
        body: dict[str, object] = {
            "status": "not ready" if causes else "ready",
            "checks": outcome,
            "spooled": spooled,
        }
        if warnings := self._warnings():
            # messages are answered all the same: taking the traffic away would help nobody
            body["warnings"] = warnings
        response = _json(body)
        response.status_code = 503 if causes else 200
        return response

    def _warnings(self) -> list[str]:
        try:
            with within(CHECK_SECONDS):
                return [each for adapter in self.adapters for each in adapter.warnings()]
        except Unavailable:
            return []  # that the database is away is said already

    def _database(self) -> str:
        try:
            with within(CHECK_SECONDS):
                self.db.touch()
                current = schema.is_current(self.db)
        except Unavailable as away:
            return away.message
        return "" if current else "the schema is not current: run `flask db upgrade`"

    def _spool(self) -> str:
        # they are claimed as soon as that is possible: one that still waits shows that it is not
        waiting = self.spool.waiting()
        return f"{waiting} messages wait for the database" if waiting else ""

    def _coze(self) -> str:
        if self.settings.coze_auth_mode == "PAT" and self.settings.coze_token is None:
            return "COZE_API_TOKEN is not set"
        if not (self.settings.coze_bot or self.settings.coze_workflow_id):
            return "COZE_BOT_ID or COZE_WORKFLOW_ID is not set"
        return ""

    def _wechat(self) -> str:
        without = [
            account.name
            for account in self.settings.wechat_accounts
            if account.mode != "plain" and not account.aes_keys
        ]
        return f"no EncodingAESKey for {', '.join(without)}" if without else ""


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), mimetype="application/json")
