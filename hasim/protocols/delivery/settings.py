"""How a queue delivers, declared: the ack deadline, what it does when that has passed, and what a late ack is worth."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hasim.declared import Declared
from hasim.units import Count, Seconds

LateAck = Literal["accepted", "unless_taken", "rejected"]


class Delivery(Declared):
    """A queue with an ack deadline: visibility timeout (SQS), AckWait (NATS JetStream), time to run (beanstalkd).

    A task that is not acknowledged in time is delivered again, while the worker that has it may still be at it: nobody
    tells it. What its ack is worth then (`late_ack`) differs:

    - `accepted`: the task is done, whoever else has it by now (JetStream; SQS standard, where the old receipt may do).
    - `unless_taken`: the task is done if nobody else has taken it yet, and else it is not (beanstalkd).
    - `rejected`: it is not (SQS FIFO, and wherever receipts are fenced).

    After `max_receives` deliveries a task whose deadline passes is set aside as a dead letter.
    """

    ack_deadline: Seconds = Field(gt=0, description="From a delivery to the next, if no ack comes.")
    late_ack: LateAck = Field(default="accepted", description="What an ack is worth that comes after the deadline.")
    max_receives: Count | None = Field(
        default=None, ge=1, le=1000, description="Deliveries before a task becomes a dead letter; left out: no limit."
    )
