"""Things that scripted faults keep down, while their natural clocks run on underneath."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster
    from hasim.engines.des.scripts import FaultPort


class Hold(ABC):
    """Keeps one thing down for as long as any fault wants it, and tells those faults whether that matters."""

    def __init__(self) -> None:
        """Nobody wants it down at first."""
        self.faults: list[FaultPort] = []

    def close_on(self, fault: FaultPort) -> None:
        """Hold the thing down for this fault."""
        if self.would_stand():
            fault.touched = True
        self.faults.append(fault)
        if len(self.faults) == 1:
            self.press()

    def let_go(self, fault: FaultPort) -> None:
        """Hold it no longer for this fault."""
        self.faults.remove(fault)
        if not self.faults:
            self.lift()

    def would_turn(self, up: bool) -> None:
        """The thing, were it not held, has just come up or gone down."""
        if up:
            for fault in self.faults:
                fault.touched = True

    @abstractmethod
    def would_stand(self) -> bool:
        """Whether the thing would be up now if it were not held."""

    @abstractmethod
    def press(self) -> None:
        """Take it down."""

    @abstractmethod
    def lift(self) -> None:
        """Let it be what it would be."""


class NamedHold(Hold):
    """Holds a host, domain, member or part, by a variable that is false meanwhile.

    The node `without` is true while the thing would stand if it were not held.
    """

    def __init__(self, live: LiveCluster, variable: int, without: int) -> None:
        """Listen to what the thing would do."""
        super().__init__()
        self._live, self._variable, self._without = live, variable, without
        live.listen(without, self.would_turn)

    def would_stand(self) -> bool:
        return self._live.gates.is_true(self._without)

    def press(self) -> None:
        self._live.turn(self._variable, False)

    def lift(self) -> None:
        self._live.turn(self._variable, True)


class UnitHold(Hold):
    """Holds a single unit, whose own clock turns `own_up` meanwhile."""

    def __init__(self, live: LiveCluster, unit: int) -> None:
        """The unit is as its clock says."""
        super().__init__()
        self._live, self._unit = live, unit
        self.own_up = True

    def turn_underneath(self, up: bool) -> None:
        """The unit's own clock has failed or repaired it."""
        self.own_up = up
        self.would_turn(up)

    def would_stand(self) -> bool:
        return self._live.is_up(self._unit)

    def press(self) -> None:
        self.own_up = self._live.is_up(self._unit)
        self._live.force(self._unit, self)

    def lift(self) -> None:
        self._live.unforce(self._unit)
