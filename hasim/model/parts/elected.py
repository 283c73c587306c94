"""An elected component: several candidates, only one of which may act, like a scheduler."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hasim.declared import shown
from hasim.model.failures import Failover
from hasim.model.laws import LawField
from hasim.model.leasing import CALL_ONE_WAY, lease_beyond_law, lease_notes, takeover
from hasim.model.parts.part import Part
from hasim.protocols.health import AnyRestart, CrashLoopBackOff
from hasim.protocols.lease.coordinator import version_of
from hasim.protocols.lease.settings import AnyLease, Duty, Lease
from hasim.units import Count


class Elected(Part):
    """One active member and standbys that wait for its lease to run out.

    With `lease` the candidates elect by its rules: `simulate` plays them against a store that is up while what the part
    needs is, and the other engines draw from the law of takeovers. Otherwise `failover` says how long it takes; there
    is no default, since none would be honest: with the lease of Kubernetes (15 s, 10 s, 2 s) and two standbys it takes
    16.5 s on average. With `leader_elect: false` all of them act at once, as with the flag of that name.

    A member that comes back is a new candidate: it waits like the others. Where the lease is `coordinated`, one of an
    older version than the leader's waits, too, and the leader makes way for it.
    """

    kind: Literal["elected"] = "elected"
    replicas: Count = Field(ge=1, le=99, description="Number of candidates.")
    lease: AnyLease | None = Field(default=None, description="How they elect: {} for Kubernetes' defaults.")
    failover: Failover | None = Field(
        default=None, description="From the fall of the active member to the next one acting, without `lease`."
    )
    leader_elect: bool = Field(default=True, strict=True, description="False: nobody is elected, and all act.")
    latency: LawField = Field(
        default=CALL_ONE_WAY, description="One way between a candidate and its store, all that happens there included."
    )
    restart: AnyRestart = Field(
        default=CrashLoopBackOff(), description="How a process is started again that has lost its lease."
    )
    duty: Duty | None = Field(default=None, description="What the leader writes to, and how; left out: nothing.")
    versions: tuple[str, ...] = Field(
        default=(),
        description="Emulation version of each member, where the lease is `coordinated`; left out: the same for all.",
    )

    @model_validator(mode="after")
    def _one_way_of_electing(self) -> Self:
        given = [name for name in ("lease", "failover") if getattr(self, name) is not None]
        if not self.leader_elect:
            if given:
                raise ValueError(f"`leader_elect` is false, so leave {' and '.join(given)} out: nobody is elected")
        elif len(given) != 1:
            said = "neither" if not given else "both"
            raise ValueError(f"got {said} of lease and failover; say how the candidates elect, or how long it takes")
        if self.failover is not None:
            for name in ("latency", "restart", "duty"):
                if name in self.model_fields_set:
                    raise ValueError(f"`{name}` is of candidates that elect by a `lease`, and there is none")
        return self

    @field_validator("versions", mode="before")
    @classmethod
    def _versions_as_text(cls, versions: Any) -> Any:
        for version in versions if isinstance(versions, list | tuple) else ():
            if isinstance(version, int | float):
                raise ValueError(f"got {shown(version)}, a number; put it in quotes, since 1.30 would be 1.3")
        return versions

    @field_validator("versions")
    @classmethod
    def _versions_of_releases(cls, versions: tuple[str, ...]) -> tuple[str, ...]:
        for version in versions:
            try:
                version_of(version)
            except ValueError:
                raise ValueError(f"got {shown(version)}; give the numbers of a release, like 1.34") from None
        return versions

    @model_validator(mode="after")
    def _a_version_for_each(self) -> Self:
        if not self.versions:
            return self
        if not (isinstance(self.lease, Lease) and self.lease.coordinated):
            raise ValueError("`versions` decide who leads only where the `lease` is `coordinated`; leave them out")
        if len(self.versions) != self.replicas:
            raise ValueError(f"got {len(self.versions)} versions for {self.replicas} replicas; give each its own")
        return self

    @property
    def count(self) -> int:
        return self.replicas

    @property
    def switch(self) -> Failover | None:
        return self.failover if self.lease is None else self._takeover

    @cached_property
    def _takeover(self) -> Failover:
        assert self.lease is not None
        return takeover(self.lease, self.replicas, self.latency)

    @property
    def regains_at_once(self) -> bool:
        return self.lease is None

    def assumptions(self) -> list[str]:
        """What the law of takeovers leaves out, and what comes of no election."""
        if not self.leader_elect and self.replicas > 1:
            return ["nobody is elected: all of its members act at once, and figures of time count that as up"]
        return [] if self.lease is None else lease_notes(self.lease, self.replicas, bool(self.needs))

    @property
    def only_played(self) -> tuple[str, str] | None:
        return lease_beyond_law(self.lease, self.replicas, self.versions, self.latency)
