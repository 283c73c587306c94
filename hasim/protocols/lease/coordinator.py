"""The controller in the API servers that picks the leader among candidates (KEP-4355), as Kubernetes has it.

Rules (k/k pkg/controlplane/controller/leaderelection/leaderelection_controller.go and election.go):

1. It looks whenever the lease or a candidate has changed, and 5 s after it last looked in vain; not again without such
   a change where there are no candidates, or none that answers. Candidates not renewed for 30 minutes are none, and
   deleted.
2. An election is needed where there is no lease, nobody holds it, or it has run out: its duration has passed since the
   time that its holder wrote, by the controller's own clock. It is needed, too, when the best of all candidates is
   another than the holder, and when one was not renewed for 15 minutes.
3. Then it pings all that were not renewed in the last 5 s; who has not answered a ping yet is not pinged again.
4. It waits until all have answered, or 5 s. Of those renewed in the last 5 s it picks the best: the oldest emulation
   version, then the oldest binary version, then the oldest candidate.
5. It makes the lease, or writes over the version that it has seen: a lease that nobody holds or that has run out gets
   the best for its holder, for 5 s. In a lease of somebody else's that lasts it says who is preferred. It does not
   count how often a lease changes hands.

Of several controllers one is active, by a lease of its own. Should two be, they see the same and do the same, and of
two writes over one version the store refuses the second.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from hasim.machine import Announce, Effect, Event, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.api import Change, Create, Delete, ObjectStore, Request, Update
from hasim.protocols.lease.coordinated import LeaseCandidate
from hasim.protocols.lease.messages import Watch, Watched
from hasim.protocols.lease.record import LeaderRecord

STRATEGY: Final = "OldestEmulationVersion"
PING_WAIT_S: Final = 5.0
AGAIN_S: Final = 5.0
WRITTEN_S: Final = 5.0
"""leaderelection_controller.go, electionDuration, defaultRequeueInterval and defaultLeaseDurationSeconds."""
VALID_S: Final = 1800.0
"""The same, leaseCandidateValidDuration."""
GRAIN_S: Final = 1e-6
"""Times in objects are whole microseconds (apimachinery meta/v1, MicroTime), and so closer ones are the same."""

LOOK: Final = "election look"
WRITE: Final = "election write"


def version_of(text: str) -> tuple[int, int, int]:
    """Numbers of a version, which "1.34" and "1.34.0" have the same; ValueError if that is none.

    Source: blang/semver ParseTolerant, for the final versions that components say.
    """
    numbers = [int(number) if number.isascii() and number.isdigit() else -1 for number in text.split(".")]
    if len(numbers) > 3 or min(numbers) < 0:
        raise ValueError(f"{text!r} is no version")
    major, minor, patch = (*numbers, 0, 0)[:3]
    return major, minor, patch


class Step(NamedTuple):
    """What a look at the store leads to: what to write, and whether to look again some time later."""

    requests: tuple[Request, ...] = ()
    again: bool = True


def look(store: ObjectStore, name: str, now: float) -> Step:
    """What is to be done about the lease of this name at `now`, in seconds of the controller's clock."""
    candidates = candidates_for(store, name, now)
    gone = tuple(Delete(LeaseCandidate, one.name) for one in store.all(LeaseCandidate) if _is_gone(one, now))
    step = _step(store.get(LeaderRecord, name), name, candidates, now) if candidates else Step(again=False)
    return Step((*step.requests, *gone), step.again)


def _step(lease: LeaderRecord | None, name: str, candidates: list[LeaseCandidate], now: float) -> Step:
    if not _is_needed(lease, candidates, now):
        return Step()
    pings = tuple(Update(replace(one, pinged=now)) for one in candidates if _is_to_be_pinged(one, now))
    if pings or any(_is_awaited(one, now) for one in candidates):
        return Step(pings)
    here = [one for one in candidates if _within(one.renewed, PING_WAIT_S, now)]
    if not here:
        return Step(again=False)
    return Step(_elected(lease, name, best(here).name, now))


def candidates_for(store: ObjectStore, name: str, now: float) -> list[LeaseCandidate]:
    """Candidates for the lease that were renewed lately enough, in order of their age: the oldest first."""
    return [one for one in store.all(LeaseCandidate) if one.lease == name and not _is_gone(one, now)]


def best(candidates: Collection[LeaseCandidate]) -> LeaseCandidate:
    """The one of the oldest emulation version, then of the oldest binary, then the oldest, which comes first."""
    return min(candidates, key=lambda one: (_version(one.emulation), _version(one.binary)))


def runs_out(lease: LeaderRecord, now: float) -> bool:
    """Whether the lease has run out at `now`, by the time that its holder wrote."""
    return _has_passed(lease.renewed, lease.duration, now)


_version = lru_cache(maxsize=256)(version_of)


def _is_gone(one: LeaseCandidate, now: float) -> bool:
    return _has_passed(one.renewed, VALID_S, now)


def _is_needed(lease: LeaderRecord | None, candidates: Collection[LeaseCandidate], now: float) -> bool:
    if lease is None or not lease.holder or runs_out(lease, now):
        return True
    if any(_has_passed(one.renewed, VALID_S / 2, now) for one in candidates):
        return True
    return best(candidates).name != lease.holder


def _is_awaited(one: LeaseCandidate, now: float) -> bool:
    return one.pinged is not None and not one.has_answered and _within(one.pinged, PING_WAIT_S, now)


def _is_to_be_pinged(one: LeaseCandidate, now: float) -> bool:
    if _within(one.renewed, PING_WAIT_S, now):
        return False
    return one.pinged is None or (one.has_answered and not _within(one.pinged, PING_WAIT_S, now))


