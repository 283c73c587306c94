"""Per node: the one pod of each place is replaced, place by place, as a DaemonSet of Kubernetes does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.model.upgrades.deployed import Pods
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.reconcile.daemon_sets import daemon_bounds
from hasim.protocols.reconcile.objects import DaemonSet, PodTemplate
from hasim.protocols.rollout import DaemonRollout, Rollout
from hasim.units import Seconds


class PerNode(Upgrade):
    """One pod a place, replaced where it stands, a few places at a time, as a DaemonSet does it.

    Without `surge` the old pod of a place goes before the new one comes. With it (and `unavailable: 0`) the new one
    comes first; there is room for so many pods on top, and one that still drains takes up its room until it is gone.
    Places without an available pod count as unavailable, whatever the reason, so that pods which never get ready hold
    up the rest. Source of algorithm and defaults: k/k pkg/controller/daemon/update.go, pkg/apis/apps/v1/defaults.go.

    The target may be a workload that is a daemon_set: what is left out here is as the workload says.
    """

    kind: Literal["per_node"] = "per_node"
    unavailable: Pods = Field(
        default=1, description='Places that may be without a pod: a number, or a share like "10%", rounded up.'
    )
    surge: Pods = Field(default=0, description="Places that may have two pods, likewise; one of the two fields is 0.")
    min_ready: Seconds = Field(
        default=0.0, ge=0, description="How long a pod must be ready before it counts (minReadySeconds)."
    )

    STRATEGY: ClassVar[str] = "per node"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "retry"})

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        try:
            self._bounds(1)
        except ModelError as error:
            field = error.problems[0].path.removeprefix("max_")
            raise ModelError.of([at((field,), error.problems[0].message.replace("max_", ""))]) from None
        return self

    def _bounds(self, replicas: int) -> tuple[int, int]:
        daemon_set = DaemonSet("", PodTemplate(""), max_unavailable=self.unavailable, max_surge=self.surge)
        return daemon_bounds(daemon_set, replicas)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return DaemonRollout(old, self.release.version, servers, self.unavailable, self.surge, self.min_ready)

    def room(self, replicas: int) -> int:
        return replicas + self._bounds(replicas)[0]
