"""What whoever asks a part meets: an answer, silence, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal

from hasim.model.cluster import Cluster
from hasim.model.parts import Quorum
from hasim.model.placement import is_within

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster
    from hasim.engines.des.world import Node

Contact = Literal["open", "silent", "refused"]
"""What a request meets: an answer, nothing until there is a quorum again, or a refusal at once."""


def let_meet(node: Node, contact: Contact, by: object) -> None:
    """From now on requests to a node meet this; `by` is who says so, for pauses."""
    if contact != "silent":
        node.resume(by)
    if contact == "refused":
        if node.process is not None:
            node.crash()
        return
    if node.process is None:
        node.start()
    if contact == "silent":
        node.pause(by)


class Reach:
    """The contact of some parts together, which all are needed; `turned()` is called when it may have changed.

    While all are up, they answer. While a quorum among what they need is down, requests wait, as they do in an API
    server whose etcd has no leader; while anything else is, or no server stands to wait in, they are refused.
    """

    def __init__(self, live: LiveCluster, parts: Collection[str], turned: Callable[[], None]) -> None:
        cluster = live.system.cluster
        self._is_true = live.gates.is_true
        self._paths = cluster.topology.paths()
        self._parts = {part: live.nodes["part", part] for part in parts}
        self._placed = {part: _placed(cluster, part) for part in parts}
        self._servers = [[live.nodes["standing", member] for member in self._placed[part]] for part in parts]
        quorums = [name for name in _below(cluster, parts) if isinstance(cluster.parts[name], Quorum)]
        self._quorums = [live.nodes["part", name] for name in quorums]
        servers = [node for nodes in self._servers for node in nodes]
        for node in dict.fromkeys([*self._parts.values(), *self._quorums, *servers]):
            live.listen(node, lambda up: turned())

    @property
    def contact(self) -> Contact:
        """What a request meets now."""
        if all(map(self._is_true, self._parts.values())):
            return "open"
        if any(not any(map(self._is_true, nodes)) for nodes in self._servers):
            return "refused"
        return "refused" if all(map(self._is_true, self._quorums)) else "silent"

    def stands_in(self, names: Collection[str]) -> bool:
        """Whether what answers stands there, for faults of the network: one of the parts, or more than half of it."""
        return any(part in names or self._most(part, names) for part in self._parts)

    def _most(self, part: str, names: Collection[str]) -> bool:
        placed = self._placed[part]
        inside = sum(is_within(member, host, self._paths, names) for member, host in placed.items())
        return 2 * inside > len(placed)


def _placed(cluster: Cluster, part: str) -> dict[str, str | None]:
    """The members of a part, and their hosts."""
    hosts = cluster.placement()
    return {member: hosts[member] for member in cluster.members()[part]}


def _below(cluster: Cluster, parts: Collection[str]) -> list[str]:
    """These parts, and all that they cannot do without."""
    found = dict.fromkeys(parts)
    waiting = list(found)
    while waiting:
        needs = cluster.needs(waiting.pop())
        more = [other for other, kind in needs.items() if kind != "degraded" and other not in found]
        found.update(dict.fromkeys(more))
        waiting += more
    return list(found)
