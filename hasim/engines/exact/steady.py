"""Steady-state figures of one service: independent units by decision diagram, dependent ones by Markov chain.

For independent units with any laws the long-run unavailability, outage frequency and mean outage depend on the means
only: frequency = Σ Birnbaum importance / (mean up + mean down) (Barlow & Proschan 1975). A chain of dependent units
enters as a distribution over what the service sees of it, and its transitions as flows between two such views.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hasim.engines.exact.blocks import Block
from hasim.engines.exact.calendar import Calendar
from hasim.engines.exact.chain import Chain
from hasim.engines.exact.diagram import Diagram, Node
from hasim.engines.exact.symmetry import Key, orbits, sites
from hasim.model.structure import Expr, substitute
from hasim.model.system import System


@dataclass
class Steady:
    """What is known of one service in the long run; rates are per second."""

    up: float
    down: float
    frequency: float
    critical: dict[int, float] = field(default_factory=dict)  # P(down, and this variable alone decides)
    birnbaum: dict[int, float] = field(default_factory=dict)


class Steadily:
    """Integrates diagram nodes over chains and independent units of one system."""

    def __init__(
        self,
        system: System,
        diagram: Diagram,
        chains: Iterable[Chain],
        plan: Calendar,
        blocks: Iterable[Block] = (),
    ) -> None:
        self.system, self.diagram, self.plan = system, diagram, plan
        self.blocks = {block.variable: block for block in blocks}
        self.counted = {unit: block.unit_down for block in self.blocks.values() for unit in block.units}
        self.chains = list(chains)
        self.chained = {variable for chain in self.chains for variable in chain.variables}
        self.chances: dict[int, tuple[float, float]] = {
            i: _shares(unit.life.mean, unit.down.mean)
            for i, unit in enumerate(system.units)
            if unit.life is not None and i not in self.chained
        }
        self.chances.update({block.variable: (block.up, block.down) for block in self.blocks.values()})
        self._tree = sites(system, {i: i for i in range(len(system.units))}, {}, set())
        self._orbits = orbits(self._tree)
        self._faces = [_weights(chain) for chain in self.chains]
        self._known: dict[tuple[int, int], tuple[float, float]] = {}
        self._fixed: dict[tuple[int, int, int], Node] = {}
        self._pairs: dict[tuple[int, int], Node] = {}  # keeps nodes alive, so that their numbers stay theirs

    def both(self, node: Node, skip: int = -1) -> tuple[float, float]:
        """(P true, P false) of a node without window variables, chain `skip` being fixed already."""
        key = (int(node), skip)
        if key not in self._known:
            self._pairs[key] = node
            spread = {int(node): (node, 1.0)}
            for number in range(len(self.chains)):
                if number != skip:
                    spread = self._over_chain(spread, number)
            true = false = 0.0
            for each, weight in spread.values():
                up, down = self.diagram.both(each, self.chances)
                true += weight * up
                false += weight * down
            self._known[key] = (true, false)
        return self._known[key]

    def _over_chain(self, spread: dict[int, tuple[Node, float]], number: int) -> dict[int, tuple[Node, float]]:
        found: dict[int, tuple[Node, float]] = {}
        for node, weight in spread.values():
            mask = self._mask(node, number)
            if mask == 0:
                found[int(node)] = (node, found.get(int(node), (node, 0.0))[1] + weight)
                continue
            for face, share in _masked(self._faces[number], mask).items():
                inner = self._fix(node, number, face, mask)
                found[int(inner)] = (inner, found.get(int(inner), (inner, 0.0))[1] + weight * share)
        return found

    def _mask(self, node: Node, number: int) -> int:
        support = set(self.diagram.support(node))
        return sum(1 << bit for bit, variable in enumerate(self.chains[number].variables) if variable in support)

    def _fix(self, node: Node, number: int, face: int, mask: int) -> Node:
        key = (int(node), number, face & mask)
        if key not in self._fixed:
            variables = self.chains[number].variables
            values = {v: bool(face >> bit & 1) for bit, v in enumerate(variables) if mask >> bit & 1}
            self._pairs[int(node), -2] = node
            self._fixed[key] = self.diagram.fix(node, values)
        return self._fixed[key]

    # Figures of a service.

    def figures(self, condition: Expr) -> Steady:
        """Everything in the long run, over the calendar of planned windows."""
        total = Steady(0.0, 0.0, 0.0)
        views = {state: self._in_windows(condition, state) for state in self.plan.shares}
        for state, share in self.plan.shares.items():
            here = self._between_windows(views[state])
            total.up += share * here.up
            total.down += share * here.down
            total.frequency += share * here.frequency
            for mine, its in ((total.critical, here.critical), (total.birnbaum, here.birnbaum)):
                for variable, value in its.items():
                    mine[variable] = mine.get(variable, 0.0) + share * value
            for variable in state:
                open_again = self._in_windows(condition, state - {variable})
                decides = share * self.both(open_again & ~views[state])[0]
                total.critical[variable] = total.critical.get(variable, 0.0) + decides
        for (before, after), rate in self.plan.changes.items():
            total.frequency += rate * self.both(views[before] & ~views[after])[0]
        return total

    def availability(self, node: Node) -> tuple[float, float]:
        """(P true, P false) over the calendar."""
        shares = self.plan.shares.items()
        pairs = [(share, self.both(self.diagram.fix(node, self._windows(state)))) for state, share in shares]
        return sum(share * up for share, (up, _) in pairs), sum(share * down for share, (_, down) in pairs)

    def one_without(self, one: Expr, other: Expr) -> float:
        """P(one condition holds and the other does not) over the calendar."""
        return sum(
            share * self.both(self._in_windows(one, state) & ~self._in_windows(other, state))[0]
            for state, share in self.plan.shares.items()
        )

    def _in_windows(self, condition: Expr, state: frozenset[int]) -> Node:
        # Windows are filled in before a diagram is built: one of all windows, which may overlap in any way as far as
        # it knows, would be far larger than those of the few states that there are.
        return self.diagram.build(substitute(condition, self._windows(state)))

    def _windows(self, state: frozenset[int]) -> dict[int, bool]:
        first = len(self.system.units) + len(self.system.switches)
        return {v: v not in state for v in range(first, self.system.variables)}

    def _between_windows(self, node: Node) -> Steady:
        up, down = self.both(node)
        found = Steady(up, down, 0.0)
        for variable in self.diagram.support(node):
            if variable in self.chained:
                continue
            with_it, without = (
                self.diagram.fix(node, {variable: True}),
                self.diagram.fix(node, {variable: False}),
            )
            importance = self.both(with_it & ~without)[0]
            block = self.blocks.get(variable)
            if block is not None:
                found.frequency += importance * block.frequency
                found.birnbaum.update(dict.fromkeys(block.units, importance * block.pivotal))
                decides = importance * block.pivotal * block.unit_down
                found.critical.update(dict.fromkeys(block.units, decides))
                continue
            unit = self.system.units[variable]
            assert unit.life is not None
            found.birnbaum[variable] = importance
            found.critical[variable] = self.chances[variable][1] * importance
            found.frequency += importance / (unit.life.mean + unit.down.mean)
        for number, chain in enumerate(self.chains):
            mask = self._mask(node, number)
            if mask:
                found.frequency += self._chain_frequency(node, number, mask)
                found.critical.update(self._chain_critical(node, number, mask, chain))
        if self.chains:
            found.critical, found.birnbaum = self._evened(found.critical), self._evened(found.birnbaum)
        return found

    def _chain_frequency(self, node: Node, number: int, mask: int) -> float:
        chain = self.chains[number]
        flows: dict[tuple[int, int], float] = {}
        flow = chain.pi[chain.source] * chain.rate
        for source, arrival, rate in zip(chain.source.tolist(), chain.arrival, flow.tolist(), strict=True):
            step = (chain.faces[source] & mask, arrival & mask)
            if step[0] != step[1]:
                flows[step] = flows.get(step, 0.0) + rate
        total = 0.0
        for (before, after), rate in flows.items():
            lost = self._fix(node, number, before, mask) & ~self._fix(node, number, after, mask)
            if lost != self.diagram.bdd.false:
                total += rate * self.both(lost, number)[0]
        return total

    def _chain_critical(self, node: Node, number: int, mask: int, chain: Chain) -> dict[int, float]:
        """P(down and this variable of the chain decides)."""
        raw: dict[int, float] = {}
        for face, share in _masked(self._faces[number], mask).items():
            here = self._fix(node, number, face, mask)
            if here == self.diagram.bdd.true:
                continue
            for bit, variable in enumerate(chain.variables):
                if mask >> bit & 1 and not face >> bit & 1:
                    decides = self._fix(node, number, face | 1 << bit, mask) & ~here
                    if decides != self.diagram.bdd.false:
                        raw[variable] = raw.get(variable, 0.0) + share * self.both(decides, number)[0]
        return raw

    def _evened(self, found: dict[int, float]) -> dict[int, float]:
        """The mean over units that an interchange brings together: a chain's states tell apart what is alike."""
        groups: dict[object, list[int]] = {}
        for variable in range(len(self.system.units)):
            groups.setdefault(self._orbits[variable], []).append(variable)
        even = {variable: value for variable, value in found.items() if variable >= len(self.system.units)}
        for group in groups.values():
            if any(variable in found for variable in group):
                mean = sum(found.get(variable, 0.0) for variable in group) / len(group)
                even.update(dict.fromkeys(group, mean))
        return even

    def cut_chances(self, cuts: Iterable[frozenset[int]]) -> dict[frozenset[int], float]:
        """P(all variables of a cut are down), evened out over cuts that an interchange brings together."""
        raw: dict[frozenset[int], float] = {}
        groups: dict[Key, list[frozenset[int]]] = {}
        for cut in cuts:
            node, counted = self.diagram.bdd.true, 1.0
            for variable in cut:
                if variable in self.counted:
                    counted *= self.counted[variable]
                else:
                    node = node & ~self.diagram.bdd.var(str(variable))
            raw[cut] = counted * self.availability(node)[0]
            groups.setdefault(self._orbit_of(cut) if self.chains else tuple(sorted(cut)), []).append(cut)
        return {cut: sum(raw[each] for each in group) / len(group) for group in groups.values() for cut in group}

    def _orbit_of(self, cut: frozenset[int]) -> Key:
        n = len(self.system.units)
        flat = [int(i in cut) for i in range(n)]
        return (self._tree.written(flat), tuple(sorted(i for i in cut if i >= n)))


def _shares(up: float, down: float) -> tuple[float, float]:
    return up / (up + down), down / (up + down)


def _weights(chain: Chain) -> dict[int, float]:
    weights: dict[int, float] = {}
    for face, share in zip(chain.faces, chain.pi.tolist(), strict=True):
        weights[face] = weights.get(face, 0.0) + share
    return weights


def _masked(weights: dict[int, float], mask: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for face, share in weights.items():
        found[face & mask] = found.get(face & mask, 0.0) + share
    return found
