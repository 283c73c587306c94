"""States of a chain, written out for the rules that change them and in agreed form for the book of states met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hasim.engines.exact.clockwork import UP, Clockwork
from hasim.engines.exact.symmetry import Key, sites
from hasim.model.system import Switch, System

QUEUE = 4096  # a slot holds stage + QUEUE * place in line
NOBODY = -1


@dataclass
class Flat:
    """A state written out: stage and place in line of each unit, and what each switch and stock is doing."""

    stage: list[int]
    place: list[int]
    active: list[int]
    gap: list[int]  # stage of the failover going on, or NOBODY
    former: list[int]
    shelf: list[int]
    orders: list[tuple[int, ...]]
    up: int  # bit k: unit k is up; follows from the stages, kept beside them because it is asked for most

    def copy(self) -> Flat:
        """An independent copy."""
        return Flat(
            self.stage[:],
            self.place[:],
            self.active[:],
            self.gap[:],
            self.former[:],
            self.shelf[:],
            self.orders[:],
            self.up,
        )


Branches = list[tuple[float, Flat]]


class Layout:
    """Where each unit and each member's mark (1 active, 2 former) stands in a flat line, and which are alike.

    `apart` are units that must not be interchanged with others.
    """

    def __init__(
        self,
        system: System,
        units: Sequence[int],
        works: Sequence[Clockwork],
        switches: Sequence[Switch],
        apart: set[int],
    ) -> None:
        self.works = works
        marks: dict[tuple[str, int], list[int]] = {}
        self.mark_slots: list[list[int]] = []
        free = len(units)
        for switch in switches:
            count = len(switch.standing)
            self.mark_slots.append(list(range(free, free + count)))
            for i in range(count):
                marks.setdefault((switch.part, i), []).append(free + i)
            free += count
        self.slots = free
        self.root = sites(system, {index: k for k, index in enumerate(units)}, marks, apart)

    def line(self, flat: Flat) -> list[int]:
        """One number for each unit and each mark."""
        line = [0] * self.slots
        for k, stage in enumerate(flat.stage):
            line[k] = stage + QUEUE * flat.place[k]
        for s, slots in enumerate(self.mark_slots):
            if flat.active[s] != NOBODY:
                line[slots[flat.active[s]]] = 1
            if flat.former[s] != NOBODY:
                line[slots[flat.former[s]]] = 2
        return line

    def key(self, flat: Flat) -> Key:
        """The state in its agreed form: equal for states that differ only by an interchange."""
        return (self.root.written(self.line(flat)), tuple(flat.gap), tuple(flat.shelf), tuple(flat.orders))

    def flat(self, key: Key) -> Flat:
        """One of the states that a key stands for."""
        line = [0] * self.slots
        self.root.read(key[0], line)
        units = line[: len(self.works)]
        active, former = [], []
        for slots in self.mark_slots:
            said = [line[slot] for slot in slots]
            active.append(said.index(1) if 1 in said else NOBODY)
            former.append(said.index(2) if 2 in said else NOBODY)
        stages, places = [value % QUEUE for value in units], [value // QUEUE for value in units]
        up = sum(1 << k for k, stage in enumerate(stages) if self.works[k].kind[stage] == UP)
        return Flat(stages, places, active, list(key[1]), former, list(key[2]), list(key[3]), up)
