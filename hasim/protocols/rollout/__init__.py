"""Ways to replace one version of a service by another, as pure machines; one file a strategy."""

from hasim.protocols.rollout.blue_green import BlueGreenRollout
from hasim.protocols.rollout.canary import CanaryRollout, canaries
from hasim.protocols.rollout.daemon import DaemonRollout
from hasim.protocols.rollout.deployment import DeploymentRollout
from hasim.protocols.rollout.in_place import InPlaceRollout
from hasim.protocols.rollout.messages import (
    TRAFFIC,
    Begin,
    Leave,
    Left,
    Notice,
    Pause,
    Ready,
    Resume,
    Retry,
    RollBack,
    Scale,
    Shift,
    Unready,
    Warn,
)
from hasim.protocols.rollout.rollout import Rollout
from hasim.protocols.rollout.staircase import staircase
from hasim.protocols.rollout.stateful import StatefulRollout
from hasim.protocols.rollout.window import WindowRollout

__all__ = [
    "TRAFFIC",
    "Begin",
    "BlueGreenRollout",
    "CanaryRollout",
    "DaemonRollout",
    "DeploymentRollout",
    "InPlaceRollout",
    "Leave",
    "Left",
    "Notice",
    "Pause",
    "Ready",
    "Resume",
    "Retry",
    "RollBack",
    "Rollout",
    "Scale",
    "Shift",
    "StatefulRollout",
    "Unready",
    "Warn",
    "WindowRollout",
    "canaries",
    "staircase",
]
