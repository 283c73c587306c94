"""The verbs of faults: things done to the world for a while, which heal when their `with` block is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hasim.engines.des.world.touch import Touch
from hasim.faults.delays import Delays
from hasim.faults.verdict import Rule

if TYPE_CHECKING:
    from hasim.engines.des.world.network import Network
    from hasim.engines.des.world.node import Node
    from hasim.streams import Streams


class Downs:
    """Which nodes are held down, by how many faults, and which of them run again afterwards."""

    def __init__(self) -> None:
        self._holds: dict[str, int] = {}
        self._ran: dict[str, None] = {}

    @contextmanager
    def down(self, nodes: Sequence[Node], power: bool) -> Iterator[Touch]:
        """Keep nodes down, by killing their processes or by cutting their power; those that ran start again."""
        touch = Touch()
        for node in nodes:
            self._holds[node.name] = self._holds.get(node.name, 0) + 1
            if node.process is not None:
                touch.touched = True
                self._ran[node.name] = None
            if power:
                touch.touched = touch.touched or node.powered
                node.power_off()
            else:
                node.crash()
        try:
            yield touch
        finally:
            for node in nodes:
                self._holds[node.name] -= 1
                if not self._holds[node.name] and node.name in self._ran:
                    del self._ran[node.name]
                    if node.process is None:
                        node.start()


@contextmanager
def ruled(network: Network, rule: Rule) -> Iterator[Touch]:
    """Ask a rule about every message."""
    number, touch = network.add_rule(rule)
    try:
        yield touch
    finally:
        network.remove_rule(number)


@contextmanager
def paused(node: Node, pauses: dict[str, int]) -> Iterator[Touch]:
    """Stop a process; of several pauses the last to end lets it go on."""
    process = node.process
    pauses[node.name] = pauses.get(node.name, 0) + 1
    node.pause()
    try:
        yield Touch(process is not None)
    finally:
        pauses[node.name] -= 1
        if not pauses[node.name] and node.process is process:  # a new process was never stopped
            node.resume()


@contextmanager
def slow_disk(node: Node, extra: Delays, streams: Streams) -> Iterator[Touch]:
    """Lengthen every sync."""
    touch = Touch()
    rng = streams[f"{node.name}/slow disk"]

    def more() -> float:
        touch.touched = True
        return float(extra.draw(rng, 1)[0])

    node.disk.extras.append(more)
    try:
        yield touch
    finally:
        node.disk.extras.remove(more)


@contextmanager
def stalled_disk(node: Node) -> Iterator[Touch]:
    """Let no sync end."""
    touch = Touch()
    node.disk.stalls.append(touch)
    try:
        yield touch
    finally:
        node.disk.stalls.remove(touch)
        node.disk.unstall()


@contextmanager
def full_disk(node: Node) -> Iterator[Touch]:
    """Let every write fail; a process that cannot write ends, and starts again once there is room."""
    touch = Touch()
    ran = node.process
    node.disk.fulls.append(touch)
    try:
        yield touch
    finally:
        node.disk.fulls.remove(touch)
        if touch.touched and ran is not None and node.process is None and node.powered and not node.disk.fulls:
            node.start()


@contextmanager
def clock_rate(node: Node, rate: float) -> Iterator[Touch]:
    """Let a clock run so many times as fast; several such faults multiply."""
    node.set_skews([*node.skews, rate])
    try:
        yield Touch(rate != 1)
    finally:
        skews = list(node.skews)
        skews.remove(rate)
        node.set_skews(skews)  # not divided: the rate is exactly what it was


@contextmanager
def jumped_clock(node: Node, by: float) -> Iterator[Touch]:
    """Set a clock forward, or back, and put it right afterwards."""
    node.jump(by)
    try:
        yield Touch(by != 0)
    finally:
        node.jump(-by)
