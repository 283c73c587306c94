"""Whatever the settings, the times, the failures and the moment of a rollback: it ends, once, as it promises."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import rollout_promises as promises
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_play import Play, replays

from hasim.protocols.reconcile.rolling import resolve
from hasim.protocols.rollout import (
    BlueGreenRollout,
    CanaryRollout,
    DaemonRollout,
    DeploymentRollout,
    InPlaceRollout,
    Pause,
    Resume,
    RollBack,
    Rollout,
    StatefulRollout,
    WindowRollout,
)

TIMES = st.sampled_from([0.0, 1.0, 2.0, 5.0, 10.0, 7.3])
MOMENTS = st.one_of(st.integers(0, 60).map(float), st.floats(0, 200))
REPLICAS = st.integers(1, 6)


@dataclass
class Fate:
    """What happens to a rollout: how long pods take, which fail and when, and what people do."""

    starts: list[float]
    drains: list[float]
    back: float | None = None
    never: bool = False  # whether new pods never get ready, until a rollback
    crashes: list[tuple[float, int]] = field(default_factory=list)
    paused: tuple[float, float] | None = None
    fork: int = 0

    def starting(self, name: str, version: str) -> float | None:
        return None if self.never and version == "v2" else _pick(self.starts, name + version)

    def draining(self, name: str, version: str) -> float:
        return _pick(self.drains, version + name)


def _pick(among: Sequence[float], text: str) -> float:
    return among[zlib.crc32(text.encode()) % len(among)]


@st.composite
def fates(draw: st.DrawFn, pausable: bool = False) -> Fate:
    back = draw(st.one_of(st.none(), MOMENTS))
    return Fate(
        draw(st.lists(TIMES, min_size=1, max_size=3)),
        draw(st.lists(TIMES, min_size=1, max_size=3)),
        back,
        draw(st.booleans()) if back is not None else False,
        draw(st.one_of(st.just([]), st.lists(st.tuples(MOMENTS, st.integers(0, 20)), max_size=3))),
        draw(st.one_of(st.none(), st.tuples(MOMENTS, st.just(250.0)))) if pausable else None,
        draw(st.integers(0, 12)),
    )


def names(replicas: int) -> list[str]:
    return [f"w{number}" for number in range(1, replicas + 1)]


def lived(make: Callable[[], Rollout], fate: Fate, watch: promises.Watch, kept: int = 0) -> Play:
    """Play it to the end, and judge the end; `kept` pods keep the old version."""
    play = Play(make(), fate.starting, fate.draining, [watch])
    replicas = len(play.machine.initial)
    if fate.back is not None:
        play.order(fate.back, RollBack())
    if fate.paused is not None:
        play.order(fate.paused[0], Pause()).order(fate.paused[1], Resume())
    for time, number in fate.crashes:
        play.crash(time, number)
    play.run()
    ended = play.ends()
    assert ended in ([["rolled out"]] if fate.back is None else [["rolled back"], ["rolled out", "rolled back"]])
    wanted = "v2" if fate.back is None else "v1"
    assert sorted(play.versions().items()) == [(v, n) for v, n in (("v1", kept), (wanted, replicas - kept)) if n]
    assert len(play.up()) == replicas
    assert not play.warned
    assert not play.notice
    replays(play, make(), fate.fork)
    return play


BOUND = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"]))
MIN_READY = st.sampled_from([0.0, 0.0, 4.0])


@settings(max_examples=150, deadline=None)
@given(replicas=REPLICAS, surge=BOUND, unavailable=BOUND, min_ready=MIN_READY, fate=fates(pausable=True))
def test_a_rolling_update(
    replicas: int, surge: int | str, unavailable: int | str, min_ready: float, fate: Fate
) -> None:
    watch = promises.deployment(replicas, *resolve(surge, unavailable, replicas))
    lived(lambda: DeploymentRollout("v1", "v2", names(replicas), surge, unavailable, min_ready), fate, watch)


@settings(max_examples=60, deadline=None)
@given(replicas=REPLICAS, min_ready=MIN_READY, fate=fates())
def test_a_recreation(replicas: int, min_ready: float, fate: Fate) -> None:
    def make() -> Rollout:
        return DeploymentRollout("v1", "v2", names(replicas), min_ready=min_ready, recreate=True)

    lived(make, fate, promises.recreated(replicas))


@settings(max_examples=80, deadline=None)
@given(replicas=REPLICAS, partition=st.integers(0, 3), fate=fates())
def test_an_ordered_update(replicas: int, partition: int, fate: Fate) -> None:
    kept = min(partition, replicas) if fate.back is None else 0
    make = lambda: StatefulRollout("v1", "v2", replicas, partition, repairs=True)  # noqa: E731
    lived(make, fate, promises.ordered(replicas, partition), kept)


@settings(max_examples=80, deadline=None)
@given(
    replicas=REPLICAS,
    bound=st.sampled_from([1, 2, 3, "40%", "100%"]),
    up=st.booleans(),
    min_ready=MIN_READY,
    fate=fates(),
)
def test_a_daemon_set(replicas: int, bound: int | str, up: bool, min_ready: float, fate: Fate) -> None:
    surge, unavailable = (bound, 0) if up else (0, bound)
    pods = resolve(bound, 1, replicas)[0]
    watch = promises.per_node(replicas, *((pods, 0) if up else (0, pods)))
    lived(lambda: DaemonRollout("v1", "v2", names(replicas), unavailable, surge, min_ready), fate, watch)


@settings(max_examples=150, deadline=None)
@given(
    replicas=REPLICAS,
    batch=st.integers(1, 7),
    notice=st.sampled_from([0.0, 3.0]),
    pause=st.sampled_from([0.0, 6.0]),
    min_ready=MIN_READY,
    deadline=st.sampled_from([None, 8.0]),
    fate=fates(pausable=True),
)
def test_in_place(
    replicas: int, batch: int, notice: float, pause: float, min_ready: float, deadline: float | None, fate: Fate
) -> None:
    def make() -> Rollout:
        return InPlaceRollout("v1", "v2", names(replicas), batch, notice, pause, min_ready, deadline)

    lived(make, fate, promises.in_place(replicas, batch))


@settings(max_examples=150, deadline=None)
@given(
    replicas=REPLICAS,
    warm=TIMES,
    tests=TIMES,
    keep=st.sampled_from([0.0, 20.0]),
    min_ready=MIN_READY,
    waits=st.booleans(),
    deadline=st.sampled_from([None, 8.0]),
    fate=fates(),
)
def test_blue_green(
    replicas: int,
    warm: float,
    tests: float,
    keep: float,
    min_ready: float,
    waits: bool,
    deadline: float | None,
    fate: Fate,
) -> None:
    def make() -> Rollout:
        return BlueGreenRollout("v1", "v2", names(replicas), warm, tests, keep, min_ready, waits, deadline)

    lived(make, fate, promises.blue_green(replicas, waits))


STEPS = st.lists(
    st.tuples(st.sampled_from([0.05, 0.2, 0.5, 1.0]), st.sampled_from([5.0, 20.0])), min_size=1, max_size=3
)


@settings(max_examples=150, deadline=None)
@given(
    replicas=REPLICAS, steps=STEPS.map(sorted), weighted=st.booleans(), min_ready=MIN_READY, fate=fates(pausable=True)
)
def test_a_canary(
    replicas: int, steps: list[tuple[float, float]], weighted: bool, min_ready: float, fate: Fate
) -> None:
    def make() -> Rollout:
        return CanaryRollout("v1", "v2", names(replicas), steps, weighted, 1, 0, min_ready, deadline=8.0)

    lived(make, fate, promises.canary(replicas, steps, weighted))


@settings(max_examples=100, deadline=None)
@given(replicas=REPLICAS, lasting=st.sampled_from([10.0, 60.0]), work=TIMES, min_ready=MIN_READY, fate=fates())
def test_a_window(replicas: int, lasting: float, work: float, min_ready: float, fate: Fate) -> None:
    make = lambda: WindowRollout("v1", "v2", names(replicas), lasting, work, min_ready)  # noqa: E731
    lived(make, fate, promises.window(lasting))
