"""All upgrades of a run: the places of the pools, and one upgrader for each upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hasim.engines.des.kubernetes.drains import NodeDrains
from hasim.engines.des.kubernetes.rollouts import WorkloadRollout
from hasim.engines.des.upgrades.machines import Machines
from hasim.engines.des.upgrades.places import Places
from hasim.engines.des.upgrades.stored import Stored
from hasim.engines.des.upgrades.talking import Talk
from hasim.engines.des.upgrades.upgrader import Upgrader
from hasim.model.parts import Pool, Workload
from hasim.model.upgrades import BlueGreen, DrainNodes, NodeByNode, Upgrade
from hasim.results.stored import DataLog
from hasim.results.upgrades import Spans, UpgradeLog

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class Upgrades:
    """The upgrades of a live cluster; `absent` has the variable of each place, true while there is a pod in it."""

    def __init__(
        self, live: LiveCluster, upgrades: tuple[Upgrade, ...], absent: dict[str, int], first: dict[str, int]
    ) -> None:
        """`first` has how many pods each pool has at the beginning; the other places are emptied."""
        self.absent = absent
        self._places: dict[str, Places] = {}
        self._stored: dict[str, Stored] = {}
        cluster = live.system.cluster
        for part, count in first.items():
            pool = cluster.parts[part]
            assert live.requests is not None and isinstance(pool, Pool)
            self._places[part] = Places(live, live.requests, part, absent, count, pool.version)
            self._places[part].prepare()
            if pool.data is not None:
                self._stored[part] = Stored(live, self._places[part], pool.data)
        for contract in cluster.contracts:
            Talk(contract, self._places).look()
        self._upgraders = [self._upgrader(live, upgrade) for upgrade in upgrades]
        for upgrader in self._upgraders:
            upgrader.followers = [each for each in self._upgraders if each.upgrade.after == upgrader.name]

    def _upgrader(self, live: LiveCluster, upgrade: Upgrade) -> Upgrader | WorkloadRollout | NodeDrains:
        """What does it: a machine, or people who ask the API."""
        if isinstance(upgrade, NodeByNode):
            return Upgrader(live, upgrade, Machines(live, upgrade))
        if isinstance(upgrade, DrainNodes):
            return NodeDrains(live, upgrade)
        if isinstance(live.system.cluster.parts[upgrade.target], Workload):
            return WorkloadRollout(live, upgrade)
        return Upgrader(live, upgrade, self._places[upgrade.target], self._stored.get(upgrade.target))

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return bool(self._upgraders)

    def start(self) -> None:
        """Let them begin, each at its time."""
        for places in self._places.values():
            places.begin_counting()
        for upgrader in self._upgraders:
            if upgrader.upgrade.after is None:
                upgrader.start()

    def logs(self, end: float) -> dict[str, UpgradeLog]:
        """What became of those that have begun, by name."""
        for places in self._places.values():
            places.close(end)
        spans = {part: _spans(places) for part, places in self._places.items()}
        logs = {upgrader.name: self._log(upgrader, end, spans) for upgrader in self._upgraders}
        return {name: log for name, log in logs.items() if log is not None}

    def _log(
        self, upgrader: Upgrader | WorkloadRollout | NodeDrains, end: float, spans: dict[str, Spans]
    ) -> UpgradeLog | None:
        if not isinstance(upgrader, Upgrader):
            return upgrader.log(end)
        if upgrader.record is None:
            return None
        upgrade = upgrader.upgrade
        own_state = isinstance(upgrade, BlueGreen) and upgrade.state == "own"
        return upgrader.record.log(end, spans.get(upgrade.target, NO_SPANS), own_state)

    def cautions(self) -> list[str]:
        """What a reader should know of upgrades that have not come to their end."""
        others = [each for each in self._upgraders if not isinstance(each, Upgrader)]
        return [said for each in others for said in each.cautions()]

    def data(self) -> dict[str, DataLog]:
        """What became of the stored data of each pool that has any."""
        return {part: stored.log() for part, stored in self._stored.items()}


NO_SPANS = Spans((), np.array([]), np.array([]), ())
"""Of hosts that are upgraded as a whole, no version is attributed to requests."""


def _spans(places: Places) -> Spans:
    rows = [(place.replica.name, *span) for place in places.places for span in place.spans]
    servers, begins, ends, versions = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Spans(tuple(servers), np.array(begins), np.array(ends), tuple(versions))
