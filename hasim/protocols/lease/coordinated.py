"""A candidate that leaves it to the API servers who leads (KEP-4355), as client-go has it.

Rules, of tools/leaderelection/leasecandidate.go (1 to 3) and of tryCoordinatedRenew in leaderelection.go (4 to 6):

1. Each process writes an object that says that it is a candidate and of which versions it is, and renews that every
   5 minutes.
2. It watches this object. When somebody has pinged it, later than it was last renewed, the candidate renews it at
   once; and if its own clock is so slow that this is no answer yet, again and again until it is.
3. A write that has failed is made again, after 5 ms, and each time after twice as long, up to 1000 s. A broken watch is
   begun again after 0.8 to 1.6 s, and each time after twice as long, up to 30 to 60 s.
4. It looks at the record as any candidate does, but takes it neither where there is none, nor where nobody holds it,
   nor when it has run out. When the record names it, it renews it, and leads.
5. Each renewal reads the record first. A leader that finds somebody preferred renews no more: its term ends when its
   deadline has passed, and its process with it.
6. It does not renew a record that it has not seen change for longer than that lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from hasim.machine import (
    CancelTimer,
    Effect,
    Event,
    Fired,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.api import Create, Refused, Reply, Request, Update
from hasim.protocols.lease.candidate import Candidate
from hasim.protocols.lease.messages import Answered, Call, Watch, Watched
from hasim.protocols.lease.settings import Lease

LINE: Final = " candidacy"
RENEWAL: Final = "candidacy renewal"
RETRY: Final = "candidacy retry"
REWATCH: Final = "candidacy watch"

RENEWED_EVERY_S: Final = 300.0
"""leasecandidate.go, requeueInterval."""
RETRY_FIRST_S: Final = 0.005
RETRY_MOST_S: Final = 1000.0
"""client-go util/workqueue, DefaultTypedControllerRateLimiter."""
SLOW_CLOCK_S: Final = 1 / 20
"""Nothing but the limit on a client's requests slows it down then; kube-controller-manager has --kube-api-qps=20."""
REWATCH_FIRST_S: Final = 0.8
REWATCH_MOST_S: Final = 30.0
"""client-go tools/cache/reflector.go, NewReflector: twice as long each time, and up to 100 % more by chance."""


@dataclass(frozen=True, slots=True)
class LeaseCandidate:
    """An object of coordination.k8s.io/v1beta1: somebody would lead; `name` is the identity of its process.

    `lease` is what it would hold. `renewed` is the candidate's clock, `pinged` that of whoever asks if it is there.
    """

    name: str
    lease: str
    binary: str
    emulation: str
    renewed: float
    pinged: float | None = None
    version: int = 0

    @property
    def has_answered(self) -> bool:
        """Whether it was renewed at its last ping or later, as far as the two clocks agree."""
        return self.pinged is None or self.renewed >= self.pinged

    def later(self, by: float) -> LeaseCandidate:
        """The same, so many seconds later."""
        pinged = None if self.pinged is None else self.pinged + by
        return replace(self, renewed=self.renewed + by, pinged=pinged)


