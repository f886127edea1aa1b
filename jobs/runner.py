"""The runner: takes jobs that are due, does them, and looks after what dead processes left.

One runs inside each worker; `python -m jobs` runs nothing else, on as many hosts as wanted. The database is
the queue, so a runner that dies loses nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from errors import Behind, InDoubt, NotNow, Unavailable, Undeliverable
from storage.db import patiently
from storage.jobs import Jobs, tried
from storage.models import Job

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
AT_ONCE = 8
"""Jobs one runner works on together."""
TRIES = 12
"""Tries before a job is given up: with the back-off this is about half an hour."""
RECORD_SECONDS = 30.0
"""How long the end of a job is kept in memory while the database is away."""
PURGE_SECONDS = 3600.0
RECOVER_RENEWALS = 0.4
"""From one look for dead runners to the next, in renewals. They are watched for two of them anyway."""

Task = Callable[[Job, Callable[[], None]], None]
"""Does one kind of job. Raises `NotNow`: later again; `Undeliverable`: give up; `InDoubt`: ask a person.

Its second argument, `sending`, is to be called right before each step that must not be repeated: what goes
wrong unexpectedly after it, the process's death included, leaves the job in doubt.
"""


class Lost(Exception):
    """Another runner has the job: we were taken for dead."""


class Runner:
    """One process's share of the jobs. `chores` are called about twice a second."""

    def __init__(
        self,
        jobs: Jobs,
        tasks: Mapping[str, Task],
        chores: Sequence[Callable[[], object]],
        owner: str,
        poll: float = POLL_SECONDS,
    ) -> None:
        self.jobs = jobs
        self.tasks = tasks
        self.chores: tuple[Callable[[], object], ...] = (self._renew, self._recover, *chores, self._purge)
        self.owner = owner
        self.poll = poll
        self._busy: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._next_renewal = 0.0
        self._next_purge = 0.0
        self._next_recovery = 0.0
        self._next_chores = 0.0
        self._bell = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins in the background; does nothing when it runs already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="jobs", daemon=True)
            self._thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """Takes no more jobs, waits `patience` seconds for those at hand, and gives back what is not sent."""
        self._stopped.set()
        self._bell.set()
        if self._thread is None:
            return
        self._thread.join(patience)
        if self._thread.is_alive():
            self._safely(partial(self.jobs.hand_over, self.owner))

    def wake(self) -> None:
        """A job was just written by this process: do not wait for the next look."""
        self._bell.set()

    def run(self) -> None:
        """Works until `stop`; a database that is away only slows it down."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job") as pool:
            while not self._stopped.is_set():
                self._bell.clear()
                for chore in self._due_chores():
                    self._safely(chore)
                self._safely(partial(self._take, pool))
                # runners that started together shall not look together for ever
                self._bell.wait(self.poll * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            # those at hand go on while we leave: they are still ours
            while self._busy:
                self._safely(self._renew)
                self._bell.wait(self.poll)
                self._bell.clear()

    def do(self, job: Job) -> None:
        """Does one claimed job and records how it ended."""
        sent = False

        def sending() -> None:
            nonlocal sent
            if not self.jobs.sending(job):
                raise Lost
            sent = True

        def give_up(reason: str, *, doubt: bool) -> Callable[[], bool]:
            log.error("a job ended unfinished", extra={"job": job.id, "kind": job.kind, "why": reason})
            return lambda: self.jobs.failed(job, reason, doubt=doubt)

        def once_more(reason: str) -> Callable[[], bool]:
            if tried(job) >= TRIES:
                return give_up(reason, doubt=False)
            return lambda: self.jobs.again(job, reason)

        try:
            if tried(job) > TRIES:
                # nobody lived to say why: each try took its process along
                raise Undeliverable("died too often")
            if (task := self.tasks.get(job.kind)) is None:
                raise Undeliverable(f"no task is called {job.kind}")
            task(job, sending)
            end: Callable[[], bool] = lambda: self.jobs.done(job)  # noqa: E731 - one of several ends
        except Lost:
            log.warning("the job has another runner", extra={"job": job.id})
            return
        except Behind as error:
            behind = error.message
            end = lambda: self.jobs.later(job, behind)  # noqa: E731 - one of several ends
        except NotNow as error:
            end = once_more(error.message)
        except InDoubt as error:
            end = give_up(error.message, doubt=True)
        except Undeliverable as error:
            end = give_up(error.message, doubt=False)
        except Exception as surprise:
            log.exception("a job broke", extra={"job": job.id, "kind": job.kind})
            name = type(surprise).__name__
            end = give_up(name, doubt=True) if sent else once_more(name)
        if not patiently(end, RECORD_SECONDS):
            log.warning("the job has another runner", extra={"job": job.id})

    def _due_chores(self) -> tuple[Callable[[], object], ...]:
        # a job that ends rings the bell, too: that is no reason to do them again
        if time.monotonic() < self._next_chores:
            return ()
        self._next_chores = time.monotonic() + self.poll / 2
        return self.chores

    def _safely(self, step: Callable[[], object]) -> None:
        """One step's failure keeps none of the others from being taken."""
        try:
            step()
        except Unavailable as problem:
            # the breaker has said so already, once
            log.debug("the runner waits for the database", extra={"why": problem.message})
        except Exception:
            log.exception("the runner stumbled")

    def _take(self, pool: ThreadPoolExecutor) -> None:
        free = AT_ONCE - len(self._busy)
        if free <= 0 or not self.jobs.is_anything_due():
            return
        for job in self.jobs.claim(self.owner, free):
            with self._lock:
                self._busy[job.id] = job
            pool.submit(self._work, job)

    def _work(self, job: Job) -> None:
        try:
            self.do(job)
        except Exception:
            # its lease ends, and whoever finds it then decides
            log.exception("the end of a job was not recorded", extra={"job": job.id})
        finally:
            with self._lock:
                self._busy.pop(job.id, None)
            self._bell.set()

    def _renew(self) -> None:
        with self._lock:
            mine = list(self._busy)
        if mine and time.monotonic() >= self._next_renewal:
            self._next_renewal = time.monotonic() + self.jobs.renew_seconds
            self.jobs.renew(self.owner, mine)

    def _recover(self) -> None:
        if time.monotonic() >= self._next_recovery:
            self._next_recovery = time.monotonic() + self.jobs.renew_seconds * RECOVER_RENEWALS
            self.jobs.recover()

    def _purge(self) -> None:
        if time.monotonic() >= self._next_purge:
            self._next_purge = time.monotonic() + PURGE_SECONDS
            self.jobs.purge()
