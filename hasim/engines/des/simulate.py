"""One history of a cluster, event by event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hasim.engines.des.calendar import start_calendar
from hasim.engines.des.causes import KILLED, UPGRADED
from hasim.engines.des.clocks import start_clocks
from hasim.engines.des.delivery.world import settling_time as group_settling
from hasim.engines.des.etcd.role import settling_time as raft_settling
from hasim.engines.des.figures import down_by_name, gaps_by_part, service_figures
from hasim.engines.des.healing import Healer
from hasim.engines.des.kubernetes.stillness import Stillness
from hasim.engines.des.leases.world import settling_time as lease_settling
from hasim.engines.des.live import LiveCluster
from hasim.engines.des.requests.feed_forward import FeedForward, feeds_back
from hasim.engines.des.requests.ledger import (
    EVENTFUL_MAX,
    REQUESTS_MAX,
    how_played,
    merged,
    refuse_too_many,
    request_log,
    start_pulse,
)
from hasim.engines.des.requests.path import RequestPath
from hasim.engines.des.scripts import FaultPort
from hasim.engines.des.shocks import start_shocks
from hasim.engines.des.upgrades.calendar import releases_in
from hasim.engines.des.upgrades.upgrades import Upgrades
from hasim.engines.des.world import Calm, LeapingEnvironment, leap_again_and_again
from hasim.errors import CannotModel, ModelError, nearest
from hasim.faults import Fault
from hasim.model.cluster import Cluster
from hasim.model.demand import Load
from hasim.model.demand.route import goes_to_queue, route_of
from hasim.model.failures import Maintenance
from hasim.model.outlook import refuse_endless, refuse_slow_elections, refuse_what_is_played
from hasim.model.parts import Elected, Pool, Queue, Quorum, Standby
from hasim.model.scenario import Scenario
from hasim.model.system import System, Window, compile_system
from hasim.model.upgrades import DrainNodes, NodeByNode, Upgrade
from hasim.model.upgrades.room import with_room
from hasim.results.request_log import RequestLog
from hasim.results.run import Run, history_warnings
from hasim.streams import Streams, seed_or_fresh
from hasim.units import human, seconds

Progress = Callable[[float, float], object]
Start = Literal["new", "steady"]

WARM_UP_CYCLES = 5
"""A steady start of a system with memory throws away so many of its longest cycles of up and down."""

EVENTS_MAX = 1e9
"""More would take hours; whoever wants them has mistaken a unit of time."""


TASKS_MAX = 1e7
"""More tasks would take more than an hour."""


def simulate(
    model: Cluster | Scenario,
    over: str = "30d",
    seed: int | None = None,
    start: Start = "new",
    *,
    protocols: bool = True,
    requests: bool = True,
    level: float = 0.95,
    progress: Progress | None = None,
) -> Run:
    """Play one history of a cluster, or of a scenario with its scripted faults, and tell what happened.

    `over` is how long. The history begins with everything new and the calendar on its first page, or somewhere in the
    long run (`start="steady"`). `seed` makes it repeatable; without one, the run says which it drew. Quorums that
    declare `raft` play it, message by message; without `protocols` their elections are drawn from the same law as in
    the other engines, which is faster. `level` is that of the intervals.
    Loads, of the model or the scenario, are played request by request (`Run.requests`), or task by task where they go
    to a queue (`Run.tasks`), unless `requests` is false, or `protocols` is, which leaves those of the model out too,
    and its rollouts.
    Liveness probes are played with the requests, and without any load as well. Planned releases are played one by one,
    without any load as pods that come and go; figures of time count a pod from its start, `Run.upgrades` when ready.
    `progress(done, total)`, in simulated seconds, is called now and then. Ctrl-C ends the history where it is, and
    what happened up to then is returned.
    """
    scenario = model if isinstance(model, Scenario) else Scenario(model)
    cluster, faults = scenario.cluster, scenario.faults
    length = run_length(over)
    seed = seed_or_fresh(seed)
    _check(cluster, start, level, protocols, requests)
    loads, tasks = _loads(scenario, length, protocols) if requests else ((), ())
    killed = _killed(cluster) if protocols and requests else ()
    scripted = _scripted(scenario, protocols)
    changes = releases_in(cluster, length, Streams(seed), start == "steady", scripted)
    # What was measured of the releases is not seen beside the releases themselves.
    cluster, first = with_room(cluster.model_copy(update={"upgrades": {}}), changes)
    held = any(isinstance(upgrade, NodeByNode | DrainNodes) for upgrade in changes)
    system, (holds, kills, absent) = _with_holds(cluster, bool(faults) or held, killed, tuple(first))
    warm_up = _warm_up(system) if start == "steady" else 0.0
    refuse_endless(system, length + warm_up, EVENTS_MAX, "simulate")
    _refuse_what_is_left_out(system, protocols, requests)
    settling = _settling_time(system) if protocols else 0.0
    env = LeapingEnvironment(initial_time=-warm_up - settling)

    def pulse() -> None:
        if progress is not None:
            progress(max(0.0, env.now), length)

    live = LiveCluster(env, system, Streams(seed), holds, pulse, protocols, kills)
    arranged = "faults are scripted" if faults else "servers are upgraded" if first or held else None
    played = {load.name: feeds_back(load, loads, system, arranged) for load in loads}
    by_events = [load for load in loads if played[load.name] is not None]
    refuse_too_many(by_events, length, EVENTFUL_MAX, cluster.parts)
    if by_events or killed or first:
        live.requests = RequestPath(live, by_events, (*killed, *first))
    if by_events or tasks:
        start_pulse(env, length, pulse)
    _find_leaders(live, settling, until=0.0 - warm_up)
    windows = system.windows[: len(system.windows) - len(holds) - len(kills) - len(absent)]
    _start(live, windows, start == "steady")
    upgrades = Upgrades(live, changes, absent, first)
    ports, stopped = _play(live, faults, tasks, upgrades, length, pulse)
    interrupted = [f"interrupted after {human(env.now)} of {human(length)}"] if stopped else []
    feeds = [FeedForward(load, system, Streams(seed), env.now) for load in loads if played[load.name] is None]
    logs = [request_log(live.requests, env.now)] if live.requests is not None and by_events else []
    for feed in feeds:
        logs.append(feed.log(lambda at: None if progress is None else progress(at, length)))
        interrupted += feed.interruption()
    asked = _together(logs, how_played(played))
    return _run(live, seed, level, ports, interrupted, asked, upgrades, bool(scripted))


def _together(logs: list[RequestLog], how: str) -> RequestLog | None:
    """The requests of all loads, up to where the first of them was cut short; None if there are none."""
    if not logs:
        return None
    end = min(log.end_s for log in logs)
    return merged([log if log.end_s == end else log.between(0.0, end) for log in logs], how)


def _scripted(scenario: Scenario, protocols: bool) -> tuple[Upgrade, ...]:
    """The upgrades that happen once; without protocols none, and then only the model has some."""
    if protocols:
        return scenario.all_upgrades
    if scenario.upgrades:
        why = "upgrades are played with the protocols"
        raise CannotModel("an upgrade", why, "leave `protocols` true", "simulate(protocols=False)")
    return ()


def _refuse_what_is_left_out(system: System, protocols: bool, requests: bool) -> None:
    """Refuse what only protocols or requests can show, where they are not played."""
    if not protocols:
        refuse_slow_elections(system, "simulate(protocols=False)", "let it play the protocols")
    if not (protocols and requests):
        refuse_what_is_played(system.cluster, "simulate", "leave `protocols` and `requests` true")


def _find_leaders(live: LiveCluster, settling: float, until: float) -> None:
    """Start the protocols some time before the beginning; they skip over calm together."""
    if live.kubernetes is not None:
        live.kubernetes.prepare()
    for role in live.played:
        role.prepare()
    if live.played:
        calms: list[Calm] = [role.calm for role in live.played]
        if live.kubernetes is not None:
            calms.append(Stillness(live.kubernetes))
        leap_again_and_again(calms)
    if settling:
        live.env.run(until=until)


def _play(
    live: LiveCluster,
    faults: tuple[Fault, ...],
    tasks: tuple[Load, ...],
    upgrades: Upgrades,
    length: float,
    pulse: Callable[[], None],
) -> tuple[list[FaultPort], bool]:
    """Warm up, then let it all happen; return the ports of the faults, and whether somebody stopped it."""
    env, requests = live.env, live.requests
    ports: list[FaultPort] = []
    stopped = False
    try:
        if env.now < 0:
            env.run(until=0.0)
        live.begin()
        if requests is not None:
            requests.start(length)
        for load in tasks:
            live.queues[route_of(load, live.system.cluster.parts).pool].delivery.feed(load, length)
        for name, healing in live.system.cluster.remedies.items():
            Healer(live, name, healing).start()
        ports = _start_faults(live, faults)
        upgrades.start()
        env.run(until=length)
        pulse()
    except KeyboardInterrupt:
        if env.now <= 0:
            raise
        stopped = True
    for port in ports:
        port.close()
    live.end()
    if requests is not None:
        requests.close()
    return ports, stopped


def _run(
    live: LiveCluster,
    seed: int,
    level: float,
    ports: list[FaultPort],
    interrupted: list[str],
    requests: RequestLog | None,
    upgrades: Upgrades,
    scripted: bool,
) -> Run:
    cluster, end = live.system.cluster, live.env.now
    held = {variable: f"{name} (fault)" for name, variable in live.held.items()}
    held.update({variable: f"{name}{UPGRADED}" for name, variable in upgrades.absent.items()})
    held.update({variable: f"{name}{KILLED}" for name, variable in live.kills.items()})
    services = service_figures(live, end, level, held)
    intervals = down_by_name(live)
    trace = live.history.trace()
    warnings = list(interrupted)
    warnings += [warning for warning in (port.warning() for port in ports) if warning]
    if trace.dropped:
        warnings.append(f"the trace has the first {len(trace)} facts; {trace.dropped} more are only counted")
    if ports or scripted:
        what = "faults" if ports else "upgrades"
        warnings.append(f"the {what} were arranged: figures describe this history, their intervals are no forecast")
    warnings += upgrades.cautions()
    warnings += history_warnings({name: intervals[name] for name in services})
    tasks = {name: role.delivery.log(end) for name, role in live.queues.items() if role.delivery.notes.names}
    cautions = {name: log.caution() for name, log in tasks.items()}
    warnings += [f"{name}: {caution}" for name, caution in cautions.items() if caution]
    warnings += cluster.assumptions()
    return Run(
        cluster=cluster.name,
        services=services,
        start_s=0.0,
        end_s=end,
        intervals=intervals,
        gaps=gaps_by_part(live),
        trace=trace,
        warnings=tuple(warnings),
        seed=seed,
        requests=requests,
        tasks=tasks,
        upgrades=upgrades.logs(end),
        data=upgrades.data(),
    )


def _start(live: LiveCluster, windows: tuple[Window, ...], steady: bool) -> None:
    """Set the beginning and start every process but the scripted faults; then let all settle."""
    with live.instant():
        start_clocks(live, steady)
        start_calendar(live, windows, steady)
        for role in live.roles:
            role.appoint(first=not steady)
    start_shocks(live, steady)


def _start_faults(live: LiveCluster, faults: tuple[Fault, ...]) -> list[FaultPort]:
    ports = [FaultPort(live, fault) for fault in faults]
    for port in ports:
        live.env.process(port.play())
    return ports


def _with_holds(
    cluster: Cluster, faults: bool, killed: tuple[str, ...], upgraded: tuple[str, ...]
) -> tuple[System, list[dict[str, int]]]:
    """The system with a variable for all that a scripted fault may hold down, that may be killed, or upgraded.

    To be held down is to be in a window that comes when the script says, or while a probe or a remedy has killed a
    server, or while there is no pod in its place, so it is compiled as one: the last windows of the system, one for
    each name, which no calendar turns.
    """
    members = cluster.members()
    names = {
        "held": cluster.names() if faults else [],
        "killed": [member for part in killed for member in members[part]],
        "absent": [member for part in upgraded for member in members[part]],
    }
    plans = {
        f"{kind}: {name}": Maintenance(on=(name,), every="2y", lasting="1y")
        for kind, these in names.items()
        for name in these
    }
    system = compile_system(cluster.model_copy(update={"maintenance": {**cluster.maintenance, **plans}}))
    variables = iter(range(system.variables - len(plans), system.variables))
    return system, [{name: next(variables) for name in these} for these in names.values()]


def _killed(cluster: Cluster) -> tuple[str, ...]:
    """The pools whose servers a liveness probe or a remedy may kill."""
    healed = [healing.of for healing in cluster.remedies.values()]
    return tuple(
        name
        for name, part in cluster.parts.items()
        if isinstance(part, Pool) and part.serving is not None and (part.serving.liveness is not None or name in healed)
    )


def _settling_time(system: System) -> float:
    """Seconds before the beginning in which protocols find their first leaders; zero where none is played."""
    found = [0.0]
    for part in system.cluster.parts.values():
        if isinstance(part, Quorum) and part.raft is not None and part.members > 1:
            found.append(raft_settling(part.raft))
        elif isinstance(part, Elected | Standby) and part.lease is not None:
            found.append(lease_settling(part.lease))
        elif isinstance(part, Elected) and not part.leader_elect and part.duty is not None:
            found.append(part.duty.every)  # all act, each from a time of its own in a round
        elif isinstance(part, Queue) and part.work is not None:
            found.append(group_settling(part))
    return max(found)


def _warm_up(system: System) -> float:
    """How long a steady start warms up: not at all where every clock is alone, since there it is exact."""
    if all(unit.independent for unit in system.units) and not system.switches:
        return 0.0
    cycles = [unit.life.mean + unit.down.mean for unit in system.units if unit.life is not None]
    return WARM_UP_CYCLES * max([*cycles, *(shock.every.mean for shock in system.shocks)], default=0.0)


def _loads(scenario: Scenario, length: float, protocols: bool) -> tuple[tuple[Load, ...], tuple[Load, ...]]:
    """The loads of requests to play, and those of tasks; none without protocols, and then only the model has some."""
    if not protocols:
        if scenario.loads:
            raise CannotModel(
                "a load",
                "requests are played with the protocols",
                "leave `protocols` true",
                "simulate(protocols=False)",
            )
        return (), ()
    parts = scenario.cluster.parts
    tasks = tuple(load for load in scenario.all_loads if goes_to_queue(load, parts))
    loads = tuple(load for load in scenario.all_loads if load not in tasks)
    refuse_too_many(loads, length, REQUESTS_MAX, parts)
    refuse_too_many(tasks, length, TASKS_MAX, parts)
    return loads, tasks


def run_length(over: str) -> float:
    """Return how long a run lasts, in seconds; ModelError for what is no duration above zero."""
    try:
        length = seconds(over)
    except ValueError as error:
        raise ModelError(str(error), "over") from None
    if length <= 0:
        raise ModelError(f"got {over!r}; a run lasts longer than zero", "over")
    return length


def _check(cluster: object, start: object, level: object, protocols: object, requests: object) -> None:
    if not isinstance(cluster, Cluster):
        raise ModelError(f"got a {type(cluster).__name__}; simulate takes a Cluster or a Scenario", "model")
    if start not in ("new", "steady"):
        hint = nearest(str(start), ["new", "steady"])
        raise ModelError(f"got {start!r}; a run starts 'new' or 'steady'{hint}", "start")
    if not isinstance(protocols, bool):
        raise ModelError(f"got {protocols!r}; give True to play protocols, or False to draw elections", "protocols")
    if not isinstance(requests, bool):
        raise ModelError(f"got {requests!r}; give True to play the loads, or False to leave them out", "requests")
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise ModelError(f"got {level!r}; the level of an interval lies between 0 and 1, like 0.95", "level")
