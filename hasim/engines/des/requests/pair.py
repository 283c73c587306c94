"""A pair that fails over, as the one server that clients know: what was under way goes on, or is lost."""

from __future__ import annotations

from collections.abc import Callable

from hasim.engines.des.gates import Gates
from hasim.engines.des.requests.replica import Replica

Listen = Callable[[int, Callable[[bool], None]], None]


class Pair:
    """Lets a replica follow the standing and the role of a pair's members.

    In step, the standby knows all that the active member knew: during the failover everything stands still, then goes
    on. Otherwise connections break with the active member, and the next one begins with nothing under way. When no
    member stands any more, everything is lost either way.
    """

    def __init__(
        self, replica: Replica, gates: Gates, stands: int, led: int, in_step: bool, heard: Callable[[], bool]
    ) -> None:
        self._replica = replica
        self._gates = gates
        self._stands = stands
        self._led = led
        self._in_step = in_step
        self._heard = heard
        self._held: int | None = None  # the process that stands still during a failover

    def watch(self, listen: Listen) -> None:
        """Follow the gates from now on."""
        for node in (self._stands, self._led):
            listen(node, self._turned)

    def _turned(self, _: bool) -> None:
        replica = self._replica
        if not self._gates.is_true(self._stands):
            self._held = None
            replica.standing = False
            self._die()
        elif self._gates.is_true(self._led):
            replica.standing = True
            if self._held is not None:
                replica.thaw(self._held)
                self._held = None
            replica.start(at_once=True)  # the failover was until the standby works
        elif self._in_step:
            if self._held is None and replica.running:
                self._held = replica.freeze()
        else:
            replica.standing = False
            self._die()

    def _die(self) -> None:
        """Which member was active is not known: if a host has gone, or its power, silence is taken for its fate."""
        if self._heard():
            self._replica.crash()
        else:
            self._replica.power_off()
