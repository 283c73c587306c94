"""Blocks put together in the order of their numbers, whoever computed them and when."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.book import ServiceTally, Tally, distinct

DURATIONS_MAX = 2_000_000  # outages of one service of which the length is kept
PATTERNS_MAX = 5_000  # distinct sets of things that were down during outages


class Merged:
    """The blocks so far: `add` them in order, then ask for the `total`.

    `durations_dropped` counts, by service, outages of which the length was not kept, and `patterns_dropped_s` the
    time of patterns that were rarer than those kept.
    """

    def __init__(self, services: int) -> None:
        self._blocks: list[Tally] = []
        self._kept = [0] * services
        self._patterns: list[tuple[NDArray[np.uint8], NDArray[np.float64]] | None] = [None] * services
        self.durations_dropped = [0] * services
        self.patterns_dropped_s = [0.0] * services
        self.runs = 0

    def add(self, block: Tally) -> None:
        """Take one more block."""
        self.runs += block.runs
        self._blocks.append(
            Tally(
                block.runs,
                block.events,
                tuple(self._thinned(i, each) for i, each in enumerate(block.services)),
            )
        )

    def _thinned(self, i: int, tally: ServiceTally) -> ServiceTally:
        """Keep what is bounded; patterns go into one table."""
        known = self._patterns[i]
        packed, seconds = tally.patterns, tally.pattern_s
        if known is not None:
            packed, seconds = distinct(np.concatenate([known[0], packed]), np.concatenate([known[1], seconds]))
        if seconds.size > PATTERNS_MAX:
            order = np.sort(np.argsort(-seconds, kind="stable")[:PATTERNS_MAX])
            self.patterns_dropped_s[i] += float(seconds.sum() - seconds[order].sum())
            packed, seconds = packed[order], seconds[order]
        self._patterns[i] = packed, seconds
        room = max(0, DURATIONS_MAX - self._kept[i])
        durations, cut = tally.durations[:room], tally.cut[:room]
        self.durations_dropped[i] += tally.durations.size - durations.size
        self._kept[i] += durations.size
        return ServiceTally(
            tally.downtime, tally.reduced, tally.outages, tally.first, durations, cut, packed[:0], seconds[:0],
            tally.blame_s, tally.windows_lost, tally.slo_years_lost, tally.yearly,
        )  # fmt: skip

    def total(self) -> Tally:
        """All blocks as one."""
        assert self._blocks, "nothing was added"
        services = tuple(self._service(i) for i in range(len(self._kept)))
        return Tally(self.runs, sum(block.events for block in self._blocks), services)

    def _service(self, i: int) -> ServiceTally:
        parts = [block.services[i] for block in self._blocks]
        known = self._patterns[i]
        assert known is not None
        return ServiceTally(
            downtime=np.concatenate([part.downtime for part in parts]),
            reduced=np.concatenate([part.reduced for part in parts]),
            outages=np.concatenate([part.outages for part in parts]),
            first=np.concatenate([part.first for part in parts]),
            durations=np.concatenate([part.durations for part in parts]),
            cut=np.concatenate([part.cut for part in parts]),
            patterns=known[0],
            pattern_s=known[1],
            blame_s=np.sum([part.blame_s for part in parts], axis=0),
            windows_lost=sum(part.windows_lost for part in parts),
            slo_years_lost=sum(part.slo_years_lost for part in parts),
            yearly=np.concatenate([part.yearly for part in parts]),
        )
