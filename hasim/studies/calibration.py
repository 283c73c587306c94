"""A Calibration is what releases were found to cost, and the cluster that knows it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hasim.engines.exact import solve
from hasim.engines.exact.upgrading import error_budget, safe_releases
from hasim.errors import ModelError, nearest
from hasim.model.cluster import Cluster
from hasim.model.upgrades.calendar import MONTH
from hasim.results.estimate import Estimate, html_cell
from hasim.units import seconds, share

if TYPE_CHECKING:
    import pandas as pd

EQUIVALENT = (
    "an outage of a release is a full-outage equivalent: as long as all requests would have had to fail for as many "
    "failures; what fails while fewer members are ready than required is time with members missing, and is not in it"
)


@dataclass(frozen=True)
class ReleaseCost:
    """What a release of one kind costs on average, with intervals.

    `missing_s` is for how long any member is not ready, `down_s` for how long more are than the part can do without,
    both in seconds. With the probability `chance` requests fail beside that, and then as many as in `outage_s` seconds
    of full outage. `cost_s` is all of it in seconds of full outage: down_s + chance × outage_s. `server_hours` is what
    it takes beyond the replicas. `a_month_s` is the cost of thirty days of releases, and `budget_share` what that takes
    of the error budget of the first service with an slo (None without one).
    """

    name: str
    strategy: str
    part: str
    every_s: float
    good_runs: int
    bad_runs: int
    missing_s: Estimate
    down_s: Estimate
    chance: Estimate
    outage_s: Estimate | None
    cost_s: Estimate
    server_hours: Estimate
    budget_share: Estimate | None

    @property
    def a_month_s(self) -> Estimate:
        """The cost of thirty days of releases, in seconds of full outage."""
        return self.cost_s.scaled(MONTH / self.every_s, "seconds")

    def figures(self) -> list[tuple[str, Estimate | None]]:
        """Return its figures by name, in the order of a table."""
        return [
            ("missing_s", self.missing_s),
            ("down_s", self.down_s),
            ("chance", self.chance),
            ("outage_s", self.outage_s),
            ("cost_s", self.cost_s),
            ("server_hours", self.server_hours),
            ("a_month_s", self.a_month_s),
            ("budget_share", self.budget_share),
        ]


_HEADS = {
    "missing_s": "members missing",
    "down_s": "too few",
    "chance": "chance of an outage",
    "outage_s": "outage, if any",
    "cost_s": "cost",
    "server_hours": "server-hours",
    "a_month_s": "cost a month",
    "budget_share": "of the budget",
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """What `ha.calibrate` found: the same cluster with its releases `measured`, and what each of them costs.

    `cluster` goes into `ha.solve` and `ha.estimate`, or into a file by `cluster.to_yaml()`. `releases` has the figures
    by name. `notes` say what the numbers mean, `warnings` where to doubt them.
    """

    cluster: Cluster
    releases: Mapping[str, ReleaseCost]
    runs: int
    seed: int
    level: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def safe_releases(
        self,
        promised: float | str | None = None,
        release: str | None = None,
        *,
        spent: str | None = None,
        window: str | None = None,
    ) -> int | float:
        """Return how many releases of a kind fit into the error budget of a window beside everything else.

        `promised` is an availability ("99.9%") and `window` a time ("30d"); left out, they are those of the slo of the
        first service that has one. `release` names the kind, needed where there are several. `spent` is the downtime of
        a window that hardware and other releases use up; left out, `ha.solve` tells it for the cluster without these
        releases. It is (budget - spent)/cost, rounded down; infinity for releases that cost nothing. What happens to
        exceed the expectation is not in it: half the budget is a better plan than all of it.

            found = ha.calibrate(cluster, runs=200, seed=1)
            found.safe_releases("99.9%")    # releases in thirty days

        Raises ModelError for names that are not there, and where no promise is known; CannotModel where `spent` is left
        out and `ha.solve` cannot tell it.
        """
        name = self._named(release)
        service = next((name for name, each in self.cluster.services.items() if each.slo is not None), None)
        slo = None if service is None else self.cluster.services[service].slo
        if promised is None and slo is None:
            raise ModelError("is missing; no service has an slo, so say what is promised, like '99.9%'", "promised")
        kept = share(promised) if promised is not None else slo.availability if slo is not None else 0.0
        length = seconds(window) if window is not None else slo.window if slo is not None else MONTH
        used = self._spent(name, service, length) if spent is None else seconds(spent)
        many = float(safe_releases(self.releases[name].cost_s.value, kept, length, spent=used))
        return many if many == float("inf") else int(many)

    def _spent(self, name: str, service: str | None, length: float) -> float:
        others = {each: releases for each, releases in self.cluster.upgrades.items() if each != name}
        solution = solve(self.cluster.model_copy(update={"upgrades": others}))
        figures = solution.services[service or next(iter(self.cluster.services))]
        assert figures.unavailability is not None
        return figures.unavailability.value * length

    def _named(self, release: str | None) -> str:
        if release is None and len(self.releases) == 1:
            return next(iter(self.releases))
        if release is None or release not in self.releases:
            hint = "" if release is None else nearest(str(release), self.releases)
            raise ModelError(f"got {release!r}; releases are {', '.join(self.releases)}{hint}", "release")
        return release

    # As a table.

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "verb": "calibrate",
            "cluster": self.cluster.name,
            "seed": self.seed,
            "runs": self.runs,
            "releases": {
                name: {figure: None if each is None else each.to_json() for figure, each in cost.figures()}
                for name, cost in self.releases.items()
            },
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a frame: rows release × quantity, columns value, low, high, standard_error, level, method."""
        import pandas as pd

        rows = [
            (name, figure, e.value, e.low, e.high, e.standard_error, e.level, e.method)
            for name, cost in self.releases.items()
            for figure, e in cost.figures()
            if e is not None
        ]
        columns = ["release", "quantity", "value", "low", "high", "standard_error", "level", "method"]
        return pd.DataFrame(rows, columns=columns).set_index(["release", "quantity"])

    def __str__(self) -> str:
        lines = [f"{self.cluster.name} [calibrate, {self._how()}]"]
        for name, cost in self.releases.items():
            said = [f"{_HEADS[figure]} {each}" for figure, each in cost.figures() if each is not None]
            lines.append(f"  {name}, {cost.strategy} of {cost.part}: {'; '.join(said)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def _how(self) -> str:
        return f"{self.runs:,} releases of each kind, seed {self.seed}"

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{head}</th>" for head in ("release", *_HEADS.values()))
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th>{''.join(html_cell(each) for _, each in cost.figures())}</tr>"
            for name, cost in self.releases.items()
        )
        said = "".join(f"<li>{html.escape(text)}</li>" for text in (*self.notes, *self.warnings))
        caption = html.escape(f"{self.cluster.name}, calibrate, {self._how()}")
        head = f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        return f"{head}<tbody>{rows}</tbody></table><ul>{said}</ul>"


def budget_of(cluster: Cluster, cost: Estimate, every_s: float) -> Estimate | None:
    """The share of the error budget of the first service with an slo that releases use up; None without one."""
    slo = next((service.slo for service in cluster.services.values() if service.slo is not None), None)
    if slo is None or slo.availability >= 1:
        return None
    return cost.scaled(slo.window / every_s / float(error_budget(slo.availability, slo.window)), "share")
