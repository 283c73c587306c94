"""Which host each member of a part stands on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hasim.errors import nearest
from hasim.model.parts import Part, Unit
from hasim.model.topology import Topology


class Misplaced(ValueError):
    """A part cannot be placed; the message says why and what would help."""


def member_names(name: str, part: Part) -> list[str]:
    """etcd-1, etcd-2, …; a part of one single member keeps its own name."""
    return [name] if isinstance(part, Unit) or part.FLOATING else [f"{name}-{i + 1}" for i in range(part.count)]


def place(name: str, part: Part, topology: Topology) -> list[str | None]:
    """The host of each member, or None for a part on no host.

    Members are dealt out over the domains of the level `spread` in order of declaration, one after another; within a
    domain each goes to the host with the fewest members of this part. Members that only upgrades need come last, and
    share hosts as they must.
    """
    if not part.on:
        return [None] * part.count
    hosts = _hosts_of(part, topology)
    settled = part.count - part.extra
    if len(hosts) * part.per_host < settled:
        raise Misplaced(
            f"{settled} members do not fit on {len(hosts)} host{'s' if len(hosts) != 1 else ''} ({_short(hosts)})"
            f" with per_host {part.per_host}; name more hosts in `on`, or raise per_host"
        )
    groups = _groups(hosts, part.spread, topology)
    load = dict.fromkeys(hosts, 0)
    placed: list[str | None] = []
    while len(placed) < part.count:
        for group in groups:
            host = min(group, key=lambda candidate: load[candidate])
            there = len(placed)
            if (load[host] < part.per_host or there >= settled) and there < part.count:
                load[host] += 1
                placed.append(host)
    return placed


def is_within(member: str, host: str | None, paths: Mapping[str, Collection[str]], names: Collection[str]) -> bool:
    """Whether a member has one of these names, or stands in a host or domain that has; `paths` lead to the hosts."""
    return member in names or (host is not None and any(domain in names for domain in paths[host]))


def _hosts_of(part: Part, topology: Topology) -> list[str]:
    known = topology.paths()
    hosts: dict[str, None] = {}
    for target in part.on:
        if target not in known:
            raise Misplaced(f"unknown host or domain {target!r}{nearest(target, known)}; known: {_short(list(known))}")
        found = topology.hosts_in(target)
        if not found:
            raise Misplaced(f"the domain {target!r} has no hosts")
        hosts.update(dict.fromkeys(found))
    return list(hosts)


def _groups(hosts: list[str], level: str, topology: Topology) -> list[list[str]]:
    paths, levels = topology.paths(), topology.levels()
    groups: dict[str, list[str]] = {}
    for host in hosts:
        domain = next((step for step in paths[host] if levels[step] == level), host)
        groups.setdefault(domain, []).append(host)
    return list(groups.values())


def _short(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else ", ".join(names[:8]) + f", … ({len(names)} in all)"
