"""An elected component: several candidates, only one of which may act, like a scheduler."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hasim.model.failures import Failover
from hasim.model.parts.part import Part
from hasim.units import Count


class Elected(Part):
    """One active member and standbys that wait for its lease to run out.

    A member that comes back is a new candidate: it waits like the others. There is no default failover, since none
    would be honest: with the lease defaults of Kubernetes (15 s, 10 s, 2 s) and two standbys it takes 16.5 s on
    average.
    """

    kind: Literal["elected"] = "elected"
    replicas: Count = Field(ge=1, le=99, description="Number of candidates.")
    failover: Failover = Field(description="From the fall of the active member to the next one acting.")

    @property
    def count(self) -> int:
        return self.replicas

    @property
    def switch(self) -> Failover | None:
        return self.failover
