"""What a rule says about a message on its way: let it pass, drop it, delay it, or deliver it several times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

import numpy as np


class Plain(Enum):
    """The two verdicts that need no number."""

    PASS = "pass"
    DROP = "drop"


class Delay(NamedTuple):
    """Let the message arrive so many seconds later than it would have."""

    seconds: float


class Copies(NamedTuple):
    """Deliver the message so many times instead of once; only where the transport has no streams (udp)."""

    number: int


Verdict = Plain | Delay | Copies

PASS: Final = Plain.PASS
"""Nothing happens to the message; the next rule is asked."""

DROP: Final = Plain.DROP
"""The message is lost; a transport with streams (tcp) sends it again later."""

Draw = np.random.Generator
"""The chance that a rule may use; the driver hands it over, seeded by name."""

Rule = Callable[[str, str, Draw], Verdict]
"""A rule looks at the sender's name, the receiver's name and its chance; the first that does not pass decides."""


@dataclass(frozen=True)
class Cut:
    """The rule of a clean cut: what `apart(sender, receiver)` says yes to is lost, always, and all else passes.

    Of such a rule anybody can tell, without chance, who reaches whom.
    """

    apart: Callable[[str, str], bool]

    def __call__(self, src: str, dst: str, draw: Draw) -> Verdict:
        """Judge a message."""
        return DROP if self.apart(src, dst) else PASS
