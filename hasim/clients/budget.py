"""A budget for retries: what keeps a client from multiplying its load when everything fails.

A limit of attempts bounds what one call may cost; when every call fails, that bound is the cost, and m attempts in
each of L layers make m^L. A budget bounds the retries of all calls of one client together: with retries held to a
share r of the calls, the load is at most 1 + r times the calls, however bad things are.
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
from hasim.units import Count, Share

ROUNDING = 1e-9
"""What 0.29 × 100 lacks to 29 must not cost a retry."""


class BudgetMeter(Protocol):
    """One client's budget at work, shared by all its calls. `now` is the client's time in seconds and never goes back.

    The order of a call is: `asked`; then for each attempt that ends, `ended`, and after a failure `may_retry` or after
    a success `succeeded`. All are O(1) amortised.
    """

    def asked(self, now: float) -> None:
        """A first attempt was sent."""

    def may_retry(self, failure: str, now: float) -> bool:
        """Whether an attempt that failed like this may be followed by another; if so, the budget has paid for it."""

    def succeeded(self, retried: bool, now: float, after: str = "") -> None:
        """A call succeeded, after retries or at once; `after` is the failure that its last retry was allowed for."""

    def ended(self, now: float, retry: bool = True) -> None:
        """An attempt has ended, well or badly: a retry that was allowed, or (`retry=False`) a first attempt."""


class Budget(Declared, ABC):
    """How many retries a client allows itself; shared by all calls of one process."""

    @abstractmethod
    def start(self) -> BudgetMeter:
        """A meter for a process that has just begun."""


class TokenBucket(Budget):
    """A bucket of tokens that retries empty and successes fill: a pause for retries when most of them fail.

    A retry takes `cost` tokens, or `timeout_cost` after a timeout. A call that succeeds at once returns `refund`, one
    that succeeds after retries returns what its last retry took. Time alone returns nothing.

    Source: AWS SDKs, retry mode "standard" (botocore/retries/standard.py: 500, 5, 10 and 1).
    """

    kind: Literal["token_bucket"] = "token_bucket"
    capacity: Count = Field(default=500, ge=1, description="Tokens when full, and at the start. Default: AWS, 500.")
    cost: Count = Field(default=5, ge=1, description="Tokens a retry takes. Default: AWS, 5.")
    timeout_cost: Count = Field(default=10, ge=1, description="Tokens a retry after a timeout takes. Default: AWS, 10.")
    refund: Count = Field(
        default=1, ge=0, description="Tokens a success at the first attempt returns. Default: AWS, 1."
    )

    @model_validator(mode="after")
    def _a_retry_is_affordable(self) -> TokenBucket:
        text = "got {}; no bucket of {} ever holds that"
        wrong = [
            at((field,), text.format(value, self.capacity))
            for field, value in (("cost", self.cost), ("timeout_cost", self.timeout_cost))
            if value > self.capacity
        ]
        if wrong:
            raise ModelError.of(wrong)
        return self

    def start(self) -> TokenBucketMeter:
        return TokenBucketMeter(self)


class TokenBucketMeter:
    """A token bucket at work; `tokens` is what it holds."""

    __slots__ = ("_bucket", "tokens")

    def __init__(self, bucket: TokenBucket) -> None:
        """Begin with a full bucket."""
        self._bucket = bucket
        self.tokens = bucket.capacity

    def asked(self, now: float) -> None:
        """A first attempt costs nothing."""

    def may_retry(self, failure: str, now: float) -> bool:
        cost = self._cost(failure)
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def succeeded(self, retried: bool, now: float, after: str = "") -> None:
        back = self._cost(after) if retried else self._bucket.refund
        self.tokens = min(self._bucket.capacity, self.tokens + back)

    def ended(self, now: float, retry: bool = True) -> None:
        """What is in flight does not matter."""

    def _cost(self, failure: str) -> int:
        return self._bucket.timeout_cost if failure == "timeout" else self._bucket.cost


class RetryRatio(Budget):
    """Retries are held to a share of the calls of the last seconds, with a reserve for clients that call seldom.

    In any `window` (in buckets, a tenth of it each), retries are at most share × calls + reserve × window. Calls and
    retries are both forgotten once they leave the window.

    Source: Twitter Finagle, RetryBudget (20 % of the calls, and 10 a second, over 10 s in 10 buckets).
    """

    kind: Literal["retry_ratio"] = "retry_ratio"
    share: Share = Field(default=0.2, description="Retries allowed for each call. Default: Finagle, 20 %.")
    reserve: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="Retries a second that need no calls. Default: Finagle, 10.",
    )
    window: Window = Field(default=10.0, description="How far back calls and retries count. Default: Finagle, 10 s.")
    buckets: Buckets = Field(default=10, description="Into how many the window is cut. Default: Finagle, 10.")

    def start(self) -> RetryRatioMeter:
        return RetryRatioMeter(self)


class RetryRatioMeter:
    """The calls and the retries of the last window."""

    __slots__ = ("_counts", "_reserve", "_share")

    def __init__(self, ratio: RetryRatio) -> None:
        """Begin with the reserve alone."""
        self._share = ratio.share
        self._reserve = ratio.reserve * ratio.window + ROUNDING
        self._counts = RollingCounts(ratio.window, ratio.buckets)

    def asked(self, now: float) -> None:
        self._counts.add(1, 0, now)

    def may_retry(self, failure: str, now: float) -> bool:
        counts = self._counts
        counts.roll(now)
        if counts.second + 1 > self._share * counts.first + self._reserve:
            return False
        counts.add(0, 1, now)
        return True

    def succeeded(self, retried: bool, now: float, after: str = "") -> None:
        """A success returns nothing: the budget follows the calls."""

    def ended(self, now: float, retry: bool = True) -> None:
        """What is in flight does not matter."""


class ConcurrentRetries(Budget):
    """Retries in flight are held to a share of all that is in flight, and never to less than a few.

    A retry counts from the moment it is allowed, through its back-off, until it ends: at most
    max(least, ⌊share × in flight⌋) of them at a time, where those in flight are first attempts and retries.

    Source: Envoy, CircuitBreakers.Thresholds.RetryBudget (20 % of active requests, at least 3).
    """

    kind: Literal["concurrent_retries"] = "concurrent_retries"
    share: Share = Field(default=0.2, description="Retries of what is in flight. Default: Envoy, 20 %.")
    least: Count = Field(default=3, ge=0, description="So many retries are always allowed. Default: Envoy, 3.")

    def start(self) -> ConcurrentRetriesMeter:
        return ConcurrentRetriesMeter(self)


class ConcurrentRetriesMeter:
    """What is in flight; `retries` of it are retries, `firsts` are not."""

    __slots__ = ("_least", "_share", "firsts", "retries")

    def __init__(self, budget: ConcurrentRetries) -> None:
        """Begin with nothing in flight."""
        self._share = budget.share
        self._least = budget.least
        self.firsts = 0
        self.retries = 0

    def asked(self, now: float) -> None:
        self.firsts += 1

    def may_retry(self, failure: str, now: float) -> bool:
        allowed = max(self._least, int(self._share * (self.firsts + self.retries) + ROUNDING))
        if self.retries >= allowed:
            return False
        self.retries += 1
        return True

    def succeeded(self, retried: bool, now: float, after: str = "") -> None:
        """That it has ended is what counts."""

    def ended(self, now: float, retry: bool = True) -> None:
        if retry:
            self.retries -= 1
        else:
            self.firsts -= 1


AnyBudget = Annotated[
    Annotated[TokenBucket, Tag("kind=token_bucket")]
    | Annotated[RetryRatio, Tag("kind=retry_ratio")]
    | Annotated[ConcurrentRetries, Tag("kind=concurrent_retries")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Budget]]], Tag("kind=instance")],
    Discriminator(tag_of(Budget)),
    by_name("token_bucket", "retry_ratio", "concurrent_retries"),
]
"""A field holding a retry budget: `token_bucket`, `{kind: retry_ratio, share: 10%}`, or an object."""
