"""Leases in the hand of a test: one machine with its timers and its store, and the SimPy world of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

from hasim.checks.leadership import Overlap, overlaps
from hasim.engines.des.leases.world import LeaseWorld
from hasim.engines.des.world import LeapingEnvironment, Node
from hasim.faults.verdict import PASS, Cut, Delay, Verdict
from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Machine,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.model.laws import Fixed, Law
from hasim.protocols.api import Create, Done, ObjectStore, Reply, Request, Update
from hasim.protocols.health import CrashLoopBackOff
from hasim.protocols.lease.candidate import Candidate
from hasim.protocols.lease.messages import Answered, Call, Hangup
from hasim.protocols.lease.record import LeaderRecord
from hasim.protocols.lease.settings import Duty, Lease, TtlLease
from hasim.streams import Streams
from hasim.trace import Fact
from hasim.units import s

API = "api"
NAME = "kube-controller-manager"
Mood = Literal["well", "refused", "hung"]


class Hand:
    """A machine, its clock, its timers, and everything it has asked for; what is due at once goes by when it was set.

    A timer between two bounds waits for `chance` of the way from the lower to the upper. Calls to the API server are
    answered at once out of `store` when that is well, refused at once, or kept for the test to `answer`.
    """

    def __init__(
        self, machine: Machine, store: ObjectStore | None = None, chance: float = 0.0, now: float = 0.0
    ) -> None:
        self.machine: Any = machine
        self.store = ObjectStore() if store is None else store
        self.chance = chance
        self.now = now
        self.mood: Mood = "well"
        self.timers: dict[str, tuple[float, int]] = {}
        self.sent: list[tuple[float, str, Any]] = []
        self.said: list[tuple[float, str, Any]] = []
        self.saved: list[Any] = []
        self.left: tuple[float, str] | None = None
        self._count = 0
        self._calls: list[Call] = []

    # What a test does.

    def hear(self, event: Event) -> list[Effect]:
        """Step the machine, and do what it asks for."""
        assert self.left is None, f"it left at {self.left}"
        effects = list(self.machine.step(event, self.now))
        for effect in effects:
            self._perform(effect)
        self._serve()
        return effects

    def start(self, saved: Any = None) -> list[Effect]:
        return self.hear(Started(saved))

    def stop(self) -> list[Effect]:
        return self.hear(Stopping())

    def unlink(self, peer: str = API) -> list[Effect]:
        return self.hear(Unlinked(peer))

    def get(self, message: Any, sender: str = API) -> list[Effect]:
        return self.hear(Received(sender, message))

    def answer(self, reply: Reply | None = None, n: int | None = None) -> list[Effect]:
        """Answer the last call: with what the store makes of it, unless told what."""
        call = self.calls[-1][1]
        if reply is None:
            reply, _ = self.store.apply(call.request, self.now)
        return self.get(Answered(call.n if n is None else n, reply))

    def until(self, when: float) -> Hand:
        """Let time pass, timers running out."""
        while self.left is None and self.timers:
            name, (due, _) = min(self.timers.items(), key=lambda item: item[1])
            if due > when:
                break
            del self.timers[name]
            self.now = due
            self.hear(Fired(name))
        self.now = max(self.now, when)
        return self

    # What it has asked for.

    @property
    def calls(self) -> list[tuple[float, Call]]:
        return [(at, message) for at, _, message in self.sent if isinstance(message, Call)]

    @property
    def requests(self) -> list[tuple[float, Request]]:
        return [(at, call.request) for at, call in self.calls]

    @property
    def last(self) -> Any:
        """The last message that it sent."""
        return self.sent[-1][2]

    @property
    def record(self) -> LeaderRecord:
        """The record as the store has it."""
        found = self.store.get(LeaderRecord, NAME)
        assert found is not None
        return found

    def kinds(self, since: float = 0.0) -> list[tuple[float, str]]:
        """The requests since then, by their names."""
        return [(at, type(request).__name__) for at, request in self.requests if at >= since]

    def put(self, thing: LeaderRecord) -> LeaderRecord:
        """Somebody else writes the record, over whatever is there."""
        return write(self.store, thing, self.now)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SetTimer(timer, low, high):
                self._count += 1
                self.timers[timer] = (self.now + low + (high - low) * self.chance, self._count)
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case Send(to, message):
                self.sent.append((self.now, to, message))
                if isinstance(message, Call):
                    self._calls.append(message)
                if isinstance(message, Hangup):
                    self._calls = [call for call in self._calls if call.n != message.n]
            case Announce(kind, detail):
                self.said.append((self.now, kind, detail))
            case Save(record):
                self.saved.append(record)
            case Exit(why):
                self.left = (self.now, why)
            case _:
                raise TypeError(f"no such effect here: {effect}")

    def _serve(self) -> None:
        while self._calls and self.mood != "hung" and self.left is None:
            call = self._calls.pop(0)
            if self.mood == "refused":
                self.unlink()
            else:
                self.get(Answered(call.n, self.store.apply(call.request, self.now)[0]))


def write(store: ObjectStore, record: LeaderRecord, now: float) -> LeaderRecord:
    """Put a record into a store, over whatever is there; return it as it stands."""
    asked: Request = Update(replace(record, version=0))
    if store.get(LeaderRecord, record.name) is None:
        asked = Create(record)
    reply, _ = store.apply(asked, now)
    assert isinstance(reply, Done)
    return reply.thing


def held(by: str, duration: float = 15.0, acquired: float = 0.0, renewed: float = 0.0, **more: Any) -> LeaderRecord:
    """A record that somebody holds."""
    return LeaderRecord(NAME, by, duration, acquired, renewed, **more)


def k8s(
    duration: float = 15.0,
    renew_deadline: float = 10.0,
    retry_period: float = 2.0,
    *,
    release: bool = False,
    timeout: float | None = None,
) -> Lease:
    """Kubernetes' lease, with times in seconds."""
    more = {} if timeout is None else {"timeout": s(timeout)}
    return Lease(
        duration=s(duration), renew_deadline=s(renew_deadline), retry_period=s(retry_period), release=release, **more
    )


