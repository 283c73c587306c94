"""What becomes of the tasks of the queues of a cluster, in closed form."""

from __future__ import annotations

from hasim.engines.exact.buffers import buffer_expiries
from hasim.engines.exact.delivery import TaskMeans, task_figures
from hasim.errors import CannotModel
from hasim.model.cluster import Cluster
from hasim.model.parts import Queue
from hasim.model.tasks import alone, tasks_per_second
from hasim.model.work import Work
from hasim.protocols.delivery import Delivery
from hasim.protocols.effects import Fenced, Keyed, Transactional, TwoPhase
from hasim.results import Estimate
from hasim.results.tasks import TaskFigures
from hasim.units import duration_text, human, share_text

BUFFER_MAX = 200
"""Places of a buffer that are looked at."""

SMALLEST = 1e-14
SELDOM = 1e-9
"""A chance below which two ends of one task are not as far apart as a window."""


def solve_tasks(cluster: Cluster) -> tuple[dict[str, TaskFigures], list[str]]:
    """The figures of each queue whose tasks are followed, and what a reader should know of them.

    A queue of which there is no closed form is left out, and said so.
    """
    found: dict[str, TaskFigures] = {}
    notes: list[str] = []
    for name, part in cluster.parts.items():
        if not isinstance(part, Queue) or part.work is None:
            continue
        try:
            found[name] = figures = _figures(cluster, name, part)
        except CannotModel as refusal:
            notes += _of_buffers(name, part)
            notes.append(f"{name}: no exact figures of its tasks: {refusal.what}: {refusal.why}; {refusal.instead}")
            continue
        if isinstance(part.effect, Fenced):
            notes.append(
                f"{name}: a fence lets an effect happen again whose ack came too late to count, for which answers "
                "must take time; only ha.simulate shows it"
            )
        notes.append(f"{name}: its tasks find a worker that is free, and a resource that takes no time")
        if figures.busy is not None and figures.busy.value >= 1:
            notes.append(f"{name}: it has too few workers for what it executes: its line grows without end")
    return found, notes


def _of_buffers(name: str, queue: Queue) -> list[str]:
    """What full buffers do, of which there is a closed form."""
    delivery, work = queue.delivery, queue.work
    assert work is not None
    if queue.prefetch == 1 or queue.renew is not None or not isinstance(delivery, Delivery):
        return []
    late = buffer_expiries(work.takes, min(queue.prefetch, BUFFER_MAX), delivery.deadline(1))
    said = f"of tasks that fill the buffer of a worker at once {share_text(round(float(late.mean()), 4))} expire there"
    return [f"{name}: {said}, of the last {share_text(round(float(late[-1]), 4))}"]


def _figures(cluster: Cluster, name: str, queue: Queue) -> TaskFigures:
    delivery, work, renew, once, _ = alone(queue, "solve")
    means = task_figures(delivery, work, renew)
    rate = tasks_per_second(cluster, name)
    busy = min(rate * means.worker_time / queue.workers, 1.0)
    return TaskFigures(
        executions=Estimate.exact(means.executions),
        duplicates=Estimate.exact(0.0 if once else _duplicates(queue, delivery, means)),
        lost=Estimate.exact(_share(_lost(queue, means)), "share"),
        dead_letters=Estimate.exact(0.0 if once else _share(means.dead_letters), "share"),
        done_after_s=Estimate.exact(means.done_after, "seconds"),
        worker_s=Estimate.exact(means.worker_time, "seconds"),
        busy=Estimate.exact(busy, "share") if rate else None,
    )


def _share(chance: float) -> float:
    """A chance, or zero where it is less than what sums of floats are good for."""
    return chance if chance > SMALLEST else 0.0


def _apart(delivery: Delivery, work: Work, means: TaskMeans, window: float) -> float:
    """A bound of the chance that two attempts at one task end further apart than a window.

    Then one of them takes half of it, or the last begins half of it after the first: so many come to nothing in time.
    """
    late = means.executions * float(work.takes.survival(window / 2.0))
    before = int(window / 2.0 / delivery.ack_deadline)
    if delivery.max_receives is not None and delivery.max_receives <= before:
        return late
    if work.same:  # what the attempts at one task have in common may be that they never end in time
        return 1.0
    once = Delivery(ack_deadline=duration_text(delivery.ack_deadline), late_ack="rejected", max_receives=1)
    return late + float(task_figures(once, work).dead_letters) ** before


def _lost(queue: Queue, means: TaskMeans) -> float:
    """Tasks that never have an effect: where that takes an ack which counts, all dead letters."""
    if queue.acks == "after" and isinstance(queue.effect, Transactional | TwoPhase):
        return means.dead_letters
    return means.lost_behind_fence if isinstance(queue.effect, Fenced) else means.lost


def _duplicates(queue: Queue, delivery: Delivery, means: TaskMeans) -> float:
    """Effects beyond the first that are left, with the effect as it is declared."""
    effect, work = queue.effect, queue.work
    assert work is not None
    if isinstance(effect, Transactional | TwoPhase | Fenced):
        return 0.0
    if isinstance(effect, Keyed):
        if effect.order != "together":
            why = "how often a crash falls between two writes depends on how long they take"
            raise CannotModel(f"a key with {effect.order}", why, "use ha.simulate", "solve")
        if _apart(delivery, work, means, effect.window) > SELDOM:
            why = f"attempts may end further apart than its window, {human(effect.window)}"
            raise CannotModel("a key that is forgotten", why, "use ha.estimate", "solve")
        return 0.0
    return means.duplicates
