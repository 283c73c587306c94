"""What a client did: an operation with its call and its return, and a history of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

from hasim.declared import shown
from hasim.errors import ModelError, Problem, nearest

Kind = Literal["put", "get", "delete", "cas"]
Outcome = Literal["ok", "failed", "unknown"]
Mode = Literal["linearizable", "lease", "serializable"]

_TEXTS = ("client", "key", "node", "error")
_WORDS = {"kind": get_args(Kind), "outcome": get_args(Outcome), "mode": get_args(Mode)}
_NUMBERS = ("version", "latest")


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

    Raises ModelError for what is no operation, for fields of the wrong kind, for a word that is not among those
    allowed, for a write of nothing, for times that run backwards, and for a successful operation that never returned.
    """
    given: object = history
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ModelError(f"got {shown(given)}; give a list of operations", "history")
    operations = list(history)
    problems = [
        Problem(f"history[{index}]{field}", message)
        for index, operation in enumerate(operations)
        for field, message in _wrong(operation)
    ]
    if problems:
        raise ModelError.of(problems)
    return operations


def _wrong(operation: object) -> Iterator[tuple[str, str]]:
    """What makes no sense in an operation: the field and what is the matter with it."""
    if not isinstance(operation, Operation):
        yield "", f"got {shown(operation)}; give an Operation"
        return
    for field in _TEXTS:
        text = getattr(operation, field)
        if not isinstance(text, str):
            yield f".{field}", f"got {shown(text)}; a text is needed"
    for field, allowed in _WORDS.items():
        word = getattr(operation, field)
        if word not in allowed:
            yield f".{field}", f"got {word!r}; allowed: {', '.join(allowed)}{nearest(str(word), allowed)}"
    for field in _NUMBERS:
        number = getattr(operation, field)
        if number is not None and (isinstance(number, bool) or not isinstance(number, Integral)):
            yield f".{field}", f"got {shown(number)}; a whole number or None is needed"
    if operation.value is None and operation.kind in ("put", "cas"):
        yield ".value", f"got nothing; a {operation.kind} writes a value, and a delete takes one away"
    yield from _wrong_times(operation)


def _wrong_times(operation: Operation) -> Iterator[tuple[str, str]]:
    called, returned = operation.called, operation.returned
    if not _is_number(called) or not math.isfinite(called):
        yield ".called", f"got {called!r}; a finite number of seconds is needed"
    elif not _is_number(returned):
        yield ".returned", f"got {returned!r}; a number of seconds is needed, infinite while nothing came back"
    elif not returned >= called:
        yield ".returned", f"got {returned!r}; no operation returns before its call ({called!r})"
    elif operation.outcome == "ok" and math.isinf(returned):
        yield ".returned", "got inf; an operation that is ok has returned"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
