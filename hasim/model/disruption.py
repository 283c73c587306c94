"""A disruption budget as it is declared: how many pods of a workload evictions leave."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.protocols.reconcile.shares import rounded_up


def _bound(value: object) -> object:
    """A number of pods, or a share of them in percent."""
    try:
        rounded_up(value, 1, "")  # type: ignore[arg-type]
    except ModelError as error:
        raise ValueError(error.problems[0].message) from None
    return value


Bound = Annotated[int | str, BeforeValidator(_bound)]
"""A whole number of pods, or a share of the replicas like "50%", rounded up."""


class DisruptionBudget(Declared):
    """How many pods must stay healthy when somebody evicts one on purpose, as drains of nodes do.

    One of the two bounds is given. Crashes cost the budget without asking it; rollouts, scaling down and whoever
    deletes a pod outright do not ask it either. Where `min_available` is as many as there are pods, nothing is ever
    evicted, and drains wait for ever. Source: Kubernetes, policy/v1 PodDisruptionBudget; KEP-3017.
    """

    min_available: Bound | None = Field(default=None, description='Pods that must stay: a number, or like "50%".')
    max_unavailable: Bound | None = Field(default=None, description="Pods that may be missing, likewise.")
    unhealthy: Literal["IfHealthyBudget", "AlwaysAllow"] = Field(
        default="IfHealthyBudget", description="When pods that are not ready may go: if enough others are, or always."
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.min_available is None) == (self.max_unavailable is None):
            raise ValueError("say either `min_available` or `max_unavailable`, and not both")
        return self

    def blocks(self, replicas: int) -> bool:
        """Whether it allows no eviction even while all of so many pods are healthy."""
        if self.max_unavailable is not None:
            return rounded_up(self.max_unavailable, replicas, "max_unavailable") == 0
        assert self.min_available is not None
        return rounded_up(self.min_available, replicas, "min_available") >= replicas
