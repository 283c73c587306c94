"""Ways to choose a server for a request, one kind a file; what takes failing servers out is in `ejection`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, InstanceOf, SerializeAsAny, Tag
from pydantic.json_schema import SkipJsonSchema

from hasim.balancing.backend import Backend
from hasim.balancing.consistent_hash import ConsistentHash
from hasim.balancing.first import First
from hasim.balancing.least_connections import LeastConnections
from hasim.balancing.least_request import LeastRequest
from hasim.balancing.policy import Chooser, Policy
from hasim.balancing.random import Random
from hasim.balancing.round_robin import RoundRobin
from hasim.balancing.weighted_round_robin import WeightedRoundRobin
from hasim.kinds import by_name, tag_of

POLICIES = (
    *("round_robin", "weighted_round_robin", "random", "least_request", "least_connections"),
    *("consistent_hash", "first"),
)

# A policy is named (least_connections), written as data ({kind: least_request, choices: 3}), or given as an object of
# any class that derives from Policy.
AnyPolicy = Annotated[
    Annotated[RoundRobin, Tag("kind=round_robin")]
    | Annotated[WeightedRoundRobin, Tag("kind=weighted_round_robin")]
    | Annotated[Random, Tag("kind=random")]
    | Annotated[LeastRequest, Tag("kind=least_request")]
    | Annotated[LeastConnections, Tag("kind=least_connections")]
    | Annotated[ConsistentHash, Tag("kind=consistent_hash")]
    | Annotated[First, Tag("kind=first")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Policy]]], Tag("kind=instance")],
    Discriminator(tag_of(Policy)),
    by_name(*POLICIES),
]

__all__ = [
    "POLICIES",
    "AnyPolicy",
    "Backend",
    "Chooser",
    "ConsistentHash",
    "First",
    "LeastConnections",
    "LeastRequest",
    "Policy",
    "Random",
    "RoundRobin",
    "WeightedRoundRobin",
]
