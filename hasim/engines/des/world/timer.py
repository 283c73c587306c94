"""A timer of a process, made once for each name and set again and again."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from simpy import Event

from hasim.engines.des.world.leap import LeapingEnvironment, Recurring
from hasim.machine import Fired

if TYPE_CHECKING:
    from hasim.engines.des.world.process import Process


class Timer(Recurring):
    """A timer by name: `due` is when it runs out in true seconds, infinite while it is not set.

    SimPy cannot take an event back. So a timer that is set later than its `entry` in the heap leaves that entry where
    it is, and moves on from there when it comes; a timer that is set anew with every heartbeat costs an entry a
    timeout, not one a heartbeat. An entry that is no longer the timer's passes and does nothing.
    """

    def __init__(self, env: LeapingEnvironment, process: Process, name: str, regular: bool, leapt: bool) -> None:
        super().__init__(env, self._ring)
        self.name = name
        self.regular = regular
        self.leapt = leapt
        self.fired = Fired(name)
        self.due = inf
        self.entry = inf
        self.late: float | None = None  # when a regular timer that had to wait should have been heard
        self._process = process

    def set(self, due: float) -> None:
        """Run out at that true time."""
        self.due = due
        if due < self.entry:
            self.entry = due
            self.env.push((due, 1, self.env.number(), self))

    def set_regular(self, wait: float, now: float) -> None:
        """Set one that was heard late so that it keeps its beat, as Go's ticker does: missed beats are left out."""
        assert self.late is not None
        missed = (now - self.late) // wait if wait > 0 else 0.0
        due = self.late + (missed + 1) * wait
        self.late = None
        self.set(due if due > now else now + wait)

    def cancel(self) -> None:
        """Do not run out; an entry in the heap passes and does nothing."""
        self.due = inf
        self.late = None

    @property
    def is_set(self) -> bool:
        """Whether it will run out."""
        return self.due != inf

    def _ring(self, _: Event) -> None:
        env = self.env
        now = env._now
        if now != self.entry:
            return
        due = self.due
        self.entry = inf
        if due > now:
            if due != inf:
                self.entry = due
                env.push((due, 1, env.number(), self))
            return
        self.due = inf
        process = self._process
        if process.is_ready:
            process.take(self.fired)
        else:
            process.hear_later(self)
