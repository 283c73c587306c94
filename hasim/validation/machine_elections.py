"""Elections of the Raft machine itself, message by message, in the setting of the sampler of continuous timers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hasim.engines.des.world import LeapingEnvironment, World
from hasim.model.elections.continuous import ContinuousSettings
from hasim.model.laws import Uniform
from hasim.protocols.raft import Continuous, RaftConfig, RaftMember, genesis, journal
from hasim.streams import Streams
from hasim.trace import Detail
from hasim.units import s

LOOK_S = 0.05
PATIENCE_S = 60.0


def elect(
    settings: ContinuousSettings, count: int, seed: int, progress: Callable[[float, float], None] | None = None
) -> npt.NDArray[np.float64]:
    """Seconds from the start, with all timers fresh, until the leader that all others accept took office.

    Only settings without disk writes, with equal logs and timers that start together can be played.
    """
    plain = not (settings.logs_differ or settings.skew or settings.candidate_write or settings.voter_write)
    assert plain and settings.heard == (0.0, 0.0), "these settings are the sampler's alone"
    times = np.empty(count)
    for number in range(count):
        times[number] = _one(settings, Streams(seed, block=number))
        if progress is not None:
            progress(number + 1, count)
    return times


def _one(settings: ContinuousSettings, streams: Streams) -> float:
    env = LeapingEnvironment()
    names = tuple(f"s{number}" for number in range(1, settings.servers + 1))
    up = names[: settings.servers - settings.failed]
    views: dict[str, tuple[int, str | None]] = {}
    office: dict[int, float] = {}

    def note(kind: str, subject: str, detail: Detail) -> None:
        if kind in ("leader", "follower", "candidate"):
            assert not isinstance(detail, str)
            views[subject] = (detail["term"], subject if kind == "leader" else detail.get("leader"))
            if kind == "leader":
                office[detail["term"]] = env.now

    low, high = settings.latency
    world = World(env, streams, note, transport="udp", latency=Uniform(low=s(low), high=s(high)))
    timing = Continuous(settings.timeout[0] / 2, *settings.timeout)
    for name in up:
        config = RaftConfig(name, genesis(names), timing, pre_vote=False, check_quorum=False)
        world.add(name, lambda config=config: RaftMember(config), journal)  # type: ignore[misc]
    for node in world.nodes.values():
        node.start()
    while len(views) < len(up) or len(set(views.values())) > 1 or next(iter(views.values()))[1] is None:
        assert env.now < PATIENCE_S, "nobody was elected"
        env.run(until=env.now + LOOK_S)
    return office[next(iter(views.values()))[0]]
