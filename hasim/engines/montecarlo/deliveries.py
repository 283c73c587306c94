"""Deliveries of many tasks at once, where a worker is always free: how often each is executed, and when it is done.

Tasks do not wait for one another, so that the k-th attempts of all that are not done are drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hasim.errors import CannotModel
from hasim.model.work import Work
from hasim.protocols.delivery import Delivery

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

BLOCK: Final = 1 << 16
"""Tasks that are played together: what they need stays in the cache."""
DELIVERIES_MAX: Final = 100_000
"""A task that is delivered more often than that is never done, as far as anybody can wait."""


@dataclass(frozen=True)
class Deliveries:
    """What became of each task; all arrays have one entry a task.

    `executions` counts attempts, `effects` those of them that finish, late or not; `done_after` is from the first
    delivery to the first ack that counts, in seconds, infinite for dead letters.
    """

    executions: Ints
    effects: Ints
    done_after: Floats


def sample_deliveries(delivery: Delivery, work: Work, count: int, rng: np.random.Generator) -> Deliveries:
    """Return what becomes of `count` independent tasks; CannotModel where one of them would be delivered for ever."""
    executions, effects = np.zeros(count, np.int32), np.zeros(count, np.int32)
    done = np.full(count, np.inf)
    for start in range(0, count, BLOCK):
        block = slice(start, min(start + BLOCK, count))
        _play(delivery, work, rng, executions[block], effects[block], done[block])
    return Deliveries(executions, effects, done)


def _play(
    delivery: Delivery, work: Work, rng: np.random.Generator, executions: Ints, effects: Ints, done: Floats
) -> None:
    """Deliver the tasks of a block until each is done, or has been delivered as often as it may be."""
    wait, most = delivery.ack_deadline, delivery.max_receives
    accepted = delivery.late_ack == "accepted"
    scores = rng.standard_normal(done.size) if work.same else np.zeros(0)
    left = np.arange(done.size)
    number = 0
    while left.size and number != most:
        if number == DELIVERIES_MAX:
            why = f"after {DELIVERIES_MAX} deliveries it is not done"
            raise CannotModel("a task", why, "say `max_receives`", "estimate")
        lasting = _attempts(work, scores[left] if work.same else scores, left.size, rng)
        finished = np.ones(left.size, bool) if work.crash is None else work.crash.draw(rng, left.size) > lasting
        executions[left] += 1
        effects[left] += finished
        counts = finished if accepted else finished & (lasting <= wait)
        ends = np.where(counts, number * wait + lasting, np.inf)
        done[left] = np.minimum(done[left], ends)
        number += 1
        left = left[done[left] > number * wait]
    done[left] = np.inf  # an ack that comes after the last deadline finds a dead letter


def _attempts(work: Work, scores: Floats, count: int, rng: np.random.Generator) -> Floats:
    if not work.same:
        return work.takes.draw(rng, count)
    return work.lasting(scores, 0.0 if work.same == 1 else rng.standard_normal(count))
