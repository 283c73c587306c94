"""What is written down of each call while a run goes on: columns, since there are millions."""

from __future__ import annotations

from array import array

from hasim.engines.des.requests.exchange import Call


class RequestNotes:
    """The columns of a request log for one load, in the order in which calls ended."""

    __slots__ = ("arrived", "attempts", "ended", "outcome", "server", "start", "user", "write_flag")

    def __init__(self) -> None:
        self.start = 0.0  # calls from before are not written down
        self.arrived = array("d")
        self.ended = array("d")
        self.attempts = array("i")
        self.server = array("i")
        self.outcome = array("b")
        self.user = array("i")
        self.write_flag = array("b")

    def write(self, call: Call, now: float, code: int) -> None:
        """A call has ended."""
        arrived = call.arrived
        if arrived < self.start:
            return
        self.arrived.append(arrived)
        self.ended.append(now)
        self.attempts.append(call.attempts)
        self.server.append(call.server)
        self.outcome.append(code)
        self.user.append(call.user)
        self.write_flag.append(call.write)
