"""Jobs: rows that outlive the process which wrote them.

`enqueue` joins the caller's transaction, so that cause and consequence are committed together or not at
all. A job is claimed with a lease, which its runner renews. Of a dead runner's jobs (see storage/watch.py)
what was only `running` is done again, what was `sending` is left in doubt for a person to decide. A job that
brings an answer settles the exchange's delivery in the transaction that ends the job.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.db import Database, changed, now_ms
from storage.models import Exchange, Job
from storage.watch import Watch, looks_alive

LEASE_MS = 15_000
"""Milliseconds a silent runner is believed alive; long, because a false alarm leaves a message in doubt."""
KEPT_MS = 24 * 3600 * 1000
"""How long a done job stays visible."""
PURGED_AT_ONCE = 500
FIRST_DELAY_MS = 1_000
LONGEST_DELAY_MS = 10 * 60 * 1000
AT_ONCE = 0
"""`due_ms` of a job that need not wait, whatever a clock says."""
WAITED = "waited"
"""Key in a job's payload: how many of its tries only waited for another job."""
HELD = ("running", "sending")
TROUBLED = ("failed", "in_doubt")
LATE_STATES = ("waiting", *HELD)
"""A job that will still be done."""


def enqueue(
    session: Session,
    kind: str,
    key: str,
    payload: Mapping[str, Any] | None = None,
    *,
    exchange_id: int | None = None,
) -> Job:
    """Adds a job to the caller's transaction, due at once; the same kind and key again is the same job."""
    same = select(Job).where(Job.kind == kind, Job.key == key)
    if (found := session.scalars(same).first()) is not None:
        return found
    job = Job(
        kind=kind,
        key=key,
        exchange_id=exchange_id,
        payload=dict(payload or {}),
        status="waiting",
        lease_ms=0,
        due_ms=AT_ONCE,
        tries=0,
        created_ms=now_ms(),
    )
    try:
        # a savepoint: when somebody adds the same job right now, the caller's own work must not be lost
        with session.begin_nested():
            session.add(job)
    except IntegrityError:
        if (found := session.scalars(same).first()) is None:
            raise
        return found
    return job


def late_key(exchange_id: int) -> str:
    """The key of the one job that carries an exchange's late answer."""
    return f"exchange:{exchange_id}"


def tried(job: Job) -> int:
    """How often the job was really tried, and did not only find that another goes first; at least 1."""
    return max(1, job.tries - int(job.payload.get(WAITED, 0)))


@dataclass(frozen=True, slots=True)
class Trouble:
    """A job that a person should look at, and where its exchange came from."""

    job: Job
    platform: str | None
    trace_id: str | None


