"""The whole comparison of Raft with the real etcd and the literature: a table, pictures, and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hasim.errors import ModelError
from hasim.validation import against_published, against_record, verdicts
from hasim.validation.against_published import (
    CALIBRATED,
    CURVES,
    REGIMES,
    STUCK,
    STUCK_HORIZON_S,
    STUCK_S,
    STUCK_TRIALS,
    WANS,
    Elections,
)
from hasim.validation.against_record import FAILOVERS, Trials
from hasim.validation.record import published_curve, recorded
from hasim.validation.verdicts import Row
from hasim.views.overlays import Panel, plot_overlays, save

if TYPE_CHECKING:
    from rich.table import Table

Report = Callable[[float, float], None] | None

PAGE: Final = "validation-raft.md"
PICTURES: Final = {
    "validation-raft-etcd.png": "Time to a new leader, real etcd and hasim",
    "validation-raft-clients.png": "What clients see of a failover",
    "validation-raft-return.png": "What the return of a cut-off leader does",
    "validation-raft-figure16.png": "Figure 16 of the Raft paper",
    "validation-raft-wan.png": "The WAN simulation of the Raft thesis",
}
_TITLES: Final = {
    "kill_n3_100-1000": "3 members, leader killed",
    "kill_n5_50-500": "5 members, 50/500 ms, leader killed",
    "kill_n3_100-1000_pv": "3 members, pre-vote, leader killed",
    "part_n3_100-1000": "3 members, leader cut off",
}
_LAN_TRIALS, _WAN_TRIALS = 1_000, 10_000


@dataclass(frozen=True)
class RaftReport:
    """What was compared, from which seed, and the samples behind the pictures."""

    seed: int
    quick: bool
    rows: tuple[Row, ...]
    trials: Trials
    elections: Elections

    @property
    def differing(self) -> list[Row]:
        """The comparisons that do not agree."""
        return verdicts.differing(self.rows)

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        return verdicts.table("raft", self.seed, self.quick, self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its pictures into a folder; returns their paths."""
        written = []
        for name, figure in zip(PICTURES, self._figures(), strict=True):
            save(figure, str(folder / name))
            written.append(folder / name)
        (folder / PAGE).write_text(page(self), encoding="utf-8")
        return [*written, folder / PAGE]

    def _figures(self) -> list[Any]:
        band = "The band shows how far a sample of the real size may stray."
        return [
            plot_overlays(
                self._recorded_panels(FAILOVERS, ("t_leader",)), "From the loss of the leader to a new one",
                f"etcd 3.4.23 as measured, and the same protocol in hasim; nothing is fitted to these curves. {band}",
                columns=2, theirs="real etcd",
            ),
            plot_overlays(
                self._recorded_panels(FAILOVERS, ("put.gap_any", "put.first_any", "lin.gap_any", "lin.first_any")),
                "What clients see of a failover",
                f"Writes and linearizable reads at any survivor, a probe each 20 or 40 ms. {band}", columns=4,
                theirs="real etcd",
            ),
            plot_overlays(
                self._recorded_panels(
                    ("part_n3_100-1000",), ("victim_view.t_stepdown", "heal.put_gap_any", "t_stable_after_heal")
                ),
                "What the return of a cut-off leader does, without pre-vote",
                "Cut off for 4 s. Left: the range is the protocol's, the shape that of the schedule of the trials.",
                theirs="real etcd",
            ),
            plot_overlays(
                [*(_lan_panel(name, self.elections) for name in CURVES), _stuck_panel(self.elections)],
                "Figure 16 of the Raft paper",
                "Five LogCabin servers on a LAN, election timeouts in ms. Latencies and writes were fitted to three "
                "curves; two others are predictions, and the last two show only what happens without randomness. "
                "The line of the last one ends where it is given up.",
                theirs="published quantiles", unit="ms",
            ),
            plot_overlays(
                [_wan_panel(name, self.elections) for name in WANS], "The WAN simulation of the Raft thesis",
                "Five servers, one-way 30 to 40 ms, timeouts 300 to 600 ms. Nothing is fitted.", columns=2,
                theirs="published quantiles", unit="ms",
            ),
        ]  # fmt: skip

    def _recorded_panels(self, names: Sequence[str], quantities: Sequence[str]) -> list[Panel]:
        panels = []
        for name in names:
            for quantity in quantities:
                theirs = recorded()[name].column(quantity)
                ours = self.trials.column(name, quantity)
                title = _TITLES[name] if len(quantities) == 1 else f"{_TITLES[name]}\n{_SAID[quantity]}"
                panels.append(Panel(title, theirs, ours[~np.isnan(ours)], theirs.size))
        return panels


_SAID: Final = {
    "put.gap_any": "longest silence of writes",
    "put.first_any": "fault to first write",
    "lin.gap_any": "longest silence of reads",
    "lin.first_any": "fault to first read",
    "victim_view.t_stepdown": "cut to its stepping down",
    "heal.put_gap_any": "second outage of writes",
    "t_stable_after_heal": "heal to all in step",
}


def _lan_panel(name: str, elections: Elections) -> Panel:
    values, levels = published_curve(f"raft-lan-benchmark/{name}")
    mark = "calibrated" if name in CALIBRATED else "regime" if name in REGIMES else "prediction"
    return Panel(f"{name.replace('-', ' to ')} ms", values, elections.lan[name], _LAN_TRIALS, levels, mark)


def _stuck_panel(elections: Elections) -> Panel:
    """Published is only that almost no trial ended within 10 s; the axis is logarithmic."""
    title = f"{STUCK.replace('-', ' to ')} ms, given up after {STUCK_HORIZON_S:g} s"
    return Panel(
        title, np.array([STUCK_S]), elections.lan[STUCK], STUCK_TRIALS, np.array([0.0]), "regime", low=1.0,
        high=STUCK_HORIZON_S, log=True,
    )  # fmt: skip


