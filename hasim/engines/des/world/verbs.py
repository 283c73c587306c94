"""The verbs of faults: things done to the world for a while, which heal when their `with` block is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from hasim.engines.des.world.touch import Touch
from hasim.faults.delays import Delays
from hasim.faults.verdict import Rule

if TYPE_CHECKING:
    from hasim.engines.des.world.network import Network
    from hasim.engines.des.world.node import Node
    from hasim.streams import Streams

P = ParamSpec("P")


class Lasting(AbstractContextManager[Touch]):
    """One verb at work: its steps go up to a `yield` when the block is entered, and on from there when it is left.

    They say what heals without a `finally`: of a world that is thrown away in the middle of a fault nothing is to
    heal, and a generator with one would do so whenever the garbage is collected.
    """

    def __init__(self, steps: Iterator[Touch]) -> None:
        self._steps = steps

    def __enter__(self) -> Touch:
        """Begin."""
        return next(self._steps)

    def __exit__(self, *raised: object) -> None:
        """Heal, whatever happened in the block."""
        next(self._steps, None)


def lasting(verb: Callable[P, Iterator[Touch]]) -> Callable[P, Lasting]:
    """Make a verb of a generator that yields once, between what it does and what heals it."""

    @wraps(verb)
    def begin(*args: P.args, **named: P.kwargs) -> Lasting:
        return Lasting(verb(*args, **named))

    return begin


@lasting
def down(nodes: Sequence[Node], power: bool) -> Iterator[Touch]:
    """Keep nodes down, by killing their processes or by cutting their power; those that should run start again."""
    touch = Touch()
    for node in nodes:
        node.hold_down(touch, power)
    yield touch
    for node in nodes:
        node.release(touch)


@lasting
def ruled(network: Network, rule: Rule) -> Iterator[Touch]:
    """Ask a rule about every message."""
    number, touch = network.add_rule(rule)
    yield touch
    network.remove_rule(number)


@lasting
def paused(node: Node) -> Iterator[Touch]:
    """Stop the process that runs; of several pauses the last to end lets it go on."""
    touch = Touch(node.process is not None)
    node.pause(touch)
    yield touch
    node.resume(touch)


@lasting
def slow_disk(node: Node, extra: Delays, streams: Streams) -> Iterator[Touch]:
    """Lengthen every sync."""
    touch = Touch()
    rng = streams[f"{node.name}/slow disk"]

    def more() -> float:
        touch.touched = True
        return float(extra.draw(rng, 1)[0])

    node.disk.extras.append(more)
    yield touch
    node.disk.extras.remove(more)


@lasting
def stalled_disk(node: Node) -> Iterator[Touch]:
    """Let no sync end."""
    touch = Touch()
    node.disk.stalls.append(touch)
    yield touch
    node.disk.stalls.remove(touch)
    node.disk.unstall()


@lasting
def full_disk(node: Node) -> Iterator[Touch]:
    """Let every write fail; a process that cannot write ends, and one starts again once there is room."""
    touch = Touch()
    node.disk.fulls.append(touch)
    yield touch
    if touch in node.disk.fulls:  # a remedy may have made room before
        node.disk.fulls.remove(touch)
    if not node.disk.fulls:
        node.has_room()


@lasting
def clock_rate(node: Node, rate: float) -> Iterator[Touch]:
    """Let a clock run so many times as fast; several such faults multiply."""
    node.set_skews([*node.skews, rate])
    yield Touch(rate != 1)
    skews = list(node.skews)
    skews.remove(rate)
    node.set_skews(skews)  # not divided: the rate is exactly what it was


@lasting
def jumped_clock(node: Node, by: float) -> Iterator[Touch]:
    """Set a clock forward, or back, and put it right afterwards."""
    node.jump(by)
    yield Touch(by != 0)
    node.jump(-by)
