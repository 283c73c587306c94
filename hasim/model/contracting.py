"""Contracts between pools of a cluster, and pools that are not there at first: what must hold of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hasim.declared import at
from hasim.errors import Problem, nearest
from hasim.model.parts import Pool

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster


def contract_problems(cluster: Cluster) -> Iterator[Problem]:
    """What is wrong with the contracts of a cluster, and with pools that are not there at first."""
    yield from _needed_and_absent(cluster)
    pools = {name: part for name, part in cluster.parts.items() if isinstance(part, Pool) and part.serving is not None}
    for i, contract in enumerate(cluster.contracts):
        for field in ("caller", "server", "adapter"):
            name = getattr(contract, field)
            if name is not None and name not in pools:
                known = ", ".join(pools) or "none"
                said = f"got {name!r}; contracts are of pools with `serving`, and these are {known}"
                yield at(("contracts", i, field), said + nearest(name, pools))
        for field, versions in (("caller", contract.of_caller), ("server", contract.of_server)):
            pool = pools.get(getattr(contract, field))
            if pool is not None and pool.version not in versions:
                said = f"{getattr(contract, field)} runs {pool.version!r} at first, and the contract knows "
                yield at(("contracts", i), said + ", ".join(versions))


def _needed_and_absent(cluster: Cluster) -> Iterator[Problem]:
    """Figures of time know nothing of what an upgrade deploys, so nothing that they are about may stand on it."""
    absent = [name for name, part in cluster.parts.items() if isinstance(part, Pool) and not part.deployed]
    for name in cluster.parts:
        for other in cluster.needs(name):
            if other in absent:
                yield at(("parts", name, "needs", other), f"{other} is not there at first (`deployed: false`)")
    for name, service in cluster.services.items():
        for wanted in service.up.names():
            if wanted in absent:
                yield at(("services", name, "up"), f"{wanted} is not there at first (`deployed: false`)")
