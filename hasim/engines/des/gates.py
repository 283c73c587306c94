"""The structure function as a network of gates, kept up to date one change at a time.

Each gate knows how many true inputs it has beyond those it needs. A change of one variable goes up only as
far as it matters, so the cost of an event does not grow with the cluster.
"""

from __future__ import annotations

from hasim.model.structure import AtLeast, Const, Expr, Var, walk


class Gates:
    """All expressions of a system, each different one once; nodes are numbered, the variables first.

    `surplus[node]` is zero or more while the node is true: true inputs beyond those needed (a variable counts
    as its own input). `above[node]` are the gates that a node is an input of, a gate that takes it twice
    standing twice.
    """

    def __init__(self, variables: int) -> None:
        """Start with the variables alone, all true."""
        self.variables = variables
        self.surplus: list[int] = [0] * variables
        self.above: list[list[int]] = [[] for _ in range(variables)]
        self._nodes: dict[Expr, int] = {Var(index): index for index in range(variables)}

    def add(self, expr: Expr) -> int:
        """Put an expression into the network, as things stand now; return its node."""
        for node in walk(expr):
            if node not in self._nodes:
                self._nodes[node] = self._gate(node)
        return self._nodes[expr]

    def _gate(self, node: Expr) -> int:
        number = len(self.surplus)
        if isinstance(node, AtLeast):
            inputs = [self._nodes[child] for child in node.children]
            self.surplus.append(sum(self.is_true(child) for child in inputs) - node.k)
            for child in inputs:
                self.above[child].append(number)
        else:
            assert isinstance(node, Const), f"variable {node} is not among the {self.variables} of the network"
            self.surplus.append(0 if node.value else -1)
        self.above.append([])
        return number

    def is_true(self, node: int) -> bool:
        """Whether a variable or gate is true now."""
        return self.surplus[node] >= 0

    def fall(self, variable: int) -> list[int]:
        """Make a true variable false; return every node that became false, inputs before their gates."""
        surplus, above = self.surplus, self.above
        surplus[variable] = -1
        fallen = [variable]
        for node in fallen:  # the list grows while we walk it
            for gate in above[node]:
                surplus[gate] -= 1
                if surplus[gate] == -1:
                    fallen.append(gate)
        return fallen

    def rise(self, variable: int) -> list[int]:
        """Make a false variable true; return every node that became true, inputs before their gates."""
        surplus, above = self.surplus, self.above
        surplus[variable] = 0
        risen = [variable]
        for node in risen:
            for gate in above[node]:
                surplus[gate] += 1
                if surplus[gate] == 0:
                    risen.append(gate)
        return risen
