"""A cluster under test: it runs, its facts are kept, and one can wait until something is so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.world import LeapingEnvironment
from hasim.streams import Streams
from hasim.trace import Detail, Fact
from hasim.validation.etcd_trials import CLIENT_S, LEAD_S, LEAD_TICKS, Trial
from hasim.validation.probes import Probes
from hasim.validation.votes import handle_votes

LOOK_S = 0.05
PATIENCE_S = 60.0
SETTLE_S = 1.0
ENDS = ("process crashed", "process exited", "power lost")

View = tuple[int, str | None]
"""The term a member is in, and whom it follows there."""


def view_after(view: View, fact: Fact) -> View | None:
    """A member's view after one of its facts; None if the fact says nothing of it."""
    if fact.kind in ENDS:
        return (0, None)
    if isinstance(fact.detail, str):
        return None
    if fact.kind == "leader":
        return (fact.detail["term"], fact.subject)
    if fact.kind == "follower":
        return (fact.detail["term"], fact.detail["leader"])
    if fact.kind in ("candidate", "pre-candidate", "started", "lost quorum"):
        return (fact.detail["term"], None)
    return None


@dataclass
class Bench:
    """A cluster of a trial's configuration with its clients; of trials on one cluster, `number` counts the clusters."""

    trial: Trial
    seed: int
    number: int = 0

    def __post_init__(self) -> None:
        """Put everything in place; nothing runs before `boot`."""
        self.env = LeapingEnvironment()
        streams = Streams(self.seed, block=self.number)
        names = tuple(f"n{number}" for number in range(1, self.trial.members + 1))
        self.facts: list[Fact] = []
        self.views: dict[str, View] = dict.fromkeys(names, (0, None))
        self.agreed_at = math.inf  # since when all members are of one mind; infinite: they are not
        self.etcd = EtcdWorld(self.env, streams, names, self.trial.raft(), self._note)
        handle_votes(self.etcd.world, streams)
        self.probes = Probes(self.etcd, self.trial.spacing, CLIENT_S)
        self.chance = streams["schedule"]

    @property
    def names(self) -> tuple[str, ...]:
        """All members."""
        return self.etcd.names

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.env.now

    def _note(self, kind: str, subject: str, detail: Detail) -> None:
        fact = Fact(self.env.now, kind, subject, detail)
        self.facts.append(fact)
        view = view_after(self.views[subject], fact)
        if view is not None and view != self.views[subject]:
            self.views[subject] = view
            views = set(self.views.values())
            self.agreed_at = self.env.now if len(views) == 1 and views.pop()[1] is not None else math.inf

    # Time passes.

    def boot(self) -> None:
        """Start all members and wait until there is a leader and all serve."""
        self.etcd.start()
        self.settle()

    def settle(self) -> None:
        """Let the cluster be, without clients, until it has been of one mind for a while.

        The while ends at a random moment, so that the next fault meets the leader's check of its quorum at any phase.
        """
        if not self.run_until(lambda: self.etcd.leader is not None and self.now > self.agreed_at + SETTLE_S):
            raise AssertionError(f"{self.trial.name}: the cluster did not settle, seed {self.seed} of {self.number}")
        self.run_for(float(self.chance.random()) * self.trial.election)
        self.facts.clear()

    def run_for(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if seconds > 0:
            self.env.run(until=self.now + seconds)

    def run_to(self, at: float) -> None:
        """Let time pass until `at`."""
        self.run_for(at - self.now)

    def run_until(self, is_so: Callable[[], bool], patience: float = PATIENCE_S) -> bool:
        """Look now and then whether something is so, and stop when it is; False if it does not become so."""
        deadline = self.now + patience
        while not is_so():
            if self.now >= deadline:
                return False
            self.run_for(LOOK_S)
        return True

    def lead_in(self) -> float:
        """Start the clients and wait for the moment of the fault, at a random phase; returns that moment."""
        if self.trial.load != "idle":
            self.probes.start()
        self.run_for(LEAD_S + float(self.chance.random()) * LEAD_TICKS * self.trial.heartbeat)
        self.facts.clear()
        return self.now

    def choose(self, among: Sequence[str]) -> str:
        """One of these, each as likely."""
        return among[int(self.chance.random() * len(among))]


# What facts tell of an election.


def first_at(facts: Iterable[Fact], kinds: Sequence[str], subjects: Sequence[str]) -> float:
    """When one of these things first happened to one of these; nan if it did not."""
    return next((fact.at for fact in facts if fact.kind in kinds and fact.subject in subjects), math.nan)


def known_at(facts: Iterable[Fact], members: Sequence[str], needed: int, term: int) -> float:
    """When so many of these first followed one leader of a term higher than `term`; nan if they never did."""
    views: dict[str, View] = dict.fromkeys(members, (0, None))
    for fact in facts:
        if fact.subject not in views:
            continue
        view = view_after(views[fact.subject], fact)
        if view is None:
            continue
        views[fact.subject] = view
        if view[1] is not None and view[0] > term and list(views.values()).count(view) >= needed:
            return fact.at
    return math.nan


def election_values(
    facts: Sequence[Fact], survivors: Sequence[str], quorum: int, at: float, term: int
) -> dict[str, float]:
    """The quantities of one election among survivors after a fault at `at`, when the leader's term was `term`."""
    t_leader = first_at(facts, ("leader",), survivors)
    upto = [fact for fact in facts if fact.subject in survivors and (math.isnan(t_leader) or fact.at <= t_leader)]

    def count(*kinds: str) -> float:
        return float(sum(fact.kind in kinds for fact in upto))

    pre = count("pre-candidate")
    won = next((fact for fact in upto if fact.kind == "leader"), None)
    return {
        "t_fire": first_at(upto, ("pre-candidate", "candidate"), survivors) - at,
        "t_leader": t_leader - at,
        "t_elect": known_at(facts, survivors, quorum, term) - at,
        "t_elect_all": known_at(facts, survivors, len(survivors), term) - at,
        "terms": math.nan if won is None or isinstance(won.detail, str) else won.detail["term"] - term,
        "fires": pre or count("candidate"),
        "leased": count("ignored"),
        "rejects": count("refused"),
    }
