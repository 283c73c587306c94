"""Nodes that are drained, go down for a while, and are let in again: somebody runs kubectl drain and waits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hasim.engines.des.kubernetes.kubectl import AGAIN_S, TERMINAL, Kubectl
from hasim.engines.des.upgrades.record import Record
from hasim.engines.des.world.alarm import Alarm, Beat
from hasim.model.upgrades import DrainNodes
from hasim.protocols.api import Reply, Request
from hasim.protocols.reconcile.disruption import Evict, Verdict
from hasim.protocols.reconcile.draining import POLL_S, RETRY_S, Drain, Outcome, cordon
from hasim.protocols.reconcile.objects import Node, Pod, PodDisruptionBudget
from hasim.results.spans import Spans
from hasim.results.upgrades import UpgradeLog

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

NO_SPANS: Final = Spans((), np.empty(0), np.empty(0), ())
"""No version is served by nodes."""

Stage = Literal["waiting", "draining", "away", "through"]


class NodeDrains:
    """The drains of one upgrade, one group of nodes after another.

    The commands are run again when they fail, as when the API does not answer: that is the only way in which a drain of
    pods with owners fails. A node that is not empty in time does not go down.
    """

    def __init__(self, live: LiveCluster, upgrade: DrainNodes) -> None:
        """Wait for its time."""
        kubernetes = live.kubernetes
        assert kubernetes is not None
        self.live, self.env, self.upgrade, self.kubernetes = live, kubernetes.env, upgrade, kubernetes
        self.name = upgrade.called
        self.followers: list[Any] = []  # upgrades that begin when all nodes are through
        self.record: Record | None = None
        self.touched = False  # what a hold wants to tell whoever holds
        topology = live.system.cluster.topology
        nodes = list(dict.fromkeys(host for name in upgrade.nodes for host in topology.hosts_in(name) or [name]))
        self.stages: dict[str, Stage] = dict.fromkeys(nodes, "waiting")
        self.refused: dict[str, int] = dict.fromkeys(nodes, 0)  # evictions, by the node whose turn it was
        self._given_up: list[str] = []
        self._groups = [[node] for node in nodes] if upgrade.one_by_one else [nodes]
        self._whole: list[str] = []  # the nodes that are drained together
        self._group: list[str] = []  # those of them that the command is run for
        self._drain = Drain(())
        self._began: dict[str, float] = {}  # when each node's turn began
        self._told: set[str] = set()  # nodes whose first refusal was told
        self._next: Alarm | None = None
        self._asking: dict[str, str] = {}  # pods whose eviction is asked for, and the node they leave
        self._held: set[str] = set()  # pods whose last eviction was refused
        self._leapt = 0.0  # seconds of calm that nobody had lived through when this was last looked at
        self._kubectl = Kubectl(kubernetes.api, lambda _: None)

    def start(self) -> None:
        """Begin at its time."""
        Alarm(self.env, self.env.now + self.upgrade.at, self._begin)

    def _begin(self) -> None:
        nodes = list(self.stages)
        self.record = Record(
            self.name, self.upgrade.STRATEGY, ", ".join(self.upgrade.nodes), "before", "after", len(nodes), self.env.now
        )
        self._announce("rollout begun")
        self._write()
        self._next_group()

    def _next_group(self) -> None:
        if self._groups:
            self._whole = self._groups.pop(0)
            self._run(self._whole)
        elif not self._given_up:
            assert self.record is not None
            self.record.ended = self.env.now
            self._announce("rolled out")
            for follower in self.followers:
                follower.start()

    # The drain itself.

    def _run(self, group: list[str]) -> None:
        """Run the command for these nodes."""
        timeout = self.upgrade.timeout
        if timeout is not None:
            # Run again, it has what is left of the time of the node whose turn it was.
            spent = max(
                (self.kubernetes.api.now - self._began[node] for node in group if node in self._began), default=0
            )
            timeout = max(timeout - spent, POLL_S)
            self.kubernetes.under_way[self] = None
        self._group = group
        self._drain = Drain(group, timeout)
        self._step()

    def _step(self) -> None:
        """See what is to be done now."""
        api, drain = self.kubernetes.api, self._drain
        self._next = None
        self._count_leapt()
        if api.contact != "open" or api.is_frozen:
            self._look_again(POLL_S)  # nothing is seen, and nobody is asked
            return
        step = drain.plan(api.store, api.now)
        for node, outcome in drain.outcomes.items():
            self._see(node, outcome)
        for request in step.requests:
            answered = partial(self._answered, drain, request)
            if isinstance(request, Evict):
                pod = api.store.get(Pod, request.name)
                self._asking[request.name] = "" if pod is None or pod.node is None else pod.node
                api.evict(TERMINAL, request.name, answered)
            else:
                api.ask(TERMINAL, request, answered)
        if drain.ended:
            self._drained()
        elif step.again is not None:
            self._look_again(step.again)

    def _look_again(self, wait: float) -> None:
        if self._next is not None:
            self._next.cancel()
        # Without a timeout it goes by no clock: what was refused may be asked for again so much later.
        kind = Beat if self.upgrade.timeout is None else Alarm
        self._next = kind(self.env, self.env.now + wait, self._step)

    def _answered(self, drain: Drain, request: Request | Evict, reply: Reply | Verdict | None) -> None:
        if drain is not self._drain:
            return
        if isinstance(request, Evict) and isinstance(reply, Verdict) and reply.code == 429:
            self._refused(request.name)
        elif isinstance(request, Evict):
            self._held.discard(request.name)
        drain.answered(request, reply, self.kubernetes.api.now)
        if self._next is not None:
            self._next.cancel()
        self._step()

    def _refused(self, pod: str) -> None:
        """An eviction was refused; the first of each node is told."""
        node = self._asking[pod]
        self._held.add(pod)
        self.refused[node] = self.refused.get(node, 0) + 1
        if node not in self._told:
            self._told.add(node)
            self._tell("eviction refused", node, {"pod": pod})

    def _count_leapt(self) -> None:
        """While calm is leapt over, each pod that is held is refused every few seconds as well."""
        leapt = self.kubernetes.api.leapt
        for pod in self._held:
            self.refused[self._asking[pod]] += int((leapt - self._leapt) // RETRY_S)
        self._leapt = leapt

    def _see(self, node: str, outcome: Outcome) -> None:
        """Tell what has become of a node, if it is news."""
        stage = self.stages[node]
        if outcome == "draining" and node not in self._began:
            self._began[node] = self.kubernetes.api.now
            self._turn(node, "draining")
        elif outcome == "drained" and stage == "draining":
            self._turn(node, "away")
            took = self.kubernetes.api.now - self._began[node]
            self._tell("drained", node, {"took": round(took, 3), "refused": self.refused[node]})
        elif outcome == "timed out" and node not in self._given_up:
            self._given_up.append(node)
            self._turn(node, "waiting")
            left = [pod.name for pod in self.kubernetes.api.store.all(Pod) if pod.node == node and pod.deleted is None]
            self._tell("drain timed out", node, {"left": len(left), "refused": self.refused[node]})

    def _drained(self) -> None:
        """The command has come to its end."""
        self.kubernetes.under_way.pop(self, None)
        outcomes = self._drain.outcomes
        failed = [node for node in self._group if outcomes[node] == "failed"]
        if failed:
            self._tell("drain failed", ", ".join(failed), {})
            again = [node for node in self._group if outcomes[node] != "drained" and node not in self._given_up]
            Alarm(self.env, self.env.now + AGAIN_S, partial(self._run, again))
            return
        self._leave([node for node in self._whole if node not in self._given_up], self._whole)

    # What comes after it.

    def _leave(self, empty: Sequence[str], group: Sequence[str]) -> None:
        """Let the empty nodes go down, if they shall."""
        if self.upgrade.away is None or not empty:
            self._let_in(list(group))
            return
        live = self.live
        with live.instant(), ExitStack() as asked:
            for role in live.played:
                asked.enter_context(role.gracefully(empty))
            for node in empty:
                live.hold(node).close_on(self)  # type: ignore[arg-type]
        back = partial(self._back, empty, list(group))
        Alarm(self.env, self.env.now + self.upgrade.away, back)

    def _back(self, empty: Sequence[str], group: list[str]) -> None:
        with self.live.instant():
            for node in empty:
                self.live.hold(node).let_go(self)  # type: ignore[arg-type]
        self._wait_for(empty, group)

    def _wait_for(self, back: Sequence[str], group: list[str]) -> None:
        """Nodes are let in once those that were away are ready."""
        store = self.kubernetes.api.store
        nodes = (store.get(Node, name) for name in back)
        if all(node is not None and node.ready == "True" and self.kubernetes.kubelets[node.name].up for node in nodes):
            self._let_in(group)
        else:
            Alarm(self.env, self.env.now + POLL_S, partial(self._wait_for, back, group))

    def _let_in(self, group: list[str]) -> None:
        if self.upgrade.then != "uncordon":
            self._through(group)
            return
        left = set(group)

        def done(name: str) -> None:
            left.discard(name)
            if not left:
                self._through(group)

        for name in group:
            self._kubectl.do(cordon(name, on=False), partial(done, name))

    def _through(self, group: Sequence[str]) -> None:
        for node in group:
            if node not in self._given_up:
                self._turn(node, "through")
        self._next_group()

    # What is written down.

    def _turn(self, node: str, stage: Stage) -> None:
        self.stages[node] = stage
        self._write()

    def _write(self) -> None:
        assert self.record is not None
        stages = list(self.stages.values())
        old = stages.count("waiting"), 0, stages.count("draining")
        new = stages.count("through"), stages.count("away"), 0
        self.record.step(self.env.now, old, new, stages.count("through") / len(stages))

    def _announce(self, kind: str) -> None:
        assert self.record is not None
        self.record.facts.append((self.env.now, kind))
        self.live.note(kind, self.record.part, {"upgrade": self.name})

    def _tell(self, kind: str, node: str, detail: dict[str, Any]) -> None:
        assert self.record is not None
        self.record.facts.append((self.env.now, f"{kind}: {node}"))
        self.live.note(kind, node, {"upgrade": self.name, **detail})

    def log(self, end: float) -> UpgradeLog | None:
        """What became of it; None if it has not begun."""
        return None if self.record is None else self.record.log(end, NO_SPANS, state_lost=False)

    def cautions(self) -> list[str]:
        """What keeps nodes from being drained, at the end of the run."""
        found = [f"{self.name}: {node} was not empty in time" for node in self._given_up]
        for node, stage in self.stages.items():
            if stage == "draining" and not (self.record is None or self.record.ended is not None):
                refused = f"; {self.refused[node]:,} evictions were refused" if self.refused[node] else ""
                found.append(f"{self.name}: {node} is not empty yet{self._why(node)}{refused}")
        return found

    def _why(self, node: str) -> str:
        """Which budgets hold its pods."""
        store = self.kubernetes.api.store
        budgets = {budget.app: budget.status for budget in store.all(PodDisruptionBudget)}
        apps = dict.fromkeys(pod.template.app for pod in store.all(Pod) if pod.node == node and pod.active)
        held = [(app, budgets[app]) for app in apps if app in budgets and budgets[app].allowed <= 0]
        said = [
            f"the budget of {app} allows no eviction, and never will: {status.desired} of its {status.expected} pods "
            "must stay"
            if status.desired >= status.expected > 0
            else f"the budget of {app} allows no eviction: {status.healthy} pods are healthy, {status.desired} must be"
            for app, status in held
        ]
        return "".join(f"; {each}" for each in said)
