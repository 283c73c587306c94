"""What becomes of the tasks of the queues of a cluster, sampled by the million."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from hasim.engines.montecarlo.deliveries import Deliveries, sample_deliveries
from hasim.errors import CannotModel
from hasim.model.cluster import Cluster
from hasim.model.parts import Queue
from hasim.model.tasks import alone, tasks_per_second
from hasim.protocols.effects import Fenced, Keyed, Transactional, TwoPhase
from hasim.results.estimate import Estimate, Unit
from hasim.results.intervals import proportion_estimate, rate_estimate
from hasim.results.tasks import TaskFigures
from hasim.streams import Streams

BLOCK = 1 << 20
"""Tasks that are sampled at once; more would need more memory for nothing."""


def estimate_tasks(cluster: Cluster, count: int, seed: int, level: float) -> tuple[dict[str, TaskFigures], list[str]]:
    """The figures of each queue whose tasks are followed, and what a reader should know of them."""
    found: dict[str, TaskFigures] = {}
    notes: list[str] = []
    for name, part in cluster.parts.items():
        if not isinstance(part, Queue) or part.work is None:
            continue
        try:
            found[name] = _figures(cluster, name, part, count, seed, level)
        except CannotModel as refusal:
            notes.append(f"{name}: no figures of its tasks: {refusal.what}: {refusal.why}; {refusal.instead}")
            continue
        notes.append(
            f"{name}: {count:,} tasks were followed; they find a worker that is free, and a resource that takes no time"
        )
    return found, notes


def _figures(cluster: Cluster, name: str, queue: Queue, count: int, seed: int, level: float) -> TaskFigures:
    delivery, work, renew, once, nack_delay = alone(queue, "estimate")
    effect, window = queue.effect, None
    if isinstance(effect, Keyed):
        if effect.order != "together":
            why = "how often a crash falls between two writes depends on how long they take"
            raise CannotModel(f"a key with {effect.order}", why, "use ha.simulate", "estimate")
        window = effect.window
    if once:
        window = None
    rng = Streams(seed)[f"{name}/tasks"]
    needs_ack = not once and isinstance(effect, Transactional | TwoPhase)
    sums = _Sums(needs_ack, fenced=isinstance(effect, Fenced) and not once)
    for start in range(0, count, BLOCK):
        sums.add(sample_deliveries(delivery, work, min(BLOCK, count - start), rng, renew, window, nack_delay))
    rate = tasks_per_second(cluster, name)
    worker = sums.mean("worker", level, "seconds")
    one_effect = once or isinstance(effect, Transactional | TwoPhase | Fenced)
    busy = rate / queue.workers
    return TaskFigures(
        executions=sums.mean("executions", level),
        duplicates=Estimate.exact(0.0) if one_effect else sums.mean("duplicates", level),
        lost=proportion_estimate(sums.lost, count, level),
        duplicated=None if one_effect else proportion_estimate(sums.duplicated, count, level),
        dead_letters=Estimate.exact(0.0, "share") if once else proportion_estimate(sums.dead, count, level),
        done_after_s=sums.mean("done_after", level, "seconds"),
        worker_s=worker,
        busy=worker.scaled(busy, "share") if rate and worker is not None else None,
    )


@dataclass
class _Sums:
    """What is kept of many tasks: sums, and sums of squares."""

    needs_ack: bool = False
    fenced: bool = False
    lost: int = 0
    duplicated: int = 0
    dead: int = 0
    moments: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def add(self, tasks: Deliveries) -> None:
        """Count these tasks, too."""
        done = np.isfinite(tasks.done_after)
        if self.needs_ack:
            self.lost += int((~done).sum())
        elif self.fenced:  # of a dead letter only the last attempt may have an effect
            self.lost += int((~done & ~tasks.last).sum())
        else:
            self.lost += int((tasks.effects == 0).sum())
        self.duplicated += int((tasks.effects > 1).sum())
        self.dead += int((~done).sum())
        self._add("executions", tasks.executions)
        self._add("duplicates", np.maximum(tasks.effects - 1, 0))
        self._add("done_after", tasks.done_after[done])
        self._add("worker", tasks.worked)

    def _add(self, name: str, values: npt.NDArray[Any]) -> None:
        count, total, squares = self.moments.get(name, (0, 0.0, 0.0))
        values = values.astype(np.float64)
        self.moments[name] = (count + values.size, total + float(values.sum()), squares + float(values @ values))

    def mean(self, name: str, level: float, unit: Unit = "") -> Estimate | None:
        """The mean with a normal interval, which so many independent tasks make an honest one."""
        count, total, squares = self.moments[name]
        if not count:
            return None
        if not total and not unit:  # of what is counted nothing was seen
            return rate_estimate(0, count, level)
        mean = total / count
        if count < 2:
            return Estimate(mean, 0.0, float("inf"), level, "a single one", count, unit=unit)
        error = sqrt(max(squares / count - mean * mean, 0.0) / (count - 1))
        half = float(ndtri(0.5 + level / 2)) * error
        return Estimate(mean, max(mean - half, 0.0), mean + half, level, "normal", count, error, unit)
