"""What a client did: an operation with its call and its return, and a history of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from hasim.errors import ModelError, Problem, nearest

Kind = Literal["put", "get", "delete", "cas"]
Outcome = Literal["ok", "failed", "unknown"]
Mode = Literal["linearizable", "lease", "serializable"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a client on one key, with all that was seen of it. Times in seconds.

    `value` is what was written, or what a successful get returned (None: no such key). A `failed` operation has
    certainly not taken effect; one that is `unknown` may take effect at any time after its call, or never.
    A failed compare-and-swap without an `error` was answered: it found another value than it demands.
    """

    client: str
    kind: Kind
    key: str
    value: object
    called: float
    returned: float = math.inf  # infinite while nothing came back
    outcome: Outcome = "ok"
    expected: object = None  # of a compare-and-swap: the value it demands
    node: str = ""  # the node that answered
    error: str = ""  # what it said, if it was no answer
    mode: str = "linearizable"  # of a get: linearizable, lease or serializable
    version: int | None = None  # number of the write that was made or seen (revision of the store)
    latest: int | None = None  # number of the latest write committed anywhere when this was called

    def __str__(self) -> str:
        """Say it in one line: `get k by c1 [0.5 s, 0.7 s] returned 3`."""
        said: dict[str, str] = {
            "put": f"put {self.key} = {self.value!r}",
            "get": f"get {self.key}",
            "delete": f"delete {self.key}",
            "cas": f"cas {self.key} from {self.expected!r} to {self.value!r}",
        }
        until = f"{self.returned:.6g} s" if math.isfinite(self.returned) else "…"
        text = f"{said[self.kind]} by {self.client} [{self.called:.6g} s, {until}]"
        if self.outcome != "ok":
            return f"{text} {self.outcome}"
        return f"{text} returned {self.value!r}" if self.kind == "get" else text


def checked(history: Iterable[Operation]) -> list[Operation]:
    """The operations in their order, once each of them is known to make sense.

    Raises ModelError for a word that is not among those allowed, for times that are no times or run backwards,
    and for a successful operation that never returned.
    """
    operations = list(history)
    problems: list[Problem] = []
    words = {"kind": get_args(Kind), "outcome": get_args(Outcome), "mode": get_args(Mode)}
    for index, operation in enumerate(operations):
        path = f"history[{index}]"
        for field, allowed in words.items():
            word = getattr(operation, field)
            if word not in allowed:
                hint = nearest(str(word), allowed)
                problems.append(Problem(f"{path}.{field}", f"got {word!r}; allowed: {', '.join(allowed)}{hint}"))
        if not math.isfinite(operation.called):
            problems.append(
                Problem(f"{path}.called", f"got {operation.called!r}; a finite number of seconds is needed")
            )
        elif not operation.returned >= operation.called:
            message = f"got {operation.returned!r}; no operation returns before its call ({operation.called!r})"
            problems.append(Problem(f"{path}.returned", message))
        elif operation.outcome == "ok" and math.isinf(operation.returned):
            problems.append(Problem(f"{path}.returned", "got inf; an operation that is ok has returned"))
    if problems:
        raise ModelError.of(problems)
    return operations
