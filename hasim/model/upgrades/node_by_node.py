"""Machines are upgraded one after another: everything on one is stopped, and comes back with the new version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from hasim.faults.names import Names
from hasim.model.laws import LawField
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.contracts.versions import Version
from hasim.protocols.rollout import InPlaceRollout, Rollout
from hasim.units import Count, Seconds

Component = Literal["apiserver", "controller", "kubelet", "proxy"]


class NodeByNode(Upgrade):
    """Hosts are upgraded `batch` at a time, in the order of their names here: all that runs on one is stopped first.

    Servers finish what they have, members of protocols say goodbye; then the host is away for `takes`. The next host
    follows `pause` after all on this one runs again and, as `gate` says, every part with a member there is up: a quorum
    has its leader, a balancer its address. So kubeadm upgrades a control plane.

    `components` says which parts are API servers, controllers (kube-controller-manager, kube-scheduler), kubelets and
    proxies: then their versions, from `was` to that of the release, are held against the version skew policy of
    Kubernetes whenever one changes, and what breaks it is told. With `local` controllers talk to the API server on
    their own host alone.
    """

    kind: Literal["node_by_node"] = "node_by_node"
    target: str = Field(default="", description="Not used: `hosts` says what is upgraded.")
    hosts: Names = Field(description="Hosts, or domains whose hosts are upgraded, one after another.")
    takes: LawField = Field(description="How long a host is away.")
    batch: Count = Field(default=1, ge=1, description="Hosts at a time.")
    pause: Seconds = Field(default=0.0, ge=0, description="From the end of one batch to the next.")
    gate: Literal["members", "parts"] = Field(
        default="parts", description="Whether the next host waits for the members on this one, or for their parts too."
    )
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long all must be well before a host counts.")
    progress_deadline: Seconds | None = Field(default=None, gt=0, description="A batch that takes longer is told.")
    was: Version = Field(default="v1", description="The version before.")
    components: dict[str, Component] = Field(
        default={}, description="Parts whose versions are held against the skew policy, and what they are."
    )
    local: bool = Field(
        default=False, strict=True, description="Whether controllers ask the API server on their own host alone."
    )

    STRATEGY: ClassVar[str] = "node by node"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume"})

    def __init__(self, *hosts: str | Sequence[str], **data: Any) -> None:
        given = [name for each in hosts for name in ([each] if isinstance(each, str) else each)]
        super().__init__(**({**data, "hosts": given} if given else data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The hosts and domains that are upgraded."""
        return self.hosts

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return InPlaceRollout(
            old, self.release.version, servers, self.batch, 0.0, self.pause, self.min_ready, self.progress_deadline
        )

    def room(self, replicas: int) -> int:
        return replicas
