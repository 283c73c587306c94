"""A small etcd cluster to play with: time stands still between calls, and passes only while one waits or `run` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from html import escape
from itertools import count
from math import inf, nextafter
from typing import TYPE_CHECKING, Any

from hasim.checks.history import Operation
from hasim.checks.report import Report, report
from hasim.declared import shown
from hasim.engines.des.etcd.arguments import check_name, known_name, laws, length_of, raft_of, request_of
from hasim.engines.des.etcd.client import Client
from hasim.engines.des.etcd.founding import Founding, bootstrapped, founding, placed
from hasim.engines.des.etcd.judges import Judges
from hasim.engines.des.etcd.reply import BY_HAND, Reply, operation
from hasim.engines.des.etcd.settings import Settings
from hasim.engines.des.etcd.tables import health_table, members_table, status_table
from hasim.engines.des.etcd.workload import Workload
from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.world import LeapingEnvironment, Watched, World
from hasim.errors import ModelError
from hasim.faults.fault import Fault
from hasim.faults.verdict import DROP, PASS, Draw, Verdict
from hasim.machine import Gone
from hasim.model.cluster import Cluster
from hasim.model.raft import Raft
from hasim.protocols.etcd import requests as asked
from hasim.protocols.etcd.bootstrap import Method
from hasim.protocols.etcd.config import QUOTA_BYTES
from hasim.protocols.etcd.recovery import force_new_cluster
from hasim.protocols.etcd.requests import CONNECTION_REFUSED, DEADLINE, Done, Refused
from hasim.protocols.etcd.store import Compact, Disarm, Store
from hasim.protocols.raft.saved import Record, Saved
from hasim.streams import Streams, seed_or_fresh
from hasim.trace import Detail, Fact, Trace
from hasim.units import human

if TYPE_CHECKING:
    import pandas

COMMAND_TIMEOUT = "5s"  # etcdctl --command-timeout
FACTS_OF_LOGS = ("log", "appended", "committed", "applied")  # for the judges; a reader of a trace would drown in them


class Etcd:
    """An etcd cluster in a simulation, with the commands of etcdctl and the hands of a saboteur.

        etcd = ha.Etcd(3, seed=1)
        etcd.run("5s")
        etcd.put("colour", "blue")
        etcd.partition(etcd.leader)
        etcd.get("colour", at=etcd.leader, mode="serializable")

    Members are `etcd-1`, `etcd-2`, … unless named. A request goes to the first member that runs unless `at` names
    one; its client stands next to that member, so that no time passes on the way there. `zones` says in which zone each
    member stands, `latencies` the laws between pairs of zones or members.
    """

    def __init__(
        self,
        members: int | Sequence[str] | Founding = 3,
        *,
        raft: Raft | Mapping[str, Any] | None = None,
        seed: int | None = None,
        zones: Mapping[str, str] | None = None,
        latencies: Mapping[tuple[str, str], Any] | None = None,
        snapshot: Store | None = None,
        quota_bytes: int = QUOTA_BYTES,
        strict_reconfig: bool = True,
        clock_drift_max: float | None = None,
    ) -> None:
        """Found a cluster and start all its members.

        With a `snapshot` its store begins with that. `quota_bytes` is --quota-backend-bytes, `strict_reconfig`
        --strict-reconfig-check. `clock_drift_max` (1.01: clocks differ by 1 % at most) allows lease reads, which etcd
        does not have.
        """
        self.founding = founding(members, zones)
        self.seed = seed_or_fresh(seed)
        self.raft = raft_of(raft)
        self.clients: dict[str, Client] = {}
        self._facts: list[Fact] = []
        self._asked: list[Operation] = []
        self._refs = count(1)
        self._cuts = ExitStack()
        self._env = LeapingEnvironment()
        self._streams = Streams(self.seed)
        self._lists = dict(self.founding.lists)
        self._settings = Settings(quota_bytes, strict_reconfig, clock_drift_max, snapshot)
        self._judges = Judges(self._lists, self.founding.clusters)
        self._etcd = EtcdWorld(
            self._env,
            self._streams,
            self._lists,
            self.raft,
            self._note,
            zones=self.founding.zones,
            latencies=laws(latencies, self._lists, dict.fromkeys(self.founding.zones.values())),
            facts_of_logs=True,
            on_disk=self._on_disk,
            lists=self._lists,
            adjust=self._settings.adjust,
        )
        if self.founding.refusals is not None:
            self.world.network.add_rule(self.founding.refusals)
        for name in self._lists:
            if name not in self.founding.halted:
                self.start(name)

    @classmethod
    def of(cls, cluster: Cluster, part: str | None = None, *, seed: int | None = None) -> Etcd:
        """The quorum of a declared cluster that plays Raft (`raft: {}`), its members in their zones."""
        if not isinstance(cluster, Cluster):
            raise ModelError(f"got {cluster!r}; give a cluster, as ha.load returns it", "cluster")
        beginning, raft = placed(cluster, part)
        return cls(beginning, raft=raft, seed=seed)

    @classmethod
    def bootstrap(
        cls,
        told: Mapping[str, Sequence[str] | Method],
        *,
        tokens: Mapping[str, str] | None = None,
        raft: Raft | Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Etcd:
        """Boot members with empty disks, each by the list it was told (or `Discovery`, or `Srv`), and see what forms.

        Members whose lists or tokens differ find themselves in different clusters and refuse each other. Those that
        are named in lists but told nothing are not switched on. `notes` says who does not start, and why.
        """
        return cls(bootstrapped(told, tokens), raft=raft, seed=seed)

    @classmethod
    def restored(
        cls,
        snapshot: Store,
        members: int | Sequence[str] = 3,
        *,
        raft: Raft | Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Etcd:
        """A new cluster, with new members, whose store begins with a snapshot; what was written since then is lost."""
        if snapshot is None:
            raise ModelError("got nothing; give what snapshot_save returned", "snapshot")
        return cls(members, raft=raft, seed=seed, snapshot=snapshot)

    @property
    def notes(self) -> list[str]:
        """What one should know about this cluster."""
        return self.founding.notes

    # ------------------------------------------------------------------------------------------ time

    @property
    def now(self) -> float:
        """Seconds since the cluster was founded."""
        return self._env.now

    def run(self, for_: str = "1s") -> Etcd:
        """Let time pass."""
        self._env.run(until=self._env.now + length_of(for_))
        return self

    @property
    def trace(self) -> Trace:
        """Everything that has happened."""
        return Trace(self._facts)

    def _note(self, kind: str, subject: str, detail: Detail) -> None:
        fact = Fact(self._env.now, kind, subject, detail)
        self._judges.hear(fact)
        if kind == "snapshot installed" and not isinstance(detail, str):
            fact = replace(fact, detail={"index": detail["index"], "term": detail["term"]})  # but not the whole store
        if kind not in FACTS_OF_LOGS:
            self._facts.append(fact)

    def _on_disk(self, name: str, record: Record) -> None:
        self._judges.on_disk(name, record, self._env.now)

    @property
    def world(self) -> World:
        """The world underneath, with the verbs of faults."""
        return self._etcd.world

    # -------------------------------------------------------------------------------------- requests

    @property
    def leader(self) -> str | None:
        """The member in office, None during an election."""
        return self._etcd.leader

    def put(self, key: str, value: str, *, at: str | None = None, timeout: str = COMMAND_TIMEOUT) -> Reply:
        """Write a value to a key."""
        return self.ask(asked.Put(key, value), at=at, timeout=timeout)

    def get(
        self, key: str, *, at: str | None = None, mode: str = "linearizable", timeout: str = COMMAND_TIMEOUT
    ) -> Reply:
        """Read a key: `linearizable`, or `serializable` from what the member knows by itself.

        Where lease reads are allowed, `lease` reads what a leader knows that trusts its clock.
        """
        return self.ask(asked.Get(key, mode), at=at, timeout=timeout)

    def delete(self, key: str, *, at: str | None = None, timeout: str = COMMAND_TIMEOUT) -> Reply:
        """Remove a key."""
        return self.ask(asked.Delete(key), at=at, timeout=timeout)

    def ask(self, command: Any, *, at: str | None = None, timeout: str = COMMAND_TIMEOUT) -> Reply:
        """Ask a member for anything, and let time pass until it answers or the client gives up."""
        command = request_of(command, self._settings.clock_drift_max is not None)
        called, latest = self._env.now, self._etcd.revision
        if self._asked:  # no time has passed since the last answer came, but it did come before this is asked
            called = max(called, nextafter(self._asked[-1].returned, inf))
        reply = self._ask(command, at, timeout)
        if isinstance(command, asked.Command):
            self._asked.append(operation(command, reply, called, latest))
        return reply

    def _ask(self, command: Any, at: str | None, timeout: str = COMMAND_TIMEOUT) -> Reply:
        patience = length_of(timeout, "timeout")
        name = self._endpoint(at)
        begun = self._env.now
        if name is None:
            return Reply("nobody", 0.0, error=CONNECTION_REFUSED)
        answer = self._env.event()

        def answered(ref: str, result: Any) -> None:
            if not answer.triggered:
                answer.succeed(result)

        self._etcd.calls(name, command, f"{BY_HAND}-{next(self._refs)}", answered)
        self._env.run(until=answer | self._env.timeout(patience))
        took = self._env.now - begun
        harmless = isinstance(command, asked.Get | asked.Status | asked.SaveSnapshot)
        if not answer.triggered:
            return Reply(name, took, error=DEADLINE, unknown=not harmless)
        result: Any = answer.value
        if isinstance(result, Done):
            return Reply(name, took, result.value, result.version)
        if isinstance(result, Refused):
            return Reply(name, took, error=result.error, unknown=result.unknown)
        assert isinstance(result, Gone), f"{name} answered {result!r}, which is no result"
        return Reply(name, took, error=result.error, unknown=not harmless and result.error != CONNECTION_REFUSED)

    def _endpoint(self, at: str | None) -> str | None:
        if at is not None:
            return self._known(at)
        nodes = self._etcd.world.nodes
        return next((name for name, node in nodes.items() if node.process is not None and not node.paused), None)

    def _known(self, name: str, path: str = "at") -> str:
        """The name, if a member is called that: one that runs or ran, or that is on a list."""
        return known_name(name, self._etcd.world.nodes, path)

    def _nodes(self, names: Sequence[str]) -> list[Any]:
        if not names:
            raise ModelError("name at least one member", "names")
        return [self._etcd.world.nodes[self._known(name, "names")] for name in names]

    # ------------------------------------------------------------------------- clients and verdicts

    def client(self, workload: Workload | None = None, **settings: Any) -> Client:
        """Let a client work on the cluster from now on: a Workload, or its settings; `history` fills as time passes.

        It is called client-1, client-2, … and talks to all members unless told otherwise.
        """
        if workload is not None and settings:
            raise ModelError("give either a Workload or settings of one, not both", "workload")
        if workload is None:
            free = next(name for name in map("client-{}".format, count(1)) if name not in self.clients)
            workload = Workload(**{"name": free, "endpoints": list(self._etcd.world.nodes), **settings})
        if not isinstance(workload, Workload):
            raise ModelError(f"got {shown(workload)}; give a Workload, or settings by name like rate=10", "workload")
        if workload.name in (*self.clients, BY_HAND):
            raise ModelError(f"got {workload.name!r}, which there is already; each client has its own name", "name")
        client = Client(self._env, self._streams, workload, self.world.nodes, lambda: self._etcd.revision)
        self.clients[workload.name] = client
        return client

    @property
    def history(self) -> list[Operation]:
        """All requests on keys so far, those made by hand and those of clients, in order of their calls."""
        of_clients = [each for client in self.clients.values() for each in (*client.history, *client.under_way)]
        return sorted([*self._asked, *of_clients], key=lambda each: (each.called, each.returned))

    def check(self) -> Report:
        """Judge all that happened: linearizability, the session guarantees, and the invariants of Raft."""
        return report(self.history, self._judges.violations, self._settings.values)

    # -------------------------------------------------------------------------------- looking around

    def members(self) -> pandas.DataFrame:
        """The list of members: name, status, whether it is a learner.

        The first member that runs is asked; it goes by what it knows itself if no quorum confirms it in time.
        """
        name = self._endpoint(None)
        if name is not None:
            self._ask(asked.Get("members"), name)
        return members_table(self._status(name) if name is not None else None)

    def endpoint_status(self) -> pandas.DataFrame:
        """How every member sees itself; one that does not run has no figures."""
        return status_table({name: self._status(name) or self._silence(name) for name in self.world.nodes})

    def endpoint_health(self, timeout: str = COMMAND_TIMEOUT) -> pandas.DataFrame:
        """Whether each member can carry out a linearizable read; time passes while they are asked."""
        return health_table({name: self._ask(asked.Get("health"), name, timeout) for name in self.world.nodes})

    def _silence(self, name: str) -> str:
        if name in self.founding.halted:
            return "not started"
        return "paused" if self.world.nodes[name].process is not None else "down"

    def _status(self, name: str) -> dict[str, Any] | None:
        """What a member answers at once; None if it does not run."""
        node = self._etcd.world.nodes[name]
        if node.process is None or node.paused:
            return None
        found: list[dict[str, Any]] = []
        node.propose(asked.Status(), f"ctl-{next(self._refs)}", lambda ref, result: found.append(result.value))
        return found[0] if found else None

    # ------------------------------------------------------------------------------------ membership

    def member_add(self, name: str, *, learner: bool = False, at: str | None = None) -> Reply:
        """Add a member to the list; `start` its process afterwards, as one does."""
        check_name(name, "name")
        reply = self.ask(asked.MemberAdd(name, learner), at=at)
        if reply.ok and name not in self._etcd.world.nodes:
            # It joins with an empty disk, knows what the others began with, and learns the rest from the leader.
            self._judges.joins(name, reply.node)
            self._lists[name] = self._lists[reply.node]
            self._etcd.add(name, self.raft.config(name, self._lists[name]))
        return reply

    def member_remove(self, name: str, *, at: str | None = None) -> Reply:
        """Remove a member; its process ends a second later."""
        return self.ask(asked.MemberRemove(self._listed(name)), at=at)

    def member_promote(self, name: str, *, at: str | None = None) -> Reply:
        """Give a learner its vote; without `at` the leader is asked, which alone can judge it."""
        return self.ask(asked.MemberPromote(self._listed(name)), at=self.leader if at is None else at)

    def move_leader(self, target: str) -> Reply:
        """Let the leader hand over."""
        return self.ask(asked.MoveLeader(self._listed(target)), at=self.leader)

    def _listed(self, name: str) -> str:
        """The name, if it is that of a member or on a list that one was told."""
        on_lists = {founder for founders in self._lists.values() for founder in founders}
        return known_name(name, {**self._etcd.world.nodes, **dict.fromkeys(sorted(on_lists))}, "name")

    # ----------------------------------------------------------------------------------- maintenance

    def compact(self, revision: int, *, at: str | None = None) -> Reply:
        """Forget what was overwritten up to a revision."""
        return self.ask(Compact(revision), at=at)

    def defrag(self, at: str) -> Reply:
        """Give back the room that compaction has freed in one member's database."""
        return self.ask(asked.Defragment(), at=self._known(at))

    def alarm_disarm(self, *, at: str | None = None) -> Reply:
        """Lift the alarm for space."""
        return self.ask(Disarm(), at=at)

    def snapshot_save(self, at: str) -> Store:
        """A copy of a member's store, from which a new cluster can be `restored`; it may lag behind the leader's."""
        reply = self.ask(asked.SaveSnapshot(), at=self._known(at))
        if not isinstance(reply.value, Store):
            raise ModelError(f"{at} gave no snapshot: {reply.error}; ask a member that serves", "at")
        return reply.value

    def force_new_cluster(self, name: str) -> None:
        """Make a cluster of one out of a member's disk, as `--force-new-cluster` does; it must not run, and starts.

        A judge of its own watches it from here on: for the old one this is a break with all that Raft promises.
        """
        node = self._etcd.world.nodes[self._known(name, "name")]
        if node.process is not None:
            raise ModelError(f"{name} runs; crash or stop it first", "name")
        saved = node.disk.saved()
        saved = replace(saved) if isinstance(saved, Saved) else Saved()
        if saved.snapshot is None:
            saved.snapshot = self.raft.config(name, self._lists[name]).raft.genesis
            saved.commit = max(saved.commit, saved.snapshot.index)
        forced = force_new_cluster(saved, name)
        node.disk.replace(forced)
        self._judges.begins_anew(name, forced, self._env.now)
        self._note("forced", name, "")
        node.start()

    # -------------------------------------------------------------------------------------- sabotage

    def crash(self, *names: str) -> None:
        """Kill members' processes (SIGKILL); what they wrote is on their disks."""
        for node in self._nodes(names):
            node.crash()

    def power_off(self, *names: str) -> None:
        """Cut the power of members; what was not synced is lost."""
        for node in self._nodes(names):
            node.power_off()

    def start(self, *names: str) -> None:
        """Start members that do not run."""
        for node in self._nodes(names):
            if node.name in self.founding.halted:
                raise ModelError(f"{node.name} does not start: {self.founding.halted[node.name]}", "names")
            if node.process is None:
                node.start()

    def stop(self, *names: str) -> None:
        """Ask members to leave gracefully (SIGTERM)."""
        for node in self._nodes(names):
            node.stop()

    def pause(self, *names: str) -> None:
        """Freeze members (SIGSTOP)."""
        for node in self._nodes(names):
            node.pause()

    def resume(self, *names: str) -> None:
        """Let frozen members go on (SIGCONT)."""
        for node in self._nodes(names):
            node.resume()

    def partition(self, *side: str) -> None:
        """Cut these members, or those in these zones, off from all others, until `heal`; clients reach everybody."""
        if not side:
            raise ModelError("name the members on one side", "side")
        inside = set(self._places(side, "side"))
        if len(inside) == len(self._etcd.world.nodes):
            raise ModelError("all members are on one side; leave somebody on the other", "side")

        def apart(src: str, dst: str, _: Draw) -> Verdict:
            return DROP if (src in inside) != (dst in inside) else PASS

        self._cuts.enter_context(self._etcd.world.rule(apart))
        self._note("partition", ", ".join(side), "")

    def heal(self) -> None:
        """Mend all partitions made by hand."""
        self._cuts.close()
        self._note("healed", "network", "")

    def play(self, fault: Fault) -> None:
        """Begin a scripted fault; its `at` counts from now. The trace tells when it begins and ends."""
        if isinstance(fault, type) or not hasattr(fault, "script") or not hasattr(fault, "targets"):
            given = f"the class {fault.__name__}" if isinstance(fault, type) else shown(fault)
            raise ModelError(f"got {given}; give a fault, like ha.Pause('etcd-1', at='0s', lasting='5s')", "fault")
        self._places(fault.targets, "fault")
        self._env.process(Watched(self._etcd.world, fault, self._note).play())

    def _places(self, names: Sequence[str], path: str) -> tuple[str, ...]:
        """The members that are called so or stand in such zones."""
        for name in names:
            if not isinstance(name, str):
                raise ModelError(f"got {shown(name)}; write names of members or zones side by side, as text", path)
        try:
            return self._etcd.world.nodes_in(names)
        except ModelError as error:
            raise ModelError(error.problems[0].message, path) from None

    def _repr_html_(self) -> str:
        """A table of all members and what one should know about them, for notebooks."""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return str(self.endpoint_status().to_html(index=False)) + notes

    def __repr__(self) -> str:
        """Say what there is, and what one should know about it."""
        names = ", ".join(self._etcd.world.nodes)
        first = f"Etcd({names}; leader {self.leader or 'none'}, {human(self.now)} on, seed {self.seed})"
        return "\n".join([first, *(f"  note: {note}" for note in self.notes)])
