"""Binary decision diagrams of structure functions, and probabilities on them.

A reduced ordered diagram (Bryant 1986) shares equal subproblems, so that a condition over dozens of units takes a few
hundred nodes. Probabilities are sums of products of positive numbers, for up and for down separately: a
chance of 1e-12 keeps all its digits, which 1 - P(up) would not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dd.autoref import BDD

from hasim.engines.exact.blocks import Block
from hasim.errors import CannotModel
from hasim.model.structure import AtLeast, Const, Expr, Var, variables, walk
from hasim.model.system import System

NODES_MAX = 400_000  # about a minute of building; beyond that another engine answers sooner

Node = Any  # dd has no types
Chances = Mapping[int, tuple[Any, Any]]  # variable -> (P up, P down), floats or arrays over points of time


class Diagram:
    """A diagram manager for one system; nodes of all its services share it."""

    def __init__(self, system: System, blocks: Sequence[Block] = ()) -> None:
        self.bdd = BDD()
        self.bdd.configure(reordering=False)
        hidden = {unit for block in blocks for unit in block.units}
        self.order = [i for i in variable_order(system) if i not in hidden] + [block.variable for block in blocks]
        self.bdd.declare(*(str(index) for index in self.order))
        self._built: dict[Expr, Node] = {block.expr: self.bdd.var(str(block.variable)) for block in blocks}

    def build(self, expr: Expr) -> Node:
        """The node of an expression."""
        if expr in self._built:
            return self._built[expr]
        for node in walk(expr, self._built):
            if node not in self._built:
                self._built[node] = self._one(node)
        return self._built[expr]

    def _one(self, expr: Expr) -> Node:
        if isinstance(expr, Const):
            return self.bdd.true if expr.value else self.bdd.false
        if isinstance(expr, Var):
            return self.bdd.var(str(expr.index))
        return self._at_least(expr)

    def _at_least(self, expr: AtLeast) -> Node:
        """tails[j]: at least j of the children seen so far (from the last one on) are true."""
        children = [self._built[child] for child in expr.children]
        tails: list[Node] = [self.bdd.true] + [self.bdd.false] * expr.k
        for done, child in enumerate(reversed(children)):
            left = len(children) - done - 1
            lowest = max(1, expr.k - left)
            for j in range(expr.k, lowest - 1, -1):
                tails[j] = self.bdd.ite(child, tails[j - 1], tails[j])
            if len(self.bdd) > NODES_MAX:
                raise CannotModel(
                    f"a condition over {len(variables(expr))} units",
                    f"its decision diagram grew over {NODES_MAX} nodes",
                    "use ha.estimate",
                )
        return tails[expr.k]

    def fix(self, node: Node, values: Mapping[int, bool]) -> Node:
        """The node with some variables given."""
        return self.bdd.let({str(index): value for index, value in values.items()}, node)

    def support(self, node: Node) -> list[int]:
        """The variables that the node depends on, sorted."""
        return sorted(int(name) for name in self.bdd.support(node))

    def both(self, node: Node, chances: Chances) -> tuple[Any, Any]:
        """(P true, P false) with independent variables; the chances may be arrays of one shape."""
        known: dict[int, tuple[Any, Any]] = {}
        unit = next(iter(chances.values()))[0] * 0 + 1.0 if chances else 1.0
        known[abs(int(self.bdd.true))] = (unit, unit * 0)
        return self._both(node, chances, known)

    def _both(self, node: Node, chances: Chances, known: dict[int, tuple[Any, Any]]) -> tuple[Any, Any]:
        # A complemented edge points at the same node with true and false swapped.
        stack = [node]
        while stack:
            top = stack[-1]
            key = abs(int(top))
            if key in known:
                stack.pop()
                continue
            low, high = top.low, top.high
            todo = [child for child in (low, high) if abs(int(child)) not in known]
            if todo:
                stack.extend(todo)
                continue
            stack.pop()
            up, down = chances[int(top.var)]
            high_true, high_false = _read(high, known)
            low_true, low_false = _read(low, known)
            value = (up * high_true + down * low_true, up * high_false + down * low_false)
            # low and high are those of the regular node; the sign of `top` is applied by its reader.
            known[key] = value
        return _read(node, known)


def _read(node: Node, known: dict[int, tuple[Any, Any]]) -> tuple[Any, Any]:
    true, false = known[abs(int(node))]
    return (false, true) if int(node) < 0 else (true, false)


def variable_order(system: System) -> list[int]:
    """Units of one host side by side, behind its domains: diagrams of designs made of columns stay narrow."""
    rank = {path: i for i, path in enumerate(_paths(system))}
    sited = sorted(
        (i for i, unit in enumerate(system.units) if unit.site),
        key=lambda i: (rank[system.units[i].site], i),
    )
    free = [i for i, unit in enumerate(system.units) if not unit.site]
    rest = range(len(system.units), system.variables)
    return [*free, *sited, *rest]


def _paths(system: System) -> Sequence[tuple[str, ...]]:
    return list(system.cluster.topology.paths().values())
