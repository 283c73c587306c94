"""What becomes of each task, written down as it happens."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from math import nan
from typing import Any

import numpy as np

from hasim.results.tasks import TaskLog

COUNTED = frozenset(
    {
        *(
            "task expired",
            "task freed",
            "task refused",
            "ack refused",
            "put again",
            "result refused",
        ),
        *("rebalance begun", "dead letter", "task redriven", "work failed"),
    }
)
"""Facts of which a log has the number."""


class TaskNotes:
    """A row for each task, by its name."""

    def __init__(self) -> None:
        """No tasks."""
        self.names: list[str] = []
        self.counts: Counter[str] = Counter()
        self.under_way = 0  # tasks that the broker has
        self._row: dict[str, int] = {}
        self._times = {
            name: array("d") for name in ("arrived", "stored", "delivered", "done", "dead", "gone", "effect")
        }
        self._worked = array("d")
        self._executions = array("q")
        self._attempts = array("d")
        self._effects = array("q")
        self._doubts: dict[str, float] = {}  # since when a task is prepared
        self._doubted: list[tuple[float, float]] = []

    def arrived(self, task: str, now: float) -> None:
        """A task is there."""
        self._row[task] = len(self.names)
        self.names.append(task)
        for name, column in self._times.items():
            column.append(now if name == "arrived" else nan)
        self._worked.append(0.0)
        self._executions.append(0)
        self._effects.append(0)

    def happened(self, kind: str, task: str, now: float) -> None:
        """Something was announced about a task."""
        row = self._row.get(task)
        if row is None:
            return
        if kind == "work begun":
            self._executions[row] += 1
            self._attempts.append(now)
        elif kind == "effect":
            self._effects[row] += 1
            self._first("effect", row, now)
        elif kind == "task delivered":
            self._first("delivered", row, now)
        elif kind == "task stored":
            self.under_way += 1
            self._first("stored", row, now)
            self._times["gone"][row] = nan  # its producer, too, was wrong
        elif kind == "task acked":
            self.under_way -= 1
            self._first("done", row, now)
        elif kind == "dead letter":
            self.under_way -= 1
            self._first("dead", row, now)
        elif kind == "task redriven":
            self.under_way += 1
            self._times["dead"][row] = nan
        elif kind == "prepared":
            self._doubts[task] = now
        elif kind == "decided":
            self._doubted.append((self._doubts.pop(task), now))

    def _first(self, column: str, row: int, now: float) -> None:
        times = self._times[column]
        if times[row] != times[row]:  # NaN: it has not happened before
            times[row] = now

    def worked(self, task: str, lasting: float) -> None:
        """A worker was at a task for so long."""
        row = self._row.get(task)
        if row is not None:
            self._worked[row] += lasting

    def gone(self, tasks: Iterable[str], now: float) -> None:
        """Tasks are lost with the process that alone had them."""
        for task in tasks:
            self._times["gone"][self._row[task]] = now

    def unsettled(self, stored: bool) -> list[str]:
        """Tasks that the broker has, or (not `stored`) that have not reached it, as far as anybody knows."""
        times = self._times
        return [
            name
            for name, row in self._row.items()
            if (times["stored"][row] == times["stored"][row]) is stored
            and all(times[end][row] != times[end][row] for end in ("done", "dead", "gone"))
        ]

    def log(self, queue: str, workers: int, end: float, keys_most: int, acks_first: bool) -> TaskLog:
        """Put it all into columns."""
        doubts = [*self._doubted, *((since, end) for since in self._doubts.values())]
        times: dict[str, Any] = {f"{name}_s": np.array(column) for name, column in self._times.items()}
        return TaskLog(
            queue=queue,
            names=tuple(self.names),
            **times,
            executions=np.array(self._executions),
            effects=np.array(self._effects),
            worked_s=np.array(self._worked),
            start_s=0.0,
            end_s=end,
            workers=workers,
            counts=dict(self.counts),
            in_doubt=np.array(doubts, dtype=np.float64).reshape(-1, 2),
            attempts_s=np.array(self._attempts),
            keys_most=keys_most,
            acks_first=acks_first,
        )
