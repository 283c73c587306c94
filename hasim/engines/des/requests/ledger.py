"""From what callers wrote down to the log of a run, and how much of it there will be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from simpy import Event

from hasim.engines.des.requests.path import RequestPath
from hasim.errors import CannotModel
from hasim.model.demand import Load
from hasim.model.demand.route import route_of
from hasim.model.parts import Part, Pool, Standby
from hasim.results.request_log import RequestLog

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment

EVENTFUL_MAX = 5e7
"""More requests, event by event, would take more than some minutes, and more memory than many machines have."""

REQUESTS_MAX = 1e8
"""More would take more memory than most machines have: a request is some thirty bytes, several times over."""

PULSES = 100


def expected_requests(load: Load, length: float, parts: Mapping[str, Part]) -> float:
    """How many requests a load makes in so many seconds, if all are served at once: the most to be expected."""
    end = load.until(length)
    if end <= load.begins:
        return 0.0
    if load.rate is not None:
        return load.rate.mean_rate(load.begins, end) * (end - load.begins)
    assert load.users is not None
    pool = parts[route_of(load, parts).pool]
    serving = pool.serving if isinstance(pool, Pool | Standby) else None
    assert serving is not None
    round_trip = serving.takes.mean + (0.0 if load.think is None else load.think.mean)
    slots = pool.count * serving.slots if isinstance(pool, Pool) else serving.slots
    rate = min(load.users / round_trip, slots / serving.takes.mean)
    return rate * (end - load.begins)


def refuse_too_many(loads: Sequence[Load], length: float, most: float, parts: Mapping[str, Part]) -> None:
    """Raise CannotModel if so many requests are expected that nobody would see the end of it."""
    expected = sum(expected_requests(load, length, parts) for load in loads)
    if expected > most:
        raise CannotModel(
            f"{expected:.2g} requests",
            f"each is played and kept, and {most:.0g} of these are the most",
            "take a shorter `over`, or leave requests out with `requests=False`",
            "simulate",
        )


def how_played(reasons: Mapping[str, str | None]) -> str:
    """Say how each load was played: as arrays, or event by event and why."""
    if len(set(reasons.values())) == 1:
        reason = next(iter(reasons.values()))
        return "arrays" if reason is None else f"events, since {reason}"
    return "; ".join(
        f"{name}: arrays" if reason is None else f"{name}: events, since {reason}" for name, reason in reasons.items()
    )


def merged(logs: Sequence[RequestLog], method: str) -> RequestLog:
    """Put logs of different loads together, in order of arrival."""
    if len(logs) == 1:
        return replace(logs[0], method=method)
    loads = [name for log in logs for name in log.loads]
    servers = list(dict.fromkeys(name for log in logs for name in log.servers))
    order = np.argsort(np.concatenate([log.arrived_s for log in logs]), kind="stable")

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(log, name) for log in logs])[order]

    places = [np.array([*map(servers.index, log.servers), -1], dtype=np.int32) for log in logs]
    firsts = np.cumsum([0, *(len(log.loads) for log in logs)])
    shifted = [(log.load + first).astype(np.int16) for log, first in zip(logs, firsts, strict=False)]
    return RequestLog(
        loads=tuple(loads),
        servers=tuple(servers),
        load=np.concatenate(shifted)[order],
        arrived_s=column("arrived_s"),
        ended_s=column("ended_s"),
        attempts=column("attempts"),
        server=np.concatenate([place[log.server] for place, log in zip(places, logs, strict=True)])[order],
        outcome=column("outcome"),
        user=column("user"),
        write=column("write"),
        start_s=logs[0].start_s,
        end_s=logs[0].end_s,
        method=method,
    )


def start_pulse(env: LeapingEnvironment, length: float, pulse: Callable[[], None]) -> None:
    """Tell how far the run is, a hundred times."""

    def beats() -> Generator[Event, Any, None]:
        while True:
            yield env.timeout(length / PULSES)
            pulse()

    env.process(beats())


def request_log(path: RequestPath, end: float) -> RequestLog:
    """Put the notes of all callers together, in order of arrival."""
    servers: list[str] = []
    offsets: dict[str, int] = {}
    for pool, replicas in path.pools.items():
        offsets[pool] = len(servers)
        servers += [replica.name for replica in replicas]
    notes = [caller.notes.rows() for caller in path.callers]
    shifts = [offsets[path.pool_of(caller)] for caller in path.callers]
    counts = [len(note) for note in notes]
    rows = np.concatenate(notes)
    order = np.argsort(rows["arrived"], kind="stable")
    server = rows["server"]
    shift = np.repeat(np.array(shifts, dtype=np.int32), counts)
    return RequestLog(
        loads=tuple(caller.load.name for caller in path.callers),
        servers=tuple(servers),
        load=np.repeat(np.arange(len(notes), dtype=np.int16), counts)[order],
        arrived_s=rows["arrived"][order],
        ended_s=rows["ended"][order],
        attempts=rows["attempts"][order],
        server=np.where(server >= 0, server + shift, -1).astype(np.int32)[order],
        outcome=rows["outcome"][order],
        user=rows["user"][order],
        write=rows["write"][order],
        start_s=0.0,
        end_s=end,
    )
