"""The workers of a queue as members of a cluster, and its broker as what they need."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hasim.engines.des.delivery.world import DeliveryWorld
from hasim.engines.des.played import PlayedRole
from hasim.engines.des.reach import Reach
from hasim.engines.des.world import LeapingEnvironment, Node, World
from hasim.model.parts import Queue
from hasim.model.structure import Expr, all_of

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class DeliveryRole(PlayedRole):
    """Members that stand run a worker; what the part needs keeps its tasks."""

    def __init__(self, live: LiveCluster, part: str) -> None:
        super().__init__(live, part)
        cluster = live.system.cluster
        declared = cluster.parts[part]
        assert isinstance(declared, Queue) and isinstance(live.env, LeapingEnvironment)
        hard = [other for other, kind in cluster.needs(part).items() if kind == "hard"]
        self.broker = Reach(live, hard, self._broker_turned)
        self.delivery = DeliveryWorld(
            live.env, live.streams, part, self.members, declared, live.note, zones=self.zones()
        )

    def stands(self, member: str) -> Expr:
        """What holds the part as a whole holds every worker."""
        return all_of([super().stands(member), self.live.system.open[self.part]])

    @property
    def world(self) -> World:
        return self.delivery.world

    @property
    def calm(self) -> DeliveryWorld:
        return self.delivery

    @property
    def stand_ins(self) -> tuple[Node, ...]:
        return tuple(node for name, node in self.world.nodes.items() if name not in self.members)

    def prepare(self) -> None:
        self.delivery.start()

    def settle(self) -> None:
        self.delivery.set_contact(self.broker.contact)
        super().settle()

    def members_in(self, names: Collection[str]) -> list[str]:
        """Its workers, and the broker where what keeps it stands."""
        kept = [self.delivery.broker.name] if self.broker.stands_in(names) else []
        return super().members_in(names) + kept

    def _broker_turned(self) -> None:
        self.live.unsettled[self.part] = self

    def lead(self) -> None:
        """Nobody leads among workers."""
