"""Planned releases: which upgrade comes how often, and what one of them was found to cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, Problem
from hasim.model.failures import can_be_zero
from hasim.model.laws import LawField
from hasim.model.parts import Pool
from hasim.model.upgrades import AnyUpgrade, Deploy, DrainNodes, Migrate, NodeByNode, Remove, Upgrade
from hasim.model.upgrades.plan import numbered, order_of
from hasim.model.upgrades.room import upgrade_problems
from hasim.units import Count, Seconds, Share, human

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster

MONTH: Final = 30 * 86400.0
"""The thirty days, in seconds, that releases a month are counted over."""

AT_ONCE_MAX: Final = 60
"""So many windows stand for one release at most; groups of a pool that would take more are taken at larger steps."""


RAREST_S: Final = 1e15
"""Outages that come once in more seconds than that, thirty million years, are none."""

_SAID: Final = {
    "at": "when, by `every` and `first`",
    "name": "what it is called, by its name there",
    "after": "when, whatever came before",
    "migrates": "how one version follows another, and no data change with it",
}
"""Fields of an upgrade that a calendar takes the place of."""


class Measured(Declared):
    """What one release was found to cost, as `ha.calibrate` writes it into a model: it is measured, not declared.

    `missing` says how long members are missing: its first number is the mean time of a release with one member that is
    not ready, the second with two, and so on. While fewer are ready than the part requires, the part is down, and that
    is all there is to it. The rest, requests that fail although enough members are ready (because a version is bad,
    because servers break off what they had, because few are too busy), is in `outage`: a release has some with the
    probability `chance`, and then as much as if all requests failed for a time of this law. That time is an equivalent:
    10 % failed requests during ten minutes are an outage of one minute. The other fields say where it comes from.
    """

    missing: tuple[Seconds, ...] = Field(
        default=(), description="Mean time of a release with 1, 2, … members that are not ready."
    )
    chance: Share = Field(default=0.0, description="Probability that a release fails requests while enough are ready.")
    outage: LawField | None = Field(
        default=None, description="How long all requests would have to fail for as many failures, if there are any."
    )
    cost: tuple[Seconds, Seconds] | None = Field(
        default=None, description="Interval of the mean cost of a release, in time of full outage."
    )
    level: Share = Field(default=0.95, gt=0, lt=1, description="Level of that interval.")
    runs: Count | None = Field(default=None, ge=1, description="How many releases were played.")
    seed: Count | None = Field(default=None, ge=0, description="Seed that they were played with.")
    load: str | None = Field(default=None, max_length=200, description="What was asked meanwhile; left out: nothing.")
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Requests a second, on average.")

    @model_validator(mode="after")
    def _law_with_a_chance(self) -> Self:
        if (self.chance > 0) != (self.outage is not None):
            raise ValueError(
                "`outage` is how long an outage is, and `chance` how often there is one: give both or none"
            )
        if self.outage is not None and can_be_zero(self.outage):
            raise ValueError("some outages are of no length at all; leave their share out of `chance`")
        return self

    @property
    def missing_s(self) -> float:
        """How long any members are missing, in seconds."""
        return sum(self.missing)

    def cost_s(self, tolerated: int) -> float:
        """Return the mean cost of a release in seconds of full outage, where so many members may be missing.

        It is the time with more of them missing than that, and the mean of what else fails.
        """
        rest = 0.0 if self.outage is None else self.chance * self.outage.mean
        return sum(self.missing[tolerated:]) + rest


class Releases(Declared):
    """One kind of release that comes again and again: the upgrade, how often, and what was measured of it.

    `simulate` plays every one of them, each with luck of its own (whether it is bad, and when that is noticed).
    `solve` and `estimate` see none of that, but what `ha.calibrate` has measured: members that are missing by
    turns, as in planned windows, and outages at random times, once in `every`/`chance`. A release comes to the part as
    a whole, and is not put off because something is down; one that takes longer than `every` holds up the next.
    """

    upgrade: AnyUpgrade = Field(description="The upgrade: its strategy, release and detection, of which pool.")
    every: Seconds | None = Field(default=None, gt=0, description="From the begin of one release to the next.")
    per_month: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="The same as a number in thirty days."
    )
    first: Seconds | None = Field(
        default=None, ge=0, description="When the first one begins; left out: after half of the time between two."
    )
    measured: Measured | None = Field(
        default=None, description="What a release costs, from `ha.calibrate`; `simulate` needs none of it."
    )

    @model_validator(mode="after")
    def _once_and_again(self) -> Self:
        if (self.every is None) == (self.per_month is None):
            said = "neither" if self.every is None else "both"
            raise ValueError(f"got {said} of every and per_month; give `every` (time between two) or `per_month`")
        found = [
            at(("upgrade", field), f"a calendar says {what}; leave it out")
            for field, what in _SAID.items()
            if field in self.upgrade.model_fields_set
        ]
        if found:
            raise ModelError.of(found)
        if self.measured is not None:
            found = list(self._unlike(self.measured))
        if found:
            raise ModelError.of(found)
        return self

    def _unlike(self, measured: Measured) -> Iterator[Problem]:
        if measured.missing_s >= self.every_s:
            said = f"got {human(measured.missing_s)} in all, and the next release comes after {human(self.every_s)}"
            yield at(("measured", "missing"), said)
        if measured.chance > 0 and self.every_s / measured.chance > RAREST_S:
            said = f"got {measured.chance:g}; that is once in {self.every_s / measured.chance:.1g} s, so leave it out"
            yield at(("measured", "chance"), said)
        if measured.outage is not None and measured.outage.mean * measured.chance >= self.every_s:
            said = f"got a mean of {human(measured.outage.mean)}, longer than from one to the next"
            yield at(("measured", "outage"), said)

    @property
    def every_s(self) -> float:
        """From the begin of one release to the next, in seconds."""
        if self.every is not None:
            return self.every
        assert self.per_month is not None
        return MONTH / self.per_month

    @property
    def first_s(self) -> float:
        """When the first one begins, in seconds."""
        return self.every_s / 2 if self.first is None else self.first

    @property
    def a_month(self) -> float:
        """Releases in thirty days."""
        return MONTH / self.every_s


def release_problems(cluster: Cluster) -> Iterator[Problem]:
    """What is wrong with what is planned in a cluster: pools that are not there, measures of other pools, circles."""
    for name, releases in cluster.upgrades.items():
        upgrade, loc = releases.upgrade, ("upgrades", name)
        said = list(upgrade_problems(upgrade, cluster)) or list(_unrepeatable(upgrade, cluster))
        yield from (at((*loc, "upgrade", "target"), each) for each in said)
        pool = cluster.parts.get(upgrade.target)
        measured = releases.measured
        if not said and isinstance(pool, Pool) and measured is not None and len(measured.missing) > pool.replicas:
            found = f"got times for up to {len(measured.missing)} missing members; {upgrade.target} has {pool.replicas}"
            yield at((*loc, "measured", "missing"), f"{found}: measure again with ha.calibrate")
    yield from rollout_problems(cluster)


def rollout_problems(cluster: Cluster) -> Iterator[Problem]:
    """What is wrong with the upgrades of a cluster that happen once."""
    found = [
        at(("rollouts", i), said) for i, each in enumerate(cluster.rollouts) for said in upgrade_problems(each, cluster)
    ]
    yield from found
    if not found:
        yield from (at(("rollouts",), said) for said in order_of(numbered(cluster.rollouts, cluster)))


def _unrepeatable(upgrade: Upgrade, cluster: Cluster) -> Iterator[str]:
    """What cannot come again and again."""
    if isinstance(upgrade, Deploy | Remove | Migrate | NodeByNode | DrainNodes):
        yield f"got {upgrade.STRATEGY}; a calendar has releases of a pool that is there before and after"
        return
    contracts = (name for each in cluster.contracts for name in (each.caller, each.server, each.adapter))
    pool = cluster.parts[upgrade.target]
    if upgrade.target in contracts or (isinstance(pool, Pool) and pool.data is not None):
        yield f"{upgrade.target} has contracts or data, which know single versions; script its upgrades with `during`"


def groups_out(missing: tuple[float, ...], members: list[str]) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Yield for how long which members are out in a release that has so many missing for so long, one after another.

    Nobody is preferred: of n members, each group of j neighbours (the last one's neighbour is the first) is out for one
    n-th of the time with j missing. Times are multiples of 2^-20 s, so that a window ends exactly as the next begins.
    """
    count = len(members)
    levels = [j for j, lasting in enumerate(missing, 1) if lasting > 0 and j <= count]
    for j in levels:
        starts = [0] if j == count else _starts(count, AT_ONCE_MAX // max(len(levels), 1))
        lasting = exactly_placed(missing[j - 1] / len(starts))
        if lasting > 0:
            for start in starts:
                yield lasting, tuple(members[(start + i) % count] for i in range(j))


def exactly_placed(time: float) -> float:
    """The nearest multiple of 2^-20 s: sums of such times have no rounding."""
    return round(time * 2**20) / 2**20


def _starts(count: int, most: int) -> list[int]:
    steps = min(count, max(most, 1))
    return [step * count // steps for step in range(steps)]
