"""The measured set-up as a cluster of hasim: a few servers, one balancer, clients that keep their connections.

What belongs to the machine that was measured was read off its steady runs, which have no fault: a request holds its
slot a little longer than it asks for, and is on its way for two milliseconds more. These two constants serve all
configurations. Nothing else is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.path import RequestPath
from hasim.engines.des.scripts import FaultPort
from hasim.engines.des.simulate import simulate
from hasim.faults.fault import Script, World
from hasim.model.cluster import Cluster
from hasim.model.demand import Clients, Load
from hasim.model.laws import Exponential, Fixed, Law, Total
from hasim.model.upgrades import Upgrade
from hasim.results.outcomes import CODES, OUTCOMES
from hasim.results.request_log import RequestLog
from hasim.results.run import Run
from hasim.trace import Fact
from hasim.validation.balancers.record import steady

Floats = npt.NDArray[np.float64]

POOL: Final = "api"
BALANCER: Final = "lb"
POLL_S: Final = 0.002
"""How often a script of faults looks at what it waits for, in seconds; the real one asked its balancer as well."""
POLICIES: Final[Mapping[str, str]] = {
    "roundrobin": "round_robin",
    "leastconn": "least_connections",
    "random(2)": "least_request",
}
FAST_S: Final = 1.0
"""A request that took longer counts as delayed, in seconds."""


def slot_overhead_ms() -> float:
    """By how much a request held its slot longer than asked for, in the mean over the steady runs by requests."""
    runs = steady().values()
    requests = sum(run["n"] for run in runs)
    return float(sum(run["n"] * (run["svc_mean"] - run["config"]["mean_ms"]) for run in runs) / requests)


def transit_ms() -> float:
    """How much of a latency is neither service nor waiting for it, in the mean over the steady runs by requests."""
    runs = steady().values()
    requests = sum(run["n"] for run in runs)
    return float(sum(run["n"] * (run["lat_mean"] - run["svc_mean"] - run["wait_mean"]) for run in runs) / requests)


@dataclass(frozen=True)
class Bench:
    """Servers and their balancer; `balancer` holds the settings in which configurations differ.

    `mean_ms` is the mean of the exponential service time, `rate` is in requests per second. The overhead of a
    request holds its slot, or is added to latencies alone if not `holds_slot`: so it must be where a fault makes the
    service, and nothing else, many times as long. A process listens `start_up_s` seconds after its start.
    """

    servers: int
    rate: float
    mean_ms: float
    slots: int
    balancer: Mapping[str, Any] = field(default_factory=dict)
    holds_slot: bool = True
    start_up_s: float = 0.0

    def play(self, script: Playing, over_s: float, seed: int, *upgrades: Upgrade) -> Played:
        """Play one trial under a script of what is done to it, and upgrades."""
        stage = Stage(script, tuple(f"{POOL}-{number + 1}" for number in range(self.servers)))
        load = Load(rate=self.rate, clients=Clients(timeout="5s"))
        run = simulate(self.cluster.during(load, stage, *upgrades), over=f"{over_s}s", seed=seed)
        assert run.requests is not None
        on_the_way_ms = transit_ms() + (0.0 if self.holds_slot else slot_overhead_ms())
        return Played(run, run.requests, stage.front.retried, stage.front.redispatched, on_the_way_ms)

    @cached_property
    def cluster(self) -> Cluster:
        """The declared cluster."""
        takes: Law = Exponential(mean=f"{self.mean_ms}ms")
        if self.holds_slot:
            takes = Total(laws=(takes, Fixed(value=f"{slot_overhead_ms():.3f}ms")))
        serving: dict[str, Any] = {"takes": takes, "slots": self.slots}
        if self.start_up_s:
            serving["start_up"] = Fixed(value=f"{self.start_up_s}s")
        parts = {
            POOL: {"kind": "pool", "replicas": self.servers, "serving": serving},
            BALANCER: {"kind": "balancer", "to": POOL, **self.balancer},
        }
        return Cluster(name="measured", parts=parts, services={"web": {"up": [BALANCER]}})


class Stage:
    """Everything that happens to the servers in one trial: a fault whose script waits for what the balancer sees."""

    def __init__(self, playing: Playing, servers: tuple[str, ...]) -> None:
        self.playing = playing
        self.targets = servers
        self._path: RequestPath | None = None
        self.world: World
        self.now: Callable[[], float]

    def script(self, world: World) -> Script:
        """Take hold of the balancer, then do what is to be done."""
        assert isinstance(world, FaultPort) and world.live.requests is not None
        self.world = world
        self._path = world.live.requests
        env = world.live.env
        self.now = lambda: env.now
        yield from self.playing(self)

    @property
    def front(self) -> Front:
        """The balancer at work."""
        assert self._path is not None
        return self._path.fronts[BALANCER]


Playing = Callable[[Stage], Script]


def watching(stage: Stage) -> Script:
    """Do nothing but look on, at what is declared."""
    yield 0.0


@dataclass(frozen=True)
class Played:
    """What came of one trial: its facts, its requests, and how often the balancer tried again, there or elsewhere.

    `on_the_way_ms` is the part of a latency, in milliseconds, that no server and no queue has.
    """

    run: Run
    log: RequestLog
    retried: int
    redispatched: int
    on_the_way_ms: float

    def when(self, kind: str, server: int, after: float = 0.0) -> float:
        """When a fact about a server was first told, in seconds; NaN if it was not."""
        name = f"{POOL}-{server + 1}"
        for fact in self.run.trace:
            assert isinstance(fact, Fact)
            told = fact.detail.get("server") if isinstance(fact.detail, Mapping) else None
            if fact.kind == kind and fact.at >= after and name in (fact.subject, told):
                return fact.at
        return math.nan

    @cached_property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Which requests failed; what is under way when the run ends has not."""
        return np.asarray(~self.ok & (self.log.outcome != CODES["unanswered"]))

    @cached_property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Which requests were answered well."""
        return np.asarray(self.log.outcome == CODES["ok"])

    @cached_property
    def latency_ms(self) -> Floats:
        """How long each request took for its client, in milliseconds."""
        return (self.log.ended_s - self.log.arrived_s) * 1e3 + self.on_the_way_ms

    def within(self, low: float, high: float) -> npt.NDArray[np.bool_]:
        """Which requests arrived from one time to another; none if either is unknown."""
        return (self.log.arrived_s >= low) & (self.log.arrived_s < high)

    def failed(self, low: float = 0.0, high: float = math.inf) -> int:
        """How many of the requests that arrived in between failed."""
        return int(np.sum(self.bad & self.within(low, high)))

    def kinds(self) -> dict[str, int]:
        """How many failed in which way, in the words of the record."""
        codes, counts = np.unique(self.log.outcome[self.bad], return_counts=True)
        named = (OUTCOMES[code] for code in codes)
        return {SAID.get(name, name): int(count) for name, count in zip(named, counts, strict=True)}

    def latencies(self, prefix: str, which: npt.NDArray[np.bool_]) -> dict[str, float]:
        """Median, 99 % point and mean of those that were answered well, in milliseconds; NaN if there are none."""
        taken = self.latency_ms[which & self.ok]
        if not taken.size:
            return {f"{prefix}.{name}": math.nan for name in ("p50", "p99", "mean")}
        p50, p99 = np.quantile(taken, [0.5, 0.99])
        return {f"{prefix}.p50": float(p50), f"{prefix}.p99": float(p99), f"{prefix}.mean": float(taken.mean())}

    def share(self, server: int, which: npt.NDArray[np.bool_]) -> float:
        """Which share of the answers that were good came from a server."""
        good = which & self.ok
        return float(np.mean(self.log.server[good] == server)) if good.any() else math.nan


SAID: Final[Mapping[str, str]] = {"reset": "eof"}
"""What the record calls an outcome, where it has a word of its own."""
