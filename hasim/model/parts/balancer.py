"""A load balancer: a pair that shares a virtual address, one of them holding it."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.balancing import AnyPolicy, RoundRobin
from hasim.balancing.ejection import AnyEjection
from hasim.model.failures import Failover
from hasim.model.laws import Uniform
from hasim.model.parts.part import Needs, Part
from hasim.protocols.health import Check
from hasim.protocols.vrrp import Vrrp
from hasim.units import Count, Seconds, Share, s

RetryOn = Literal["reset", "timeout", "5xx"]


class Balancer(Part):
    """A redundant load balancer in front of a part; up while one instance holds the address and the target is up.

    The instance that lost the address takes it back at once if it returns before the other took over (VRRP, RFC 5798).
    With `vrrp` the takeover follows from the protocol's timers; else say in `failover` how long it takes.

    From `policy` on, the fields shape what requests see, which `simulate` plays under a load; they change no figure of
    time. What it does stands in the trace as `server down`, `server up`, `server ejected`, `server back`, `server
    drained` and `server let in`. Defaults are HAProxy's where it has one (configuration manual 2.6: retries 3 to the
    same server a second apart, no redispatch, servers up until their checks fail); timeouts are those of kubeadm's
    example (connect 5 s, server 35 s).
    """

    kind: Literal["balancer"] = "balancer"
    replicas: Count = Field(default=2, ge=1, le=99, description="Number of instances.")
    to: Needs = Field(default={}, description="The parts it forwards to; it is down without them.")
    failover: Failover | None = Field(default=None, description="Takeover of the address; left out: instant.")
    vrrp: Vrrp | None = Field(default=None, description="VRRP between the instances; it says what a takeover takes.")

    policy: AnyPolicy = Field(default=RoundRobin(), description="Which server gets the next request.")
    weights: dict[str, float] = Field(default={}, description="Weights of servers, by name; 1 if not said.")
    check: Check | None = Field(default=None, description="Active health checks; left out: none.")
    ejection: AnyEjection | None = Field(default=None, description="Servers ejected for what their answers are like.")
    panic: Share = Field(
        default=0.0, description="With a smaller share of servers up than this, all are used (Envoy: 50 %)."
    )
    retries: Count = Field(default=3, ge=0, le=100, description="Attempts after the first, for a failed connection.")
    redispatch: bool = Field(default=False, strict=True, description="Whether a retry goes to another server, at once.")
    retry_on: tuple[RetryOn, ...] = Field(
        default=(), description="What else is tried again: reset, timeout, 5xx; for reads only, see `writes` of a load."
    )
    connect_timeout: Seconds = Field(default=5.0, gt=0, description="Longest wait for a connection to a server.")
    server_timeout: Seconds = Field(default=35.0, gt=0, description="Longest wait for a server's answer.")
    max_connections: Count | None = Field(
        default=None,
        ge=1,
        description="Requests and sticky connections to one server at once; more wait in the balancer.",
    )
    queue_timeout: Seconds | None = Field(
        default=None, gt=0, description="Longest wait in the balancer; left out: as connect_timeout."
    )
    slow_start: Seconds = Field(
        default=0.0, ge=0, description="Until a server that came back has its full weight again, rising linearly."
    )
    view_delay: Seconds | None = Field(
        default=None,
        ge=0,
        description="Follow the readiness of servers so much later, as endpoints do; left out: its own checks.",
    )
    closes_on_down: bool = Field(
        default=False,
        strict=True,
        description="Whether requests at a server that is marked down fail at once, not at the server timeout.",
    )

    RESUMES: ClassVar[bool] = True

    @model_validator(mode="after")
    def _one_takeover(self) -> Self:
        if self.vrrp is not None and self.failover is not None:
            raise ValueError("`vrrp` says how long a takeover takes; leave `failover` out, or `vrrp`")
        if self.view_delay is not None and self.check is not None:
            raise ValueError("a balancer follows its own `check`, or readiness after `view_delay`, not both")
        if len(set(self.retry_on)) < len(self.retry_on):
            raise ValueError(f"retry_on names something twice: {', '.join(self.retry_on)}")
        bad = [name for name, weight in self.weights.items() if not 1e-3 <= weight <= 1e3]
        if bad:
            raise ValueError(f"the weight of {bad[0]} is {self.weights[bad[0]]}; weights are from 0.001 to 1000")
        return self

    @property
    def count(self) -> int:
        return self.replicas

    @property
    def switch(self) -> Failover | None:
        return self.failover if self.vrrp is None else self._takeover

    @cached_property
    def _takeover(self) -> Failover:
        assert self.vrrp is not None
        low, high = self.vrrp.takeover()
        return Failover(takes=Uniform(low=s(low), high=s(high)))
