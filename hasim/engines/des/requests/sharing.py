"""A replica whose requests share its processors: nobody waits, everybody is slower."""

from __future__ import annotations

import heapq
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from hasim.engines.des.requests.exchange import Exchange, Job
from hasim.engines.des.requests.replica import Replica
from hasim.results.outcomes import ERROR, SHED

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment
    from hasim.model.serving import Serving
    from hasim.streams import Streams


class SharingReplica(Replica):
    """Processor sharing: n requests on c processors each go at the speed min(1, c/n).

    A clock of work done runs at that speed; a request is finished when the clock has gone on by its service time. Only
    the next one to finish has an event in the heap, numbered, so that an outdated one is known by its number.
    """

    def __init__(
        self, env: LeapingEnvironment, name: str, index: int, serving: Serving, streams: Streams, note: Any
    ) -> None:
        super().__init__(env, name, index, serving, streams, note)
        self._clock = 0.0  # seconds of work that each of those present has had
        self._at = env._now
        self._heap: list[tuple[float, int, Job]] = []  # what the clock will show when each is finished
        self._speed = 0.0
        self._beat = 0
        self._numbers = 0

    def take(self, exchange: Exchange) -> None:
        job = exchange.job = Job(exchange, self._rings)
        if self._frozen:  # the kernel has it, until the process looks
            self._waiting.append(job)
        else:
            self._enter(job)

    def _enter(self, job: Job) -> None:
        if len(self._jobs) < self._limit:
            self._start(job)
        elif job.exchange is not None:
            job.exchange.front.answered(job.exchange, SHED)

    def _start(self, job: Job) -> None:
        self._jobs[job] = None
        if self._error_share and self._chance.random() < self._error_share:
            job.code = ERROR
        if not self.needs_up and self._needs(job):
            self._block(job)
        else:
            self._work(job, next(self._takes))

    def _work(self, job: Job, lasting: float) -> None:
        self._advance()
        self._numbers += 1
        heapq.heappush(self._heap, (self._clock + lasting * self._slowness(), self._numbers, job))
        self._set_pace()

    def _advance(self) -> None:
        now = self.env._now
        self._clock += (now - self._at) * self._speed
        self._at = now

    def _set_pace(self) -> None:
        """Work out the speed anew, and when the next one is finished."""
        while self._heap and self._heap[0][2].dead:
            heapq.heappop(self._heap)
        working = len(self._jobs) - len(self._blocked)
        self._speed = 0.0 if self._frozen or not working else min(1.0, self.slots / working)
        self._beat += 1  # whatever was due is due at another time now, or not at all
        if self._heap and self._speed:
            finish = self._heap[0][0]
            at = self._at + max(0.0, finish - self._clock) / self._speed
            bell = _Bell(self._ring_out, self._beat)
            self.env.push((at, 1, self.env.number(), bell))  # type: ignore[arg-type]

    def _ring_out(self, bell: _Bell) -> None:
        if bell.beat != self._beat:
            return
        self._advance()
        _, _, job = heapq.heappop(self._heap)
        job.finish = -inf
        self._done(job)
        self._advance()
        self._set_pace()

    def freeze(self) -> int:
        if not self.running:
            return -1
        self._advance()
        self._frozen += 1
        self._set_pace()
        return self._process

    def thaw(self, process: int) -> None:
        if process != self._process:
            return
        self._advance()
        self._frozen -= 1
        self._set_pace()
        if not self._frozen:
            came, self._waiting = self._waiting, deque()
            for job in came:
                if not job.dead:
                    self._enter(job)
            self._answer_checks()
            if self.closing:
                self._leave_if_idle()

    def _die(self, heard: bool) -> None:
        self._heap.clear()
        self._beat += 1
        super()._die(heard)
        self._advance()
        self._set_pace()


class _Bell:
    """The event of the next completion, void if the pace has changed since."""

    __slots__ = ("beat", "callbacks")

    def __init__(self, ring: Any, beat: int) -> None:
        self.beat = beat
        self.callbacks = (ring,)
