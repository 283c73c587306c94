"""The election law: how long a Raft cluster with etcd's timers is without a leader after the leader has died."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from pydantic import Field, model_validator

from hasim.errors import CannotModel
from hasim.model.elections.ticks import MOST_MEMBERS, TIMEOUTS_A_MESSAGE, TickSettings, sample_ticks
from hasim.model.laws.gamma import Gamma
from hasim.model.laws.law import Array, Size, brief, factor_checked
from hasim.model.laws.mixture import Mixture
from hasim.model.laws.tabled import Tabled
from hasim.units import Count, Seconds, human, s

TABLE: Final = 1 << 18
"""Elections behind mean, quantiles and the like: the mean is good to 0.1 %, P[T > t] to 0.002 (two standard errors)."""
_TABLE_SEED: Final = 20140522
_DURATIONS: Final = ("heartbeat", "election_timeout", "latency", "jitter", "fsync", "spacing")


class Election(Tabled):
    """Election law: from the death of a leader to the next, by etcd's rules; every draw is an election of its own.

    Mean, quantiles and the like come from a fixed table of elections, made once when they are first asked for.

    So many members are down throughout, while in a cluster that lives on more may be down when the leader falls: with
    one down instead of two of five, elections are 6 % too short on average (12 % without pre-vote), and 8 % (18 %)
    with one instead of three of seven, at the default timeouts.

    Messages and writes too slow for the sampler are no mistake here, since the law may never be drawn from: whoever
    draws is refused (CannotModel).
    """

    members: Count = Field(ge=3, le=MOST_MEMBERS, description="Voting members, the dead leader among them.")
    down: Count = Field(default=1, ge=1, description="Members that are down, the leader among them.")
    heartbeat: Seconds = Field(default=s(0.1), gt=0, description="Interval of heartbeats, tick of all clocks.")
    election_timeout: Seconds = Field(default=s(1), gt=0, description="Silence before a campaign, at least.")
    pre_vote: bool = Field(default=True, strict=True, description="Whether a campaign first asks if it could win.")
    check_quorum: bool = Field(default=True, strict=True, description="Whether members with a leader ignore votes.")
    latency: Seconds = Field(default=s(0.0003), description="Shortest one-way time of a message.")
    jitter: Seconds = Field(default=s(0), description="By how much longer a message may take, evenly spread.")
    fsync: Seconds = Field(default=s(0.001), description="Time to write a term or a vote to disk.")
    spacing: Seconds | None = Field(
        default=None, description="Longest time between messages of the leader; left out: the heartbeat, as when idle."
    )

    @model_validator(mode="after")
    def _can_elect(self) -> Self:
        self._settings(0.0, 0.0, 0.0)  # refuses what cannot be
        return self

    @property
    def too_slow(self) -> bool:
        """Whether messages and writes take too long for the sampler."""
        return TIMEOUTS_A_MESSAGE * (self.latency + self.jitter + self.fsync) > self.election_timeout

    @property
    def mean_at_most(self) -> float:
        """An upper limit of the mean, in seconds, that takes no elections.

        Every campaign comes within twice the election timeout. Of those with quick messages more than one in two
        succeed; messages at the sampler's limit, a third of the timeout, take up to ten timeouts in the worst of all
        clusters (nine members, four of them down, with pre-vote).
        """
        return 4 * self.election_timeout + 24 * (self.latency + self.jitter + self.fsync)

    @property
    def settings(self) -> TickSettings:
        """The same cluster as settings of the sampler."""
        if self.too_slow:
            raise CannotModel(
                f"an election with messages of {human(self.latency + self.jitter)} and writes of {human(self.fsync)}",
                f"together they take more than a third of the election timeout of {human(self.election_timeout)}",
                "use ha.simulate with `raft`",
                "the election law",
            )
        return self._settings(self.latency, self.latency + self.jitter, self.fsync)

    def _settings(self, shortest: float, longest: float, fsync: float) -> TickSettings:
        return TickSettings(
            members=self.members,
            down=self.down,
            heartbeat=self.heartbeat,
            election_timeout=self.election_timeout,
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            latency=(shortest, longest),
            fsync=fsync,
            spacing=self.spacing,
        )

    @property
    def table(self) -> Array:
        """Elections in order of their length, in seconds; one table serves all laws of equal settings."""
        return _table(self.settings)

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        return sample_ticks(self.settings, math.prod(np.atleast_1d(size).tolist()), rng).t_leader.reshape(size)

    def scaled(self, factor: float) -> Election:
        factor_checked(factor)
        given = {name: getattr(self, name) for name in type(self).model_fields}
        longer = {name: s(given[name] * factor) for name in _DURATIONS if given[name] is not None}
        return Election(**{**given, **longer})

    def fitted(self) -> Mixture:
        """A mixture of two Erlang laws of equal rate with this law's mean and scv, for engines that need phases.

        It is not this law: it has the same first two moments and another shape (Tijms 1994, Stochastic Models, 5.A).
        Above a hundred stages, which takes an scv below 0.01, it has no phases either.
        """
        stages = math.ceil(1.0 / self.scv)
        fewer = (stages * self.scv - math.sqrt(stages * (1.0 + self.scv) - (stages * stages) * self.scv)) / (
            1.0 + self.scv
        )
        stage = s(self.mean / (stages - fewer))
        return Mixture(
            parts=((fewer, Gamma(shape=stages - 1, scale=stage)), (1.0 - fewer, Gamma(shape=stages, scale=stage)))
        )

    def text(self) -> str:
        rules = [word for word, on in (("pre-vote", self.pre_vote), ("check-quorum", self.check_quorum)) if not on]
        without = f" without {' and '.join(rules)}" if rules else ""
        up = f", {self.down} of them down" if self.down > 1 else ""
        return f"election of {self.members} members{up}{without}, timeout {brief(self.election_timeout)}"

    def to_plain(self) -> dict[str, Any]:
        durations = self._given(*(name for name in _DURATIONS if getattr(self, name) is not None))
        others = {name: getattr(self, name) for name in self.model_fields_set.difference(_DURATIONS)}
        plain = {**others, **durations}
        return {"election": {name: plain[name] for name in type(self).model_fields if name in plain}}


@lru_cache(maxsize=32)
def _table(settings: TickSettings) -> Array:
    table = np.sort(sample_ticks(settings, TABLE, np.random.default_rng(_TABLE_SEED)).t_leader)
    table.setflags(write=False)
    return table
