"""What a model says, for a terminal: where everything stands, and every parameter with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from hasim.model.cluster import Cluster
from hasim.model.demand import Arrivals, Poisson
from hasim.model.demand.route import goes_to_queue
from hasim.model.failures import Failover, Failure
from hasim.model.parts import Elected, Part, Queue, Workload
from hasim.model.presets import preset
from hasim.protocols.delivery import Delivery
from hasim.protocols.lease.settings import Duty
from hasim.protocols.reconcile.remedy import Remedy
from hasim.units import duration_text, human, share_text

if TYPE_CHECKING:
    from hasim.model.yaml_reader import Document

_COMMENT = re.compile(r"^\s*#\s?(.*)$")
NOT_SAID = "not said in the file"
LIMITS = ("at_once", "spacing", "per_hour", "stop_above")
_TRAILING = re.compile(r"\s#\s(.*)$")


def placement_tree(cluster: Cluster) -> Tree:
    """Domains, hosts and the members on them, as a tree; members on no host stand at its end."""
    tree = Tree(Text(cluster.name, style="bold"), guide_style="dim")
    branches = {"": tree}
    levels = cluster.topology.levels()
    for name, path in cluster.topology.paths().items():
        above = branches[path[-2]] if len(path) > 1 else tree
        branches[name] = above.add(Text.assemble(name, (f"  {levels[name]}", "dim")))
    hosts = cluster.placement()
    outside: Tree | None = None
    for part, members in cluster.members().items():
        kind = str(getattr(cluster.parts[part], "kind", type(cluster.parts[part]).__name__))
        for member in members:
            host = hosts[member]
            if host is None and outside is None:
                outside = tree.add(Text("on no host", style="dim"))
            branch = outside if host is None else branches[host]
            assert branch is not None
            branch.add(Text.assemble((member, "cyan"), (f"  {kind}", "dim")))
    return tree


def parts_table(cluster: Cluster) -> Table:
    """A row for each part: its kind, how many members it takes, and what it needs."""
    table = _table("part", "kind", "members", "needs")
    for name, part in cluster.parts.items():
        members = _how_many(part)
        kinds = cluster.needs(name).items()
        needs = ", ".join(other if kind == "hard" else f"{other} ({kind})" for other, kind in kinds)
        table.add_row(name, str(getattr(part, "kind", "")), members, needs or "–")
    return table


def services_table(cluster: Cluster) -> Table:
    """A row for each service: when it is up, and what was promised."""
    table = _table("service", "up", "promise")
    for name, service in cluster.services.items():
        slo = service.slo
        promise = "best effort" if slo is None else f"{share_text(slo.availability)} in {human(slo.window)}"
        table.add_row(name, escape(_condition(service.up.to_plain())), promise)
    return table


def parameters_table(cluster: Cluster, document: Document, text: str) -> Table:
    """A row for each law and number of the model with its source: a preset's, or the comment in the file beside it."""
    table = _table("parameter", "value", "source")
    lines = text.splitlines()
    for path, value, known in _parameters(cluster):
        table.add_row(_label(path, cluster), escape(value), Text(known or _comment(lines, document, path)))
    return table


def comment_at(lines: Sequence[str], number: int) -> str:
    """The comment that belongs to a line (counted from 1): at its end, or in the lines right above it."""
    trailing = _TRAILING.search(lines[number - 1])
    if trailing:
        return trailing[1].strip()
    above: list[str] = []
    for line in reversed(lines[: number - 1]):
        match = _COMMENT.match(line)
        if match is None:
            break
        above.append(match[1].strip())
    return " ".join(reversed(above))


