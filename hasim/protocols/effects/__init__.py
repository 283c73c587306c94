"""What a worker does to the world when its work is done, and the ways to have that happen once for each task."""

from __future__ import annotations

from hasim.protocols.effects.finish import Finish, finish_of
from hasim.protocols.effects.settings import AnyEffect, Fenced, Keyed, Plain, Transactional, TwoPhase
from hasim.protocols.effects.sink import Sink

__all__ = ["AnyEffect", "Fenced", "Finish", "Keyed", "Plain", "Sink", "Transactional", "TwoPhase", "finish_of"]
