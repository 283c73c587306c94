"""Scripted faults: a SimPy process plays each script, and a port gives the script the verbs of `World`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hasim.engines.des.clocks import Steps
from hasim.errors import ModelError
from hasim.faults import Fault, Script

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class FaultPort:
    """What one scripted fault may do to the live cluster; remembers whether it made any difference."""

    def __init__(self, live: LiveCluster, fault: Fault) -> None:
        """Wait for the script to do something."""
        self.live = live
        self.kind = type(fault).__name__
        self.subject = ", ".join(fault.targets)
        self.touched = False
        self.begun = False
        self.over = False
        self.script: Script = fault.script(self)

    @contextmanager
    def held_down(self, target: str, why: str) -> Iterator[None]:
        """Keep a unit, host, domain, member or part down for as long as the context lasts."""
        hold = self.live.hold(target)
        if not self.begun:
            self.begun = True
            self.live.note("fault begun", self.subject, {"fault": self.kind, "why": why})
        hold.close_on(self)
        try:
            yield
        finally:
            hold.let_go(self)

    def play(self) -> Steps:
        """Run the script, from time zero."""
        for delay in self.script:
            if not delay >= 0:  # NaN too
                raise ModelError(f"the script of {self} yielded {delay!r}; a script yields seconds, zero or more")
            yield self.live.env.timeout(delay)
        self._announce_end({})

    def close(self) -> None:
        """Heal what is still held when the run stops early."""
        if not self.over:
            self.script.close()
            if self.begun:
                self._announce_end({"early": True})

    def _announce_end(self, more: dict[str, bool]) -> None:
        self.over = True
        nothing = {} if self.touched else {"touched": "nothing"}
        self.live.note("fault ended", self.subject, {"fault": self.kind, **more, **nothing})

    def warning(self) -> str | None:
        """Say in a sentence that the fault made no difference, if so."""
        if self.touched:
            return None
        if not self.begun and not self.over:
            return f"{self}: the run ended before it began, so it touched nothing"
        return f"{self}: it touched nothing: what it held down was down already, or it held nothing"

    def __str__(self) -> str:
        """Name the fault by its kind and targets."""
        return f"{self.kind} of {self.subject}"
