"""All upgrades of a run: the places of the pools, and one upgrader for each upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hasim.engines.des.upgrades.places import Places
from hasim.engines.des.upgrades.upgrader import Upgrader
from hasim.model.upgrades import BlueGreen, Upgrade
from hasim.results.upgrades import Spans, UpgradeLog

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

FIRST_VERSION = "v1"
"""What the version is called that is there at the beginning."""


class Upgrades:
    """The upgrades of a live cluster; `absent` has the variable of each place, true while there is a pod in it."""

    def __init__(
        self, live: LiveCluster, upgrades: tuple[Upgrade, ...], absent: dict[str, int], first: dict[str, int]
    ) -> None:
        """`first` has how many pods each pool has at the beginning; the other places are emptied."""
        self.absent = absent
        self._places: dict[str, Places] = {}
        for part, count in first.items():
            assert live.requests is not None
            names = [upgrade.release.version for upgrade in upgrades if upgrade.target == part]
            version = FIRST_VERSION if FIRST_VERSION not in names else "before"
            self._places[part] = Places(live, live.requests, part, absent, count, version)
            self._places[part].prepare()
        self._upgraders = [Upgrader(live, upgrade, self._places[upgrade.target]) for upgrade in upgrades]

    def start(self) -> None:
        """Let them begin, each at its time."""
        for places in self._places.values():
            places.begin_counting()
        for upgrader in self._upgraders:
            upgrader.start()

    def logs(self, end: float) -> dict[str, UpgradeLog]:
        """What became of those that have begun, by name."""
        for places in self._places.values():
            places.close(end)
        return {
            upgrader.name: upgrader.record.log(
                end,
                _spans(upgrader.places),
                isinstance(upgrader.upgrade, BlueGreen) and upgrader.upgrade.state == "own",
            )
            for upgrader in self._upgraders
            if upgrader.record is not None
        }


def _spans(places: Places) -> Spans:
    rows = [(place.replica.name, *span) for place in places.places for span in place.spans]
    servers, begins, ends, versions = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Spans(tuple(servers), np.array(begins), np.array(ends), tuple(versions))
