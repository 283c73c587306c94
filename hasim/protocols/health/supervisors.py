"""Fields that hold a supervisor: an object, a mapping with its kind, or the bare name of one with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Discriminator, Tag

from hasim.declared import at
from hasim.errors import ModelError
from hasim.kinds import by_name
from hasim.protocols.health.monit import Monit
from hasim.protocols.health.restart import CrashLoopBackOff
from hasim.protocols.health.systemd import RESTARTED, SystemdRestart

_Kind = TypeVar("_Kind", CrashLoopBackOff | SystemdRestart, CrashLoopBackOff | SystemdRestart | Monit)


def _tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"kind={kind}"


def _after_any_failure(value: _Kind) -> _Kind:
    """What a model fails by may be any unclean end, so that a supervisor of only some of them would say nothing."""
    if isinstance(value, SystemdRestart) and not RESTARTED["on-failure"] <= RESTARTED[value.restart]:
        said = f"got {value.restart!r}; a failure may be any unclean end, so it takes 'on-failure' or 'always'"
        raise ModelError.of([at(("restart",), said)])
    return value


AnyRestart = Annotated[
    Annotated[CrashLoopBackOff, Tag("kind=crash_loop")] | Annotated[SystemdRestart, Tag("kind=systemd")],
    Discriminator(_tag),
    by_name("crash_loop", "systemd"),
    AfterValidator(_after_any_failure),
]
"""A field holding who starts a process again that was killed or has left: one who is told of it at once."""

AnySupervisor = Annotated[
    Annotated[CrashLoopBackOff, Tag("kind=crash_loop")]
    | Annotated[SystemdRestart, Tag("kind=systemd")]
    | Annotated[Monit, Tag("kind=monit")],
    Discriminator(_tag),
    by_name("crash_loop", "systemd", "monit"),
    AfterValidator(_after_any_failure),
]
"""A field holding who starts a process again that has died, a poll of Monit among them."""