class Jobs:
    """The queue as runners see it. One per process: it remembers whom it suspects."""

    def __init__(self, db: Database, lease_ms: int = LEASE_MS) -> None:
        self.db = db
        self.lease_ms = lease_ms
        self.renew_seconds = lease_ms / 3_000
        self._watch = Watch(2 * self.renew_seconds)

    def is_anything_due(self) -> bool:
        """Whether a claim would find something; asked first, because a claim takes SQLite's write lock."""
        due = select(Job.id).where(Job.status == "waiting", Job.due_ms <= now_ms()).limit(1)
        with self.db.read() as session:
            return session.scalar(due) is not None

    def claim(self, owner: str, limit: int = 10) -> list[Job]:
        """Up to `limit` jobs that are due, now ours until the lease ends."""

        def take(session: Session) -> list[Job]:
            now = now_ms()
            ids = session.scalars(
                select(Job.id)
                .where(Job.status == "waiting", Job.due_ms <= now)
                .order_by(Job.due_ms, Job.id)
                .limit(limit)
                # another runner's claim in progress is passed over, not waited for
                .with_for_update(skip_locked=True)
            ).all()
            if not ids:
                return []
            session.execute(
                update(Job)
                .where(Job.id.in_(ids))
                .values(status="running", owner=owner, lease_ms=now + self.lease_ms, tries=Job.tries + 1)
            )
            return list(session.scalars(select(Job).where(Job.id.in_(ids)).order_by(Job.due_ms, Job.id)))

        return self.db.transact(take)

    def renew(self, owner: str, job_ids: Collection[int]) -> int:
        """Renews the leases of what `owner` is working on; returns how many are still its own."""
        statement = (
            update(Job)
            .where(Job.id.in_(sorted(job_ids)), Job.owner == owner, Job.status.in_(HELD))
            .values(lease_ms=now_ms() + self.lease_ms)
        )
        return self.db.transact(lambda session: changed(session.execute(statement)))

    def sending(self, job: Job) -> bool:
        """Marks that from now on a crash leaves the job in doubt; False when it is not ours any more."""
        return self._move(job, {"status": "sending", "lease_ms": now_ms() + self.lease_ms})

    def done(self, job: Job) -> bool:
        """The work is finished; an answer that the job carried is delivered."""
        now = now_ms()
        delivered = {"status": "delivered", "delivery": job.kind, "delivered_ms": now}
        return self._move(job, {"status": "done", "error": None, "finished_ms": now}, delivered)

    def again(self, job: Job, error: str, rng: random.Random | None = None) -> bool:
        """Puts the job back: after 1 s, then twice as long each time up to 10 min, with jitter."""
        delay = min(FIRST_DELAY_MS * 2 ** (tried(job) - 1), LONGEST_DELAY_MS)
        # spread over half the delay: what failed together shall not come back together
        due = now_ms() + round(delay * (rng or random).uniform(0.75, 1.25))
        return self._move(job, {"status": "waiting", "owner": None, "error": error, "due_ms": due})

    def later(self, job: Job, reason: str, rng: random.Random | None = None) -> bool:
        """Puts back for about a second a job that waits for another; `tried` does not count it."""
        due = now_ms() + round(FIRST_DELAY_MS * (rng or random).uniform(0.75, 1.25))
        # not fewer tries: their number tells one claim from the next
        payload = {**job.payload, WAITED: int(job.payload.get(WAITED, 0)) + 1}
        values = {"status": "waiting", "owner": None, "error": reason, "due_ms": due, "payload": payload}
        return self._move(job, values)

    def failed(self, job: Job, error: str, *, doubt: bool = False) -> bool:
        """Gives up, visibly; `doubt` when it may have been done all the same."""
        return self._move(job, *_end(error, doubt=doubt))

    def recover(self, limit: int = 100) -> int:
        """Frees what dead runners held, or what a clock set back holds back; returns how many jobs."""
        now = now_ms()
        with self.db.read() as session:
            suspects = session.scalars(
                select(Job)
                # few, though SQLite's planner may think otherwise
                .with_hint(Job, "INDEXED BY ix_jobs_lease", "sqlite")
                .where(Job.status.in_(HELD), or_(Job.lease_ms < now, Job.lease_ms > now + self.lease_ms))
                .limit(limit)
            ).all()
            # further ahead than any back-off
            stuck = session.scalars(
                select(Job.id)
                .where(Job.status == "waiting", Job.due_ms > now + 2 * LONGEST_DELAY_MS)
                .limit(limit)
            ).all()
        if stuck:
            statement = update(Job).where(Job.id.in_(stuck), Job.status == "waiting").values(due_ms=AT_ONCE)
            self.db.transact(lambda session: session.execute(statement))
        return len(stuck) + sum(self._free(each) for each in suspects)

    def hand_over(self, owner: str) -> int:
        """Gives back what a leaving runner has begun and not sent, so that the others need not wait."""
        statement = (
            update(Job)
            .where(Job.owner == owner, Job.status == "running")
            .values(status="waiting", owner=None, due_ms=AT_ONCE)
        )
        return self.db.transact(lambda session: changed(session.execute(statement)))

    def resend(self, job_id: int) -> bool:
        """An operator's decision: lets a failed job, or one in doubt, run once more."""

        def put_back(session: Session) -> bool:
            won = changed(
                session.execute(
                    update(Job)
                    .where(Job.id == job_id, Job.status.in_(TROUBLED))
                    .values(status="waiting", owner=None, due_ms=AT_ONCE, finished_ms=None, tries=0)
                )
            )
            if won and (job := session.get(Job, job_id)) is not None:
                session.execute(
                    update(Exchange)
                    .where(*_carried(job), Exchange.status == "undelivered")
                    .values(status="answered", delivery_error=None)
                )
            return bool(won)

        return self.db.transact(put_back)

    def purge(self, now: int | None = None) -> int:
        """Deletes jobs that were done more than a day ago; returns how many. Others stay until they are."""
        before = (now_ms() if now is None else now) - KEPT_MS
        old = select(Job.id).where(Job.status == "done", Job.finished_ms < before).limit(PURGED_AT_ONCE)
        gone = 0
        while True:
            with self.db.read() as session:
                ids = session.scalars(old).all()
            if not ids:
                return gone
            # a few at a time: no other writer waits long
            statement = delete(Job).where(Job.id.in_(ids), Job.status == "done")
            gone += self.db.transact(lambda session, each=statement: changed(session.execute(each)))  # type: ignore[misc]

    def get(self, job_id: int) -> Trouble | None:
        """One job as it is now."""
        return next(iter(self._troubles(Job.id == job_id, limit=1)), None)

    def troubled(self, limit: int = 100) -> list[Trouble]:
        """What a person should look at, the newest first."""
        return self._troubles(Job.status.in_(TROUBLED), limit=limit)

    def stats(self) -> dict[tuple[str, str], int]:
        """How many jobs there are of each kind and status."""
        with self.db.read() as session:
            found = session.execute(
                select(Job.kind, Job.status, func.count())
                .group_by(Job.kind, Job.status)
                .order_by(Job.kind, Job.status)
            )
            return {(kind, status): count for kind, status, count in found}

    def _troubles(self, condition: Any, limit: int) -> list[Trouble]:
        with self.db.read() as session:
            found = session.execute(
                select(Job, Exchange.platform, Exchange.trace_id)
                .outerjoin(Exchange, Exchange.id == Job.exchange_id)
                .where(condition)
                .order_by(Job.id.desc())
                .limit(limit)
            )
            return [Trouble(*row) for row in found]

    def _free(self, seen: Job) -> bool:
        if looks_alive(seen.lease_ms, self.lease_ms, now_ms()):
            return False
        if not self._watch.is_still(seen.id, (seen.owner, seen.tries, seen.status, seen.lease_ms)):
            return False
        the_watched = Job.lease_ms == seen.lease_ms, Job.status == seen.status
        if seen.status == "sending":
            return self._move(seen, *_end("the process died while sending", doubt=True), only=the_watched)
        return self._move(seen, {"status": "waiting", "owner": None, "due_ms": AT_ONCE}, only=the_watched)

    def _move(
        self,
        job: Job,
        values: Mapping[str, object],
        exchange_values: Mapping[str, object] | None = None,
        only: Collection[Any] = (),
    ) -> bool:
        # the number of the try belongs to it: the same runner may have lost the job and got it again
        mine = Job.id == job.id, Job.owner == job.owner, Job.tries == job.tries, Job.status.in_(HELD)

        def step(session: Session) -> bool:
            won = changed(session.execute(update(Job).where(*mine, *only).values(**values)))
            if won and exchange_values is not None and job.exchange_id is not None:
                session.execute(
                    update(Exchange)
                    .where(*_carried(job), Exchange.status == "answered")
                    .values(**exchange_values)
                )
            return bool(won)

        return self.db.transact(step)


def _end(error: str, *, doubt: bool) -> tuple[dict[str, object], dict[str, object]]:
    """What becomes of a job that is given up, and of the exchange whose answer it carried."""
    status = "in_doubt" if doubt else "failed"
    return (
        {"status": status, "error": error, "finished_ms": now_ms()},
        {"status": "undelivered", "delivery_error": "in_doubt" if doubt else error},
    )


def _carried(job: Job) -> tuple[Any, ...]:
    """The exchange whose answer was promised to this kind of job; not one the job only refers to."""
    return Exchange.id == job.exchange_id, Exchange.later == job.kind
