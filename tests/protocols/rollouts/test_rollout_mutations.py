"""Bugs planted into rollouts: each is convicted by what its strategy promises, and nobody is without the bug."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import rollout_promises as promises
from rollout_play import Play

from hasim.machine import Effect, Send
from hasim.protocols.api import Delete
from hasim.protocols.reconcile import daemon_sets, deployments, stateful_sets
from hasim.protocols.reconcile.objects import Pod
from hasim.protocols.rollout import (
    BlueGreenRollout,
    CanaryRollout,
    DaemonRollout,
    DeploymentRollout,
    InPlaceRollout,
    Leave,
    Pause,
    Resume,
    RollBack,
    Rollout,
    StatefulRollout,
    WindowRollout,
)

Patch = pytest.MonkeyPatch
SIX = ("a", "b", "c", "d", "e", "f")


# --------------------------------------------------------------------------------------------- the bugs


def nobody_waits_for_readiness(patch: Patch) -> None:
    """What should follow when pods are available follows as soon as anything is heard of one."""

    def once_available(
        rollout: Rollout, names: Sequence[str], now: float, then: Callable[[], list[Effect]]
    ) -> list[Effect]:
        return then()

    patch.setattr(Rollout, "once_available", once_available)


def ready_is_available(patch: Patch) -> None:
    """The shortest time for which a pod must be ready is forgotten."""
    sound = Rollout.once_available

    def once_available(rollout: Rollout, *given: Any) -> list[Effect]:
        kept, rollout.min_ready = rollout.min_ready, 0.0
        effects = sound(rollout, *given)
        rollout.min_ready = kept
        return effects

    patch.setattr(Rollout, "once_available", once_available)


def green_is_not_looked_at_again(patch: Patch) -> None:
    """The tests are over, and so requests are switched."""
    patch.setattr(BlueGreenRollout, "_tested", lambda rollout, now: rollout._switch())


def blue_goes_with_the_rollback(patch: Patch) -> None:
    """A rollback lets all pods go that are there, and starts blue anew."""
    sound = BlueGreenRollout.rolled_back

    def rolled_back(rollout: BlueGreenRollout, now: float) -> list[Effect]:
        return [*rollout.leave(rollout.staying("v1")), *sound(rollout, now)]

    patch.setattr(BlueGreenRollout, "rolled_back", rolled_back)


def names_are_counted_and_not_looked_up(patch: Patch) -> None:
    """The first pod of a version is number one, whoever has that name."""
    patch.setattr(Rollout, "_new_name", lambda rollout, version: f"{version}/1")


def the_surge_is_one_more(patch: Patch) -> None:
    """One pod more than the surge allows."""
    sound = deployments.resolve

    def resolve(surge: str | int, unavailable: str | int, replicas: int) -> tuple[int, int]:
        above, below = sound(surge, unavailable, replicas)
        return above + 1, below

    patch.setattr(deployments, "resolve", resolve)


def new_pods_count_before_they_are_ready(patch: Patch) -> None:
    """As many old pods go as new ones have been begun."""
    patch.setattr(deployments, "_wait", lambda pod, replica_set, now: 0.0)


def the_lowest_ordinal_goes_first(patch: Patch) -> None:
    """A StatefulSet is updated from the first pod on."""

    def update(found: Any) -> list[Any]:
        wanted = found.stateful_set.template
        old = [pod for pod in found.wanted.values() if pod.template != wanted and pod.deleted is None]
        return [Delete(Pod, min(pod.name for pod in old))] if old and found.complete else []

    patch.setattr(stateful_sets, "_update", update)


def one_more_node_may_be_without_a_pod(patch: Patch) -> None:
    """The bound of a DaemonSet is not the one that was given."""
    sound = daemon_sets.daemon_bounds
    patch.setattr(daemon_sets, "daemon_bounds", lambda daemon_set, nodes: (0, sound(daemon_set, nodes)[1] + 1))


def only_the_batch_at_hand_is_rolled_back(patch: Patch) -> None:
    """What was replaced before keeps the new version."""
    sound = InPlaceRollout.rolled_back

    def rolled_back(rollout: InPlaceRollout, now: float) -> list[Effect]:
        for name in rollout.initial:
            if name not in rollout._now:
                rollout.pods[name].version = "v1"
        return sound(rollout, now)

    patch.setattr(InPlaceRollout, "rolled_back", rolled_back)


def a_resumption_takes_the_next_batch(patch: Patch) -> None:
    """Whoever goes on begins another batch, whatever goes on already or is over."""
    sound = InPlaceRollout.commanded

    def commanded(rollout: InPlaceRollout, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Resume):
            rollout._paused = False
            return rollout._next()
        return sound(rollout, command, now)

    patch.setattr(InPlaceRollout, "commanded", commanded)


def checks_fail_for_ever(patch: Patch) -> None:
    """A server that had its notice gets no end of it."""
    sound = Rollout.warn
    patch.setattr(Rollout, "warn", lambda rollout, names, on: sound(rollout, names, on) if on else [])


def pods_are_asked_to_leave_again(patch: Patch) -> None:
    """Nobody remembers who was asked to leave."""

    def leave(rollout: Rollout, names: Sequence[str]) -> list[Effect]:
        effects: list[Effect] = []
        for name in names:
            rollout.pods[name].leaving = True
            effects.append(Send(name, Leave()))
        return effects

    patch.setattr(Rollout, "leave", leave)


def the_notice_goes_when_it_was_announced_to(patch: Patch) -> None:
    """A window is closed when its time is over, whoever is ready."""
    patch.setattr(WindowRollout, "_close_if_ready", lambda rollout, now: [] if rollout._planned else rollout._close())


def canaries_come_all_at_once(patch: Patch) -> None:
    """The first step has as many canaries as the last."""
    patch.setattr("hasim.protocols.rollout.canary.canaries", lambda share, replicas: replicas)


def canaries_stay_for_good(patch: Patch) -> None:
    """The rollout is over when all others are replaced."""
    patch.setattr(CanaryRollout, "_ended", lambda rollout: rollout.over())


# ------------------------------------------------------------------------------------------- the stories


def played(
    make: Callable[[], Rollout], watch: promises.Watch, wanted: str = "v2", **more: Any
) -> Callable[[Callable[[Play], Any]], Callable[[], None]]:
    """A story of what happens to a rollout, which must end, once, with all pods of one version."""

    def story(happens: Callable[[Play], Any]) -> Callable[[], None]:
        def tell() -> None:
            play = Play(make(), watch=[watch], **more)
            happens(play)
            play.run(5000.0)
            assert play.ends().count("rolled out") <= 1
            assert play.ends()[-1:] == ["rolled out" if wanted == "v2" else "rolled back"]
            assert play.versions() == {wanted: len(play.machine.initial)}
            assert not play.warned

        return tell

    return story


def blue_green(*blue: str, **settings: Any) -> Callable[[], Rollout]:
    return lambda: BlueGreenRollout("v1", "v2", blue or SIX, **settings)


def in_place(**settings: Any) -> Callable[[], Rollout]:
    return lambda: InPlaceRollout("v1", "v2", SIX, batch=2, **settings)


def nothing(play: Play) -> None:
    """All goes well."""


STEPS = [(0.2, 30.0), (0.5, 30.0)]


def slow(name: str, version: str) -> float:
    """One pod takes longer than the others."""
    return 25.0 if name.endswith(("1", "a")) else 10.0


MUTATIONS: list[tuple[Callable[[Patch], None], Callable[[], Callable[[], None]]]] = [
    (nobody_waits_for_readiness, lambda: played(blue_green(), promises.blue_green(6, True), starts=slow)(nothing)),
    (nobody_waits_for_readiness, lambda: played(in_place(), promises.in_place(6, 2), starts=slow)(nothing)),
    (ready_is_available, lambda: played(blue_green(min_ready=9.0), promises.blue_green(6, True))(nothing)),
    (
        green_is_not_looked_at_again,
        lambda: played(blue_green(tests=20.0), promises.blue_green(6, True))(lambda play: play.crash(25, "v2/3", 30.0)),
    ),
    (
        blue_goes_with_the_rollback,
        lambda: played(blue_green(), promises.blue_green(6, True), "v1")(lambda play: play.order(5, RollBack())),
    ),
    (
        names_are_counted_and_not_looked_up,
        lambda: played(blue_green("v1/1", keep=6.0), promises.blue_green(1, True), "v1")(
            lambda play: play.order(18, RollBack())
        ),
    ),
    (
        the_surge_is_one_more,
        lambda: played(lambda: DeploymentRollout("v1", "v2", SIX, 2, 1), promises.deployment(6, 2, 1))(nothing),
    ),
    (
        new_pods_count_before_they_are_ready,
        lambda: played(lambda: DeploymentRollout("v1", "v2", SIX, 2, 1), promises.deployment(6, 2, 1))(nothing),
    ),
    (
        the_lowest_ordinal_goes_first,
        lambda: played(lambda: StatefulRollout("v1", "v2", 4), promises.ordered(4, 0))(nothing),
    ),
    (
        one_more_node_may_be_without_a_pod,
        lambda: played(lambda: DaemonRollout("v1", "v2", SIX, 2), promises.per_node(6, 0, 2))(nothing),
    ),
    (
        only_the_batch_at_hand_is_rolled_back,
        lambda: played(in_place(), promises.in_place(6, 2), "v1")(lambda play: play.order(20, RollBack())),
    ),
    (
        a_resumption_takes_the_next_batch,
        lambda: played(in_place(), promises.in_place(6, 2))(lambda play: play.order(7, Pause()).order(8, Resume())),
    ),
    (
        a_resumption_takes_the_next_batch,
        lambda: played(in_place(), promises.in_place(6, 2))(lambda play: play.order(90, Pause()).order(99, Resume())),
    ),
    (checks_fail_for_ever, lambda: played(in_place(notice=3.0), promises.in_place(6, 2))(nothing)),
    (
        pods_are_asked_to_leave_again,
        lambda: played(lambda: WindowRollout("v1", "v2", SIX, 60.0), promises.window(60.0), "v1")(
            lambda play: play.order(2, RollBack())
        ),
    ),
    (
        the_notice_goes_when_it_was_announced_to,
        lambda: played(lambda: WindowRollout("v1", "v2", SIX, 12.0), promises.window(12.0))(nothing),
    ),
    (
        nobody_waits_for_readiness,
        lambda: played(lambda: CanaryRollout("v1", "v2", SIX, STEPS), promises.canary(6, STEPS, True), starts=slow)(
            nothing
        ),
    ),
    (
        canaries_come_all_at_once,
        lambda: played(lambda: CanaryRollout("v1", "v2", SIX, STEPS), promises.canary(6, STEPS, True))(nothing),
    ),
    (
        canaries_stay_for_good,
        lambda: played(lambda: CanaryRollout("v1", "v2", SIX, STEPS), promises.canary(6, STEPS, True))(nothing),
    ),
]


@pytest.mark.parametrize(
    ("plant", "story"), MUTATIONS, ids=[f"{n}-{plant.__name__}" for n, (plant, _) in enumerate(MUTATIONS)]
)
def test_a_planted_bug_is_convicted_and_nobody_is_without_it(
    plant: Callable[[Patch], None], story: Callable[[], Callable[[], None]]
) -> None:
    story()()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        with pytest.raises(AssertionError):
            story()()
