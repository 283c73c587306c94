"""Takeovers of a lease by themselves: from the loss of a leader to the next one, any number of them at once.

Every draw plays the rules of `hasim.protocols.lease` for one takeover. A leader renews again and again, and falls at
some moment of that; each standby asks at its own pace, of which that moment is as good as any. Times are seconds.

Kubernetes, with R_i the rest of a standby's wait when the last renewal was written, O_i how much later than a duration
after it saw that it asks next, and A the age of that renewal at the fall, without latency (client-go):

    after a crash      min_i (R_i + duration + O_i) - A
    after a release    min_i R_i, whose survival function is that of one standby to the power of their number
    after a restart    duration + O: a new process has seen nothing yet

Where a controller picks the leader (`coordinated`), it does not matter how many others wait, since one of them is the
next. E of its looks, 5 s apart, is the rest of the time to the next, and R that of the wait of whoever is elected:

    after a crash      duration - A + E + 5 (who has died answers no ping) + R
    after a release    5 + E (of its looks, the first that comes 5 s later or more) + R

With a time to live, from the last renewal as the store has it:

    after a crash      time to live (+ the rest of etcd's 500 ms) + min_i R_i - A
    after a restart    the first try at or after the end: a new process asks at once, and then again and again
    with a watch       the same without the R_i
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hasim.declared import at
from hasim.errors import ModelError
from hasim.protocols.lease.coordinator import AGAIN_S, PING_WAIT_S
from hasim.protocols.lease.settings import SCAN_S, Lease, TtlLease

Floats = npt.NDArray[np.float64]

After = Literal["crash", "release", "restart"]
"""How the lease was lost: the leader died, it gave the lease back, or the only process died and a new one has begun."""

WAITS: Final = 50
"""Longest waits that are played of a longer duration: what is left of its beginning then is below 0.3^50."""

BLOCK: Final = 1 << 16
"""Takeovers that are played together: what they need of memory stays small."""


@dataclass(frozen=True)
class TakeoverSettings:
    """A lease, how many others wait for it, how it is lost, and one way between them and the store: low and high."""

    lease: Lease | TtlLease
    standbys: int = 1
    after: After = "crash"
    latency: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        low, high = self.latency
        if not 0 <= low <= high:
            raise _refused("latency", f"got {low:g} to {high:g}; a latency goes up from 0 or more")
        if self.after == "restart":
            if self.standbys:
                raise _refused("standbys", f"got {self.standbys}; a restart is of the only process, with no standby")
        elif self.standbys < 1:
            raise _refused("standbys", f"got {self.standbys}; somebody takes over, so there is at least 1")
        if self.after == "release" and not self.lease.release:
            raise _refused(
                "after", "got 'release'; a leader that does not release its lease is taken over as after a crash"
            )
        if self.after == "restart" and isinstance(self.lease, Lease) and self.lease.coordinated:
            raise _refused(
                "after", "got 'restart' with a coordinated lease; how long that takes depends on how long it was away"
            )


def _refused(field: str, message: str) -> ModelError:
    return ModelError.of([at((field,), message)])


def sample_takeovers(settings: TakeoverSettings, count: int, rng: np.random.Generator) -> Floats:
    """Return `count` independent times from the loss of the lease to the next leader, in seconds; shape (count,)."""
    play = _ttl
    if isinstance(settings.lease, Lease):
        play = _coordinated if settings.lease.coordinated else _kubernetes
    blocks = [play(settings, min(BLOCK, count - done), rng) for done in range(0, count, BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty(0)


class _Ways:
    """Draws of one way, for one takeover each (`one`) or for each standby (`each`)."""

    def __init__(self, settings: TakeoverSettings, count: int, rng: np.random.Generator) -> None:
        self._low, self._high = settings.latency
        self._shape = (max(settings.standbys, 1), count)
        self._rng = rng

    def one(self) -> Floats:
        return self._rng.uniform(self._low, self._high, self._shape[1])

    def each(self) -> Floats:
        return self._rng.uniform(self._low, self._high, self._shape)

    def write(self) -> Floats:
        """How long a write takes, there and back; one of the controller's own takes as long."""
        return self.one() + self.one()

    @property
    def trip(self) -> float:
        """The mean of there and back."""
        return self._low + self._high


def _kubernetes(settings: TakeoverSettings, count: int, rng: np.random.Generator) -> Floats:
    lease, ways = settings.lease, _Ways(settings, count, rng)
    assert isinstance(lease, Lease)
    shape = (max(settings.standbys, 1), count)
    low, high = lease.retry_period, lease.longest_retry
    if settings.after == "restart":
        asked = ways.each() + ways.each() + _overshoot(lease, ways, shape, rng)
        return np.asarray((asked + _taking(ways)).min(axis=0))
    rest = _rest(low + ways.trip, high + ways.trip, shape, rng)
    if settings.after == "release":
        freed = ways.one() + ways.one() + ways.one()  # it reads, and writes
        return np.asarray(freed + (rest + ways.each() + ways.each() + ways.each()).min(axis=0))
    seen = rest + ways.each()
    taken = (seen + _overshoot(lease, ways, shape, rng) + _taking(ways)).min(axis=0)
    return np.asarray(taken - _age(lease.retry_period, ways, count, rng))


