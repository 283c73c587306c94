"""VRRP: routers that share an address, one of them its master, the others waiting for it to fall silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Proposed,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
)
from hasim.units import Count, Seconds, duration_text

OWNER = 255  # priority of the router that owns the address (RFC 5798, 5.2.4)
LEAVING = 0  # priority that says: I am no longer master
SHORTEST, LONGEST = 0.01, 40.95  # seconds: twelve bits of centiseconds (RFC 5798, 5.2.7)
LONGEST_V2 = 255  # seconds, in whole ones (RFC 3768, 5.3.7)


class Vrrp(Declared):
    """How often a master says that it lives, and who takes its place when it does not.

    Defaults are those of RFC 5798 (5.2.4, 6.1), which keepalived shares. Version 2 (RFC 3768) counts advertisements
    in whole seconds, and its skew does not shrink with them.
    """

    advert: Seconds = Field(default=1.0, gt=0, description="Interval of the master's advertisements; RFC 5798: 1s.")
    priority: Count = Field(
        default=100, ge=1, le=OWNER, description="Who has the highest is master; 255 owns the address; RFC 5798: 100."
    )
    version: Literal[2, 3] = Field(default=3, description="3: RFC 5798; 2: RFC 3768, keepalived's own default.")
    preempt: bool = Field(
        default=True, strict=True, description="A backup takes over from a master of lower priority; RFC 5798: true."
    )

    @model_validator(mode="after")
    def _as_the_packets_can_say(self) -> Self:
        given = f"got {duration_text(self.advert)}"
        if self.version == 2 and not (self.advert.is_integer() and 1 <= self.advert <= LONGEST_V2):
            raise ModelError.of([at(("advert",), f"{given}; version 2 takes whole seconds, 1s to {LONGEST_V2}s")])
        if self.version == 3 and not SHORTEST <= self.advert <= LONGEST:
            raise ModelError.of([at(("advert",), f"{given}; version 3 takes 10ms to {LONGEST:g}s")])
        return self

    def skew(self, priority: int | None = None, advert: float | None = None) -> float:
        """How much longer than three intervals a backup of this priority waits, in seconds; the higher, the shorter.

        `advert` is the master's interval, if it differs from the declared one (version 3 only).
        """
        share = (256 - (self.priority if priority is None else priority)) / 256
        interval = self.advert if advert is None else advert
        return share if self.version == 2 else share * interval

    def master_down(self, priority: int | None = None, advert: float | None = None) -> float:
        """How long a backup hears nothing before it takes over, in seconds: RFC 5798, Master_Down_Interval."""
        return 3 * (self.advert if advert is None else advert) + self.skew(priority, advert)

    def takeover(self, priority: int | None = None) -> tuple[float, float]:
        """From a master's crash to the takeover by a backup of this priority: evenly from low to high, in seconds.

        The last advertisement went out up to one interval before the crash. After a clean stop it is just `skew`.
        """
        high = self.master_down(priority)
        return high - self.advert, high


class Advertisement(NamedTuple):
    """I am master, with this priority, and say so every `advert` seconds; priority 0: I am leaving."""

    priority: int
    advert: float


class SetPriority(NamedTuple):
    """Propose: be of this priority from now on, as when a script that watches something has its say (keepalived)."""

    priority: int


Role = Literal["initialize", "backup", "master"]


class VrrpRouter:
    """One router of a group that shares an address, as a pure machine: RFC 5798, 6.4.

    It hears Started, Received(peer, Advertisement), the timers "advert" and "master down", Proposed(SetPriority), and
    Stopping. It sends Advertisements to all peers, and announces "master", "backup" and "initialize" when it becomes
    so, with its priority. Among equal priorities the higher name is what the higher address is in the RFC.
    """

    __slots__ = ("config", "master_advert", "name", "peers", "priority", "role")

    def __init__(
        self, config: Vrrp, name: str, peers: Sequence[str], priority: int | None = None, owner: bool = False
    ) -> None:
        """A router that has not been started; `priority` in place of the declared one, 255 for an `owner`.

        A priority outside 1 to 255, or another than 255 for an owner, is a ModelError.
        """
        self.config = config
        self.name = name
        self.peers = tuple(peer for peer in peers if peer != name)
        self.priority = _priority(priority, OWNER if owner else config.priority)
        if owner and self.priority != OWNER:
            raise ModelError(f"got {priority}; an owner has priority {OWNER}", "priority")
        self.role: Role = "initialize"
        self.master_advert = config.advert  # the interval of the master that was heard last

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; the time of day changes nothing."""
        if isinstance(event, Received):
            if isinstance(event.message, Advertisement) and event.sender in self.peers:
                return self._heard(event.sender, event.message)
        elif isinstance(event, Fired):
            if event.timer == "advert" and self.role == "master":
                return self._advertise()
            if event.timer == "master down" and self.role == "backup":
                return self._become_master()
        elif isinstance(event, Started):
            self.master_advert = self.config.advert
            return self._become_master() if self.priority == OWNER else self._become_backup()
        elif isinstance(event, Proposed):
            if not isinstance(event.command, SetPriority):
                raise TypeError(f"got {event.command!r}; a router takes SetPriority")
            # Timers that run keep their time: the next advertisement says the new priority, or is judged by it.
            self.priority = _priority(event.command.priority, self.priority)
        elif isinstance(event, Stopping):
            return self._leave()
        return []

    def _heard(self, sender: str, heard: Advertisement) -> list[Effect]:
        if self.role == "backup":
            if heard.priority == LEAVING:
                return [self._wait(self.config.skew(self.priority, self.master_advert))]
            if heard.priority >= self.priority or not self.config.preempt:
                self.master_advert = heard.advert
                return [self._wait(self._master_down())]
        elif self.role == "master":
            if heard.priority == LEAVING:
                return self._advertise()
            if (heard.priority, sender) > (self.priority, self.name):
                self.master_advert = heard.advert
                return [CancelTimer("advert"), *self._become_backup()]
        return []

    def _become_master(self) -> list[Effect]:
        self.role = "master"
        return [*self._advertise(), Announce("master", {"priority": self.priority})]

    def _become_backup(self) -> list[Effect]:
        self.role = "backup"
        return [self._wait(self._master_down()), Announce("backup", {"priority": self.priority})]

    def _leave(self) -> list[Effect]:
        """Shut down; a master says goodbye, so that a backup need not wait for its silence."""
        effects: list[Effect] = [CancelTimer("advert"), CancelTimer("master down")]
        if self.role == "master":
            effects += self._tell(LEAVING)
        self.role = "initialize"
        return [*effects, Announce("initialize", {"priority": self.priority}), Exit("asked to stop")]

    def _advertise(self) -> list[Effect]:
        interval = self.config.advert
        return [*self._tell(self.priority), SetTimer("advert", interval, interval)]

    def _tell(self, priority: int) -> list[Effect]:
        return [Send(peer, Advertisement(priority, self.config.advert)) for peer in self.peers]

    def _master_down(self) -> float:
        return self.config.master_down(self.priority, self.master_advert)

    @staticmethod
    def _wait(seconds: float) -> Effect:
        return SetTimer("master down", seconds, seconds)


def _priority(given: int | None, otherwise: int) -> int:
    """The priority given, if any, checked."""
    if given is None:
        return otherwise
    if not 1 <= given <= OWNER:
        raise ModelError(f"got {given!r}; a priority is a whole number from 1 to {OWNER}", "priority")
    return given
