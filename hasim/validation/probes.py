"""Open-loop clients that knock at every member at a steady pace, whatever becomes of their requests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from hasim.engines.des.etcd.world import EtcdWorld
from hasim.machine import Gone
from hasim.protocols.etcd.requests import Command, Done, Get, Put, Refused

Kind = Literal["put", "lin", "ser"]
KINDS: Final[tuple[Kind, ...]] = ("put", "lin", "ser")
Floats = npt.NDArray[np.float64]


def command_of(kind: Kind) -> Command:
    """The request behind a kind: a write, a linearizable read or a serializable one."""
    return Put("k", "v") if kind == "put" else Get("k", "linearizable" if kind == "lin" else "serializable")


@dataclass(slots=True)
class Asked:
    """One request: when it was issued, when its answer was back (never: infinite), and the error, "" for none."""

    kind: Kind
    member: str
    issued: float
    answered: float = math.inf
    error: str = ""

    @property
    def took(self) -> float:
        """Seconds from issue to answer."""
        return self.answered - self.issued


class Probes:
    """Requests of every kind to every member, one each `spacing` seconds, at phases that are spread evenly.

    A client is `one_way` seconds away from its member, in both directions. It waits for as long as it takes: whether an
    answer came within a client's patience is for the reader of `asked` to say.
    """

    def __init__(self, world: EtcdWorld, spacing: float, one_way: float) -> None:
        """Nothing is asked before `start`."""
        self.asked: list[Asked] = []
        self._world = world
        self._spacing, self._one_way = spacing, one_way
        self._number = 0
        self._round = 0  # of the probes at work: those of an earlier start have stopped

    def start(self) -> None:
        """Begin to ask, with an empty record."""
        self.asked = []
        self._round += 1
        step = self._spacing / (len(KINDS) * len(self._world.names))
        for place, name in enumerate(self._world.names):
            for order, kind in enumerate(KINDS):
                self._after((place * len(KINDS) + order) * step, kind, name, self._round)

    def stop(self) -> None:
        """Ask no more; answers under way are still taken in."""
        self._round += 1

    def _after(self, delay: float, kind: Kind, name: str, number: int) -> None:
        timeout = self._world.env.timeout(delay)
        assert timeout.callbacks is not None
        timeout.callbacks.append(lambda _: self._ask(kind, name, number))

    def _ask(self, kind: Kind, name: str, number: int) -> None:
        """The request arrives at the member; it left a little earlier."""
        if number != self._round:
            return
        self._after(self._spacing, kind, name, number)
        self.asked.append(self.ask(kind, name))

    def ask(self, kind: Kind, name: str) -> Asked:
        """Ask once, of a request that arrives now; what is returned fills up when there is an answer."""
        world = self._world
        asked = Asked(kind, name, world.env.now - self._one_way)

        def hear(_: str, result: Any) -> None:
            asked.answered = world.env.now + self._one_way
            if isinstance(result, Refused | Gone):
                asked.error = result.error
            else:
                assert isinstance(result, Done), f"{name} answered {result!r}"

        self._number += 1
        world.world.nodes[name].propose(command_of(kind), f"probe {self._number}", hear)
        return asked


# What the answers come to.


def successes(asked: Iterable[Asked], kind: Kind, members: Sequence[str], patience: float) -> list[Asked]:
    """The requests of a kind to these members that were answered well and within the client's patience."""
    return [
        each
        for each in asked
        if each.kind == kind and each.member in members and not each.error and each.took <= patience
    ]


def first_after(served: Iterable[Asked], at: float) -> float:
    """Seconds from `at` to the first completion among the requests issued after it; nan if there is none."""
    return min((each.answered - at for each in served if each.issued >= at), default=math.nan)


def longest_gap(served: Iterable[Asked], since: float, until: float = math.inf) -> float:
    """Longest silence between two completions, the later of which came from `since` to `until`; nan if none did."""
    ends = np.sort([each.answered for each in served if each.answered <= until])
    late = np.flatnonzero(ends >= since)
    late = late[late > 0]
    return float(np.max(ends[late] - ends[late - 1])) if late.size else math.nan


def silences(served: Iterable[Asked], longer_than: float) -> float:
    """Sum of the silences longer than so many seconds."""
    gaps = np.diff(np.sort([each.answered for each in served]))
    return float(np.sum(gaps[gaps > longer_than]))
