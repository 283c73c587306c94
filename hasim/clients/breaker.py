"""A circuit breaker: a client that stops asking a server which mostly fails, and tries again after a while.

Closed, it lets every call through and watches the answers. Open, it lets none through. Half-open, it lets a few through
as probes, whose answers decide. It judges whatever it stands before as one: a breaker in front of many shards turns
the failure of one into the failure of all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, Protocol

from pydantic import Discriminator, Field, InstanceOf, SerializeAsAny, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from hasim.clients.rolling import Buckets, RollingCounts, Window
from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.kinds import by_name, tag_of
from hasim.units import Count, Seconds, Share

State = Literal["closed", "open", "half-open"]
ROUNDING = 1e-9
"""What 0.29 × 100 exceeds or lacks to 29 must not move a threshold."""


class Breaker(Protocol):
    """A breaker at work, shared by all calls of one client to one place. `now` (seconds) never goes back."""

    @property
    def state(self) -> State:
        """What it does: "open" turns to "half-open" with the first call let through once the wait is over."""

    def may_send(self, now: float) -> bool:
        """Whether a call may go out; each call let through is to be `answered`."""

    def answered(self, ok: bool, now: float) -> None:
        """A call that was let through has come back, or has timed out; in order of return.

        While half-open every answer counts, also to a call from before; both sources have it so.
        """


class Breaking(Declared, ABC):
    """When a client stops calling a place that fails, and for how long."""

    @abstractmethod
    def start(self) -> Breaker:
        """A closed breaker that has seen nothing."""


class CircuitBreaker(Breaking):
    """Opens when too large a share of the calls of the last seconds failed; then one probe at a time decides.

    A probe that succeeds closes it with a clean slate; one that fails opens it for another `open_for`. While
    the probe is out, nothing else is let through.

    Source: Netflix Hystrix, HystrixCommandProperties (50 % of at least 20 requests in 10 s, in 10 buckets; sleep
    window 5 s) and HystrixCircuitBreaker. Hystrix looks at its counts every 500 ms; here each answer counts at once.
    """

    kind: Literal["circuit_breaker"] = "circuit_breaker"
    failing: Share = Field(default=0.5, gt=0, description="Share of failures that opens it. Default: Hystrix, 50 %.")
    least: Count = Field(
        default=20, ge=1, description="With fewer answers in the window it never opens. Default: Hystrix, 20."
    )
    window: Window = Field(default=10.0, description="How far back answers count. Default: Hystrix, 10 s.")
    buckets: Buckets = Field(default=10, description="Into how many the window is cut. Default: Hystrix, 10.")
    open_for: Seconds = Field(default=5.0, description="How long it stays open before a probe. Default: Hystrix, 5 s.")

    def start(self) -> RollingBreaker:
        return RollingBreaker(self)


class RollingBreaker:
    """A breaker that looks at the answers of the last seconds."""

    __slots__ = ("_counts", "_opened", "_rule", "state")

    def __init__(self, rule: CircuitBreaker) -> None:
        """Begin closed."""
        self._rule = rule
        self._counts = RollingCounts(rule.window, rule.buckets)  # answers, failures
        self._opened = 0.0
        self.state: State = "closed"

    def may_send(self, now: float) -> bool:
        if self.state == "closed":
            return True
        if self.state == "open" and now >= self._opened + self._rule.open_for:
            self.state = "half-open"
            return True
        return False

    def answered(self, ok: bool, now: float) -> None:
        if self.state == "closed":
            counts, rule = self._counts, self._rule
            counts.add(1, 0 if ok else 1, now)
            if counts.first >= rule.least and counts.second >= rule.failing * counts.first - ROUNDING:
                self.state, self._opened = "open", now
        elif self.state == "half-open":
            if ok:
                self._counts.clear()
                self.state = "closed"
            else:
                self.state, self._opened = "open", now


class CountBreaker(Breaking):
    """Opens when too many of the last so many calls failed, however long they took; then a few probes decide.

    Half-open it lets `probes` calls through; once that many answers are in, it opens again if the share of failures
    among them is `failing` or more, and closes with a clean slate otherwise.

    Source: resilience4j, CircuitBreakerConfig (50 % of the last 100 calls, at least 100; open 60 s; 10 probes).
    """

    kind: Literal["count_breaker"] = "count_breaker"
    failing: Share = Field(
        default=0.5, gt=0, description="Share of failures that opens it. Default: resilience4j, 50 %."
    )
    last: Count = Field(
        default=100, ge=1, le=1_000_000, description="How many answers it remembers. Default: resilience4j, 100."
    )
    least: Count = Field(
        default=100, ge=1, description="With fewer answers it never opens. Default: resilience4j, 100."
    )
    open_for: Seconds = Field(
        default=60.0, description="How long it stays open before probes. Default: resilience4j, 60 s."
    )
    probes: Count = Field(default=10, ge=1, description="Calls let through while half-open. Default: resilience4j, 10.")

    @model_validator(mode="after")
    def _remembers_enough(self) -> CountBreaker:
        if self.least > self.last:
            text = f"got {self.least}; it is at most `last`, {self.last}, for no more answers are remembered"
            raise ModelError.of([at(("least",), text)])
        return self

    def start(self) -> CountingBreaker:
        return CountingBreaker(self)


class CountingBreaker:
    """A breaker that looks at the last so many answers."""

    __slots__ = ("_answers", "_failed", "_failures", "_let_through", "_opened", "_rule", "state")

    def __init__(self, rule: CountBreaker) -> None:
        """Begin closed."""
        self._rule = rule
        self._failed = bytearray()  # a ring, once it has grown to `last`: answer number i failed
        self._answers = 0
        self._failures = 0
        self._let_through = 0  # probes sent
        self._opened = 0.0
        self.state: State = "closed"

    def may_send(self, now: float) -> bool:
        if self.state == "closed":
            return True
        if self.state == "open":
            if now < self._opened + self._rule.open_for:
                return False
            self.state = "half-open"
            self._forget()
        if self._let_through >= self._rule.probes:
            return False
        self._let_through += 1
        return True

    def answered(self, ok: bool, now: float) -> None:
        rule = self._rule
        if self.state == "closed":
            if self._answers < rule.last:
                self._failures += not ok
                self._failed.append(not ok)
            else:
                slot = self._answers % rule.last
                self._failures += (not ok) - self._failed[slot]
                self._failed[slot] = not ok
            self._answers += 1
            if self._answers >= rule.least and self._too_many(min(self._answers, rule.last)):
                self.state, self._opened = "open", now
        elif self.state == "half-open":
            self._answers += 1
            self._failures += not ok
            if self._answers == rule.probes:
                if self._too_many(rule.probes):
                    self.state, self._opened = "open", now
                else:
                    self.state = "closed"
                    self._forget()

    def _too_many(self, answers: int) -> bool:
        return self._failures >= self._rule.failing * answers - ROUNDING

    def _forget(self) -> None:
        self._failed.clear()
        self._answers = self._failures = self._let_through = 0


AnyBreaker = Annotated[
    Annotated[CircuitBreaker, Tag("kind=circuit_breaker")]
    | Annotated[CountBreaker, Tag("kind=count_breaker")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Breaking]]], Tag("kind=instance")],
    Discriminator(tag_of(Breaking)),
    by_name("circuit_breaker", "count_breaker"),
]
"""A field holding a breaker: `circuit_breaker`, `{kind: count_breaker, open_for: 30s}`, or an object."""