def _coordinated(settings: TakeoverSettings, count: int, rng: np.random.Generator) -> Floats:
    lease, ways = settings.lease, _Ways(settings, count, rng)
    assert isinstance(lease, Lease)
    shape = (1, count)
    look = rng.random(count) * AGAIN_S
    if settings.after == "release":
        freed = ways.one() + ways.one() + ways.one()  # it reads, and writes
        # Those who have answered the ping before have done so too long ago by then, and are pinged again.
        answered = ways.write() + (ways.each() + ways.each()).max(axis=0)
        elected = freed + ways.write() + PING_WAIT_S + look + answered + ways.write()
    else:
        # A renewal says when its try began, which was two ways before it was sent.
        age = ways.one() + ways.one() + rng.random(count) * (lease.retry_period + ways.write() + ways.write())
        elected = lease.duration - age + look + ways.write() + PING_WAIT_S + ways.write()
    rest = _rest(lease.retry_period + ways.trip, lease.longest_retry + ways.trip, shape, rng)[0]
    return np.asarray(elected + rest + ways.one() + ways.one() + ways.one())


def _taking(ways: _Ways) -> Floats:
    """From the beginning of a try that succeeds to its end: it reads, and writes."""
    return ways.each() + ways.each() + ways.each() + ways.each()


def _overshoot(lease: Lease, ways: _Ways, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """From when a standby has seen the record to its first try a duration or more later.

    After dozens of waits, how far the first that is late enough lies beyond a moment does not depend on how many there
    were, so of a long duration only the end is played.
    """
    played = min(lease.duration, WAITS * lease.longest_retry)
    total = rng.uniform(lease.retry_period, lease.longest_retry, shape)
    early = total < played
    while early.any():
        more = rng.uniform(lease.retry_period, lease.longest_retry, int(early.sum()))
        total[early] += more + (ways.each() + ways.each())[early]
        early = total < played
    return total + (lease.duration - played)


def _first_try(free: Floats, low: float, high: float, rng: np.random.Generator) -> Floats:
    """When the first try comes at or after `free`, of tries that begin now and come every `low` to `high` seconds."""
    if low == high:
        return np.asarray(np.ceil(np.maximum(free, 0.0) / high) * high)
    # Of many waits only the last are drawn one by one; the sum of 50 and more even ones is normal to a few millionths.
    mean, sd = (low + high) / 2, (high - low) / 12**0.5
    sure = floor(max(float(free.min()), 0.0) / mean)
    sure = max(floor(sure - 8 * (sd / mean) * sure**0.5) - 1, 0)
    when = rng.normal(sure * mean, sd * sure**0.5, free.size) if sure >= WAITS else np.zeros(free.size)
    early = when < free
    while early.any():
        when[early] += rng.uniform(low, high, int(early.sum()))
        early = when < free
    return when


def _age(period: float, ways: _Ways, count: int, rng: np.random.Generator) -> Floats:
    """How old the last renewal is when the leader falls; negative: it is on its way, and will be written."""
    there, back = ways.one(), ways.one()
    return np.asarray(-there + rng.random(count) * (there + back + period))


def _rest(low: float, high: float, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """What is left of a wait, uniform from low to high, into which a moment falls that knows nothing of it."""
    longer = np.sqrt(low * low + rng.random(shape) * (high * high - low * low))
    return np.asarray(longer * rng.random(shape))


def _ttl(settings: TakeoverSettings, count: int, rng: np.random.Generator) -> Floats:
    lease, ways = settings.lease, _Ways(settings, count, rng)
    assert isinstance(lease, TtlLease)
    shape = (max(settings.standbys, 1), count)
    if settings.after == "release":
        free = ways.one()
    else:
        free = lease.ttl - _age(lease.renew, ways, count, rng)
        if lease.store == "etcd":
            free = free + rng.random(count) * SCAN_S  # at any moment of its loop
    if lease.watch:
        return np.asarray(free + (ways.each() + ways.each() + ways.each()).min(axis=0))
    low, high = lease.retry * (1 - lease.jitter), lease.retry * (1 + lease.jitter)
    low, high = low + ways.trip, high + ways.trip
    if settings.after == "restart":
        return _first_try(free - ways.one(), low, high, rng) + ways.one()
    rest = _rest(low, high, shape, rng)
    return np.asarray(free + (rest + ways.each()).min(axis=0))
