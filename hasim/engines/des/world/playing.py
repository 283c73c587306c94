"""A script of a fault at play, step by step."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy import Environment, Event

from hasim.errors import ModelError
from hasim.faults.fault import Script


class Playing:
    """Plays a script; `going` says whether the script itself goes on right now.

    Only then may what it leaves heal. A script that is thrown away unfinished, with its world, leaves its `with` blocks
    too, whenever the garbage is collected: nothing happens in that world any more.
    """

    def __init__(self, script: Script, name: str) -> None:
        """Wait for `steps`; `name` is for people."""
        self.going = False
        self._script = script
        self._name = name

    def steps(self, env: Environment) -> Generator[Event, Any, None]:
        """The script from its beginning to its end, as part of a process of SimPy."""
        while (delay := self._advance()) is not None:
            if not delay >= 0:  # NaN too
                raise ModelError(f"the script of {self._name} yielded {delay!r}; a script yields seconds, zero or more")
            yield env.timeout(delay)

    def _advance(self) -> float | None:
        """Let the script go on until it waits; return the seconds, None at its end."""
        self.going = True
        try:
            return next(self._script, None)
        finally:
            self.going = False

    def close(self) -> None:
        """End the script before its time, and heal what it holds."""
        self.going = True
        self._script.close()
        self.going = False
