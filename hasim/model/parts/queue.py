"""A work queue: up while enough of its workers are; what becomes of tasks depends on how it delivers."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.model.laws import LawField
from hasim.model.leasing import CALL_ONE_WAY
from hasim.model.parts.part import Part
from hasim.model.producing import Producing
from hasim.model.work import Work
from hasim.protocols.delivery import ConsumerGroup, Delivery
from hasim.protocols.delivery.systems import AnyDelivery
from hasim.protocols.effects import AnyEffect, Keyed, Transactional, TwoPhase
from hasim.protocols.health import AnyRestart, CrashLoopBackOff
from hasim.units import Count, Seconds, human

OF_TASKS = ("effect", "acks", "prefetch", "renew", "nack_delay", "producer", "latency", "restart")


class Queue(Part):
    """Workers that take tasks from a queue; the part is up while `required` of them are.

    With `delivery` and `work` its tasks can be followed: `simulate` plays a broker, workers and a producer, for loads
    that go there; `solve` and `estimate` say what becomes of a task where a worker is always free. What the part needs
    is its broker: while that is down, tasks wait.
    """

    kind: Literal["queue"] = "queue"
    workers: Count = Field(ge=1, le=10_000, description="Number of workers.")
    required: Count = Field(default=1, ge=1, description="Workers that must be up.")
    delivery: AnyDelivery | None = Field(
        default=None, description="How it delivers: sqs, rabbitmq, jetstream …, or its settings."
    )
    work: Work | None = Field(default=None, description="What a task takes.")
    effect: AnyEffect | None = Field(
        default=None, description="How results are written; left out: the end of the work is the effect."
    )
    acks: Literal["after", "before"] = Field(
        default="after",
        description="Whether a worker acks after the effect (at least once), or tasks are done with as they are "
        "delivered, before the work (automatic acks: at most once).",
    )
    prefetch: Count = Field(default=1, ge=1, le=100_000, description="Tasks that a worker may have, one at work.")
    renew: Seconds | None = Field(
        default=None, ge=0.001, description="So often workers begin the deadlines of their tasks anew; left out: never."
    )
    nack_delay: Seconds = Field(
        default=0.0, description="How long a task waits that a worker has given back after an error."
    )
    producer: Producing = Field(default=Producing(), description="Who puts the tasks.")
    latency: LawField = Field(
        default=CALL_ONE_WAY, description="One way between the broker, its workers and all others."
    )
    restart: AnyRestart = Field(
        default=CrashLoopBackOff(), description="How a worker's process is started again that crashed at work."
    )

    @model_validator(mode="after")
    def _enough_workers(self) -> Self:
        if self.required > self.workers:
            raise ValueError(f"required is {self.required}, but there are only {self.workers} workers")
        return self

    @model_validator(mode="after")
    def _tasks_in_full(self) -> Self:
        if (self.delivery is None) != (self.work is None):
            given, missing = ("work", "delivery") if self.delivery is None else ("delivery", "work")
            raise ModelError.of([at((missing,), f"is missing; with `{given}` tasks are followed, which takes both")])
        of_tasks = [name for name in OF_TASKS if name in self.model_fields_set]
        if self.delivery is None and of_tasks:
            raise ModelError.of([at((of_tasks[0],), "is about tasks, which takes `delivery` and `work`")])
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        found = dict(self._at_odds())
        if found:
            raise ModelError.of([at((field,), said) for field, said in found.items()])
        return self

    def _at_odds(self) -> Any:
        delivery, effect = self.delivery, self.effect
        if self.acks == "before" and isinstance(effect, Transactional | TwoPhase):
            yield "acks", f"got 'before'; with {effect.kind} effect and ack are one, at the end of the work"
        if self.acks == "before" and self.renew is not None:
            yield "renew", "a task that is acked before the work has no deadline to renew"
        if isinstance(delivery, ConsumerGroup):
            for field in ("prefetch", "renew", "acks", "nack_delay"):
                if field in self.model_fields_set:
                    yield field, "is of queues with an ack deadline; a consumer group has batches and heartbeats"
            if isinstance(effect, Transactional | TwoPhase):
                yield "effect", f"got {effect.kind}, which is played with queues that have an ack deadline"
            if self.work is not None and self.work.fails:
                yield "work", "got `fails`; in a partition nothing can be given back"
            if self.producer.groups is not None:
                yield "producer", "`groups` are of a queue that is `ordered`; a consumer group has partitions"
        if isinstance(delivery, Delivery):
            if self.producer.groups is not None and not delivery.ordered:
                yield "producer", "`groups` are of a queue that is `ordered`, and this one is not"
            shortest = min(delivery.backoff, default=delivery.ack_deadline)
            if isinstance(effect, Transactional) and effect.every + effect.takes >= shortest and self.renew is None:
                yield (
                    "effect",
                    f"commits come every {human(effect.every)}, and the deadline is {human(shortest)}: say less",
                )
            if self.renew is not None and self.renew >= shortest:
                yield "renew", f"got {human(self.renew)}; the deadline has passed by then, which is {human(shortest)}"

    @property
    def count(self) -> int:
        return self.workers

    @property
    def enough(self) -> int:
        return self.required

    def assumptions(self) -> list[str]:
        """What the figures of its tasks take for granted."""
        if self.work is None:
            return []
        notes = []
        if self.work.crash is not None:
            notes.append("crashes at work count for tasks, and not for the time that it is up")
        if isinstance(self.effect, Keyed) and self.effect.order != "together":
            notes.append(f"key and effect are two writes ({self.effect.order}): a crash between them shows")
        return notes
