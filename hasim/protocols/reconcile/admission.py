"""The kubelet's admission: the last word on whether a pod fits its node, and the only one that sees all schedulers.

Two schedulers that know nothing of each other may fill one node twice over; the kubelet then fails the surplus pod,
and its owner has to make another. Source: k/k pkg/kubelet/lifecycle/predicate.go, and NodeResourcesFit, fitsRequest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hasim.protocols.reconcile.objects import Node, Pod


def shortage(node: Node, pods: int, cpu: int, pod: Pod) -> Literal["pods", "cpu"] | None:
    """What the node has too little of for one more pod, if anything, beside `pods` pods that ask for `cpu` millicores.

    A pod that asks for no CPU is let in whatever the others ask for.
    """
    if pods + 1 > node.pods:
        return "pods"
    return "cpu" if pod.template.cpu > max(node.cpu - cpu, 0) else None


def admits(node: Node, running: Iterable[Pod], pod: Pod) -> str | None:
    """Why the kubelet of the node refuses the pod: "OutOfpods" or "OutOfcpu"; None: it runs.

    `running` are the pods that the kubelet has, terminating ones included; failed ones and the pod itself take no room.
    """
    others = [each for each in running if each.name != pod.name and each.phase != "Failed"]
    lacking = shortage(node, len(others), sum(each.template.cpu for each in others), pod)
    return None if lacking is None else f"OutOf{lacking}"
