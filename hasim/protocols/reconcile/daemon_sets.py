"""DaemonSets: one pod on every node that takes it, replaced node by node.

Source: k/k pkg/controller/daemon (daemon_controller.go, podsShouldBeOnNode, syncNodes and NodeShouldRunDaemonPod;
update.go, rollingUpdate; util/daemonset_util.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hasim.errors import ModelError
from hasim.protocols.api import Change, Create, Delete, Done, Reply, Request
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan
from hasim.protocols.reconcile.expectations import TICK_S, Expectations
from hasim.protocols.reconcile.objects import (
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    DaemonSet,
    Node,
    Pod,
    PodTemplate,
)
from hasim.protocols.reconcile.replica_sets import BURST, slow_start
from hasim.protocols.reconcile.shares import rounded_up

FAILED_FIRST_S: Final = 1.0
FAILED_CAP_S: Final = 900.0
"""Failed pods of a node are deleted 1 s, 2 s, 4 s, … after one another, at most 15 min (failedPodsBackoff)."""


class DaemonSetController:
    """Gives each node its pod, and replaces pods of another template; a key is the name of a DaemonSet.

    Without surge an old pod is deleted first and its successor made when it has gone, on at most `max_unavailable`
    nodes at a time. Nodes without an available pod count against that, whatever the reason; but an old pod that is not
    available goes at once, since it serves nobody. With surge the successor is made beside the old pod, on at most
    `max_surge` nodes at a time, and the old pod goes once the new one is available, or as soon as it is itself not
    ready. Nothing of a rollout happens in a look that finds a pod to make or delete for another reason, nor until what
    was asked for has been seen.

    Pods are made on their node; Kubernetes makes them for it, and the scheduler has no choice. Where there is no room
    such a pod would stay pending, and here the kubelet fails it and it is made again, ever more rarely. `name` tells
    the pods of two instances apart, as with ReplicaSets. What is to be deleted is asked for with the first pod to make.
    """

    period: float | None = None

    def __init__(self, name: str) -> None:
        """An instance that has done nothing yet."""
        self.name = name
        self._coming = Expectations()
        self._going = Expectations()
        self._numbers: dict[str, int] = {}  # by key: the number of the last pod that was named
        self._asked: dict[str, tuple[tuple[Request, ...], ...]] = {}  # by key: the batches of the last plan
        self._failures: dict[tuple[str, PodTemplate, str], tuple[float, float]] = {}  # wait and time of the last

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The set that changed, or whose pod did, and those that want another thing of a node than before.

        A node that goes calls for nothing: its pods are others' business.
        """
        kind, name = change.key
        if kind is DaemonSet:
            yield name
        elif kind is Pod:
            before, after = change
            owner = (before if after is None else after).owner
            if cache.get(DaemonSet, owner) is None:
                return
            if after is None or after.deleted is not None:
                self._going.deleted(owner, name)
            elif before is None:
                self._coming.created(owner)
            yield owner
        elif kind is Node and change.after is not None:
            for daemon_set in cache.all(DaemonSet):
                then = NO_PLACE if change.before is None else place_for(daemon_set.template, change.before)
                if place_for(daemon_set.template, change.after) != then:
                    yield daemon_set.name

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Make and delete what nodes have too few and too many of, or else go on with the rollout."""
        daemon_set = cache.get(DaemonSet, key)
        if daemon_set is None:
            self._forget(key)
            return NOTHING
        wait = max(self._coming.wait(key, now), self._going.wait(key, now))
        if wait > 0:
            return Plan(again=wait)
        found = _look(daemon_set, cache, now)
        moves, again = self._manage(found)
        if not moves.nodes and not moves.pods:
            moves = _roll(found)
        return Plan(self._batches(found, moves, cache), min((*again, *_until_available(found)), default=None))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """What failed is not expected, nor what was left out because of it."""
        if isinstance(reply, Done):
            return
        if isinstance(request, Create):
            self._coming.created(key)
        elif isinstance(request, Delete):
            self._going.deleted(key, request.name)
        batches = self._asked.get(key, ())
        for number, together in enumerate(batches):
            if request in together:
                del self._asked[key]
                self._coming.created(key, sum(map(len, batches[number + 1 :])))
                return

    def _forget(self, key: str) -> None:
        self._coming.forget(key)
        self._going.forget(key)
        self._failures = {of: failure for of, failure in self._failures.items() if of[0] != key}

    def _manage(self, found: _Found) -> tuple[_Moves, list[float]]:
        """What each node lacks and has too many of, and how long failed pods are left alone (podsShouldBeOnNode)."""
        create: list[str] = []
        delete: list[Pod] = []
        again: list[float] = []
        for name, place in found.places.items():
            pods = found.pods.get(name, [])
            if place.runs and not pods:
                create.append(name)
            elif place.keeps:
                alive, failed = _sorted_out(pods)
                for pod in failed:
                    wait = self._failed(found, name)
                    if wait:
                        again.append(wait)
                    else:
                        delete.append(pod)
                if found.surge and not alive and place.runs:
                    create.append(name)
                delete += _surplus(found, alive)
            else:
                delete += [pod for pod in pods if pod.deleted is None]
        return _Moves(create, delete), again

    def _failed(self, found: _Found, node: str) -> float:
        """0 if a failed pod of the node may be deleted now, which counts as one more; else when to look again."""
        of = (found.daemon_set.name, found.daemon_set.template, node)
        wait, last = self._failures.get(of, (0.0, found.now))
        if found.now - last < wait:
            return wait
        forgotten = wait == 0.0 or found.now - last > 2 * FAILED_CAP_S
        self._failures[of] = (FAILED_FIRST_S if forgotten else min(2 * wait, FAILED_CAP_S), found.now)
        return 0.0

    def _batches(self, found: _Found, moves: _Moves, cache: Cache) -> tuple[tuple[Request, ...], ...]:
        """The requests for so much of it as is asked for at once, and expect it to be seen (syncNodes)."""
        key = found.daemon_set.name
        nodes, pods = moves.nodes[:BURST], moves.pods[:BURST]
        self._coming.creations(key, len(nodes), found.now)
        self._going.deletions(key, [pod.name for pod in pods], found.now)
        made = [
            Create(Pod(self._new_name(key, cache), found.template, owner=key, node=node, created=found.now))
            for node in nodes
        ]
        first, *later = slow_start(made) or ((),)
        together = (*(Delete(Pod, pod.name) for pod in pods), *first)
        self._asked[key] = (together, *later)
        return self._asked[key] if together else ()

    def _new_name(self, key: str, cache: Cache) -> str:
        while True:
            number = self._numbers[key] = self._numbers.get(key, 0) + 1
            name = f"{key}-{self.name}-{number}"
            if cache.get(Pod, name) is None:
                return name


# ---------------------------------------------------------------------------------------- which nodes


class Place(NamedTuple):
    """Whether a node should get a pod that it has not, and whether it may keep one that it has."""

    runs: bool
    keeps: bool


NO_PLACE: Final = Place(runs=False, keeps=False)


def place_for(template: PodTemplate, node: Node) -> Place:
    """What a node is to a DaemonSet, as its taints and the tolerations of the template say.

    Cordons are no hindrance, nor what drives other pods off a node that is not ready or not reached. But for a node
    that is not ready no pod is made: that taint has the effect NoSchedule, too, and only who tolerates it for ever
    comes all the same. A toleration for a while holds for NoExecute alone.
    """
    tolerated = dict(template.tolerates)
    drives_off = {t.key for t in node.taints if t.effect == "NoExecute"} - {NOT_READY, UNREACHABLE, *tolerated}
    keeps_away = {t.key for t in node.taints if t.effect == "NoSchedule" and template.toleration(t.key) is not None}
    keeps = not drives_off
    return Place(keeps and not keeps_away - {UNSCHEDULABLE}, keeps)


def daemon_template(template: PodTemplate) -> PodTemplate:
    """The template as its pods have it: they stay for ever on nodes not ready, not reached, or cordoned.

    (daemonset_util.go, AddOrUpdateDaemonPodTolerations.)
    """
    for_ever = dict.fromkeys((NOT_READY, UNREACHABLE, UNSCHEDULABLE))
    return replace(template, tolerates=tuple({**dict(template.tolerates), **for_ever}.items()))


def daemon_bounds(daemon_set: DaemonSet, nodes: int) -> tuple[int, int]:
    """The surge and what may be unavailable of a DaemonSet on so many nodes, in whole pods; one of them is 0.

    Shares are rounded up, both of them, so that on any nodes at all a rollout can go on. Neither, or both, is a
    ModelError (k/k pkg/apis/apps/validation/validation.go, ValidateRollingUpdateDaemonSet).
    """
    given = daemon_set.max_surge, daemon_set.max_unavailable
    surge, unavailable = rounded_up(given[0], 100, "max_surge"), rounded_up(given[1], 100, "max_unavailable")
    if not surge and not unavailable:
        raise ModelError("got 0, and 0 for max_surge; one of the two is at least 1", "max_unavailable")
    if surge and unavailable:
        raise ModelError(f"got {given[0]!r}, and {given[1]!r} for max_unavailable; one of the two is 0", "max_surge")
    return rounded_up(given[0], nodes, "max_surge"), rounded_up(given[1], nodes, "max_unavailable")


# --------------------------------------------------------------------------------------- what there is


class _Moves(NamedTuple):
    """The nodes to make a pod on, and the pods to delete."""

    nodes: list[str]
    pods: list[Pod]


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a set: what each node is to it, and its pods by node, but for failed ones that are going."""

    daemon_set: DaemonSet
    template: PodTemplate
    places: dict[str, Place]
    pods: dict[str, list[Pod]]
    surge: int
    unavailable: int
    now: float

    @property
    def wanted(self) -> int:
        """On how many nodes there should be a pod."""
        return sum(place.runs for place in self.places.values())

    @property
    def nodes(self) -> list[str]:
        """The nodes that count in a rollout: those that should have a pod, and all that have one."""
        return list(dict.fromkeys([*(name for name, place in self.places.items() if place.runs), *self.pods]))

    def wait(self, pod: Pod) -> float | None:
        """How much longer until a pod is available, in seconds, if it stays ready; None while it is not ready."""
        if pod.ready_at is None:
            return None
        least = self.daemon_set.min_ready
        return max(pod.ready_at + least - self.now, 0.0) if least > 0 else 0.0

    def available(self, pod: Pod) -> bool:
        """Whether it has been ready for at least `min_ready`."""
        return self.wait(pod) == 0.0

    def versions(self, node: str) -> tuple[Pod | None, Pod | None] | None:
        """The new and the old pod of a node, of those that stay; None if there are several of one sort."""
        staying = [pod for pod in self.pods.get(node, []) if pod.deleted is None]
        new = [pod for pod in staying if pod.template == self.template]
        old = [pod for pod in staying if pod.template != self.template]
        if len(new) > 1 or len(old) > 1:
            return None
        return next(iter(new), None), next(iter(old), None)


