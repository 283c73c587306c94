"""What an upgrade of a workload was: beside pods as the API has them, those that traffic reached."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hasim.results.upgrades import UpgradeLog


@dataclass(frozen=True, eq=False)
class PodUpgradeLog(UpgradeLog):
    """One upgrade of a workload; `ready`, `starting` and `leaving` are pods as the store of the API has them.

    `served_at_s` are the times, in seconds of the run's clock, from each of which on so many pods are `serving`: shape
    (m, 2), the old version and the new one. These answer, and endpoints name them. Endpoints follow the store: a pod
    that has become ready is not in them for a moment, while an old one may already go on its account. So now and then,
    for some milliseconds, fewer serve than are ready. `exposure` is the new version's share of the pods that serve.
    """

    served_at_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    serving: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))

    def between(self, start_s: float, end_s: float) -> PodUpgradeLog | None:
        """Return it as seen by a piece of the run, in seconds; None if nothing of it happened there."""
        piece = super().between(start_s, end_s)
        if piece is None:
            return None
        assert isinstance(piece, PodUpgradeLog)
        seen = self.served_at_s < end_s
        return replace(piece, served_at_s=self.served_at_s[seen], serving=self.serving[seen])

    @property
    def min_serving(self) -> int:
        """The fewest pods that served at once, of either version, for any time at all, from its begin to its end."""
        if not len(self.served_at_s):
            return self.replicas
        ends = np.append(self.served_at_s[1:], np.inf)
        inside = (ends > self.began_s) & (self.served_at_s <= self.until_s) & (ends > self.served_at_s)
        return int(self.serving[inside].sum(axis=1).min()) if inside.any() else self.replicas
