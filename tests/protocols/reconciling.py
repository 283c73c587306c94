"""A small deterministic world for controllers: a store, caches that lag behind it, work queues, and kubelets that obey.

It is to a `Controller` what an engine is, without clocks that differ, networks and crashes: everything happens at
an exact time, in the order in which it was asked for. A client of the store is `do`; a controller is added with the
delay of its watches.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from hasim.protocols.api import Bind, Change, Create, Delete, Done, ObjectStore, Refused, Reply, Request, Update
from hasim.protocols.reconcile.controller import Backoffs, Controller, Plan
from hasim.protocols.reconcile.objects import Pod

T = TypeVar("T")


class Copy:
    """A cache: what the changes heard so far add up to, in order of creation."""

    def __init__(self, *things: Any) -> None:
        self._things: dict[type, dict[str, Any]] = {}
        for thing in things:
            self.hear(Change(None, thing))

    def get(self, kind: type[T], name: str) -> T | None:
        return self._things.get(kind, {}).get(name)

    def all(self, kind: type[T]) -> Iterator[T]:
        yield from self._things.get(kind, {}).values()

    def hear(self, change: Change) -> None:
        kind, name = change.key
        if change.after is None:
            self._things.get(kind, {}).pop(name, None)
        else:
            self._things.setdefault(kind, {})[name] = change.after


class Loop:
    """One controller at work: its cache, its queue, and its back-offs. Each key is worked on by one at a time."""

    def __init__(self, world: Reconciling, controller: Controller, delay: float) -> None:
        self.world, self.controller, self.delay = world, controller, delay
        self.cache = Copy()
        self.backoffs = Backoffs()
        self.alive = True
        self.syncs = 0
        self.asked: list[tuple[float, Request, Reply | None]] = []
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._due: dict[str, float] = {}

    def crash(self) -> None:
        """It hears and asks nothing any more; what it has asked for takes its course."""
        self.alive = False

    def hear(self, change: Change) -> None:
        if self.alive:
            self.cache.hear(change)
            for key in self.controller.keys(change, self.cache):
                self.enqueue(key)

    def enqueue(self, key: str) -> None:
        if key not in self._queued:
            self._queued.add(key)
            if key not in self._busy:
                self.world.after(0.0, lambda: self._work(key))

    def _enqueue_after(self, key: str, wait: float) -> None:
        due = self.world.now + wait
        if due < self._due.get(key, float("inf")):  # of several, the earliest counts
            self._due[key] = due
            self.world.after(wait, lambda: self._is_due(key, due))

    def _is_due(self, key: str, due: float) -> None:
        if self._due.get(key) == due:
            del self._due[key]
            self.enqueue(key)

    def _work(self, key: str) -> None:
        if not self.alive:
            return
        self._queued.discard(key)
        self._busy.add(key)
        self.syncs += 1
        self._carry_out(key, self.controller.plan(key, self.cache, self.world.now), 0)

    def _carry_out(self, key: str, plan: Plan, number: int) -> None:
        if number == len(plan.batches):
            self._done(key, plan, failed=False)
        elif self.world.latency:
            self.world.after(self.world.latency, lambda: self._batch(key, plan, number))
        else:
            self._batch(key, plan, number)

    def _batch(self, key: str, plan: Plan, number: int) -> None:
        failed = False
        for request in plan.batches[number]:
            reply = self.world.answer(request)
            self.asked.append((self.world.now, request, reply))
            self.controller.answered(key, request, reply)
            failed = failed or not isinstance(reply, Done)
        if failed:
            self._done(key, plan, failed=True)
        else:
            self._carry_out(key, plan, number + 1)

    def _done(self, key: str, plan: Plan, failed: bool) -> None:
        self._busy.discard(key)
        if failed:
            self._enqueue_after(key, self.backoffs.failed(key))
        else:
            self.backoffs.succeeded(key)
            if plan.again is not None:
                self._enqueue_after(key, plan.again)
        if key == "" and self.controller.period is not None:
            self._enqueue_after(key, self.controller.period)
        if key in self._queued:
            self.world.after(0.0, lambda: self._work(key))


class Reconciling:
    """The store and everybody who works on it. Times are in seconds; `latency` is what each batch of requests takes.

    `refuse` may refuse a request of a controller, as a quota does; `lose` may lose the answer to one.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.store = ObjectStore()
        self.now = 0.0
        self.latency = latency
        self.loops: list[Loop] = []
        self.changes: list[tuple[float, Change]] = []
        self.refuse: Callable[[Request], Refused | None] = lambda request: None
        self.lose: Callable[[Request], bool] = lambda request: False
        self.watch: list[Callable[[Change], None]] = []  # at once, before anybody else
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0

    def after(self, wait: float, action: Callable[[], None]) -> None:
        """Do this later; of two things due at one time, the one asked for first."""
        self._asked += 1
        heapq.heappush(self._heap, (self.now + wait, self._asked, action))

    def run(self, until: float) -> None:
        """Let everything happen that is due up to this time."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until

    def add(self, controller: Controller, delay: float = 0.01) -> Loop:
        """Start a controller: it lists what there is, and hears of changes after `delay`."""
        loop = Loop(self, controller, delay)
        self.loops.append(loop)
        kinds: list[Any] = list(self.store._things)
        for kind in kinds:
            for thing in self.store.all(kind):
                self._tell(loop, Change(None, thing))
        if controller.period is not None:
            self.after(delay, lambda: loop.enqueue(""))
        return loop

    def do(self, request: Request) -> Reply:
        """A request that is carried out at once."""
        reply, change = self.store.apply(request, self.now)
        if change is not None:
            self.changes.append((self.now, change))
            for watcher in self.watch:
                watcher(change)
            for loop in self.loops:
                self._tell(loop, change)
        return reply

    def _tell(self, loop: Loop, change: Change) -> None:
        self.after(loop.delay, lambda: loop.hear(change))

    def answer(self, request: Request) -> Reply | None:
        """What a controller hears."""
        refused = self.refuse(request)
        if refused is not None:
            return refused
        reply = self.do(request)
        return None if self.lose(request) else reply

    def create(self, *things: Any) -> None:
        for thing in things:
            assert isinstance(self.do(Create(thing)), Done)

    def change(self, kind: type, name: str, **fields: Any) -> None:
        """Write some fields of an object."""
        found: Any = self.store.get(kind, name)
        assert found is not None
        assert isinstance(self.do(Update(replace(found, **fields))), Done)

    def pods(self, owner: str | None = None) -> list[Pod]:
        """The pods in the store, of one owner or of all, in order of creation."""
        return [pod for pod in self.store.all(Pod) if owner in (None, pod.owner)]

    def active(self, owner: str | None = None) -> list[Pod]:
        return [pod for pod in self.pods(owner) if pod.active]


class Kubelets:
    """They bind each new pod to the next node, get it ready, and let it go when it is deleted.

    `starts` says after how many seconds a pod is ready, `drains` after how many it has gone; None: never.
    """

    def __init__(
        self,
        world: Reconciling,
        starts: Callable[[Pod], float | None] = lambda pod: 1.0,
        drains: Callable[[Pod], float | None] = lambda pod: 1.0,
        nodes: tuple[str, ...] = ("n1", "n2", "n3"),
    ) -> None:
        self.world, self.starts, self.drains, self.nodes = world, starts, drains, nodes
        self._bound = 0
        world.watch.append(self._hear)

    def _hear(self, change: Change) -> None:
        if change.key[0] is not Pod or change.after is None:
            return
        before, pod = change
        if before is None and pod.node is None:
            self.world.after(0.0, lambda: self._bind(pod))
        if pod.node is not None and (before is None or before.node is None) and pod.phase == "Pending":
            self._later(pod, self.starts(pod), self._ready)
        if pod.deleted is not None and (before is None or before.deleted is None):
            self._later(pod, self.drains(pod), self._gone)

    def _later(self, pod: Pod, wait: float | None, action: Callable[[Pod], None]) -> None:
        if wait is not None:
            self.world.after(wait, lambda: self._if_same(pod, action))

    def _if_same(self, pod: Pod, action: Callable[[Pod], None]) -> None:
        found = self.world.store.get(Pod, pod.name)
        if found is not None and found.created == pod.created:  # and not its successor of the same name
            action(found)

    def _bind(self, pod: Pod) -> None:
        node = self.nodes[self._bound % len(self.nodes)]
        if isinstance(self.world.do(Bind(Pod, pod.name, node)), Done):
            self._bound += 1

    def _ready(self, pod: Pod) -> None:
        if pod.active:
            self.world.do(Update(replace(pod, phase="Running", ready_at=self.world.now)))

    def _gone(self, pod: Pod) -> None:
        self.world.do(Delete(Pod, pod.name, force=True))
