"""What checkers and what they check say to each other, and what a prober is told of its container."""

from __future__ import annotations

from typing import NamedTuple


class Ping(NamedTuple):
    """One check: are you well? `n` numbers the checks of one checker, so that a late answer is known as late.

    `about` says which question it is, where there are several: a prober's "liveness", "readiness" and "startup".
    """

    n: int
    about: str = ""


class Pong(NamedTuple):
    """The answer to Ping `n`. Where nobody listens the driver gives it at once, with `ok` false and the reason."""

    n: int
    ok: bool = True
    why: str = ""


class ContainerStarted(NamedTuple):
    """Propose to a prober: a new container runs from now on; what was known of the old one is forgotten."""


class ContainerDied(NamedTuple):
    """Propose to a prober: the container is gone; there is nothing to probe until the next one."""
