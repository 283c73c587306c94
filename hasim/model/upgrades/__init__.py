"""Upgrades as they are declared: strategies, releases, and how bad ones are noticed."""

from hasim.model.upgrades.release import Analysis, Detection, Release
from hasim.model.upgrades.strategies import (
    AllAtOnce,
    BlueGreen,
    Canary,
    CanaryStep,
    InPlace,
    Ordered,
    Recreate,
    Rolling,
    Window,
)
from hasim.model.upgrades.upgrade import Order, Upgrade

__all__ = [
    "AllAtOnce",
    "Analysis",
    "BlueGreen",
    "Canary",
    "CanaryStep",
    "Detection",
    "InPlace",
    "Order",
    "Ordered",
    "Recreate",
    "Release",
    "Rolling",
    "Upgrade",
    "Window",
]
