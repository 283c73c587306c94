"""A load balancer: a pair that shares a virtual address, one of them holding it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hasim.model.failures import Failover
from hasim.model.parts.part import Needs, Part
from hasim.units import Count


class Balancer(Part):
    """A redundant load balancer in front of a part; up while one instance holds the address and the target is up.

    The instance that lost the address takes it back at once if it returns before the other took over (VRRP, RFC 5798).
    """

    kind: Literal["balancer"] = "balancer"
    replicas: Count = Field(default=2, ge=1, le=99, description="Number of instances.")
    to: Needs = Field(default={}, description="The parts it forwards to; it is down without them.")
    failover: Failover | None = Field(default=None, description="Takeover of the address; left out: instant.")

    RESUMES: ClassVar[bool] = True

    @property
    def count(self) -> int:
        return self.replicas

    @property
    def switch(self) -> Failover | None:
        return self.failover
