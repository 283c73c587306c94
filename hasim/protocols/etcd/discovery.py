"""How a member of a new etcd cluster finds the others without being told: a discovery service, or DNS.

Both give the list that `--initial-cluster` would have given, or leave the member without one: a `Waiting` member
tries again, for ever if need be, and one with a `BootError` exits.

Source: etcd server/etcdserver/api/v3discovery/discovery.go, client/pkg/srv/srv.go, server/embed/config.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hasim.protocols.etcd.identity import ClusterList

RETRY_EXPONENT_MAX = 8  # waits between retries grow to 2^8 s and stay there; there are 2^32 - 1 of them
SERVICES = {"https": "etcd-server-ssl", "http": "etcd-server"}  # SRV services by scheme, in the order they are asked


@dataclass(frozen=True, slots=True)
class Waiting:
    """The member waits, without a limit: for something to change, or until it tries again after so many seconds.

    `register` says that it must write itself into the registry first.
    """

    why: str
    retry_after: float | None = None
    register: bool = False


@dataclass(frozen=True, slots=True)
class BootError:
    """The member exits; `text` is what it says, `seconds` what it has spent at most on peers that kept silent."""

    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A member that has written itself into the registry of the discovery service."""

    member_id: int
    name: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """What a discovery service holds under one token.

    `size` is None where nobody has set it, and 0 or less stands for anything that is no size; the registrations are
    in the order they were first made, which outlives a member that registers again.
    """

    size: int | None
    registered: tuple[Registration, ...] = ()


@dataclass(frozen=True, slots=True)
class SrvTarget:
    """One SRV record: a host and the port of its peers' address."""

    host: str
    port: int = 2380


@dataclass(frozen=True, slots=True)
class Dns:
    """What a member's resolver answers at the moment it boots; another member may be answered otherwise.

    `https` are the records of _etcd-server-ssl._tcp, `http` those of _etcd-server._tcp, in the order of the answer;
    a host without an address cannot be resolved (an address stands for itself).
    """

    domain: str
    https: tuple[SrvTarget, ...] = ()
    http: tuple[SrvTarget, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)


def backoff(retry: int) -> float:
    """Seconds before the first, second, … retry to reach the discovery service."""
    return float(2 ** min(retry, RETRY_EXPONENT_MAX))


def discover(own: Registration, registry: Registry | None, retries: int = 0) -> ClusterList | Waiting | BootError:
    """Ask the discovery service for the list; None stands for one that once more, after `retries`, does not answer."""
    if registry is None:
        return Waiting("retry connecting to discovery service", retry_after=backoff(retries + 1))
    if registry.size is None:
        return _cannot_join("discovery: size key not found")
    if registry.size <= 0:
        return _cannot_join("discovery: size key is bad")
    ids = [each.member_id for each in registry.registered]
    place = ids.index(own.member_id) if own.member_id in ids else len(ids)
    if place >= registry.size:
        return _cannot_join("discovery: cluster is full")
    if own.member_id not in ids:
        return Waiting("registering with the discovery service", register=True)
    if len(ids) < registry.size:
        return Waiting("waiting for peers from discovery service")
    return listed((each.name, url) for each in registry.registered[: registry.size] for url in each.urls)


def look_up(name: str, urls: tuple[str, ...], dns: Dns) -> ClusterList | BootError:
    """Make the list from SRV records; `name` and `urls` are the member's own, by which it finds itself in them.

    Records that cannot be resolved are left out, and so is the member itself where the scheme of its URL is not that
    of the service. The others are called 0, 1, …, by each member in its own order: names play no part in IDs.
    """
    found: list[tuple[str, str]] = []
    errors = []
    for scheme, targets in (("https", dns.https), ("http", dns.http)):
        parts, error = _of_service(scheme, targets, name, urls, dns)
        found.extend(parts)
        if error:
            errors.append(error)
    if not found:
        return BootError("; ".join(errors))
    cluster = listed(found)
    if name not in cluster:
        return BootError(f'cannot find local etcd member "{name}" in SRV records')
    return cluster


def listed(pairs: Iterable[tuple[str, str]]) -> ClusterList:
    """The list that follows from pairs of name and URL; pairs of one name are one member with several URLs."""
    urls: dict[str, list[str]] = {}
    for name, url in pairs:
        urls.setdefault(name, []).append(url)
    return {name: tuple(sorted(of_name)) for name, of_name in urls.items()}


def list_text(cluster: ClusterList) -> str:
    """A list as `--initial-cluster` has it: name=URL, parted by commas."""
    return ",".join(sorted(f"{name}={url}" for name, urls in cluster.items() for url in urls))


def same_urls(first: Iterable[str], second: Iterable[str], addresses: Mapping[str, str]) -> bool:
    """Whether two sets of URLs are the same, as they stand or once their hosts are resolved."""
    first, second = sorted(first), sorted(second)
    if first == second:
        return True
    resolved = [[_resolved(url, addresses) for url in urls] for urls in (first, second)]
    if any(place is None for places in resolved for place in places):
        return False
    return sorted(map(str, resolved[0])) == sorted(map(str, resolved[1]))


def _of_service(
    scheme: str, targets: tuple[SrvTarget, ...], name: str, urls: tuple[str, ...], dns: Dns
) -> tuple[list[tuple[str, str]], str]:
    """The pairs that the records of one service give, and the error if they give none."""
    service = SERVICES[scheme]
    own: dict[str, str] = {}
    for url in urls:
        place = _place(urlsplit(url).netloc, dns.addresses)
        if place is None:
            return [], f"lookup {urlsplit(url).hostname}: no such host"
        own[place] = url
    asked = f"error querying DNS SRV records for _{service}"
    error = "" if targets else f"{asked} lookup _{service}._tcp.{dns.domain}: no such host"
    pairs: list[tuple[str, str]] = []
    nameless = 0
    for target in targets:
        host = target.host.removesuffix(".")
        address = f"{scheme}://{host}:{target.port}"
        place = _place(f"{host}:{target.port}", dns.addresses)
        if place is None:
            error = f"{asked} lookup {host}: no such host"
            continue
        mine = own.get(place)
        if mine is None:
            pairs.append((str(nameless), address))
            nameless += 1
        elif urlsplit(mine).scheme == scheme:
            pairs.append((name, address))
        else:
            error = (
                f"{asked} bootstrap at {address} from DNS for {service} has scheme mismatch with expected peer {mine}"
            )
    return pairs, "" if pairs else error


def _resolved(url: str, addresses: Mapping[str, str]) -> tuple[str, str] | None:
    parts = urlsplit(url)
    place = _place(parts.netloc, addresses)
    return None if place is None else (parts.scheme, place)


def _place(netloc: str, addresses: Mapping[str, str]) -> str | None:
    host, _, port = netloc.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = addresses.get(host)
        return None if address is None else f"{address}:{port}"
    return netloc


def _cannot_join(why: str) -> BootError:
    return BootError(f"failed to join discovery cluster ({why})")
