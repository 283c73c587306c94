"""Candidates, their store and the resource in the simulated world, as they were set up for the record.

What belongs to the machine was read off the record: how long a message takes (half of a release that was measured
alone), and how often a holder writes. They serve all configurations; nothing is fitted to what a fault does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from hasim.checks.leadership import ENDS
from hasim.engines.des.draws import durations
from hasim.engines.des.world import LeapingEnvironment, Node, World
from hasim.engines.des.world.connection import Connection
from hasim.machine import Machine
from hasim.model.laws import Fixed, Law
from hasim.protocols.lease.office import Office
from hasim.protocols.lease.resource import Resource, keep_last
from hasim.protocols.lease.settings import Duty, TtlLease
from hasim.protocols.lease.ttl import TtlCandidate
from hasim.protocols.lease.ttl_server import TtlServer, keep_held
from hasim.streams import Streams
from hasim.trace import Detail, Fact
from hasim.units import s
from hasim.validation.leases.client import MeasuredClient
from hasim.validation.leases.record import LeaseConfig, cycle_s, one_way

STORE: Final = "store"
RESOURCE: Final = "resource"
JITTER: Final = 0.25
"""A candidate waits for its next try `retry` times 0.75 to 1.25."""
LOOK_TO_WRITE_S: Final = 0.010
"""From the look at the clock to the write, in seconds."""
HANGS: Final = "1h"
"""A call hangs as long as it takes: no trial lasts longer."""
SETTLE_S: Final = 1.0
"""From when one alone leads again to the next fault, in seconds, to which up to one renewal period is added."""
LOOK_S: Final = 0.05
PATIENCE_S: Final = 1e3


class Bench:
    """One store with its candidates; of those that are set up for one configuration, `number` counts."""

    def __init__(self, config: LeaseConfig, seed: int, number: int = 0) -> None:
        """Put everything in place; nothing runs before `boot`."""
        own = np.random.SeedSequence([seed, *repr(config).encode()]).generate_state(1)
        self.config = config
        self.env = LeapingEnvironment()
        self.facts: list[Fact] = []
        self.office: dict[str, Fact] = {}  # who believes to lead, and since which fact
        self.clients: dict[str, MeasuredClient] = {}
        self.names = tuple(f"c{number}" for number in range(1, config.n + 1))
        self._streams = Streams(int(own[0]), block=number)
        self._chance = self._streams["schedule"]
        self.lease = TtlLease(
            store=config.store,
            ttl=s(config.ttl),
            renew=s(config.renew),
            retry=s(config.retry),
            jitter=JITTER,
            watch=config.watch,
            timeout=HANGS,
        )
        fence = "token" if config.fence else "none"
        looks = config.check == "deadline"
        self._duty = Duty(every=s(cycle_s()), takes=s(LOOK_TO_WRITE_S), looks=looks, fence=fence)
        self.world = World(self.env, self._streams, self._note, transport="udp", regular=())
        store = self.world.add(STORE, lambda: TtlServer(self.lease, self.names, 0.0, 0.0), keep_held)
        resource = self.world.add(RESOURCE, lambda: Resource(self._duty.fence), keep_last)
        for name in self.names:
            node = self.world.add(name, partial(self._client, name), keep_last)
            self._connect(node, store, one_way(config.store))
            self._connect(node, resource, Fixed(value=s(0.0)))  # the way is part of the cycle that was measured

    def _client(self, name: str) -> Machine:
        office = Office(TtlCandidate(self.lease, name, STORE), self._duty, RESOURCE)
        self.clients[name] = MeasuredClient(office)
        return self.clients[name]

    def _connect(self, node: Node, server: Node, latency: Law) -> None:
        def way(src: Node, dst: Node) -> Connection:
            took = durations(latency, self._streams, f"{src.name}>{dst.name}/one way")
            return Connection(self.env, self.world.network, src, dst, took)

        ask = way(node, server)
        ask.back = way(server, node)
        node.links[server.name], server.links[node.name] = ask, ask.back

    def _note(self, kind: str, subject: str, detail: Detail) -> None:
        fact = Fact(self.env.now, kind, subject, detail)
        self.facts.append(fact)
        if kind == "leading":
            self.office[subject] = fact
        elif kind in ENDS:
            self.office.pop(subject, None)

    # Time passes.

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.env.now

    def boot(self) -> None:
        """Start the store, and the candidates one after the other; wait until one leads."""
        for server in (STORE, RESOURCE):
            self.world.nodes[server].start()
        for name in self.names:
            self.run_for(self.config.retry * float(self._chance.random()))
            self.world.nodes[name].start()
        self.settle()

    def settle(self) -> str:
        """Wait until one alone has led for a while that ends at any moment of its renewals; return who it is."""
        self.run_until(lambda: len(self.office) == 1)
        self.run_for(SETTLE_S + self.config.renew * float(self._chance.random()))
        self.run_until(lambda: len(self.office) == 1)
        return next(iter(self.office))

    def forget(self) -> None:
        """Forget all facts but who leads and what was written last."""
        written = [fact for fact in self.facts if fact.kind == "effect"]
        self.facts[:] = [*self.office.values(), *written[-1:]]

    def run_for(self, seconds: float) -> None:
        """Let so many seconds pass."""
        if seconds > 0:
            self.env.run(until=self.now + seconds)

    def run_until(self, is_so: Callable[[], bool]) -> None:
        """Look now and then whether something is so, and stop when it is."""
        deadline = self.now + PATIENCE_S
        while not is_so():
            assert self.now < deadline, f"nobody alone leads: {self.config}"
            self.run_for(LOOK_S)


def told(fact: Fact, what: str) -> Any:
    """One of the named values of a fact."""
    assert not isinstance(fact.detail, str)
    return fact.detail[what]
