"""How the members of a quorum agree, declared: the settings of etcd's Raft that shape its failovers."""

from __future__ import annotations

import re
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.elections.ticks import TIMEOUTS_A_MESSAGE
from hasim.model.laws import Empirical, Fixed, Law, LawField, Uniform
from hasim.protocols.etcd.config import EtcdConfig, pre_vote_default, snapshot_count_default
from hasim.protocols.etcd.store import Store
from hasim.protocols.raft import RaftConfig, Ticks, genesis
from hasim.units import Count, Seconds, duration_text, human, s

TICKS_MIN = 5  # etcd refuses to start with less: server/embed/config.go
ELECTION_MAX = 50.0  # seconds, likewise
HEARTBEAT_MIN = 1e-3  # seconds: etcd's flags take whole milliseconds
VERSION = "3.6.11"
MINORS = range(4, 9)  # of etcd 3, whose defaults and rules are known here
ELECTION_GRID = 512  # points of the law of elections of two members
HALVINGS = 50  # to each of these points, within its tick


class Raft(Declared):
    """etcd's Raft: with it a quorum's failovers are elections, played by `simulate` message by message.

    Defaults are etcd's own (server/embed/config.go), pre-vote's by version: off before 3.5. Latency and fsync are those
    of a local network and a solid-state disk; on other ground measure them.
    """

    version: str = Field(default=VERSION, description="Version of etcd, like 3.6.11; decides some defaults.")
    heartbeat: Seconds = Field(default=0.1, gt=0, description="Interval of the leader's heartbeats, and of ticks.")
    election_timeout: Seconds = Field(default=1.0, gt=0, description="Least time without a leader before a campaign.")
    pre_vote: bool | None = Field(
        default=None, strict=True, description="Ask before campaigning; left out: as the version has it."
    )
    check_quorum: bool = Field(
        default=True, strict=True, description="A leader cut off from a majority steps down; etcd always does."
    )
    latency: LawField = Field(
        default=Uniform(low=s(0.0002), high=s(0.0004)), description="One-way time of a message between members."
    )
    fsync: LawField = Field(default=Fixed(value=s(0.001)), description="Time to make a write durable.")
    snapshot_count: Count | None = Field(
        default=None, ge=1, description="Entries between snapshots; left out: as the version has it."
    )

    @model_validator(mode="after")
    def _as_etcd_would_start(self) -> Self:
        found = re.fullmatch(r"3\.(\d+)\.\d+", self.version, re.ASCII)
        if found is None or int(found[1]) not in MINORS:
            said = f"write 3.{MINORS[0]} to 3.{MINORS[-1]} with the patch, like '{VERSION}'"
            raise _refused("version", f"got {self.version!r}; {said}")
        if self.heartbeat < HEARTBEAT_MIN:
            raise _refused(
                "heartbeat", f"got {duration_text(self.heartbeat)}; etcd counts whole milliseconds, 1 or more"
            )
        ticks, timeout = self.election_timeout / self.heartbeat, duration_text(self.election_timeout)
        if ticks < TICKS_MIN * (1 - 1e-9):
            raise _refused(
                "election_timeout",
                f"got election_timeout {timeout} with heartbeat {duration_text(self.heartbeat)}; "
                f"etcd wants an election timeout of at least {TICKS_MIN} heartbeats",
            )
        if self.election_timeout > ELECTION_MAX:
            raise _refused(
                "election_timeout",
                f"got election_timeout {timeout}; etcd allows at most {duration_text(ELECTION_MAX)}",
            )
        return self

    @property
    def minor(self) -> int:
        """The minor version of etcd 3."""
        return int(self.version.split(".")[1])

    @property
    def votes_first(self) -> bool:
        """Whether members ask before they campaign."""
        return pre_vote_default(self.minor) if self.pre_vote is None else self.pre_vote

    @property
    def ticks(self) -> int:
        """The election timeout in whole ticks, as etcd computes it."""
        return int(self.election_timeout / self.heartbeat * (1 + 1e-12))

    def config(self, name: str, members: tuple[str, ...]) -> EtcdConfig:
        """The settings of the member `name` of a cluster that begins with these members."""
        beginning = genesis(members, index=len(members), data=Store(started=tuple(sorted(members))))
        raft = RaftConfig(
            name,
            beginning,
            Ticks(self.heartbeat, self.ticks),
            pre_vote=self.votes_first,
            check_quorum=self.check_quorum,
        )
        count = snapshot_count_default(self.minor) if self.snapshot_count is None else self.snapshot_count
        return EtcdConfig(raft, self.version, snapshot_count=count)

    @property
    def too_slow(self) -> str | None:
        """What makes messages and writes too slow for the law of elections, in words; None where nothing does."""
        limit = self.election_timeout / TIMEOUTS_A_MESSAGE
        latency, fsync = self._one_way[1], self.fsync.mean
        if latency + fsync <= limit:
            return None
        fields = [
            f"{name} {human(takes)}" for name, takes in (("latency", latency), ("fsync", fsync)) if takes > limit
        ] or [f"latency {human(latency)} and fsync {human(fsync)}"]
        return " and ".join(fields)

    @property
    def _one_way(self) -> tuple[float, float]:
        """Shortest and longest time of a message; its mean for both where it is neither fixed nor uniform."""
        if isinstance(self.latency, Uniform):
            return self.latency.low, self.latency.high
        return self.latency.mean, self.latency.mean

    def election(self, members: int) -> Law:
        """The law of the time from the leader's fall to the next leader, with that many members.

        For two members it is the time from the return of one of them, since a single one elects nobody. A latency that
        is neither fixed nor uniform enters with its mean, and so does the time of a write.
        """
        from hasim.model.laws.election import Election  # which imports much

        if members == 2:
            return _election_of_two(self.heartbeat, self.ticks)
        low, high = self._one_way
        return Election(
            members=members,
            heartbeat=s(self.heartbeat),
            election_timeout=s(self.heartbeat * self.ticks),
            pre_vote=self.votes_first,
            check_quorum=self.check_quorum,
            latency=s(low),
            jitter=s(high - low),
            fsync=s(self.fsync.mean),
        )


def _refused(field: str, message: str) -> ModelError:
    return ModelError.of([at((field,), message)])


def _election_of_two(heartbeat: float, ticks: int) -> Law:
    """Two members, one of which has waited alone for long and the other just come back: whoever times out first leads.

    The one that waited campaigns every R ticks, and its next campaign lies anywhere in such a stretch: R is drawn with
    weights in proportion to its length. The other counts R ticks from its start, the first of them at any phase.
    Between whole ticks the chance that a campaign is still to come falls along a straight line, for both.
    """
    whole = np.arange(2 * ticks + 1)
    longer = np.clip(2 * ticks - 1 - whole, 0, ticks).astype(float)  # how many of the lengths exceed 0, 1, … ticks
    passed = np.append(0.0, np.cumsum(longer[:-1]))
    waited, back = 1 - passed / passed[-1], longer / ticks
    chance = (np.arange(ELECTION_GRID) + 0.5) / ELECTION_GRID
    tick = np.searchsorted(-waited * back, chance - 1, side="right") - 1
    low, high = np.zeros(ELECTION_GRID), np.ones(ELECTION_GRID)
    for _ in range(HALVINGS):
        part = (low + high) / 2
        still = (waited[tick] + part * (waited[tick + 1] - waited[tick])) * (
            back[tick] + part * (back[tick + 1] - back[tick])
        )
        low, high = np.where(still > 1 - chance, part, low), np.where(still > 1 - chance, high, part)
    return Empirical.measured((tick + (low + high) / 2) * heartbeat, source="elections of two members")
