"""What a fault is: a script of things done to a running cluster, with the time that passes between them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Protocol

Script = Generator[float, None, None]


class World(Protocol):
    """What a fault may do to a simulated cluster."""

    def held_down(self, target: str, why: str) -> AbstractContextManager[None]:
        """Keep a unit, host, domain, member or part down for as long as the context lasts."""


class Fault(Protocol):
    """Something that goes wrong at a stated time; yields the seconds that pass between its steps.

    The driver announces start and end, and closes the script when a run stops early, so `with` blocks heal.
    """

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the things it touches; the cluster checks that they exist."""

    def script(self, world: World) -> Script:
        """The steps, from time zero."""
