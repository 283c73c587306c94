"""The node lifecycle controller: which nodes have fallen silent, and how fast their pods may be driven off.

A kubelet renews its lease every 10 s. The controller looks every 5 s, and a lease that has changed gives its node a
fresh grace. When the grace is over the node becomes Unknown and is tainted NoSchedule, and its pods become unready,
all in one pass. The next pass queues it for the taint NoExecute, which drives its pods off, and which each zone gives
out at a limited rate. Source: k/k pkg/controller/nodelifecycle/node_lifecycle_controller.go, monitorNodeHealth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from pydantic import Field, field_validator

from hasim.declared import Declared
from hasim.protocols.api import Change, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan, batch
from hasim.protocols.reconcile.objects import NOT_READY, UNREACHABLE, Effect, Node, NodeLease, Pod, Status, Taint
from hasim.protocols.reconcile.zones import ROUNDING_S, State, Zone, state_of
from hasim.units import Count, Seconds, Share

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(\.\d+)?")
_OWN_KEYS: Final = (NOT_READY, UNREACHABLE)
TRY_EVERY_S: Final = 0.1
"""How often a queue is tried (scheduler/rate_limited_queue.go, NodeEvictionPeriod): no zone taints nodes faster."""


class NodeLifecycle(Declared):
    """The flags of kube-controller-manager that decide when a silent node is given up.

    Defaults: k/k pkg/controller/nodelifecycle/config/v1alpha1/defaults.go and cmd/kube-controller-manager/app/options.
    """

    version: str = Field(default="1.34", description="Kubernetes version, like 1.34; it decides what `grace` is.")
    monitor_period: Seconds = Field(
        default=5.0, ge=0.001, description="--node-monitor-period: from the end of a pass to the next; Kubernetes: 5s."
    )
    grace: Seconds | None = Field(
        default=None,
        gt=0,
        description="--node-monitor-grace-period: how long a silent node stays ready; left out: 50s since Kubernetes "
        "1.32 (kubernetes/kubernetes#126287), 40s before.",
    )
    startup_grace: Seconds = Field(
        default=60.0,
        gt=0,
        description="--node-startup-grace-period: the same, before its first lease; Kubernetes: 60s.",
    )
    eviction_rate: float = Field(
        default=0.1,
        ge=0,
        allow_inf_nan=False,
        description="--node-eviction-rate: nodes tainted NoExecute a second in each zone; Kubernetes: 0.1.",
    )
    secondary_eviction_rate: float = Field(
        default=0.01,
        ge=0,
        allow_inf_nan=False,
        description="--secondary-node-eviction-rate: the same in a large zone that is partly down; Kubernetes: 0.01.",
    )
    unhealthy_zone_threshold: Share = Field(
        default=0.55,
        description="--unhealthy-zone-threshold: a zone is partly down from this share of unready nodes on, and from "
        "three of them; Kubernetes: 0.55.",
    )
    large_cluster_size: Count = Field(
        default=50,
        ge=0,
        description="--large-cluster-size-threshold: a zone of up to so many nodes that is partly down is left alone; "
        "Kubernetes: 50.",
    )

    @field_validator("version")
    @classmethod
    def _is_a_version(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise ValueError(f"got {version!r}; a Kubernetes version is like '1.34' or 'v1.34.2'")
        return version

    @property
    def grace_period(self) -> float:
        """How long a silent node stays ready, in seconds."""
        if self.grace is not None:
            return self.grace
        found = _VERSION.fullmatch(self.version)
        assert found is not None, self.version
        return 50.0 if (int(found[1]), int(found[2])) >= (1, 32) else 40.0

    def rate(self, state: State, size: int) -> float:
        """How many nodes a second are tainted in a zone of `size` nodes that is in this state, while another lives."""
        if state == "PartialDisruption":
            return self.secondary_eviction_rate if size > self.large_cluster_size else 0.0
        return self.eviction_rate


@dataclass(slots=True)
class _Health:
    """What the controller remembers of a node: since when it counts its grace, and the lease it saw last."""

    created: float
    probe: float  # seconds of the controller's own clock
    lease: NodeLease | None


class NodeLifecycleController:
    """The controller's memory and its passes; a new one knows nothing, and so gives every node a whole grace.

    What it sees for the first time it takes for reachable and clears of NoExecute (monitorNodeHealth, `added`): after
    a change of leaders, evictions that were under way begin again.

    The key "" is a pass. A key "zone z" gives out a zone's next token between passes. Zones without nodes are
    forgotten; nodes without a zone make up one. While all nodes of all zones are unready, nobody is evicted: the fault
    is then more likely the control plane's. What is a kubelet's own word, Ready False, is tainted as not ready, and
    stands until the kubelet takes it back.
    """

    def __init__(self, settings: NodeLifecycle) -> None:
        """A controller that has just begun to lead."""
        self.settings = settings
        self._health: dict[str, _Health] = {}
        self._zones: dict[str, Zone] = {}
        self._pods_to_mark: dict[str, None] = {}  # nodes that became Unknown, until none of their pods is ready

    @property
    def period(self) -> float | None:
        """From the end of a pass to the next, in seconds."""
        return self.settings.monitor_period

    @property
    def zone_states(self) -> dict[str, State]:
        """The state of each zone, as of the last pass."""
        return {name: zone.state for name, zone in self._zones.items()}

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The zone of a node that changed, if others there wait: their token may be due before the next pass."""
        node = change.before if change.after is None else change.after
        if isinstance(node, Node) and node.zone in self._zones and self._zones[node.zone].queue:
            yield f"zone {node.zone}"

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """A pass over all nodes, for ""; the next taint of a zone, for "zone z"."""
        if not key:
            return self._pass(cache, now)
        zone = self._zones.get(key.removeprefix("zone "))
        if zone is None:
            return NOTHING
        tainted = self._emit(zone, lambda name: cache.get(Node, name), now)
        wait = zone.bucket.wait(now) if zone.queue else math.inf
        return Plan(batch(Update(node) for node in tainted), None if wait == math.inf else max(wait, TRY_EVERY_S))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Nothing: what failed is found undone by the next pass; a taint that failed has cost its token (Try)."""

    # --------------------------------------------------------------------------------------------- a pass

    def _pass(self, cache: Cache, now: float) -> Plan:
        nodes = list(cache.all(Node))
        self._meet(nodes, now)
        after = {node.name: self._judged(node, cache.get(NodeLease, node.name), now) for node in nodes}
        self._handle_disruption(after, now)
        for zone in self._zones.values():
            after.update((node.name, node) for node in self._emit(zone, after.get, now))
        written = (Update(after[node.name]) for node in nodes if after[node.name] != node)
        return Plan(batch(written) + batch(self._unready(cache)))

    def _meet(self, nodes: list[Node], now: float) -> None:
        """Forget nodes and zones that are gone; zones that are new begin at the normal rate."""
        known, zones = {node.name for node in nodes}, {node.zone for node in nodes}
        self._health = {name: health for name, health in self._health.items() if name in known}
        self._pods_to_mark = {name: None for name in self._pods_to_mark if name in known}
        self._zones = {name: zone for name, zone in self._zones.items() if name in zones}
        for node in nodes:
            if node.zone not in self._zones:
                self._zones[node.zone] = Zone(self.settings.eviction_rate, now)

    def _judged(self, node: Node, lease: NodeLease | None, now: float) -> Node:
        """The node as this pass leaves it, but for NoExecute, which it is queued for."""
        health, zone = self._health.get(node.name), self._zones[node.zone]
        if health is None or health.created != node.created:
            self._health[node.name] = _Health(node.created, now, lease)
            ready, seen = node.ready, _cleared(node, "NoExecute")
        else:
            ready, seen = self._ready(node, health, lease, now), node
        if ready == "True":
            zone.queue.pop(node.name, None)
            self._pods_to_mark.pop(node.name, None)
            return seen if seen.ready == ready and not seen.taints else replace(_cleared(seen), ready=ready)
        if node.ready == "True":
            self._pods_to_mark[node.name] = None
        after = _tainted(replace(seen, ready=ready), "NoSchedule", now)
        if _evicted(seen):  # it has waited for its token; only the key may change
            return _tainted(after, "NoExecute", now)
        if node.ready != "True":  # it has been unready since an earlier pass
            zone.queue.setdefault(node.name)
        return after

    def _ready(self, node: Node, health: _Health, lease: NodeLease | None, now: float) -> Status:
        """Whether the node is ready; a sign of life takes Unknown back, silence beyond the grace brings it."""
        if lease is not None and lease != health.lease:
            first = health.lease is None  # a lease never seen before may be an old one
            health.lease, health.probe = lease, now
            return "True" if node.ready == "Unknown" and not first else node.ready
        grace = self.settings.startup_grace if health.lease is None else self.settings.grace_period
        # The real pass takes its time, and so comes after the end of a grace of whole periods, never just before.
        return "Unknown" if now - health.probe >= grace - ROUNDING_S else node.ready

    def _unready(self, cache: Cache) -> Iterator[Update]:
        """Mark the pods of the nodes that became Unknown; those of which no pod is ready are done with."""
        if not self._pods_to_mark:
            return
        pods = [pod for pod in cache.all(Pod) if pod.ready and pod.node in self._pods_to_mark]
        self._pods_to_mark = {pod.node: None for pod in pods if pod.node is not None}
        for pod in pods:
            yield Update(replace(pod, ready_at=None))

    # --------------------------------------------------------------------------------------------- zones

    def _handle_disruption(self, nodes: dict[str, Node], now: float) -> None:
        """Settle the states of the zones, and with them the rates; `nodes` lose NoExecute if all are unready."""
        counts = {name: [0, 0] for name in self._zones}
        for node in nodes.values():
            counts[node.zone][node.ready != "True"] += 1
        threshold = self.settings.unhealthy_zone_threshold
        states = {name: state_of(ready, unready, threshold) for name, (ready, unready) in counts.items()}
        all_are = all(state == "FullDisruption" for state in states.values())
        all_were = all(zone.state == "FullDisruption" for zone in self._zones.values())
        if all_are and all_were:  # also where there are no nodes
            return
        if all_were:
            for health in self._health.values():
                health.probe = now
        for name, zone in self._zones.items():
            if all_are:
                zone.limit(0.0, now)
            elif all_were or zone.state != states[name]:
                zone.limit(self.settings.rate(states[name], sum(counts[name])), now)
            zone.state = states[name]
        if all_are:
            nodes.update((name, _cleared(node, "NoExecute")) for name, node in nodes.items())

    def _emit(self, zone: Zone, node_of: Callable[[str], Node | None], now: float) -> list[Node]:
        """Taint those first in the queue NoExecute, as far as there are tokens; who needs none any more costs one."""
        tainted = []
        while zone.queue and zone.bucket.take(now):
            name = next(iter(zone.queue))
            del zone.queue[name]
            node = node_of(name)
            if node is not None and node.ready != "True" and not _evicted(node):
                tainted.append(_tainted(node, "NoExecute", now))
        return tainted


def _evicted(node: Node) -> bool:
    """Whether this controller has tainted the node NoExecute."""
    return any(node.tainted(key, "NoExecute") for key in _OWN_KEYS)


def _cleared(node: Node, effect: Effect | None = None) -> Node:
    """The node without this controller's taints (of this effect)."""
    kept = tuple(t for t in node.taints if t.key not in _OWN_KEYS or effect not in (None, t.effect))
    return node if kept == node.taints else replace(node, taints=kept)


def _tainted(node: Node, effect: Effect, now: float) -> Node:
    """The unready node with the taint of this effect that fits its status, and without the other one."""
    key = UNREACHABLE if node.ready == "Unknown" else NOT_READY
    if node.tainted(key, effect):
        return node
    return replace(node, taints=(*_cleared(node, effect).taints, Taint(key, effect, now)))
