"""A Run is one history: what was down when, and the facts that tell why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasim.errors import ModelError, nearest
from hasim.results import request_tables, tables, tasks, upgrade_tables
from hasim.results.failed_share import requests_of
from hasim.results.figures import ServiceFigures
from hasim.results.intervals import (
    few_outages_caution,
    mean_outage_estimate,
    rate_estimate,
    unavailability_interval,
    unseen_downtime,
)
from hasim.results.phases import Phase, fault_spans, phases_frame, phases_of
from hasim.results.request_log import RequestLog, instant
from hasim.results.stored import DataLog
from hasim.results.tasks import TaskLog
from hasim.results.upgrades import UpgradeLog, clipped
from hasim.units import YEAR, human

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Run:
    """One history from `start_s` to `end_s`, in seconds of the run's clock.

    `intervals` holds for each unit, part and service the times it was down, shape (k, 2): rows [start,
    end), ascending and apart. `gaps` holds in the same form the times without a leader, of each part that
    elects one. `trace` is the sequence of facts that happened, in order of time. `requests` is the fate of every
    request, where there was a load, and `tasks` that of every task, by queue. `upgrades` has what became of each
    upgrade, by name.
    """

    cluster: str
    services: dict[str, ServiceFigures]
    start_s: float
    end_s: float
    intervals: dict[str, NDArray[np.float64]]
    gaps: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    trace: Sequence[object] = ()
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    requests: RequestLog | None = None
    tasks: dict[str, TaskLog] = field(default_factory=dict)
    upgrades: dict[str, UpgradeLog] = field(default_factory=dict)
    data: dict[str, DataLog] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that down intervals are rows [start, end) in order, within the run."""
        assert self.start_s < self.end_s, f"a run has a length, got {self.start_s} to {self.end_s}"
        for kind in ("intervals", "gaps"):
            rows = {name: _rows(array) for name, array in getattr(self, kind).items()}
            for name, array in rows.items():
                flat = array.ravel()
                inside = not flat.size or (flat[0] >= self.start_s and flat[-1] <= self.end_s)
                assert inside and bool(np.all(np.diff(flat) >= 0)), f"{kind} of {name} are out of order"
            object.__setattr__(self, kind, rows)

    @property
    def engine(self) -> str:
        """The name of the verb that made it."""
        return "simulate"

    @property
    def horizon_s(self) -> float:
        """The length of the history in seconds."""
        return self.end_s - self.start_s

    def down(self, name: str) -> NDArray[np.float64]:
        """Return when a unit, part or service was down, shape (k, 2) in seconds."""
        if name not in self.intervals:
            known = sorted(self.intervals)
            raise ModelError(f"got {name!r}; the run knows no such unit, part or service{nearest(name, known)}")
        return self.intervals[name]

    def downtime_s(self, name: str) -> float:
        """Return how long a unit, part or service was down, in seconds."""
        down = self.down(name)
        return float((down[:, 1] - down[:, 0]).sum())

    def availability(self, name: str) -> float:
        """Return the share of this history that a unit, part or service was up: measured, no forecast."""
        return 1.0 - self.downtime_s(name) / self.horizon_s

    def between(self, start: float | str, end: float | str) -> Run:
        """Return the part of the history between two instants: seconds of the run's clock, or text like "2m".

        An outage that reaches over an end is cut there. The figures of the services are made anew from what
        was down; the trace is kept whole. Of requests, those remain that arrived in that time; of upgrades, those
        of which something happened then, as if the run had ended at `end`: their times are told from their
        begin, what they cost is what they cost in that time.
        """
        start_s, end_s = instant(start, "start"), instant(end, "end")
        if not self.start_s <= start_s < end_s <= self.end_s:
            lived = f"{human(self.start_s)} to {human(self.end_s)}"
            raise ModelError(f"got {start!r} to {end!r}; a part of this run lies in {lived}, start before end")
        intervals = {name: _clipped(rows, start_s, end_s) for name, rows in self.intervals.items()}
        gaps = {name: _clipped(rows, start_s, end_s) for name, rows in self.gaps.items()}
        services = {
            name: figures_of_history(name, intervals[name], end_s - start_s, slo=figures.slo)
            for name, figures in self.services.items()
            if name in intervals
        }
        return replace(
            self,
            services=services,
            start_s=start_s,
            end_s=end_s,
            intervals=intervals,
            gaps=gaps,
            warnings=self._warnings_with(intervals),
            requests=None if self.requests is None else self.requests.between(start_s, end_s),
            tasks={name: log.between(start_s, end_s) for name, log in self.tasks.items()},
            upgrades=clipped(self.upgrades, start_s, end_s),
        )

    def phases(self) -> list[Phase]:
        """Return the times before, during and after the scripted faults, in order; none if nothing was scripted."""
        return phases_of(fault_spans(self.trace, self.end_s), self.start_s, self.end_s)

    def request_phases(self, load: str | None = None) -> pd.DataFrame:
        """Return a frame with a row for each phase of the run, of the requests (of a load) that arrived in it.

        A request that was under way when a fault began counts where it arrived, before.
        The phases are before, during and after; with faults at several times, during 1, between 1 and so on. Where no
        fault was scripted the one row is the whole run. Columns as `requests_frame` has them; times in seconds.
        """
        log = requests_of(self)
        whole = [Phase("whole", self.start_s, self.end_s)]
        return phases_frame(log if load is None else log.of(load=load), self.phases() or whole)

    def upgrades_frame(self, target: float | str | None = None, window: float | str = "30d") -> pd.DataFrame:
        """Return a frame with a row for each upgrade, indexed by its name: what became of it, and what it cost.

        Columns: part, from, to (versions), began_s, then those of `UpgradeLog.figures`: times in seconds, server time
        in hours, shares from 0 to 1, requests by number. With a `target` like "99.9%" the column budget_used is the
        share of the error budget of such a `window` that the failed requests used up.
        """
        return upgrade_tables.frame(self.upgrades, self.requests, target, window)

    def _warnings_with(self, intervals: dict[str, NDArray[np.float64]]) -> tuple[str, ...]:
        """Exchange the cautions about few outages for those that fit other down intervals."""
        seen = [name for name in self.services if name in self.intervals]
        old = set(history_warnings({name: self.intervals[name] for name in seen}))
        if not old.intersection(self.warnings):
            return self.warnings
        kept = tuple(warning for warning in self.warnings if warning not in old)
        return kept + history_warnings({name: intervals[name] for name in seen})

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON: the figures and the length, not the trace nor each request."""
        extra: dict[str, Any] = {"start_s": float(self.start_s), "end_s": float(self.end_s)}
        if self.requests is not None:
            extra["requests"] = request_tables.to_json(self.requests, self.phases())
        if self.tasks:
            extra["tasks"] = {name: log.to_json() for name, log in self.tasks.items()}
        if self.upgrades:
            extra["upgrades"] = {name: log.to_json(self.requests) for name, log in self.upgrades.items()}
        return tables.to_json(self, extra)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame: rows service × quantity, columns value, low, high, level, method."""
        return tables.to_frame(self)

    def __str__(self) -> str:
        more = [] if self.requests is None else request_tables.to_lines(self.requests, self.phases())
        more += [*tasks.lines(self.tasks), *upgrade_tables.lines(self.upgrades, self.requests)]
        return tables.to_text(self, tables.how_made(self.seed, self.horizon_s), more)

    def _repr_html_(self) -> str:
        more = "" if self.requests is None else request_tables.to_html(self.requests, self.phases())
        more += tasks.table(self.tasks) + upgrade_tables.table(self.upgrades, self.requests)
        return tables.to_html(self, tables.how_made(self.seed, self.horizon_s), more)


