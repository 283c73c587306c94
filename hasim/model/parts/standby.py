"""A pair of which one works and the other waits: hot, warm or cold."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.model.failures import Failover
from hasim.model.laws import LawField
from hasim.model.leasing import CALL_ONE_WAY, lease_notes, takeover
from hasim.model.parts.part import Part
from hasim.model.serving import Serving
from hasim.protocols.lease.settings import AnyLease
from hasim.units import Count, Share


class Standby(Part):
    """An active member and standbys which age as fast as it does (hot), more slowly (warm) or not at all (cold).

    Only the members' own processes age differently; hosts and domains age as always. The active member, repaired
    before the failover is done, carries on at once; so does the first one repaired after all were down.
    Where the members elect by a `lease`, neither does: whoever is back is one more candidate.
    """

    kind: Literal["standby"] = "standby"
    members: Count = Field(default=2, ge=2, le=99, description="Number of members, a pair unless said otherwise.")
    mode: Literal["hot", "warm", "cold"] = Field(default="hot", description="How the waiting members age.")
    warm_rate: Share | None = Field(
        default=None, description="Ageing of a warm standby against the active one, 0 to 1."
    )
    failover: Failover | None = Field(
        default=None, description="From the fall of the active member to the standby working, without `lease`."
    )
    lease: AnyLease | None = Field(
        default=None,
        description="The members elect the active one by a lease, as a side-car does for any application: {} for "
        "Kubernetes' defaults.",
    )
    serving: Serving | None = Field(
        default=None, description="How the active member serves requests; left out: not played."
    )
    sync: LawField | None = Field(
        default=None,
        description="Kept in step at this cost for every request, the standby goes on with what was under way; left "
        "out: that is lost.",
    )

    RESUMES: ClassVar[bool] = True

    @model_validator(mode="after")
    def _rate_when_warm(self) -> Self:
        for probe in ("liveness", "startup", "readiness"):
            if self.serving is not None and getattr(self.serving, probe) is not None:
                raise ValueError(f"`serving.{probe}` is for single servers; a pair fails over instead, so leave it out")
        if self.sync is not None and self.serving is None:
            raise ValueError("`sync` is what being in step costs a request, and there are none without `serving`")
        if (self.failover is None) == (self.lease is None):
            said = "neither" if self.lease is None else "both"
            raise ValueError(f"got {said} of failover and lease; say how long it takes, or how the members elect")
        if self.lease is not None and self.mode != "hot":
            raise ValueError(f"mode is {self.mode}, but a member that stands for election runs, and ages as all do")
        if (self.mode == "warm") != (self.warm_rate is not None):
            raise ValueError(f"mode is {self.mode}: warm_rate is said for warm standbys, and only for them")
        return self

    @property
    def count(self) -> int:
        return self.members

    @property
    def switch(self) -> Failover | None:
        return self.failover if self.lease is None else self._takeover

    @cached_property
    def _takeover(self) -> Failover:
        assert self.lease is not None
        return takeover(self.lease, self.members, CALL_ONE_WAY)

    @property
    def resumes(self) -> bool:
        return self.lease is None

    @property
    def regains_at_once(self) -> bool:
        return self.lease is None

    def assumptions(self) -> list[str]:
        """What the law of takeovers leaves out."""
        return [] if self.lease is None else lease_notes(self.lease, self.members, bool(self.needs))

    @property
    def idle_rate(self) -> float:
        rates = {"hot": 1.0, "warm": self.warm_rate, "cold": 0.0}
        rate = rates[self.mode]
        assert rate is not None
        return rate
