"""What each strategy promises, as watchers of a play: they look at what is there, never into the rollout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rollout_play import Play

from hasim.protocols.rollout import DeploymentRollout

Watch = Callable[[Play], None]
SLACK_S = 1e-5
"""Timers for a computed instant are set a little later."""


def deployment(replicas: int, surge: int, unavailable: int) -> Watch:
    """Never more asked for than replicas and surge, never fewer serve than may be missing, if nobody fails."""

    def look(play: Play) -> None:
        machine = play.machine
        assert isinstance(machine, DeploymentRollout)
        assert sum(machine.sizes().values()) <= replicas + surge
        assert len(play.staying()) <= replicas + surge
        # On the way back a set that shrinks does not know which of its pods are available, only which are ready.
        exact = machine.min_ready == 0.0 or machine.target == machine.new
        assert play.disturbed or len(play.available()) >= replicas - unavailable or not exact

    return look


def recreated(replicas: int) -> Watch:
    """No two versions at once, unless somebody pauses it (a story tells of that)."""

    def look(play: Play) -> None:
        assert len(play.versions()) <= 1
        assert len(play.staying()) <= replicas

    return look


def in_place(replicas: int, batch: int) -> Watch:
    """Never more than a batch away or about to go, and each server in its place."""

    def look(play: Play) -> None:
        assert play.pods.keys() <= set(play.machine.initial)
        away = {name for name in play.machine.initial if name not in play.up()}
        assert play.disturbed or len(away | play.warned) <= batch
        if play.ends() and play.ends()[-1] == ("rolled out" if play.machine.target == "v2" else "rolled back"):
            assert not play.warned

    return look


def ordered(replicas: int, partition: int) -> Watch:
    """One at a time, from the last to the first, and none below the partition unless it fails."""
    gone: list[int] = []

    def look(play: Play) -> None:
        away = [name for name in play.machine.initial if name not in play.up()]
        assert play.disturbed or len(away) <= 1
        leaving = [int(name.rpartition("-")[2]) for name, pod in play.pods.items() if pod.leaving]
        assert all(ordinal >= partition for ordinal in leaving)
        if play.machine.target == play.machine.new and not play.disturbed:
            gone.extend(ordinal for ordinal in leaving if ordinal not in gone[-1:])
            assert gone == sorted(set(gone), reverse=True)

    return look


def per_node(replicas: int, surge: int, unavailable: int) -> Watch:
    """Without surge at most so many places without a pod; with surge none, and at most so many pods on top."""

    def look(play: Play) -> None:
        served = {name.partition("/")[0] for name in play.up()}
        assert play.disturbed or len(served) >= replicas - unavailable
        assert len(play.staying()) <= replicas + surge
        if not surge:
            assert play.pods.keys() <= set(play.machine.initial)

    return look


def blue_green(replicas: int, waits: bool) -> Watch:
    """The colour that is live has all its pods, at most two of each are paid for, and green is ready at the switch."""
    live = ["v1"]

    def look(play: Play) -> None:
        ((now_live, share),) = play.shares
        assert share == 1.0
        if now_live != live[-1]:
            live.append(now_live)
            if now_live == "v2" and waits:
                assert len(play.up("v2")) == replicas
                assert set(play.up("v2")) <= set(play.available())
        assert len(play.staying("v1")) <= replicas
        assert len(play.staying("v2")) <= replicas
        assert len(play.staying(now_live)) == replicas
        if waits or now_live == "v1":
            assert play.disturbed or len(play.up(now_live)) == replicas

    return look


def canary(replicas: int, steps: Sequence[tuple[float, float]], weighted: bool) -> Watch:
    """As many canaries as the step says, weights only for canaries that serve, and none at the end."""

    def look(play: Play) -> None:
        step = min(len(play.when("bake begun")), len(steps) - 1)
        mine = [name for name in play.staying() if name.startswith("canary/")]
        assert len(mine) <= max(math.ceil(steps[step][0] * replicas - 1e-9), 1)
        weights = dict(play.shares or ())
        assert weighted or not weights
        if weights.get("v2"):
            assert weights["v2"] == steps[len(play.when("bake begun")) - 1][0]
            assert play.disturbed or len(play.up("v2")) >= math.ceil(weights["v2"] * replicas - 1e-9)
        if play.ends() and play.ends()[-1] == ("rolled out" if play.machine.target == "v2" else "rolled back"):
            assert not [name for name in play.pods if name.startswith("canary/")]
            assert not weights

    return look


def window(lasting: float) -> Watch:
    """The notice is up while any server is missing on purpose, and then no longer than was announced."""

    def look(play: Play) -> None:
        there = [name for name in play.staying() if play.pods[name].up or name in play.broken]
        assert play.notice or len(there) == len(play.machine.initial)
        opened = max([*play.when("window open"), *play.when("rollback begun")])
        if play.notice and play.now > opened + lasting + SLACK_S:
            assert len(play.available()) < len(play.machine.initial)

    return look
