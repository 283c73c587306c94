"""The whole comparison of balancers with HAProxy and nginx: a table, a picture, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hasim.validation import verdicts
from hasim.validation.balancers import comparing, faults, idle, passive, upgrades
from hasim.validation.balancers.faults import Row as Trial
from hasim.validation.balancers.record import Recorded, recorded, steady
from hasim.validation.verdicts import Row, holm
from hasim.views.overlays import Panel, plot_overlays, save

Report = Callable[[float, float], None] | None

PAGE: Final = "validation-balancers.md"
PICTURE: Final = "validation-balancers.png"
STEADY: Final = "steady"
TRIALS: Final = {"haproxy_faults": 400, "haproxy_upgrades": 100, "nginx": 400, STEADY: 64}
"""How often each configuration is played, by part of the record."""
QUICK_SHARE: Final = 8
"""Into how many parts a full comparison is divided for a quick one."""

TITLES: Final[Mapping[str, str]] = {
    "kill_rr_redis": "killed; round robin, redispatch",
    "kill_rr_redis_2s": "killed; round robin, redispatch, checks every 2 s",
    "kill_rr_retries0": "killed; round robin, no retries",
    "kill_rr_noredis_blip": "killed for a moment; round robin, retries on the same server",
    "kill_rr_hot": "killed; round robin, redispatch, hot servers",
    "kill_rand_redis": "killed; random of two, redispatch",
    "kill_lc_noredis": "killed; least connections, retries on the same server",
    "hc500_rr": "checks fail; round robin",
    "hc500_rr_2s": "checks fail; round robin, checks every 2 s",
    "drain_1.25s": "checks fail, stopped 1.25 s later; no redispatch",
    "drain_3s": "checks fail, stopped 3 s later",
    "stop_rr": "frozen; round robin",
    "stop_rr_fast": "frozen; round robin, fast checks 100 ms, down 1 s",
    "stop_rand": "frozen; random of two",
    "slow_rr": "20 times as slow; round robin",
    "slow_rand": "20 times as slow; random of two",
    "err500_rr": "answers are errors; round robin",
    "roll_none_d0": "rolling upgrade, no notice, no retries",
    "roll_none_d1": "rolling upgrade, notice 1 s, no retries",
    "roll_none_d2": "rolling upgrade, notice 2 s, no retries",
    "roll_none_graceful_d0": "rolling upgrade, no notice, graceful, no retries",
    "roll_none_ready_d0": "rolling upgrade, no notice, restarts in 0.3 s, no gate",
    "roll_redis_d0": "rolling upgrade, no notice, redispatch",
    "roll_redis_d2": "rolling upgrade, notice 2 s, redispatch",
    "roll_retry_d1": "rolling upgrade, notice 1 s, retries on the same server",
    "bg_drain": "blue-green switch, green is up",
    "bg_drain_green_late_noretry": "blue-green switch, green listens 0.8 s later, no retries",
    "ngx_kill_next": "nginx: killed, others are tried",
    "ngx_kill_off_mf3": "nginx: killed, no others tried, max_fails 3",
    "ngx_stop_off": "nginx: frozen, no others tried",
    "steady_roundrobin_0.6": "no fault; round robin, load 0.6",
    "steady_leastconn_0.6": "no fault; least connections, load 0.6",
    "steady_roundrobin_0.9": "no fault; round robin, load 0.9",
}

PLAYERS: Final[Mapping[str, Callable[[Recorded, int, int], list[Trial]]]] = {
    "haproxy_faults": faults.play_all,
    "haproxy_upgrades": upgrades.play_all,
    "nginx": passive.play_all,
}


@dataclass(frozen=True)
class BalancersReport:
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
        return verdicts.table("balancers", self.seed, self.quick, self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its picture into a folder; returns their paths."""
        from hasim.validation.balancers.page import page

        save(self._figure(), str(folder / PICTURE))
        (folder / PAGE).write_text(page(self), encoding="utf-8")
        return [folder / PICTURE, folder / PAGE]

    def _figure(self) -> Any:
        """Ejection above, re-admission below, for each sort of fault and of check."""
        names = ("kill_rr_redis", "kill_rr_redis_2s", "stop_rr", "stop_rr_fast")
        panels = []
        for quantity, said in (("t_eject", "fault to ejection"), ("t_readmit", "recovery to re-admission")):
            for name in names:
                theirs = recorded("haproxy_faults")[name].column(quantity)
                panels.append(
                    Panel(f"{TITLES[name]}\n{said}", theirs, comparing.ours(self.trials[name], quantity), theirs.size)
                )
        return plot_overlays(
            panels,
            "How long HAProxy's checks take",
            "HAProxy 2.6.12 as measured, and its checks in hasim; nothing is fitted. The band shows how far a sample "
            "of the real size may stray.",
            columns=len(names),
            theirs="real HAProxy",
        )


def part_of(name: str) -> str:
    """Which part of the record holds a configuration."""
    return next((part for part in PLAYERS if name in recorded(part)), STEADY)


def play(name: str, trials: int, seed: int) -> list[Trial]:
    """Play one configuration of the record so many times."""
    part = part_of(name)
    if part == STEADY:
        return idle.play_all(name, steady()[name]["config"], trials, seed)
    return PLAYERS[part](recorded(part)[name], trials, seed)


def compare(name: str, trials: list[Trial]) -> list[Row]:
    """Hold trials against the record; verdicts of distributions wait for `holm`."""
    part, title = part_of(name), TITLES[name]
    if part == STEADY:
        return idle.rows_of(title, steady()[name], trials)
    entry = recorded(part)[name]
    if part == "nginx":
        return comparing.of_nginx(title, entry, trials)
    if part == "haproxy_faults":
        return comparing.of_faults(title, entry, trials)
    return (comparing.of_rollouts if entry.config["kind"] == "rolling" else comparing.of_switches)(title, entry, trials)


def validate_balancers(
    quick: bool = False, seed: int = 1, progress: Report = None, names: Sequence[str] = ()
) -> BalancersReport:
    """Play configurations of the record many times, all if no `names` are given, and compare.

    Minutes of work; less than one if it is to be quick.
    """
    names = names or tuple(TITLES)
    played: dict[str, list[Trial]] = {}
    rows: list[Row] = []
    for place, name in enumerate(names):
        trials = TRIALS[part_of(name)]
        played[name] = play(name, trials // QUICK_SHARE if quick else trials, seed)
        rows += compare(name, played[name])
        if progress is not None:
            progress(place + 1.0, float(len(names)))
    return BalancersReport(seed, quick, tuple(holm(rows)), played)
