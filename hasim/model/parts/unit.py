"""A single thing that is up or down."""

from __future__ import annotations

from typing import Literal

from hasim.model.parts.part import Part


class Unit(Part):
    """One member, no redundancy: a single master, a network link, somebody else's service."""

    kind: Literal["unit"] = "unit"
