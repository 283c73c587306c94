"""Closed forms of at-least-once delivery: how often a task is executed, and when it is done.

There is always a free worker: a task is taken as soon as it is delivered. Copies are not cancelled, and each attempt
takes its own time S and crashes if that comes first. With G(t) = P(an attempt has finished by age t), H = 1 - G, the
ack deadline V and at most m deliveries (Wald's identity gives the effects):

    late acks accepted     E[N] = sum_{n < m} prod_{k=1..n} H(kV)      dead letters: prod_{k=1..m} H(kV)
    late acks rejected     E[N] = (1 - H(V)^m) / G(V)                  dead letters: H(V)^m
    effects                E[N] G(inf), of which one is wanted

Where attempts at one task are alike (`Work.same`), all this holds for a given normal score of the task, over which it
is integrated. `unless_taken` is `rejected` here, since with a free worker somebody always takes the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, pi, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from hasim.errors import CannotModel
from hasim.model.laws import Fixed
from hasim.model.work import Work
from hasim.protocols.delivery import Delivery

Floats = npt.NDArray[np.float64]

GONE: Final = 1e-17
"""Chances below this are left out of sums."""
COPIES_MAX: Final = 20_000
"""Deliveries that are summed over; whoever needs more has a task that hardly ever ends."""
MARKS: Final = np.array([1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12])
"""Quantiles at which integrals over time are cut, so that a law that is narrow in a long deadline is seen."""
SCORES: Final = 8.5
"""Normal scores beyond this, a chance of 1e-17, are left out."""
NODES: Final = np.polynomial.legendre.leggauss(200)
PANEL: Final = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class TaskFigures:
    """What becomes of a task, on average: deliveries, effects, dead letters, and the time until it is done.

    `executions` counts attempts, `effects` those that finish, late or not; `duplicates` are the effects beyond the
    first, where each task is done at last. `done_after` is from the first delivery to the first ack that counts, in
    seconds, of tasks that are no dead letters.
    """

    executions: float
    effects: float
    dead_letters: float
    done_after: float

    @property
    def duplicates(self) -> float:
        """Effects a task beyond the one that is wanted: what idempotency must absorb."""
        return self.effects - 1.0


def task_figures(delivery: Delivery, work: Work) -> TaskFigures:
    """Return what becomes of a task where a worker is always free: exact, for smooth laws to six digits and more.

    Raises CannotModel where a mean does not exist, or tasks are hardly ever done.
    """
    _refuse_endless(delivery, work)
    if not work.same:
        means = _of_attempts(delivery, _Attempt(work, 0.0))
    elif work.same < 1:
        means = _over_scores(lambda score: _of_attempts(delivery, _Attempt(work, score)))
    else:
        means = _all_alike(delivery, work)
    executions, effects, dead, time = means.tolist()
    return TaskFigures(executions, effects, dead, time / (1.0 - dead) if dead < 1 else inf)


def _refuse_endless(delivery: Delivery, work: Work) -> None:
    if delivery.max_receives is not None or not work.same:
        return
    if work.crash is not None:
        why = "a task whose attempts are all long may crash again and again, and the mean need not exist"
        raise CannotModel("tasks that are alike with crashes", why, "say `max_receives`", "solve")
    if delivery.late_ack != "accepted" and work.same >= 0.5:
        why = "a task that takes longer than the deadline is hardly ever done, and no mean exists"
        raise CannotModel("tasks that are alike with late acks rejected", why, "say `max_receives`", "solve")


# ------------------------------------------------------------------------------------------- attempts


class _Attempt:
    """One attempt at a task whose normal score is given: the law of its time, and whether it crashes before."""

    def __init__(self, work: Work, score: float) -> None:
        self._work = work
        self._score = score
        self.ever = 1.0 if work.crash is None else self.finished_by(inf)
        self.marks = work.lasting(score, ndtri(MARKS))

    def finished_by(self, t: float) -> float:
        """G(t) of one age."""
        return float(self.finished(np.array([t], dtype=np.float64))[0])

    def finished(self, t: Floats) -> Floats:
        """G(t): the chance that it has finished by age t."""
        takes, crash = self._work.takes, self._work.crash
        if isinstance(crash, Fixed):  # it finishes if it takes less than that
            t = np.minimum(t, np.nextafter(crash.value, 0.0))
        within = 1.0 - np.where(np.isinf(t), 0.0, takes.survival(t))
        same = self._work.same
        upper = (ndtri(within) - sqrt(same) * self._score) / sqrt(1.0 - same)
        if crash is None or isinstance(crash, Fixed):
            return np.asarray(ndtr(upper))
        upper = np.clip(upper, -SCORES, SCORES)[:, None]
        nodes, weights = NODES
        own = -SCORES + (upper + SCORES) * (nodes + 1.0) / 2.0
        lasting = self._work.lasting(self._score, own)
        density = np.exp(-own * own / 2.0) / sqrt(2.0 * pi)
        return np.asarray((weights * density * crash.survival(lasting)).sum(axis=1) * (upper[:, 0] + SCORES) / 2.0)


# ------------------------------------------------------------------------------------------ deliveries


def _of_attempts(delivery: Delivery, attempt: _Attempt) -> Floats:
    """Executions, effects, dead letters, and the time until done summed over tasks that are no dead letters."""
    play = _accepted if delivery.late_ack == "accepted" else _rejected
    executions, dead, time = play(delivery, attempt)
    return np.array([executions, executions * attempt.ever, dead, time])


def _accepted(delivery: Delivery, attempt: _Attempt) -> tuple[float, float, float]:
    wait, most = delivery.ack_deadline, delivery.max_receives
    reached, block = np.ones(1), 16  # the chance that a task is not done by the end of its k-th delivery
    while reached[-1] > GONE and (most is None or reached.size <= most):
        if reached.size > COPIES_MAX:
            raise CannotModel("tasks that are delivered again and again", f"more than {COPIES_MAX} times", "", "solve")
        ends = wait * np.arange(reached.size, reached.size + block, dtype=np.float64)
        reached = np.concatenate([reached, reached[-1] * np.cumprod(1.0 - attempt.finished(ends))])
        block *= 2
    dead = float(reached[most]) if most is not None and most < reached.size else 0.0
    reached = reached[:most]
    copies = int(np.count_nonzero(reached > GONE))
    starts = wait * np.arange(copies, dtype=np.float64)

    def not_done(ages: Floats) -> Floats:
        """The chances that it is not done when the youngest copy has this age, summed over which copy that is."""
        alone = 1.0 - attempt.finished((ages[:, None] + starts).ravel()).reshape(ages.size, copies)
        return np.asarray(np.cumprod(alone, axis=1).sum(axis=1))

    time = _integral(not_done, wait, attempt.marks) - dead * wait * (most or 0)
    return float(reached.sum()), dead, time


def _rejected(delivery: Delivery, attempt: _Attempt) -> tuple[float, float, float]:
    wait, most = delivery.ack_deadline, delivery.max_receives
    done = attempt.finished_by(wait)
    if most is None:
        if done <= GONE:
            why = "no attempt ends within the deadline, and late acks are rejected"
            raise CannotModel("tasks that are never done", why, "say `max_receives`, or a longer deadline", "solve")
        executions, dead, failures = 1.0 / done, 0.0, (1.0 - done) / done
    else:
        left = (1.0 - done) ** np.arange(most + 1.0)  # the chance that as many deliveries were in vain
        executions, dead = float(left[:most].sum()), float(left[most])
        failures = float((left[:most] * np.arange(most)).sum() * done)
    last = _integral(lambda ages: done - attempt.finished(ages), wait, attempt.marks)
    return executions, dead, failures * wait + executions * last


# ------------------------------------------------------------------------------------------- integrals


def _integral(of: Callable[[Floats], Floats], until: float, lasting: Floats) -> float:
    """The integral from 0 to `until`, cut where work of these lengths ends, so that a law narrow in it is seen."""
    lasting = lasting[np.isfinite(lasting)]
    cuts = np.unique(np.concatenate([lasting, lasting % until]))
    edges = np.concatenate([[0.0], cuts[(cuts > 0) & (cuts < until)], [until]])
    nodes, weights = PANEL
    widths = np.diff(edges)
    times = (edges[:-1, None] + widths[:, None] * (nodes + 1.0) / 2.0).ravel()
    return float((of(times).reshape(widths.size, -1) @ weights) @ widths / 2.0)


def _over_scores(of: Callable[[float], Floats]) -> Floats:
    """The mean over the normal scores of tasks."""
    nodes, weights = NODES
    scores = SCORES * nodes
    chances = SCORES * weights * np.exp(-scores * scores / 2.0) / sqrt(2.0 * pi)
    total = np.zeros(4)
    for score, chance in zip(scores.tolist(), chances.tolist(), strict=True):
        total += chance * of(score)
    return total


# ----------------------------------------------------------------------- tasks that always take the same


def _all_alike(delivery: Delivery, work: Work) -> Floats:
    """The same as `_of_attempts` where every attempt at a task takes what the first one did.

    Given that time s, only crashes are chance. Of the attempts of a task that is not done, the first `counting` would
    end in time, each with the same chance; up to `waits` of them begin whatever happens.
    """
    wait, most, takes = delivery.ack_deadline, delivery.max_receives, work.takes
    accepted = delivery.late_ack == "accepted"
    if work.crash is None:
        limit = wait * (most or inf) if accepted else wait
        tails = takes.survival(wait * np.arange(1, min(most or COPIES_MAX, COPIES_MAX)))
        dead = float(takes.survival(limit)) if limit < inf else 0.0
        executions = 1.0 + float(tails.sum()) if accepted else (1.0 - dead) + dead * (most or 1)
        time = (
            takes.mean if limit == inf else _integral(lambda t: takes.survival(t) - dead, limit, takes.quantile(MARKS))
        )
        return np.array([executions, executions, dead, time])
    assert most is not None
    edges = np.unique(np.concatenate([[0.0], 1.0 - takes.survival(wait * np.arange(1, most + 1)), [1.0]]))
    nodes, weights = NODES
    total, numbers = np.zeros(4), np.arange(most)
    for low, width in zip(edges[:-1].tolist(), np.diff(edges).tolist(), strict=True):
        lasting = takes.quantile(low + width * (nodes + 1.0) / 2.0)[:, None]
        done = work.crash.survival(lasting)
        fails = 1.0 - done
        if accepted:
            waits = np.minimum(np.ceil(lasting / wait), most)
            counting = np.clip(np.floor(most - lasting / wait) + 1, 0, most)
        else:
            waits = np.where(lasting <= wait, 1, most)
            counting = np.where(lasting <= wait, most, 0)
        starts = waits + (fails ** (numbers + 1) * (numbers < most - waits)).sum(axis=1, keepdims=True)
        late = (done * fails**numbers * (numbers < counting) * (lasting + wait * numbers)).sum(axis=1, keepdims=True)
        figures = np.hstack([starts, starts * done, fails**counting, late])
        total += width / 2.0 * (weights @ figures)
    return total
