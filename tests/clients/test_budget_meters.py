"""Budgets held against a plain account of all that happened, over any order of events."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.clients import ConcurrentRetries, RetryRatio, TokenBucket
from hasim.clients.rolling import RollingCounts

ORDERS = settings(max_examples=200, deadline=None, derandomize=True, database=None)
# Times that go on by eighths, so that buckets of a quarter or half have exact edges; now and then by a lot.
GAPS = st.sampled_from([0.0, 0.0, 0.0, 0.125, 0.125, 0.25, 0.5, 1.0, 1.875, 2.0, 2.125, 7.5, 1000.0])


@ORDERS
@given(st.lists(st.tuples(GAPS, st.integers(0, 2), st.integers(0, 2)), max_size=60), st.sampled_from([1, 4, 8]))
def test_rolling_counts_hold_exactly_the_buckets_of_the_window(
    steps: list[tuple[float, int, int]], buckets: int
) -> None:
    window = 2.0
    counts, now, kept = RollingCounts(window, buckets), 0.0, []
    for gap, firsts, seconds in steps:
        now += gap
        counts.add(firsts, seconds, now)
        kept.append((now, firsts, seconds))
        oldest = math.floor(now * buckets / window) - buckets + 1
        inside = [entry for entry in kept if math.floor(entry[0] * buckets / window) >= oldest]
        assert (counts.first, counts.second) == (sum(e[1] for e in inside), sum(e[2] for e in inside))


def test_times_on_an_edge_fall_in_the_bucket_they_open() -> None:
    # 0.3 / 0.1 is 2.9999999999999996: taken at its word, the event would be forgotten one bucket too early.
    counts = RollingCounts(1.0, 10)
    counts.add(1, 0, 0.3)
    counts.roll(1.25)
    assert counts.first == 1
    counts.roll(1.3)
    assert counts.first == 0


def test_memory_follows_what_happened_and_not_how_many_buckets_there_are() -> None:
    # Ten thousand buckets of a millisecond: one event in each of ten, then all of them out of the window.
    counts = RollingCounts(10.0, 10_000)
    for tick in range(10):
        counts.add(1, 1, tick / 4)
        counts.add(1, 0, tick / 4)
    assert counts._kept is not None and len(counts._kept) == 10
    assert (counts.first, counts.second) == (20, 10)
    counts.roll(12.0)  # what was counted up to 2 s has gone, 2.25 s is left
    assert (len(counts._kept), counts.first, counts.second) == (1, 2, 1)


def test_clearing_forgets_all_and_counting_goes_on() -> None:
    counts = RollingCounts(2.0, 4)
    for tick in range(8):
        counts.add(1, 2, tick / 4)
    counts.clear()
    assert (counts.first, counts.second) == (0, 0)
    counts.add(1, 0, 1.75)
    counts.roll(3.5)
    assert (counts.first, counts.second) == (0, 0)


@ORDERS
@given(st.lists(st.tuples(GAPS, st.booleans()), max_size=80), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_a_ratio_grants_a_retry_exactly_if_the_window_can_pay(steps: list[tuple[float, bool]], share: float) -> None:
    meter = RetryRatio(share=share, reserve=0.5, window="2s", buckets=4).start()
    now, asked, retried = 0.0, [], []
    for gap, asks in steps:
        now += gap
        if asks:
            meter.asked(now)
            asked.append(now)
            continue
        oldest = (math.floor(now * 2) - 3) / 2
        calls, retries = (sum(t >= oldest for t in times) for times in (asked, retried))
        payable = retries + 1 <= share * calls + 0.5 * 2 + 1e-12
        assert meter.may_retry("5xx", now) == payable
        if payable:
            retried.append(now)


def test_a_share_that_binary_cannot_hold_costs_no_retry() -> None:
    meter = RetryRatio(share=0.29, reserve=0).start()  # 0.29 × 100 is 28.999999999999996
    for _ in range(100):
        meter.asked(0.0)
    assert sum(meter.may_retry("5xx", 0.0) for _ in range(100)) == 29


def test_tokens_go_and_come_as_in_the_aws_sdk() -> None:
    meter = TokenBucket().start()
    held = [meter.tokens]
    assert meter.may_retry("5xx", 0.0)
    held.append(meter.tokens)
    assert meter.may_retry("timeout", 0.0)
    held.append(meter.tokens)
    meter.succeeded(True, 0.0, "timeout")  # returns what the last retry took, not what the one before it did
    held.append(meter.tokens)
    meter.succeeded(False, 0.0)
    held.append(meter.tokens)
    for _ in range(10):  # never fuller than full
        meter.succeeded(False, 0.0)
    held.append(meter.tokens)
    assert held == [500, 495, 485, 495, 496, 500]


def test_a_bucket_below_the_price_of_a_timeout_still_pays_for_an_error() -> None:
    meter = TokenBucket(capacity=14).start()
    assert [meter.may_retry(failure, 0.0) for failure in ("5xx", "timeout", "reset", "5xx")] == [
        True,
        False,
        True,
        False,
    ]
    assert meter.tokens == 4  # what is refused takes nothing


@ORDERS
@given(st.lists(st.sampled_from(["asked", "retry", "first ends", "retry ends"]), max_size=200))
def test_concurrent_retries_are_granted_by_what_is_in_flight(events: list[str]) -> None:
    meter = ConcurrentRetries().start()
    firsts, retries = 0, 0
    for event in events:
        if event == "asked":
            meter.asked(0.0)
            firsts += 1
        elif event == "retry":
            allowed = retries < max(3, (firsts + retries) // 5)  # Envoy: 20 % of what is active, and at least three
            assert meter.may_retry("5xx", 0.0) == allowed
            retries += allowed
        elif event == "first ends" and firsts:
            meter.ended(0.0, retry=False)
            firsts -= 1
        elif event == "retry ends" and retries:
            meter.ended(0.0)
            retries -= 1
        assert (meter.firsts, meter.retries) == (firsts, retries)
