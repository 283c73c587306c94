"""Upgrades of workloads and of nodes that run pods: which ways there are, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from hasim.errors import nearest
from hasim.model.parts import Workload
from hasim.model.upgrades.drain_nodes import DrainNodes
from hasim.model.upgrades.ordered import Ordered
from hasim.model.upgrades.per_node import PerNode
from hasim.model.upgrades.recreate import Recreate
from hasim.model.upgrades.rolling import Rolling
from hasim.model.upgrades.upgrade import Upgrade

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster

_WAYS: Final[dict[str, tuple[type[Upgrade], ...]]] = {
    "deployment": (Rolling, Recreate),
    "stateful_set": (Ordered,),
    "daemon_set": (PerNode,),
    "replica_set": (),
}
"""How the pods of each controller get another version."""

_FIELDS: Final[dict[type[Upgrade], dict[str, str]]] = {
    Rolling: {name: name for name in ("surge", "unavailable", "min_ready", "progress_deadline")},
    Recreate: {name: name for name in ("min_ready", "progress_deadline")},
    Ordered: {"partition": "partition"},
    PerNode: {"surge": "max_surge", "unavailable": "max_unavailable", "min_ready": "min_ready"},
}
"""What an upgrade may say of the object, and what that calls it."""


def settings_of(upgrade: Upgrade) -> dict[str, Any]:
    """Return the fields of the object that an upgrade of a workload writes beside the template.

    Those are the ones it was given; what it leaves out stays as the workload says.
    """
    kind = type(upgrade)
    given = upgrade.model_fields_set
    fields = {its: getattr(upgrade, name) for name, its in _FIELDS[kind].items() if name in given}
    if isinstance(upgrade, PerNode) and fields.keys() & {"max_surge", "max_unavailable"}:
        fields |= {"max_surge": upgrade.surge, "max_unavailable": upgrade.unavailable}  # one of them is 0
    if kind in (Rolling, Recreate):
        fields["strategy"] = "RollingUpdate" if kind is Rolling else "Recreate"
    return fields


def workload_problems(upgrade: Upgrade, part: Workload) -> Iterator[str]:
    """What is wrong with an upgrade of a workload, in words."""
    name, controller, ways = upgrade.target, part.controller, _WAYS[part.controller]
    if type(upgrade) not in ways:
        if not ways:
            yield f"{name} is a {controller}, which leaves pods of another version alone: make it a deployment"
            return
        known = " and ".join(f"ha.{way.__name__}" for way in ways)
        yield f"got {upgrade.STRATEGY}; {name} is a {controller}, and upgrades of one are {known}"
        return
    if "strategy" in part.model_fields_set and settings_of(upgrade).get("strategy", part.strategy) != part.strategy:
        yield f"got {upgrade.STRATEGY}, and {name} says `strategy: {part.strategy}`; say the same in both, or once"
    if upgrade.release.errors:
        yield f"a bad version of {name} cannot answer wrongly, since no requests are played there: say `errors: 0`"
    if upgrade.release.slower != 1.0:
        yield f"a bad version of {name} cannot be slower, since no requests are played there"
    if upgrade.migrates is not None:
        yield "it migrates data, and a workload has none: give a pool `data`, and upgrade that"
    if not upgrade.graceful:
        yield f"pods of {name} are always told to stop first; say `grace: 0s` of the workload"
    if isinstance(upgrade, Ordered) and part.replicas is not None and upgrade.partition > part.replicas:
        yield f"got the partition {upgrade.partition}, and {name} has {part.replicas} pods: none would change"


def drain_problems(upgrade: DrainNodes, cluster: Cluster) -> Iterator[str]:
    """What is wrong with a drain of nodes of this cluster, in words."""
    if cluster.kubernetes is None:
        yield "nodes that are drained are those of `kubernetes`, and the cluster has none; ha.NodeByNode is of any host"
        return
    topology = cluster.topology
    nodes = {host for name in cluster.kubernetes.nodes for host in topology.hosts_in(name)}
    known = [*nodes, *(name for name in topology.paths() if name not in nodes and set(topology.hosts_in(name)) & nodes)]
    for name in upgrade.nodes:
        if name not in topology.paths():
            yield f"got {name!r}; no node is called that{nearest(name, known)}"
        elif not set(topology.hosts_in(name)) or not set(topology.hosts_in(name)) <= nodes:
            yield f"got {name!r}, which runs no pods; the nodes are those of `kubernetes`"
