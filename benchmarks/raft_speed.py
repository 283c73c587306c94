"""How fast etcd clusters run in the protocol engine, next to SimPy itself.

    python benchmarks/raft_speed.py          # about a minute
    python benchmarks/raft_speed.py --json

Five members with etcd's defaults, at rest and under 100 writes a second at the leader (one each 10 ms, whether those
before are done or not), and a year of failures with leaps over calm. Bare SimPy is the cheapest loop it can have: a
timeout whose callback makes the next. All take turns in short runs; the best of each counts, since a busy machine
only slows down, and the ratios of single rounds show how much it does. CPU time of one thread. Every run begins with
the garbage of those before collected: or Python would look through dead clusters while bare SimPy is on the clock, and
the ratios would flatter the engine by more than a quarter.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Iterator
from time import process_time
from typing import Any

import numpy as np
from bare_simpy import bare

from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.world import LeapingEnvironment, Node
from hasim.machine import Received
from hasim.model.elections.ticks import TickSettings, sample_ticks
from hasim.model.raft import Raft
from hasim.protocols.etcd.requests import Done, Put
from hasim.streams import Streams

MEMBERS = 5
WRITES_A_SECOND = 100
KEYS = 100
ROUNDS = 25
BARE_EVENTS = 100_000
REST_SECONDS, WRITING_SECONDS = 100.0, 6.0
SETTLED = 10.0  # seconds from the start of the cluster to the start of the clock

HOUR, DAY = 3600.0, 86_400.0
YEAR = 365 * DAY
HOST_MTBF, HOST_MTTR = 6083 * HOUR, 3.3 * HOUR
PROCESS_MTBF, PROCESS_MTTR = 30 * DAY, 5.0
YEARS = 3


class Run:
    """A cluster that has settled; `go` lets so many seconds pass and takes the time."""

    def __init__(self, seed: int = 1, rate: float = 0.0) -> None:
        self.env = LeapingEnvironment()
        self.streams = Streams(seed)
        names = [f"etcd-{number + 1}" for number in range(MEMBERS)]
        self.etcd = EtcdWorld(self.env, self.streams, names, Raft(), lambda *_: None)
        self.etcd.start()
        self.env.run(until=SETTLED)
        self.written = 0
        self.messages = 0
        if rate:
            self.env.process(self._writes(rate))

    def _writes(self, rate: float) -> Iterator[Any]:
        number = 0
        while True:
            yield self.env.timeout(1 / rate)
            number += 1
            leader = self.etcd.leader
            assert leader is not None
            self.etcd.calls(leader, Put(f"k{number % KEYS}", str(number)), str(number), self._answered)

    def _answered(self, ref: str, result: object) -> None:
        assert isinstance(result, Done), result
        self.written += 1

    def count_messages(self) -> None:
        """Count what arrives from now on, from others; it takes time, and so is not done against the clock."""
        for node in self.etcd.world.nodes.values():
            take = node.take

            def counting(event: Any, take: Any = take, name: str = node.name) -> None:
                self.messages += event.__class__ is Received and event.sender != name
                take(event)

            node.take = counting

    def go(self, seconds: float) -> tuple[int, float]:
        """The events that were scheduled meanwhile, and the CPU seconds they took."""
        first = next(self.env._eid)
        begun = process_time()
        self.env.run(until=self.env.now + seconds)
        return next(self.env._eid) - first, process_time() - begun


def messages_an_event(rate: float, seconds: float) -> float:
    """How many of the events are messages; the same run always has the same."""
    run = Run(rate=rate)
    run.count_messages()
    events, _ = run.go(seconds)
    return run.messages / events


def rounds() -> dict[str, list[float]]:
    """Events a CPU second, of each way in turn."""
    rates: dict[str, list[float]] = {"bare": [], "rest": [], "writes": []}
    for _ in range(ROUNDS):
        gc.collect()
        rates["bare"].append(bare(BARE_EVENTS))
        for name, rate, seconds in (("rest", 0.0, REST_SECONDS), ("writes", WRITES_A_SECOND, WRITING_SECONDS)):
            gc.collect()
            events, took = Run(rate=rate).go(seconds)
            rates[name].append(events / took)
    return rates


def year(seed: int) -> dict[str, float]:
    """A year of five members on hosts that lose power and come back, with processes that crash and start again."""
    gc.collect()
    run = Run(seed)
    env, etcd, streams = run.env, run.etcd, run.streams

    def host(node: Node) -> Iterator[Any]:
        chance = streams[f"{node.name}/host"]
        while True:
            yield env.timeout(chance.exponential(HOST_MTBF))
            node.power_off()
            yield env.timeout(chance.exponential(HOST_MTTR))
            node.start()

    def process(node: Node) -> Iterator[Any]:
        chance = streams[f"{node.name}/process"]
        while True:
            yield env.timeout(chance.exponential(PROCESS_MTBF))
            if node.process is not None:
                node.crash()
                yield env.timeout(PROCESS_MTTR)
                if node.powered and node.process is None:
                    node.start()

    for node in etcd.world.nodes.values():
        env.process(host(node))
        env.process(process(node))
    etcd.begin_leaping()
    events, took = run.go(YEAR)
    return {"seconds": took, "events": events, "leapt": etcd.leapt / YEAR}


def elections(members: int) -> float:
    """CPU seconds of a million elections by the vectorised sampler, with etcd's defaults."""
    begun = process_time()
    sample_ticks(TickSettings(members=members), 1_000_000, np.random.default_rng(1))
    return process_time() - begun


def measure() -> dict[str, Any]:
    """All figures."""
    rates = rounds()
    best = {name: max(each) for name, each in rates.items()}
    found: dict[str, Any] = {"bare": {"events": best["bare"]}}
    for name, rate, seconds in (("rest", 0.0, REST_SECONDS), ("writes", WRITES_A_SECOND, WRITING_SECONDS)):
        each = np.array(rates[name]) / np.array(rates["bare"])
        found[name] = {
            "events": best[name],
            "messages": best[name] * messages_an_event(rate, seconds),
            "ratio": best[name] / best["bare"],
            "ratio_of_rounds": [float(each_) for each_ in np.quantile(each, (0.1, 0.5, 0.9))],
        }
    years = [year(seed) for seed in range(1, YEARS + 1)]
    found["year"] = {key: float(np.mean([each[key] for each in years])) for key in years[0]}
    found["year"]["seconds_of_each"] = [each["seconds"] for each in years]
    found["elections"] = {members: elections(members) for members in (3, 5, 7, 9)}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast etcd clusters run in the protocol engine.")
    parser.add_argument("--json", action="store_true", help="print figures for machines")
    asked = parser.parse_args()
    found = measure()
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'bare SimPy':22} {found['bare']['events']:10,.0f} events a CPU second")
    for name, label in (("rest", "five members at rest"), ("writes", "100 writes a second")):
        each = found[name]
        low, middle, high = each["ratio_of_rounds"]
        print(
            f"{label:22} {each['events']:10,.0f} events a CPU second, {each['messages']:8,.0f} messages; "
            f"{each['ratio']:.3f} of bare SimPy (single rounds {low:.3f} to {high:.3f}, median {middle:.3f})"
        )
    took = found["year"]
    each = ", ".join(f"{seconds:.2f}" for seconds in took["seconds_of_each"])
    print(f"a year of failures     {took['seconds']:10.2f} CPU seconds ({each}), {took['leapt']:.4%} of it leapt over")
    for members, seconds in found["elections"].items():
        print(f"a million elections    {seconds:10.2f} CPU seconds with {members} members")


if __name__ == "__main__":
    main()