def figures_of_history(
    name: str,
    down: ArrayLike,
    length_s: float,
    *,
    slo: tuple[float, float] | None = None,
    level: float = 0.95,
    longest_repair_mean: float | None = None,
) -> ServiceFigures:
    """Return what one history of `length_s` seconds says about a service, from its down intervals (k, 2).

    The intervals of the estimates say how far a single history is from the long run, taking outages as a
    Poisson process. A scenario that was arranged to break something is no random sample: there the values
    are measurements and the intervals mean nothing.
    """
    rows = _rows(down)
    durations = rows[:, 1] - rows[:, 0]
    total, count = float(durations.sum()), len(rows)
    unavailability, _ = unavailability_interval(
        [total], count, durations, length_s, level=level, longest_repair_mean=longest_repair_mean
    )
    rate = rate_estimate(count, length_s, level)
    uptime = length_s - total
    mean_uptime = None
    if count and uptime > 0:
        per_uptime = rate_estimate(count, uptime, level)
        mean_uptime = replace(
            per_uptime,
            value=1 / per_uptime.value,
            low=1 / per_uptime.high,
            high=1 / per_uptime.low,
            standard_error=None,
        )
    return ServiceFigures(
        name=name,
        availability=unavailability.complement(),
        unavailability=unavailability,
        outages_per_year=rate.scaled(YEAR),
        mean_outage_s=mean_outage_estimate(
            durations, np.ones(count), level, unseen_downtime(durations, count, level, longest_repair_mean)
        ),
        mean_uptime_s=mean_uptime,
        downtime_s_per_year=unavailability.scaled(YEAR),
        slo=slo,
    )


def history_warnings(services: dict[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Return the caution for each service, by its down intervals, that had fewer than 10 outages."""
    cautions = {name: few_outages_caution(len(rows)) for name, rows in services.items()}
    return tuple(f"{name}: {caution}" for name, caution in cautions.items() if caution)


def _rows(intervals: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(intervals, dtype=np.float64).reshape(-1, 2)


def _clipped(rows: NDArray[np.float64], start_s: float, end_s: float) -> NDArray[np.float64]:
    inside = (rows[:, 1] > start_s) & (rows[:, 0] < end_s)
    return np.clip(rows[inside], start_s, end_s)
