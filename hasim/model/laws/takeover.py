"""The takeover law: how long nobody leads after the holder of a lease has gone."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from pydantic import Field, model_validator

from hasim.model.elections.leases import After, TakeoverSettings, sample_takeovers
from hasim.model.laws.empirical import Empirical
from hasim.model.laws.law import Array, Law, Size, brief, factor_checked
from hasim.model.laws.tabled import Tabled
from hasim.protocols.lease.settings import AnyLease, Lease
from hasim.units import Count, Seconds, s

TABLE: Final = 1 << 18
"""Takeovers behind mean, quantiles and the like: two standard errors of P[T > t] are 0.002, of the mean 0.03 %."""
_TABLE_SEED: Final = 20181203


class Takeover(Tabled):
    """Takeover law: from the loss of a lease to the next leader; every draw plays one takeover by the lease's rules.

    Mean, quantiles and the like come from a fixed table of takeovers, made once when they are first asked for.
    """

    lease: AnyLease = Field(default=Lease(), description="How candidates elect.")
    standbys: Count = Field(default=1, ge=0, le=98, description="Candidates that wait; none after a restart.")
    after: After = Field(default="crash", description="How the lease was lost: crash, release or restart.")
    latency: Seconds = Field(default=s(0), ge=0, description="Shortest way between a candidate and the store.")
    jitter: Seconds = Field(default=s(0), ge=0, description="By how much longer a way may take, evenly spread.")

    @model_validator(mode="after")
    def _can_be_taken(self) -> Self:
        _ = self.settings  # refuses what cannot be
        return self

    @property
    def settings(self) -> TakeoverSettings:
        """The same as settings of the sampler."""
        return TakeoverSettings(self.lease, self.standbys, self.after, (self.latency, self.latency + self.jitter))

    @property
    def table(self) -> Array:
        """Takeovers in order of their length, in seconds; one table serves all laws of equal settings."""
        return _table(self.settings)

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return sample_takeovers(self.settings, math.prod(np.atleast_1d(size).tolist()), rng).reshape(size)

    def scaled(self, factor: float) -> Law:
        return Empirical.measured(self.table * factor_checked(factor), source=f"{self.text()}, scaled")

    def text(self) -> str:
        lease = self.lease
        longest = lease.duration if isinstance(lease, Lease) else lease.ttl
        who = "the only process" if not self.standbys else f"{self.standbys} standby{'s' * (self.standbys > 1)}"
        return f"takeover of a lease of {brief(longest)} after a {self.after}, {who}"

    def to_plain(self) -> dict[str, Any]:
        from hasim.model.editing import plain

        durations = self._given("latency", "jitter")
        given = {"lease": plain(self.lease), "standbys": self.standbys, "after": self.after, **durations}
        return {"takeover": {name: given[name] for name in type(self).model_fields if name in self.model_fields_set}}


@lru_cache(maxsize=32)
def _table(settings: TakeoverSettings) -> Array:
    table = np.sort(sample_takeovers(settings, TABLE, np.random.default_rng(_TABLE_SEED)))
    table.setflags(write=False)
    return table
