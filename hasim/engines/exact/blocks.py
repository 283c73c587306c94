"""Pools of like units that stand alone, counted by the binomial law instead of one by one.

A pool of ten thousand replicas that share no host, crew or domain is up or down by their number alone. It enters the
decision diagram as one variable, whose chance and frequency are closed forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hasim.model.structure import AtLeast, Expr, Var, walk
from hasim.model.system import System

SMALLEST = 9  # below this a diagram is as good, and names every unit


@dataclass(frozen=True)
class Block:
    """`k` of these like units are needed; `variable` stands for that in the diagram.

    `up` and `down` are its chances, `frequency` its falls per second; `pivotal` is the chance that exactly k - 1 of
    the other units are up, so that one unit decides, and `unit_down` the chance that this one is down.
    """

    expr: AtLeast
    variable: int
    units: tuple[int, ...]
    up: float
    down: float
    frequency: float
    pivotal: float
    unit_down: float


def blocks(system: System, conditions: Iterable[Expr]) -> list[Block]:
    """The blocks in some conditions; their units appear nowhere else in the system."""
    uses: Counter[int] = Counter()
    candidates: dict[AtLeast, None] = {}
    standing = [expr for switch in system.switches for expr in switch.standing]
    nodes = {node for condition in (*conditions, *standing) for node in walk(condition)}
    for node in sorted((node for node in nodes if isinstance(node, AtLeast)), key=repr):
        for child in node.children:
            if isinstance(child, Var):
                uses[child.index] += 1
        if len(node.children) >= SMALLEST and _alike(system, node):
            candidates[node] = None
    uses.update(condition.index for condition in (*conditions, *standing) if isinstance(condition, Var))
    found: list[Block] = []
    for node in candidates:
        units = tuple(child.index for child in node.children if isinstance(child, Var))
        if all(uses[unit] == 1 for unit in units):
            found.append(_block(system, node, units, system.variables + len(found)))
    return found


def _alike(system: System, node: AtLeast) -> bool:
    means = set()
    for child in node.children:
        if not isinstance(child, Var) or child.index >= len(system.units):
            return False
        unit = system.units[child.index]
        if not unit.independent or unit.life is None:
            return False
        means.add((unit.life.mean, unit.down.mean))
    return len(means) == 1


def _block(system: System, node: AtLeast, units: tuple[int, ...], variable: int) -> Block:
    from scipy.stats import binom  # heavy, and few models have such pools

    unit = system.units[units[0]]
    assert unit.life is not None
    cycle = unit.life.mean + unit.down.mean
    q = unit.down.mean / cycle
    n, k = len(units), node.k
    pivotal = float(binom.pmf(n - k, n - 1, q))  # n - k of the others down
    return Block(
        expr=node,
        variable=variable,
        units=units,
        up=float(binom.cdf(n - k, n, q)),
        down=float(binom.sf(n - k, n, q)),
        frequency=n * pivotal / cycle,
        pivotal=pivotal,
        unit_down=q,
    )