class Candidacy:
    """The object of one process, and who keeps it: rules 1 to 3, as a pure machine.

    It hears Started, Received(store, Watched or Answered), Unlinked(store), Stopping, and its three timers. It sends
    Watches, and Calls on a line of its own, for which it waits as long as the connection lasts.
    """

    def __init__(self, candidate: LeaseCandidate, store: str) -> None:
        """A candidacy that has not been declared; `candidate` says what it will be."""
        self.candidate = candidate
        self.store = store
        self._known: LeaseCandidate | None = None
        self._watch_is: Literal["none", "asked", "on"] = "none"
        self._declared = False  # it has begun: the first write follows the first look
        self._heard: float | None = None  # the ping that it has begun to answer
        self._sent = 0
        self._pending = False
        self._again = False  # it was pinged while a write was under way
        self._due = False  # the next renewal is set; an answer to a ping does not put it off
        self._tries = 0
        self._looks = 0
        self._over = False

    @property
    def is_calm(self) -> bool:
        """Whether nothing but the next renewal is to come."""
        answered = self._known is not None and self._known.has_answered
        return answered and self._due and self._watch_is == "on" and not self._pending and self._tries == 0

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out: what it remembers is that much later."""
        if self._known is not None:
            self._known = self._known.later(by)
        self._heard = None

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if self._over:
            return []
        if isinstance(event, Received):
            message = event.message
            if isinstance(message, Watched):  # it may be of the process that was here before
                return self._watched(message.thing, now) if message.name == self.candidate.name else []
            if isinstance(message, Answered) and message.n == self._sent and self._pending:
                return self._answered(message.reply, now)
        elif isinstance(event, Fired):
            if event.timer == REWATCH:
                return self._watch()
            if event.timer == RENEWAL:
                self._due = False
            return self._renew(now)
        elif isinstance(event, Unlinked):
            return self._broken(now)
        elif isinstance(event, Started):
            return self._watch()
        elif isinstance(event, Stopping):
            self._over = True
            return [CancelTimer(timer) for timer in (RENEWAL, RETRY, REWATCH)]
        return []

    def _watch(self) -> list[Effect]:
        self._watch_is = "asked"
        return [Send(self.store, Watch(self.candidate.name))]

    def _watched(self, thing: LeaseCandidate | None, now: float) -> list[Effect]:
        self._watch_is, self._looks = "on", 0
        self._learn(thing)
        if not self._declared:
            self._declared = True
            return self._renew(now)
        known = self._known
        if known is None or known.has_answered:
            return []
        if known.pinged == self._heard:  # its answer was earlier than the ping
            return [SetTimer(RETRY, SLOW_CLOCK_S, SLOW_CLOCK_S)]
        self._heard = known.pinged
        return self._renew(now)

    def _learn(self, thing: LeaseCandidate | None) -> None:
        """What it hears in answer to a write and by its watch may come in any order."""
        if thing is None or self._known is None or thing.version > self._known.version:
            self._known = thing

    def _renew(self, now: float) -> list[Effect]:
        """Write the object over what is known of it, or anew."""
        if self._pending:
            self._again = True
            return []
        self._pending = True
        self._sent += 1
        renewed = replace(self.candidate if self._known is None else self._known, renewed=now)
        request: Request = Create(renewed) if self._known is None else Update(renewed)
        return [Send(self.store, Call(self._sent, request, LINE))]

    def _answered(self, reply: Reply, now: float) -> list[Effect]:
        if isinstance(reply, Refused):
            return self._failed(now)
        self._learn(reply.thing)
        self._pending, self._tries = False, 0
        known = self._known
        is_slow = known is not None and not known.has_answered
        effects: list[Effect] = [SetTimer(RETRY, SLOW_CLOCK_S, SLOW_CLOCK_S) if is_slow else CancelTimer(RETRY)]
        if not self._due:
            self._due = True
            effects.append(SetTimer(RENEWAL, RENEWED_EVERY_S, RENEWED_EVERY_S))
        if self._again:
            self._again = False
            effects += self._renew(now)
        return effects

    def _failed(self, now: float) -> list[Effect]:
        self._pending = False
        if self._again:
            self._again = False
            return self._renew(now)
        wait = min(RETRY_FIRST_S * 2.0**self._tries, RETRY_MOST_S)
        self._tries = min(self._tries + 1, 60)  # more would not fit into a float some day
        return [SetTimer(RETRY, wait, wait)]

    def _broken(self, now: float) -> list[Effect]:
        effects = self._failed(now) if self._pending else []
        if self._watch_is == "none":
            return effects
        self._watch_is = "none"
        wait = min(REWATCH_FIRST_S * 2.0**self._looks, REWATCH_MOST_S)
        self._looks = min(self._looks + 1, 60)
        return [*effects, SetTimer(REWATCH, wait, 2 * wait)]


class CoordinatedCandidate:
    """A candidate and its candidacy in one process, as a pure machine.

    See Candidate for what it hears, sends and announces, and for what runs beside it.
    """

    def __init__(self, lease: Lease, name: str, identity: str, store: str, version: str) -> None:
        """A candidate of this emulation version, and binary of the same, for the record `name` at the node `store`."""
        self.candidate = Candidate(lease, name, identity, store)
        self.candidacy = Candidacy(LeaseCandidate(identity, name, version, version, 0.0), store)
        self.identity = identity

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return self.candidate.leads

    @property
    def token(self) -> int:
        """The version of the record at the beginning of its term: the controller does not count changes of hands."""
        return self.candidate.token

    def may_act(self, now: float) -> bool:
        """Whether its lease lasts, by its own clock."""
        return self.candidate.may_act(now)

    def overdue(self, now: float) -> list[Effect]:
        """It goes on trying until its deadline."""
        return self.candidate.overdue(now)

    def fenced(self, now: float) -> list[Effect]:
        """Nothing that client-go knows of."""
        return self.candidate.fenced(now)

    def calm(self) -> str | None:
        """Who holds the lease, if all is well as far as this candidate can see."""
        return self.candidate.calm() if self.candidacy.is_calm else None

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out."""
        self.candidate.skipped(by)
        self.candidacy.skipped(by)

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order: those of the candidacy first, which may be the last."""
        if isinstance(event, Received) and isinstance(event.message, Watched | Answered):
            line = event.message.line if isinstance(event.message, Answered) else LINE
            return (self.candidacy if line == LINE else self.candidate).step(event, now)
        if isinstance(event, Fired):
            mine = event.timer in (RENEWAL, RETRY, REWATCH)
            return (self.candidacy if mine else self.candidate).step(event, now)
        return [*self.candidacy.step(event, now), *self.candidate.step(event, now)]
