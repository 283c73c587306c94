"""Stop-the-world pauses of a replica's garbage collector, a SimPy process for each."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy import Event

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.replica import Replica
from hasim.model.serving import Collections
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


def collect(
    env: LeapingEnvironment, replica: Replica, collections: Collections, streams: Streams
) -> Generator[Event, Any, None]:
    """Freeze the replica now and then; while it is down nothing is collected."""
    gaps = draws(collections.every, streams, f"{replica.name}/collections")
    pauses = draws(collections.lasting, streams, f"{replica.name}/pauses")
    while True:
        yield env.timeout(next(gaps))
        if replica.running:
            process = replica.freeze()
            yield env.timeout(next(pauses))
            replica.thaw(process)
