"""Room for the pods of an upgrade: a pool with as many places as it may take at once, most of them empty at first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hasim.errors import nearest
from hasim.model.parts import Balancer, Pool, Workload
from hasim.model.upgrades.deploying import Deploy, Migrate, Remove
from hasim.model.upgrades.drain_nodes import DrainNodes
from hasim.model.upgrades.node_by_node import NodeByNode
from hasim.model.upgrades.pods import drain_problems, workload_problems
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


def upgrade_problems(upgrade: Upgrade, cluster: Cluster) -> Iterator[str]:
    """What is wrong with an upgrade of this cluster, in words."""
    parts = cluster.parts
    if isinstance(upgrade, NodeByNode):
        yield from _unknown_hosts(upgrade, cluster)
        return
    if isinstance(upgrade, DrainNodes):
        yield from drain_problems(upgrade, cluster)
        return
    workload = parts.get(upgrade.target)
    if isinstance(workload, Workload):
        yield from workload_problems(upgrade, workload)
        return
    pools = [name for name, part in parts.items() if isinstance(part, Pool) and part.serving is not None]
    if upgrade.target not in pools:
        known = ", ".join(pools) or "none; give a pool `serving`"
        workloads = [name for name, part in parts.items() if isinstance(part, Workload)]
        others = f", or of a workload: {', '.join(workloads)}" if workloads else ""
        yield (
            f"got {upgrade.target!r}; an upgrade is of a pool with `serving`, and these are {known}{others}"
            f"{nearest(upgrade.target, [*pools, *workloads])}"
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
    if isinstance(upgrade, Deploy) and pool.deployed:
        yield f"{upgrade.target} is there from the beginning; say `deployed: false` of a pool that an upgrade deploys"
    if not isinstance(upgrade, Remove | Migrate):
        yield from _unknown_version(upgrade, pool, cluster)
    yield from _wrong_data(upgrade, pool)


def _unknown_hosts(upgrade: NodeByNode, cluster: Cluster) -> Iterator[str]:
    places = cluster.topology.paths()
    for name in upgrade.hosts:
        if name not in places:
            known = ", ".join(places) or "none"
            yield f"got {name!r}; node by node is of hosts and domains, and these are {known}{nearest(name, places)}"
    for name in upgrade.components:
        if name not in cluster.parts:
            yield f"got the component {name!r}, which is not a part{nearest(name, cluster.parts)}"


def _unknown_version(upgrade: Upgrade, pool: Pool, cluster: Cluster) -> Iterator[str]:
    version = upgrade.release.version
    if pool.data is not None and version not in pool.data.versions:
        yield f"got the version {version!r}; the data of {upgrade.target} know {', '.join(pool.data.versions)}"
    for contract in cluster.contracts:
        for part, versions in ((contract.caller, contract.of_caller), (contract.server, contract.of_server)):
            if part == upgrade.target and version not in versions:
                pair = f"{contract.caller} and {contract.server}"
                yield f"got the version {version!r}; the contract of {pair} knows {', '.join(versions)} of {part}"


def _wrong_data(upgrade: Upgrade, pool: Pool) -> Iterator[str]:
    step = upgrade.migrates
    if step is None:
        return
    if pool.data is None:
        yield f"it migrates data, and {upgrade.target} has none: give the pool `data`"
        return
    for form in dict.fromkeys([step.adds, *(step.backfills or ()), step.drops]):
        if form is not None and form not in pool.data.forms:
            forms = pool.data.forms
            yield f"got the form {form!r}; the data of {upgrade.target} have {', '.join(forms)}{nearest(form, forms)}"


def tracked(cluster: Cluster, upgrades: Sequence[Upgrade]) -> list[str]:
    """The pools of which somebody has to know what runs in them: upgraded ones, and those with data or contracts."""
    of_contracts = [
        name for each in cluster.contracts for name in (each.caller, each.server, each.adapter) if name is not None
    ]
    with_data = [name for name, part in cluster.parts.items() if isinstance(part, Pool) and part.data is not None]
    absent = [name for name, part in cluster.parts.items() if isinstance(part, Pool) and not part.deployed]
    upgraded = [upgrade.target for upgrade in upgrades if isinstance(cluster.parts.get(upgrade.target), Pool)]
    return list(dict.fromkeys([*upgraded, *of_contracts, *with_data, *absent]))


def with_room(cluster: Cluster, upgrades: Sequence[Upgrade]) -> tuple[Cluster, dict[str, int]]:
    """The cluster with room for its upgrades, and how many pods each tracked pool has at first, by its name.

    The first members are those of the cluster as declared, on their hosts; how many it takes is as ever. Where hosts
    are too few for the pods on top, these share them: a cluster without room for them is modelled by an upgrade of less
    surge.
    """
    parts, first = dict(cluster.parts), {}
    for name in tracked(cluster, upgrades):
        pool = parts[name]
        assert isinstance(pool, Pool)
        its = [upgrade for upgrade in upgrades if upgrade.target == name]
        first[name] = pool.replicas if pool.deployed else 0
        places = max([pool.replicas, *(upgrade.room(pool.replicas) for upgrade in its)])
        parts[name] = _widened(pool, places)
    return cluster.model_copy(update={"parts": parts}), first


def _widened(pool: Pool, places: int) -> Pool:
    if places <= pool.replicas:
        return pool
    given = {name: getattr(pool, name) for name in pool.model_fields_set}
    return RoomyPool(**given, places=places)
