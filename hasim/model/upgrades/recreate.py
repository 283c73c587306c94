"""Recreate: all old pods go before the first new one comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import DeploymentRollout, Rollout
from hasim.units import Seconds


class Recreate(Upgrade):
    """All old pods go, and when the last one is gone the new ones come, as a Deployment with `Recreate` does it.

    The target may be a workload that is a deployment: what is left out here is as the workload says.
    """

    kind: Literal["recreate"] = "recreate"
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a pod must be ready before it counts.")
    progress_deadline: Seconds = Field(default=600.0, gt=0, description="Without progress for so long it is told.")

    STRATEGY: ClassVar[str] = "recreate"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume", "retry"})

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        version = self.release.version
        return DeploymentRollout(
            old, version, servers, min_ready=self.min_ready, deadline=self.progress_deadline, recreate=True
        )

    def room(self, replicas: int) -> int:
        return replicas
