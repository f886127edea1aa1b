"""Notices: messages to a customer that answer nothing, each a job from the moment it is asked for.

The caller's own key makes asking twice the same notice. A sent one is forgotten with its job, a day later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from errors import Conflict
from handler.message import Notice, NoticeState
from storage.db import Database
from storage.jobs import enqueue
from storage.models import Job

KIND = "notice"
STATES: dict[str, NoticeState] = {
    "waiting": "waiting",
    "running": "waiting",
    "sending": "sending",
    "done": "sent",
    "failed": "failed",
    "in_doubt": "in_doubt",
}
"""What a job's status says about its notice."""


class Notices:
    """The jobs of the kind `notice`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def put(self, platform: str, account: str, key: str, content: Mapping[str, Any]) -> Notice:
        """Has the notice sent, once for each key of an account; a second call returns the first one's.

        `Conflict` when that key stands for other content.
        """
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        payload = {"platform": platform, "account": account, "key": key, "content": content, "digest": digest}

        def add(session: Session) -> Job:
            job = enqueue(session, KIND, f"{platform}:{account}:{key}", payload)
            session.flush()
            return job

        job = self.db.transact(add)
        if job.payload["digest"] != digest:
            raise Conflict("this key was used for another message")
        return of(job)

    def get(self, platform: str, number: int) -> Notice | None:
        """One notice as it is now; None when there is none, or no longer."""
        with self.db.read() as session:
            job = session.scalar(select(Job).where(Job.id == number, Job.kind == KIND))
        return of(job) if job is not None and job.payload["platform"] == platform else None

    def sent(self, job: Job, message_id: str) -> None:
        """Keeps the number under which the platform will report on the notice that this job has just sent."""
        statement = (
            update(Job)
            .where(Job.id == job.id, Job.owner == job.owner, Job.tries == job.tries)
            .values(payload={**job.payload, "message_id": message_id})
        )
        self.db.transact(lambda session: session.execute(statement))


def of(job: Job) -> Notice:
    """The notice that this job sends."""
    return Notice(
        id=job.id,
        platform=job.payload["platform"],
        account=job.payload["account"],
        key=job.payload["key"],
        content=job.payload["content"],
        state=STATES[job.status],
        tries=job.tries,
        error=job.error,
        message_id=job.payload.get("message_id", ""),
        created_ms=job.created_ms,
        finished_ms=job.finished_ms,
    )
