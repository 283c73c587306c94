"""The counter and the rhythm of HAProxy's checks, step by step and by brute force over all results."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from ticking import Target, Ticking

from hasim.errors import ModelError
from hasim.machine import Announce, CancelTimer, Exit, Fired, Received, Send, SetTimer, Started, Stopping, Unlinked
from hasim.protocols.health import Check, HealthCheck, Ping, Pong
from hasim.units import s

FULL = "fully-up"
LENGTH = 9  # of the sequences of results; longer than any rise + fall below


def after(checker: HealthCheck, *results: bool) -> list[tuple[bool, float]]:
    """Whether the server is up, and the wait set, after each of these results."""
    seen = []
    for ok in results:
        send, _ = checker.step(Fired("next"), 0.0)
        assert isinstance(send, Send)
        effects = checker.step(Received(checker.server, Pong(send.message.n, ok)), 0.0)
        (wait,) = (each for each in effects if isinstance(each, SetTimer))
        turned = [each.kind for each in effects if isinstance(each, Announce)]
        assert turned in ([], ["server up"], ["server down"])
        seen.append((checker.up, wait.low))
    return seen


@pytest.mark.parametrize(("rise", "fall"), [(1, 1), (2, 3), (3, 2), (1, 4), (4, 1)])
def test_it_turns_at_so_many_results_in_a_row_and_never_before(rise: int, fall: int) -> None:
    """All 2^9 sequences, against a reference that knows no counter: it looks back along the results."""
    check = Check(rise=rise, fall=fall, fast_interval=s(0.5), down_interval=s(7), initial=FULL)
    for results in product((True, False), repeat=LENGTH):
        up, run, last = True, 0, True
        expected = []
        for ok in results:
            run = run + 1 if ok is last else 1
            last = ok
            if up and not ok and run >= fall:
                up, run = False, fall
            elif not up and ok and run >= rise:
                up, run = True, rise
            settled = up is ok  # the last result says what is believed already
            expected.append((up, (2.0 if up else 7.0) if settled else 0.5))
        assert after(HealthCheck(check, "a"), *results) == expected, results


@pytest.mark.parametrize(
    ("initial", "result", "turns_after"),
    [("up", False, 1), (FULL, False, 3), ("down", True, 1), ("fully-down", True, 2)],
)
def test_a_fresh_server_turns_as_haproxys_init_state_says(initial: str, result: bool, turns_after: int) -> None:
    checker = HealthCheck(Check.model_validate({"initial": initial}), "a")
    before = checker.up
    seen = [up for up, _ in after(checker, *[result] * 4)]
    assert seen.index(not before) + 1 == turns_after


def test_a_server_begins_up_and_fully_down_if_told_so() -> None:
    assert HealthCheck(Check(), "a").up
    down = HealthCheck(Check(), "a", up=False)
    assert [up for up, _ in after(down, True, False, True, True)] == [False, False, False, True]


def test_a_check_that_times_out_is_given_up_and_its_late_answer_ignored() -> None:
    checker = HealthCheck(Check(fast_interval=s(0.1), initial=FULL), "a")
    assert checker.step(Started(), 0.0) == [SetTimer("next", 0.0, 2.0)]
    # The timeout stays the interval, while the wait is the fast one.
    assert checker.step(Fired("next"), 1.0) == [Send("a", Ping(1)), SetTimer("timeout", 2.0, 2.0)]
    assert checker.step(Fired("timeout"), 3.0) == [SetTimer("next", 0.1, 0.1)]
    assert checker.step(Received("a", Pong(1)), 3.05) == []
    assert checker.step(Fired("next"), 3.1) == [Send("a", Ping(2)), SetTimer("timeout", 2.0, 2.0)]
    assert checker.step(Received("a", Pong(1)), 3.2) == []
    assert checker.step(Received("b", Pong(2)), 3.2) == []
    answered = [CancelTimer("timeout"), SetTimer("next", 2.0, 2.0)]
    assert checker.step(Received("a", Pong(2)), 3.3) == answered
    assert checker.step(Received("a", Pong(2)), 3.3) == []


def test_a_turn_says_who_and_why() -> None:
    checker = HealthCheck(Check(fall=1), "a")
    checker.step(Fired("next"), 0.0)
    *_, said = checker.step(Unlinked("a"), 0.0)
    assert said == Announce("server down", {"server": "a", "why": "connection lost"})
    checker.step(Fired("next"), 0.0)
    assert checker.step(Unlinked("b"), 0.0) == []


def test_a_spread_moves_the_wait_and_not_the_timeout() -> None:
    checker = HealthCheck(Check(spread=0.2, timeout=s(5)), "a")
    assert checker.step(Fired("next"), 0.0)[1] == SetTimer("timeout", 5.0, 5.0)
    assert checker.step(Received("a", Pong(1)), 0.0)[1] == SetTimer("next", 1.6, 2.4)


def test_it_leaves_when_asked() -> None:
    effects = HealthCheck(Check(), "a").step(Stopping(), 0.0)
    assert effects == [CancelTimer("next"), CancelTimer("timeout"), Exit("asked to stop")]


def test_the_next_check_begins_one_wait_after_the_last_one_ended() -> None:
    ticking = Ticking(1)
    ticking.targets["a"] = target = Target(takes=[0.5, 0.0, 1.5, 1.9])
    ticking.boot("lb", HealthCheck(Check(initial=FULL), "a"))
    ticking.run(20.0)
    gaps = [later - earlier for earlier, later in zip(target.starts, target.starts[1:], strict=False)]
    assert gaps[:5] == pytest.approx([2.5, 2.0, 3.5, 3.9, 2.0], rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval", "0s"), ("fall", 0), ("rise", 0), ("spread", 0.6), ("timeout", 3), ("initial", "no")],
)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ModelError, match=field):
        Check(**{field: value})


def test_no_time_of_a_check_is_below_a_millisecond_and_all_that_are_wrong_are_named() -> None:
    times = ("interval", "fast_interval", "down_interval", "timeout")
    for field in times:
        assert getattr(Check(**{field: "1ms"}), field) == 0.001
    with pytest.raises(ModelError) as refusal:
        Check(**dict.fromkeys(times, "999us"))
    assert str(refusal.value).splitlines() == [f"{field}: got 999us; it is at least 1ms" for field in times]
