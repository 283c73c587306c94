"""How the members of a simulated etcd cluster came to know of each other, and which of them never start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from hasim.declared import shown
from hasim.engines.des.etcd.arguments import check_name, known_name
from hasim.errors import ModelError, nearest
from hasim.faults.names import first_twice
from hasim.faults.verdict import DROP, PASS, Draw, Rule, Verdict
from hasim.model.cluster import Cluster
from hasim.model.parts import Quorum
from hasim.model.placement import member_names, place
from hasim.model.raft import Raft
from hasim.protocols.etcd.bootstrap import (
    CLUSTER_ID_MISMATCH,
    Boot,
    Discovery,
    Flags,
    Method,
    Srv,
    Static,
    plan_boot,
)
from hasim.protocols.etcd.discovery import BootError, Dns, Registration, Registry, Waiting
from hasim.protocols.etcd.identity import TOKEN, check_urls, id_text, member_id

MEMBERS_MAX = 99


@dataclass(frozen=True)
class Founding:
    """Who is there at the beginning.

    `lists` has, for each member, the founders it was told of. `clusters` has the ID of the cluster that a member found
    itself in, where they differ they refuse each other; `halted` says why some do not start.
    """

    lists: Mapping[str, tuple[str, ...]]
    clusters: Mapping[str, int] = field(default_factory=dict)
    halted: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What one should know about this beginning."""
        found = [f"{name} does not start: {why}" for name, why in self.halted.items()]
        for founders in dict.fromkeys(self.lists[name] for name in self.lists if name not in self.halted):
            size = len(founders)
            if size % 2 == 0:
                bears = (size - 1) // 2
                found.append(f"{size} members tolerate {bears or 'no'} failure{'s' * (bears > 1)}, like {size - 1}")
        groups: dict[int, list[str]] = {}
        for name, cluster in self.clusters.items():
            groups.setdefault(cluster, []).append(name)
        if len(groups) > 1:
            said = " and ".join(f"{', '.join(names)} in {id_text(cluster)}" for cluster, names in groups.items())
            found.append(f"{CLUSTER_ID_MISMATCH}: {said} refuse each other")
        return found

    @property
    def refusals(self) -> Rule | None:
        """The rule by which members of different clusters refuse each other, if there are any."""
        clusters = self.clusters
        if len(set(clusters.values())) < 2:
            return None

        def strangers(src: str, dst: str, _: Draw) -> Verdict:
            return PASS if clusters.get(src) == clusters.get(dst) else DROP

        return strangers


def founding(members: int | Sequence[str] | Founding, zones: Mapping[str, str] | None = None) -> Founding:
    """Members that all know of each other: a number of them, or their names."""
    if isinstance(members, Founding):
        if zones is not None:
            raise ModelError(f"got {shown(zones)}; a Founding has its zones already", "zones")
        return members
    names = _names(members, "members")
    return Founding(dict.fromkeys(names, names), zones=_zones(zones, names))


def _zones(given: Any, names: Sequence[str]) -> dict[str, str]:
    """The zone of each member that stands in one."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ModelError(f"got {shown(given)}; give the zone of each member, like {{'etcd-1': 'north'}}", "zones")
    for name, zone in given.items():
        known_name(name, names, "zones")
        if not isinstance(zone, str) or not zone.strip():
            raise ModelError(f"got {shown(zone)}; the name of a zone is a text, like 'north'", f"zones.{name}")
        if zone in names:
            raise ModelError(f"got {zone!r}, the name of a member; call the zone something else", f"zones.{name}")
    return dict(given)


def placed(cluster: Cluster, part: str | None) -> tuple[Founding, Raft]:
    """The members of a declared quorum that plays Raft, each in its zone, and how they agree."""
    quorums = {name: each for name, each in cluster.parts.items() if isinstance(each, Quorum) and each.raft is not None}
    if not quorums:
        raise ModelError("no part of the cluster plays Raft; give a quorum `raft: {}`", "cluster")
    if part is None and len(quorums) > 1:
        raise ModelError(f"several parts play Raft; name one of {', '.join(quorums)}", "part")
    name: Any = next(iter(quorums)) if part is None else part
    if not isinstance(name, str) or name not in quorums:
        raise ModelError(
            f"got {shown(name)}; parts that play Raft are {', '.join(quorums)}{nearest(str(name), quorums)}", "part"
        )
    quorum = quorums[name]
    members = tuple(member_names(name, quorum))
    paths = cluster.topology.paths()
    hosts = zip(members, place(name, quorum, cluster.topology), strict=True)
    zones = {member: paths[host][-2] for member, host in hosts if host and len(paths[host]) > 1}
    assert quorum.raft is not None
    return Founding(dict.fromkeys(members, members), zones=zones), quorum.raft


def bootstrapped(told: Mapping[str, Sequence[str] | Method], tokens: Mapping[str, str] | None) -> Founding:
    """What becomes of members that boot with empty disks, each by what it was told.

    That is the names in its --initial-cluster, or another method. The address of a member is http://NAME:2380. All that
    use one discovery token find one registry, and write themselves into it in this order.
    """
    given: object = told
    if not isinstance(given, Mapping):
        raise ModelError(f"got {shown(given)}; give each member's list by its name, like {{'a': ['a', 'b']}}", "told")
    if not told:
        raise ModelError("got {}; name at least one member", "told")
    _names(tuple(told), "told")
    tokens = _tokens(tokens, tuple(told))
    methods = _registered({name: _method(name, method) for name, method in told.items()})
    by_url = {url: name for method in methods.values() for url, name in _listed(method)}
    by_url.update({_url(name): name for name in told})
    lists: dict[str, tuple[str, ...]] = {}
    clusters: dict[str, int] = {}
    halted: dict[str, str] = {}
    for name, method in methods.items():
        plan = plan_boot(method, Flags(name, (_url(name),), tokens.get(name, TOKEN)))
        if isinstance(plan, Boot):
            # Lists made from DNS call the others 0, 1, …: where they are tells who they are.
            urls = [member.urls[0] for member in plan.members]
            lists[name] = tuple(sorted(by_url.get(url, str(urlsplit(url).hostname)) for url in urls))
            clusters[name] = plan.cluster_id
        else:
            lists[name] = ()
            halted[name] = plan.text if isinstance(plan, BootError) else plan.why
    return Founding(lists, clusters, halted)


def _tokens(given: Any, names: Sequence[str]) -> Mapping[str, str]:
    """The --initial-cluster-token of each member that has one of its own."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ModelError(f"got {shown(given)}; give tokens by member, like {{'a': 'a-token'}}", "tokens")
    for name, token in given.items():
        known_name(name, names, "tokens")
        if not isinstance(token, str):
            raise ModelError(f"got {shown(token)}; a token is a text", f"tokens.{name}")
    return given


