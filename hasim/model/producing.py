"""Who puts tasks into a queue, declared."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.model.laws import LawField
from hasim.protocols.health import AnyRestart, CrashLoopBackOff
from hasim.units import Count, Seconds


class Producing(Declared):
    """One process that puts the tasks of all loads: it knows what was stored, and what was not it puts again.

    `crash` is its own life: what it has put, and has no answer of, is then lost, or with an `outbox` put again. While
    it is down nobody makes tasks: those of the loads that would come then are not even counted.
    """

    groups: Count | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Groups over which tasks are spread, where the queue is `ordered`.",
    )
    again: Seconds | None = Field(
        default=None, ge=0.001, description="A task that is not stored after so long is put again; left out: never."
    )
    outbox: Seconds | None = Field(
        default=None, ge=0.001, description="Tasks are rows of an outbox first, for which a relay looks so often."
    )
    crash: LawField | None = Field(
        default=None, description="From the start of its process to a crash; left out: none."
    )
    restart: AnyRestart = Field(default=CrashLoopBackOff(), description="How its process is started again.")

    @model_validator(mode="after")
    def _the_relay_asks_again(self) -> Self:
        if self.again is not None and self.outbox is not None:
            raise ValueError("got both of again and outbox; a relay puts what was not stored at its next look anyway")
        return self
