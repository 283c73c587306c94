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
from hasim.model.laws import Fixed, Law
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
NODES: Final = np.polynomial.legendre.leggauss(96)
SCORE_NODES: Final = np.polynomial.legendre.leggauss(200)
PANEL: Final = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class TaskMeans:
    """What becomes of a task, on average: deliveries, effects, dead letters, and the time until it is done.

    `executions` counts attempts, `effects` those that finish, late or not; `duplicates` are the effects beyond the
    first, `lost` the share of tasks without any, `lost_behind_fence` that share where the effects of all late attempts
    but the last are refused, `worker_time` the seconds of workers that all attempts take. `done_after` is from the
    first delivery to the first ack that counts, in seconds, of tasks that are no dead letters.
    """

    executions: float
    effects: float
    dead_letters: float
    lost: float
    lost_behind_fence: float
    worker_time: float
    done_after: float

    @property
    def duplicates(self) -> float:
        """Effects a task beyond the one that is wanted: what idempotency must absorb."""
        return max(self.effects - (1.0 - self.lost), 0.0)


def task_figures(delivery: Delivery, work: Work, renew: float | None = None) -> TaskMeans:
    """Return what becomes of a task where a worker is always free: exact, for smooth laws to six digits and more.

    With `renew` its deadline begins anew so often, in seconds, while its worker lives. Raises CannotModel where a mean
    does not exist, tasks are hardly ever done, or there is no closed form.
    """
    if renew is not None and work.crash is None:  # a live worker never loses its task
        delivery, renew = Delivery(ack_deadline=work.beyond), None
    _refuse_formless(delivery, work, renew)
    if renew is None:
        _refuse_endless(delivery, work)
    if not work.same:
        means = _of_attempts(delivery, _Attempt(work, 0.0), renew)
    elif work.same < 1:
        means = _over_scores(lambda score: _of_attempts(delivery, _Attempt(work, score), renew))
    else:
        means = _all_alike(delivery, work)
    means = means + work.poison * _of_poison(delivery, work, means)
    executions, effects, dead, time, lost, worker, fenced = means.tolist()
    return TaskMeans(executions, effects, dead, lost, fenced, worker, time / (1.0 - dead) if dead < 1 else inf)


def _of_poison(delivery: Delivery, work: Work, others: Floats) -> Floats:
    """By how much the figures of poison, of which no attempt ever ends, differ from those of other tasks."""
    if not work.poison:
        return np.zeros(others.size)
    if delivery.max_receives is None:
        why = "they are delivered again and again, and the mean does not exist"
        raise CannotModel("tasks that are poison", why, "say `max_receives`", "solve")
    most = float(delivery.max_receives)
    anew = work.model_copy(update={"same": 0.0})
    alive = 1.0 if work.crash is None else _Attempt(anew, 0.0).mean_time() / work.takes.mean
    return np.array([most, 0.0, 1.0, 0.0, 1.0, most * work.takes.mean * alive, 1.0]) - others


def _refuse_formless(delivery: Delivery, work: Work, renew: float | None) -> None:
    for given, what in (
        (bool(delivery.backoff), "a list of deadlines"),
        (work.fails > 0, "attempts that end in an error"),
        (
            delivery.frees_lost and work.crash is not None and renew is None and delivery.late_ack == "accepted",
            "late acks that are accepted beside crashes that are seen",
        ),
        (
            work.same == 1 and work.crash is not None and (delivery.frees_lost or renew is not None),
            "tasks that are alike with crashes, where deadlines are not fixed",
        ),
        (renew is not None and work.same > 0 and delivery.max_receives is None, "tasks that are alike with crashes"),
    ):
        if given:
            raise CannotModel(what, "there is no closed form here", "use ha.estimate", "solve")


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
        self.marks = np.minimum(work.lasting(score, ndtri(MARKS)), work.takes.quantile(1.0 - 1e-15))
        self.end = float(10.0 * self.marks[-1])  # of all attempts

    def going(self, t: Floats) -> Floats:
        """The chance that it has neither finished nor crashed by age t."""
        takes, crash, same = self._work.takes, self._work.crash, self._work.same
        upper = (ndtri(1.0 - takes.survival(t)) - sqrt(same) * self._score) / sqrt(1.0 - same)
        alive = np.asarray(ndtr(-upper))
        return alive if crash is None else alive * crash.survival(t)

    def mean_time(self) -> float:
        """How long its worker is at it, in seconds."""
        return _integral(self.going, self.end, self.marks)

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


