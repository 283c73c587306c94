"""Nodes are drained: cordoned, emptied as far as budgets allow, perhaps rebooted, and let in again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.faults.names import Names
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import Rollout
from hasim.units import Seconds

_FOREIGN = ("release", "detection", "migrates", "per_second", "graceful")


class DrainNodes(Upgrade):
    """Nodes of Kubernetes are emptied on purpose, one after another, as before a reboot or a new kubelet.

    Each is cordoned, and its pods are evicted as far as their `budget` allows; what is refused is tried again every
    5 s. A node that is empty is `away` for so long, if that is given: its host is down. Then it is uncordoned, unless
    it shall stay cordoned, and the next has its turn. A node that is not empty after `timeout` is given up: it does not
    go away, and is let in again. Without a timeout a budget that never allows anything holds up the rest for ever.

    With `one_by_one: false` all nodes are cordoned at once and emptied one after another, then all that are empty are
    away together. Source: what `kubectl drain` does, k/k staging/src/k8s.io/kubectl/pkg/cmd/drain/drain.go.
    """

    kind: Literal["drain_nodes"] = "drain_nodes"
    target: str = Field(default="", description="Not used: `nodes` says what is drained.")
    nodes: Names = Field(description="Nodes, or domains whose nodes are drained, one after another.")
    timeout: Seconds | None = Field(
        default=None, gt=0, description="After so long a node that is not empty is given up; left out: never."
    )
    away: Seconds | None = Field(
        default=None, gt=0, description="How long the host of a drained node is down; left out: it is not touched."
    )
    then: Literal["uncordon", "stay cordoned"] = Field(
        default="uncordon", description="Whether pods may come to the node again, once it is through."
    )
    one_by_one: bool = Field(
        default=True, strict=True, description="Whether a node is cordoned only when the one before is through."
    )

    STRATEGY: ClassVar[str] = "drain nodes"
    OBEYS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *nodes: str | Sequence[str], **data: Any) -> None:
        given = [name for each in nodes for name in ([each] if isinstance(each, str) else each)]
        super().__init__(**({**data, "nodes": given} if given else data))

    @model_validator(mode="after")
    def _brings_no_version(self) -> Self:
        said = "is of a new version; nodes are drained and come back as they were"
        found = [at((field,), said) for field in _FOREIGN if field in self.model_fields_set]
        if found:
            raise ModelError.of(found)
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The nodes and domains that are drained."""
        return self.nodes

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        raise AssertionError("nodes are emptied by evictions, and no rollout does it")

    def room(self, replicas: int) -> int:
        return replicas
