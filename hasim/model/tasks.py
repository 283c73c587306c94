"""A queue as it is to one task alone, where a worker is always free."""

from __future__ import annotations

from typing import NamedTuple

from hasim.errors import CannotModel
from hasim.model.cluster import Cluster
from hasim.model.demand.route import goes_to_queue, route_of
from hasim.model.parts import Queue
from hasim.model.work import Work
from hasim.protocols.delivery import ConsumerGroup, Delivery
from hasim.protocols.effects import Fenced, TwoPhase

DAY_S = 86400.0


class Alone(NamedTuple):
    """How a task fares by itself; with acks before the work it has one delivery, whatever comes of it."""

    delivery: Delivery
    work: Work
    renew: float | None
    at_most_once: bool
    nack_delay: float


def alone(queue: Queue, engine: str) -> Alone:
    """Return how one task fares; CannotModel where that depends on other tasks, or on what only `simulate` plays."""
    delivery, work = queue.delivery, queue.work
    assert delivery is not None and work is not None
    if isinstance(delivery, ConsumerGroup):
        why = "tasks wait for those before them in their partition"
        raise CannotModel("a consumer group", why, "use ha.simulate", engine)
    for given, what, why in (
        (work.pauses is not None, "workers that pause", "they do at any moment, not in an attempt"),
        (delivery.checked_every, "deadlines that are looked at now and then", "when that is depends on the hour"),
        (delivery.closes_channel, "channels that are closed", "other tasks of the worker go with them"),
        (delivery.redrive is not None, "dead letters that are put back", "a task has several lives"),
        (delivery.ordered, "tasks in order", "they wait for those before them"),
        (delivery.missed, "deadlines that are missed", "the task then waits for what its worker does next"),
        (queue.prefetch > 1, f"a prefetch of {queue.prefetch}", "tasks wait for one another in a worker's buffer"),
    ):
        if given:
            raise CannotModel(what, why, "use ha.simulate", engine)
    # With a fence the next attempt shows its token when the deadline has passed; in two phases the queue votes no then.
    if isinstance(queue.effect, Fenced | TwoPhase):
        delivery = delivery.model_copy(update={"late_ack": "rejected"})
    at_most_once = queue.acks == "before"
    if at_most_once:  # what is lost is what would be a dead letter
        delivery = Delivery(ack_deadline=work.beyond, max_receives=1)
    return Alone(delivery, work, queue.renew, at_most_once, queue.nack_delay)


def tasks_per_second(cluster: Cluster, queue: str) -> float:
    """The mean rate of the tasks that the loads of a model send to a queue on their first day."""
    found = 0.0
    for load in cluster.loads.values():
        mine = goes_to_queue(load, cluster.parts) and route_of(load, cluster.parts).pool == queue
        if mine and load.rate is not None:
            found += load.rate.mean_rate(load.begins, load.until(load.begins + DAY_S))
    return found
