"""A quorum: a group that acts while enough of its members agree, like etcd."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.model.elections.ticks import MOST_MEMBERS
from hasim.model.failures import Failover
from hasim.model.parts.part import Part
from hasim.model.raft import Raft
from hasim.units import Count

FEW = 5  # members from which on an election may find one more of them down


class Quorum(Part):
    """n members of which a majority (or any k) must be up; the leader's fall costs an election.

    An election also follows whenever a lost quorum comes back, and a restarted member comes back as a follower
    (Ongaro & Ousterhout 2014, section 5.2). With `raft` the election is etcd's: `simulate` plays it message by message,
    the other engines take its law. Without it, say in `failover` how long it takes.
    """

    kind: Literal["quorum"] = "quorum"
    members: Count = Field(ge=1, le=99, description="Number of voting members, 1 to 99.")
    required: Count | None = Field(default=None, ge=1, description="Members that must be up; left out: a majority.")
    failover: Failover | None = Field(
        default=None, description="The election after the leader's fall; left out: instant, or as `raft` has it."
    )
    raft: Raft | None = Field(default=None, description="How the members agree: etcd's Raft, `{}` for its defaults.")

    REGAINS_AT_ONCE: ClassVar[bool] = False

    @model_validator(mode="after")
    def _enough_members(self) -> Self:
        if self.required is not None and self.required > self.members:
            raise ValueError(f"required is {self.required}, but there are only {self.members} members")
        if self.raft is not None and self.members > MOST_MEMBERS:
            said = f"Raft is modelled for at most {MOST_MEMBERS} members, and etcd advises 7 at most"
            raise ModelError.of([at(("members",), f"got {self.members}; {said}")])
        if self.raft is not None and self.failover is not None:
            raise ValueError("`raft` elects by itself; leave `failover` out, or `raft`")
        if self.raft is not None and self.required not in (None, self.members // 2 + 1):
            raise ValueError(
                f"required is {self.required}, but Raft needs a majority, {self.members // 2 + 1} of {self.members}"
            )
        return self

    @property
    def count(self) -> int:
        return self.members

    @property
    def enough(self) -> int:
        return self.members // 2 + 1 if self.required is None else self.required

    @property
    def switch(self) -> Failover | None:
        if self.raft is None:
            return self.failover
        return self._election if self.members > 1 else None

    @cached_property
    def _election(self) -> Failover:
        assert self.raft is not None
        return Failover(takes=self.raft.election(self.members))

    def assumptions(self) -> list[str]:
        """That an even member buys nothing, and what the laws of elections leave out."""
        notes = []
        if self.members % 2 == 0 and self.required is None:
            notes.append(
                f"an even number of members ({self.members}) tolerates no more failures than {self.members - 1}, and "
                f"one more member can fail: a majority of both leaves {self.members - self.enough} to spare"
            )
        if self.raft is not None and self.members == 1:
            notes.append("a single member's own election after a restart, up to one election timeout, is left out")
        if self.raft is not None and self.members >= FEW:
            notes.append(
                "where elections are drawn from their law, no member but the leader is down; with two of five down "
                "they take 6 % longer on average, 12 % without pre-vote"
            )
        return notes
