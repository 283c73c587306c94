"""Who calls: client processes with their connections, and what they do about time and failure."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.clients import AdaptiveThrottling, AnyBreaker, Hedge, Retry
from hasim.declared import Declared
from hasim.units import Count, Seconds


class Dns(Declared):
    """Balancing by name: each client looks the servers up and keeps to one of the addresses until it looks again.

    A client that keeps an answer for ever (`ttl: null`) is a common one: Java with a security manager, many
    connection pools. Sources of the defaults: the Corefile that CoreDNS ships for Kubernetes answers with a ttl of
    30 s; plain DNS (RFC 1035) gives what is written in its zone and knows nothing of anybody's health.
    """

    ttl: Seconds | None = Field(default=30.0, gt=0, description="How long an answer is kept; null: for ever.")
    healthy_only: bool = Field(
        default=False,
        strict=True,
        description="Whether addresses of servers that are known to be down are left out, as by a name server that "
        "checks them, or that of Kubernetes for a headless service.",
    )
    delay: Seconds = Field(
        default=0.0,
        ge=0,
        description="With `healthy_only`: from a server's fall, or return, until the answers show it.",
    )

    @model_validator(mode="after")
    def _delay_of_what_is_known(self) -> Self:
        if self.delay and not self.healthy_only:
            raise ValueError("`delay` is until answers show who is down, and they do with `healthy_only: true` only")
        return self


class Clients(Declared):
    """Client processes that share nothing: each has its own connections, retry budget and circuit breaker.

    Without a timeout a client waits for ever, as many libraries do by default.
    """

    count: Count = Field(default=1, ge=1, le=1_000_000, description="Number of client processes.")
    timeout: Seconds | None = Field(default=None, gt=0, description="Longest wait for one attempt; null: no limit.")
    deadline: Seconds | None = Field(
        default=None, gt=0, description="Longest wait for a call with all its attempts; servers are told of it."
    )
    retry: Retry | None = Field(default=None, description="What is tried again, how often and after how long.")
    breaker: AnyBreaker | None = Field(default=None, description="Stop asking when too much fails.")
    throttling: AdaptiveThrottling | None = Field(default=None, description="Reject locally what will be rejected.")
    hedge: Hedge | None = Field(default=None, description="Ask another server too when the first is slow.")
    connections: Literal["each", "kept", "sticky"] = Field(
        default="kept",
        description="`each` request opens one; `kept` open ones are reused, any of them; `sticky`: one connection "
        "for everything, as HTTP/2 does, to one server until it breaks. Where a server dies under a request, `each` "
        "hears 502 from the balancer, the others a reset.",
    )
    dead_after: Seconds = Field(
        default=45.0,
        gt=0,
        description="When a sticky connection without answers is given up (client-go: 30 s idle, 15 s for a ping).",
    )
    dns: Dns | None = Field(default=None, description="Choose a server by name, with no balancer between.")

    @model_validator(mode="after")
    def _deadline_above_timeout(self) -> Self:
        if self.timeout is not None and self.deadline is not None and self.timeout > self.deadline:
            raise ValueError(f"the timeout of an attempt, {self.timeout:g} s, is above the deadline of the whole call")
        return self

    @model_validator(mode="after")
    def _a_copy_goes_elsewhere(self) -> Self:
        if self.hedge is not None and (self.connections == "sticky" or self.dns is not None):
            why = "connections: sticky" if self.connections == "sticky" else "dns"
            raise ValueError(
                f"`hedge` asks another server, but with `{why}` a client keeps to one; leave one of them out"
            )
        return self
