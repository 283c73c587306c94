"""Things that go wrong on purpose, one kind a file."""

from __future__ import annotations

from hasim.faults.crash import Crash
from hasim.faults.fault import Fault, Script, World

__all__ = ["Crash", "Fault", "Script", "World"]