def _of_attempts(delivery: Delivery, attempt: _Attempt, renew: float | None) -> Floats:
    """Executions, effects, dead letters, time until done of tasks that are none, tasks lost, and time of workers."""
    if renew is None and delivery.late_ack == "accepted":
        executions, dead, time = _accepted(delivery, attempt)
    else:
        executions, dead, time = _one_at_a_time(delivery, attempt, renew)
    most, never = delivery.max_receives, 1.0 - attempt.ever
    lost = 0.0 if most is None else never**most
    late = never if renew is not None else 1.0 - attempt.finished_by(delivery.ack_deadline)
    fenced = 0.0 if most is None else late ** (most - 1) * never
    time_of_workers = executions * attempt.mean_time()
    return np.array([executions, executions * attempt.ever, dead, time, lost, time_of_workers, fenced])


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


def _one_at_a_time(delivery: Delivery, attempt: _Attempt, renew: float | None) -> tuple[float, float, float]:
    """Attempts that follow one another: late acks are rejected, or there are none, since live workers renew."""
    most = delivery.max_receives
    wait = attempt.end if renew is not None else delivery.ack_deadline
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
    if done >= 1.0:
        return executions, dead, last
    if delivery.frees_lost:  # until the deadline, or the crash if that comes first
        in_vain = (_integral(attempt.going, wait, attempt.marks) - last) / (1.0 - done)
    elif renew is not None:  # the deadline, from the last renewal before the crash
        beats = renew * np.arange(1.0, attempt.end / renew + 1.0)
        before = attempt.going(beats) - (done - attempt.finished(beats))  # the crash comes after that renewal
        in_vain = delivery.ack_deadline + renew * float(before.sum()) / (1.0 - done)
    else:
        in_vain = wait
    return executions, dead, failures * in_vain + executions * last


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
    nodes, weights = SCORE_NODES
    scores = SCORES * nodes
    chances = SCORES * weights * np.exp(-scores * scores / 2.0) / sqrt(2.0 * pi)
    total = np.zeros(7)
    for score, chance in zip(scores.tolist(), chances.tolist(), strict=True):
        total += chance * of(score)
    return total


# ----------------------------------------------------------------------- tasks that always take the same


def _time_beyond(takes: Law, ends: Floats) -> Floats:
    """E[S; S > t] for multiples of a deadline, ascending, in seconds."""
    if not ends.size:
        return np.zeros(0)
    wait, marks = float(ends[0]), takes.quantile(MARKS)
    within = []
    for end in ends.tolist():
        begin = end - wait

        def tail(t: Floats, begin: float = begin) -> Floats:
            return takes.survival(begin + t)

        within.append(_integral(tail, wait, np.abs(marks - begin)))
    return np.asarray(ends * takes.survival(ends) + np.maximum(takes.mean - np.cumsum(within), 0.0))


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
        beyond_deadline = _time_beyond(takes, wait * np.arange(1, 1 + (tails > GONE).sum()))
        worker = takes.mean + float(
            beyond_deadline.sum() if accepted else ((most or 1) - 1) * beyond_deadline[:1].sum()
        )
        return np.array([executions, executions, dead, time, 0.0, worker, 0.0])
    assert most is not None
    edges = np.unique(np.concatenate([[0.0], 1.0 - takes.survival(wait * np.arange(1, most + 1)), [1.0]]))
    nodes, weights = NODES
    total, numbers = np.zeros(7), np.arange(most)
    for low, width in zip(edges[:-1].tolist(), np.diff(edges).tolist(), strict=True):
        within = np.minimum(low + width * (nodes + 1.0) / 2.0, np.nextafter(1.0, 0.0))
        lasting = takes.quantile(within)[:, None]
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
        nodes_within = lasting * (PANEL[0] + 1.0) / 2.0
        each = lasting / 2.0 * (work.crash.survival(nodes_within) @ PANEL[1])[:, None]  # the mean of min(s, crash)
        fenced = np.where(lasting <= wait, fails**most, fails)
        figures = np.hstack([starts, starts * done, fails**counting, late, fails**most, starts * each, fenced])
        total += width / 2.0 * (weights @ figures)
    return total
