"""What chance has in store for the tasks of a queue: how long attempts take, and how they end."""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

from hasim.engines.des.draws import draws
from hasim.model.work import Work
from hasim.streams import FEW, Streams, uniforms

NEVER_S: Final = 1e9
"""Seconds that an attempt at poison would take, if its worker did not crash before."""


class Attempt(NamedTuple):
    """One attempt: how long it takes, and after how long its worker crashes if that comes first; both in seconds."""

    lasting: float
    crash: float


class Luck:
    """The luck of the tasks and attempts of one queue, from streams that are named after it."""

    def __init__(self, work: Work, streams: Streams, part: str) -> None:
        """Nothing is drawn yet."""
        self._work = work
        self._takes = draws(work.takes, streams, f"{part}/takes")
        self._crash = None if work.crash is None else draws(work.crash, streams, f"{part}/crash")
        self._chance = uniforms(streams[f"{part}/chance"], FEW)
        self._groups = uniforms(streams[f"{part}/groups"], FEW)
        self._of_tasks = streams[f"{part}/tasks"]
        self._of_attempts = streams[f"{part}/attempts"]
        self._scores: dict[str, float] = {}  # of tasks whose attempts are alike
        self._poison: set[str] = set()

    def happens(self, share: float) -> bool:
        """Whether something happens that does with this probability."""
        return bool(share) and self._chance() < share

    def group(self, groups: int) -> str:
        """The group that a new task belongs to, any of so many."""
        return f"group-{int(self._groups() * groups) + 1}"

    def arrived(self, task: str) -> None:
        """Decide whether a new task is poison."""
        if self.happens(self._work.poison):
            self._poison.add(task)

    def attempt(self, task: str) -> Attempt:
        """The next attempt at a task."""
        work = self._work
        if not work.same:
            lasting = next(self._takes)
        else:
            if task not in self._scores:
                self._scores[task] = float(self._of_tasks.standard_normal())
            own = float(self._of_attempts.standard_normal()) if work.same < 1 else 0.0
            lasting = float(work.lasting(self._scores[task], own))
        crash = inf if self._crash is None else next(self._crash)
        return Attempt(NEVER_S, min(crash, lasting)) if task in self._poison else Attempt(lasting, crash)

    def errs(self) -> bool:
        """Whether an attempt ends in an error."""
        return self.happens(self._work.fails)
