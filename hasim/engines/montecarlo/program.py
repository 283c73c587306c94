"""Structure functions compiled for arrays: every distinct subexpression is computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasim.model.structure import AtLeast, Const, Expr, Var, walk

Bools = NDArray[np.bool_]
MANY = 24  # children from which on one call for all of them is quicker than one for each
CELLS_MAX = 1 << 22  # of a table of states evaluated at once


class Program:
    """Several expressions over the same variables, as a list of array operations.

    `run` takes states of shape (variables, n), true = up, and returns shape (expressions, n).
    """

    def __init__(self, exprs: Sequence[Expr], variables: int) -> None:
        self.variables = variables
        place: dict[Expr, int] = {}  # below zero: a constant; below `variables`: a variable; then the steps
        order: list[AtLeast] = []
        for expr in exprs:
            for node in walk(expr):
                if node in place:
                    continue
                if isinstance(node, Var):
                    place[node] = node.index
                elif isinstance(node, Const):
                    place[node] = -1 - int(node.value)
                else:
                    place[node] = variables + len(order)
                    order.append(node)
        self._steps = [(node.k, _rows([place[child] for child in node.children], variables)) for node in order]
        self._results = [place[expr] for expr in exprs]

    def run(self, states: Bools) -> Bools:
        """The value of every expression in every column of states."""
        steps: list[Bools] = []

        def value(place: int) -> Bools:
            return states[place] if place < self.variables else steps[place - self.variables]

        for k, children in self._steps:
            if isinstance(children, list):
                steps.append(_at_least(k, [value(child) for child in children]))
            else:
                steps.append(np.asarray(states[children].sum(axis=0, dtype=np.int32) >= k))
        result = np.empty((len(self._results), states.shape[1]), dtype=np.bool_)
        for row, place in enumerate(self._results):
            result[row] = value(place) if place >= 0 else place == -2
        return result

    def weak_points(self) -> Bools:
        """Whether each variable, down alone, makes each expression false; shape (expressions, variables)."""
        found = np.empty((len(self._results), self.variables), dtype=np.bool_)
        width = max(1, CELLS_MAX // max(1, self.variables))
        for first in range(0, self.variables, width):
            which = np.arange(first, min(first + width, self.variables))
            states = np.ones((self.variables, which.size), dtype=np.bool_)
            states[which, which - first] = False
            found[:, which] = ~self.run(states)
        return found

    def weak_pairs(self) -> Bools:
        """Whether each two variables, down together, make each expression false; (expressions, variables, variables).

        A variable with itself is no pair: false.
        """
        found = np.zeros((len(self._results), self.variables, self.variables), dtype=np.bool_)
        one, two = np.triu_indices(self.variables, k=1)
        width = max(1, CELLS_MAX // max(1, self.variables))
        for first in range(0, one.size, width):
            a, b = one[first : first + width], two[first : first + width]
            states = np.ones((self.variables, a.size), dtype=np.bool_)
            states[a, np.arange(a.size)] = False
            states[b, np.arange(a.size)] = False
            found[:, a, b] = found[:, b, a] = ~self.run(states)
        return found


def _rows(places: list[int], variables: int) -> list[int] | slice | NDArray[np.intp]:
    """The places as they are, or for many variables an index that sums them in one call."""
    if len(places) < MANY or max(places) >= variables:
        return places
    if places == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return np.array(places, dtype=np.intp)


def _at_least(k: int, children: list[Bools]) -> Bools:
    if k == len(children):
        result = children[0] & children[1]
        for child in children[2:]:
            result &= child
        return result
    if k == 1:
        result = children[0] | children[1]
        for child in children[2:]:
            result |= child
        return result
    total: NDArray[np.integer[Any]] = children[0].astype(np.uint8 if len(children) < 256 else np.int32)
    for child in children[1:]:
        np.add(total, child, out=total)
    return np.asarray(total >= k)
