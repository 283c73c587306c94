"""A quorum: a group that acts while enough of its members agree, like etcd."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.model.failures import Failover
from hasim.model.parts.part import Part
from hasim.units import Count


class Quorum(Part):
    """n members of which a majority (or any k) must be up; the leader's fall costs an election.

    An election also follows whenever a lost quorum comes back, and a restarted member comes back as a follower
    (Ongaro & Ousterhout 2014, section 5.2).
    """

    kind: Literal["quorum"] = "quorum"
    members: Count = Field(ge=1, le=99, description="Number of voting members, 1 to 99.")
    required: Count | None = Field(default=None, ge=1, description="Members that must be up; left out: a majority.")
    failover: Failover | None = Field(
        default=None, description="The election after the leader's fall; left out: instant."
    )

    REGAINS_AT_ONCE: ClassVar[bool] = False

    @model_validator(mode="after")
    def _enough_members(self) -> Self:
        if self.required is not None and self.required > self.members:
            raise ValueError(f"required is {self.required}, but there are only {self.members} members")
        return self

    @property
    def count(self) -> int:
        return self.members

    @property
    def enough(self) -> int:
        return self.members // 2 + 1 if self.required is None else self.required

    @property
    def switch(self) -> Failover | None:
        return self.failover
