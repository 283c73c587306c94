"""A server as one balancer sees it: a name, a weight, and what the balancer itself has sent there."""

from __future__ import annotations


class Backend:
    """One server in the eyes of one balancer.

    `weight` is above 0 and at most 1 while a server warms up (slow start), or whatever its owner gives it.
    `active` counts the requests that this balancer holds for the server, those that wait for a retry included; it is
    kept by whoever sends the requests, never by a policy. Two balancers in front of one server keep two backends
    and do not know of each other's load, as in life.
    """

    __slots__ = ("active", "index", "name", "weight")

    def __init__(self, name: str, index: int, weight: float = 1.0, active: int = 0) -> None:
        self.name = name
        self.index = index
        self.weight = weight
        self.active = active

    def __repr__(self) -> str:
        return f"Backend({self.name!r}, {self.index}, weight={self.weight!r}, active={self.active!r})"
