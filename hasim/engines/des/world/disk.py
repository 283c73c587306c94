"""A node's disk: what is written, what of it is safe, and how long a sync takes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simpy import Event

from hasim.engines.des.world.leap import LeapingEnvironment, Recurring
from hasim.engines.des.world.touch import Touch
from hasim.machine import Journal


class Disk:
    """Records in the page cache, and those that a sync has made safe.

    A crash of the process leaves both; a power failure leaves what was synced. `sync_times` gives the seconds of
    each sync. Faults at work: `extras` are drawn and added to it, `stalls` keep it from ending, `fulls` let it fail.
    """

    def __init__(self, env: LeapingEnvironment, journal: Journal, sync_times: Iterator[float]) -> None:
        self._env = env
        self._journal = journal
        self._sync_times = sync_times
        self._safe: Any = None  # what the synced records add up to
        self._cached: list[Any] = []  # records written since, in order
        self.extras: list[Callable[[], float]] = []
        self.stalls: list[Touch] = []
        self.fulls: list[Touch] = []
        self._end = Recurring(env, self._ended)  # of the sync under way
        self._done: Callable[[], None] | None = None  # who waits for it
        self._is_held = False  # whether a stall keeps it from ending

    def saved(self) -> Any:
        """What a process that starts now finds; it must not change it, nor keep parts of it that change."""
        if not self._cached:
            return self._safe
        # The journal may change what it is given, and a power failure may still take the cached records back.
        saved = copy.deepcopy(self._safe)
        for record in self._cached:
            saved = self._journal(saved, record)
        return saved

    def replace(self, saved: Any) -> None:
        """Put something else in place of all that is there, as whoever restores a backup does."""
        self._safe = saved
        self._cached.clear()

    def write(self, records: Sequence[Any]) -> None:
        """Put records into the page cache."""
        self._cached.extend(records)

    def sync(self, done: Callable[[], None]) -> bool:
        """Make safe what is written; True if that took no time, else `done` is called when it is."""
        delay = next(self._sync_times)
        if self.extras:
            for extra in self.extras:
                delay += extra()
        if delay <= 0 and not self.stalls:
            self._make_safe()
            return True
        env = self._env
        self._done = done
        env.push((env._now + delay, 1, env.number(), self._end))
        return False

    def _ended(self, event: Event) -> None:
        if event is not self._end:  # that sync was abandoned
            return
        if self.stalls:
            self._is_held = True
            for touch in self.stalls:
                touch.touched = True
            return
        self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        assert done is not None
        self._make_safe()
        done()

    def _make_safe(self) -> None:
        for record in self._cached:
            self._safe = self._journal(self._safe, record)
        self._cached.clear()

    def refuses(self) -> bool:
        """Whether a write fails because the disk is full."""
        for touch in self.fulls:
            touch.touched = True
        return bool(self.fulls)

    def unstall(self) -> None:
        """Let a sync end that the last stall kept from it."""
        if self._is_held and not self.stalls:
            self._is_held = False
            self._finish()

    def abandon(self) -> None:
        """Forget a sync under way, since nobody waits for it any more; the page cache stays."""
        if self._done is not None:
            # SimPy cannot take an event back: the old one passes and does nothing, and the next sync has its own.
            self._end = Recurring(self._env, self._ended)
        self._done, self._is_held = None, False

    def lose_power(self) -> None:
        """Lose what was not synced; of a sync under way we take the worst, that nothing of it was done."""
        self.abandon()
        self._cached.clear()
