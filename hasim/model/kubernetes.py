"""The Kubernetes of a cluster: which parts are its control plane, which hosts run pods, and the rules of both."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.model.laws import LawField
from hasim.model.leasing import CALL_ONE_WAY
from hasim.model.parts.part import Names
from hasim.protocols.reconcile.cluster_autoscaler import ClusterAutoscaler
from hasim.protocols.reconcile.horizontal import HorizontalAutoscaler
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle
from hasim.units import Count


class Kubernetes(Declared):
    """Who keeps the objects, who reconciles them, and where pods may run; the pods are those of `workload` parts.

    The control loops run in the leader of `controllers`, and pods are placed by that of `scheduler`: elected parts with
    a `lease`, or with `leader_elect: false`, where all of them do the same at once. Left out, `kubelets` and `proxies`
    run wherever a node stands; named, they are parts with one member on every node, which may fail by themselves.
    """

    api: str = Field(description="The part that answers the API: the API servers, or the balancer before them.")
    controllers: str = Field(description="The elected part that runs the control loops (kube-controller-manager).")
    scheduler: str = Field(description="The elected part that places pods (kube-scheduler).")
    nodes: Names = Field(min_length=1, description="Hosts, or domains whose hosts run pods.")
    kubelets: str | None = Field(default=None, description="The part whose members are the nodes' kubelets.")
    proxies: str | None = Field(default=None, description="The part whose members keep the nodes' rules (kube-proxy).")
    cpu: Count = Field(default=4000, ge=1, description="CPU of a node that pods may ask for, in millicores.")
    pods: Count = Field(default=110, ge=1, description="Most pods of a node (maxPods); Kubernetes: 110.")
    latency: LawField = Field(default=CALL_ONE_WAY, description="One way between anybody and the API.")
    node_lifecycle: NodeLifecycle = Field(
        default=NodeLifecycle(), description="When silent nodes are given up, and how fast their pods are driven off."
    )
    autoscaler: ClusterAutoscaler | None = Field(
        default=None, description="Adds nodes for pods that fit nowhere, and removes what is not needed."
    )
    provisioning: LawField | None = Field(
        default=None, description="From asking for a machine to the node being there, with `autoscaler`."
    )

    horizontal: tuple[HorizontalAutoscaler, ...] = Field(
        default=(), description="Horizontal autoscalers, each of one workload, whose `demand` they follow."
    )

    @model_validator(mode="after")
    def _machines_take_time(self) -> Self:
        if (self.autoscaler is None) != (self.provisioning is None):
            raise ValueError("`autoscaler` asks for machines, and `provisioning` says how long they take: give both")
        return self
