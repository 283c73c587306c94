"""Which versions of a caller can talk to which versions of a server, and what that allows while either is upgraded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at, shown
from hasim.errors import ModelError, Problem
from hasim.protocols.contracts.versions import Pairs, Version, known

Pairing = str | tuple[str, str]
"""Versions of caller and server, in this order; one text if both have the same name."""


class Quadrants(NamedTuple):
    """The four verdicts on an upgrade: whether old or new callers can talk to old or new servers.

    A rolling upgrade in any order, also of both at once, lets all four meet: it is safe if all four work.
    """

    old_caller_old_server: bool
    old_caller_new_server: bool
    new_caller_old_server: bool
    new_caller_new_server: bool

    @property
    def safe_by_rolling(self) -> bool:
        """Whether both may be rolled in any order, even at the same time."""
        return all(self)

    @property
    def backward_compatible(self) -> bool:
        """Whether the new server still serves old callers, so that the server may go first."""
        return self.old_caller_new_server

    @property
    def forward_compatible(self) -> bool:
        """Whether the old server already serves new callers, so that the caller may go first."""
        return self.new_caller_old_server


class Compatibility(Declared):
    """Which versions of one part, the caller, can talk to which versions of another, the server.

    `works` are the pairs that do: {"1": ["1", "2"], "2": ["2"]} says that callers of version 1 can talk to servers of
    1 and 2, and callers of 2 to servers of 2 alone. What is not listed does not work: every such call is an error. A
    version that can talk to none is listed with an empty list, and a server's that no caller can talk to in
    `server_versions`.

    An `adapter` is a part that translates while it is there (a proxy, a compatibility layer): then `adapted` work, too.
    It costs what any part costs, and wants to be removed.
    """

    caller: Annotated[str, Field(min_length=1)] = Field(description="Name of the part that calls.")
    server: Annotated[str, Field(min_length=1)] = Field(description="Name of the part that is called.")
    works: Pairs = Field(description="For each version of the caller, the versions of the server it can talk to.")
    adapter: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Name of a part that translates while it is there; left out: there is none."
    )
    adapted: Pairs = Field(default={}, description="Pairs that work while the adapter is there, beside the others.")
    server_versions: tuple[Version, ...] = Field(
        default=(), description="Versions of the server that are in no pair, if there are such."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong: list[Problem] = []
        if self.caller == self.server:
            wrong.append(at(("server",), f"got {self.server!r} twice; caller and server are two parts"))
        if self.adapter in (self.caller, self.server):
            wrong.append(at(("adapter",), f"got {self.adapter!r}; the adapter is a part between caller and server"))
        if self.adapter is None and self.adapted:
            wrong.append(at(("adapter",), "is missing, and pairs are `adapted`; name the part that translates"))
        if self.adapter is not None and not any(self.adapted.values()):
            wrong.append(at(("adapted",), f"is empty; say which pairs work while {self.adapter!r} is there"))
        if not self.works:
            wrong.append(at(("works",), "is empty; name at least one version of the caller"))
        for field, pairs in (("works", self.works), ("adapted", self.adapted)):
            for version, partners in pairs.items():
                if len(set(partners)) < len(partners):
                    wrong.append(at((field, version), f"got {', '.join(partners)}; name each version once"))
        if wrong:
            raise ModelError.of(wrong)
        return self

    @property
    def of_caller(self) -> tuple[str, ...]:
        """All versions of the caller, in the order in which they are first named."""
        return tuple(dict.fromkeys([*self.works, *self.adapted]))

    @property
    def of_server(self) -> tuple[str, ...]:
        """All versions of the server, in the order in which they are first named."""
        named = [version for pairs in (self.works, self.adapted) for partners in pairs.values() for version in partners]
        return tuple(dict.fromkeys([*named, *self.server_versions]))

    def allows(self, caller_version: str, server_version: str, adapter: bool = False) -> bool:
        """Whether a caller of this version can talk to a server of that; `adapter` says whether the adapter is there.

        Raises ModelError for a version that is named nowhere.
        """
        known(caller_version, self.of_caller, "caller_version")
        known(server_version, self.of_server, "server_version")
        if server_version in self.works.get(caller_version, ()):
            return True
        return adapter and server_version in self.adapted.get(caller_version, ())

    def failing_share(self, caller_version: str, server_mix: Mapping[str, float], adapter: bool = False) -> float:
        """Share of this caller's calls that meet a server they cannot talk to.

        `server_mix` has the ready servers by version, as shares or as counts: a balancer that knows nothing of versions
        spreads calls like this. Where no server is ready, no call meets a wrong one: 0.
        """
        wrong = [
            at(("server_mix", version), f"got {share!r}; give a share or a count, a finite number of at least 0")
            for version, share in server_mix.items()
            if not (math.isfinite(share) and share >= 0)
        ]
        if wrong:
            raise ModelError.of(wrong)
        total = math.fsum(server_mix.values())
        failing = [n for version, n in server_mix.items() if not self.allows(caller_version, version, adapter)]
        return math.fsum(failing) / total if total > 0 else 0.0

    def quadrants(self, old: Pairing, new: Pairing, adapter: bool = False) -> Quadrants:
        """The four verdicts on an upgrade from `old` to `new`, each the versions of (caller, server)."""
        (caller_old, server_old), (caller_new, server_new) = pairing(old, "old"), pairing(new, "new")
        pairs = [(a, b) for a in (caller_old, caller_new) for b in (server_old, server_new)]
        return Quadrants(*(self.allows(a, b, adapter) for a, b in pairs))

    def safe_by_rolling(self, old: Pairing, new: Pairing, adapter: bool = False) -> bool:
        """Whether caller and server may be rolled from `old` to `new` in any order, even at the same time."""
        return self.quadrants(old, new, adapter).safe_by_rolling

    def backward_compatible(self, old: Pairing, new: Pairing, adapter: bool = False) -> bool:
        """Whether the new server still serves old callers."""
        return self.quadrants(old, new, adapter).backward_compatible

    def forward_compatible(self, old: Pairing, new: Pairing, adapter: bool = False) -> bool:
        """Whether the old server already serves new callers."""
        return self.quadrants(old, new, adapter).forward_compatible


def pairing(value: Pairing, field: str) -> tuple[str, str]:
    """Versions of (caller, server); one text means both."""
    both = (value, value) if isinstance(value, str) else tuple(value)
    if len(both) != 2:
        raise ModelError(f"got {shown(value)}; give one version, or (the caller's, the server's)", field)
    return both
