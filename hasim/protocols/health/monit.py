"""Monit's restarts: a poll that comes round, failures in a row before it acts, and a number of restarts that ends it.

The loop itself is a machine, in `monit_loop`; here is what it means for one process that dies and dies again.
"""

from __future__ import annotations

import math
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.units import Count, Seconds

PROGRAM_S: Final = 0.1
"""The start program is waited for in steps of 100 ms (Monit src/control.c, RETRY_INTERVAL); it takes one of them."""
_HAIR: Final = 1e-9  # a death and a test at the same moment, of which only rounding says which comes first


class Monit(Declared):
    """Monit's restarts: every process is looked at once a cycle, and what is gone is started from the same loop.

    A cycle sleeps for `cycle` after its tests, however long these took. A process that fails `failures` tests in a row
    is restarted; one that has not passed a test since then is restarted again after the very next failure, whatever
    `failures` says. A start holds up the whole loop until its process is seen, at most for `start_timeout`. With
    `restarts` and `within`, the statement "if 5 restarts within 5 cycles then timeout", Monit stops looking after a
    process for good; its manual recommends it, but nothing stops it where it is not said.

    Sources: Monit 5.33 and later, src/validate.c (validate, _checkTimeout), src/event.c (_checkState, _handleEvent),
    src/control.c (_doStart, _waitProcessStart); defaults are those of its monitrc, of which Debian's says 120 s.
    """

    kind: Literal["monit"] = "monit"
    cycle: Seconds = Field(default=30.0, ge=1, description="set daemon: sleep after the tests; Monit's monitrc: 30s.")
    failures: Count = Field(default=1, ge=1, le=64, description="'for 3 cycles': failed tests in a row; Monit: 1.")
    timeout: Seconds = Field(default=5.0, gt=0, description="networkTimeout: longest wait of a test; Monit: 5s.")
    start_timeout: Seconds = Field(
        default=30.0, ge=1, le=3600, description="startTimeout: wait for a start; Monit: 30s."
    )
    restarts: Count | None = Field(
        default=None, ge=1, le=1000, description="It gives up after so many; left out: never."
    )
    within: Count | None = Field(default=None, ge=1, le=1000, description="Cycles in which these restarts count.")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.restarts is None) != (self.within is None):
            raise ValueError("say both of restarts and within (if 5 restarts within 5 cycles), or neither")
        return self

    def counting(self, phase: float = 0.0) -> MonitRestarts:
        """Return a fresh count for one process, by a loop that has a test at the time `phase`, in seconds."""
        return MonitRestarts(self, phase)

    def looks(self) -> list[float]:
        """When a process is looked for that was started, in seconds after the start; at the last it is given up."""
        found, wait = [PROGRAM_S], 0.1
        while found[-1] < self.start_timeout:
            found.append(found[-1] + wait)
            wait = 2.0 * wait if wait < 1.0 else 1.0
        return found[1:]

    def busy(self, run: float) -> float:
        """How long a start holds up the loop, in seconds, if its process is there at once and dies after `run`."""
        looks = self.looks()
        return looks[0] if run > looks[0] + _HAIR else looks[-1]

    def tests_to_restart(self, run: float) -> int:
        """How many tests after a start there is the next one, if that process dies after `run` seconds.

        One that is gone at the first test is restarted by it; one that has passed a test must fail `failures` of them.
        """
        first_failed = max(1, math.ceil((run - self.busy(run)) / self.cycle - _HAIR))
        return 1 if first_failed == 1 else first_failed + self.failures - 1


class MonitRestarts:
    """The restarts of one process under a Monit whose other work takes no time."""

    __slots__ = ("_cycles", "_given_up", "_restarts", "_seen", "declared", "phase")

    def __init__(self, declared: Monit, phase: float) -> None:
        """A process that has never died."""
        self.declared = declared
        self.phase = phase
        self._seen = False  # whether it has been restarted, so that its start says when tests come
        self._restarts = self._cycles = 0
        self._given_up = False

    def delay(self, started_at: float, died_at: float) -> float:
        """The wait after this death, in seconds; inf once Monit has stopped looking after it, and ever after."""
        monit = self.declared
        if not self._seen:
            self._seen = True
            before = math.ceil((died_at - self.phase) / monit.cycle - _HAIR)
            test, number = self.phase, before + monit.failures - 1
        else:
            run = died_at - started_at
            test, number = started_at + monit.busy(run), monit.tests_to_restart(run)
            self._given_up = self._given_up or self._too_often(number)
        if self._given_up:
            return math.inf
        if monit.restarts is not None:
            self._restarts += 1
        return test + number * monit.cycle - died_at

    def _too_often(self, tests: int) -> bool:
        """Count the cycles of so many tests, as each does before it looks; whether one of them gives up."""
        restarts, within = self.declared.restarts, self.declared.within
        if restarts is None or within is None:
            return False
        for _ in range(min(tests, within + 1)):
            self._cycles += self._restarts > 0
            if self._restarts >= restarts and self._cycles <= within:
                return True
            if self._cycles > within:
                self._restarts = self._cycles = 0
        return False
