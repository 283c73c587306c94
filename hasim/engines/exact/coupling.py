"""Which units act on one another, and so belong into one Markov chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hasim.model.structure import variables
from hasim.model.system import System


@dataclass(frozen=True)
class Membership:
    """The units, switches and shocks that one chain is about, by their numbers in the system."""

    units: tuple[int, ...]
    switches: tuple[int, ...]
    shocks: tuple[int, ...] = ()


def coupled(system: System, wanted: Iterable[int]) -> list[Membership]:
    """The chains that the wanted variables need, as groups of units, switches and bursts; independent units are none.

    A crew or a stock ties together all units that use it, a burst its victims, a failover the units on which its
    members stand.
    """
    return _components(system, _reach(system, wanted))


def everything(system: System, wanted: Iterable[int]) -> Membership:
    """One chain of all wanted variables, independent units included, and whatever acts on them."""
    units, switches, shocks = _reach(system, wanted)
    return Membership(tuple(sorted(units)), tuple(sorted(switches)), tuple(sorted(shocks)))


def _reach(system: System, wanted: Iterable[int]) -> tuple[set[int], set[int], set[int]]:
    """All units, switches and shocks that the wanted variables depend on, directly or not."""
    n = len(system.units)
    todo = [variable for variable in wanted if variable < n + len(system.switches)]
    together = _tied(system)
    units: set[int] = set()
    switches: set[int] = set()
    shocks: set[int] = set()
    while todo:
        variable = todo.pop()
        if variable >= n:
            if variable - n not in switches:
                switches.add(variable - n)
                todo.extend(i for expr in system.switches[variable - n].standing for i in variables(expr) if i < n)
            continue
        if variable in units:
            continue
        units.add(variable)
        unit = system.units[variable]
        for user in (("crew", unit.crew), ("spares", unit.spares)):
            todo.extend(together.pop(user, ()))
        if unit.idle_part is not None:
            todo.append(n + unit.idle_part)
        for number, shock in enumerate(system.shocks):
            if variable in shock.victims:
                shocks.add(number)
                todo.extend(shock.victims)
    return units, switches, shocks


def _tied(system: System) -> dict[tuple[str, str | None], list[int]]:
    """The users of each crew and each stock."""
    users: dict[tuple[str, str | None], list[int]] = {}
    for i, unit in enumerate(system.units):
        for field, name in (("crew", unit.crew), ("spares", unit.spares)):
            if name is not None:
                users.setdefault((field, name), []).append(i)
    return users


def _components(system: System, reach: tuple[set[int], set[int], set[int]]) -> list[Membership]:
    units, switches, shocks = reach
    leader = {unit: unit for unit in units}

    def find(unit: int) -> int:
        while leader[unit] != unit:
            unit = leader[unit]
        return unit

    def join(group: list[int]) -> None:
        for unit in group[1:]:
            leader[find(unit)] = find(group[0])

    ties: list[list[int]] = []
    for switch in sorted(switches):
        ties.append(_stand_on(system, switch))
    ties.extend(list(system.shocks[number].victims) for number in sorted(shocks))
    ties.extend([unit for unit in users if unit in units] for users in _tied(system).values())
    for tie in ties:
        join(tie)
    tied = {unit for tie in ties for unit in tie}
    groups: dict[int, list[int]] = {}
    for unit in sorted(tied):
        groups.setdefault(find(unit), []).append(unit)
    found = []
    for group in groups.values():
        inside = set(group)
        found.append(
            Membership(
                tuple(group),
                tuple(s for s in sorted(switches) if inside & set(_stand_on(system, s))),
                tuple(number for number in sorted(shocks) if inside & set(system.shocks[number].victims)),
            )
        )
    return found


def _stand_on(system: System, switch: int) -> list[int]:
    n = len(system.units)
    return sorted({i for expr in system.switches[switch].standing for i in variables(expr) if i < n})
