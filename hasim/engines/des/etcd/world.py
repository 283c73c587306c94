"""An etcd quorum in the SimPy world: its members on nodes, who is in office, and leaps over calm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from hasim.engines.des.world import Clock, LeapingEnvironment, Node, Rhythm, TcpTiming, World, leap_again_and_again
from hasim.machine import Machine
from hasim.model.laws import Law
from hasim.model.raft import Raft
from hasim.protocols.etcd.config import EtcdConfig
from hasim.protocols.etcd.server import EtcdMember
from hasim.protocols.raft import Record, Saved, journal
from hasim.protocols.raft.messages import Append
from hasim.streams import Streams
from hasim.trace import Detail

Note = Callable[[str, str, Detail], None]
OnDisk = Callable[[str, Record], None]
"""Hears which record of which member has become safe on its disk."""

DIAL_S = 1.0  # to which the election timeout is added: etcd's server/embed/config.go, PeerDialTimeout
RETRANSMIT_MIN_S = 0.208
"""Linux's 0.2 s as its timer wheel keeps it: in jiffies of 4 ms, longer waits in steps of eight, always rounded up.

In the record of etcd 3.4.23 appends that were first lost at the election (`t_leader`) came through 3.26 to 3.35 s
later: the 16-fold of this, a tail loss probe and four retransmissions.
"""

# Facts after which a member does not lead, whatever it may think of itself.
OUT_OF_OFFICE = ("follower", "lost quorum", "process crashed", "process exited", "power lost")


class EtcdWorld:
    """Members of one etcd cluster, each on a node of its own.

    `office` has the members that lead and have committed in their term, with that term: usually one, none during an
    election, and two while an old leader that is cut off has not noticed yet. The quorum is led while a member in
    office and a majority reach each other; `turned(led)` is called whenever that changes.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        streams: Streams,
        names: Iterable[str],
        raft: Raft,
        note: Note,
        *,
        zones: Mapping[str, str] | None = None,
        latencies: Mapping[tuple[str, str], Law] | None = None,
        turned: Callable[[bool], None] | None = None,
        facts_of_logs: bool = False,
        on_disk: OnDisk | None = None,
        lists: Mapping[str, tuple[str, ...]] | None = None,
        adjust: Callable[[EtcdConfig], EtcdConfig] | None = None,
    ) -> None:
        """Put the members in place; nothing runs before `start`.

        `facts_of_logs` and `on_disk` are for judges of Raft. `lists` has the founders by each member that knows of
        others than `names`, and `adjust` changes each member's settings from what `raft` makes them.
        """
        self.env = env
        self.raft = raft
        self.names = tuple(names)
        self.office: dict[str, int] = {}
        self._frozen_office: dict[str, int] = {}  # of members that are paused
        self.revision = 1
        self.leapt = 0.0  # seconds that were leapt over
        self.changed_at = 0.0
        self.led = False
        self._watched: dict[str, tuple[bool, Callable[[bool], None]]] = {}  # members whose clients want to know
        self._note = note
        self._turned = turned
        self._zones = dict(zones or {})
        self._facts_of_logs = facts_of_logs
        self._on_disk = on_disk
        self._adjust = adjust
        self._booting: str | None = None
        self._voters: dict[str, tuple[str, ...]] = {}  # as each member has them
        self._machines: dict[str, EtcdMember] = {}
        tcp = TcpTiming(dial_timeout=DIAL_S + raft.election_timeout, retransmit_min=RETRANSMIT_MIN_S, tail_probe=True)
        self.world = World(
            env, streams, self._observe, latency=raft.latency, latencies=latencies, tcp=tcp, apart=(Append,)
        )
        self.world.network.watchers.append(self._review)
        for name in self.names:
            self.add(name, raft.config(name, (lists or {}).get(name, self.names)))

    def add(self, name: str, config: EtcdConfig) -> Node:
        """Put a member in place."""
        if self._adjust is not None:
            config = self._adjust(config)
        config = replace(config, raft=replace(config.raft, log_facts=self._facts_of_logs))
        beginning = config.raft.genesis

        def build() -> Machine:
            machine = self._machines[name] = EtcdMember(config)
            return machine

        def journal_told(saved: Saved | None, record: Record) -> Saved:
            # A boot adds up what is not safe yet, for the process to see: that makes nothing safe.
            if self._on_disk is not None and self._booting != name:
                self._on_disk(name, record)
            return journal(saved, record)

        if self._on_disk is not None:  # an empty disk stands for the beginning
            self._on_disk(name, Record(beginning.term, None, beginning.index, snapshot=beginning))
        kept = journal if self._on_disk is None else journal_told
        return self.world.add(name, build, kept, clock=Clock(), fsync=self.raft.fsync, zone=self._zones.get(name))

    def start(self) -> None:
        """Start every member that does not run."""
        for node in self.world.nodes.values():
            if node.process is None:
                node.start()

    @property
    def leader(self) -> str | None:
        """The member in office; of two, the one with the higher term."""
        return max(self.office, key=lambda name: self.office[name], default=None)

    def _observe(self, kind: str, subject: str, detail: Detail) -> None:
        self.changed_at = self.env._now
        if kind == "revision":  # with every write
            assert not isinstance(detail, str)
            self.revision = max(self.revision, detail["revision"])
            return
        if kind == "process started":
            self._booting = subject
        elif kind == "started":
            self._booting = None
        if kind == "in office":
            assert not isinstance(detail, str)
            self.office[subject] = detail["term"]
        elif kind in OUT_OF_OFFICE:
            self.office.pop(subject, None)
            self._frozen_office.pop(subject, None)
        elif kind == "process paused" and subject in self.office:
            self._frozen_office[subject] = self.office.pop(subject)
        elif kind == "process resumed" and subject in self._frozen_office:  # it leads on, until it hears otherwise
            self.office[subject] = self._frozen_office.pop(subject)
        elif kind == "members":
            assert not isinstance(detail, str)
            self._voters[subject] = detail["voters"]
        self._note(kind, subject, detail)
        self._review()

    def _review(self) -> None:
        """See whether the quorum is led, and tell if that has changed."""
        led = any(self._reaches_a_majority(name) for name in self.office)
        if led != self.led:
            self.led = led
            if self._turned is not None:
                self._turned(led)

        for name, (before, listener) in list(self._watched.items()):
            serves = self.serves(name)
            if serves != before:
                self._watched[name] = (serves, listener)
                listener(serves)

    def watch(self, name: str, listener: Callable[[bool], None]) -> None:
        """Tell whenever a member begins or ceases to serve."""
        self._watched[name] = (self.serves(name), listener)

    def serves(self, name: str) -> bool:
        """Whether a member answers its clients: it runs, and reaches a leader that reaches a majority, both ways."""
        node, network = self.world.nodes[name], self.world.network
        if node.process is None or node.paused:
            return False
        return any(
            self._reaches_a_majority(leader)
            and (
                leader == name or not network.rules or (network.reaches(leader, name) and network.reaches(name, leader))
            )
            for leader in self.office
        )

    def _reaches_a_majority(self, leader: str) -> bool:
        voters, network = self._voters[leader], self.world.network
        near = 0
        for name in voters:
            node = self.world.nodes.get(name)
            if name == leader or (
                node is not None
                and node.process is not None
                and not node.paused
                and (not network.rules or (network.reaches(leader, name) and network.reaches(name, leader)))
            ):
                near += 1
        return 2 * near > len(voters)

    # Leaps.

    def begin_leaping(self) -> None:
        """From now on skip over calm, if no other world shares the environment.

        When every member that runs follows one leader and nothing is under way, all that happens is ticks, heartbeats
        and their answers.
        """
        leap_again_and_again([self])

    @property
    def rhythm(self) -> Rhythm:
        """Calm repeats after an election timeout.

        So many ticks bring the leader's check of its quorum back to where it was, and the drawn timeouts stay. What
        the next period brings depends on the past only through the latencies of the last messages, which are drawn
        afresh each time; so after one calm period the state is a draw from one and the same law, now or any number of
        periods later. A follower campaigns after as many ticks of silence at least as make up the timeout: one for the
        heartbeat that did not yet come and one for the phases of the tickers, and a message may take all the others.
        """
        ticks, heartbeat = self.raft.ticks, self.raft.heartbeat
        messages = 2 * max(len(self.world.nodes) - 1, 0) * ticks  # heartbeats and their answers
        return Rhythm(heartbeat * ticks, heartbeat * (ticks - 2), messages)

    @property
    def calm_after(self) -> float:
        """How long nothing must have happened before calm may be leapt over, in seconds: one period."""
        return self.raft.heartbeat * self.raft.ticks

    def leap_over(self, by: float) -> None:
        """So many seconds have been leapt over."""
        self.leapt += by

    @property
    def is_calm(self) -> bool:
        """Whether nothing but heartbeats is to come until something happens from outside."""
        views = {self._machines[name].calm() for name, node in self.world.nodes.items() if node.process is not None}
        if len(views) != 1:
            return False
        view = views.pop()
        return view is not None and self.office.get(view[0]) == view[1]

    def calls(self, name: str, command: Any, ref: str, answer: Callable[[str, Any], None]) -> None:
        """Ask a member for something."""
        self.changed_at = self.env.now
        self.world.nodes[name].propose(command, ref, answer)
