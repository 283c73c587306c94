"""Where a pod may run, and where best: kube-scheduler's filters and scores, as far as they decide about availability.

Filters: cordons and taints, room for CPU and pods, anti-affinity by host, hard topology spread. Scores, with the
weights of k/k pkg/scheduler/apis/config/v1/default_plugins.go: soft spread (PodTopologySpread, 2) and free CPU
(NodeResourcesFit, LeastAllocated, 1). All nodes are looked at; the real one samples those of more than a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from hasim.protocols.reconcile.admission import shortage
from hasim.protocols.reconcile.objects import UNSCHEDULABLE, Node, Pod

Level = Literal["zone", "host"]
Group = tuple[Literal["here", "apart", "app", "owner"], str]
Constraint = tuple[Level, int, Group]
"""Over what pods are spread, with how much skew, and which pods count."""

MAX_SCORE: Final = 100
SPREAD_WEIGHT: Final = 2
UNSTATED_CPU: Final = 100
"""Millicores that a pod which asks for none counts as in scores (pkg/scheduler/util, DefaultMilliCPURequest)."""
HOST_SKEW: Final = 3
ZONE_SKEW: Final = 5
"""Soft spread of pods that declare none (podtopologyspread/plugin.go, systemDefaultConstraints)."""


class Occupancy:
    """What stands on the nodes, kept up pod by pod: how many pods, their CPU, and how many of each group.

    Terminating pods take room and repel others of their app, but do not count for spread (countPodsMatchSelector).
    """

    __slots__ = ("_asked", "_cpu", "_groups", "_here", "_pods")

    def __init__(self) -> None:
        """Nothing stands anywhere."""
        self._here: dict[str, Pod] = {}  # each pod as it was counted
        self._pods: dict[str, int] = {}
        self._cpu: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._groups: dict[Group, dict[str, int]] = {}

    def put(self, pod: Pod) -> None:
        """Count the pod where it is now, if it is anywhere, and no longer where it was."""
        self.drop(pod.name)
        if pod.lingers:
            self._here[pod.name] = pod
            self._count(pod, 1)

    def drop(self, name: str) -> None:
        """Count the pod of this name no longer."""
        before = self._here.pop(name, None)
        if before is not None:
            self._count(before, -1)

    def pods(self, node: str) -> int:
        """How many pods stand on the node."""
        return self._pods.get(node, 0)

    def cpu(self, node: str) -> int:
        """How much CPU they ask for, in millicores."""
        return self._cpu.get(node, 0)

    def asked(self, node: str) -> int:
        """The same for scores, where a pod that asks for none counts as if it did."""
        return self._asked.get(node, 0)

    def of(self, group: Group) -> Mapping[str, int]:
        """How many pods of a group stand on each node that has any."""
        return self._groups.get(group, {})

    def _count(self, pod: Pod, sign: int) -> None:
        assert pod.node is not None
        cpu = pod.template.cpu
        _bump(self._pods, pod.node, sign)
        _bump(self._cpu, pod.node, sign * cpu)
        _bump(self._asked, pod.node, sign * (cpu or UNSTATED_CPU))
        groups: list[Group] = [("here", pod.template.app)]
        if pod.template.apart:
            groups.append(("apart", pod.template.app))
        if pod.deleted is None:
            groups += [("app", pod.template.app), ("owner", pod.owner)]
        for group in groups:
            _bump(self._groups.setdefault(group, {}), pod.node, sign)


def place(pod: Pod, nodes: Sequence[Node], occupancy: Occupancy) -> str | None:
    """The name of the node that the pod should run on; None if it fits nowhere. Of equals, the first by name."""
    held = _held_by_spread(pod, nodes, occupancy)
    fitting = [node for node in nodes if node.name not in held and _fits(pod, node, occupancy)]
    if not fitting:
        return None
    spread = _spread_scores(pod, nodes, fitting, occupancy)
    score = {node.name: SPREAD_WEIGHT * spread[node.name] + _least_allocated(pod, node, occupancy) for node in fitting}
    return min(score, key=lambda name: (-score[name], name))


# ------------------------------------------------------------------------------------------------ filters


def _fits(pod: Pod, node: Node, occupancy: Occupancy) -> bool:
    template = pod.template
    if node.unschedulable and template.toleration(UNSCHEDULABLE) is not None:
        return False
    # Who tolerates a taint for a while stays for a while, but does not come.
    if any(template.toleration(taint.key) is not None for taint in node.taints):
        return False
    if shortage(node, occupancy.pods(node.name), occupancy.cpu(node.name), pod):
        return False
    # Anti-affinity is mutual: pods that want to be apart keep others of the app off, too (InterPodAffinity).
    repelling: Group = ("here" if template.apart else "apart", template.app)
    return node.name not in occupancy.of(repelling)


def _held_by_spread(pod: Pod, nodes: Iterable[Node], occupancy: Occupancy) -> set[str]:
    """The names of the nodes where the pod would break its hard spread (podtopologyspread/filtering.go).

    Tainted and dead nodes are domains like others (nodeTaintsPolicy Ignore): a zone that is lost counts as empty for
    as long as its nodes are known, and holds the others down.
    """
    template = pod.template
    if template.spread is None or not template.must_spread:
        return set()
    domains = {node.name: _domain(node, template.spread) for node in nodes}
    counts = _counts(domains, occupancy.of(("app", template.app)))
    least = min(counts.values(), default=0)
    return {
        name for name, domain in domains.items() if domain is None or counts[domain] + 1 - least > template.max_skew
    }


# ------------------------------------------------------------------------------------------------- scores


def _spread_scores(pod: Pod, nodes: Iterable[Node], fitting: Sequence[Node], occupancy: Occupancy) -> dict[str, int]:
    """0 to 100 for each fitting node, the more the fewer like pods are near (podtopologyspread/scoring.go)."""
    declared = pod.template.spread is not None
    raw = dict.fromkeys((node.name for node in fitting), 0.0)
    constraints = _soft(pod)
    if not constraints:
        return dict.fromkeys(raw, 0)
    ignored: set[str] = set()
    for level, skew, group in constraints:
        near = {_domain(node, level) for node in fitting}
        domains = {node.name: domain for node in nodes if (domain := _domain(node, level)) in near}
        if declared:
            ignored |= {name for name in raw if domains[name] is None}
        counts = _counts(domains, occupancy.of(group))
        weight = math.log(len(near - {None} if declared else near) + 2)
        for name in raw:
            domain = domains[name]
            raw[name] += 0.0 if domain is None else counts[domain] * weight + skew - 1
    rounded = {name: math.floor(score + 0.5) for name, score in raw.items() if name not in ignored}
    most, least = max(rounded.values(), default=0), min(rounded.values(), default=0)
    return {
        name: 0 if name in ignored else MAX_SCORE * (most + least - rounded[name]) // most if most else MAX_SCORE
        for name in raw
    }


def _soft(pod: Pod) -> list[Constraint]:
    """The soft constraints: the pod's own, or the cluster's default over pods of the same owner (DefaultSelector)."""
    template = pod.template
    if template.spread is not None:
        return [] if template.must_spread else [(template.spread, template.max_skew, ("app", template.app))]
    like: Group = ("owner", pod.owner) if pod.owner else ("app", template.app)
    return [("host", HOST_SKEW, like), ("zone", ZONE_SKEW, like)]


def _least_allocated(pod: Pod, node: Node, occupancy: Occupancy) -> int:
    """0 to 100: what would be left of the node's CPU (noderesources/least_allocated.go)."""
    left = node.cpu - occupancy.asked(node.name) - (pod.template.cpu or UNSTATED_CPU)
    return left * MAX_SCORE // node.cpu if node.cpu and left > 0 else 0


def _domain(node: Node, level: Level) -> str | None:
    """The host or the zone of a node; None if it has no zone."""
    return node.name if level == "host" else node.zone or None


def _counts(domains: Mapping[str, str | None], pods: Mapping[str, int]) -> dict[str, int]:
    """How many of the pods stand in each domain; `domains` has the domain of each node, `pods` the pods on it."""
    counts: dict[str, int] = {}
    for name, domain in domains.items():
        if domain is not None:
            counts[domain] = counts.get(domain, 0) + pods.get(name, 0)
    return counts


def _bump(counts: dict[str, int], node: str, by: int) -> None:
    total = counts.get(node, 0) + by
    if total:
        counts[node] = total
    else:
        counts.pop(node, None)
