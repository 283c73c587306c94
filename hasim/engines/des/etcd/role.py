"""The role of the leader in a quorum that plays Raft: the failover takes what the election takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.played import PlayedRole
from hasim.engines.des.world import LeapingEnvironment, World
from hasim.model.parts import Quorum
from hasim.model.raft import Raft
from hasim.model.system import Switch

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

SETTLING_TIMEOUTS = 20
"""Election timeouts before the beginning in which a leader is found; the second campaign fails in one of millions."""


def settling_time(raft: Raft) -> float:
    """Seconds before the beginning in which a fresh quorum that plays Raft finds its first leader."""
    return SETTLING_TIMEOUTS * raft.election_timeout


class RaftRole(PlayedRole):
    """Members that stand run an etcd process, those that fall lose it, and the world says when somebody leads."""

    def __init__(self, live: LiveCluster, switch: Switch) -> None:
        super().__init__(live, switch.part)
        self.switch = switch
        part = live.system.cluster.parts[switch.part]
        assert isinstance(part, Quorum) and part.raft is not None
        assert isinstance(live.env, LeapingEnvironment)
        self.etcd = EtcdWorld(
            live.env, live.streams, self.members, part.raft, live.note, zones=self.zones(), turned=self.turned
        )

    @property
    def world(self) -> World:
        return self.etcd.world

    @property
    def calm(self) -> EtcdWorld:
        return self.etcd

    def prepare(self) -> None:
        self.etcd.start()

    def lead(self) -> None:
        """No failover is going on where too few members stand for one, or while somebody leads."""
        live, switch = self.live, self.switch
        led = self.etcd.led or sum(self.standing) < switch.enough
        if live.gates.is_true(switch.led) != led:
            live.turn(switch.led, led)
