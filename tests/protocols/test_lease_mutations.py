"""Bugs planted into leases: each is convicted by a promise that is there for it, and nobody is without the bug."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from leasing import NAME, Hand, Rig, candidate, held, k8s

from hasim.checks.leadership import effects_once, one_leader, stale_effects
from hasim.engines.des.leases import world as lease_world
from hasim.engines.des.world import leap_again_and_again
from hasim.machine import Effect, Event, Received, Send, SetTimer
from hasim.model.laws import Fixed
from hasim.protocols.api import Done, Reply, Update
from hasim.protocols.lease.candidate import Candidate
from hasim.protocols.lease.messages import Answered, Call, Granted, Renew, Wrote
from hasim.protocols.lease.record import LeaderRecord
from hasim.protocols.lease.resource import Resource
from hasim.protocols.lease.settings import Duty, TtlLease
from hasim.protocols.lease.ttl_server import Held, TtlServer
from hasim.trace import Fact
from hasim.units import s

Patch = pytest.MonkeyPatch
REDIS = TtlLease(store="redis", ttl=s(3), renew=s(1), retry=s(0.4))

# -------------------------------------------------------------------------------------- the bugs


class ForgetsItsDeadline(Candidate):
    """It goes on trying for ever."""

    def _begin_to_renew(self, now: float) -> list[Effect]:
        return [e for e in super()._begin_to_renew(now) if not (isinstance(e, SetTimer) and e.timer == "deadline")]


class BelievesTheRecord(Candidate):
    """It compares the time of the last renewal, which the holder wrote by its own clock, with the time of day."""

    def _observe(self, record: LeaderRecord, now: float) -> None:
        super()._observe(record, record.renewed)


class WritesBlindly(Candidate):
    """It writes over whatever is there."""

    def _call(self, stage: Any, request: Any, now: float) -> list[Effect]:
        if isinstance(request, Update):
            request = Update(replace(request.thing, version=0))
        return super()._call(stage, request, now)


class CallsItselfByItsHost(Candidate):
    """Each life of a process has the identity of the last one."""

    def __init__(self, lease: Any, name: str, identity: str, store: str) -> None:
        super().__init__(lease, name, identity.rpartition("_")[0], store)


class CallsItselfByThePart(Candidate):
    """All have one identity."""

    def __init__(self, lease: Any, name: str, identity: str, store: str) -> None:
        super().__init__(lease, name, name, store)


class SeesOnlyTheFirst(Candidate):
    """It notes when it first saw a record, and not when that changed."""

    def _observe(self, record: LeaderRecord, now: float) -> None:
        seen_at = self.observed_at
        before = self.observed
        super()._observe(record, now)
        if before is not None and before.holder == record.holder and not self.leads:
            self.observed_at = seen_at


class GoesByItsOwnDuration(Candidate):
    """It waits for as long as its own leases last."""

    def _lasts(self, now: float) -> bool:
        return self.observed_at + self.lease.duration > now


class ReleasesWithItsName(Candidate):
    """It writes that it has gone, and leaves its name there."""

    def _call(self, stage: Any, request: Any, now: float) -> list[Effect]:
        if isinstance(request, Update) and not request.thing.holder:
            request = Update(replace(request.thing, holder=self.identity, duration=self.lease.duration))
        return super()._call(stage, request, now)


class DoesNotCountTerms(Candidate):
    """Whoever takes the lease is in the same term."""

    def _record(self, before: LeaderRecord | None) -> LeaderRecord:
        return replace(super()._record(before), transitions=0)


class TakesTheTokenThatItSees(Candidate):
    """Its token is that of the record, whoever holds it."""

    def _observe(self, record: LeaderRecord, now: float) -> None:
        super()._observe(record, now)
        self.token = record.transitions + 1


class LooksFromTheAnswerOn(Candidate):
    """Its lease lasts from when it heard that it has been renewed."""

    def _succeeded(self, now: float) -> list[Effect]:
        effects = super()._succeeded(now)
        self._until = now + self.lease.duration
        return effects


class HearsEveryAnswer(Candidate):
    """The answer to a call of long ago is as good as that to the last."""

    def step(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, Received) and isinstance(event.message, Answered):
            event = Received(event.sender, Answered(self._sent, event.message.reply))
        return super().step(event, now)


class RenewsForAnybody(TtlServer):
    """Redis without the script that compares the owner: PEXPIRE."""

    def _serve(self, sender: str, ask: Any, now: float) -> list[Effect]:
        if isinstance(ask, Renew) and self.held.owner:
            self.held = Held(self.held.owner, now + ask.ttl, self.held.token)
            return [Send(sender, Granted(ask.n, self.held.token))]
        return super()._serve(sender, ask, now)


class RenewsWhatHasRunOut(TtlServer):
    """A lease that nobody has taken since may be renewed, and one that was taken, too."""

    def _serve(self, sender: str, ask: Any, now: float) -> list[Effect]:
        if isinstance(ask, Renew):
            self.held = Held(ask.owner, now + ask.ttl, self.held.token)
            return [Send(sender, Granted(ask.n, self.held.token))]
        return super()._serve(sender, ask, now)


class GivesEverybodyOneToken(TtlServer):
    """Its tokens do not grow."""

    def _serve(self, sender: str, ask: Any, now: float) -> list[Effect]:
        effects = super()._serve(sender, ask, now)
        self.held = self.held._replace(token=1)
        return [
            effect._replace(message=effect.message._replace(token=1))
            if isinstance(effect, Send) and isinstance(effect.message, Granted)
            else effect
            for effect in effects
        ]


class KeepsTheEndInALeap(TtlServer):
    """A leap leaves the end of the lease where it was."""

    def skipped(self, by: float) -> None:
        return


class ForgetsTheQuestions(Resource):
    """It answers a question whatever its token, and does not remember it."""

    def _write(self, sender: str, write: Any) -> list[Effect]:
        return super()._write(sender, write) if write.item else [Send(sender, Wrote(write.n, self.done))]


class FencesNobody(Resource):
    """It takes any token."""

    def _objection(self, write: Any) -> str:
        return ""


def planted(target: str, bug: type) -> Callable[[Patch], None]:
    """Put a bug in the place of a machine of the world."""
    return lambda patch: patch.setattr(lease_world, target, bug)


# ---------------------------------------------------------------------------- lives, and their judges


def judged(rig: Rig) -> list[str]:
    """The promises that this life has broken."""
    violations = [*one_leader(rig.facts), *effects_once(rig.facts), *stale_effects(rig.facts)]
    return sorted({violation.invariant for violation in violations} | grown(rig.facts))


def grown(facts: list[Fact]) -> set[str]:
    """The promise that every term has a number of its own, higher than all before."""
    terms = [fact.detail["term"] for fact in facts if fact.kind == "leading"]  # type: ignore[index]
    return set() if all(a < b for a, b in pairwise(terms)) else {"terms grow"}


def cut_off() -> list[str]:
    """A leader that reaches the store no more, for a minute."""
    rig = Rig().start("a", "b").to(5.0)
    with rig.cut("a"):
        rig.to(65.0)
    return judged(rig)


def wrong_clock() -> list[str]:
    """A standby whose clock is an hour fast."""
    rig = Rig().start("a").to(5.0)
    with rig.world.jump_clock("b", 3600.0):
        rig.start("b").to(65.0)
    return judged(rig)


def calm() -> list[str]:
    """Nothing happens for a minute."""
    return judged(Rig().start("a", "b").to(60.0))


def race() -> list[str]:
    """Two that read a released lease before either has written."""
    rig = Rig(k8s(release=True), ("a", "b", "c"), latency=Fixed(value="500ms")).start("a").to(10.0)
    rig.nodes["a"].stop()
    rig.to(15.0).start("b", "c").to(25.0)
    return judged(rig)


def quick_restart() -> list[str]:
    """A leader that dies, and whose next life begins at once: its last renewal is not two seconds old."""
    rig = Rig(names=("a",)).start("a").to(5.0)
    rig.nodes["a"].crash()
    rig.nodes["a"].start()
    taken = rig.next("leading").at
    return [] if taken - 5.0 > 15.0 - 2.0 else ["a crash costs the lease"]


def unlike_durations() -> list[str]:
    """A leader whose lease is long and renewed seldom, and a standby whose own would be short."""
    rig = Rig().start().to(0.001)
    for name, lease in (("a", k8s(137, 107, 26)), ("b", k8s())):
        node = rig.nodes[name]
        node._build = lambda lease=lease, name=name: lease_world.Candidate(lease, NAME, f"{name}_1", rig.store)  # type: ignore[misc]
        rig.leases.cancel_start(name)
        node.start()
    return judged(rig.to(200.0))


def released() -> list[str]:
    """A leader that gives its lease back."""
    rig = Rig(k8s(release=True)).start("a", "b").to(5.0)
    rig.nodes["a"].stop()
    taken = rig.next("leading", "b").at
    return [] if taken - 5.0 <= 4.4 else ["a release is taken up at once"]


def paused(lease: Any = None, fence: Any = "token", looks: bool = False) -> Callable[[], list[str]]:
    """A leader that sleeps until another leads, and goes on with what it was at."""

    def story() -> list[str]:
        what = Duty(every=s(0.5), takes=s(0.2), fence=fence, looks=looks)
        rig = Rig(lease, duty=what).start("a").on(0.1).start("b").to(5.1 + 0.5)
        with rig.world.paused("a"):
            rig.next("leading", "b")
            rig.on(10.2)
        rig.on(20.0)
        return [name for name in judged(rig) if name != "one leader"]

    return story


def fenced_at_the_door() -> list[str]:
    """A write of an old leader arrives between the question of the new one and its first write."""
    what = Duty(every=s(2), takes=s(1), fence="token")
    rig = Rig(duty=what).start("a").on(0.1).start("b").to(6.5)  # at work since 6.0
    with rig.world.paused("a"):
        rig.next("leading", "b")
        rig.on(0.1)
    return [name for name in judged(rig.on(20.0)) if name == "effects once"]


def looks_in_time() -> list[str]:
    """A renewal is written at once and answered 4.9 s later, and nothing passes after that."""
    rig = Rig(k8s(15, 14, 2), duty=Duty(every=s(0.1), looks=True)).start("a").to(5.9)
    rig.nodes["b"].chance = lambda timer: 0.5 / 2.4 + 1e-9  # type: ignore[method-assign]
    with rig.slow(rig.store, "a", 4.9):
        rig.to(6.0 + 1e-6)
    rig.start("b").to(6.5)
    with rig.cut("a"):
        rig.to(60.0)
    return [name for name in judged(rig) if name != "one leader"]


def two_clients() -> list[str]:
    """A client of Redis that sleeps for longer than its lease, and goes on; both are awake for a second then."""
    rig = Rig(REDIS).start("a").on(0.1).start("b").to(5.5)
    with rig.world.paused("a"):
        rig.to(11.5)
    rig.on(1.0)
    return [] if sum(overlap.awake for overlap in rig.overlaps()) < 0.5 else ["who is not the owner stops"]


def asleep(seconds: float) -> Callable[[], list[str]]:
    """A client of Redis that sleeps and finds its lease gone, which nobody has taken."""

    def story() -> list[str]:
        rig = Rig(REDIS, ("a",)).start("a").to(5.5)
        with rig.world.paused("a"):
            rig.on(seconds)
        rig.on(5.0)
        return [] if len(rig.seen("leading")) == 2 else ["a lease that has run out is not renewed"]

    return story


def leapt() -> list[str]:
    """A week in which nothing happens."""
    rig = Rig(REDIS).start()
    leap_again_and_again([rig.leases])
    rig.to(7 * 86400.0)
    return [] if len(rig.seen("leading")) == 1 else ["a leap disturbs nobody"]


def late_word() -> list[str]:
    """The answer to a read of long ago, by hand: it says that there was a record that has changed hands since."""
    hand = Hand(lease_world.Candidate(k8s(), NAME, "me", "api"))
    hand.put(held("", duration=1.0))
    hand.mood = "hung"
    hand.start()
    old: Reply = Done(hand.record)
    hand.until(5.0)  # hung up
    hand.put(held("another", transitions=1))
    hand.until(7.0)  # it reads again
    hand.get(Answered(1, old))
    return [] if isinstance(hand.last, Call) and hand.last.n == 2 else ["late answers are ignored"]


# ------------------------------------------------------------------------------------- the list


@dataclass(frozen=True)
class Mutation:
    """A bug, the life in which it shows, and the promises that convict it there."""

    bug: type
    story: Callable[[], list[str]]
    convicts: tuple[str, ...]
    place: str = "Candidate"

    def play(self, bug: bool) -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            if bug:
                planted(self.place, self.bug)(patch)
            return self.story()


STALE, ONCE, ONE, GROW = "no stale effects", "effects once", "one leader", "terms grow"
MUTATIONS = (
    Mutation(ForgetsItsDeadline, cut_off, (ONE,)),
    Mutation(BelievesTheRecord, wrong_clock, (ONE,)),
    Mutation(WritesBlindly, race, (GROW, ONE)),
    Mutation(CallsItselfByItsHost, quick_restart, ("a crash costs the lease",)),
    Mutation(CallsItselfByThePart, calm, (GROW, ONE)),
    Mutation(SeesOnlyTheFirst, calm, (ONE,)),
    Mutation(GoesByItsOwnDuration, unlike_durations, (ONE,)),
    Mutation(ReleasesWithItsName, released, ("a release is taken up at once",)),
    Mutation(DoesNotCountTerms, paused(), (ONCE, GROW)),
    Mutation(TakesTheTokenThatItSees, paused(), (ONCE,)),
    Mutation(LooksFromTheAnswerOn, looks_in_time, (STALE, ONCE)),
    Mutation(HearsEveryAnswer, late_word, ("late answers are ignored",)),
    Mutation(RenewsForAnybody, two_clients, ("who is not the owner stops",), "TtlServer"),
    Mutation(RenewsWhatHasRunOut, asleep(10.0), ("a lease that has run out is not renewed",), "TtlServer"),
    Mutation(GivesEverybodyOneToken, paused(REDIS), (ONCE, GROW), "TtlServer"),
    Mutation(KeepsTheEndInALeap, leapt, ("a leap disturbs nobody",), "TtlServer"),
    Mutation(ForgetsTheQuestions, fenced_at_the_door, (ONCE,), "Resource"),
    Mutation(FencesNobody, paused(), (ONCE, STALE), "Resource"),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug.__name__)
def test_a_planted_bug_is_convicted_and_nobody_is_without_it(mutation: Mutation) -> None:
    found = mutation.play(bug=True)
    assert set(mutation.convicts) <= set(found), f"the bug goes unseen: {found}"
    assert mutation.play(bug=False) == []


def test_every_promise_convicts_somebody() -> None:
    convicting = {name for mutation in MUTATIONS for name in mutation.convicts}
    assert {ONE, ONCE, STALE, GROW} <= convicting


def test_bugs_are_planted_where_the_world_looks() -> None:
    for mutation in MUTATIONS:
        assert issubclass(mutation.bug, getattr(lease_world, mutation.place))
    assert isinstance(candidate(), lease_world.Candidate)
