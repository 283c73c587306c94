"""Leaps over calm: when nothing but a beat and its messages is to come, whole periods pass at once."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, inf, isfinite, lcm
from typing import TYPE_CHECKING, Any, Protocol

from simpy import Event

from hasim.engines.des.world.alarm import Beat
from hasim.engines.des.world.datagram import Packet
from hasim.engines.des.world.timer import Timer
from hasim.engines.des.world.wire import Wire

if TYPE_CHECKING:
    from hasim.engines.des.world.leap import LeapingEnvironment
    from hasim.model.laws import Law

LATE_PER_LEAP = 1e-6
"""Late messages that may be expected in all of a leap: one leap in a million passes over something that is seen."""

PERIODS_MIN = 30
"""Where fewer periods than that would make up the longest leap, there is none.

With a period of a second it bounds what a year of leaps passes over to one late message; the tail of the latencies is
then so heavy that lateness belongs to the story.
"""

ANY_S = 1.0
"""Leaps of worlds without any period are of whole seconds."""

_GRAIN = 10**6  # periods are taken for fractions with denominators up to this


@dataclass(frozen=True)
class Rhythm:
    """What calm looks like in a world: it repeats after `period` seconds.

    In a period at most `messages` travel, and none that takes less than `patience` seconds makes a difference that
    outlasts it. Without a period calm may be cut anywhere, and `messages` are those of a second. A leap ends `before`
    seconds or more ahead of what comes next, where that shall find beats of any phase.
    """

    period: float | None
    patience: float
    messages: float = 1.0
    before: float = 0.0


class WithLaws(Protocol):
    """What messages travel over."""

    @property
    def laws(self) -> Collection[Law]:
        """The laws of their latencies."""


class Place(Protocol):
    """A world, or what is like one to a leap."""

    @property
    def env(self) -> LeapingEnvironment: ...
    @property
    def network(self) -> WithLaws: ...
    @property
    def is_calm(self) -> bool:
        """Whether nothing is under way but what a leap moves on."""

    def shift(self, by: float) -> None:
        """So many seconds have been leapt over."""


class Calm(Protocol):
    """Something that plays protocols in a world and knows when nothing is to come of it."""

    @property
    def world(self) -> Place: ...
    @property
    def rhythm(self) -> Rhythm: ...
    @property
    def is_calm(self) -> bool:
        """Whether nothing is to come until something happens from outside."""

    @property
    def changed_at(self) -> float:
        """When something last happened, in seconds."""

    @property
    def calm_after(self) -> float:
        """How long nothing must have happened before calm may be leapt over, in seconds."""

    def leap_over(self, by: float) -> None:
        """So many seconds have been leapt over, in its world too."""


def leap_again_and_again(parts: Sequence[Calm]) -> None:
    """Let all worlds of an environment skip over calm together, a whole number of periods of each at a time."""
    env, pause = parts[0].world.env, max(part.rhythm.period or ANY_S for part in parts)

    def leaps() -> Generator[Event, Any, None]:
        while True:
            yield env.timeout(pause)
            if all(env.now - part.changed_at > part.calm_after and part.is_calm for part in parts):
                by = leap_together([(part.world, part.rhythm) for part in parts])
                if by:
                    for part in parts:
                        part.leap_over(by)

    env.process(leaps())


def common_period(periods: Collection[float]) -> float | None:
    """The shortest time, in seconds, that is a whole number of each of the periods; None if none is found."""
    if len(set(periods)) == 1:
        return next(iter(periods))
    fractions = [Fraction(period).limit_denominator(_GRAIN) for period in periods]
    if any(abs(float(near) - period) > 1e-15 * period for near, period in zip(fractions, periods, strict=True)):
        return None
    denominator = lcm(*[near.denominator for near in fractions])
    return lcm(*[near.numerator * (denominator // near.denominator) for near in fractions]) / denominator


def leap_together(parts: Sequence[tuple[Place, Rhythm]]) -> float:
    """Let the most whole periods pass, of all worlds of one environment at once, that end before anything irregular.

    Ticks and messages on their way come so much later, all else stays, and the machines notice nothing but that
    their clocks have moved on. The leap ends early enough that a late message is not to be expected in it. Returns the
    seconds: zero unless every world is calm, has a period that goes with those of the others, and few late messages.
    """
    if not all(world.is_calm for world, _ in parts):
        return 0.0
    periods = [rhythm.period for _, rhythm in parts if rhythm.period is not None]
    period = common_period(periods) if periods else ANY_S
    if period is None:
        return 0.0
    env = parts[0][0].env
    late = sum(_late(world, rhythm) / (rhythm.period or 1.0) for world, rhythm in parts)  # a second
    longest = LATE_PER_LEAP / late if late > 0 else inf
    ahead = env.next_other(_moves) - env._now - max(rhythm.before for _, rhythm in parts)
    if not isfinite(ahead) or longest < PERIODS_MIN * period:
        return 0.0
    by = floor(min(ahead, longest) / period) * period
    if by >= ahead:
        by -= period
    if by <= 0:
        return 0.0
    env.leap(by, _moves)
    for world, _ in parts:
        world.shift(by)
    return by


def _late(world: Place, rhythm: Rhythm) -> float:
    """How many late messages a period has, at most, on average."""
    shares = [float(law.survival(rhythm.patience)) for law in world.network.laws]
    return max(shares, default=0.0) * rhythm.messages


def _moves(event: Event) -> bool:
    kind = event.__class__
    return kind is Wire or kind is Packet or kind is Beat or (kind is Timer and event.leapt)  # type: ignore[attr-defined]
