"""A cluster together with what is going to happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasim.faults import Fault

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster


@dataclass(frozen=True)
class Scenario:
    """A cluster and its scripted faults; `ha.simulate` runs it, the other engines refuse it by name."""

    cluster: Cluster
    faults: tuple[Fault, ...]

    def during(self, *faults: Fault) -> Scenario:
        """The same with more faults."""
        return self.cluster.during(*self.faults, *faults)
