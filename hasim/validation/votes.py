"""What a vote costs beyond a plain message: both sides handle it, write it down and log it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hasim.engines.des.world import LeapingEnvironment, World
from hasim.model.elections.experiments import VOTE_S, WIRE_S
from hasim.protocols.raft.messages import VoteReply, VoteRequest
from hasim.streams import Streams

HANDLING_S: Final = (VOTE_S[0] - WIRE_S, VOTE_S[1] - WIRE_S)
"""Seconds for handling a request or an answer, before it is on its way."""


class HandledVotes:
    """A link on which requests for votes and their answers leave only when they have been handled."""

    def __init__(self, link: Any, env: LeapingEnvironment, chance: np.random.Generator) -> None:
        self._link, self._env, self._chance = link, env, chance

    def send(self, message: Any, size: int = 0) -> None:
        """Send a message, a vote a little later."""
        if message.__class__ not in (VoteRequest, VoteReply):
            self._link.send(message, size)
            return
        handled = self._env.timeout(float(self._chance.uniform(*HANDLING_S)))
        assert handled.callbacks is not None
        handled.callbacks.append(lambda _: self._link.send(message, size))


def handle_votes(world: World, streams: Streams) -> None:
    """Let votes between all nodes of a world cost their handling."""
    for name, node in world.nodes.items():
        for peer, link in list(node.links.items()):
            if peer != name:
                node.links[peer] = HandledVotes(link, world.env, streams[f"{name}>{peer}/handling of votes"])
