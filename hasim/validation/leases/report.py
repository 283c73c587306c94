"""The whole comparison of leases with Redis and etcd: rows, a picture, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hasim.validation import verdicts
from hasim.validation.leases import comparing
from hasim.validation.leases.record import config_of, recorded
from hasim.validation.leases.trials import Trial, play
from hasim.validation.verdicts import Floats, Row, holm
from hasim.views.overlays import Panel, plot_overlays, save

Report = Callable[[float, float], None] | None

PAGE: Final = "validation-leases.md"
PICTURE: Final = "validation-leases.png"
TRIALS: Final = 800
"""How often each configuration is played."""
HEADING: Final = "Losing a lease: when the next one leads, and for how long two believe it"
CAPTION: Final = (
    "Redis 7.0.15 and etcd 3.4.23 as measured, and the same trials in hasim: three candidates, time to live 3 s, "
    "renewed every second. etcd looks for ended leases every half second; leaders are in step with that, so who "
    "watches waits for almost nothing or for half a second. The band shows how far a sample of the real size may stray."
)
QUICK_SHARE: Final = 8
"""Into how many parts a full comparison is divided for a quick one."""

TITLES: Final[Mapping[str, str]] = {
    "redis_crash": "Redis: the leader is killed",
    "redis_graceful": "Redis: the leader gives the lease back",
    "redis_pause_naive": "Redis: the leader is stopped for 5 s and does not look at its clock",
    "redis_pause_deadline_fence": "Redis: the leader is stopped for 5 s, deadline and fence",
    "redis_partition_naive": "Redis: the leader is cut off from the store for 6 s and does not look at its clock",
    "etcd_crash": "etcd, polling: the leader is killed",
    "etcd_watch_crash": "etcd, watch: the leader is killed",
    "etcd_watch_graceful": "etcd, watch: the leader gives the lease back",
}


@dataclass(frozen=True)
class LeasesReport:
    """What was compared, from which seed, and the trials behind it."""

    seed: int
    quick: bool
    rows: tuple[Row, ...]
    trials: Mapping[str, list[Trial]]

    @property
    def differing(self) -> list[Row]:
        """The comparisons that do not agree."""
        return verdicts.differing(self.rows)

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        return verdicts.table("leases", self.seed, self.quick, self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its picture into a folder; returns their paths."""
        from hasim.validation.leases.page import page

        save(self._figure(), str(folder / PICTURE))
        (folder / PAGE).write_text(page(self), encoding="utf-8")
        return [folder / PICTURE, folder / PAGE]

    def _figure(self) -> Any:
        """From the fault to the next leader above; two leaders at once, and what lies behind etcd's wait, below."""
        next_leader, both, wait = (
            "fault to the next leader",
            "two believe that they lead",
            "end of lease to next leader",
        )
        panels = [
            self._panel("redis_crash", "failover", f"Redis, killed\n{next_leader}"),
            self._panel("redis_graceful", "failover", f"Redis, lease given back\n{next_leader}"),
            self._panel("etcd_crash", "failover", f"etcd by polling, killed\n{next_leader}"),
            self._panel("etcd_watch_crash", "failover", f"etcd by watch, killed\n{next_leader}"),
            self._panel("redis_pause_naive", "belief_overlap", f"Redis, stopped for 5 s\n{both}"),
            self._panel("redis_partition_naive", "belief_overlap", f"Redis, cut off for 6 s\n{both}"),
            self._waits("etcd_crash", f"etcd by polling, killed\n{wait}"),
            self._waits("etcd_watch_crash", f"etcd by watch, killed\n{wait}"),
        ]
        return plot_overlays(panels, HEADING, CAPTION, columns=4, theirs="real store")

    def _panel(self, name: str, quantity: str, title: str) -> Panel:
        theirs = recorded()[name].column(quantity)
        return Panel(title, theirs, comparing.ours(self.trials[name], quantity), theirs.size)

    def _waits(self, name: str, title: str) -> Panel:
        entry, trials = recorded()[name], self.trials[name]

        def wait(age: Floats, failover: Floats) -> Floats:
            return comparing.waits(config_of(name), age, failover)

        theirs = wait(entry.column("age_at_fault"), entry.column("failover"))
        mine = wait(comparing.ours(trials, "age_at_fault"), comparing.ours(trials, "failover"))
        return Panel(title, theirs, mine, theirs.size, low=0.0, high=1.0)


def compare(name: str, trials: Sequence[Trial]) -> list[Row]:
    """Hold trials of one configuration against the record; verdicts of distributions wait for `holm`."""
    return comparing.compare(TITLES[name], config_of(name), recorded()[name], trials)


def validate_leases(
    quick: bool = False, seed: int = 1, progress: Report = None, names: Sequence[str] = ()
) -> LeasesReport:
    """Play configurations of the record many times, all if no `names` are given, and compare.

    Less than a minute of work; seconds if it is to be quick.
    """
    names = names or tuple(TITLES)
    played: dict[str, list[Trial]] = {}
    rows: list[Row] = []
    for place, name in enumerate(names):
        played[name] = play(config_of(name), TRIALS // QUICK_SHARE if quick else TRIALS, seed)
        rows += compare(name, played[name])
        if progress is not None:
            progress(place + 1.0, float(len(names)))
    return LeasesReport(seed, quick, tuple(holm(rows)), played)
