"""One queue and one workload, with one way after the other to have effects once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hasim.declared import at, shown
from hasim.engines.des import simulate
from hasim.errors import ModelError, nearest
from hasim.model.cluster import Cluster
from hasim.model.parts import Queue
from hasim.model.producing import Producing
from hasim.model.scenario import Scenario
from hasim.protocols.delivery import ConsumerGroup
from hasim.protocols.effects import Fenced, Keyed, Plain, Transactional, TwoPhase
from hasim.results import Run
from hasim.streams import seed_or_fresh
from hasim.units import s

if TYPE_CHECKING:
    import pandas as pd

DESIGNS: Final[Mapping[str, Mapping[str, Any]]] = {
    "at most once": {"effect": Plain(), "acks": "before"},
    "at least once": {"effect": Plain()},
    "key before effect": {"effect": Keyed(order="key_first")},
    "effect before key": {"effect": Keyed(order="effect_first")},
    "key with effect": {"effect": Keyed()},
    "outbox, key with effect": {"effect": Keyed(), "producer": Producing(outbox=s(1))},
    "fence": {"effect": Fenced()},
    "transaction": {"effect": Transactional()},
    "two-phase commit": {"effect": TwoPhase()},
}
"""Ways to write results, as fields of a queue."""


def compare_effects(
    model: Cluster | Scenario,
    queue: str | None = None,
    over: str = "1h",
    seed: int | None = None,
    designs: Mapping[str, Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """Play the tasks of a queue with each of several designs, and return a frame with a row for each.

    `designs` gives fields of the queue by name of the design; left out, from at most once over keys, fences and
    transactions to two-phase commit. All have the same workload and seed: arrivals and times of work are the same, and
    what differs is what the design makes of them. Columns: shares of tasks `lost`, done `once` and `duplicated` (of
    those that nothing more is expected of); `duplicates` a task; mean and 99 % `latency` until the first effect, in
    seconds; `throughput`, first effects a second; `executions` and seconds of workers (`worker_s`) a task;
    `round_trips` and `forced_writes` a task beyond the work and the ack; the size of the store of keys, in bytes, at
    its largest; the time that tasks were `in_doubt`, in seconds, all together; and what the design `needs`.

    Columns are asked for by name, `frame["duplicated"]`. Designs of ours that a consumer group does not play (acks
    before the work, transactions and two-phase commit) are left out for one.

    Raises ModelError if there is no such queue, no load goes there, or a design does not fit it.
    """
    import pandas as pd

    given: object = model
    if not isinstance(given, Cluster | Scenario):
        raise ModelError(f"got {shown(given)}; compare_effects takes a Cluster or a Scenario", "model")
    cluster = model.cluster if isinstance(model, Scenario) else model
    name = _queue(cluster, queue)
    chosen: object = DESIGNS if designs is None else designs
    if not isinstance(chosen, Mapping) or not all(isinstance(fields, Mapping) for fields in chosen.values()):
        raise ModelError(f"got {shown(chosen)}; give fields of the queue by name of the design", "designs")
    seed = seed_or_fresh(seed)
    rows = {}
    for design, fields in (DESIGNS if designs is None else designs).items():
        if designs is not None or _fits(cluster, name, fields):
            try:
                changed = _changed(model, name, fields)
            except ModelError as error:
                raise ModelError.of(
                    at(("designs", design, *each.loc), each.message) for each in error.problems
                ) from None
            rows[design] = _row(
                simulate(changed, over=over, seed=seed), name, _part(changed, name), "producer" in fields
            )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("design")


def _queue(cluster: Cluster, queue: str | None) -> str:
    followed = [name for name, part in cluster.parts.items() if isinstance(part, Queue) and part.work is not None]
    if queue is None and len(followed) == 1:
        return followed[0]
    if queue not in followed:
        known = ", ".join(followed) or "none"
        hint = "" if queue is None else nearest(str(queue), followed)
        raise ModelError(f"got {queue!r}; queues with `delivery` and `work` are {known}{hint}", "queue")
    return queue


def _fits(cluster: Cluster, queue: str, fields: Mapping[str, Any]) -> bool:
    """Whether a design of ours can be played with the delivery of the queue."""
    if not isinstance(_part(cluster, queue).delivery, ConsumerGroup):
        return True
    return "acks" not in fields and not isinstance(fields["effect"], Transactional | TwoPhase)


def _changed(model: Cluster | Scenario, queue: str, fields: Mapping[str, Any]) -> Cluster | Scenario:
    cluster = model.cluster if isinstance(model, Scenario) else model
    part = _part(model, queue)
    given = {name: getattr(part, name) for name in part.model_fields_set if name not in ("effect", "acks")}
    if fields.get("acks") == "before":
        given.pop("renew", None)
    part = Queue(**{**given, **fields})
    if part.work is None:
        raise ModelError("work: is missing; a design may change how tasks are done, and must leave some", "designs")
    changed = cluster.model_copy(update={"parts": {**cluster.parts, queue: part}})
    return Scenario(changed, model.faults, model.loads) if isinstance(model, Scenario) else changed


def _needs(part: Queue, own_producer: bool) -> str:
    said = "nothing more" if part.effect is None else part.effect.needs
    if part.producer.outbox is None or not own_producer:  # what all designs have is no difference
        return said
    outbox = "a row and a relay for each task"
    return outbox if said == "nothing more" else f"{said}; {outbox}"


def _part(model: Cluster | Scenario, queue: str) -> Queue:
    part = (model.cluster if isinstance(model, Scenario) else model).parts[queue]
    assert isinstance(part, Queue)
    return part


def _row(run: Run, queue: str, part: Queue, own_producer: bool) -> dict[str, Any]:
    if queue not in run.tasks:
        raise ModelError(
            f"no task came to {queue}; give the model a load that goes there, or the run more time", "model"
        )
    log = run.tasks[queue]
    figures = {name: estimate.value for name, estimate in log.figures().quantities()}
    lost, duplicated = figures.get("lost", 0.0), figures.get("duplicated", 0.0)
    effect = part.effect
    stored = effect.bytes * log.keys_most if isinstance(effect, Keyed) else 0
    return {
        "lost": lost,
        "once": 1.0 - lost - duplicated,
        "duplicated": duplicated,
        "duplicates": figures.get("duplicates", 0.0),
        "latency_s": figures.get("latency_s", float("nan")),
        "latency_p99_s": figures.get("latency_p99_s", float("nan")),
        "throughput": log.throughput,
        "executions": figures.get("executions", float("nan")),
        "worker_s": figures.get("worker_s", float("nan")),
        "round_trips": 0 if effect is None else effect.round_trips,
        "forced_writes": 0 if effect is None else effect.forced_writes,
        "store_bytes": stored,
        "in_doubt_s": float((log.in_doubt[:, 1] - log.in_doubt[:, 0]).sum()),
        "needs": _needs(part, own_producer),
    }
