"""Where rollouts come to rest whose pods never get ready, and how long they take where that is exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_play import Play

from hasim.protocols.rollout import (
    BlueGreenRollout,
    CanaryRollout,
    DaemonRollout,
    DeploymentRollout,
    InPlaceRollout,
    RollBack,
    Rollout,
    StatefulRollout,
    WindowRollout,
)

START, DRAIN = 10.0, 4.0  # seconds


def names(replicas: int) -> list[str]:
    return [f"w{number}" for number in range(replicas)]


def never(name: str, version: str) -> float | None:
    return None if version == "v2" else START


def rest(replicas: int, surge: int, unavailable: int) -> tuple[int, int]:
    """Old and new where nothing moves: pods are added and taken away one by one, as long as the two bounds let them."""
    most, least = replicas + surge, replicas - max(unavailable, int(not surge))
    old, new = replicas, 0
    while True:
        if old + new < most and new < replicas:
            new += 1
        elif old > max(least, 0):  # only old ones serve
            old -= 1
        else:
            return old, new


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "old", "new"), [(10, 3, 2, 8, 5), (3, 1, 0, 3, 1), (1, 1, 0, 1, 1)]
)
def test_where_kubernetes_rests(replicas: int, surge: int, unavailable: int, old: int, new: int) -> None:
    play = Play(DeploymentRollout("v1", "v2", names(replicas), surge, unavailable), never).run()
    assert (len(play.staying("v1")), len(play.staying("v2"))) == (old, new) == rest(replicas, surge, unavailable)
    assert play.when("progress deadline exceeded") == [601.0]
    assert play.ends() == []


@pytest.mark.parametrize("replicas", range(31))
def test_where_rollouts_rest_whose_pods_never_get_ready(replicas: int) -> None:
    for surge in range(6):
        for unavailable in range(6):
            machine = DeploymentRollout("v1", "v2", names(replicas), surge, unavailable)
            play = Play(machine, never, DRAIN).run(100.0)
            bounds = surge, unavailable
            assert (len(play.staying("v1")), len(play.staying("v2"))) == rest(replicas, *bounds), bounds
            assert machine.sizes().get("v2", 0) == len(play.staying("v2"))


def waves(replicas: int, at_once: int) -> int:
    return math.ceil(replicas / at_once)


@settings(max_examples=80, deadline=None)
@given(
    replicas=st.integers(1, 30),
    surge=st.integers(0, 6),
    unavailable=st.integers(0, 6),
    min_ready=st.sampled_from([0.0, 7.0]),
    back=st.booleans(),
)
def test_a_rolling_update_takes_so_many_waves_and_the_way_back_as_many(
    replicas: int, surge: int, unavailable: int, min_ready: float, back: bool
) -> None:
    """Drains overlap with the next wave, since pods that leave are not counted."""
    machine = DeploymentRollout("v1", "v2", names(replicas), surge, unavailable, min_ready)
    play = Play(machine, START, DRAIN)
    if back:
        play.order(10_000.0, RollBack())
    play.run(20_000.0)
    length = waves(replicas, surge + min(unavailable or int(not surge), replicas)) * (START + min_ready)
    assert play.when("rolled out") == pytest.approx([length], abs=0.1)
    assert play.when("rolled back") == pytest.approx([10_000.0 + length] if back else [], abs=0.1)


@settings(max_examples=60, deadline=None)
@given(replicas=st.integers(1, 15), at_once=st.integers(1, 16), pause=st.sampled_from([0.0, 9.0]))
def test_the_others_take_as_long_as_their_steps(replicas: int, at_once: int, pause: float) -> None:
    steps = waves(replicas, at_once)
    turn = DRAIN + START
    some = names(replicas)
    lengths: list[tuple[Rollout, float]] = [
        (InPlaceRollout("v1", "v2", some, at_once, 3.0, pause), steps * (3.0 + turn) + (steps - 1) * pause),
        (DaemonRollout("v1", "v2", some, at_once), steps * turn),
        (DaemonRollout("v1", "v2", some, 0, at_once), steps * START),
        (StatefulRollout("v1", "v2", replicas), replicas * turn),
        (StatefulRollout("v1", "v2", replicas, at_once), max(replicas - at_once, 0) * turn),
        (DeploymentRollout("v1", "v2", some, recreate=True), turn),
        (BlueGreenRollout("v1", "v2", some, 1.0, 2.0, pause, 5.0), START + 5.0 + 1.0 + 2.0 + pause + DRAIN),
        (WindowRollout("v1", "v2", some, 3.0, pause), DRAIN + pause + START),
        (WindowRollout("v1", "v2", some, 300.0, pause), 300.0),
        (
            CanaryRollout("v1", "v2", some, [(0.01, 30.0), (1.0, 60.0)], True, at_once, 0),
            # One canary, then all; with one replica the second step needs no other.
            START + 30.0 + START * (replicas > 1) + 60.0 + steps * START + DRAIN,
        ),
    ]
    for machine, length in lengths:
        play = Play(machine, START, DRAIN).run()
        assert play.when("rolled out") == pytest.approx([length], abs=0.1), machine


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (lambda some: DeploymentRollout("v1", "v2", some), 2 * START),
        (lambda some: DeploymentRollout("v1", "v2", some, recreate=True), DRAIN + START),
        (lambda some: CanaryRollout("v1", "v2", some, [(0.1, 30.0)]), START + 30.0 + 2 * START + DRAIN),
        (lambda some: BlueGreenRollout("v1", "v2", some), START + DRAIN),
        (lambda some: InPlaceRollout("v1", "v2", some, 10), 100 * (DRAIN + START)),
        (lambda some: WindowRollout("v1", "v2", some, 1.0), DRAIN + START),
    ],
    ids=["rolling", "recreate", "canary", "blue-green", "in place", "window"],
)
def test_a_thousand_pods(make: Callable[[list[str]], Rollout], length: float) -> None:
    play = Play(make(names(1000)), START, DRAIN).run()
    assert play.when("rolled out") == pytest.approx([length], abs=0.1)
    assert play.versions() == {"v2": 1000}


def test_many_nodes_and_many_ordinals() -> None:
    play = Play(DaemonRollout("v1", "v2", names(200), "10%"), START, DRAIN).run()
    assert play.when("rolled out") == [10 * (DRAIN + START)]
    play = Play(StatefulRollout("v1", "v2", 200), START, DRAIN).run()
    assert play.when("rolled out") == [200 * (DRAIN + START)]
