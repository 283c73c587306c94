"""What a client does about failure, one policy a file: retries, back-off, budgets, breakers, throttling, hedging.

Everything here is pure: settings are declared and frozen, and what they start keeps counts. Time and chance are handed
in with each call, so that one and the same policy runs in any engine and under any test.
"""

from __future__ import annotations

from hasim.clients.backoff import (
    AnyBackoff,
    Backoff,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    NoBackoff,
)
from hasim.clients.breaker import AnyBreaker, Breaker, Breaking, CircuitBreaker, CountBreaker
from hasim.clients.budget import AnyBudget, Budget, BudgetMeter, ConcurrentRetries, RetryRatio, TokenBucket
from hasim.clients.hedge import Hedge, HedgeMeter
from hasim.clients.retry import FAILURES, Failure, Retry
from hasim.clients.throttling import AdaptiveThrottling, Throttle

__all__ = [
    "FAILURES",
    "AdaptiveThrottling",
    "AnyBackoff",
    "AnyBreaker",
    "AnyBudget",
    "Backoff",
    "Breaker",
    "Breaking",
    "Budget",
    "BudgetMeter",
    "CircuitBreaker",
    "ConcurrentRetries",
    "ConstantBackoff",
    "CountBreaker",
    "DecorrelatedJitter",
    "EqualJitter",
    "ExponentialBackoff",
    "Failure",
    "FullJitter",
    "Hedge",
    "HedgeMeter",
    "NoBackoff",
    "Retry",
    "RetryRatio",
    "Throttle",
    "TokenBucket",
]
