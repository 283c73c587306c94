"""Circuit breakers: exact timelines, and a plain account of the rules over any order of events."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.clients import Breaker, CircuitBreaker, CountBreaker


def answer(breaker: Breaker, answers: str, now: float) -> None:
    """Let calls through and answer them at once: `+` is a success, `-` a failure."""
    for mark in answers:
        assert breaker.may_send(now)
        breaker.answered(mark == "+", now)


def test_the_twentieth_failure_opens_hystrix_and_not_the_nineteenth() -> None:
    breaker = CircuitBreaker().start()
    answer(breaker, "-" * 19, 1.0)
    assert breaker.state == "closed"
    answer(breaker, "-", 1.0)
    assert breaker.state == "open"


def test_half_of_the_answers_open_hystrix_and_less_than_half_do_not() -> None:
    breaker = CircuitBreaker().start()
    answer(breaker, "+" * 11 + "-" * 10, 0.0)
    assert breaker.state == "closed"
    answer(breaker, "-", 0.0)  # 11 of 22
    assert breaker.state == "open"


def test_hystrix_forgets_by_buckets_of_a_second() -> None:
    for later, state in ((9.9, "open"), (10.0, "closed")):  # the bucket of 0 to 1 s leaves the window at 10 s
        breaker = CircuitBreaker().start()
        answer(breaker, "-" * 19, 0.5)
        answer(breaker, "-", later)
        assert breaker.state == state


def test_the_life_of_a_hystrix_breaker() -> None:
    breaker = CircuitBreaker().start()
    answer(breaker, "-" * 20, 3.0)
    assert [breaker.may_send(now) for now in (3.0, 5.0, 7.999)] == [False, False, False]
    assert breaker.state == "open"
    assert breaker.may_send(8.0)  # five seconds later: the probe
    assert breaker.state == "half-open"
    assert not breaker.may_send(8.0)  # one at a time
    assert not breaker.may_send(60.0)  # as long as it takes
    breaker.answered(False, 60.5)
    assert breaker.state == "open"
    assert not breaker.may_send(65.4)  # five seconds from the answer of the probe
    assert breaker.may_send(65.5)
    breaker.answered(True, 66.0)
    assert breaker.state == "closed"
    answer(breaker, "-" * 19, 66.0)  # a clean slate: the failures before are forgotten
    assert breaker.state == "closed"
    answer(breaker, "-", 66.0)
    assert breaker.state == "open"


def test_a_probe_that_succeeds_wipes_out_failures_still_in_the_window() -> None:
    breaker = CircuitBreaker().start()
    answer(breaker, "-" * 20, 1.0)
    answer(breaker, "+", 6.0)
    assert breaker.state == "closed"
    answer(breaker, "-" * 19, 6.5)
    assert breaker.state == "closed"


def test_calls_from_before_may_decide_for_the_probe() -> None:
    # So it is in Hystrix: markSuccess closes a half-open breaker, whichever command calls it.
    breaker = CircuitBreaker().start()
    assert breaker.may_send(0.0)  # a slow one
    answer(breaker, "-" * 20, 0.0)
    breaker.answered(True, 4.0)  # nobody listens to an answer while it is open
    assert breaker.state == "open"
    assert breaker.may_send(5.0)
    breaker.answered(True, 5.5)
    assert breaker.state == "closed"


def test_an_open_breaker_spares_a_dead_server_all_but_the_probes() -> None:
    # A call every 100 ms for an hour, each answered "failed" after 250 ms. 19 failures are in after 1.8 + 0.25 s, the
    # 20th at 2.15 s, and by then calls at 0.0, 0.1 … 2.1 s are out: 22. Then a probe goes with the first call at or
    # after 5 s from the last answer, and is answered 0.25 s later: at 7.2 s, answered at 7.45; at 12.5 s, …: the
    # probes are 5.3 s apart (5.25 s, up to the next call).
    breaker = CircuitBreaker().start()
    pending: list[float] = []
    sent = []
    for tick in range(36_000):
        now = tick / 10
        while pending and pending[0] <= now:
            breaker.answered(False, pending.pop(0))
        if breaker.may_send(now):
            sent.append(now)
            pending.append((tick * 100 + 250) / 1000)
    assert sent[:24] == [*(tick / 10 for tick in range(22)), 7.2, 12.5]
    assert len(sent) == 22 + 1 + math.floor((3599.9 - 7.2) / 5.3)


def test_a_hundred_answers_make_resilience4j_judge_and_not_ninety_nine() -> None:
    breaker = CountBreaker().start()
    answer(breaker, "-" * 99, 0.0)
    assert breaker.state == "closed"
    answer(breaker, "+", 0.0)
    assert breaker.state == "open"


def test_resilience4j_looks_at_the_last_hundred_answers() -> None:
    breaker = CountBreaker().start()
    answer(breaker, "-" * 40 + "+" * 100, 0.0)  # 40, then 0 of the last hundred
    answer(breaker, "-" * 49, 0.0)
    assert breaker.state == "closed"
    answer(breaker, "+", 1000.0)  # time does not matter; the success pushes out another success
    assert breaker.state == "closed"
    answer(breaker, "-", 1000.0)
    assert breaker.state == "open"


def test_ten_probes_decide_for_resilience4j() -> None:
    for probes, state in (("----++++++", "closed"), ("-----+++++", "open")):
        breaker = CountBreaker().start()
        answer(breaker, "-" * 100, 7.0)
        assert not breaker.may_send(66.9)
        assert [breaker.may_send(67.0 + i) for i in range(12)] == [True] * 10 + [False] * 2
        for mark in probes[:9]:
            breaker.answered(mark == "+", 80.0)
        assert breaker.state == "half-open"
        breaker.answered(probes[9] == "+", 81.0)
        assert breaker.state == state
        assert breaker.may_send(140.9) == (state == "closed")
        assert breaker.may_send(141.0)


def test_resilience4j_begins_anew_once_it_has_closed() -> None:
    breaker = CountBreaker().start()
    answer(breaker, "-" * 100, 0.0)
    answer(breaker, "----++++++", 60.0)
    answer(breaker, "-" * 99, 60.0)
    assert breaker.state == "closed"
    answer(breaker, "-", 60.0)
    assert breaker.state == "open"


ORDERS = settings(max_examples=200, deadline=None, derandomize=True, database=None)
EVENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 3.0]), st.sampled_from(["send", "ok", "failed", "failed"])),
    max_size=150,
)


@ORDERS
@given(EVENTS)
def test_a_circuit_breaker_keeps_its_rules_whatever_happens(events: list[tuple[float, str]]) -> None:
    rule = CircuitBreaker(failing="40%", least=5, window="2s", buckets=4, open_for="1s")
    breaker, now = rule.start(), 0.0
    state, opened, answers = "closed", 0.0, []
    for gap, event in events:
        now += gap
        if event == "send":
            allowed = state == "closed" or (state == "open" and now >= opened + 1.0)
            state = "half-open" if state == "open" and allowed else state
            assert breaker.may_send(now) == allowed
        else:
            if state == "closed":
                answers.append((now, event == "failed"))
                recent = [failed for when, failed in answers if math.floor(when * 2) > math.floor(now * 2) - 4]
                if len(recent) >= 5 and 5 * sum(recent) >= 2 * len(recent):
                    state, opened = "open", now
            elif state == "half-open":
                state, opened, answers = ("closed", opened, []) if event == "ok" else ("open", now, answers)
            breaker.answered(event == "ok", now)
        assert breaker.state == state


@ORDERS
@given(EVENTS)
def test_a_count_breaker_keeps_its_rules_whatever_happens(events: list[tuple[float, str]]) -> None:
    rule = CountBreaker(failing="40%", last=8, least=5, open_for="1s", probes=3)
    breaker, now = rule.start(), 0.0
    state, opened, sent = "closed", 0.0, 0
    failures: list[bool] = []
    for gap, event in events:
        now += gap
        if event == "send":
            if state == "open" and now >= opened + 1.0:
                state, sent, failures = "half-open", 0, []
            allowed = state == "closed" or (state == "half-open" and sent < 3)
            sent += allowed
            assert breaker.may_send(now) == allowed
        else:
            if state != "open":
                failures.append(event == "failed")
            looked_at = failures[-8:] if state == "closed" else failures
            bad = 5 * sum(looked_at) >= 2 * len(looked_at)
            if state == "closed" and len(looked_at) >= 5 and bad:
                state, opened = "open", now
            elif state == "half-open" and len(looked_at) == 3:
                state, opened, failures = ("open", now, []) if bad else ("closed", opened, [])
            breaker.answered(event == "ok", now)
        assert breaker.state == state
