"""Whether a process should run on a node: the one place where all that speaks for and against it comes together."""

from __future__ import annotations

from dataclasses import dataclass, field

from hasim.engines.des.world.touch import Touch


@dataclass(slots=True, eq=False)
class Upkeep:
    """What speaks for and against a process on a node.

    `wanted`: who operates the node wants one there; a start says so, a crash by hand or a stop the contrary. `holds`:
    the faults that keep the node down. `has_left`: the last process ended by itself and was not started anew.
    `lacks_room`: it ended because the disk was full, and still is.
    """

    wanted: bool = False
    holds: list[Touch] = field(default_factory=list)
    has_left: bool = False
    lacks_room: bool = False

    @property
    def runs(self) -> bool:
        """Whether a process should run."""
        return self.wanted and not self.holds and not self.has_left and not self.lacks_room

    def start(self) -> None:
        """Somebody wants a process, whatever became of the last; a fault that keeps it from starting matters."""
        self.wanted, self.has_left, self.lacks_room = True, False, False
        for hold in self.holds:
            hold.touched = True
