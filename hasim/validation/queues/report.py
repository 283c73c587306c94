"""The whole comparison of queues with beanstalkd and JetStream: rows, a picture, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hasim.validation import verdicts
from hasim.validation.queues import comparing
from hasim.validation.queues.bench import Trial, play
from hasim.validation.queues.record import QueueConfig, config_of, recorded
from hasim.validation.verdicts import Row
from hasim.views.overlays import save

Report = Callable[[float, float], None] | None

PAGE: Final = "validation-queues.md"
PICTURE: Final = "validation-queues.png"
TRIALS: Final = 800
"""How often each configuration is played."""
SINGLE: Final = 120
"""How often each trial with one task is played, as in the record."""
QUICK_SHARE: Final = 8
"""Into how many parts a full comparison is divided for a quick one."""

SETTINGS: Final[Mapping[str, str]] = {
    "js_T1_crash10": "JetStream, 1 s, a tenth crashes",
    "js_T2": "JetStream, 2 s",
    "js_T2_fixed": "JetStream, 2 s, same time each attempt",
    "js_T3_crash10": "JetStream, 3 s, a tenth crashes",
    "js_T1_beat": "JetStream, 1 s, renewed every 0.33 s",
    "bs_T1": "beanstalkd, 1 s",
    "bs_T1_W6": "beanstalkd, 1 s, six workers",
    "bs_T2_crash10": "beanstalkd, 2 s, a tenth crashes",
    "bs_T2_fixed": "beanstalkd, 2 s, same time each attempt",
    "bs_T3": "beanstalkd, 3 s",
    "bs_T1_beat_crash10": "beanstalkd, 1 s, renewed, a tenth crashes",
}
"""The configurations, each measured in two series: the system, its deadline, and what else is special."""
SERIES: Final = ("first", "second")
TITLES: Final[Mapping[str, str]] = {
    f"{series}_{name}": f"{said} ({series} series)" for name, said in SETTINGS.items() for series in SERIES
}
FITTED: Final = frozenset(f"{series}_bs_T1" for series in SERIES)
"""Where the share of missed expiries comes from: no prediction."""
SIX: Final = QueueConfig("jetstream", deadline=1.0, workers=6, tasks=36)
"""JetStream with six workers; of its trials only the order of deliveries was stated."""


@dataclass(frozen=True)
class QueuesReport:
    """What was compared, from which seed, and the trials behind it."""

    seed: int
    quick: bool
    rows: tuple[Row, ...]
    trials: Mapping[str, Sequence[Trial]]

    @property
    def differing(self) -> list[Row]:
        """The comparisons that do not agree."""
        return verdicts.differing(self.rows)

    @property
    def fits(self) -> list[Row]:
        """The comparisons that agree or not by a number that was read off the same trials."""
        return [row for row in self.rows if row.how.startswith(comparing.FIT)]

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        return verdicts.table("queues", self.seed, self.quick, self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write the page and its picture into a folder; returns their paths."""
        from hasim.validation.queues.page import page
        from hasim.validation.queues.picture import picture

        save(picture(self.trials), str(folder / PICTURE))
        (folder / PAGE).write_text(page(self), encoding="utf-8")
        return [folder / PICTURE, folder / PAGE]


def compare(name: str, trials: Sequence[Trial]) -> list[Row]:
    """Hold trials of one configuration against the record."""
    return comparing.compare(TITLES[name], config_of(name), recorded()[name], trials, name in FITTED)


def validate_queues(quick: bool = False, seed: int = 1, progress: Report = None) -> QueuesReport:
    """Play every configuration of the record many times, and compare.

    Two minutes of work; a quarter of one if it is to be quick.
    """
    many = TRIALS // QUICK_SHARE if quick else TRIALS
    played: dict[QueueConfig, list[Trial]] = {}  # where nothing is missed, both series are one
    rows: list[Row] = []
    steps = len(TITLES) + 2

    def trials_of(config: QueueConfig) -> list[Trial]:
        if config not in played:
            played[config] = play(config, many, seed)
        return played[config]

    def tell(step: int) -> None:
        if progress is not None:
            progress(float(step), float(steps))

    for step, name in enumerate(TITLES):
        rows += compare(name, trials_of(config_of(name)))
        tell(step + 1)
    rows.append(comparing.compare_order("beanstalkd", trials_of(config_of("second_bs_T1_W6"))))
    rows.append(comparing.compare_order("jetstream", trials_of(SIX)))
    tell(steps - 1)
    rows += comparing.compare_single(seed, SINGLE // QUICK_SHARE if quick else SINGLE)
    tell(steps)
    return QueuesReport(seed, quick, tuple(rows), {name: trials_of(config_of(name)) for name in TITLES})
