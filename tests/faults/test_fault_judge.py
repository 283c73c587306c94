"""The judge of faults convicts every way of being a bad one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from hasim.faults import DROP, PASS, Copies, Delays, Draw, Script, Verdict, World
from hasim.testing import check_fault

Play = Callable[[World], Script]


@dataclass(frozen=True)
class Scripted:
    """A fault whose script is a function."""

    play: Play
    targets: tuple[str, ...] = ("n1", "n2")

    def script(self, world: World) -> Script:
        return self.play(world)


def good(world: World) -> Script:
    yield 1.0
    with world.paused("n1"):
        yield 1.0


def never_heals(world: World) -> Script:
    yield 1.0
    world.paused("n1").__enter__()
    yield 1.0


def heals_only_when_nobody_stops_it(world: World) -> Script:
    yield 1.0
    held = world.paused("n1")
    held.__enter__()
    yield 1.0
    held.__exit__(None, None, None)


def does_nothing(world: World) -> Script:
    yield 1.0


def lasts_no_time(world: World) -> Script:
    yield 1.0
    with world.paused("n1"):
        pass
    yield 1.0


def rules_nothing(world: World) -> Script:
    with world.rule(lambda src, dst, draw: PASS):
        yield 1.0


def runs_a_clock_right(world: World) -> Script:
    with world.clock_rate("n1", 1.0):
        yield 1.0


def goes_back_in_time(world: World) -> Script:
    with world.paused("n1"):
        yield -1.0


def waits_for_no_number(world: World) -> Script:
    with world.paused("n1"):
        yield float("nan")


def goes_on_for_ever(world: World) -> Script:
    while True:
        with world.paused("n1"):
            yield 1.0


def hits_a_stranger(world: World) -> Script:
    with world.paused("n7"):
        yield 1.0


def cuts_everything(world: World) -> Script:
    with world.rule(lambda src, dst, draw: DROP):
        yield 1.0


def no_durations(world: World) -> Script:
    class Negative:
        def draw(self, rng: Draw, size: int, /) -> object:
            import numpy as np

            return np.full(size, -1.0)

    with world.slow_disk("n1", Negative()):  # type: ignore[arg-type]
        yield 1.0


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (never_heals, "it does not heal at its end: n1 paused is left"),
        (heals_only_when_nobody_stops_it, "it does not heal when it is stopped in step 2"),
        (does_nothing, "it leaves no mark"),
        (lasts_no_time, "it leaves no mark"),
        (rules_nothing, "it leaves no mark"),
        (runs_a_clock_right, "it leaves no mark"),
        (goes_back_in_time, "its script yields -1.0"),
        (waits_for_no_number, "its script yields nan"),
        (goes_on_for_ever, "its script has no end"),
        (hits_a_stranger, "it acts on 'n7', which is not among its targets"),
        (cuts_everything, "from bystander-1 to bystander-2, none of which is among its targets"),
        (no_durations, "its delays are no durations"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_fault_is_convicted(play: Play, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_fault(Scripted(play))


def test_a_good_fault_is_acquitted() -> None:
    check_fault(Scripted(good))


def test_a_fault_without_targets_is_convicted() -> None:
    with pytest.raises(AssertionError, match="it has no targets"):
        check_fault(Scripted(good, targets=()))


@dataclass(frozen=True)
class Forgetful:
    """Pauses another target each time it is played."""

    targets: tuple[str, ...] = ("n1", "n2")
    turns: Iterator[int] = field(default_factory=count)

    def script(self, world: World) -> Script:
        with world.paused(self.targets[next(self.turns) % 2]):
            yield 1.0


def test_a_fault_that_remembers_its_last_run_is_convicted() -> None:
    with pytest.raises(AssertionError, match=r"it does not replay: first .*n1 paused.*then .*n2 paused"):
        check_fault(Forgetful())


@dataclass(frozen=True)
class Unseeded:
    """A rule whose chance does not come from the world."""

    targets: tuple[str, ...] = ("n1", "n2")
    luck: Iterator[int] = field(default_factory=count)

    def script(self, world: World) -> Script:
        def rule(src: str, dst: str, draw: Draw) -> Verdict:
            return Copies(2) if next(self.luck) % 7 == 0 and src == "n1" else PASS

        with world.rule(rule):
            yield 1.0


def test_a_rule_with_a_chance_of_its_own_is_convicted() -> None:
    with pytest.raises(AssertionError, match="it does not replay"):
        check_fault(Unseeded())


def test_any_law_has_the_delays_that_faults_draw_from() -> None:
    from hasim.model.laws import Fixed

    assert isinstance(Fixed(value="1s"), Delays)
