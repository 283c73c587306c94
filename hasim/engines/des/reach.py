"""What whoever asks a part meets: an answer, silence, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal

from hasim.model.cluster import Cluster
from hasim.model.parts import Quorum

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

Contact = Literal["open", "silent", "refused"]
"""What a request meets: an answer, nothing until there is a quorum again, or a refusal at once."""


class Reach:
    """The contact of some parts together, which all are needed; `turned()` is called when it may have changed.

    While all are up, they answer. While a quorum among what they need is down, requests wait, as they do in an API
    server whose etcd has no leader; while anything else is, they are refused.
    """

    def __init__(self, live: LiveCluster, parts: Collection[str], turned: Callable[[], None]) -> None:
        cluster = live.system.cluster
        self._is_true = live.gates.is_true
        self._parts = [live.nodes["part", part] for part in parts]
        quorums = [name for name in _below(cluster, parts) if isinstance(cluster.parts[name], Quorum)]
        self._quorums = [live.nodes["part", name] for name in quorums]
        for node in dict.fromkeys([*self._parts, *self._quorums]):
            live.listen(node, lambda up: turned())

    @property
    def contact(self) -> Contact:
        """What a request meets now."""
        if all(self._is_true(node) for node in self._parts):
            return "open"
        return "refused" if all(self._is_true(node) for node in self._quorums) else "silent"


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
