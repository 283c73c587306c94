"""Ordered: one pod after another, as a StatefulSet of Kubernetes does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import Rollout, StatefulRollout
from hasim.units import Count


class Ordered(Upgrade):
    """One pod after another from the last to the first, as a StatefulSet does it; those below `partition` stay.

    A pod that never gets ready holds up everything, and a rollback too: it goes on only if somebody deletes the pod,
    which `repairs` says. Source: k/k pkg/controller/statefulset/stateful_set_control.go.

    The target may be a workload that is a stateful_set: what is left out here is as the workload says.
    """

    kind: Literal["ordered"] = "ordered"
    partition: Count = Field(default=0, ge=0, description="Ordinals below this keep the old version.")
    repairs: bool = Field(
        default=False, strict=True, description="Whether a rollback is helped by deleting pods that are not ready."
    )

    STRATEGY: ClassVar[str] = "ordered"

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return StatefulRollout(old, self.release.version, len(servers), self.partition, repairs=self.repairs)

    def room(self, replicas: int) -> int:
        return replicas
