"""A work queue: up while enough of its workers are."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.model.parts.part import Part
from hasim.units import Count


class Queue(Part):
    """Workers that take tasks from a queue; the part is up while `required` of them are."""

    kind: Literal["queue"] = "queue"
    workers: Count = Field(ge=1, le=10_000, description="Number of workers.")
    required: Count = Field(default=1, ge=1, description="Workers that must be up.")

    @model_validator(mode="after")
    def _enough_workers(self) -> Self:
        if self.required > self.workers:
            raise ValueError(f"required is {self.required}, but there are only {self.workers} workers")
        return self

    @property
    def count(self) -> int:
        return self.workers

    @property
    def enough(self) -> int:
        return self.required
