"""What an upgrade was: which versions there were when, who met them, what it cost, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import CODES, ERROR, OK
from hasim.results.request_log import RequestLog
from hasim.units import human, seconds, share

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Spans:
    """Who was where: rows of server, from and to (seconds), and the version that ran there."""

    servers: tuple[str, ...]
    begins_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    versions: tuple[str, ...]

    def version_of(self, log: RequestLog) -> NDArray[np.int32]:
        """Return for each request the place in `names` of the version that answered, or failed to; -1: none."""
        found = np.full(len(log), -1, dtype=np.int32)
        names = self.names
        for number, server in enumerate(log.servers):
            mine = [row for row, name in enumerate(self.servers) if name == server]
            rows = np.flatnonzero(log.server == number)
            if not mine or not rows.size:
                continue
            mine.sort(key=lambda row: self.begins_s[row])
            begins = self.begins_s[mine]
            place = np.searchsorted(begins, log.ended_s[rows], side="right") - 1
            versions = np.array([names.index(self.versions[row]) for row in mine], dtype=np.int32)
            found[rows] = np.where(place >= 0, versions[np.maximum(place, 0)], -1)
        return found

    @property
    def names(self) -> list[str]:
        """The versions, in order of their first pod."""
        order = np.argsort(self.begins_s, kind="stable")
        return list(dict.fromkeys(self.versions[row] for row in order))


@dataclass(frozen=True, eq=False)
class UpgradeLog:
    """One upgrade from begin to end, as steps in time.

    `at_s` are the times, in seconds of the run's clock, from each of which on `ready`, `starting` and `leaving` pods
    stand as they do: shape (k, 2), the old version and the new one. `exposure` is the share of requests that meet the
    new version (k,). `ended_s` is when all pods had the version that they should have, None if that never came;
    `noticed_s` when a bad version was noticed. `spans` says which version ran where, in the whole run.
    """

    name: str
    strategy: str
    part: str
    old: str
    new: str
    replicas: int
    bad: bool
    began_s: float
    ended_s: float | None
    noticed_s: float | None
    run_end_s: float
    at_s: NDArray[np.float64]
    ready: NDArray[np.int64]
    starting: NDArray[np.int64]
    leaving: NDArray[np.int64]
    exposure: NDArray[np.float64]
    facts: tuple[tuple[float, str], ...]
    spans: Spans
    own_state: bool = False

    def __post_init__(self) -> None:
        """Check that steps are in order, and as many of each."""
        count = len(self.at_s)
        assert self.ready.shape == self.starting.shape == self.leaving.shape == (count, 2), "steps differ in number"
        assert bool(np.all(np.diff(self.at_s) > 0)), "steps are out of order"

    # What it was.

    @property
    def outcome(self) -> str:
        """How it ended: rolled out, rolled back, or under way."""
        ends = [kind for _, kind in self.facts if kind in ("rolled out", "rolled back")]
        if self.ended_s is None or not ends:
            return "under way"
        return ends[-1]

    @property
    def until_s(self) -> float:
        """Its end, or that of the run."""
        return self.run_end_s if self.ended_s is None else self.ended_s

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds; so far, if it is under way."""
        return self.until_s - self.began_s

    def when(self, kind: str) -> float | None:
        """When something was first told of it, in seconds; None if never."""
        return next((at for at, said in self.facts if said == kind), None)

    @property
    def min_ready(self) -> int:
        """The fewest pods that were ready at once, of either version."""
        inside = self.at_s <= self.until_s
        return int(self.ready[inside].sum(axis=1).min()) if inside.any() else self.replicas

    @property
    def min_capacity(self) -> float:
        """The same as a share of the replicas: ready capacity at its lowest."""
        return self.min_ready / self.replicas if self.replicas else 1.0

    @property
    def most_pods(self) -> int:
        """The most pods that there were at once, those that start or leave included."""
        return int(self._pods().max()) if len(self.at_s) else self.replicas

    @property
    def exposure_s(self) -> float:
        """How long all requests together met the new version, in seconds of all of them, to the end of the run."""
        return float(np.sum(self.exposure * self._lengths(self.run_end_s)))

    @property
    def extra_server_s(self) -> float:
        """Server time beyond that of the replicas, in seconds, while it went on."""
        return float(np.sum((self._pods() - self.replicas) * self._lengths(self.until_s)))

    @property
    def server_s(self) -> float:
        """Server time while it went on, in seconds, with pods that start and leave."""
        return float(np.sum(self._pods() * self._lengths(self.until_s)))

    @property
    def first_met_s(self) -> float | None:
        """When a request could first meet the new version, in seconds; None if never."""
        met = np.flatnonzero(self.exposure > 0)
        return float(self.at_s[met[0]]) if met.size else None

    @property
    def last_met_s(self) -> float | None:
        """When the last could, after a rollback; None if they still can."""
        met = np.flatnonzero(self.exposure > 0)
        if not met.size or met[-1] + 1 == len(self.at_s):
            return None
        return float(self.at_s[met[-1] + 1])

    @property
    def detect_s(self) -> float | None:
        """From the first request that could meet a bad version until it was noticed, in seconds."""
        if not self.bad or self.noticed_s is None or self.first_met_s is None:
            return None
        return max(self.noticed_s - self.first_met_s, 0.0)

    @property
    def recover_s(self) -> float | None:
        """From the first request that could meet a bad version until none could any more, in seconds."""
        if not self.bad or self.first_met_s is None or self.last_met_s is None:
            return None
        return self.last_met_s - self.first_met_s

    def _pods(self) -> NDArray[np.int64]:
        return np.asarray((self.ready + self.starting + self.leaving).sum(axis=1))

    def _lengths(self, end: float) -> NDArray[np.float64]:
        """How long each step lasted up to an end."""
        times = np.minimum(np.append(self.at_s, max(end, self.at_s[-1] if len(self.at_s) else end)), end)
        return np.diff(times)

    # With the requests of the run.

    def failed(self, log: RequestLog) -> int:
        """How many requests that arrived while it went on were not served; what the run cut off is left out.

        From the begin to the end, or for a bad version that nobody rolled back, to the end of the run.
        """
        part = self._during(log)
        return int(np.count_nonzero((part.fate != SERVED) & (part.fate != CUT_OFF)))

    def failed_share(self, log: RequestLog) -> float:
        """The share of these."""
        part = self._during(log)
        judged = int(np.count_nonzero(part.fate != CUT_OFF))
        return self.failed(log) / judged if judged else 0.0

    def _during(self, log: RequestLog) -> RequestLog:
        end = self.run_end_s if self.bad and self.last_met_s is None else max(self.until_s, self.last_met_s or 0.0)
        return log.between(max(self.began_s, log.start_s), min(max(end, self.began_s + 1e-9), log.end_s))

    def by_version(self, log: RequestLog) -> pd.DataFrame:
        """Return a frame with a row for each version, and one for none: requests answered and failed."""
        import pandas as pd

        part = self._during(log)
        version = self.spans.version_of(part)
        names = self.spans.names
        served, failed = part.fate == SERVED, (part.fate != SERVED) & (part.fate != CUT_OFF)
        rows = {
            name: [
                int(np.count_nonzero(served & (version == place))),
                int(np.count_nonzero(failed & (version == place))),
            ]
            for place, name in [*enumerate(names), (-1, "none")]
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["served", "failed"]).rename_axis("version")

    def lost_writes(self, log: RequestLog) -> int:
        """How many writes that were answered well were lost, since each version had a store of its own.

        A switch loses what the version before it has written since the other's copy was made, at the begin; a switch
        back loses what the new one has written. With shared state none are lost.
        """
        if not self.own_state:
            return 0
        good = (log.outcome == OK) & log.write & (log.ended_s >= self.began_s)
        version = self.spans.version_of(log)
        names = self.spans.names
        back = self.outcome == "rolled back"
        loser = self.new if back else self.old
        if (self.when("switched") is None) or loser not in names:
            return 0
        return int(np.count_nonzero(good & (version == names.index(loser))))

    def budget_used(self, log: RequestLog, target: float | str, window: str = "30d") -> float:
        """The share of an error budget that it used: failed requests over those that may fail in the window.

        `target` is the availability that was promised, like "99.9%"; requests are taken to come at the run's mean rate.
        """
        allowed = (1.0 - share(target)) * len(log) / (log.end_s - log.start_s) * seconds(window)
        return self.failed(log) / allowed if allowed else float("inf")

    # As a table.

    def figures(self, log: RequestLog | None = None) -> dict[str, Any]:
        """Return its figures by name; those of requests with the log of the run."""
        rows: dict[str, Any] = {
            "strategy": self.strategy,
            "outcome": self.outcome,
            "bad": self.bad,
            "duration_s": self.duration_s,
            "min_capacity": self.min_capacity,
            "most_pods": self.most_pods,
            "server_hours": self.server_s / 3600,
            "extra_server_hours": self.extra_server_s / 3600,
            "exposure_s": self.exposure_s,
            "detect_s": self.detect_s,
            "recover_s": self.recover_s,
        }
        if log is not None and len(log):
            rows |= {
                "failed": self.failed(log),
                "failed_share": self.failed_share(log),
                "notices": int(np.count_nonzero(self._during(log).outcome == CODES["notice"])),
                "errors": int(np.count_nonzero(self._during(log).outcome == ERROR)),
                "lost_writes": self.lost_writes(log),
            }
        return rows

    def to_frame(self) -> pd.DataFrame:
        """Return its steps as a frame: at_s, pods by state and version, exposure."""
        import pandas as pd

        columns: dict[str, Any] = {"at_s": self.at_s}
        for state in ("ready", "starting", "leaving"):
            counts = getattr(self, state)
            columns |= {f"{state} {self.old}": counts[:, 0], f"{state} {self.new}": counts[:, 1]}
        return pd.DataFrame({**columns, "exposure": self.exposure})

    def to_json(self, log: RequestLog | None = None) -> dict[str, Any]:
        """Return plain data for JSON."""
        facts = [{"at_s": at, "fact": kind} for at, kind in self.facts]
        return {**self.figures(log), "part": self.part, "from": self.old, "to": self.new, "facts": facts}

    def __str__(self) -> str:
        said = f"{self.name} of {self.part}: {self.outcome} in {human(self.duration_s)}"
        return f"{said}, {self.min_ready} of {self.replicas} ready at least, {self.most_pods} pods at most"


def lines(upgrades: Mapping[str, UpgradeLog], requests: RequestLog | None) -> list[str]:
    """A line for each upgrade."""
    said = []
    for upgrade in upgrades.values():
        failed = "" if requests is None else f", {upgrade.failed(requests)} requests not served"
        said.append(f"{upgrade}{failed}")
    return said
