"""Rolling: a few pods at a time, as a Deployment of Kubernetes does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from hasim.model.upgrades.deployed import Deployed
from hasim.protocols.rollout import DeploymentRollout, Rollout


class Rolling(Deployed):
    """A few pods at a time, as a Deployment of Kubernetes does it: new ones up to `surge`, old ones as they may go.

    Pods that leave are not counted, so that for as long as they drain there are more. Source of algorithm and defaults:
    k/k pkg/controller/deployment/rolling.go, pkg/apis/apps/v1/defaults.go.

    The target may be a workload that is a deployment: what is left out here is as the workload says.
    """

    kind: Literal["rolling"] = "rolling"

    STRATEGY: ClassVar[str] = "rolling"

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return DeploymentRollout(
            old, self.release.version, servers, self.surge, self.unavailable, self.min_ready, self.progress_deadline
        )
