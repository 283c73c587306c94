"""ReplicaSets: as many active pods of one template as there should be.

Source: k/k pkg/controller/replicaset/replica_set.go.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hasim.protocols.api import Change, Create, Delete, Done, Reply, Request
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan, batch
from hasim.protocols.reconcile.expectations import Expectations
from hasim.protocols.reconcile.objects import Pod, ReplicaSet

BURST: Final = 500
"""At most so many pods are created or deleted in one sync (k/k BurstReplicas)."""


class ReplicaSetController:
    """Creates the pods that are missing and deletes those that are too many; a key is the name of a ReplicaSet.

    Its expectations live in this one process. A second instance that is active at the same time knows nothing of them,
    and each creates all that is missing. `name` tells the pods of two instances apart: the n-th pod of the set "web-1"
    is "web-1-<name>-<n>". A process that is started again counts from 1 again, past names that are still taken; give it
    a name of its own where each pod shall have a name of its own for good.
    """

    period: float | None = None

    def __init__(self, name: str) -> None:
        """An instance that has done nothing yet."""
        self.name = name
        self._expectations = Expectations()
        self._numbers: dict[str, int] = {}  # by key: the number of the last pod that was named
        self._creating: dict[str, tuple[tuple[Request, ...], ...]] = {}  # by key: the batches of the last plan

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The set that changed, or the one whose pod did; what was expected of it may have come true."""
        kind, name = change.key
        if kind is ReplicaSet:
            yield name
        elif kind is Pod:
            before, after = change
            owner = (before if after is None else after).owner
            if cache.get(ReplicaSet, owner) is None:
                return
            if after is None or after.deleted is not None:
                self._expectations.deleted(owner, name)
            elif before is None:
                self._expectations.created(owner)
            yield owner

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Create or delete the difference, up to 500 pods; nothing while what was asked for is not seen.

        Kubernetes looks at a key whose expectations have expired when anything happens to it; here at that moment.
        """
        replica_set = cache.get(ReplicaSet, key)
        if replica_set is None:
            self._expectations.forget(key)
            return NOTHING
        wait = self._expectations.wait(key, now)
        if wait > 0:
            return Plan(again=wait)
        pods = [pod for pod in cache.all(Pod) if pod.owner == key and pod.active]
        missing = replica_set.replicas - len(pods)
        if missing > 0:
            return self._create(replica_set, min(missing, BURST), cache, now)
        if missing < 0:
            neighbours = _pods_by_node(replica_set, cache)
            return self._delete(key, victims(pods, neighbours, now, min(-missing, BURST)), now)
        return NOTHING

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """What failed is not expected, nor what was left out because of it.

        A request without an answer counts as failed, as it does in Kubernetes: should it have taken effect after all,
        there is a pod too many until the cache knows of it.
        """
        if isinstance(reply, Done):
            return
        if isinstance(request, Create):
            self._expectations.created(key, 1 + self._left_out(key, request))
        elif isinstance(request, Delete):
            self._expectations.deleted(key, request.name)

    def _create(self, replica_set: ReplicaSet, count: int, cache: Cache, now: float) -> Plan:
        self._expectations.creations(replica_set.name, count, now)
        pods = [
            Pod(self._new_name(replica_set.name, cache), replica_set.template, owner=replica_set.name, created=now)
            for _ in range(count)
        ]
        batches = slow_start([Create(pod) for pod in pods])
        self._creating[replica_set.name] = batches
        return Plan(batches)

    def _delete(self, key: str, pods: Sequence[Pod], now: float) -> Plan:
        names = [pod.name for pod in pods]
        self._expectations.deletions(key, names, now)
        return Plan(batch(Delete(Pod, name) for name in names))

    def _new_name(self, key: str, cache: Cache) -> str:
        while True:
            number = self._numbers[key] = self._numbers.get(key, 0) + 1
            name = f"{key}-{self.name}-{number}"
            if cache.get(Pod, name) is None:
                return name

    def _left_out(self, key: str, failed: Request) -> int:
        """How many creations are in later batches than the one that failed; they are counted with the first to fail."""
        batches = self._creating.get(key, ())
        for number, together in enumerate(batches):
            if failed in together:
                del self._creating[key]
                return sum(map(len, batches[number + 1 :]))
        return 0


def slow_start(requests: Sequence[Request], most: int | None = None) -> tuple[tuple[Request, ...], ...]:
    """Requests in batches of 1, 2, 4, … and at most `most`, so that what all would fail of is met by few.

    Source: slowStartBatch in replica_set.go and in stateful_set_control.go.
    """
    batches, begin, size = [], 0, 1
    while begin < len(requests):
        batches.append(tuple(requests[begin : begin + size]))
        begin, size = begin + size, 2 * size if most is None else min(2 * size, most)
    return tuple(batches)


def victims(pods: Iterable[Pod], neighbours: Counter[str], now: float, count: int) -> list[Pod]:
    """The pods to delete first, `count` of them; `neighbours` is how many related active pods each node has.

    First those on no node, then pending ones, then those that are not ready; then by deletion cost, the lower first;
    then from nodes with more related pods; then by how long they have been ready, on a scale of powers of two: the
    shorter first, and any that are ready about as long in no order; of those ready since the same moment, or not
    ready, the more restarted and then the newer, on the same scale. (k/k controller_utils.go, ActivePodsWithRanks;
    KEP-2185.) Where Kubernetes falls back on the uid, which is random, there stands a checksum.
    """

    def place(pod: Pod) -> tuple[float, ...]:
        since = pod.ready_at
        return (
            pod.node is not None,
            pod.phase != "Pending",
            since is not None,
            pod.deletion_cost,
            -neighbours[pod.node or ""],
            -1 if since is None else _octave(now - since),
            0 if since is None else _lot(repr(since)),
            -pod.restarts,
            _octave(now - pod.created),
            _lot(pod.name),
        )

    return sorted(pods, key=place)[:count]


def _pods_by_node(replica_set: ReplicaSet, cache: Cache) -> Counter[str]:
    """How many active pods of its deployment each node has; its own, if it belongs to none."""
    related = {replica_set.name}
    if replica_set.owner:
        related.update(other.name for other in cache.all(ReplicaSet) if other.owner == replica_set.owner)
    return Counter(pod.node or "" for pod in cache.all(Pod) if pod.active and pod.owner in related)


def _octave(seconds: float) -> int:
    """The whole part of the base-2 logarithm of an age in nanoseconds, -1 for none (k/k logarithmicRankDiff)."""
    nanoseconds = int(seconds * 1e9)
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1


def _lot(text: str) -> int:
    """A number that has nothing to do with the order of the texts, and is the same in every run."""
    return zlib.crc32(text.encode())
