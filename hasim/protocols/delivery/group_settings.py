"""A consumer group, declared: its partitions, how members are missed, and when their offsets are committed."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.units import Count, Seconds, duration_text

CommitAfter = Literal["batch", "record"]


class ConsumerGroup(Declared):
    """A topic that is read by one group of consumers, as Kafka 3 does by default: the classic protocol, eager.

    Nobody waits for the ack of a task: a member has whole partitions, reads them in order, and commits how far it has
    come. A partition passes to another member only by a rebalance, which stops all of them: each gives up what it has,
    and takes up what it gets where the last commit stands. What was done after that commit is done again.

    - A member that falls silent is missed after `session_timeout`; a broken connection says nothing, and a process that
      comes back is a new member, beside the old one.
    - A member that works on one batch for longer than `max_poll_interval` leaves by itself, works on, and its commit is
      refused: with batches that always take that long nothing is ever done.

    Partitions are shared out in ranges (RangeAssignor, the first of the default strategies). Sources: ConsumerConfig
    and AbstractCoordinator of the Java client, the group coordinator of the broker, KIP-62, KIP-394.
    """

    kind: Literal["group"] = "group"
    partitions: Count = Field(
        default=1, ge=1, le=10_000, description="Partitions of the topic; Kafka: num.partitions, 1."
    )
    session_timeout: Seconds = Field(
        default=45.0,
        gt=0,
        description="Silence after which a member is gone; Kafka: session.timeout.ms, 45s (KIP-735).",
    )
    heartbeat: Seconds = Field(
        default=3.0, gt=0, description="From one heartbeat to the next; Kafka: heartbeat.interval.ms, 3s."
    )
    max_poll_interval: Seconds = Field(
        default=300.0,
        gt=0,
        description="Longest time from one poll to the next, and longest wait of a rebalance for members that have not "
        "rejoined; Kafka: max.poll.interval.ms, 5m.",
    )
    max_poll_records: Count = Field(
        default=500, ge=1, le=1_000_000, description="Most tasks in one batch; Kafka: max.poll.records, 500."
    )
    commit: CommitAfter = Field(
        default="batch",
        description="When offsets are committed, each time waiting for the answer: after the batch (commitSync() after "
        "the loop, as in the examples of KafkaConsumer), or after each task.",
    )
    rebalance_delay: Seconds = Field(
        default=3.0,
        description="How long an empty group waits for more members; Kafka: group.initial.rebalance.delay.ms, 3s.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.heartbeat >= self.session_timeout:
            beat, session = duration_text(self.heartbeat), duration_text(self.session_timeout)
            said = f"got heartbeat {beat} with session_timeout {session}; heartbeat is shorter"
            raise ModelError.of([at(("heartbeat",), said)])
        return self
