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
Bools = npt.NDArray[np.bool_]

BLOCK: Final = 1 << 16
"""Tasks that are played together: what they need stays in the cache."""
DELIVERIES_MAX: Final = 100_000
"""A task that is delivered more often than that is never done, as far as anybody can wait."""


@dataclass(frozen=True)
class Deliveries:
    """What became of each task; all arrays have one entry a task.

    `executions` counts attempts, `effects` those of them that finish, late or not; `done_after` is from the first
    delivery to the first ack that counts, in seconds, infinite for dead letters; `worked` the seconds of workers,
    `last` whether the last attempt finished, late or not.
    """

    executions: Ints
    effects: Ints
    done_after: Floats
    worked: Floats
    last: Bools


def sample_deliveries(
    delivery: Delivery,
    work: Work,
    count: int,
    rng: np.random.Generator,
    renew: float | None = None,
    window: float | None = None,
    nack_delay: float = 0.0,
) -> Deliveries:
    """Return what becomes of `count` independent tasks; CannotModel where one of them would be delivered for ever.

    With `renew` the deadlines of live workers begin anew so often, in seconds. With a `window`, also in seconds, an
    idempotency key absorbs effects until it is forgotten: `effects` are those that are left. Attempts that end in an
    error bring the task back after `nack_delay` seconds.
    """
    executions, effects = np.zeros(count, np.int32), np.zeros(count, np.int32)
    done, worked, last = np.full(count, np.inf), np.zeros(count), np.zeros(count, bool)
    for start in range(0, count, BLOCK):
        block = slice(start, min(start + BLOCK, count))
        rows = Deliveries(executions[block], effects[block], done[block], worked[block], last[block])
        _play(delivery, work, rng, rows, renew, window, nack_delay)
    return Deliveries(executions, effects, done, worked, last)


def _play(
    delivery: Delivery,
    work: Work,
    rng: np.random.Generator,
    rows: Deliveries,
    renew: float | None,
    window: float | None,
    nack_delay: float,
) -> None:
    """Deliver the tasks of a block until each is done, or has been delivered as often as it may be."""
    executions, effects, done = rows.executions, rows.effects, rows.done_after
    most = delivery.max_receives
    accepted = delivery.late_ack == "accepted"
    begin: Floats | float = 0.0  # of this delivery of all that are left
    ends: list[tuple[Ints, Floats]] = []  # which tasks had an effect when, where keys are forgotten
    poison = rng.random(done.size) < work.poison if work.poison else None
    scores = rng.standard_normal(done.size) if work.same else np.zeros(0)
    left = np.arange(done.size)
    number = 0
    while left.size and number != most:
        if number == DELIVERIES_MAX:
            why = f"after {DELIVERIES_MAX} deliveries it is not done"
            raise CannotModel("a task", why, "say `max_receives`", "estimate")
        lasting = _attempts(work, scores[left] if work.same else scores, left.size, rng)
        crash: Floats | float = np.inf if work.crash is None else work.crash.draw(rng, left.size)
        if poison is not None:
            crash = np.where(poison[left], np.minimum(crash, lasting), crash)
        finished = np.asarray(crash > lasting) & np.ones(left.size, bool)
        wait = delivery.deadline(number + 1)
        gap = _until_next(delivery, wait, crash, finished, renew)
        if work.fails:
            failed = finished & (rng.random(left.size) < work.fails)
            in_time = failed if renew is not None else failed & (lasting <= wait)
            gap = np.where(in_time, lasting + nack_delay, gap)
            finished &= ~failed
        next_begin: Floats | float = begin + gap
        counts = finished if accepted or renew is not None else finished & (lasting <= wait)
        executions[left] += 1
        effects[left] += finished
        rows.last[left] = finished
        rows.worked[left] += np.minimum(lasting, crash)
        done[left] = np.minimum(done[left], np.where(counts, begin + lasting, np.inf))
        if window is not None:
            ends.append((left[finished].astype(np.int32), (begin + lasting)[finished]))
        number += 1
        going = done[left] > next_begin
        left, begin = left[going], next_begin[going] if isinstance(next_begin, np.ndarray) else next_begin
    done[left] = np.inf  # an ack that comes after the last deadline finds a dead letter
    if window is not None:
        effects[:] = _left_by_keys(ends, window, effects.size)


def _until_next(
    delivery: Delivery, wait: float, crash: Floats | float, finished: Bools, renew: float | None
) -> Floats | float:
    """Seconds from this delivery to the next, if the task is not done by then."""
    if delivery.frees_lost and renew is not None:
        return np.where(finished, np.inf, crash)
    if delivery.frees_lost:
        return np.where(finished, wait, np.minimum(wait, crash))
    if renew is not None:  # the deadline, from the last renewal before the crash
        return np.where(finished, np.inf, np.floor(np.where(finished, 0.0, crash) / renew) * renew + wait)
    return wait


def _left_by_keys(ends: list[tuple[Ints, Floats]], window: float, count: int) -> Ints:
    """How many effects each task has, if each is remembered for so long, in seconds."""
    tasks, times = np.concatenate([task for task, _ in ends]), np.concatenate([time for _, time in ends])
    if times.size and times.max() < window:  # nothing is forgotten
        return np.minimum(np.bincount(tasks, minlength=count), 1).astype(np.int32)
    order = np.lexsort((times, tasks))
    left, last = np.zeros(count, np.int32), np.full(count, -np.inf)
    for task, time in zip(tasks[order].tolist(), times[order].tolist(), strict=True):
        if time >= last[task] + window:
            left[task] += 1
            last[task] = time
    return left


def _attempts(work: Work, scores: Floats, count: int, rng: np.random.Generator) -> Floats:
    if not work.same:
        return work.takes.draw(rng, count)
    return work.lasting(scores, 0.0 if work.same == 1 else rng.standard_normal(count))
