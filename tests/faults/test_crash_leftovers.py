"""A worker dies while it brings what was left over: each answer is read once, to its end.

What is left over is a late answer that nobody brings, fetched with 继续 or taken along by the answer to the
next message, or the rest of an answer that did not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from tests.faults.cluster import Cluster, Strategy
from tests.faults.conftest import ENGINES, FULL, Judge
from tests.faults.crashes import AGAIN, LEFTOVERS, Scene
from texts import Texts

RUNS = 3
"""Customers for each point, one after the other, who each lose a worker there once."""
LATE = {"hold": 20, "placeholder": 20, "push": 8}
"""Seconds after which an answer no longer reaches the request that asked for it."""
SHORT, LONG = 20, 2200
"""Characters of an answer that fits into a bubble, and of one that takes three."""
BUBBLES = 9
"""No answer here is longer."""
KEPT = {"before_keep", "after_keep"}
"""Points in the middle of a push: whether the customer has the answer nobody can know."""
MORE = Texts().more.partition("{")[0]


class Customers:
    """What one customer for each point does; each is named after the point where a worker is to die.

    No more at a time: what is left over waits ten minutes, and each loses their worker alone.
    """

    def __init__(self, cluster: Cluster, scene: Scene, run: int) -> None:
        self.cluster = cluster
        self.strategy: Strategy = cluster.strategy
        self.all = [f"{point}-{run}" for point in LEFTOVERS[scene]]

    def ask(self, who: str, number: int, *, chars: int = SHORT, late: bool = False, words: str = "") -> None:
        delay = f"[[delay:{LATE[self.strategy]}]]" if late else ""
        # each sentence of the answer is one of a kind
        answer = f"[[fault:long chars={chars} mark={number}]]"
        self.cluster.say(who, f"{words}{who}的第{number}问{delay}{answer}")

    def say_continue(self, who: str) -> None:
        self.cluster.say(who, "继续", menu_id="1")
        self.settle()

    def settle(self) -> None:
        """Waits until all is said, and a crash has left two workers again."""
        self.cluster.quiet()
        self.cluster.recover()

    def miss_an_answer(self, chars: int = SHORT) -> None:
        """Each asks one question whose answer nobody brings."""
        if self.strategy == "push":
            self.cluster.wechat.faults.send_errcodes = [45047] * len(self.all)
        for who in self.all:
            self.ask(who, 1, chars=chars, late=True)
        self.cluster.quiet()
        states = {each.status for each in self.cluster.history().exchanges if each.user_id in self.all}
        assert states == {"undelivered" if self.strategy == "push" else "answered"}

    def use_up_the_quota(self, whose: Iterable[str]) -> None:
        """Each asks two questions at once, and of five messages three are the first answer's."""
        for who in whose:
            self.ask(who, 1, chars=LONG, late=True)
            self.ask(who, 2, chars=LONG, late=True)
        self.settle()

    def read_on(self, who: str) -> None:
        """Sends 继续 as often as a bubble, or a placeholder, says that there is more."""
        for _ in range(BUBBLES):
            unread = self.strategy != "push" and who in self.cluster.history().waiting
            if not unread and MORE not in self.cluster.wechat.inbox(who)[-1].text:
                return
            self.say_continue(who)


def fetch(customers: Customers) -> None:
    """A late answer, or one whose push was refused, is fetched with a tap on the link."""
    customers.miss_an_answer()
    for who in customers.all:
        customers.say_continue(who)


def ride(customers: Customers) -> None:
    """It goes along with the answer to the next question, or with the placeholder for it."""
    customers.miss_an_answer()
    for who in customers.all:
        customers.ask(who, 2, late=customers.strategy == "placeholder", words=AGAIN)
        customers.settle()


def rest(customers: Customers) -> None:
    """An answer is cut by the size of a bubble, at once or when it is fetched, or by the quota of pushes."""
    cut_by_quota = customers.strategy == "push"
    if customers.strategy == "placeholder":
        customers.miss_an_answer(LONG)
    if cut_by_quota:
        customers.use_up_the_quota(each for each in customers.all if point_of(each) not in KEPT)
    for who in customers.all:
        if cut_by_quota and point_of(who) in KEPT:
            # the worker dies in the middle of this push, and nobody else's may suffer
            customers.use_up_the_quota([who])
        elif customers.strategy == "hold":
            customers.ask(who, 1, chars=LONG)
            customers.settle()
        elif customers.strategy == "placeholder":
            customers.say_continue(who)
        if not (cut_by_quota and point_of(who) == "before_keep"):
            customers.read_on(who)


def point_of(who: str) -> str:
    return who.rpartition("-")[0]


SCENES: Mapping[Scene, Callable[[Customers], None]] = {
    "fetch": fetch,
    "rest": rest,
    "ride": ride,
}


@pytest.mark.promise
@pytest.mark.skipif(not FULL, reason="takes twenty minutes: part of make promises-full")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("strategy", ["hold", "placeholder", "push"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_while_leftovers_are_brought_loses_nothing_and_says_nothing_twice(
    scene: Scene, strategy: Strategy, engine: str, open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    cluster = open_cluster(strategy, engine, crash_at=scene)
    groups = [Customers(cluster, scene, run) for run in range(RUNS)]
    for customers in groups:
        SCENES[scene](customers)
        cluster.settle()
    everybody = [who for customers in groups for who in customers.all]
    history = cluster.history()
    judge("E5 crash points", f"{scene}: {strategy}, {engine}", history, faults=cluster.crashes())
    hit = {each.name.partition("-")[2] for each in cluster.marks.iterdir()}
    assert hit == set(everybody), "a customer has not passed their point"
    in_doubt = {each.user_id for each in history.exchanges if each.id in history.doubted}
    may_be = KEPT if strategy == "push" else set()
    assert in_doubt == {each for each in everybody if point_of(each) in may_be}
    assert set(history.asked.values()) == {1}, "Coze was asked again"
    assert "继续" not in history.asked, "the bot was asked what was ours to answer"
