"""How a queue delivers, declared: the ack deadline, what it does when that has passed, and what a late ack is worth."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.units import Count, Seconds, Share, duration_text

LateAck = Literal["accepted", "unless_taken", "rejected"]


class Delivery(Declared):
    """A queue with an ack deadline: visibility timeout (SQS), AckWait (NATS JetStream), time to run (beanstalkd).

    A task that is not acknowledged in time is delivered again, while the worker that has it may still be at it: nobody
    tells it. What its ack is worth then (`late_ack`) differs:

    - `accepted`: the task is done, whoever else has it by now (JetStream; SQS standard, where the old receipt may do).
    - `unless_taken`: the task is done if nobody else has taken it yet, and else it is not (beanstalkd).
    - `rejected`: it is not (SQS FIFO, and wherever receipts are fenced).

    After `max_receives` deliveries a task whose deadline passes is set aside as a dead letter.

    A broker that sees the connection of a worker break delivers its tasks again at once (`frees_lost`: beanstalkd,
    RabbitMQ); one that does not waits for the deadline (JetStream, SQS). Tasks that are delivered again come before new
    ones in both that were measured, beanstalkd 1.12 and NATS JetStream.

    RabbitMQ looks at deadlines only now and then (`checked_every`), and one that has passed costs the worker its
    channel (`closes_channel`): all that it has is delivered again, and nothing of it can be acked any more.
    """

    kind: Literal["deadline"] = "deadline"
    ack_deadline: Seconds = Field(ge=0.001, description="From a delivery to the next, if no ack comes.")
    late_ack: LateAck = Field(default="accepted", description="What an ack is worth that comes after the deadline.")
    max_receives: Count | None = Field(
        default=None, ge=1, le=1000, description="Deliveries before a task becomes a dead letter; left out: no limit."
    )
    redrive: Seconds | None = Field(
        default=None, ge=0.001, description="Dead letters are put back into the queue after so long; left out: never."
    )
    backoff: tuple[Annotated[Seconds, Field(ge=0.001)], ...] = Field(
        default=(), max_length=100, description="Deadlines of the first, second … delivery; the last for all further."
    )
    frees_lost: bool = Field(
        default=False, strict=True, description="A broken connection frees the tasks of its worker at once."
    )
    heartbeat: Seconds | None = Field(
        default=None,
        ge=0.001,
        description="A connection on which nothing has come for so long is broken; workers say something twice in that "
        "time (RabbitMQ: 60s).",
    )
    ordered: bool = Field(
        default=False,
        strict=True,
        description="Tasks of a group are delivered in order, each when the one before is done or dead (SQS FIFO).",
    )
    max_pending: Count | None = Field(
        default=None, ge=1, description="Most tasks without an ack, of all workers together (JetStream: 1000)."
    )
    dedup_window: Seconds = Field(
        default=0.0, description="A task that is put again under the same id within this is dropped; 0s: never."
    )
    checked_every: Seconds = Field(
        default=0.0, description="So often the broker looks whether deadlines have passed; 0s: it knows at once."
    )
    closes_channel: bool = Field(
        default=False,
        strict=True,
        description="A deadline that passes closes the channel of the worker: all its tasks are delivered again.",
    )
    durable: bool = Field(
        default=True, strict=True, description="Tasks outlast the process of the broker; false: they are in memory."
    )
    missed: Share = Field(
        default=0.0,
        description="Chance that a deadline is not noticed: the task stays until its worker asks again or is gone "
        "(beanstalkd 1.12 misses some, depending on scheduling).",
    )

    @model_validator(mode="after")
    def _of_one_piece(self) -> Self:
        if self.closes_channel and self.late_ack != "rejected":
            raise ValueError(f"got late_ack {self.late_ack!r}; a channel that is closed acks nothing: say `rejected`")
        if 0 < self.checked_every < 0.001:
            raise ValueError(f"got checked_every {duration_text(self.checked_every)}; give 1ms or more, or 0s")
        return self

    def deadline(self, number: int) -> float:
        """The ack deadline of the `number`-th delivery of a task, in seconds."""
        return self.backoff[min(number, len(self.backoff)) - 1] if self.backoff else self.ack_deadline
