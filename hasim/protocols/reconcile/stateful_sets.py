"""StatefulSets: pods with ordinals, one after another, and never two of the same ordinal.

Source: k/k pkg/controller/statefulset/stateful_set_control.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hasim.protocols.api import Change, Create, Delete, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan, batch
from hasim.protocols.reconcile.objects import Pod, StatefulSet
from hasim.protocols.reconcile.replica_sets import slow_start

BATCH: Final = 500
"""Batches of a parallel set grow to that many pods (MaxBatchSize)."""


class StatefulSetController:
    """Keeps pods "<set>-0" to "<set>-<replicas - 1>"; a key is the name of a StatefulSet.

    In order, a pod is made when all lower ones are ready, and of those too many the highest goes once all others are
    ready. So one pod that never gets ready holds up everything, the return to the good template as well, until somebody
    deletes it. With `parallel` all are made and deleted at once, but templates still change one pod at a time.

    The name is what keeps two pods of an ordinal apart: a pod that is being deleted keeps it, on a node that nobody
    reaches for as long as it takes, and only then is there another. There are no expectations and, as in Kubernetes,
    deletions name no version: a cache that is late by more than a pod takes to go can cost its successor.
    """

    period: float | None = None

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The set that changed, or the one whose pod did."""
        kind, name = change.key
        if kind is StatefulSet:
            yield name
        elif kind is Pod:
            owner = (change.before if change.after is None else change.after).owner
            if cache.get(StatefulSet, owner) is not None:
                yield owner

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """The next step towards all ordinals, no others, and one template from the partition on."""
        stateful_set = cache.get(StatefulSet, key)
        if stateful_set is None:
            return NOTHING
        found = _look(stateful_set, cache)
        batches = _in_parallel(found, now) if stateful_set.parallel else batch(_in_order(found, now))
        return Plan((*batch(_settle(found)), *batches))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Whatever the answer was, the next plan looks at what is."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a set: a pod or none for each ordinal it should have, and those too many from the highest on."""

    stateful_set: StatefulSet
    wanted: dict[int, Pod]
    condemned: list[Pod]

    @property
    def complete(self) -> bool:
        """Whether every ordinal has a pod that serves, and none too many is left."""
        full = len(self.wanted) == self.stateful_set.replicas and not self.condemned
        return full and all(pod.serves for pod in self.wanted.values())


def _look(stateful_set: StatefulSet, cache: Cache) -> _Found:
    by_ordinal: dict[int, Pod] = {}
    for pod in cache.all(Pod):
        ordinal = _ordinal(pod, stateful_set)
        if ordinal is not None:
            by_ordinal[ordinal] = pod
    replicas = stateful_set.replicas
    wanted = {ordinal: pod for ordinal, pod in by_ordinal.items() if ordinal < replicas}
    condemned = [by_ordinal[ordinal] for ordinal in sorted(by_ordinal, reverse=True) if ordinal >= replicas]
    return _Found(stateful_set, wanted, condemned)


def _ordinal(pod: Pod, stateful_set: StatefulSet) -> int | None:
    """The ordinal of a pod of this set; None for any other pod."""
    prefix, _, number = pod.name.rpartition("-")
    mine = pod.owner == stateful_set.name == prefix and number.isascii() and number.isdigit()
    return int(number) if mine and str(int(number)) == number else None


def _settle(found: _Found) -> list[Request]:
    """Write down the template once all pods have it, or when the set is first seen (completeRollingUpdate)."""
    stateful_set = found.stateful_set
    template = stateful_set.template
    if stateful_set.settled == template:
        return []
    ended = found.complete and all(pod.template == template for pod in found.wanted.values())
    return [Update(replace(stateful_set, settled=template))] if ended or stateful_set.settled is None else []


def _in_order(found: _Found, now: float) -> list[Request]:
    """The one thing to do next; nothing while there is a pod to wait for."""
    for ordinal in range(found.stateful_set.replicas):
        pod = found.wanted.get(ordinal)
        if pod is None:
            return [_made(found.stateful_set, ordinal, now)]
        if pod.phase == "Failed":
            return _deleted(pod)
        if not pod.serves:
            return []
    if not found.condemned:
        return _update(found)
    highest = found.condemned[0]
    # Of those too many only the lowest may go without being ready; the others are waited for.
    unhealthy = [pod for pod in found.condemned if not pod.serves]
    return _deleted(highest) if highest.serves or highest is unhealthy[-1] else []


def _in_parallel(found: _Found, now: float) -> tuple[tuple[Request, ...], ...]:
    """What to do, in batches: first all ordinals, then those too many, and one pod of another template."""
    needed: list[Request] = []
    for ordinal in range(found.stateful_set.replicas):
        pod = found.wanted.get(ordinal)
        if pod is None:
            needed.append(_made(found.stateful_set, ordinal, now))
        elif pod.phase == "Failed":
            needed += _deleted(pod)
    surplus = [request for pod in found.condemned for request in _deleted(pod)]
    # Pods that failed are going already; what is deleted for another template is never one of them.
    return (*slow_start(needed, BATCH), *slow_start(surplus, BATCH), *batch(_update(found)))


def _update(found: _Found) -> list[Request]:
    """Delete the highest pod of another template, unless one above it is not ready yet."""
    stateful_set = found.stateful_set
    for ordinal in range(stateful_set.replicas - 1, max(stateful_set.partition, 0) - 1, -1):
        pod = found.wanted.get(ordinal)
        if pod is None or pod.phase == "Failed" or pod.deleted is not None:
            return []
        if pod.template != stateful_set.template:
            return _deleted(pod)
        if not pod.ready:
            return []
    return []


def _made(stateful_set: StatefulSet, ordinal: int, now: float) -> Request:
    settled = stateful_set.settled
    template = settled if settled is not None and ordinal < stateful_set.partition else stateful_set.template
    return Create(Pod(f"{stateful_set.name}-{ordinal}", template, owner=stateful_set.name, created=now))


def _deleted(pod: Pod) -> list[Request]:
    """The request that deletes it; none, if it is being deleted already."""
    return [] if pod.deleted is not None else [Delete(Pod, pod.name)]