def _wan_panel(name: str, elections: Elections) -> Panel:
    values, levels = published_curve(f"availsim-wan/{name}")
    failed, differ = WANS[name]
    title = f"{('none', 'one', 'two')[failed]} of five failed, logs {'all different' if differ else 'the same'}"
    return Panel(title, values, elections.wan[name], _WAN_TRIALS, levels)


def validate_raft(quick: bool = False, seed: int = 1, progress: Report = None) -> RaftReport:
    """Play and sample everything, and compare; minutes of work, or one if it is to be quick."""
    share = 0.9  # of the work, before the published experiments

    def first(done: float, total: float) -> None:
        if progress is not None:
            progress(share * done / total, 1.0)

    def second(done: float, total: float) -> None:
        if progress is not None:
            progress(share + (1 - share) * done / total, 1.0)

    trials = against_record.play_all(quick, seed, first)
    elections = against_published.sample_all(quick, seed, second)
    rows = [*against_record.rows_of(trials), *against_published.rows_of(elections, trials.played, seed)]
    return RaftReport(seed, quick, tuple(rows), trials, elections)


def folder_of(out: str) -> Path:
    """The folder to write into, which must be there."""
    folder = Path(out)
    if not folder.is_dir():
        raise ModelError(f"got {out!r}, which is no folder", "out")
    return folder


def table(report: RaftReport) -> Table:
    """The report as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    styles = {"agrees": "green", "differs": "bold red", "shape only": "dim"}
    note = BY_CHANCE if report.quick else None
    heads = ("quantity", "real or published", "hasim", "verdict")
    shown = Table(*heads, box=None, padding=(0, 2, 0, 0), pad_edge=False, caption=note)
    experiment = ""
    for row in report.rows:
        if row.experiment != experiment:
            experiment = row.experiment
            shown.add_row(Text(experiment, style="bold"))
        verdict = Text(row.verdict, style=styles[row.verdict])
        shown.add_row(Text("  " + row.quantity), Text(row.theirs), Text(row.ours), verdict)
    return shown


def page(report: RaftReport) -> str:
    """The report as a page in Markdown."""
    judged = [row for row in report.rows if row.verdict != "shape only"]
    command = "hasim validate raft" + " --quick" * report.quick + f" --seed {report.seed} --out docs"
    lines = [
        "# Raft held against a real etcd and the literature",
        "",
        f"Written by `{command}`. Of {len(judged)} comparisons {len(judged) - len(report.differing)} agree.",
        *((BY_CHANCE,) if report.quick else ()),
        *_ABOUT,
    ]
    for name, caption in PICTURES.items():
        lines += ["", f"![{caption}]({name})"]
    lines += ["", "## Every comparison", ""]
    experiment = ""
    for row in report.rows:
        if row.experiment != experiment:
            experiment = row.experiment
            lines += ["", f"### {experiment}", "", "| quantity | real or published | hasim | verdict | rule |"]
            lines.append("|---|---|---|---|---|")
        verdict = "**differs**" if row.verdict == "differs" else row.verdict
        lines.append(f"| {row.quantity} | {row.theirs} | {row.ours} | {verdict} | {row.how} |")
    return "\n".join(lines) + "\n"


BY_CHANCE: Final = (
    "With an eighth of the trials a few of the more than a hundred rows differ by chance; the full run has fewer."
)

_ABOUT: Final = (
    "",
    "Times are in seconds unless a row says otherwise. Distributions are given by their 5, 50 and 95 % points, means",
    "with 95 % intervals. The real etcd is version 3.4.23, measured on one machine; its trials and all published",
    "numbers are in `hasim/validation/data`, with their sources.",
    "",
    "- Nothing is fitted to the times of elections. One set of constants, for messages, disks and processes, serves",
    "  all configurations: `hasim/validation/etcd_trials.py`.",
    "- Distributions are compared by the two-sample Kolmogorov–Smirnov test with Holm's correction over all of them;",
    "  the probability transform pools the configurations, and may stray as far as 95 of 100 such samples do.",
    "  Means may differ by 5 % or 2 standard errors, shares by 2.",
    "- *Shape only*: the number belongs to the machine that was measured (starting a process, the gateway, a busy",
    "  processor), so it stands beside ours without a verdict.",
    "- Trials of the real record that share a cluster share the phases of its clocks. Ours are made anew each time.",
    "- Of Figure 16 only the curves marked as predictions test the model.",
    "",
    "What these verdicts are worth:",
    "",
    "- The times of messages were taken from the record: a plain one from linearizable reads in the steady state, one",
    "  about votes from the campaigns that won at once. The rows on the steady state at the leader are no prediction.",
    "- Neither is what follows a heal. A first model, with one connection for all messages and no tail loss probe,",
    "  had the leader change again in about 90 % of the trials. The record showed why: appends travel on a",
    "  connection of their own and come through 3.3 s after they were first lost. That was built in, with the",
    "  length of Linux's retransmissions read off those times: 0.208 s. The share is sensitive to it: with the",
    "  nominal 0.2 s it was about 55 % (120 trials), since a sign of life that was lost then just comes in time. It",
    "  has not met a second record.",
    "- The means over all trials after a heal agree better than the parts they are made of, which have rows of",
    "  their own: how often a disturbance is over within two terms, how long it lasts, how often the old leader",
    "  hears early of the new one. Where these differ, the reason is not known.",
    "- With so many rows judged by two standard errors a few may differ by chance, and others agree by it.",
)