def candidate(identity: str = "me", lease: Lease | None = None) -> Candidate:
    """A candidate for the record."""
    return Candidate(lease or Lease(), NAME, identity, API)


def leader(lease: Lease | None = None, at: float = 0.0, identity: str = "me") -> Hand:
    """A candidate that found no record, and has renewed what it made of it."""
    hand = Hand(candidate(identity, lease), now=at)
    hand.start()
    assert hand.machine.leads
    return hand


# --------------------------------------------------------------------------------------------- the world


class Rig:
    """A LeaseWorld, and its facts; everything starts by hand unless `start`."""

    def __init__(
        self,
        lease: Lease | TtlLease | None = None,
        names: Sequence[str] = ("a", "b"),
        *,
        seed: int = 1,
        latency: Law | None = None,
        service: tuple[float, float] = (0.0, 0.0),
        duty: Duty | None = None,
        elected: bool = True,
        restarts: Callable[[], Any] = lambda: CrashLoopBackOff().counting(),
        turned: Callable[[bool], None] | None = None,
    ) -> None:
        self.env = LeapingEnvironment()
        self.facts: list[Fact] = []
        self.lease = (lease or Lease()) if elected else None
        self.leases = LeaseWorld(
            self.env,
            Streams(seed),
            NAME,
            names,
            self.lease,
            self._note,
            latency=latency or Fixed(value="0s"),
            service=service,
            restarts={name: restarts() for name in names},
            duty=duty,
            turned=turned,
        )
        self.world = self.leases.world
        self.nodes = self.world.nodes
        self.store = f"{NAME} store"

    def _note(self, kind: str, subject: str, detail: Any) -> None:
        self.facts.append(Fact(self.env.now, kind, subject, detail))

    @property
    def now(self) -> float:
        return self.env.now

    def start(self, *names: str) -> Rig:
        """Start the store and the resource, and these candidates now; or all of them as the world does."""
        if not names:
            self.leases.start()
            return self
        for server in (self.leases.store, self.leases.resource):
            if server is not None and server.process is None:
                server.start()
        for name in names:
            self.nodes[name].start()
        return self

    def to(self, when: float) -> Rig:
        """Let time pass up to then."""
        if when > self.env.now:
            self.env.run(until=when)
        return self

    def on(self, seconds: float) -> Rig:
        """Let so much time pass."""
        return self.to(self.env.now + seconds)

    def next(self, kind: str, subject: str = "", limit: float = 1e6) -> Fact:
        """Let time pass up to the next fact of this kind, and of this node if one is named."""
        seen, end = len(self.facts), self.env.now + limit
        while self.env.now <= end:
            self.env.step()
            for fact in self.facts[seen:]:
                if fact.kind == kind and subject in ("", fact.subject):
                    return fact
            seen = len(self.facts)
        raise AssertionError(f"no {kind!r} for {limit} s")

    def seen(self, kind: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.kind == kind]

    @property
    def leader(self) -> Node:
        """Who leads."""
        name = self.leases.leader
        assert name is not None
        return self.nodes[name]

    @property
    def record(self) -> LeaderRecord:
        """The record as the store has it on its disk."""
        assert self.leases.store is not None
        return self.leases.store.disk.saved().get(LeaderRecord, NAME)

    # Faults.

    def cut(self, *names: str) -> AbstractContextManager[Any]:
        """Nothing passes between these candidates and the store."""
        return self.world.rule(Cut(lambda src, dst: {src, dst} & set(names) != set() and self.store in (src, dst)))

    def slow(self, src: str, dst: str, seconds: float) -> AbstractContextManager[Any]:
        """What goes from here to there takes so much longer."""

        def rule(a: str, b: str, draw: object) -> Verdict:
            return Delay(seconds) if (a, b) == (src, dst) else PASS

        return self.world.rule(rule)

    def overlaps(self) -> list[Overlap]:
        return overlaps(self.facts, self.env.now)


def takeovers(
    rig: Rig, count: int, by: Literal["crash", "stop"], rng: Any, settle: float, spread: float
) -> list[float]:
    """Times from the loss of the leader to the next one, again and again, the old leader coming back each time."""
    found = []
    for _ in range(count):
        rig.on(settle + spread * float(rng.random()))
        before, node = rig.now, rig.leader
        if by == "crash":
            node.crash()
        else:
            node.stop()
        found.append(rig.next("leading").at - before)
        if node.process is not None:  # it is still giving the lease back
            rig.next("process exited", node.name)
        node.start()
        rig.facts.clear()
    return found


def said(facts: Iterable[tuple[float, str, Any]], kind: str) -> list[tuple[float, Any]]:
    """When something was announced, and its detail."""
    return [(at, detail) for at, what, detail in facts if what == kind]
