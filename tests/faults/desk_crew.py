"""Agents at the desk of an installation whose workers die: they take who waits, answer, and release.

What a worker answered before it died is what an agent knows; the rest is judged by the database.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import requests
from sqlalchemy import select

from handler.handoff import OWNED
from settings import load_settings
from storage.agent_lines import RIDES
from storage.agent_words import AgentWords
from storage.audit import By
from storage.handoff_queue import HandoffQueue
from storage.handoff_tables import Handoff, HandoffStep
from storage.models import DialogueSession, Message
from support.people import People
from tests.faults.cluster import Cluster

BY = By("test")
TIMEOUT = (2, 10)
RELEASES = 0.1
"""Of an agent's turns at a session, how many end it."""


@dataclass
class Crew:
    """Agents who work in threads until `over`; `said` has each line, and whether it was acknowledged."""

    cluster: Cluster
    seed: int
    size: int = 3
    said: dict[str, bool] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=count)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Crew:
        url = self.cluster.db.engine.url.render_as_string(hide_password=False)
        people = People(load_settings(app_env="development", database_url=url), self.cluster.db)
        for place in range(self.size):
            name = f"agent{place}"
            account = people.agents.add(
                BY, username=name, name=f"坐席{place}", role="agent", password_hash="-", max_sessions=4
            )
            people.agents.set_status(BY, account.agent, "online")
            login = people.logins.open(BY, name, "-", "api", "", "")
            token = people.tokens.issue(login, "access")
            self._threads.append(threading.Thread(target=self._work, args=(token, self.seed + place)))
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self.over.set()
        for each in self._threads:
            each.join()

    def _work(self, token: str, seed: int) -> None:
        rng = random.Random(seed)
        while not self.over.wait(rng.uniform(0.2, 0.6)):
            # a worker that dies takes the request with it: the agent goes on with what is there then
            with suppress(requests.RequestException, KeyError):
                self._turn(token, rng)

    def _turn(self, token: str, rng: random.Random) -> None:
        self._call(token, "POST", "/api/agent/status/heartbeat")
        for each in self._call(token, "GET", "/api/sessions/queue")["data"]["queue"]:
            self._call(token, "POST", f"/api/sessions/{each['session_name']}/takeover")
        mine = self._call(token, "GET", "/api/sessions?agent=mine&status=manual_live")["data"]["sessions"]
        for each in mine:
            name = each["session_name"]
            history = self._call(token, "GET", f"/api/sessions/{name}")["data"]["session"]["history"]
            spoken = [line for line in history if line["role"] in {"user", "agent"}]
            if spoken and spoken[-1]["role"] == "user":
                # one line for one of the customer's: WeChat allows five
                self._say(token, name)
            elif rng.random() < RELEASES:
                self._call(token, "POST", f"/api/sessions/{name}/release")

    def _say(self, token: str, name: str) -> None:
        text = f"坐席第{next(self._numbers)}句。"
        self.said[text] = False
        body = {"session_name": name, "role": "agent", "content": text}
        answer = self._call(token, "POST", "/api/manual/messages", json=body)
        self.said[text] = bool(answer["success"])
        if not answer["success"] and answer["error"]["code"] != "unavailable":
            del self.said[text]

    def _call(self, token: str, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        url = self.cluster.url + path
        response = requests.request(method, url, headers=headers, timeout=TIMEOUT, **options)
        found: dict[str, Any] = response.json()
        return found


@dataclass
class Findings:
    """What came of it, in words and numbers."""

    violations: list[str] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    in_doubt: int = 0
    waiting: int = 0
    """Lines for which the customer's quota is used up, as the agent sees."""

    def add(self, violation: str, *, lost: bool = False, twice: bool = False) -> None:
        self.violations.append(violation)
        self.lost += lost
        self.twice += twice


def examine(cluster: Cluster, crew: Crew) -> Findings:
    """Every session's owner or place, every customer's line, every agent's line."""
    found = Findings()
    _sessions(cluster, found)
    _customers_lines(cluster, found)
    _agents_lines(cluster, crew, found)
    return found


def _sessions(cluster: Cluster, found: Findings) -> None:
    with cluster.db.read() as session:
        rows = session.scalars(select(Handoff)).all()
        steps = session.scalars(select(HandoffStep).order_by(HandoffStep.id)).all()
    waiting = {each.row.session_id for each in HandoffQueue(cluster.db).waiting()}
    for row in rows:
        trail = [each for each in steps if each.session_id == row.session_id]
        if row.status == "manual_live" and not row.agent_username:
            found.add(f"session {row.session_id} is with nobody", lost=True)
        if row.status == "pending_manual" and row.session_id not in waiting:
            found.add(f"session {row.session_id} waits and has no place", lost=True)
        if row.status not in OWNED and "release" not in {each.action for each in trail}:
            found.add(f"session {row.session_id} is {row.status}, and nobody released it", lost=True)
        for before, after in pairwise(trail):
            if before.to_status != after.from_status:
                found.add(f"session {row.session_id}: {after.action} follows on {before.action}")
        if not trail or trail[-1].to_status != row.status:
            found.add(f"session {row.session_id} is {row.status}, and its audit ends otherwise")


def _customers_lines(cluster: Cluster, found: Findings) -> None:
    kept = _lines(cluster, "user")
    with cluster.db.read() as session:
        called = set(
            session.scalars(
                select(DialogueSession.user_id)
                .join(HandoffStep, HandoffStep.session_id == DialogueSession.id)
                .where(HandoffStep.action == "escalate")
            )
        )
    for each in (sent.result() for sent in cluster.sent):
        if each.text == "转人工":
            if not each.unheard and each.openid not in called:
                found.add(f"{each.openid} asked for a person and is in no queue", lost=True)
        elif kept[each.text] > 1:
            found.add(f"{each.openid}: {each.text} is kept {kept[each.text]} times", twice=True)
        elif not kept[each.text] and not each.unheard:
            found.add(f"{each.openid}: {each.text} was acknowledged and is not kept", lost=True)


def _agents_lines(cluster: Cluster, crew: Crew, found: Findings) -> None:
    words = AgentWords(cluster.db, lambda _platform: "push")
    with cluster.db.read() as session:
        numbers = {
            each.text: each.id for each in session.scalars(select(Message).where(Message.role == "agent"))
        }
    kept = _lines(cluster, "agent")
    people = {each.result().openid for each in cluster.sent}
    read = "\n".join(bubble.text for openid in people for bubble in cluster.wechat.inbox(openid))
    for text, acknowledged in crew.said.items():
        spoken = words.state(numbers[text]) if text in numbers else None
        state = spoken.state if spoken is not None else None
        seen = read.count(text)
        if seen > 1:
            found.add(f"{text} was read {seen} times", twice=True)
        if kept[text] > 1:
            found.add(f"{text} is kept {kept[text]} times", twice=True)
        if acknowledged and state is None:
            found.add(f"{text} was acknowledged and is not kept", lost=True)
        if state == "in_doubt":
            found.in_doubt += 1
        elif spoken is not None and not seen and (spoken.error or "").startswith(RIDES):
            # shown to the agent with its reason: WeChat takes it after the customer's next message
            found.waiting += 1
        elif spoken is not None and not seen:
            found.add(f"{text} is said to be {state} ({spoken.error}), and was not read", lost=True)
    for text in numbers.keys() - crew.said.keys():
        found.add(f"{text} was said by nobody")


def _lines(cluster: Cluster, role: str) -> Counter[str]:
    with cluster.db.read() as session:
        return Counter(session.scalars(select(Message.text).where(Message.role == role)))
