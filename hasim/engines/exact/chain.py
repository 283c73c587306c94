"""Markov chains of the units that act on one another: crews, spares, standbys, failovers and bursts.

The state space is explored from "all up" by the rules of `hasim.model.system`, with states that differ only by an
interchange of like things taken as one. What services see of a state is its `face`: one bit for each variable of the
chain. Flows between states remember the face actually arrived at, so that a frequency does not suffer from lumping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hasim.engines.exact.coupling import Membership
from hasim.engines.exact.linear import Rates, stationary
from hasim.engines.exact.rules import Rules
from hasim.engines.exact.symmetry import Key
from hasim.errors import CannotModel
from hasim.model.system import System

STATES_MAX = 60_000  # about half a minute of exploring, for a dozen units
UNITS_MAX = 300
WORK_MAX = 2e7  # states times units squared: what exploring costs
STOCK_MAX = 200


@dataclass
class Chain:
    """An explored chain: the faces of its states and the transitions between them."""

    variables: tuple[int, ...]  # bit b of a face is this variable
    faces: list[int]
    source: NDArray[np.intp]
    target: NDArray[np.intp]
    rate: NDArray[np.float64]
    arrival: list[int]  # the face arrived at by each transition, before interchange
    first: dict[int, float]  # distribution of the state with everything up and new

    @cached_property
    def pi(self) -> NDArray[np.float64]:
        """Stationary distribution."""
        return stationary(self.rates)

    @property
    def rates(self) -> Rates:
        """The transitions; the more is down in a state, the less likely it is, failovers going on before others."""
        down = [len(self.variables) - face.bit_count() for face in self.faces]
        return Rates(len(self.faces), self.source, self.target, self.rate, np.argsort(down, kind="stable"))

    def values(self, face: int) -> dict[int, bool]:
        """The variables of a face."""
        return values_of(self.variables, face)


def values_of(variables: tuple[int, ...], face: int) -> dict[int, bool]:
    """The variables that a face stands for."""
    return {variable: bool(face >> bit & 1) for bit, variable in enumerate(variables)}


def explore(
    system: System,
    belongs: Membership,
    apart: set[int],
    until: Callable[[dict[int, bool]], bool] | None = None,
    states_max: int = STATES_MAX,
) -> Chain:
    """Build the chain of some units and switches; CannotModel if it is too large or a law has no stages.

    States in which `until` holds of the variables are not left again: for times to a first event.
    """
    size = len(belongs.units)
    stocks = {system.units[unit].spares for unit in belongs.units} - {None}
    largest = max((system.spares[name].stock for name in stocks if name is not None), default=0)
    if size > UNITS_MAX or largest > STOCK_MAX:
        what = f"{size} units that act on one another" if size > UNITS_MAX else f"a stock of {largest} spares"
        why = f"chains are explored for up to {UNITS_MAX} units and {STOCK_MAX} spares"
        raise CannotModel(what, why, "use ha.estimate")
    states_max = min(states_max, int(WORK_MAX / max(size, 1) ** 2))
    rules = Rules(system, belongs, apart)
    book: dict[Key, int] = {}
    first: dict[int, float] = {}
    for p, flat in rules.start():
        number = book.setdefault(rules.layout.key(flat), len(book))
        first[number] = first.get(number, 0.0) + p
    faces: list[int] = []
    rows: dict[tuple[int, int, int], float] = {}
    todo = list(book)
    while len(faces) < len(todo):
        here = len(faces)
        flat = rules.layout.flat(todo[here])
        faces.append(rules.face(flat))
        if until is not None and until(values_of(rules.variables, faces[here])):
            continue
        for rate, arrived in rules.changes(flat):
            key = rules.layout.key(arrived)
            there = book.setdefault(key, len(book))
            if there == len(todo):
                todo.append(key)
                if len(todo) > states_max:
                    raise CannotModel(
                        f"{len(belongs.units)} units that act on one another",
                        f"their chain has more than {states_max} states",
                        "use ha.estimate",
                    )
            step = (here, there, rules.face(arrived))
            rows[step] = rows.get(step, 0.0) + rate
    return Chain(
        variables=rules.variables,
        faces=faces,
        source=np.array([here for here, _, _ in rows], dtype=np.intp),
        target=np.array([there for _, there, _ in rows], dtype=np.intp),
        rate=np.array(list(rows.values())),
        arrival=[face for _, _, face in rows],
        first=first,
    )
