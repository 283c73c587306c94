"""A process of the control plane that leads: its cache, its loops, and how fast it may ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hasim.engines.des.kubernetes.api import Answer, Api
from hasim.engines.des.kubernetes.informer import Informer
from hasim.engines.des.kubernetes.loop import Loop
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, ObjectStore, Reply, Request
from hasim.protocols.reconcile.controller import Controller


class Pace(NamedTuple):
    """How many requests a second a client makes, after a first burst (client-go, QPS and Burst)."""

    qps: float
    burst: int


CONTROLLERS_PACE = Pace(20.0, 30)  # k/k pkg/controller/apis/config
SCHEDULER_PACE = Pace(50.0, 100)  # component-base, and the scheduler's clientConnection


class ControlProcess:
    """The loops of one process from when it begins to lead to when it stops: memory and cache end with it.

    While it is frozen nothing is taken up, and what arrives waits.
    """

    def __init__(
        self, api: Api, name: str, kinds: tuple[type, ...], controllers: Sequence[Controller], pace: Pace
    ) -> None:
        self.api = api
        self.env = api.env
        self.name = name
        self.alive = True
        self.frozen = False
        self.informer = Informer(name, kinds, self._tell)
        self.loops = [Loop(self, controller) for controller in controllers]
        self._pace = pace
        self._free_at = api.env._now - pace.burst / pace.qps  # a bucket of tokens, as the time up to which it is used
        self._held: list[Callable[[], None]] = []
        self._knows = False
        self._close = api.watch(self)

    @property
    def awake(self) -> bool:
        """Whether it does anything."""
        return self.alive and not self.frozen and self._knows

    def end(self) -> None:
        """It leads no longer; what it asked for is not called back."""
        self.alive = False
        self._close()

    def freeze(self) -> None:
        """Do nothing for a while."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on with what came meanwhile."""
        self.frozen = False
        held, self._held = self._held, []
        for call in held:
            call()
        for loop in self.loops:
            loop.go_on()

    def ask(self, request: Request, answer: Answer) -> None:
        """Ask the API, as soon as the pace allows."""
        now = self.env._now
        self._free_at = max(self._free_at, now - self._pace.burst / self._pace.qps) + 1.0 / self._pace.qps
        wait = max(0.0, self._free_at - now)

        def heard(reply: Reply | None) -> None:
            self._when_awake(lambda: answer(reply))

        def send() -> None:
            if self.alive:
                self.api.ask(self.name, request, heard)

        if wait:
            Alarm(self.env, now + wait, send)
        else:
            send()

    # What it watches.

    def wants(self, change: Change) -> bool:
        """Whether its cache follows such objects."""
        return self.informer.wants(change)

    def hear(self, change: Change) -> None:
        """News, for the cache and then for the loops."""
        self._when_awake(lambda: self.informer.hear(change))

    def resync(self, store: ObjectStore) -> None:
        """The whole list; with the first the loops begin."""
        self._when_awake(lambda: self._take_in(store))

    def _take_in(self, store: ObjectStore) -> None:
        began, self._knows = self._knows, False  # nothing is taken up before the whole list is in
        self.informer.resync(store)
        self._knows = True
        for loop in self.loops:
            if not began:
                loop.begin()
            loop.go_on()

    def _tell(self, change: Change) -> None:
        for loop in self.loops:
            loop.hear(change)

    def _when_awake(self, call: Callable[[], None]) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._held.append(call)
        else:
            call()
