"""One release played alone, and what it cost: members that were missing, and requests that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hasim.balancing import Random, RoundRobin, WeightedRoundRobin
from hasim.engines.des import simulate
from hasim.model.cluster import Cluster
from hasim.model.demand import Load
from hasim.model.demand.route import route_of
from hasim.model.laws import Fixed
from hasim.model.parts import Balancer, Pool, Standby
from hasim.model.upgrades import Canary, Upgrade
from hasim.model.upgrades.calendar import Releases
from hasim.results import Run
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import ERROR
from hasim.results.request_log import RequestLog
from hasim.results.upgrades import UpgradeLog
from hasim.units import s

Floats = NDArray[np.float64]

SETTLE_LEAST: Final = 30.0
"""Seconds of calm before a release at least; more where a server, a client or a check has a longer memory."""

LATE_MAX: Final = 64
"""A release that is still under way after so many times the time to the next one is taken as it is then."""

REPLAYS: Final = 6
"""Where requests change the course of a release, as ejected servers do, it is played again so often at most."""


@dataclass(frozen=True)
class Cost:
    """What one release cost.

    `missing` is for how long 1, 2, … members were not ready (seconds, one number for each member of the pool).
    `outage_s` is the time for which all requests would have had to fail, for those that failed while enough members
    were ready; `by_errors_s` is what the errors of a bad version come to of it, by its exposure, or 0 where that is not
    the way it was reckoned. `extra_server_s` is server time beyond that of the replicas. `late` tells whether it took
    longer than from one release to the next, `ended` whether it came to an end, and `calm_failures` how many requests
    failed before it began.
    """

    missing: tuple[float, ...]
    outage_s: float
    by_errors_s: float
    extra_server_s: float
    late: bool
    ended: bool
    calm_failures: int


@dataclass(frozen=True)
class Played:
    """A release as it was played: its log, the requests in some windows of time, and what was cut out, in seconds."""

    log: UpgradeLog
    requests: RequestLog | None = None
    windows: tuple[tuple[float, float], ...] = ()
    shortened_s: float = 0.0

    @property
    def cut(self) -> tuple[float, float]:
        """At which instant nothing changed for how long; no time where it came out otherwise that it is bad."""
        back = self.log.when("rollback begun")
        if back is None or self.log.when("noticed by its errors") is None:
            return self.log.began_s, 0.0
        return back - 1e-6, self.shortened_s


@dataclass(frozen=True)
class Trial:
    """A release to be played: of which cluster (nothing in it fails), with which loads, and how often it comes."""

    cluster: Cluster
    upgrade: Upgrade
    loads: tuple[Load, ...]
    every_s: float
    enough: int
    settle_s: float
    errors_alone: bool  # whether what fails of a bad version is the share of its errors, and no more


def trial_of(cluster: Cluster, releases: Releases, loads: tuple[Load, ...]) -> Trial:
    """Take everything away that fails or is planned, so that only the release and its requests are left."""
    parts, upgrade = cluster.parts, releases.upgrade
    bare: dict[str, object] = {
        "failures": {},
        "bursts": {},
        "maintenance": {},
        "upgrades": {},
        "rollouts": (),
        "loads": {},
    }
    mine = tuple(load for load in loads if route_of(load, parts).pool == upgrade.target)
    pool = parts[upgrade.target]
    assert isinstance(pool, Pool)
    return Trial(
        cluster=cluster.model_copy(update=bare),
        upgrade=upgrade,
        loads=mine,
        every_s=releases.every_s,
        enough=pool.enough,
        settle_s=_settle(cluster, pool, mine),
        errors_alone=upgrade.release.slower == 1.0 and not any(_reacts(load, cluster) for load in mine),
    )


def _settle(cluster: Cluster, pool: Pool, loads: tuple[Load, ...]) -> float:
    """How long requests go on before and after anything happens: longer than anybody remembers or waits."""
    times = [SETTLE_LEAST]
    serving = pool.serving
    assert serving is not None
    times.append(serving.grace + serving.shutdown_delay + serving.pre_stop)
    if serving.warm_up is not None:
        times.append(serving.warm_up.lasting)
    for load in loads:
        times += [each for each in (load.clients.timeout, load.clients.deadline) if each is not None]
        balancer = route_of(load, cluster.parts).balancer
        part = cluster.parts[balancer] if balancer is not None else None
        if isinstance(part, Balancer) and part.check is not None:
            times.append(part.check.interval * (part.check.fall + part.check.rise))
    return max(times)


def _reacts(load: Load, cluster: Cluster) -> bool:
    """Whether what fails is not just the share of errors of the servers that a request may meet.

    So it is where somebody tries again, holds back, looks for another server or keeps to one.
    """
    clients = load.clients
    as_ever = type(clients)()
    odd = [name for name in type(clients).model_fields if name not in ("count", "timeout", "deadline", "dead_after")]
    if clients.connections == "sticky" or any(
        getattr(clients, name) != getattr(as_ever, name) for name in odd if name != "connections"
    ):
        return True
    route = route_of(load, cluster.parts)
    part = cluster.parts[route.balancer] if route.balancer is not None else None
    if not isinstance(part, Balancer):
        return False
    even = isinstance(part.policy, RoundRobin | WeightedRoundRobin | Random)
    return not even or part.ejection is not None or "5xx" in part.retry_on


def with_luck(upgrade: Upgrade, bad: bool) -> Upgrade:
    """The same upgrade with a release that is bad for certain, or good for certain."""
    release = upgrade.release
    if bad:
        sure = release.model_copy(update={"bad": 1.0})
    else:
        sure = release.model_copy(update={"bad": 0.0, "errors": None, "never_ready": 0.0, "slower": 1.0})
    return upgrade.model_copy(update={"release": sure})


# ------------------------------------------------------------------------------------------------- playing


def play_release(trial: Trial, bad: bool, seed: int) -> Cost:
    """Play one release that is bad, or is not, to its end, and return what it cost.

    First only pods are played, which takes next to no time, however late a bad version is noticed. Then requests are
    played around everything that happens to pods: the rollout and the rollback, which is brought forward where it comes
    days later. In the time that is cut out so, nothing changes, and it is put back when costs are reckoned.
    """
    upgrade = with_luck(trial.upgrade, bad).model_copy(update={"at": trial.settle_s, "name": "release"})
    log = _pods_alone(trial, upgrade, seed)
    if not trial.loads:
        return _cost(trial, Played(log))
    shorter, cut = _brought_forward(trial, upgrade, log)
    if cut:
        log = _run(trial, shorter, seed, [], log.run_end_s - cut + trial.settle_s).upgrades["release"]
    ends = log.outcome != "under way"
    windows: list[tuple[float, float]] = []
    requests: RequestLog | None = None
    for _ in range(REPLAYS):
        wanted = _windows(trial, log, windows)
        if ends and windows and log.outcome == "under way":  # requests hold it up: go on with them
            wanted = [(wanted[0][0], 2 * wanted[-1][1])]
        if wanted == windows:
            break
        windows = wanted
        run = _run(trial, shorter, seed, windows, windows[-1][1] + trial.settle_s)
        log, requests = run.upgrades["release"], run.requests
    return _cost(trial, Played(log, requests, tuple(windows), cut))


def _brought_forward(trial: Trial, upgrade: Upgrade, log: UpgradeLog) -> tuple[Upgrade, float]:
    """The same upgrade with a rollback that comes soon after the rollout, and how many seconds were cut out.

    They are taken off the time to decide first and then off the time to notice, on whichever clock: all requests meet
    the version in these seconds, so that both clocks run alike.
    """
    rolled, back, detection = log.when("rolled out"), log.when("rollback begun"), upgrade.detection
    if rolled is None or back is None or log.noticed_s is None or detection is None or log.first_met_s is None:
        return upgrade, 0.0
    cut = back - (rolled + 3 * trial.settle_s)
    if cut <= trial.settle_s:
        return upgrade, 0.0
    decides = back - log.noticed_s
    of_deciding = min(cut, max(decides - trial.settle_s, 0.0))
    takes = log.noticed_s - log.first_met_s
    if detection.clock == "exposure":
        steps = steps_of(log, log.noticed_s)
        takes = float(np.sum(steps.exposure * steps.lengths_s))
    update: dict[str, object] = {"takes": Fixed(value=s(max(takes - (cut - of_deciding), 0.0)))}
    if of_deciding:
        update["decide"] = Fixed(value=s(decides - of_deciding))
    return upgrade.model_copy(update={"detection": detection.model_copy(update=update)}), cut


def _pods_alone(trial: Trial, upgrade: Upgrade, seed: int) -> UpgradeLog:
    most = trial.settle_s + LATE_MAX * trial.every_s
    over = trial.settle_s + min(trial.every_s, 3600.0)
    while True:
        log = _run(trial, upgrade, seed, [], over).upgrades["release"]
        if over >= most or _is_over(trial, upgrade, log):
            return log
        over = min(4 * over, most)


def _run(trial: Trial, upgrade: Upgrade, seed: int, played: list[tuple[float, float]], over: float) -> Run:
    loads = [
        load.model_copy(update={"begins": start, "lasting": end - start, "name": f"{load.name} {number}"})
        for number, (start, end) in enumerate(played)
        for load in trial.loads
    ]
    run = simulate(trial.cluster.during(upgrade, *loads), over=s(over), seed=seed)  # type: ignore[arg-type]
    if run.end_s < over or (run.requests is not None and run.requests.end_s < over):
        raise KeyboardInterrupt  # the simulation took it for itself and gave a part of a run
    return run


def _is_over(trial: Trial, upgrade: Upgrade, log: UpgradeLog) -> bool:
    """Whether nothing more will happen to it until the next release comes."""
    through = log.run_end_s >= log.began_s + trial.every_s
    if log.ended_s is None:
        return through and (upgrade.detection is None or not log.bad)
    if not log.bad or log.outcome == "rolled back":
        return True
    detection = upgrade.detection
    noticed_for_good = detection is None or (log.noticed_s is not None and detection.rollback == "never")
    return noticed_for_good and through


def _end(trial: Trial, log: UpgradeLog) -> float:
    """Until when it costs something: its end, or for a bad version that stays, until the next release replaces it.

    The last pods may leave after the end, and balancers hear of the last ones.
    """
    if log.ended_s is None:
        return max(log.began_s + trial.every_s, log.run_end_s if log.noticed_s is not None else 0.0)
    stays = log.bad and log.outcome != "rolled back"
    if stays:
        return max(log.ended_s, log.began_s + trial.every_s)
    after = min(max(log.ended_s, float(log.at_s[-1])), log.ended_s + trial.settle_s)
    return max(after, log.last_met_s or 0.0) if log.bad else after


def _windows(trial: Trial, log: UpgradeLog, before: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """When requests are played: some time before and after everything that happens; what overlaps is one."""
    end, settle = _end(trial, log), trial.settle_s
    # A window opens and closes without a change of pods, so what is told counts too.
    moments = [*log.at_s.tolist(), *(at for at, _ in log.facts)]
    wanted = [(max(at - settle, 0.0), at + settle) for at in moments if at <= end]
    if isinstance(trial.upgrade, Canary) and trial.upgrade.analysis is not None:
        wanted.append((0.0, (end if log.ended_s is None else log.ended_s) + settle))  # it lives on requests
    merged: list[tuple[float, float]] = []
    for start, stop in sorted([*wanted, *before]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


# ------------------------------------------------------------------------------------------------- reckoning


@dataclass(frozen=True)
class Steps:
    """An upgrade as steps in time, up to an end: from when, for how long (k,), members missing, exposure (k,)."""

    at_s: Floats
    lengths_s: Floats
    missing: NDArray[np.int64]
    exposure: Floats

    def at(self, times: Floats) -> NDArray[np.int64]:
        """Return the step that each time lies in, -1 before the first."""
        return np.searchsorted(self.at_s, times, side="right") - 1


def steps_of(log: UpgradeLog, end: float) -> Steps:
    """Return an upgrade as steps up to an end, in seconds; a member is missing while none is ready in its stead."""
    inside = log.at_s < end
    at_s = log.at_s[inside]
    missing = np.maximum(log.replicas - log.ready[inside].sum(axis=1), 0)
    return Steps(at_s, np.diff(np.append(at_s, end)), missing, log.exposure[inside])


def missing_times(steps: Steps, replicas: int) -> Floats:
    """Return for how long 1, 2, … members were missing, in seconds, shape (replicas,)."""
    found = np.zeros(replicas + 1)
    np.add.at(found, np.minimum(steps.missing, replicas), steps.lengths_s)
    return found[1:]


def _cost(trial: Trial, played: Played) -> Cost:
    log, requests = played.log, played.requests
    end = _end(trial, log)
    steps = steps_of(log, end)
    cut_at, cut_s = played.cut
    if cut_s:
        steps.lengths_s[steps.at(np.array([cut_at]))] += cut_s
    stands = steps.missing <= log.replicas - trial.enough
    errors = trial.upgrade.release.errors or 0.0 if log.bad else 0.0
    by_errors = errors * float(np.sum(steps.exposure * steps.lengths_s * stands))
    outage, calm = by_errors, 0
    if requests is not None:
        failed, calm = _failed(trial, log, requests)
        outage = failed + _between(trial, played, requests, end) + (by_errors if trial.errors_alone else 0.0)
    pods = (log.ready + log.starting + log.leaving).sum(axis=1)[: len(steps.at_s)]
    return Cost(
        missing=tuple(missing_times(steps, log.replicas).tolist()),
        outage_s=outage,
        by_errors_s=by_errors if trial.errors_alone or requests is None else 0.0,
        extra_server_s=float(np.sum(np.maximum(pods - log.replicas, 0) * steps.lengths_s)),
        late=end + cut_s - log.began_s > trial.every_s * (1 + 1e-9),
        ended=log.ended_s is not None,
        calm_failures=calm,
    )


def _failed(trial: Trial, log: UpgradeLog, requests: RequestLog) -> tuple[float, int]:
    """What failed in full-outage seconds while enough members stood, and how many requests before the begin.

    Where errors of a bad version are reckoned by its exposure, those that it answered with are left out here.
    """
    lost = _lost(requests)
    calm = int(np.count_nonzero(lost & (requests.arrived_s < log.began_s)))
    steps = steps_of(log, max(requests.end_s, log.run_end_s))
    place = steps.at(requests.arrived_s)
    stands = steps.missing <= log.replicas - trial.enough
    counted = lost & ~_by_exposure(trial, log, requests) & (place >= 0) & stands[np.maximum(place, 0)]
    return float(np.count_nonzero(counted)) / rate_of(trial, log, requests), calm


def _lost(requests: RequestLog) -> NDArray[np.bool_]:
    return np.asarray((requests.fate != SERVED) & (requests.fate != CUT_OFF))


def _by_exposure(trial: Trial, log: UpgradeLog, requests: RequestLog) -> NDArray[np.bool_]:
    """Errors that are reckoned by the exposure of a bad version, and so are not to be counted."""
    if not (trial.errors_alone and log.bad and log.new in log.spans.names):
        return np.zeros(len(requests), dtype=np.bool_)
    version = log.spans.version_of(requests)
    return np.asarray((requests.outcome == ERROR) & (version == log.spans.names.index(log.new)))


def rate_of(trial: Trial, log: UpgradeLog, requests: RequestLog) -> float:
    """Requests a second of all loads: as declared, or in a closed loop as many as there were in the calm before."""
    total = 0.0
    for load in trial.loads:
        if load.rate is not None:
            total += load.rate.mean_rate(0.0, log.began_s)
        else:
            mine = requests.load == requests.loads.index(f"{load.name} 0")
            total += int(np.count_nonzero(mine & (requests.arrived_s < log.began_s))) / log.began_s
    return max(total, 1e-9)


def _between(trial: Trial, played: Played, requests: RequestLog, end: float) -> float:
    """What failed while no requests were played: the same share as just before, for as long as nothing changed.

    So a maintenance window goes on sending everybody away after its servers are ready.
    """
    log, windows = played.log, played.windows
    steps = steps_of(log, max(end, requests.end_s))
    stands = steps.missing <= log.replicas - trial.enough
    stops = [*(start for start, _ in windows[1:]), end]
    gaps = [(stop, following - stop) for (_, stop), following in zip(windows, stops, strict=True)]
    known = requests.fate != CUT_OFF
    lost = _lost(requests) & ~_by_exposure(trial, log, requests)
    total = 0.0
    for at, lasting in [*gaps, played.cut]:
        if lasting <= 0 or not stands[steps.at(np.array([at]))[0]]:
            continue
        seen = (requests.arrived_s >= at - trial.settle_s / 2) & (requests.arrived_s < at)
        judged = int(np.count_nonzero(seen & known))
        total += int(np.count_nonzero(seen & lost)) / judged * lasting if judged else 0.0
    return total


def loads_of(cluster: Cluster, given: tuple[Load, ...] | None) -> tuple[Load, ...]:
    """The loads to play: the given ones, or those of the model; those of queues are left out."""
    if given is None:
        given = tuple(load.model_copy(update={"name": name}) for name, load in cluster.loads.items())
    return tuple(
        load for load in given if isinstance(cluster.parts[route_of(load, cluster.parts).pool], Pool | Standby)
    )
