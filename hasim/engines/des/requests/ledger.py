"""From what callers wrote down to the log of a run, and how much of it there will be."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from simpy import Event

from hasim.engines.des.requests.path import RequestPath
from hasim.model.demand import Load
from hasim.results.request_log import RequestLog

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment

REQUESTS_MAX = 5e7
"""More would take hours and more memory than most machines have."""

PULSES = 100


def expected_requests(load: Load, length: float) -> float:
    """How many requests a load makes in so many seconds, at most."""
    end = length if load.lasting is None else min(length, load.begins + load.lasting)
    if end <= load.begins:
        return 0.0
    if load.rate is not None:
        return load.rate.mean_rate(load.begins, end) * (end - load.begins)
    assert load.users is not None
    # A user who does not think asks as fast as a request can be served; a millisecond is a guess at the least.
    return load.users * (end - load.begins) / max(0.001, 0.0 if load.think is None else load.think.mean)


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
    notes = [caller.notes for caller in path.callers]
    shifts = [offsets[path.pool_of(caller)] for caller in path.callers]
    counts = [len(note.arrived) for note in notes]
    arrived = _column([note.arrived for note in notes], np.float64)
    order = np.argsort(arrived, kind="stable")
    server = _column([note.server for note in notes], np.int32)
    shift = np.repeat(np.array(shifts, dtype=np.int32), counts)
    return RequestLog(
        loads=tuple(caller.load.name for caller in path.callers),
        servers=tuple(servers),
        load=np.repeat(np.arange(len(notes), dtype=np.int16), counts)[order],
        arrived_s=arrived[order],
        ended_s=_column([note.ended for note in notes], np.float64)[order],
        attempts=_column([note.attempts for note in notes], np.int32)[order],
        server=np.where(server >= 0, server + shift, -1).astype(np.int32)[order],
        outcome=_column([note.outcome for note in notes], np.int8)[order],
        user=_column([note.user for note in notes], np.int32)[order],
        write=_column([note.write_flag for note in notes], np.bool_)[order],
        start_s=0.0,
        end_s=end,
    )


def _column(parts: Sequence[array[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.array(part, dtype=dtype) for part in parts])