def _look(daemon_set: DaemonSet, cache: Cache, now: float) -> _Found:
    places = {node.name: place_for(daemon_set.template, node) for node in cache.all(Node)}
    pods: dict[str, list[Pod]] = {}
    for pod in cache.all(Pod):
        over = pod.phase == "Failed" and pod.deleted is not None
        if pod.owner == daemon_set.name and pod.node is not None and not over:
            pods.setdefault(pod.node, []).append(pod)
    surge, unavailable = daemon_bounds(daemon_set, sum(place.runs for place in places.values()))
    return _Found(daemon_set, daemon_template(daemon_set.template), places, pods, surge, unavailable, now)


def _until_available(found: _Found) -> list[float]:
    """When ready pods become available without another change, in seconds from now."""
    waits = (found.wait(pod) for pods in found.pods.values() for pod in pods)
    return [max(wait, TICK_S) for wait in waits if wait]


# ------------------------------------------------------------------------------------------------ moves


def _sorted_out(pods: Sequence[Pod]) -> tuple[list[Pod], list[Pod]]:
    """Of the pods of a node that stay: those that have not failed, the oldest first, and those that have."""
    staying = sorted((pod for pod in pods if pod.deleted is None), key=lambda pod: (pod.created, pod.name))
    return [pod for pod in staying if pod.phase != "Failed"], [pod for pod in staying if pod.phase == "Failed"]


