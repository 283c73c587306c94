"""What a rollout says to pods and to traffic, what it hears of pods, and what people may tell it."""

from __future__ import annotations

from typing import Final, NamedTuple

TRAFFIC: Final = "traffic"
"""Whom a rollout writes to when requests are to go elsewhere; no pod is called so."""

# To a pod.


class Begin(NamedTuple):
    """Start a pod of this version."""

    version: str


class Leave(NamedTuple):
    """Let a pod go: it is taken out of use and asked to stop, both at once (deletion of a pod)."""


class Warn(NamedTuple):
    """Let the checks of a pod fail while it serves, so that balancers take it out first; or no longer."""

    on: bool


# From a pod.


class Ready(NamedTuple):
    """It is ready to serve."""


class Unready(NamedTuple):
    """It is there, or on its way, and not ready to serve."""


class Left(NamedTuple):
    """Its process has ended after it was asked to leave."""


# To traffic.


class Shift(NamedTuple):
    """Send these shares of requests to the pods of these versions; None: to all pods alike."""

    shares: tuple[tuple[str, float], ...] | None


class Notice(NamedTuple):
    """Answer every request with a notice instead of forwarding it; or no longer."""

    on: bool


# From people, or from what acts for them.


class RollBack(NamedTuple):
    """Bring back the version that was there before."""


class Pause(NamedTuple):
    """Begin nothing more of the rollout until it is resumed; a Deployment is still scaled."""


class Resume(NamedTuple):
    """Go on."""


class Scale(NamedTuple):
    """Have so many pods from now on."""

    replicas: int


class Retry(NamedTuple):
    """Roll the new version out again after a rollback (a fixed release under the same name)."""


Command = RollBack | Pause | Resume | Scale | Retry