def _elected(lease: LeaderRecord | None, name: str, electee: str, now: float) -> tuple[Request, ...]:
    """What makes him the leader, or asks the leader to go."""
    if lease is None:
        return (Create(LeaderRecord(name, electee, WRITTEN_S, now, now, strategy=STRATEGY)),)
    after = replace(lease, strategy=STRATEGY)
    if not lease.holder or (runs_out(lease, now) and lease.holder != electee):
        after = replace(after, holder=electee, duration=WRITTEN_S, acquired=now, renewed=now, preferred="")
    elif lease.holder != electee:
        after = replace(after, preferred=electee)
    return () if after == lease else (Update(after),)


def _within(then: float, span: float, now: float) -> bool:
    """Whether less than so many seconds have passed."""
    return then + span - now >= GRAIN_S


def _has_passed(then: float, span: float, now: float) -> bool:
    """Whether more than so many seconds have passed."""
    return now - then - span >= GRAIN_S


def later(store: ObjectStore, by: float) -> ObjectStore:
    """A store of the same objects, with what leases and candidates say of times so many seconds later."""
    other = store.copy()
    for lease in store.all(LeaderRecord):
        other.restore(Change(lease, replace(lease, acquired=lease.acquired + by, renewed=lease.renewed + by)))
    for one in store.all(LeaseCandidate):
        other.restore(Change(one, one.later(by)))
    other.version = store.version
    return other


class Coordinator:
    """The controller in the process of a server, beside its store: whoever owns both steps both.

    It reads the store as it is, and writes `low` to `high` seconds after a look. It tells whoever watches a candidate
    of every change. It hears Started, Received(candidate, Watch), Unlinked(candidate), its two timers, and of changes.
    """

    def __init__(self, name: str, low: float, high: float) -> None:
        """A controller for the lease `name`; times in seconds."""
        self.name = name
        self.low, self.high = low, high
        self._watchers: dict[str, str] = {}  # of each candidate: the node of its process
        self._writes: tuple[Request, ...] = ()
        self._sets_off = False  # when it has written, the next look is to be set
        self._owed = False  # something has changed while it was writing
        self._is_set = False  # the next look without any change; nothing puts it off

    def is_calm(self, store: ObjectStore, identities: Collection[str]) -> bool:
        """Whether the leader is the best of the candidates, and these are the processes of these identities."""
        lease = store.get(LeaderRecord, self.name)
        candidates = list(store.all(LeaseCandidate))
        if self._writes or lease is None or lease.preferred or {one.name for one in candidates} != set(identities):
            return False
        answered = all(one.has_answered for one in candidates)
        return answered and bool(candidates) and best(candidates).name == lease.holder

    def hears(self, event: Event) -> bool:
        """Whether an event is for the controller alone."""
        if isinstance(event, Fired):
            return event.timer in (LOOK, WRITE)
        return isinstance(event, Received) and isinstance(event.message, Watch)

    def step(self, event: Event, store: ObjectStore, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; what it writes is in the store, and saved."""
        if isinstance(event, Fired):
            if event.timer == WRITE:
                return self._write(store, now)
            if event.timer == LOOK:
                self._is_set = False
                return self._look(store, now)
        elif isinstance(event, Received):
            if isinstance(event.message, Watch):
                name = event.message.name
                self._forget(event.sender)  # a process that has ended there without a word
                self._watchers[name] = event.sender
                return [Send(event.sender, Watched(name, store.get(LeaseCandidate, name)))]
        elif isinstance(event, Unlinked):
            self._forget(event.peer)
        elif isinstance(event, Started):
            return self._look(store, now)
        return []

    def _forget(self, node: str) -> None:
        self._watchers = {name: where for name, where in self._watchers.items() if where != node}

    def changed(self, change: Change, store: ObjectStore, now: float) -> list[Effect]:
        """Something has been written: tell who watches it, and look."""
        effects: list[Effect] = []
        kind, name = change.key
        if kind is LeaseCandidate:
            if name in self._watchers:
                effects.append(Send(self._watchers[name], Watched(name, change.after)))
        elif (kind, name) != (LeaderRecord, self.name):
            return effects
        return [*effects, *self._look(store, now)]

    def _look(self, store: ObjectStore, now: float) -> list[Effect]:
        if self._writes:
            self._owed = True
            return []
        step = look(store, self.name, now)
        if step.requests:
            self._writes, self._sets_off = step.requests, step.again
            return [SetTimer(WRITE, self.low, self.high)]
        return self._set_off() if step.again else []

    def _set_off(self) -> list[Effect]:
        if self._is_set:
            return []
        self._is_set = True
        return [SetTimer(LOOK, AGAIN_S, AGAIN_S)]

    def _write(self, store: ObjectStore, now: float) -> list[Effect]:
        """Write all; what is refused has been written by somebody else meanwhile, and that leads to another look."""
        effects: list[Effect] = []
        for request in self._writes:
            change = store.apply(request, now)[1]
            if change is not None:
                effects += [Save(change), *_said(change), *self.changed(change, store, now)]
        self._writes = ()
        if self._sets_off:
            effects += self._set_off()
        if self._owed:
            self._owed = False
            effects += self._look(store, now)
        return effects


def _said(change: Change) -> list[Effect]:
    """What of it is worth a fact: who was elected, and who was asked to go, for whom."""
    after = change.after
    if not isinstance(after, LeaderRecord):
        return []
    if after.preferred:
        return [Announce("asked to go", {"identity": after.holder, "for": after.preferred})]
    return [Announce("elected", {"identity": after.holder})]
