"""In closed form: when a supervisor tries again to start a process that dies over and over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hasim.errors import ModelError
from hasim.protocols.health.monit import Monit
from hasim.protocols.health.restart import CrashLoopBackOff
from hasim.protocols.health.systemd import RESTARTED, SystemdRestart
from hasim.units import human

Supervisor = CrashLoopBackOff | SystemdRestart | Monit
"""Who starts a process again that has died."""


@dataclass(frozen=True)
class Schedule:
    """When attempts begin, in seconds after the death of a process that had run for long, if all of them fail.

    `starts` are the first of them; then another follows every `period` seconds for ever, or, where `period` is None,
    the supervisor has given up at `given_up`. All these times come later by a moment that is even over `spread`
    seconds, where a poll at its own pace finds out about the death; between two of them there are at least as many.
    """

    starts: tuple[float, ...]
    period: float | None = None
    given_up: float = math.inf
    spread: float = 0.0

    @property
    def following(self) -> tuple[float, ...]:
        """For each of `starts`, when the next attempt begins or the supervisor gives up."""
        end = self.given_up if self.period is None else self.starts[-1] + self.period
        return (*self.starts[1:], end)

    def next(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The start of the first attempt at `t` or later, elementwise, without the spread.

        Once the supervisor has given up, whoever repairs also starts the process: at `t` itself.
        """
        wanted, starts = np.asarray(t, dtype=np.float64), np.asarray(self.starts)
        index = np.searchsorted(starts, wanted, side="left")
        if self.period is None:
            later = np.maximum(wanted, self.given_up)
        else:
            number = np.ceil((wanted - starts[-1]) / self.period)
            number -= self._start(number - 1.0) >= wanted  # a quotient may be rounded past a whole number
            later = self._start(number + (self._start(number) < wanted))
        return np.where(index < starts.size, starts[np.minimum(index, starts.size - 1)], later)

    def begun(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The start of the last attempt at `t` or before, elementwise, without the spread; -1 where there is none."""
        asked, starts = np.asarray(t, dtype=np.float64), np.asarray(self.starts)
        index = np.searchsorted(starts, asked, side="right")
        found = np.where(index > 0, starts[np.maximum(index - 1, 0)], -1.0)
        if self.period is None:
            return found
        number = np.floor((asked - starts[-1]) / self.period)
        number += self._start(number + 1.0) <= asked
        return np.where(index < starts.size, found, self._start(number - (self._start(number) > asked)))

    def _start(self, number: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The start of this attempt of the endless row, whose number 0 is the last of `starts`."""
        assert self.period is not None
        return np.asarray(self.starts[-1] + self.period * number)

    def scaled(self, factor: float) -> Schedule:
        """The same with time multiplied by `factor`."""
        period = None if self.period is None else self.period * factor
        starts = tuple(start * factor for start in self.starts)
        return Schedule(starts, period, self.given_up * factor, self.spread * factor)

    def text(self) -> str:
        """The schedule in a few words: "at 0 s, 10 s, 30 s, … then every 5 m"."""
        shown = [human(start) for start in self.starts[:4]]
        said = f"at {', '.join(shown)}{', …' if len(self.starts) > 4 else ''}"
        if self.spread:
            said += f" and up to {human(self.spread)} more"
        if self.period is None:
            return f"{said}, given up after {len(self.starts)}"
        return f"{said}, then every {human(self.period)}"


def schedule(supervisor: Supervisor, takes: float) -> Schedule:
    """When this supervisor tries to start a process each of whose attempts fails after `takes` seconds.

    Restart n of the kubelet begins at 0, 10, 30, 70, 150, 310, 610, … s, and `takes` for each attempt before it. An
    endless row of attempts without any time between them is refused (ModelError), and so is a systemd that does not
    start a process again that was killed.
    """
    if isinstance(supervisor, CrashLoopBackOff):
        return _crash_loop(supervisor, takes)
    if isinstance(supervisor, Monit):
        return _monit(supervisor, takes)
    return _systemd(supervisor, takes)


def _crash_loop(declared: CrashLoopBackOff, takes: float) -> Schedule:
    if takes > declared.reset:  # every death is like the first
        return Schedule((0.0,), takes)
    starts, wait = [0.0], declared.first
    while wait < declared.cap:
        starts.append(starts[-1] + takes + wait)
        wait = min(2.0 * wait, declared.cap)
    return Schedule(tuple(starts), takes + declared.cap)


def _systemd(declared: SystemdRestart, takes: float) -> Schedule:
    if "signal" not in RESTARTED[declared.restart]:
        raise ModelError(f"got {declared.restart!r}; after it nothing is started again that was killed", "restart")
    period = takes + declared.wait
    if not declared.limited or declared.burst * period > declared.window:
        if not period:
            raise ModelError("got 0s with attempts that take no time; they would follow one another for ever", "wait")
        return Schedule((declared.wait,), period)
    starts = tuple(declared.wait + n * period for n in range(declared.burst))
    return Schedule(starts, given_up=declared.wait + declared.burst * period)


def _monit(declared: Monit, takes: float) -> Schedule:
    tests, busy = declared.tests_to_restart(takes), declared.busy(takes)
    first = (declared.failures - 1) * declared.cycle
    always = Schedule((first,), busy + tests * declared.cycle, spread=declared.cycle)
    restarts, within = declared.restarts, declared.within
    if restarts is None or within is None or (restarts - 1) * tests + 1 > within:
        return always
    # The test after the last restart is still within the cycles that count, which began with the first restart.
    assert always.period is not None
    starts = tuple(first + n * always.period for n in range(restarts))
    return replace(always, starts=starts, period=None, given_up=starts[-1] + busy + declared.cycle)


def restart_times(declared: CrashLoopBackOff | SystemdRestart, runs: Sequence[float]) -> list[float]:
    """When restarts begin, in seconds after the death of a process that had run for long.

    The first restart dies after `runs[0]` seconds, the next after `runs[1]`, and so on; the times are those of these
    restarts and of the one that follows the last, or fewer if the supervisor gives up. For the kubelet they are 0, 10,
    30, 70, 150, 310, 610, … plus the runs, until one is longer than the reset.
    """
    if isinstance(declared, SystemdRestart):
        return _until_the_limit(declared, runs)
    begun = [0.0]
    since = 0  # restarts since the last that began at once
    for run in runs:
        since = 0 if run > declared.reset else since + 1
        wait = min(declared.first * 2.0 ** min(since - 1, 1000), declared.cap) if since else 0.0
        begun.append(begun[-1] + run + wait)
    return begun


def _until_the_limit(declared: SystemdRestart, runs: Sequence[float]) -> list[float]:
    """The starts up to the first that would be one too many since its window began."""
    if "signal" not in RESTARTED[declared.restart]:
        return []
    begun = [declared.wait]
    for run in runs:
        begun.append(begun[-1] + run + declared.wait)
    if not declared.limited:
        return begun
    window = 0  # the number of the start with which it begins
    for n, start in enumerate(begun):
        if start - begun[window] > declared.window:
            window = n
        if n - window >= declared.burst:
            return begun[:n]
    return begun


def memory(supervisor: Supervisor) -> float:
    """How long a process must run, in seconds, until its supervisor has forgotten earlier deaths."""
    if isinstance(supervisor, CrashLoopBackOff):
        return supervisor.reset
    if isinstance(supervisor, SystemdRestart):
        return supervisor.window if supervisor.limited else 0.0
    return supervisor.cycle * (1 if supervisor.within is None else supervisor.within + 1)
