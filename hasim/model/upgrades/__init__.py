"""Upgrades as they are declared: strategies, releases, and how bad ones are noticed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, InstanceOf, SerializeAsAny, Tag
from pydantic.json_schema import SkipJsonSchema

from hasim.kinds import InShort, tag_of
from hasim.model.upgrades.blue_green import BlueGreen
from hasim.model.upgrades.canary import Canary, CanaryStep
from hasim.model.upgrades.deploying import Deploy, Migrate, Remove
from hasim.model.upgrades.drain_nodes import DrainNodes
from hasim.model.upgrades.in_place import AllAtOnce, InPlace
from hasim.model.upgrades.node_by_node import NodeByNode
from hasim.model.upgrades.ordered import Ordered
from hasim.model.upgrades.per_node import PerNode
from hasim.model.upgrades.plan import migration, one_after_another
from hasim.model.upgrades.recreate import Recreate
from hasim.model.upgrades.release import Analysis, Detection, Release
from hasim.model.upgrades.rolling import Rolling
from hasim.model.upgrades.upgrade import Order, Upgrade
from hasim.model.upgrades.window import Window

# An upgrade is written as data ({kind: rolling, target: api, surge: 1}), or given as an object of any class that
# derives from Upgrade. There is no short form: every one says what it upgrades.
AnyUpgrade = Annotated[
    Annotated[Rolling, Tag("kind=rolling")]
    | Annotated[Recreate, Tag("kind=recreate")]
    | Annotated[Ordered, Tag("kind=ordered")]
    | Annotated[PerNode, Tag("kind=per_node")]
    | Annotated[InPlace, Tag("kind=in_place")]
    | Annotated[AllAtOnce, Tag("kind=all_at_once")]
    | Annotated[BlueGreen, Tag("kind=blue_green")]
    | Annotated[Canary, Tag("kind=canary")]
    | Annotated[Window, Tag("kind=window")]
    | Annotated[Deploy, Tag("kind=deploy")]
    | Annotated[Remove, Tag("kind=remove")]
    | Annotated[Migrate, Tag("kind=migrate")]
    | Annotated[NodeByNode, Tag("kind=node_by_node")]
    | Annotated[DrainNodes, Tag("kind=drain_nodes")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Upgrade]]], Tag("kind=instance")],
    Discriminator(tag_of(Upgrade)),
    InShort(lambda given: given),
]

__all__ = [
    "AllAtOnce",
    "Analysis",
    "AnyUpgrade",
    "BlueGreen",
    "Canary",
    "CanaryStep",
    "Deploy",
    "Detection",
    "DrainNodes",
    "InPlace",
    "Migrate",
    "NodeByNode",
    "Order",
    "Ordered",
    "PerNode",
    "Recreate",
    "Release",
    "Remove",
    "Rolling",
    "Upgrade",
    "Window",
    "migration",
    "one_after_another",
]
