"""Room for the pods of an upgrade: a pool with as many places as it may take at once, most of them empty at first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hasim.errors import nearest
from hasim.model.parts import Balancer, Part, Pool
from hasim.model.upgrades.upgrade import Upgrade

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster

PLACES_MAX = 10_000


class RoomyPool(Pool):
    """A pool with places beyond its replicas, empty but in an upgrade."""

    places: int = 0

    @property
    def count(self) -> int:
        return self.places

    @property
    def extra(self) -> int:
        return self.places - self.replicas


def upgrade_problems(upgrade: Upgrade, parts: Mapping[str, Part]) -> Iterator[str]:
    """What is wrong with an upgrade of this cluster, in words."""
    pools = [name for name, part in parts.items() if isinstance(part, Pool) and part.serving is not None]
    if upgrade.target not in pools:
        known = ", ".join(pools) or "none; give a pool `serving`"
        yield (
            f"got {upgrade.target!r}; an upgrade is of a pool with `serving`, and these are {known}"
            f"{nearest(upgrade.target, pools)}"
        )
        return
    if upgrade.BALANCED and not any(
        isinstance(part, Balancer) and upgrade.target in part.to for part in parts.values()
    ):
        yield f"{upgrade.STRATEGY} sends requests elsewhere, which takes a balancer before {upgrade.target}"
    pool = parts[upgrade.target]
    assert isinstance(pool, Pool)
    places = upgrade.room(pool.replicas)
    if places > PLACES_MAX:
        yield f"it takes up to {places} pods at once, and a pool has at most {PLACES_MAX}"


def with_room(cluster: Cluster, upgrades: Sequence[Upgrade]) -> tuple[Cluster, dict[str, int]]:
    """The cluster with room for its upgrades, and how many pods each upgraded pool has at first, by its name.

    The first members are those of the cluster as declared, on their hosts; how many it takes is as ever. Where hosts
    are too few for the pods on top, these share them: a cluster without room for them is modelled by an upgrade of less
    surge.
    """
    parts, first = dict(cluster.parts), {}
    for name in dict.fromkeys(upgrade.target for upgrade in upgrades):
        pool = parts[name]
        assert isinstance(pool, Pool)
        first[name] = pool.replicas
        places = max(upgrade.room(pool.replicas) for upgrade in upgrades if upgrade.target == name)
        parts[name] = _widened(pool, places)
    return cluster.model_copy(update={"parts": parts}), first


def _widened(pool: Pool, places: int) -> Pool:
    if places <= pool.replicas:
        return pool
    given = {name: getattr(pool, name) for name in pool.model_fields_set}
    return RoomyPool(**given, places=places)
