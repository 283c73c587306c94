"""Policies as they are declared: defaults of real clients, the ways to write one down, and mistakes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import Field

from hasim.clients import (
    AdaptiveThrottling,
    AnyBreaker,
    Backoff,
    CircuitBreaker,
    ConcurrentRetries,
    ConstantBackoff,
    CountBreaker,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    Hedge,
    NoBackoff,
    Retry,
    RetryRatio,
    TokenBucket,
)
from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.units import Seconds

BACKOFFS = {
    "none": NoBackoff,
    "constant": ConstantBackoff,
    "exponential": ExponentialBackoff,
    "equal_jitter": EqualJitter,
    "full_jitter": FullJitter,
    "decorrelated_jitter": DecorrelatedJitter,
}
BUDGETS = {"token_bucket": TokenBucket, "retry_ratio": RetryRatio, "concurrent_retries": ConcurrentRetries}
BREAKERS = {"circuit_breaker": CircuitBreaker, "count_breaker": CountBreaker}


class Guarded(Declared):
    breaker: AnyBreaker | None = Field(default=None)


class Linear(Backoff):
    """A back-off that stands in no file of the package."""

    kind: Literal["linear"] = "linear"
    step: Seconds = 1.0

    def delay(self, attempt: int, previous: float, u: float) -> float:
        return attempt * self.step


@pytest.mark.parametrize("kind", BACKOFFS)
def test_a_backoff_is_named_written_out_or_handed_over(kind: str) -> None:
    meant = Retry(backoff=BACKOFFS[kind]())
    assert type(meant.backoff) is BACKOFFS[kind]
    assert Retry(backoff=kind) == Retry(backoff={"kind": kind}) == meant


@pytest.mark.parametrize("kind", BUDGETS)
def test_a_budget_is_named_written_out_or_handed_over(kind: str) -> None:
    meant = Retry(budget=BUDGETS[kind]())
    assert type(meant.budget) is BUDGETS[kind]
    assert Retry(budget=kind) == Retry(budget={"kind": kind}) == meant


@pytest.mark.parametrize("kind", BREAKERS)
def test_a_breaker_is_named_written_out_or_handed_over(kind: str) -> None:
    meant = Guarded(breaker=BREAKERS[kind]())
    assert type(meant.breaker) is BREAKERS[kind]
    assert Guarded(breaker=kind) == Guarded(breaker={"kind": kind}) == meant


def test_settings_survive_being_written_down() -> None:
    full = {"kind": "full_jitter", "base": "25ms", "cap": "1s", "factor": 3.0}
    ratio = {"kind": "retry_ratio", "share": "10%"}
    retry = Retry(attempts=5, backoff=full, on=["refused", "5xx"], budget=ratio)
    written = retry.model_dump(mode="json")
    assert written["backoff"] == full
    assert written["budget"] == {**ratio, "reserve": 10.0, "window": "10s", "buckets": 10}
    assert Retry(**written) == retry
    jsonschema.validate(written, Retry.model_json_schema(mode="validation"))


def test_the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() -> None:
    schema = Retry.model_json_schema(mode="validation")
    for good in ({"backoff": "none"}, {"backoff": {"kind": "constant", "wait": "1s"}}, {"budget": "token_bucket"}, {}):
        jsonschema.validate(good, schema)
        Retry(**good)
    for bad in ({"backoff": "linear"}, {"backoff": {}}, {"backoff": {"kind": "constant", "base": "1s"}}, {"budget": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
        with pytest.raises(ModelError):
            Retry(**bad)


def test_a_backoff_of_ones_own_is_taken_and_keeps_its_fields() -> None:
    retry = Retry(backoff=Linear(step="2s"))
    assert [retry.delay(n, 0.0, 0.5) for n in (1, 2, 3)] == [2.0, 4.0, 6.0]
    assert retry.model_dump()["backoff"] == {"kind": "linear", "step": "2s"}


def test_defaults_are_those_of_the_clients_named() -> None:
    aws, finagle, envoy = TokenBucket(), RetryRatio(), ConcurrentRetries()
    assert (aws.capacity, aws.cost, aws.timeout_cost, aws.refund) == (500, 5, 10, 1)
    assert (finagle.share, finagle.reserve, finagle.window, finagle.buckets) == (0.2, 10.0, 10.0, 10)
    assert (envoy.share, envoy.least) == (0.2, 3)
    hystrix, resilience4j = CircuitBreaker(), CountBreaker()
    assert (hystrix.failing, hystrix.least, hystrix.window, hystrix.buckets, hystrix.open_for) == (0.5, 20, 10, 10, 5)
    assert (resilience4j.failing, resilience4j.last, resilience4j.least) == (0.5, 100, 100)
    assert (resilience4j.open_for, resilience4j.probes) == (60.0, 10)
    assert (AdaptiveThrottling().k, AdaptiveThrottling().window) == (2.0, 120.0)
    assert Retry().attempts == 3
    assert Retry().backoff == FullJitter(base="25ms", cap="250ms")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backoff": "ful_jitter"}, "backoff.kind: got 'ful_jitter'; kinds are none, .*did you mean 'full_jitter'"),
        ({"backoff": {"kind": "full_jitter", "cap": "1ms"}}, "backoff.cap: got 1ms; it is at least the base, 25ms"),
        ({"backoff": {"kind": "full_jitter", "base": 25}}, "backoff.base: got 25; a duration needs a unit"),
        ({"backoff": {"kind": "full_jitter", "factor": 0.5}}, "backoff.factor: got 0.5; give a number of at least 1"),
        ({"backoff": {"kind": "constant"}, "attempts": 0}, "attempts: got 0; give a whole number from 1 to 1000"),
        ({"on": "4xx"}, r"on\[0\]: got '4xx'; allowed is 'timeout', 'refused', 'reset', '5xx' or '429'"),
        ({"budget": {"kind": "token_bucket", "cost": 501}}, "budget.cost: got 501; no bucket of 500 ever holds that"),
        ({"budget": {"kind": "retry_ratio", "share": 20}}, "budget.share: got 20; a share is from 0 to 1"),
        ({"budget": "buckets"}, "budget.kind: got 'buckets'; kinds are token_bucket, retry_ratio, concurrent_retries"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Retry(**wrong)


def test_a_breaker_that_can_never_open_is_refused() -> None:
    with pytest.raises(ModelError, match="least: got 101; it is at most `last`, 100"):
        CountBreaker(least=101)
    with pytest.raises(ModelError, match="failing: "):
        CircuitBreaker(failing=0)


def test_a_hedge_says_when_it_begins() -> None:
    with pytest.raises(ModelError, match="after: is missing"):
        Hedge()


WINDOWED: dict[str, tuple[type[Declared], dict[str, Any]]] = {
    "circuit_breaker": (CircuitBreaker, {}),
    "retry_ratio": (RetryRatio, {}),
    "throttling": (AdaptiveThrottling, {}),
    "hedge": (Hedge, {"after": "10ms"}),
}


@pytest.mark.parametrize("kind", WINDOWED)
def test_a_window_is_a_millisecond_at_least_and_has_ten_thousand_buckets_at_most(kind: str) -> None:
    made, rest = WINDOWED[kind]
    made(window="1ms", buckets=10_000, **rest)
    with pytest.raises(ModelError, match=r"^window: got 999us; it is at least 1ms$"):
        made(window="999us", **rest)
    with pytest.raises(ModelError, match=r"^buckets: got 10001; give a whole number from 1 to 10000$"):
        made(buckets=10_001, **rest)
    with pytest.raises(ModelError, match=r"^buckets: got 0; give a whole number from 1 to 10000$"):
        made(buckets=0, **rest)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Retry(attempts=1001), "attempts: got 1001; give a whole number from 1 to 1000"),
        (lambda: Hedge(after="1ms", most=101), "most: got 101; give a whole number from 1 to 100"),
        (lambda: Hedge(after="0s"), "after: got 0s; a copy is sent some time after the request, above 0s"),
        (lambda: CountBreaker(last=1_000_001), "last: got 1000001; give a whole number from 1 to 1000000"),
    ],
    ids=["attempts", "copies", "at once", "remembered"],
)
def test_what_would_never_end_or_fill_the_memory_is_refused(make: Callable[[], Declared], said: str) -> None:
    with pytest.raises(ModelError) as refusal:
        make()
    assert str(refusal.value) == said


def test_the_largest_that_is_allowed_can_be_declared() -> None:
    assert Retry(attempts=1000).attempts == 1000
    assert Hedge(after="1us", most=100).most == 100
    assert CountBreaker(last=1_000_000).last == 1_000_000


METERS: dict[str, Callable[[], object]] = {
    "circuit_breaker": CircuitBreaker(buckets=10_000).start,
    "count_breaker": CountBreaker(last=1_000_000).start,
    "retry_ratio": RetryRatio(buckets=10_000).start,
    "throttling": AdaptiveThrottling(buckets=10_000).start,
    "hedge": Hedge(after="10ms", extra=0.1, buckets=10_000).start,
}


@pytest.mark.parametrize("kind", METERS)
def test_a_meter_that_has_seen_nothing_takes_little_memory_however_long_it_can_remember(kind: str) -> None:
    # A load may have a million clients. Half a kilobyte is some thirty slots: an object or two, no bucket.
    made = [METERS[kind]() for _ in range(10)]  # what is made once only
    tracemalloc.start()
    made = [METERS[kind]() for _ in range(100)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(made) == 100
    assert taken / 100 < 512


def test_failures_are_named_one_or_several_and_429_may_be_a_number() -> None:
    assert Retry(on="timeout").on == ("timeout",)
    assert Retry(on=["5xx", 429]).on == ("5xx", "429")
    assert Retry(on=[]).on == ()
