"""The kinds of parts a cluster is made of, one a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, InstanceOf, Tag

from hasim.model.parts.balancer import Balancer
from hasim.model.parts.elected import Elected
from hasim.model.parts.part import Need, Part
from hasim.model.parts.pool import Pool
from hasim.model.parts.queue import Queue
from hasim.model.parts.quorum import Quorum
from hasim.model.parts.standby import Standby
from hasim.model.parts.unit import Unit
from hasim.model.parts.workload import Workload

KINDS = ("quorum", "pool", "balancer", "elected", "standby", "queue", "unit", "workload")


def _kind(value: Any) -> str | None:
    if isinstance(value, Part):
        return "kind=instance"
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return f"kind={kind}"


# A part of a kind that stands in no file here is given as an object; the named ones can be written as data.
AnyPart = Annotated[
    Annotated[Quorum, Tag("kind=quorum")]
    | Annotated[Pool, Tag("kind=pool")]
    | Annotated[Balancer, Tag("kind=balancer")]
    | Annotated[Elected, Tag("kind=elected")]
    | Annotated[Standby, Tag("kind=standby")]
    | Annotated[Queue, Tag("kind=queue")]
    | Annotated[Unit, Tag("kind=unit")]
    | Annotated[Workload, Tag("kind=workload")]
    | Annotated[InstanceOf[Part], Tag("kind=instance")],
    Discriminator(_kind),
]

__all__ = [
    "KINDS",
    "AnyPart",
    "Balancer",
    "Elected",
    "Need",
    "Part",
    "Pool",
    "Queue",
    "Quorum",
    "Standby",
    "Unit",
    "Workload",
]
