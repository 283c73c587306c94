"""Pods that nobody else will ever remove: on nodes that are gone or given up, or failed too often.

Source: k/k pkg/controller/podgc/gc_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hasim.errors import ModelError
from hasim.protocols.api import Change, Delete, Reply, Request
from hasim.protocols.reconcile.controller import Cache, Plan, batch
from hasim.protocols.reconcile.expectations import TICK_S
from hasim.protocols.reconcile.objects import OUT_OF_SERVICE, Node, Pod

PERIOD_S: Final = 20.0
"""k/k gcCheckPeriod."""
QUARANTINE_S: Final = 40.0
"""k/k quarantineTime: a node must have been missing for so long."""
FAILED_MAX: Final = 12500
"""--terminated-pod-gc-threshold."""


class PodCollector:
    """Every 20 s it deletes by force, without waiting for a kubelet, four sorts of pods.

    - pods that are being deleted on a node which is not ready and has the taint out-of-service;
    - all pods of a node that has been missing for 40 s, as first seen in a pass;
    - pods that are being deleted and are on no node;
    - failed pods beyond `failed_max`, evicted ones first and then the oldest; 0 keeps them all.

    A pod that is removed from the store may still run on a node that lives: whoever takes a node's object away or
    taints it out-of-service says that it does not.
    """

    period: float | None = PERIOD_S

    def __init__(self, failed_max: int = FAILED_MAX) -> None:
        """A collector that has seen no node missing."""
        if failed_max < 0:
            raise ModelError(f"got {failed_max}; at least 0, which keeps all failed pods", "failed_max")
        self.failed_max = failed_max
        self._missing: dict[str, float] = {}  # by node: when it was first found missing

    def keys(self, change: Change, cache: Cache) -> Iterable[str]:
        """None: it looks at everything, and only by the clock."""
        return ()

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Look at all pods once."""
        pods = list(cache.all(Pod))
        gone = self._gone_nodes(pods, cache, now)
        doomed = {pod.name: pod for pod in self._failed_too_many(pods)}
        doomed.update((pod.name, pod) for pod in pods if pod.node in gone or _given_up(pod, cache))
        return Plan(batch(Delete(Pod, name, force=True) for name in doomed))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """What failed is seen again in a later pass."""

    def _gone_nodes(self, pods: list[Pod], cache: Cache, now: float) -> set[str]:
        """The nodes of pods whose quarantine is over; it begins anew for whatever is left of their pods."""
        nodes = dict.fromkeys(pod.node for pod in pods if pod.node is not None)
        self._missing = {node: self._missing.get(node, now) for node in nodes if cache.get(Node, node) is None}
        # The third pass is exactly 40 s after the first; a clock that rounds must not put it off to the fourth.
        gone = {node for node, since in self._missing.items() if now - since >= QUARANTINE_S - TICK_S}
        for node in gone:
            del self._missing[node]
        return gone

    def _failed_too_many(self, pods: list[Pod]) -> list[Pod]:
        failed = [pod for pod in pods if pod.phase == "Failed"]
        surplus = len(failed) - self.failed_max
        if self.failed_max == 0 or surplus <= 0:
            return []
        return sorted(failed, key=lambda pod: (pod.reason != "Evicted", pod.created, pod.name))[:surplus]


def _given_up(pod: Pod, cache: Cache) -> bool:
    """Whether it is being deleted and no kubelet will ever say that it is gone."""
    if pod.deleted is None:
        return False
    if pod.node is None:
        return True
    node = cache.get(Node, pod.node)
    return node is not None and node.ready != "True" and node.tainted(OUT_OF_SERVICE) is not None
