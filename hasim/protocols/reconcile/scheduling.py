"""The scheduler: it binds pods to nodes one at a time, the most urgent first.

It knows the nodes from its cache and its own binds before the cache does, but not another scheduler's: two of them
never bind one pod twice, since the store refuses the second Bind, but they may both fill the last place of a node.
Sources: k/k pkg/scheduler/schedule_one.go, and backend/queue for who waits how long. There is no preemption.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from hasim.protocols.api import Bind, Change, Done, Reply, Request
from hasim.protocols.reconcile.controller import Cache, Plan, batch
from hasim.protocols.reconcile.objects import Node, Pod, PodTemplate
from hasim.protocols.reconcile.placing import Occupancy, place
from hasim.protocols.reconcile.zones import ROUNDING_S

BACKOFF_FIRST_S: Final = 1.0
BACKOFF_CAP_S: Final = 10.0
"""A pod that failed n times waits 1 s · 2^(n-1), at most 10 s (DefaultPodInitialBackoffDuration, …MaxBackoff…)."""
FLUSH_S: Final = 300.0
"""A pod that fits nowhere is tried again after that, even if nothing happened (DefaultPodMaxInUnschedulablePods…)."""


@dataclass(slots=True)
class _Pending:
    """A pod without a node, and where it is in the queue; `number` is the order of creation, as far as known."""

    template: PodTemplate
    number: int
    place: Literal["active", "backing off", "unschedulable", "assumed"] = "active"
    tries: int = 0
    tried: float = 0.0  # when it was tried last, in seconds of the scheduler's own clock
    unfit: bool = False  # whether the last try found no node for it

    @property
    def rank(self) -> tuple[int, int]:
        """Who is lower is first in line."""
        return -self.template.priority, self.number

    @property
    def due(self) -> float:
        """When it is tried again, if it waits."""
        if self.place == "backing off":
            return self.tried + min(BACKOFF_FIRST_S * 2.0 ** min(self.tries - 1, 10), BACKOFF_CAP_S)
        return self.tried + FLUSH_S

    @property
    def waits(self) -> bool:
        """Whether it has been tried in vain, and is not in line."""
        return self.place in ("backing off", "unschedulable")


class Scheduler:
    """A scheduler's queue and what it assumes; a new one knows nothing.

    Its keys are names of pods that have no node yet, those called for together by priority, then by age. A key is a
    turn rather than a pod: whoever is first in line when it comes up is placed, so that priority holds in a backlog.

    A pod that fits nowhere is tried again after its back-off once a node or a pod has changed in a way that could
    help. One whose Bind was refused or not answered is no longer assumed to be on its node, and tried again after its
    back-off.
    """

    def __init__(self, name: str = "default-scheduler") -> None:
        """A scheduler that has just begun; `name` tells it from others."""
        self.name = name
        self._began = False
        self._occupancy = Occupancy()
        self._pending: dict[str, _Pending] = {}
        self._parked: dict[str, None] = {}  # the unschedulable that nothing has given hope to
        self._line: list[tuple[int, int, str]] = []  # a heap; may hold some who have left
        self._count = 0
        self._owed: dict[str, list[str]] = {}  # by key: the others that were tried in vain in its turns
        self._released = False  # room that was assumed to be taken is free again, and nobody has been told

    @property
    def period(self) -> float | None:
        """None: it only follows changes."""
        return None

    @property
    def unschedulable(self) -> tuple[str, ...]:
        """The names of the pods that fitted nowhere when they were last tried, the most urgent first."""
        return tuple(self._in_order(name for name, pod in self._pending.items() if pod.unfit))

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """A pod that came without a node, and those that fitted nowhere, if the change could help them."""
        called = self._begin(cache)
        thing = change.before if change.after is None else change.after
        if isinstance(thing, Pod):
            called += self._heard(thing.name, change.after)
        anyone, app = self._released or _makes_room(change), _moved(change)
        self._released = False
        for name in list(self._parked):
            template = self._pending[name].template
            if anyone or (template.must_spread and template.app == app):
                self._pending[name].place = "backing off"
                del self._parked[name]
                called.append(name)
        yield from self._in_order(name for name in called if name in self._pending)

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Bind whoever is first in line; look again when one that was tried in vain in this key's turns is due."""
        self._begin(cache)
        mine = dict.fromkeys((key, *self._owed.pop(key, ())))
        for name, pod in self._waiting(mine):
            if pod.due <= now + ROUNDING_S:
                self._line_up(name, pod)
        bind, in_vain = self._place_first(cache, now)
        mine.update(dict.fromkeys(in_vain))
        due = {name: pod.due for name, pod in self._waiting(mine)}
        others = [name for name in due if name != key]
        if others:
            self._owed[key] = others
        return Plan(batch(bind), min(due.values()) - now if due else None)

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Forget what was assumed of a pod that could not be bound; the key comes again for it."""
        pod = self._pending.get(request.name) if isinstance(request, Bind) else None
        if pod is None or isinstance(reply, Done) or pod.place != "assumed":
            return
        assert isinstance(request, Bind)
        pod.place = "backing off"
        self._occupancy.drop(request.name)
        self._released = True
        self._owed.setdefault(key, []).append(request.name)

    # --------------------------------------------------------------------------------------------- the queue

    def _begin(self, cache: Cache) -> list[str]:
        """Take in what the cache holds already; the names of those without a node."""
        if self._began:
            return []
        self._began = True
        return [name for pod in cache.all(Pod) for name in self._heard(pod.name, pod)]

    def _heard(self, name: str, pod: Pod | None) -> list[str]:
        """News of a pod; its name, if it has just come into the line."""
        if pod is None or not _waits(pod):
            self._pending.pop(name, None)
            self._parked.pop(name, None)
            if pod is None:
                self._occupancy.drop(name)
            else:
                self._occupancy.put(pod)
            return []
        if name in self._pending:
            return []
        self._count += 1
        self._pending[name] = _Pending(pod.template, self._count)
        self._line_up(name, self._pending[name])
        return [name]

    def _line_up(self, name: str, pod: _Pending) -> None:
        pod.place = "active"
        self._parked.pop(name, None)
        heapq.heappush(self._line, (*pod.rank, name))

    def _in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: self._pending[name].rank)

    def _waiting(self, names: Iterable[str]) -> list[tuple[str, _Pending]]:
        """Those of these pods that wait to be tried again."""
        found = ((name, self._pending.get(name)) for name in names)
        return [(name, pod) for name, pod in found if pod is not None and pod.waits]

    def _place_first(self, cache: Cache, now: float) -> tuple[list[Bind], list[str]]:
        """The Bind of the first in line who fits anywhere, and the names of those before it, who are parked."""
        in_vain: list[str] = []
        nodes = list(cache.all(Node)) if self._line else []
        while self._line:
            _, number, name = heapq.heappop(self._line)
            waiting, pod = self._pending.get(name), cache.get(Pod, name)
            if waiting is None or waiting.number != number or pod is None:
                continue  # it has left the line
            waiting.tries, waiting.tried = waiting.tries + 1, now
            node = place(pod, nodes, self._occupancy)
            waiting.unfit = node is None
            if node is not None:
                waiting.place = "assumed"
                self._occupancy.put(replace(pod, node=node))
                return [Bind(Pod, name, node)], in_vain
            waiting.place = "unschedulable"
            self._parked[name] = None
            in_vain.append(name)
        return [], in_vain


def _waits(pod: Pod) -> bool:
    """Whether the pod is for a scheduler."""
    return pod.node is None and pod.deleted is None and pod.phase == "Pending"


def _makes_room(change: Change) -> bool:
    """Whether any pod could fit for it: a node came, went or changed, or a pod left one (EventsToRegister)."""
    before, after = change
    if isinstance(before, Pod):
        return before.lingers and not (after is not None and after.lingers)
    if isinstance(before, Node) and isinstance(after, Node):  # a mere change of status moves no pod
        return replace(before, ready=after.ready, version=after.version) != after
    return isinstance(before, Node) or isinstance(after, Node)


def _moved(change: Change) -> str | None:
    """The app of a pod that came to a node or began to leave it, which shifts what its hard spread allows."""
    before, after = change
    if not isinstance(after, Pod) or after.node is None:
        return None
    same = isinstance(before, Pod) and (before.node, before.deleted) == (after.node, after.deleted)
    return None if same else after.template.app