def _surplus(found: _Found, alive: Sequence[Pod]) -> list[Pod]:
    """The pods of a node that are too many: all but the oldest, or with surge all but the oldest of each version.

    With surge the old one is too many as well once it is not ready or the new one is available.
    """
    if not found.surge or len(alive) <= 1:
        return list(alive[1:])
    new = [pod for pod in alive if pod.template == found.template]
    old = [pod for pod in alive if pod.template != found.template]
    surplus = new[1:] + old[1:]
    if new and old and (not old[0].ready or found.available(new[0])):
        surplus.append(old[0])
    return surplus


def _roll(found: _Found) -> _Moves:
    """The next move of a rollout (update.go, rollingUpdate)."""
    return _beside(found) if found.surge else _Moves([], _in_place(found))


def _in_place(found: _Found) -> list[Pod]:
    """The old pods to delete, none of them available, or as many as may be unavailable beside those that are."""
    down, replaceable, candidates = 0, [], []
    for node in found.nodes:
        new, old = found.versions(node) or (None, None)
        if (new is None) == (old is None):  # none, both, or too many: somebody else sees to that
            down += 1
        elif new is not None:
            down += not found.available(new)
        elif old is not None and found.available(old):
            candidates.append(old)
        elif old is not None:
            replaceable.append(old)
            down += 1
    return replaceable + candidates[: max(found.unavailable - down, 0)]


def _beside(found: _Found) -> _Moves:
    """The nodes to make new pods on beside the old ones, and the old pods to delete.

    Where a pod should no longer run, though it may, it is kept until enough others are available.
    """
    surging, available = 0, 0
    delete, leaving = list[Pod](), list[Pod]()
    free, candidates = list[str](), list[str]()
    for node in found.nodes:
        versions = found.versions(node)
        if versions is None:
            surging += 1
            continue
        new, old = versions
        present = old or new
        available += present is not None and found.available(present)
        if old is None:
            continue
        if new is not None:
            if found.available(new):
                delete.append(old)
            else:
                surging += 1
        elif node not in found.places:  # the lister knows no such node, and the whole sync fails
            return _Moves([], [])
        elif found.places[node].runs:
            (candidates if found.available(old) else free).append(node)
        else:
            (leaving if found.available(old) else delete).append(old)
    delete += leaving[: max(available - found.wanted, 0)]
    return _Moves(free + candidates[: max(found.surge - surging, 0)], delete)
