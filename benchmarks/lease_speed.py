"""How fast leaders are replaced: the machines in the protocol engine, the sampler, and the usual SimPy model.

    python benchmarks/lease_speed.py          # under a minute
    python benchmarks/lease_speed.py --json

Three control planes with Kubernetes' lease, no latency: the leader dies at a random moment, and the time to the next is
taken. The SimPy model is what one would write in an hour: a process for each candidate that polls a shared record, a
process for the leader that renews; it knows no deadlines, messages, faults or fences. All take turns; the best round
counts. CPU time of one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import numpy as np
import simpy
from turns import PEER, Contestant, take_turns

from hasim.engines.des.leases.world import LeaseWorld
from hasim.engines.des.world import LeapingEnvironment
from hasim.model.elections.leases import TakeoverSettings, sample_takeovers
from hasim.model.laws import Fixed
from hasim.protocols.health import CrashLoopBackOff
from hasim.protocols.lease.settings import Lease
from hasim.streams import Streams
from hasim.units import s

CANDIDATES = 3
DURATION, PERIOD = 15.0, 2.0
ROUNDS = 5
PLAYED, WRITTEN, SAMPLED = 1_000, 2_000, 500_000


def played(count: int, rng: np.random.Generator) -> tuple[float, float]:
    """Takeovers by the machines, one after another in one world; (CPU seconds, mean time to the next leader)."""
    env = LeapingEnvironment()
    names = [f"s-{i}" for i in range(CANDIDATES)]
    restarts = {name: CrashLoopBackOff().counting() for name in names}
    world = LeaseWorld(
        env, Streams(1), "s", names, Lease(), lambda *_: None, latency=Fixed(value=s(0)), restarts=restarts
    )
    world.start()
    env.run(until=60)
    found, begun = [], process_time()
    for _ in range(count):
        env.run(until=env.now + 30 + 2 * rng.random())
        assert world.leader is not None
        node = world.world.nodes[world.leader]
        lost = env.now
        node.crash()
        while not world.office:
            env.step()
        found.append(env.now - lost)
        env.run(until=env.now + 3 * rng.random())
        node.start()
    return process_time() - begun, float(np.mean(found))


def written_by_hand(count: int, rng: np.random.Generator) -> tuple[float, float]:
    """The same in plain SimPy."""
    found: list[float] = []
    env = simpy.Environment()
    record = {"version": 0, "lost": 0.0}
    leader: list[simpy.Process] = []

    def candidate() -> Iterator[Any]:
        seen, seen_at = -1, 0.0
        while True:
            if record["version"] != seen:
                seen, seen_at = record["version"], env.now
            elif env.now - seen_at >= DURATION:
                found.append(env.now - record["lost"])
                record["version"] += 1
                leader.append(env.process(leads()))
                env.process(killer())
                return
            yield env.timeout(rng.uniform(PERIOD, 2.2 * PERIOD))

    def leads() -> Iterator[Any]:
        try:
            while True:
                record["version"] += 1
                yield env.timeout(PERIOD)
        except simpy.Interrupt:
            record["lost"] = env.now

    def killer() -> Iterator[Any]:
        yield env.timeout(30 + 2 * rng.random())
        leader.pop().interrupt()
        yield env.timeout(18 + 3 * rng.random())
        env.process(candidate())

    leader.append(env.process(leads()))
    for _ in range(CANDIDATES - 1):
        env.process(candidate())
    env.process(killer())
    begun = process_time()
    while len(found) < count:
        env.step()
    return process_time() - begun, float(np.mean(found))


def sampled(count: int, rng: np.random.Generator) -> tuple[float, float]:
    """Takeovers by the vectorised sampler."""
    begun = process_time()
    found = sample_takeovers(TakeoverSettings(Lease(), CANDIDATES - 1), count, rng)
    return process_time() - begun, float(found.mean())


def random_numbers(count: int, rng: np.random.Generator) -> tuple[float, float]:
    """What the sampler draws at least: a rest (two), seven waits on average for each standby, and an age."""
    begun = process_time()
    rng.random((count, (CANDIDATES - 1) * 7 + 1))
    return process_time() - begun, float("nan")


def seeded(run: Callable[[int, np.random.Generator], tuple[float, float]]) -> Callable[[int, int], tuple[float, float]]:
    """The same, with the luck of a turn."""
    return lambda count, turn: run(count, np.random.default_rng(turn))


CONTESTANTS: dict[str, Contestant] = {
    "drawing its random numbers, nothing else": (SAMPLED, seeded(random_numbers)),
    "hasim, sampler": (SAMPLED, seeded(sampled)),
    "hasim, machines in the protocol engine": (PLAYED, seeded(played)),
    PEER: (WRITTEN, seeded(written_by_hand)),
}


def main() -> None:
    """Let all take turns, and print how much each does in a CPU second."""
    take_turns(__doc__, CONTESTANTS, ROUNDS, "mean, s", "{:.2f} s")


if __name__ == "__main__":
    main()
