"""The role of the leader in a part that elects by a lease: nobody leads until somebody has taken it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hasim.engines.des.leases.world import LeaseWorld
from hasim.engines.des.played import PlayedRole
from hasim.engines.des.reach import Reach
from hasim.engines.des.world import LeapingEnvironment, Node, World
from hasim.model.leasing import CALL_ONE_WAY
from hasim.model.parts import Elected, Standby
from hasim.model.structure import Expr, all_of
from hasim.model.system import Switch
from hasim.protocols.health import CrashLoopBackOff

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class LeaseRole(PlayedRole):
    """Members that stand run a candidate; what the part needs is its store.

    Whether the store answers, keeps silent or refuses, `Reach` says. Without a `switch` nobody is elected, and all act.
    """

    def __init__(self, live: LiveCluster, part: str, switch: Switch | None) -> None:
        super().__init__(live, part)
        self.switch = switch
        cluster = live.system.cluster
        declared = cluster.parts[part]
        assert isinstance(declared, Elected | Standby)
        own = declared if isinstance(declared, Elected) else None  # a pair has the lease alone, all else as usual
        restart = CrashLoopBackOff() if own is None else own.restart
        assert isinstance(live.env, LeapingEnvironment)
        hard = [other for other, kind in cluster.needs(part).items() if kind == "hard"]
        self.store = Reach(live, hard, self._store_turned)
        self.leases = LeaseWorld(
            live.env,
            live.streams,
            part,
            self.members,
            declared.lease,
            live.note,
            latency=CALL_ONE_WAY if own is None else own.latency,
            restarts={member: restart.counting() for member in self.members},
            duty=None if own is None else own.duty,
            zones=self.zones(),
            versions=None if own is None else dict(zip(self.members, own.versions, strict=bool(own.versions))),
            turned=self.turned,
        )

    def stands(self, member: str) -> Expr:
        """What holds the part as a whole holds every candidate: nobody leads for it meanwhile."""
        return all_of([super().stands(member), self.live.system.open[self.part]])

    @property
    def world(self) -> World:
        return self.leases.world

    @property
    def calm(self) -> LeaseWorld:
        return self.leases

    @property
    def stand_ins(self) -> tuple[Node, ...]:
        return () if self.leases.store is None else (self.leases.store,)

    def prepare(self) -> None:
        self.leases.start()

    def begin(self) -> None:
        self.leases.begin()

    def rise(self, node: Node) -> None:
        self.leases.cancel_start(node.name)
        super().rise(node)

    def fall(self, node: Node) -> None:
        self.leases.cancel_start(node.name)
        super().fall(node)

    def settle(self) -> None:
        self._settling = True
        self.leases.set_contact(self.store.contact)
        super().settle()

    def members_in(self, names: Collection[str]) -> list[str]:
        """Its candidates, and the store where what keeps it stands."""
        store = self.leases.store
        kept = [store.name] if store is not None and self.store.stands_in(names) else []
        return super().members_in(names) + kept

    def _store_turned(self) -> None:
        self.live.unsettled[self.part] = self

    def lead(self) -> None:
        """No failover is going on where nobody stands, while the store is away, or while somebody leads."""
        live, switch = self.live, self.switch
        if switch is None:
            return
        led = self.leases.led or not any(self.standing) or self.store.contact != "open"
        if live.gates.is_true(switch.led) != led:
            live.turn(switch.led, led)
