"""The record that candidates compete for: who leads, since when, and for how long nobody else may."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

ANNOTATION = "control-plane.alpha.kubernetes.io/leader"


@dataclass(frozen=True, slots=True)
class LeaderRecord:
    """client-go's LeaderElectionRecord, as an object of the store; times are the holder's clock, in seconds.

    An empty `holder` is a lease that was released. `transitions` counts changes of the holder.
    """

    name: str
    holder: str
    duration: float
    acquired: float
    renewed: float
    transitions: int = 0
    strategy: str = ""
    preferred: str = ""
    version: int = 0

    def says(self) -> LeaderRecord:
        """What candidates compare to see whether anything has changed: all of it but the store's version."""
        return replace(self, version=0)

    def as_lease(self) -> dict[str, Any]:
        """The spec of a Lease object of coordination.k8s.io/v1 with these contents, durations in whole seconds."""
        spec: dict[str, Any] = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": int(self.duration),
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }
        return spec | {
            key: value for key, value in (("strategy", self.strategy), ("preferredHolder", self.preferred)) if value
        }

    def as_annotation(self) -> dict[str, str]:
        """The annotation of an Endpoints or ConfigMap object that held the same before there were Leases."""
        return {ANNOTATION: json.dumps(self.as_lease())}
