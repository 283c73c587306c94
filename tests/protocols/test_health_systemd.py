"""A unit of systemd: starting, watchdog, stopping, restarting, giving up, by its manual and by its counter."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ticking import Ticking

from hasim.errors import ModelError
from hasim.protocols.health import (
    ContainerDied,
    ProcessAlive,
    ProcessEnded,
    ProcessReady,
    SystemdRestart,
    SystemdService,
    SystemdUnit,
)


def booted(**settings: Any) -> Ticking:
    """A unit that has just been started."""
    ticking = Ticking(0)
    ticking.boot("unit", SystemdUnit(SystemdService(**settings), "app"))
    return ticking


def said(ticking: Ticking) -> list[tuple[float, str]]:
    """What the unit announced: when, and what with the signal or the reason."""
    found = []
    for fact in ticking.facts:
        assert isinstance(fact.detail, dict) and fact.detail["unit"] == "app"
        words = [fact.kind, *(fact.detail[key] for key in ("signal", "why") if key in fact.detail)]
        found.append((round(fact.at, 9), " ".join(words)))
    return found


def tell(ticking: Ticking, at: float, command: object) -> None:
    ticking.run(at)
    ticking.propose("unit", command)


def test_a_process_that_dies_at_once_is_started_five_times_and_given_up() -> None:
    ticking = booted()
    for n in range(5):
        tell(ticking, n * 0.1, ProcessEnded("code"))
    ticking.run(1000.0)
    starts = [(round(n * 0.1, 9), "start") for n in range(5)]
    assert said(ticking) == [*starts, (0.5, "dead start-limit-hit")]


@pytest.mark.parametrize(
    "lives", [[0.0] * 9, [1.9] * 9, [2.0] * 9, [0.0, 5.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0], [11.0] * 9]
)
def test_the_unit_starts_when_the_counter_says(lives: list[float]) -> None:
    ticking = booted()
    count = SystemdRestart().counting()
    began, expected = 0.0, [0.0]
    for life in lives:
        tell(ticking, began + life, ProcessEnded("signal"))
        wait = count.delay(began, began + life)
        ticking.run(began + life + 0.2 if wait == math.inf else began + life + wait)
        if wait == math.inf:
            break
        began = began + life + wait
        expected.append(began)
    assert [at for at, what in said(ticking) if what == "start"] == pytest.approx(expected)
    assert (said(ticking)[-1][1] == "dead start-limit-hit") == (wait == math.inf)


def test_a_person_starts_it_again_once_the_window_is_over() -> None:
    ticking = booted(restart={"burst": 1, "window": "10s"})
    tell(ticking, 1.0, ProcessEnded("code"))
    ticking.run(5.0)
    ticking.boot("unit", ticking.machines["unit"])
    assert said(ticking)[1:] == [(1.1, "dead start-limit-hit"), (5.0, "dead start-limit-hit")]
    ticking.run(11.0)
    ticking.boot("unit", ticking.machines["unit"])
    assert said(ticking)[-1] == (11.0, "start")


def test_a_start_that_takes_too_long_is_ended_by_force_and_tried_again() -> None:
    ticking = booted()
    ticking.run(179.0)
    assert said(ticking) == [(0.0, "start"), (90.0, "signal SIGTERM start timeout")]
    ticking.run(500.0)
    assert said(ticking)[2:] == [(180.0, "signal SIGKILL stop timeout")], "and even that is waited for"
    tell(ticking, 500.0, ProcessEnded("signal"))
    ticking.run(501.0)
    assert said(ticking)[-1] == (500.1, "start")


@pytest.mark.parametrize(("condition", "again"), [("on-failure", True), ("on-abnormal", True), ("on-abort", False)])
def test_what_was_killed_for_its_slow_start_counts_as_a_timeout_not_as_a_signal(condition: str, again: bool) -> None:
    ticking = booted(restart={"restart": condition})
    tell(ticking, 91.0, ProcessEnded("signal"))
    ticking.run(92.0)
    assert said(ticking)[-1] == ((91.1, "start") if again else (91.0, "dead timeout"))


def test_a_watchdog_kills_a_process_that_falls_silent_and_counts_from_when_it_is_ready() -> None:
    ticking = booted(watchdog="10s", restart={"restart": "on-watchdog"})
    tell(ticking, 30.0, ProcessReady())
    for n in range(1, 7):
        tell(ticking, 30.0 + 5.0 * n, ProcessAlive())
    ticking.run(71.0)
    assert said(ticking) == [(0.0, "start"), (70.0, "signal SIGABRT watchdog")]
    tell(ticking, 71.0, ProcessAlive())  # too late
    tell(ticking, 72.0, ProcessEnded("signal"))
    tell(ticking, 80.0, ProcessReady())  # and hangs at once
    ticking.run(1000.0)
    expected = [(72.1, "start"), (90.0, "signal SIGABRT watchdog"), (180.0, "signal SIGKILL stop timeout")]
    assert said(ticking)[2:] == expected


@pytest.mark.parametrize(
    ("condition", "cause", "again"),
    [("always", "clean", True), ("on-failure", "clean", False), ("on-success", "clean", True), ("no", "code", False)],
)
def test_a_process_that_ends_is_started_again_if_the_manual_says_so(condition: str, cause: Any, again: bool) -> None:
    ticking = booted(restart={"restart": condition})
    tell(ticking, 1.0, ProcessReady())
    tell(ticking, 20.0, ProcessEnded(cause))
    ticking.run(200.0)
    expected = [(20.1, "start"), (110.1, "signal SIGTERM start timeout")] if again else [(20.0, f"dead {cause}")]
    assert said(ticking)[1:3] == expected


def test_a_unit_that_is_asked_to_stop_is_not_started_again() -> None:
    ticking = booted()
    tell(ticking, 1.0, ProcessReady())
    ticking.run(50.0)
    ticking.stop("unit")
    ticking.stop("unit")  # whoever asks twice changes nothing
    ticking.run(141.0)
    tell(ticking, 141.0, ProcessEnded("signal"))
    assert "unit" not in ticking.machines
    expected = [
        (50.0, "signal SIGTERM asked to stop"),
        (140.0, "signal SIGKILL stop timeout"),
        (141.0, "dead asked to stop"),
    ]
    assert said(ticking)[1:] == expected


def test_a_unit_that_waits_for_its_restart_stops_at_once() -> None:
    ticking = booted(restart={"wait": "10s"})
    tell(ticking, 1.0, ProcessEnded("code"))
    ticking.run(5.0)
    ticking.stop("unit")
    ticking.run(100.0)
    assert said(ticking) == [(0.0, "start"), (5.0, "dead asked to stop")]


def test_no_timeout_at_all_is_for_ever() -> None:
    ticking = booted(start_timeout="0s", stop_timeout="0s")
    ticking.run(1e6)
    assert said(ticking) == [(0.0, "start")]
    tell(ticking, 1e6, ProcessReady())
    ticking.stop("unit")
    ticking.run(2e6)
    assert said(ticking)[1:] == [(1e6, "signal SIGTERM asked to stop")]


def test_news_that_comes_twice_or_too_late_changes_nothing() -> None:
    ticking = booted(watchdog="10s")
    tell(ticking, 0.0, ProcessAlive())  # not ready yet: no watchdog
    ticking.run(80.0)
    tell(ticking, 80.0, ProcessEnded("code"))
    tell(ticking, 80.0, ProcessEnded("code"))
    tell(ticking, 80.05, ProcessReady())
    ticking.run(95.0)
    assert said(ticking) == [(0.0, "start"), (80.1, "start")]
    ticking.boot("unit", ticking.machines["unit"])  # a start of what starts already
    assert len(said(ticking)) == 2


def test_what_a_unit_does_not_understand_is_named() -> None:
    ticking = booted()
    with pytest.raises(TypeError, match="a unit takes ProcessReady, ProcessAlive and ProcessEnded"):
        ticking.propose("unit", ContainerDied())
    with pytest.raises(ModelError, match=r"restart\.restart: got 'sometimes'"):
        SystemdService(restart={"restart": "sometimes"})