def _parameters(cluster: Cluster) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """(path, value in words, source if it is known by itself) of everything with a number and a source."""
    for target, failures in cluster.failures.items():
        for i, failure in enumerate(failures):
            yield ("failures", target, i), _failure(failure), _preset_source(failure)
    for name, crew in cluster.crews.items():
        yield ("crews", name), f"{crew.size} at once, {crew.discipline}", ""
    for name, spares in cluster.spares.items():
        yield ("spares", name), f"{spares.stock} in stock, restock {spares.restock.text()}", ""
    for name, burst in cluster.bursts.items():
        hit = f"{share_text(burst.share)} of hosts" if burst.share is not None else f"{burst.hosts} hosts"
        yield ("bursts", name), f"every {burst.every.text()}; hits {hit}; down {burst.mttr.text()}", ""
    for name, window in cluster.maintenance.items():
        one = ", one by one" if window.one_by_one else ""
        said = f"every {duration_text(window.every)} for {duration_text(window.lasting)}{one}: {', '.join(window.on)}"
        yield ("maintenance", name), said, ""
    for name, part in cluster.parts.items():
        if part.switch is not None:
            field = next(
                (word for word in ("raft", "vrrp", "lease") if getattr(part, word, None) is not None), "failover"
            )
            yield ("parts", name, field), _failover(part.switch), ""
        yield from _requests(name, part)
        if isinstance(part, Queue) and part.work is not None:
            yield from _tasks(name, part)
        if isinstance(part, Workload):
            yield ("parts", name, "start"), f"a pod starts in {part.start.text()}", ""
            if part.crash is not None:
                yield ("parts", name, "crash"), f"a container crashes after {part.crash.text()}", ""
        if isinstance(part, Elected) and part.duty is not None:
            yield ("parts", name, "duty"), _duty(part.duty), ""
    if cluster.kubernetes is not None and cluster.kubernetes.provisioning is not None:
        yield ("kubernetes", "provisioning"), f"a machine comes in {cluster.kubernetes.provisioning.text()}", ""
    for name, healing in cluster.remedies.items():
        yield ("remedies", name, "remedy"), _remedy(healing.remedy), ""
        yield ("remedies", name, "takes"), f"a treatment takes {healing.takes.text()}", ""
    for name, load in cluster.loads.items():
        field = "rate" if load.rate is not None else "users"
        what = "tasks" if goes_to_queue(load, cluster.parts) else "requests"
        said = f"{load.users} users" if load.rate is None else _arrivals(load.rate, what)
        yield ("loads", name, field), said, ""


def _how_many(part: Part) -> str:
    """How many members it takes, of how many; of a workload, pods."""
    if isinstance(part, Workload):
        return f"{part.required} of {'one a node' if part.replicas is None else part.replicas}"
    return f"{part.enough} of {part.count}"


def _requests(name: str, part: Part) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """What shapes requests: how a server serves, and how a balancer checks."""
    serving = getattr(part, "serving", None)
    if serving is not None:
        yield ("parts", name, "serving", "takes"), f"a request takes {serving.takes.text()}", ""
    check = getattr(part, "check", None)
    if check is not None:
        said = f"a check every {duration_text(check.interval)}, down after {check.fall}, up after {check.rise}"
        yield ("parts", name, "check"), said, ""


def _tasks(name: str, queue: Queue) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """What shapes the lot of tasks: how they are delivered, what they take, how results are written."""
    delivery, work = queue.delivery, queue.work
    assert delivery is not None and work is not None
    if isinstance(delivery, Delivery):
        said = f"again after {duration_text(delivery.ack_deadline)}, late acks {delivery.late_ack.replace('_', ' ')}"
        most = "" if delivery.max_receives is None else f", {delivery.max_receives} times at most"
    else:
        said, most = f"a group over {delivery.partitions} partitions", f", batches of {delivery.max_poll_records}"
    yield ("parts", name, "delivery", "ack_deadline"), said + most, ""
    slow = f", of which {share_text(work.same)} is the task's" if work.same else ""
    yield ("parts", name, "work", "takes"), f"an attempt takes {work.takes.text()}{slow}", ""
    if work.crash is not None:
        yield ("parts", name, "work", "crash"), f"a worker at work crashes after {work.crash.text()}", ""
    if work.poison:
        yield ("parts", name, "work", "poison"), f"{share_text(work.poison)} of tasks are poison", ""
    if queue.effect is not None:
        yield ("parts", name, "effect"), f"{queue.effect.kind}, which needs {queue.effect.needs}", ""
    if queue.prefetch > 1:
        yield ("parts", name, "prefetch"), f"{queue.prefetch} tasks in the buffer of a worker", ""
    if queue.renew is not None:
        yield ("parts", name, "renew"), f"deadlines begin anew every {duration_text(queue.renew)}", ""
    if queue.producer.outbox is not None:
        yield ("parts", name, "producer"), f"an outbox, looked at every {duration_text(queue.producer.outbox)}", ""


