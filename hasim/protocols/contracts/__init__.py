"""Contracts between versions: who can talk to whom, who can read what, and how to get from one to the next.

- `compatibility`: which versions of a caller can talk to which versions of a server, with an adapter or without;
  `plans`: in which order to upgrade both, and whether a given order ever lets a wrong pair meet.
- `schema`: in which forms versions read and write what is stored; `records`: stored items, form by form;
  `migration`: how to change the form step by step, whether each step is safe, and where the way back ends.
- `skew`: how far the versions of a Kubernetes control plane may be apart, and in which order they are upgraded.

All of it is pure: no clock, no chance, no network. Whoever plays upgrades asks it what works.
"""

from __future__ import annotations

from hasim.protocols.contracts.compatibility import Compatibility, Quadrants
from hasim.protocols.contracts.migration import (
    Migration,
    MigrationReport,
    MigrationStep,
    MigrationVerdict,
    big_bang,
    check_steps,
    expand_contract,
)
from hasim.protocols.contracts.plans import Move, Step, StepVerdict, check_plan, plan_for
from hasim.protocols.contracts.records import Outcome, Records
from hasim.protocols.contracts.schema import Access, DataContract
from hasim.protocols.contracts.skew import (
    Minor,
    SkewStep,
    SkewVerdict,
    Versions,
    Violation,
    check_order,
    upgrade_order,
    versions_of,
    violations,
)

__all__ = [
    "Access",
    "Compatibility",
    "DataContract",
    "Migration",
    "MigrationReport",
    "MigrationStep",
    "MigrationVerdict",
    "Minor",
    "Move",
    "Outcome",
    "Quadrants",
    "Records",
    "SkewStep",
    "SkewVerdict",
    "Step",
    "StepVerdict",
    "Versions",
    "Violation",
    "big_bang",
    "check_order",
    "check_plan",
    "check_steps",
    "expand_contract",
    "plan_for",
    "upgrade_order",
    "versions_of",
    "violations",
]