def _method(name: str, told: Any) -> Method:
    path = f"told.{name}"
    if isinstance(told, Static | Discovery | Srv):
        _check_method(told, path)
        return told
    if isinstance(told, str) or not isinstance(told, Sequence):
        raise ModelError(f"got {shown(told)}; give the names in its list, or Static, Discovery or Srv", path)
    for each in told:
        check_name(each, path)
    _refuse_twins(told, path)
    return Static({each: (_url(each),) for each in told})


def _check_method(method: Any, path: str) -> None:
    """Refuse a method whose parts are of the wrong kind; what etcd makes of right ones is for it to say."""
    if isinstance(method, Static):
        if not isinstance(method.cluster, Mapping):
            raise ModelError(f"got {shown(method.cluster)}; a list has the URLs of each member", f"{path}.cluster")
        for name, urls in method.cluster.items():
            check_name(name, f"{path}.cluster")
            given: object = urls
            if not isinstance(given, list | tuple) or not all(isinstance(url, str) for url in given):
                raise ModelError(f"got {shown(given)}; give a list of URLs", f"{path}.cluster.{name}")
            check_urls(urls, f"{path}.cluster.{name}")
    elif isinstance(method, Discovery):
        if not isinstance(method.token, str):
            raise ModelError(f"got {shown(method.token)}; a token is a text", f"{path}.token")
        if not isinstance(method.registry, Registry | None):
            raise ModelError(f"got {shown(method.registry)}; give a Registry, or None", f"{path}.registry")
    elif not isinstance(method.dns, Dns):
        raise ModelError(f"got {shown(method.dns)}; give a Dns", f"{path}.dns")


def _listed(method: Method) -> list[tuple[str, str]]:
    """Where a list has whom."""
    if not isinstance(method, Static):
        return []
    return [(url, name) for name, urls in method.cluster.items() for url in urls]


def _registered(methods: Mapping[str, Method]) -> dict[str, Method]:
    """Let those that use a discovery service write themselves into it, and then all look."""
    registries: dict[str, Registry | None] = {}
    for name, method in methods.items():
        if not isinstance(method, Discovery):
            continue
        registry = registries.setdefault(method.token, method.registry)
        plan = plan_boot(replace(method, registry=registry), Flags(name, (_url(name),), method.token))
        if registry is not None and isinstance(plan, Waiting) and plan.register:
            own = Registration(member_id((_url(name),), method.token), name, (_url(name),))
            registries[method.token] = replace(registry, registered=(*registry.registered, own))
    return {
        name: replace(method, registry=registries[method.token]) if isinstance(method, Discovery) else method
        for name, method in methods.items()
    }


def _url(name: str) -> str:
    return f"http://{name}:2380"


def _names(members: Any, path: str) -> tuple[str, ...]:
    if isinstance(members, bool | str | bytes) or not isinstance(members, int | Sequence):
        raise ModelError(f"got {shown(members)}; give a number of members or their names", path)
    if isinstance(members, int):
        # A count out of range is refused without making so many names.
        names = tuple(f"etcd-{i + 1}" for i in range(min(members, MEMBERS_MAX + 1)))
    else:
        names = tuple(members)
    if not 1 <= len(names) <= MEMBERS_MAX:
        raise ModelError(f"got {shown(members)}; a quorum has 1 to {MEMBERS_MAX} members", path)
    for name in names:
        check_name(name, path)
    _refuse_twins(names, path)
    return names


def _refuse_twins(names: Sequence[str], path: str) -> None:
    twice = first_twice(names)
    if twice is not None:
        raise ModelError(f"got {twice!r} twice; each member has a name of its own", path)
