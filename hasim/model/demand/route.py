"""The way of a request through a cluster: the balancer it meets, if any, and the pool (or pair) that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hasim.errors import nearest
from hasim.model.demand.load import Load
from hasim.model.parts import Balancer, Part, Pool, Queue, Standby


class Route(NamedTuple):
    """Names of the parts a load goes through; no balancer where clients reach the replicas, or a queue, themselves."""

    balancer: str | None
    pool: str


class NoRoute(ValueError):
    """There is no way for a load, or more than one; the text says why."""


def route_of(load: Load, parts: Mapping[str, Part]) -> Route:
    """Find the way of a load; raises NoRoute."""
    ways = {name: way for name, part in parts.items() if (way := _way(name, part, parts)) is not None}
    if load.to is not None:
        if load.to not in parts:
            raise NoRoute(f"got {load.to!r}, which is not a part{nearest(load.to, parts)}")
        if load.to not in ways:
            raise NoRoute(
                f"{load.to} takes no requests: a load goes to a pool with `serving`, to a balancer in front of exactly "
                "one such pool, or to a queue with `delivery` and `work`"
            )
        found = ways[load.to]
    else:
        found = _only(ways)
    if isinstance(parts[found.pool], Queue):
        _refuse_what_asks(load, found.pool)
    balancer, dns = found.balancer, load.clients.dns
    if dns is not None and balancer is not None:
        raise NoRoute(f"clients that balance by `dns` ask a pool, not the balancer {balancer}; say `to: {found.pool}`")
    return found


def goes_to_queue(load: Load, parts: Mapping[str, Part]) -> bool:
    """Whether a load is of tasks, rather than requests; raises NoRoute."""
    return isinstance(parts[route_of(load, parts).pool], Queue)


def _refuse_what_asks(load: Load, queue: str) -> None:
    """Nobody waits for the end of a task."""
    if load.users is not None:
        raise NoRoute(f"{queue} is a queue, and its tasks come at a `rate`: nobody waits for their end")
    asks = [field for field in ("writes", "clients") if field in load.model_fields_set]
    if asks:
        raise NoRoute(f"{queue} is a queue, whose tasks come from its `producer`; leave `{asks[0]}` out")


def _only(ways: Mapping[str, Route]) -> Route:
    fronts = [name for name, way in ways.items() if way.balancer is not None]
    candidates = fronts or list(ways)
    if not candidates:
        raise NoRoute(
            "no part takes requests; give a pool `serving`, which says how a replica serves, or a queue `delivery` and "
            "`work`"
        )
    if len(candidates) > 1:
        raise NoRoute(f"say `to`, which part is asked; it could be {' or '.join(candidates)}")
    return ways[candidates[0]]


def _way(name: str, part: Part, parts: Mapping[str, Part]) -> Route | None:
    if isinstance(part, Pool | Standby):
        return Route(None, name) if part.serving is not None else None
    if isinstance(part, Queue):
        return Route(None, name) if part.work is not None else None
    if isinstance(part, Balancer):
        pools = [
            other for other in part.to if isinstance(p := parts.get(other), Pool | Standby) and p.serving is not None
        ]
        return Route(name, pools[0]) if len(pools) == 1 else None
    return None
