"""A candidate of Kubernetes' leader election, as client-go has it (tools/leaderelection/leaderelection.go).

Rules:

1. A candidate tries at once, and then again and again: `retry_period` and up to 120 % more after each try has ended.
2. A try reads the record. If it says something else than when last seen, the candidate notes the time on its own clock.
   If somebody holds it and its duration has not passed since then, the try has failed. Otherwise the candidate writes
   itself in, over the version that it has read: of several one succeeds.
3. Only the local clock is asked. A new process has seen nothing, so it waits a whole duration even for a record that
   is hours old. The duration is the one that the holder wrote.
4. The leader renews at once, and then `retry_period` after each renewal. A renewal is a write over the version that it
   wrote last; if that fails, a try as in 2. Tries are repeated on a beat of `retry_period`; one that is due during
   another follows it at once. When none succeeds within `renew_deadline` it has lost: it stops leading, and its process
   ends.
5. A leader that is asked to stop stops leading, and with `release` writes the record with no holder: it reads, and
   writes over what it has read if it had seen nobody else's name before that read, whatever the read says. One that
   has lost does so, too, and leads until that is done or has failed.

With `coordinated`, rules 4 to 6 of `hasim.protocols.lease.coordinated` take the place of 2.

A leader that sees another's name in the record goes on until its deadline. No rule fences: what is under way is not
called back, and a request that was sent may take effect after its sender has ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.api import Create, Done, Get, Refused, Reply, Request, Update
from hasim.protocols.lease.messages import Answered, Call, Hangup
from hasim.protocols.lease.record import LeaderRecord
from hasim.protocols.lease.settings import JITTER, Lease

Mode = Literal["waiting", "leading", "losing", "releasing", "over"]
Stage = Literal["renewal", "read", "creation", "write"]

LOST = "leader election lost"
"""Why the process ends when its leader could not renew."""
RELEASED_S = 1.0  # what a record without a holder says its duration is


class Candidate:
    """One candidate, as a pure machine; every life of a process has an identity of its own.

    It hears Started, Received(store, Answered), Unlinked(store) which fails the call under way, Stopping, and the
    timers "retry", "renew", "tick", "deadline" and "timeout". It sends Calls and Hangups, and announces "leading" and
    "stopped leading". `leads`, `token` (the number of its term of office: how often the record has changed hands, from
    1 for the first) and `may_act` are for what runs beside it in the same process.
    """

    def __init__(self, lease: Lease, name: str, identity: str, store: str) -> None:
        """A candidate for the record `name`, which is kept by the node `store`."""
        self.lease = lease
        self.name = name
        self.identity = identity
        self.store = store
        self.mode: Mode = "waiting"
        self.observed: LeaderRecord | None = None
        self.observed_at = 0.0
        self.token = 0  # of the record that it wrote last, not of the one that it sees
        self._tried_at = 0.0
        self._called_at = 0.0
        self._until = 0.0  # by its own clock, when another may have the lease
        self._sent = 0
        self._stage: Stage | None = None  # of the call under way
        self._owed = False  # a tick came during a try

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return self.mode in ("leading", "losing")

    def may_act(self, now: float) -> bool:
        """Whether its lease lasts, by its own clock: a duration since it sent its last renewal, if it saw nobody since.

        So it would for a candidate that saw the renewal as early as can be. client-go does not ask this.
        """
        return self.leads and self.observed is not None and self._is_mine(self.observed) and now < self._until

    def overdue(self, now: float) -> list[Effect]:
        """It has looked at its clock, and the lease is over: client-go goes on trying until its deadline."""
        return []

    def fenced(self, now: float) -> list[Effect]:
        """The resource has refused a write of an old term: nothing that client-go knows of."""
        return []

    def calm(self) -> str | None:
        """Who holds the lease, if all is well as far as this candidate can see."""
        steady = self.mode in ("waiting", "leading") and self._stage in (None, "read", "renewal")
        return (self.observed.holder or None) if steady and self.observed is not None else None

    def skipped(self, by: float) -> None:
        """So many seconds of calm have been left out: what it remembers is that much later."""
        self.observed_at += by
        self._tried_at += by
        self._called_at += by
        self._until += by

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Fired):
            return self._fired(event.timer, now)
        if isinstance(event, Received):
            message = event.message
            if isinstance(message, Answered) and message.n == self._sent and self._stage is not None:
                return [CancelTimer("timeout"), *self._answered(message.reply, now)]
        elif isinstance(event, Unlinked):
            if event.peer == self.store and self._stage is not None:
                return [CancelTimer("timeout"), *self._answered(None, now)]
        elif isinstance(event, Started):
            return self._try(now)
        elif isinstance(event, Stopping):
            return self._stop(now)
        return []

    def _fired(self, timer: str, now: float) -> list[Effect]:
        if timer == "retry" and self.mode == "waiting" and self._stage is None:
            return self._try(now)
        if timer == "renew" and self.mode == "leading":
            return self._begin_to_renew(now)
        if timer == "tick" and self.mode == "leading":
            return self._tick(now)
        if timer == "timeout" and self._stage is not None:
            return [Send(self.store, Hangup(self._sent)), *self._answered(None, now)]
        if timer == "deadline":
            return self._lose(now) if self.mode == "leading" else self._end()
        return []

    # ------------------------------------------------------------------------------------------- tries

    def _try(self, now: float) -> list[Effect]:
        """Take the lease, or renew it."""
        self._tried_at = now
        known = None if self.lease.coordinated else self.observed
        if known is not None and self._is_mine(known) and self._lasts(now):
            return self._call("renewal", Update(self._record(known)), now)
        return self._ask(now)

    def _answered(self, reply: Reply | None, now: float) -> list[Effect]:
        stage, self._stage = self._stage, None
        if self.mode in ("losing", "releasing"):
            return self._release(stage, reply, now)
        if isinstance(reply, Done):
            if stage == "read":
                return self._read(reply.thing, now)
            self._observe(reply.thing, now)
            return self._succeeded(now)
        if stage == "renewal":
            return self._ask(now)
        if stage == "read" and reply == Refused("not found") and not self.lease.coordinated:
            return self._call("creation", Create(self._record(None)), now)
        return self._failed(now)

    def _read(self, record: LeaderRecord, now: float) -> list[Effect]:
        if self.observed is None or record.says() != self.observed.says():
            self._observe(record, now)
        if self.lease.coordinated:
            taken = not self._is_named(record)
        else:
            taken = bool(record.holder) and not self._is_mine(record) and self._lasts(self._tried_at)
        return self._failed(now) if taken else self._call("write", Update(self._record(record)), now)

    def _observe(self, record: LeaderRecord, now: float) -> None:
        self.observed, self.observed_at = record, now

    def _lasts(self, now: float) -> bool:
        assert self.observed is not None
        return self.observed_at + self.observed.duration > now

    def _is_named(self, record: LeaderRecord) -> bool:
        """Whether a controller has given it this lease, which has not run out, and prefers nobody."""
        has_run_out = self.observed_at + record.duration < self._tried_at
        return self._is_mine(record) and not has_run_out and not record.preferred

    def _is_mine(self, record: LeaderRecord) -> bool:
        return record.holder == self.identity

    def _record(self, before: LeaderRecord | None) -> LeaderRecord:
        """The record with this candidate as its holder, over what was there before; it says when the try began."""
        now = self._tried_at
        acquired, transitions, version, strategy = now, 0, 0, ""
        if before is not None:
            mine = self._is_mine(before)
            acquired = before.acquired if mine else now
            transitions = before.transitions + (0 if mine else 1)
            version = before.version
            strategy = before.strategy if self.lease.coordinated else ""
        lasting = self.lease.duration
        return LeaderRecord(self.name, self.identity, lasting, acquired, now, transitions, strategy, version=version)

    def _ask(self, now: float) -> list[Effect]:
        return self._call("read", Get(LeaderRecord, self.name), now)

    def _call(self, stage: Stage, request: Request, now: float) -> list[Effect]:
        self._stage, self._called_at = stage, now
        self._sent += 1
        patience = self.lease.patience
        return [Send(self.store, Call(self._sent, request)), SetTimer("timeout", patience, patience)]

    # ------------------------------------------------------------------------------- how a try has ended

    def _succeeded(self, now: float) -> list[Effect]:
        assert self.observed is not None
        if not self.lease.coordinated:
            self.token = self.observed.transitions + 1
        elif not self.leads:  # who elects does not count, but the versions of the record grow
            self.token = self.observed.version
        self._until = self._called_at + self.lease.duration
        if self.mode == "leading":
            period = self.lease.retry_period
            return [CancelTimer("deadline"), CancelTimer("tick"), SetTimer("renew", period, period)]
        self.mode = "leading"
        return [Announce("leading", {"identity": self.identity, "term": self.token}), *self._begin_to_renew(now)]

    def _failed(self, now: float) -> list[Effect]:
        if self.mode == "waiting":
            period = self.lease.retry_period
            return [SetTimer("retry", period, period * (1 + JITTER))]
        if not self._owed:
            return []
        self._owed = False
        return self._try(now)

    def _begin_to_renew(self, now: float) -> list[Effect]:
        period, deadline = self.lease.retry_period, self.lease.renew_deadline
        self._owed = False
        # The deadline is set first: where both are due at once, client-go sees that its context is over.
        return [SetTimer("deadline", deadline, deadline), SetTimer("tick", period, period), *self._try(now)]

    def _tick(self, now: float) -> list[Effect]:
        """Try once more, or as soon as the try under way has failed: the ticker keeps its beat, and one tick."""
        again = SetTimer("tick", self.lease.retry_period, self.lease.retry_period)
        if self._stage is not None:
            self._owed = True
            return [again]
        return [again, *self._try(now)]

    # -------------------------------------------------------------------------------------------- the end

    def _lose(self, now: float) -> list[Effect]:
        self.mode = "losing"
        return self._give_back(now) if self.lease.release else self._end()

    def _stop(self, now: float) -> list[Effect]:
        if self.mode == "losing":  # what it leads ends at once, what it has asked for goes on
            self.mode = "releasing"
            return self._stopped("asked to stop")
        if self.mode != "leading":
            return self._leave("asked to stop")
        self.mode = "releasing"
        return [*self._stopped("asked to stop"), *(self._give_back(now) if self.lease.release else self._end())]

    def _give_back(self, now: float) -> list[Effect]:
        deadline = self.lease.renew_deadline
        quiet: list[Effect] = [CancelTimer("tick"), CancelTimer("renew"), *self._hang_up()]
        return [*quiet, SetTimer("deadline", deadline, deadline), *self._ask(now)]

    def _release(self, stage: Stage | None, reply: Reply | None, now: float) -> list[Effect]:
        if isinstance(reply, Done) and stage == "read" and self.observed is not None and self._is_mine(self.observed):
            freed = replace(reply.thing, holder="", duration=RELEASED_S, acquired=now, renewed=now)
            return self._call("write", Update(replace(freed, strategy="", preferred="")), now)
        return self._ask(now) if reply == Refused("conflict") else self._end()

    def _end(self) -> list[Effect]:
        """Leave for good; who has lost stops leading only now."""
        if self.mode == "losing":
            ended = self.observed is not None and self.observed.preferred
            return [*self._stopped("end of term" if ended else "could not renew"), *self._leave(LOST)]
        return self._leave("asked to stop")

    def _hang_up(self) -> list[Effect]:
        if self._stage is None:
            return []
        self._stage = None
        return [CancelTimer("timeout"), Send(self.store, Hangup(self._sent))]

    def _stopped(self, why: str) -> list[Effect]:
        return [Announce("stopped leading", {"identity": self.identity, "why": why})]

    def _leave(self, why: str) -> list[Effect]:
        self.mode = "over"
        return [*self._hang_up(), Exit(why)]
