"""Who is who in etcd: 64-bit IDs of members and clusters, which nobody hands out and all compute alike.

An ID is the first eight bytes of a SHA-1. That of a member of the first hour covers its peer URLs and the cluster
token, that of one added later its peer URLs and the time; that of a cluster covers the IDs of its first members.
Hence members that were given different lists or tokens belong to different clusters and will not talk to each other.

Source: etcd server/etcdserver/api/membership/member.go (computeMemberId), cluster.go (genID).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from hasim.errors import ModelError

TOKEN = "etcd-cluster"  # default of --initial-cluster-token
SCHEMES = ("http", "https", "unix", "unixs")

ClusterList = Mapping[str, tuple[str, ...]]  # what --initial-cluster says: name → peer URLs


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the cluster lists it.

    Founders bear the name that the list gave them from the first moment; a member added later has none until it has
    started and published itself. Either has client URLs to show (`published`) only after that.
    """

    id: int
    urls: tuple[str, ...]
    name: str = ""
    learner: bool = False
    published: bool = False

    @property
    def started(self) -> bool:
        """Whether etcd counts it as started, which it does by its name: not that it is alive now."""
        return bool(self.name)


def member_id(urls: Iterable[str], token: str = TOKEN, added: float | None = None) -> int:
    """The ID that follows from peer URLs and token, and from the second it was added at, if it was added later.

    `added` is in seconds; `member add` gives it together with an empty token. Names and the order of URLs play no
    part.
    """
    stamp = "" if added is None else str(int(added))
    return _first_eight_bytes(("".join(sorted(urls)) + token + stamp).encode())


def cluster_id(member_ids: Iterable[int]) -> int:
    """The ID of the cluster whose first members are these, in whatever order."""
    return _first_eight_bytes(b"".join(each.to_bytes(8, "big") for each in sorted(member_ids)))


def id_text(number: int) -> str:
    """An ID as etcd prints it: hexadecimal, without leading zeros."""
    return f"{number:x}"


def founders(listed: ClusterList, token: str = TOKEN) -> tuple[Member, ...]:
    """The members of a new cluster made from such a list, in order of ID: every member computes the same."""
    members = [Member(member_id(urls, token), tuple(sorted(urls)), name) for name, urls in listed.items()]
    return tuple(sorted(members, key=lambda member: member.id))


def check_urls(urls: Iterable[str], path: str) -> None:
    """Refuse what etcd does not take for a peer URL; `path` is where it stands."""
    urls = tuple(urls)
    if not urls:
        raise ModelError("got no URL; a member has at least one, such as 'http://10.0.0.1:2380'", path)
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ModelError(f"got {url!r}; the scheme of a URL must be http, https, unix, or unixs", path)
        if ":" not in parts.netloc:
            raise ModelError(f'got {url!r}; the address of a URL must have the form "host:port"', path)
        if parts.path:
            raise ModelError(f"got {url!r}; a peer URL must not contain a path", path)


def _first_eight_bytes(content: bytes) -> int:
    return int.from_bytes(hashlib.sha1(content, usedforsecurity=False).digest()[:8], "big")