def _duty(duty: Duty) -> str:
    fence = "no fence" if duty.fence == "none" else f"fenced by {duty.fence}"
    return f"an item every {duration_text(duty.every)}, {fence}"


def _remedy(remedy: Remedy) -> str:
    limits = [f"{name} {getattr(remedy, name)}" for name in LIMITS if getattr(remedy, name) is not None]
    seen = f"{remedy.symptom} for {duration_text(remedy.after)}, looked for every {duration_text(remedy.check)}"
    return f"{remedy.action} what is {seen}; {', '.join(limits) or 'no limits'}"


def _arrivals(rate: Arrivals, what: str) -> str:
    if isinstance(rate, Poisson):
        return f"{rate.rate:g} {what} a second"
    plain = rate.model_dump()
    return f"{plain.pop('kind')} arrivals: " + ", ".join(f"{key} {value}" for key, value in plain.items())


def _failure(failure: Failure) -> str:
    said = [f"up {failure.mtbf.text()}", f"repair {failure.mttr.text()}"]
    if failure.detect is not None:
        said.insert(1, f"detected after {failure.detect.text()}")
    if failure.supervisor is not None:
        said.append(f"supervised by {failure.supervisor.kind}")
    if failure.restart is not None:
        said.append(f"restart {failure.restart.takes.text()}, works in {share_text(failure.restart.works)}")
    said += [f"{word} {name}" for word, name in (("crew", failure.crew), ("spares", failure.spares)) if name]
    if failure.common_cause:
        said.append(f"common cause {share_text(failure.common_cause)}")
    return "; ".join(said)


def _failover(failover: Failover) -> str:
    said = f"takes {failover.takes.text()}"
    if failover.manual is not None:
        said += f"; works in {share_text(failover.coverage)}, else {failover.manual.text()}"
    return said


def _preset_source(failure: Failure) -> str:
    if failure.preset is None:
        return ""
    known = preset(failure.preset)
    caveat = f"; mind: {known.caveat}" if known.caveat else ""
    return f"preset {known.name}: {known.source} [confidence {known.confidence}: {known.confidence_meaning}]{caveat}"


def _label(path: tuple[str | int, ...], cluster: Cluster) -> str:
    """What to call a parameter: its path, and of several failures of one thing the name."""
    if path[0] != "failures":
        return ".".join(str(step) for step in path)
    _, target, index = path
    name = cluster.failures[str(target)][int(index)].name
    return f"failures.{target}" if name is None else f"failures.{target} ({name})"


def _comment(lines: Sequence[str], document: Document, path: tuple[str | int, ...]) -> str:
    """The comment beside a parameter, or beside the list that it is an item of."""
    for place in (path, path[:-1]):  # a single failure need not be written as a list
        found = comment_at(lines, document.lines[place]) if place in document.lines else ""
        if found:
            return found
    return NOT_SAID


def _condition(plain: object, outer: bool = True) -> str:
    if isinstance(plain, str):
        return plain
    if isinstance(plain, list):
        said = " and ".join(_condition(item, False) for item in plain)
        return said if outer or len(plain) == 1 else f"({said})"
    assert isinstance(plain, dict)
    if "any_of" in plain:
        said = " or ".join(_condition(item, False) for item in plain["any_of"])
        return said if outer else f"({said})"
    return f"at least {plain['at_least']} of {', '.join(_condition(item, False) for item in plain['of'])}"


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for head in heads:
        table.add_column(head, style="bold" if head == heads[0] else "", overflow="fold")
    return table
