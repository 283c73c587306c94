"""What a run leaves behind: when each thing was down, and the facts that tell why."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from simpy import Environment

from hasim.engines.des.gates import Gates
from hasim.trace import Detail, Fact, Trace

FACTS_MAX = 200_000
"""Facts kept in a trace; of those that follow only the number is known."""


class History:
    """The instants at which the watched nodes of the gates went down or up, and the facts.

    Two turns of one node at the same instant cancel out: a time up or down of no length did not happen.
    """

    def __init__(self, env: Environment, gates: Gates) -> None:
        """Watch nothing yet."""
        self._env = env
        self._gates = gates
        self._facts_max = FACTS_MAX
        self._turns: dict[int, array[float]] = {}  # instants by node, down and up in turn
        self._facts: list[tuple[float, str, str, Detail]] = []
        self._counts: Counter[str] = Counter()
        self.start = 0.0

    def watch(self, node: int) -> array[float]:
        """Keep the turns of a node; whoever turns it adds the instants with `turned`."""
        return self._turns.setdefault(node, array("d"))

    def begin(self) -> None:
        """Forget the past, the warm-up, and begin now with things as they are."""
        self.start = self._env.now
        self._facts.clear()
        self._counts.clear()
        for node, instants in self._turns.items():
            del instants[:]
            if not self._gates.is_true(node):
                instants.append(self.start)

    def note(self, kind: str, subject: str, detail: Detail = "") -> None:
        """Write down a fact of this instant."""
        self._counts[kind] += 1
        if len(self._facts) < self._facts_max:
            self._facts.append((self._env.now, kind, subject, detail))

    def down(self, node: int) -> NDArray[np.float64]:
        """Return when a watched node was down so far, shape (k, 2) in seconds."""
        return intervals(self._turns[node], self._env.now)

    def trace(self) -> Trace:
        """Return the facts so far."""
        return Trace((Fact(*row) for row in self._facts), self._counts)


def turned(instants: array[float], now: float) -> None:
    """Add a turn; a second one at the same instant undoes the first."""
    if instants and instants[-1] == now:
        instants.pop()
    else:
        instants.append(now)


def intervals(instants: array[float] | list[float], end: float) -> NDArray[np.float64]:
    """Pair the turns down with the turns up; what is still down at the end is cut there."""
    flat = np.array(instants, dtype=np.float64)
    if flat.size % 2:
        flat = flat[:-1] if flat[-1] == end else np.append(flat, end)
    return flat.reshape(-1, 2)


def difference(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where `outer` holds and `inner`, which lies inside it, does not; both shape (k, 2)."""
    instants, met = np.unique(np.concatenate([outer.ravel(), inner.ravel()]), return_counts=True)
    odd: NDArray[np.float64] = instants[met % 2 == 1]
    return odd.reshape(-1, 2)
