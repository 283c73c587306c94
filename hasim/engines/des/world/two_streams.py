"""The way from one node to another in two streams, of which one carries a few kinds of messages alone.

As rafthttp's peer does (server/etcdserver/api/rafthttp/peer.go, pick): appends have a stream of their own while it is
up, and go with the rest while it is not. After a cut the two come back at different times: one that was idle when
it was lost is sent again later, and so less late, than one that was busy all along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasim.engines.des.world.stream import Stream


class TwoStreams:
    """Two streams between the same two nodes; messages of the classes in `apart` prefer the second."""

    __slots__ = ("_apart", "_aside", "_main")

    def __init__(self, main: Stream, aside: Stream, apart: frozenset[type]) -> None:
        self._main, self._aside, self._apart = main, aside, apart

    def send(self, message: Any, size: int = 0) -> None:
        """Send a message on its stream; on one stream they arrive in order."""
        if message.__class__ in self._apart and self._aside.writer_up:
            self._aside.send(message, size)
        else:
            self._main.send(message, size)
