"""What a simulated client does all day: which requests, how often, where to, and how long it waits."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from hasim.declared import Declared, at, shown
from hasim.errors import ModelError, nearest
from hasim.faults.names import Name, Names
from hasim.model.laws import LawField, Uniform
from hasim.units import Count, Seconds, s

Request = Literal["put", "linearizable", "serializable"]
"""A write, a read through a quorum, or a read of whatever one member knows."""


_REQUESTS = get_args(Request)


def _weights(value: object) -> object:
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, Mapping):
        raise ValueError(f"got {shown(value)}; give a kind of request, or kinds with weights, like {{'put': 1}}")
    for kind, weight in weights.items():
        if kind not in _REQUESTS:
            raise ValueError(f"got {shown(kind)}; kinds are {', '.join(_REQUESTS)}{nearest(str(kind), _REQUESTS)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < inf:
            raise ModelError.of([at((kind,), f"got {shown(weight)}; a weight is a number of at least 0")])
    return weights


class Workload(Declared):
    """The requests of one client.

    In an open loop (`rate`) requests come whether or not earlier ones were answered, as those of many users do; in
    a closed loop (`think`) the next one comes after the last one was answered and a time to think. One that waits
    without a timeout of its own waits as long as the server does.
    """

    name: Name = Field(description="What the client is called in the history.")
    endpoints: Names = Field(description="Names of the members it may talk to.")
    rate: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, strict=True, description="Requests a second, in an open loop."
    )
    spacing: Literal["poisson", "fixed"] = Field(
        default="poisson", description="Of an open loop: at random, or one after each 1/rate from a random phase."
    )
    think: LawField | None = Field(
        default=None, description="In a closed loop: time from an answer to the next request."
    )
    timeout: Seconds | None = Field(default=None, gt=0, description="How long it waits; left out: for ever.")
    requests: Annotated[dict[Request, float], BeforeValidator(_weights)] = Field(
        default={"put": 1.0, "linearizable": 1.0}, description="Kinds of requests with their weights."
    )
    keys: Count = Field(default=1, ge=1, le=1_000_000, description="Number of keys, all alike.")
    balance: Literal["stick", "round_robin"] = Field(
        default="round_robin", description="Stay with the first endpoint, or take them in turn."
    )
    retries: Literal["etcd", "none"] = Field(
        default="etcd", description="Try again as etcd's Go client does, or never, like a plain HTTP client."
    )
    latency: LawField = Field(
        default=Uniform(low=s(0.0002), high=s(0.0004)),
        description="One way between client and member; by default 0.2 to 0.4 ms, a local network.",
    )
    start: Seconds = Field(default=0.0, description="When it begins.")

    @model_validator(mode="after")
    def _has_one_loop(self) -> Self:
        found = []
        if (self.rate is None) == (self.think is None):
            said = "neither" if self.rate is None else "both"
            found.append(at((), f"got {said} of rate and think; a client has an open loop or a closed one"))
        if self.think is not None and self.think.mean == 0 and self.latency.mean == 0:
            found.append(at(("think",), "takes no time, nor does latency: requests would come without end at once"))
        if not sum(self.requests.values()) > 0:
            found.append(at(("requests",), f"got {shown(self.requests)}; at least one kind has a weight above zero"))
        if found:
            raise ModelError.of(found)
        return self
