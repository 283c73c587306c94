"""A store, kubelets that renew their leases, and pure controllers, in continuous time on one heap.

Requests take no time, news takes `lag` seconds, and a pass `pass_takes`. What falls on the same moment happens in the
order it was asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hasim.protocols.api import Bind, Change, Create, Done, ObjectStore, Refused, Reply, Request, Update
from hasim.protocols.reconcile.controller import Backoffs, Controller, Plan
from hasim.protocols.reconcile.objects import Node, NodeLease, Pod, PodTemplate

RENEW_S = 10.0


class NodeWorld:
    """What there is, and what has happened: every change with its time."""

    def __init__(self, pass_takes: float = 0.0, lag: float = 0.0) -> None:
        self.now = 0.0
        self.store = ObjectStore()
        self.changes: list[tuple[float, Change]] = []
        self.controllers: dict[Controller, Backoffs] = {}
        self.caches: dict[Controller, ObjectStore] = {}
        self.refuse: Callable[[Request], bool] = lambda _: False  # what is not done, and not answered
        self.lose: Callable[[Request], bool] = lambda _: False  # what is done, and not answered
        self.pass_takes = pass_takes
        self.lag = lag
        self._alive: dict[str, int] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Do this then."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, do))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, do = heapq.heappop(self._heap)
            do()
        self.now = until

    # ----------------------------------------------------------------------------------- controllers

    def lead(self, controller: Any, first_pass: float = 0.0) -> None:
        """It begins to lead: it hears of all that is there, and its first pass comes after `first_pass` seconds."""
        self.controllers[controller] = Backoffs()
        self.caches[controller] = ObjectStore() if self.lag else self.store
        for kind in (Node, NodeLease, Pod):
            for thing in list(self.store.all(kind)):
                self._news(controller, Change(None, thing))
        if controller.period is not None:
            self.at(self.now + first_pass, lambda: self._next_pass(controller))

    def fall(self, controller: Any) -> None:
        """It is gone, memory and all."""
        del self.controllers[controller]

    def _next_pass(self, controller: Any) -> None:
        if controller in self.controllers:
            self._work(controller, "")
            self.at(self.now + self.pass_takes + controller.period, lambda: self._next_pass(controller))

    def _news(self, controller: Any, change: Change) -> None:
        if controller not in self.controllers:
            return
        cache = self.caches[controller]
        if cache is not self.store:
            cache.restore(change)
        for key in controller.keys(change, cache):
            self.at(self.now, lambda key=key: self._work(controller, key))

    def _work(self, controller: Any, key: str) -> None:
        if controller not in self.controllers:
            return
        plan: Plan = controller.plan(key, self.caches[controller], self.now)
        backoffs = self.controllers[controller]
        for requests in plan.batches:
            replies = [(request, self.ask(request)) for request in requests]
            for request, reply in replies:
                controller.answered(key, request, reply)
            if not all(isinstance(reply, Done) for _, reply in replies):
                self.at(self.now + backoffs.failed(key), lambda: self._work(controller, key))
                return
        backoffs.succeeded(key)
        if plan.again is not None:
            self.at(self.now + plan.again, lambda: self._work(controller, key))

    def ask(self, request: Request) -> Reply | None:
        """What the API server says, if it says anything; everybody hears of the change."""
        if self.refuse(request):
            return None
        reply, change = self.store.apply(request, self.now)
        if change is not None:
            self.changes.append((self.now, change))
            for controller in list(self.controllers):
                if self.lag:
                    self.at(self.now + self.lag, lambda controller=controller: self._news(controller, change))
                else:
                    self._news(controller, change)
        return None if self.lose(request) else reply

    # ----------------------------------------------------------------------------------- nodes and pods

    def boot(self, node: Node, phase: float = 0.0) -> None:
        """The node is there, and its kubelet renews its lease from `phase` seconds on."""
        self.make(replace(node, created=self.now))
        self.make(NodeLease(node.name))
        self.revive(node.name, phase)

    def revive(self, name: str, phase: float = 0.0) -> None:
        """Its kubelet runs (again)."""
        life = self._alive[name] = abs(self._alive.get(name, 0)) + 1
        self.at(self.now + phase, lambda: self._renew(name, life))

    def crash(self, name: str) -> None:
        """Its kubelet is silent."""
        self._alive[name] = -abs(self._alive[name])

    def _renew(self, name: str, life: int) -> None:
        if self._alive[name] == life:
            lease = self.store.get(NodeLease, name)
            assert lease is not None
            self.ask(Update(replace(lease, renewals=lease.renewals + 1)))
            self.at(self.now + RENEW_S, lambda: self._renew(name, life))

    def make(self, thing: Any) -> None:
        """Create it."""
        assert isinstance(self.ask(Create(thing)), Done)

    def pod(self, name: str, node: str | None = None, template: PodTemplate | None = None, **fields: Any) -> None:
        """Create a pod, bound to `node` and ready there if one is given."""
        self.make(Pod(name, template or PodTemplate("app"), created=self.now, **fields))
        if node is not None:
            assert not isinstance(self.ask(Bind(Pod, name, node)), Refused)
            pod = self.store.get(Pod, name)
            assert pod is not None
            self.ask(Update(replace(pod, phase="Running", ready_at=self.now)))

    def when(self, met: Callable[[Change], bool], since: float = 0.0) -> list[float]:
        """When changes of this sort came."""
        return [at for at, change in self.changes if at >= since and met(change)]
