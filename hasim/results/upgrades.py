"""What an upgrade was: which versions there were when, who met them, what it cost, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import ERROR, NOTICE, OK
from hasim.results.request_log import RequestLog, instant
from hasim.results.spans import Spans
from hasim.units import human, share

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Spans", "UpgradeLog", "clipped"]

ENDS: Final = ("rolled out", "rolled back")
_TURNS: Final = ("rollout begun", "rollback begun", *ENDS)
_STEPS: Final = ("at_s", "ready", "starting", "leaving", "exposure")
_TINY: Final = 1e-9  # shares of requests are sums of floats


@dataclass(frozen=True, eq=False)
class UpgradeLog:
    """One upgrade from begin to end, as steps in time.

    `at_s` are the times, in seconds of the run's clock, from each of which on `ready`, `starting` and `leaving` pods
    stand as they do: shape (k, 2), the old version and the new one. `exposure` is the share of requests that meet the
    new version (k,). `ended_s` is when all pods last had the version that they should have, None if that never came;
    `noticed_s` when a bad version was noticed. `spans` says which version ran where, in the whole run. Steps go on to
    the end of the run, so that they tell when a later upgrade took the version away.

    Of an upgrade that the run did not see to its end (`cut_off`) all figures are so far. Amounts (requests, server
    time, exposure) and extremes are those from `run_start_s` to `run_end_s`; its times are told from its begin.
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
    run_start_s: float = 0.0

    def __post_init__(self) -> None:
        """Check that steps are in order, and as many of each."""
        count = len(self.at_s)
        assert self.ready.shape == self.starting.shape == self.leaving.shape == (count, 2), "steps differ in number"
        assert self.exposure.shape == (count,), "steps differ in number"
        assert bool(np.all(np.diff(self.at_s) > 0)), "steps are out of order"

    def between(self, start_s: float, end_s: float) -> UpgradeLog | None:
        """Return it as seen by a piece of the run, in seconds; None if nothing of it happened there.

        It is what a run would show that ended at `end_s`, and that counts requests, servers and exposure from
        `start_s` on. One that began or ended before the piece keeps its times; one that was over by then is left out.
        """
        if self.began_s >= end_s or self.over_s <= start_s:
            return None
        steps = {name: getattr(self, name)[self.at_s < end_s] for name in _STEPS}

        def seen(at: float | None) -> float | None:
            return None if at is None or at > end_s else at

        return replace(
            self,
            run_start_s=max(start_s, self.run_start_s),
            run_end_s=min(end_s, self.run_end_s),
            ended_s=seen(self.ended_s),
            noticed_s=seen(self.noticed_s),
            facts=tuple(fact for fact in self.facts if fact[0] <= end_s),
            **steps,
        )

    # What it was.

    @property
    def outcome(self) -> str:
        """How it ended: rolled out or rolled back; or under way, also if that is a rollback."""
        last = next((kind for _, kind in reversed(self.facts) if kind in _TURNS), "")
        return last if last in ENDS and self.ended_s is not None else "under way"

    @property
    def cut_off(self) -> bool:
        """Whether the run ended before all was done: it is under way, or a bad version is still met by requests."""
        return self.outcome == "under way" or self._is_still_met

    @property
    def until_s(self) -> float:
        """Its end, or that of the run; seconds of the run's clock."""
        return self.run_end_s if self.ended_s is None or self.outcome == "under way" else self.ended_s

    @property
    def duration_s(self) -> float:
        """How long it took until all pods had the version that they should have; so far, if it is under way; seconds.

        If a version was rolled out and came back later, that is the whole time until it had come back.
        """
        return self.until_s - self.began_s

    @property
    def settled_s(self) -> float:
        """When its last pods had gone and balancers had heard of the last ones that came; seconds of the run's clock.

        That is at its end or later. It is the end of the run if they never did.
        """
        if self.outcome == "under way" or not len(self.at_s):
            return self.until_s
        alone = self.ready > 0
        heard = np.where(
            alone[:, 0] & ~alone[:, 1], self.exposure <= _TINY,
            np.where(alone[:, 1] & ~alone[:, 0], self.exposure >= 1 - _TINY, True),
        )  # fmt: skip
        calm = (self.leaving.sum(axis=1) == 0) & heard
        here = max(int(np.searchsorted(self.at_s, self.until_s, side="right")) - 1, 0)
        later = np.flatnonzero(calm[here:])
        return max(float(self.at_s[here + later[0]]), self.until_s) if later.size else self.run_end_s

    @property
    def over_s(self) -> float:
        """When it was over for clients, as far as pods and balancers tell; seconds of the run's clock.

        That is when it had settled, and when none could meet a bad version any more.
        """
        return self.run_end_s if self._is_still_met else max(self.settled_s, self.last_met_s or 0.0)

    def when(self, kind: str) -> float | None:
        """When something was first told of it, in seconds; None if never."""
        return next((at for at, said in self.facts if said == kind), None)

    # Pods and servers.

    @property
    def min_ready(self) -> int:
        """The fewest pods that were ready at once, of either version, whether or not balancers knew them."""
        inside = self._lengths(self.until_s) > 0
        return int(self.ready[inside].sum(axis=1).min()) if inside.any() else self.replicas

    @property
    def min_capacity(self) -> float:
        """The same as a share of the replicas: ready capacity at its lowest."""
        return self.min_ready / self.replicas if self.replicas else 1.0

    @property
    def most_pods(self) -> int:
        """The most pods that there were at once, those that start or leave included."""
        inside = self._lengths(self.settled_s) > 0
        return int(self._pods()[inside].max()) if inside.any() else self.replicas

    @property
    def extra_server_s(self) -> float:
        """Server time beyond that of the replicas, in seconds, until its last pod had left; never below zero."""
        beyond = np.maximum(self._pods() - self.replicas, 0)
        return float(np.sum(beyond * self._lengths(self.settled_s)))

    @property
    def server_s(self) -> float:
        """Server time of all pods, in seconds, those that start and leave included, until its last pod had left.

        Strategies that take unequally long are compared by what they cost beyond the replicas, or by `server_hours`.
        """
        return float(np.sum(self._pods() * self._lengths(self.settled_s)))

    def version_mix(self) -> pd.DataFrame:
        """Return a frame of the version mix over time: the share of ready pods that have each version.

        Index `at_s`, from which time on it is so; a column for the old version and one for the new; NaN while none is
        ready.
        """
        import pandas as pd

        total = self.ready.sum(axis=1, keepdims=True).astype(np.float64)
        mix = np.divide(self.ready, total, out=np.full(self.ready.shape, np.nan), where=total > 0)
        return pd.DataFrame(mix, index=pd.Index(self.at_s, name="at_s"), columns=[self.old, self.new])

    # Who met the new version.

    @property
    def exposure_s(self) -> float:
        """How long requests met the new version, in seconds of all of them: half of them for 10 s are 5 s.

        It goes on for as long as they do: to the end of the run, or until a later upgrade has taken the version away.
        """
        return float(np.sum(self.exposure * self._lengths(self.run_end_s)))

    @property
    def first_met_s(self) -> float | None:
        """When a request could first meet the new version, in seconds; None if never."""
        met = np.flatnonzero(self.exposure > 0)
        return float(self.at_s[met[0]]) if met.size else None

    @property
    def last_met_s(self) -> float | None:
        """From when on none could any more, in seconds; None if they still can, or never could."""
        met = np.flatnonzero(self.exposure > 0)
        if not met.size:
            return None
        if met[-1] + 1 == len(self.at_s) or (self.ready + self.starting)[-1, 1]:
            return None
        return float(self.at_s[met[-1] + 1])

    @property
    def detect_s(self) -> float | None:
        """From the first request that could meet a bad version until it was noticed, in seconds.

        None if it was not noticed, or before any request could meet it.
        """
        if not self.bad or self.noticed_s is None or self.first_met_s is None:
            return None
        return max(self.noticed_s - self.first_met_s, 0.0)

    @property
    def recover_s(self) -> float | None:
        """From the first request that could meet a bad version until none could any more, in seconds; None if never."""
        if not self.bad or self.first_met_s is None or self.last_met_s is None:
            return None
        return self.last_met_s - self.first_met_s

    @property
    def _is_still_met(self) -> bool:
        return self.bad and self.first_met_s is not None and self.last_met_s is None

    def _pods(self) -> NDArray[np.int64]:
        return np.asarray((self.ready + self.starting + self.leaving).sum(axis=1))

    def _lengths(self, end: float) -> NDArray[np.float64]:
        """How long each step lasted within the run and up to an end."""
        if not len(self.at_s):
            return np.empty(0)
        return np.diff(np.clip(np.append(self.at_s, np.inf), self.run_start_s, max(end, self.run_start_s)))

    # With the requests of the run.

    def met(self, log: RequestLog) -> NDArray[np.intp]:
        """Return which requests of a log were under way while it went on, whatever their load, ascending.

        That is from its begin until it had settled; for a bad version, until none could meet it any more; otherwise to
        the end of the run. If nobody was there at its end to serve, it goes on until a request finds a server again.
        """
        _checked(log)
        last = int(np.searchsorted(log.arrived_s, self._over_for(log)))
        return np.flatnonzero(log.ended_s[:last] > self.began_s)

    def _over_for(self, log: RequestLog) -> float:
        """When it was over as clients saw it: balancers hear of servers after pods are ready."""
        over = self.over_s
        first = int(np.searchsorted(log.arrived_s, self.until_s))
        known = not set(log.servers).isdisjoint(self.spans.servers)
        if self.outcome == "under way" or not known or not first or log.fate[first - 1] == SERVED:
            return over
        if self.spans.version_of(log, np.array([first - 1]))[0] >= 0:
            return over
        # One that was tried several times may have arrived long before it found somebody.
        found = (self.spans.version_of(log, slice(first, None)) >= 0) & (log.attempts[first:] == 1)
        return max(over, float(log.arrived_s[first:][found].min(initial=self.run_end_s)))

    def failed(self, log: RequestLog) -> int:
        """How many requests that were under way meanwhile were not served, notices included, for whatever reason.

        Those that the end of the run cut off are left out; see `met` for what counts as meanwhile.
        """
        return _failed(log, self.met(log))

    def failed_share(self, log: RequestLog) -> float | None:
        """The share of these among all requests whose fate is known; None if there was none."""
        return _failed_share(log, self.met(log))

    def by_version(self, log: RequestLog) -> pd.DataFrame:
        """Return a frame with a row for each version, and one for none: requests answered and failed meanwhile.

        A request belongs to the version in its server's place when it was answered or failed (see
        `Spans.version_of`); none are those that no server had, or one that was gone.
        """
        import pandas as pd

        rows = self.met(log)
        version, fate = self.spans.version_of(log, rows), log.fate[rows]
        served, failed = fate == SERVED, (fate != SERVED) & (fate != CUT_OFF)
        counts = {}
        for place, name in [*enumerate(self.spans.names), (-1, "none")]:
            its = version == place
            if name in (self.old, self.new, "none") or its.any():
                counts[name] = [int(np.count_nonzero(served & its)), int(np.count_nonzero(failed & its))]
        return pd.DataFrame.from_dict(counts, orient="index", columns=["served", "failed"]).rename_axis("version")

    def lost_by_switch(self, log: RequestLog) -> int:
        """How many writes that were answered well were out of sight after the switch, each version having its own data.

        These are what the old version has written since the new one's copy was made, at the begin, and also after the
        switch where clients or balancers had not heard of it. A switch back brings them into sight again. Zero without
        a switch, and where both versions share their data.
        """
        switches = self._switches()
        if not switches:
            return 0
        return self._written(log, self.old, switches[1] if len(switches) > 1 else self._gone_s(switches[0]))

    def lost_by_switching_back(self, log: RequestLog) -> int:
        """How many writes that were answered well were lost by a switch back: all that the new version has written."""
        return self._written(log, self.new, np.inf) if len(self._switches()) > 1 else 0

    def lost_writes(self, log: RequestLog) -> int:
        """How many writes that were answered well were lost by the switch, and by a switch back; both count."""
        return self.lost_by_switch(log) + self.lost_by_switching_back(log)

    def _switches(self) -> list[float]:
        return [at for at, kind in self.facts if kind == "switched"] if self.own_state else []

    def _gone_s(self, since: float) -> float:
        """When the last pod of the old version had left after that; a later upgrade may bring such a version again."""
        there = (self.ready + self.starting + self.leaving)[:, 0] > 0
        gone = np.flatnonzero(~there & (self.at_s >= since))
        return float(self.at_s[gone[0]]) if gone.size else np.inf

    def _written(self, log: RequestLog, version: str, until: float) -> int:
        """Writes that a version answered well, after the begin, up to then."""
        if version not in self.spans.names:
            return 0
        good = (_checked(log).outcome == OK) & log.write & (log.ended_s > self.began_s) & (log.ended_s <= until)
        return int(
            np.count_nonzero(self.spans.version_of(log, np.flatnonzero(good)) == self.spans.names.index(version))
        )

    def budget_used(self, log: RequestLog, target: float | str, window: float | str = "30d") -> float:
        """The share of an error budget that it used: failed requests over those that may fail in the window.

        `target` is the share of requests that was promised, like "99.9%"; requests are taken to come at the log's mean
        rate. A budget of nothing is used up infinitely by a single one. ModelError if there are no requests.
        """
        try:
            promised = share(target)
        except ValueError as error:
            raise ModelError(str(error), "target") from None
        length = instant(window, "window")
        if not 0 < length < np.inf:
            raise ModelError(f"got {shown(window)}; the window of a budget is longer than zero, like '30d'", "window")
        if not len(_checked(log)):
            raise ModelError("the run has no requests, so that nothing says how many may fail; give it a load")
        allowed = (1.0 - promised) * len(log) / (log.end_s - log.start_s) * length
        failed = self.failed(log)
        return failed / allowed if allowed else float("inf") if failed else 0.0

    # As a table.

    def figures(self, log: RequestLog | None = None) -> dict[str, Any]:
        """Return its figures by name; those of requests with the log of the run.

        Times are in seconds, shares from 0 to 1. Where `cut_off` is true, the run ended before it was over, and all of
        them are so far.
        """
        rows: dict[str, Any] = {
            "strategy": self.strategy,
            "outcome": self.outcome,
            "cut_off": self.cut_off,
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
        if log is not None:
            met = self.met(log)
            rows |= {
                "failed": _failed(log, met),
                "failed_share": _failed_share(log, met),
                "notices": int(np.count_nonzero(log.outcome[met] == NOTICE)),
                "errors": int(np.count_nonzero(log.outcome[met] == ERROR)),
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
        facts = [{"at_s": float(at), "fact": kind} for at, kind in self.facts]
        about = {"part": self.part, "from": self.old, "to": self.new, "began_s": float(self.began_s)}
        return {**about, **self.figures(log), "facts": facts}

    def __str__(self) -> str:
        took = "for" if self.outcome == "under way" else "in"
        said = f"{self.name} of {self.part}: {self.outcome} {took} {human(self.duration_s)}"
        return f"{said}, {self.min_ready} of {self.replicas} ready at least, {self.most_pods} pods at most"


def _checked(log: object) -> RequestLog:
    """The log of requests that was given; a run without loads has none."""
    if not isinstance(log, RequestLog):
        raise ModelError(f"got {shown(log)}; give the `requests` of a run that was played with a load", "log")
    return log


def _failed(log: RequestLog, rows: NDArray[np.intp]) -> int:
    fate = log.fate[rows]
    return int(np.count_nonzero((fate != SERVED) & (fate != CUT_OFF)))


def _failed_share(log: RequestLog, rows: NDArray[np.intp]) -> float | None:
    judged = int(np.count_nonzero(log.fate[rows] != CUT_OFF))
    return _failed(log, rows) / judged if judged else None


def clipped(upgrades: Mapping[str, UpgradeLog], start_s: float, end_s: float) -> dict[str, UpgradeLog]:
    """Return those of which something happened in a piece of the run, as that piece saw them."""
    pieces = {name: log.between(start_s, end_s) for name, log in upgrades.items()}
    return {name: log for name, log in pieces.items() if log is not None}
