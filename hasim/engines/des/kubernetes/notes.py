"""What a change of an object is called in a trace."""

from __future__ import annotations

from collections.abc import Iterator

from hasim.protocols.api import Change
from hasim.protocols.reconcile.cluster_autoscaler import Machine
from hasim.protocols.reconcile.objects import Deployment, Endpoints, Node, Pod, ReplicaSet, StatefulSet
from hasim.trace import Detail

Told = tuple[str, str, Detail]


def told(change: Change) -> Iterator[Told]:
    """The facts of a change: kind, subject and detail of each."""
    before, after = change
    if isinstance(before, Pod) or isinstance(after, Pod):
        yield from _of_pod(before, after)
    elif isinstance(after, Node):
        yield from _of_node(before, after)
    elif isinstance(before, Node):
        yield "node removed", before.name, ""
    elif isinstance(before, Deployment | StatefulSet | ReplicaSet) and _is_scaled(before, after):
        yield "scaled", before.name, {"from": before.replicas, "to": after.replicas}
    elif isinstance(after, Machine) and before is None:
        yield "machine asked for", after.name, {"zone": after.zone}
    elif isinstance(before, Machine) and after is None:
        yield "machine given back", before.name, {"zone": before.zone}
    elif isinstance(after, Endpoints):
        yield "endpoints", after.name, {"pods": len(after.pods)}


def _is_scaled(
    before: Deployment | StatefulSet | ReplicaSet, after: Deployment | StatefulSet | ReplicaSet | None
) -> bool:
    """Whether somebody has changed the number of pods; of a deployment's own sets it says nothing new."""
    owned = isinstance(before, ReplicaSet) and bool(before.owner)
    return after is not None and not owned and before.replicas != after.replicas


def _of_pod(before: Pod | None, after: Pod | None) -> Iterator[Told]:
    if after is None:
        assert before is not None
        yield "pod gone", before.name, {"node": before.node}
        return
    if before is None:
        yield "pod created", after.name, ""
        return
    if before.node != after.node:
        yield "pod bound", after.name, {"node": after.node}
    if before.phase != after.phase and after.phase == "Failed":
        yield "pod failed", after.name, {"why": after.reason}
    if before.ready != after.ready:
        yield ("pod ready" if after.ready else "pod unready"), after.name, {"node": after.node}
    if before.deleted is None and after.deleted is not None:
        yield "pod deleted", after.name, {"node": after.node}


def _of_node(before: Node | None, after: Node) -> Iterator[Told]:
    if before is None:
        yield "node joined", after.name, {"zone": after.zone}
        return
    if before.ready != after.ready:
        yield ("node ready" if after.ready == "True" else "node not ready"), after.name, ""
    if before.unschedulable != after.unschedulable:
        yield ("cordoned" if after.unschedulable else "uncordoned"), after.name, ""
    for node, other, kind in ((before, after, "node untainted"), (after, before, "node tainted")):
        for taint in node.taints:
            if taint.effect == "NoExecute" and other.tainted(taint.key, "NoExecute") is None:
                yield kind, node.name, {"taint": taint.key}
