"""What came of one request that somebody made by hand."""

from __future__ import annotations

from dataclasses import dataclass

from hasim.checks.history import Kind, Operation, Outcome
from hasim.protocols.etcd import requests as asked
from hasim.units import human

BY_HAND = "etcdctl"
"""The client that requests made by hand belong to."""

_KINDS: dict[type, Kind] = {asked.Put: "put", asked.Get: "get", asked.Delete: "delete", asked.Cas: "cas"}


@dataclass(frozen=True)
class Reply:
    """What a request came to: `value` and `version` (revision of the store), or an `error`.

    With `unknown` a write may have taken effect all the same, or may yet. `took` is in seconds.
    """

    node: str
    took: float
    value: object = None
    version: int | None = None
    error: str = ""
    unknown: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return not self.error

    def __str__(self) -> str:
        """One line, as one would read it in a terminal."""
        where = f"from {self.node} after {human(self.took)}"
        if self.error:
            return f"Error: {self.error} ({'outcome unknown' if self.unknown else 'nothing was done'}), {where}"
        shown = "OK" if self.value is None else str(self.value)
        return f"{shown} (revision {self.version}), {where}"


def operation(command: asked.Command, reply: Reply, called: float, latest: int) -> Operation:
    """The entry of a history for a request on a key and its reply; `latest` was the last revision when it was made."""
    outcome: Outcome = "unknown" if reply.unknown else "ok" if reply.ok else "failed"
    if isinstance(command, asked.Cas) and reply.ok and reply.value is False:
        outcome = "failed"  # it was answered: the key held something else
    return Operation(
        client=BY_HAND,
        kind=_KINDS[type(command)],
        key=command.key,
        value=getattr(command, "value", reply.value if isinstance(command, asked.Get) else None),
        called=called,
        returned=called + reply.took,
        outcome=outcome,
        expected=getattr(command, "expected", None),
        node=reply.node,
        error=reply.error,
        mode=command.mode if isinstance(command, asked.Get) else "linearizable",
        version=reply.version,
        latest=latest,
    )
