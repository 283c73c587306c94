"""From all up and new: the mean time to the first outage, and what a horizon that starts there looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasim.engines.exact.chain import Chain, explore
from hasim.engines.exact.coupling import Membership, everything
from hasim.engines.exact.diagram import Diagram, Node
from hasim.engines.exact.linear import first_passage
from hasim.errors import CannotModel
from hasim.model.structure import Expr, holds, variables
from hasim.model.system import System, SystemUnit

FIRST_STATES_MAX = 5_000  # states explored for a time to first outage; more would keep a reader waiting
FIRST_UNITS_MAX = 60
TRANSIENT_STATES_MAX = 300  # a full matrix exponential of twice this size takes about a second

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """Mean figures over [0, T] from all up and new: share of time down, number of outages, chance to be down at T."""

    unavailability: float
    outages: float
    down_at_end: float


def mean_time_to_outage(system: System, up: Expr) -> tuple[float, int]:
    """(mean seconds from all up and new to the first outage, states of the chain); inf if it never goes down."""
    belongs = _belongs(system, up)

    def failed(values: dict[int, bool]) -> bool:
        return not holds(up, _line(system, values))

    chain = explore(system, belongs, set(), failed, FIRST_STATES_MAX)
    down = np.array([failed(chain.values(face)) for face in chain.faces])
    if not down.any():
        return float("inf"), len(chain.faces)
    return first_passage(chain.rates, down, chain.first), len(chain.faces)


def horizon(system: System, up: Expr, over: float) -> tuple[Horizon, str]:
    """Figures over a horizon, and how they were obtained; CannotModel where laws or size do not allow it."""
    units = [i for i in variables(up) if i < len(system.units)]
    alone = not any(i >= len(system.units) for i in variables(up))
    if alone and all(_exponential_clock(system.units[i]) for i in units):
        diagram = Diagram(system)
        return _independent(
            system, diagram, diagram.build(up), units, over
        ), "closed form of independent exponential units"
    belongs = _belongs(system, up)
    chain = explore(system, belongs, set(), None, TRANSIENT_STATES_MAX)
    return _of_chain(system, up, chain, over), f"matrix exponential of {len(chain.faces)} states"


def _belongs(system: System, up: Expr) -> Membership:
    if any(i >= len(system.units) + len(system.switches) for i in variables(up)):
        raise CannotModel("planned windows from a fresh start", "a calendar is not a Markov chain", "use ha.estimate")
    belongs = everything(system, variables(up))
    if len(belongs.units) > FIRST_UNITS_MAX:
        raise CannotModel(
            f"a first outage among {len(belongs.units)} units",
            f"their chain from all up is explored for up to {FIRST_UNITS_MAX} units",
            "use ha.estimate",
        )
    return belongs


def _line(system: System, values: dict[int, bool]) -> list[bool]:
    return [values.get(i, True) for i in range(system.variables)]


def _exponential_clock(unit: SystemUnit) -> bool:
    if not unit.independent or unit.life is None:
        return False
    return all(
        branches is not None and len(branches) == 1 and len(branches[0].stages) == 1
        for branches in (unit.life.phases(), unit.down.phases())
    )


def _independent(system: System, diagram: Diagram, node: Node, units: list[int], over: float) -> Horizon:
    """Each unit is down at t with probability q (1 - exp(-(λ+μ) t)); integrals by Gauss–Legendre on growing pieces.

    The pieces start far below the fastest repair, so that each holds a smooth function, and double up to the end.
    """
    times, weights = _quadrature([1 / system.units[i].down.mean for i in units], over)

    def chances(t: Floats) -> dict[int, tuple[Floats, Floats]]:
        found = {}
        for i in units:
            life = system.units[i].life
            assert life is not None
            fail, repair = 1 / life.mean, 1 / system.units[i].down.mean
            gone = -np.expm1(-(fail + repair) * t)
            down = fail / (fail + repair) * gone
            found[i] = ((repair + fail * np.exp(-(fail + repair) * t)) / (fail + repair), down)
        return found

    during = chances(times)
    down = np.broadcast_to(diagram.both(node, during)[1], times.shape)
    rate = np.zeros_like(times)
    for i in units:
        life = system.units[i].life
        assert life is not None
        decides = diagram.fix(node, {i: True}) & ~diagram.fix(node, {i: False})
        rate = rate + diagram.both(decides, during)[0] * during[i][0] / life.mean
    at_end = chances(np.array([over]))
    return Horizon(
        float(weights @ down) / over,
        float(weights @ rate),
        float(np.broadcast_to(diagram.both(node, at_end)[1], (1,))[0]),
    )


def _quadrature(rates: list[float], over: float) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = [0.0]
    edge = min(0.25 / max(rates, default=1.0), over)
    while edge < over:
        edges.append(edge)
        edge *= 2
    edges.append(over)
    starts, widths = np.array(edges[:-1]), np.diff(edges)
    times = (starts[:, None] + widths[:, None] * (nodes + 1) / 2).ravel()
    return times, (widths[:, None] * weights / 2).ravel()


def _of_chain(system: System, up: Expr, chain: Chain, over: float) -> Horizon:
    """∫π(t)dt = T·π + (π(0) - π(T))·(1π - Q)⁻¹, π the stationary distribution (the deviation matrix; Coolen-Schrijner
    & van Doorn 2002). The main term has all digits of π, whatever the exponential π(T) lost.
    """
    from scipy.linalg import expm

    n = len(chain.faces)
    generator = np.zeros((n, n))
    np.add.at(generator, (chain.source, chain.target), chain.rate)
    np.fill_diagonal(generator, 0.0)
    np.fill_diagonal(generator, -generator.sum(axis=1))
    begin = np.zeros(n)
    for state, share in chain.first.items():
        begin[state] = share
    at_end = begin @ expm(generator * over)
    # Scaled to one fastest event, so that both terms of the sum are of like size.
    pace = float(np.max(-np.diag(generator)))
    deviation = np.linalg.solve((np.tile(chain.pi, (n, 1)) - generator / pace).T, begin - at_end) / pace
    time_in = over * chain.pi + deviation
    down = np.array([not holds(up, _line(system, chain.values(face))) for face in chain.faces])
    lost = np.array([not holds(up, _line(system, chain.values(face))) for face in chain.arrival])
    crossing = ~down[chain.source] & lost
    outages = float(time_in[chain.source[crossing]] @ chain.rate[crossing])
    return Horizon(float(time_in[down].sum()) / over, outages, float(at_end[down].sum()))
