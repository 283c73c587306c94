"""Trying again: how often, after which failures, how soon, and within which budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from hasim.clients.backoff import AnyBackoff, FullJitter
from hasim.clients.budget import AnyBudget
from hasim.declared import Declared
from hasim.units import Count

Failure = Literal["timeout", "refused", "reset", "5xx", "429"]
"""How an attempt fails: no answer in time, no connection, a broken one, an error, or a plea to slow down."""
FAILURES: tuple[Failure, ...] = get_args(Failure)


def _as_failures(value: Any) -> Any:
    """One name or several; YAML reads a bare 429 as a number."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple("429" if one == 429 and not isinstance(one, bool) else one for one in several)


class Retry(Declared):
    """When a client tries again after a failure, and when it gives up.

    The defaults are those of the AWS SDKs in their retry mode "standard": three attempts in all, after any transient
    failure or throttling, with full jitter; the times are Envoy's. Google's SRE book (chapter 21) has three attempts,
    too. A `timeout` or a `reset` leaves open whether the request had its effect: a client whose requests are not
    idempotent leaves both out of `on`. There is no budget unless one is given.
    """

    attempts: Count = Field(
        default=3, ge=1, le=1000, description="Attempts in all, the first included. Default: AWS SDKs, Google SRE, 3."
    )
    backoff: AnyBackoff = Field(
        default=FullJitter(),
        description="How long to wait before a retry. Default: Envoy's, full jitter, 25 to 250 ms.",
    )
    on: Annotated[tuple[Failure, ...], BeforeValidator(_as_failures)] = Field(
        default=FAILURES,
        description="Failures tried again: timeout, refused, reset, 5xx, 429. Default: all (AWS, standard mode).",
    )
    honour_retry_after: bool = Field(
        default=True,
        strict=True,
        description="Wait at least as long as the server asks with Retry-After (RFC 9110). Default: yes, as client-go.",
    )
    budget: AnyBudget | None = Field(
        default=None, description="Bounds the retries of all calls of one client together."
    )

    def wants(self, failure: str, attempt: int) -> bool:
        """Whether another attempt may follow number `attempt` (1: the first), failed like this; the budget aside."""
        return attempt < self.attempts and failure in self.on

    def delay(self, attempt: int, previous: float, u: float, retry_after: float = 0.0) -> float:
        """Seconds to wait once attempt number `attempt` has failed, of which the server asked for `retry_after`.

        The rest is as in `Backoff.delay`.
        """
        wait = self.backoff.delay(attempt, previous, u)
        return max(wait, retry_after) if self.honour_retry_after else wait
