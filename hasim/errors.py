"""What hasim says when a model is wrong, or when an engine cannot express it.

A wrong model is a `ModelError`: one line a problem, each with the path of the field, what was given and what
is allowed. A model that is right but beyond an engine is `CannotModel`, which names the engine that can do
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a model: where it is (path, and file and line if known) and what it is.

    `loc` is the path as steps, from which a reader of files finds the line.
    """

    path: str
    message: str
    file: str | None = None
    line: int | None = None
    loc: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """Say the problem in one line: `models/x.yaml:14 parts.etcd.members: got 0; …`."""
        place = self.file or ""
        if self.line is not None:
            place = f"{place}:{self.line}" if place else f"line {self.line}"
        where = " ".join(word for word in (place, self.path) if word)
        return f"{where}: {self.message}" if where else self.message


class ModelError(ValueError):
    """The model (or an argument of a verb) is wrong; `problems` holds everything found, in order."""

    problems: tuple[Problem, ...]

    def __init__(self, message: str, path: str = "") -> None:
        """Report a single problem at `path`; for several at once use `ModelError.of`."""
        super().__init__(message, path)
        self.problems = (Problem(path, message),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ModelError:
        """Report all these problems at once."""
        found = tuple(problems)
        assert found, "a ModelError needs at least one problem"
        error = cls(found[0].message, found[0].path)
        error.problems = found
        return error

    def __str__(self) -> str:
        """Give one line for each problem."""
        return "\n".join(str(problem) for problem in self.problems)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way home from a worker process with every problem."""
        return type(self).of, (self.problems,)


class CannotModel(Exception):
    """An engine met something it cannot express; it refuses by name instead of ignoring it.

    `what` is the thing met, `why` the reason, `instead` the way out, `engine` the verb that refuses.
    """

    def __init__(self, what: str, why: str, instead: str = "use ha.simulate", engine: str = "solve") -> None:
        """Name the thing, the reason, the way out and the refusing verb."""
        super().__init__(what, why, instead, engine)
        self.what = what
        self.why = why
        self.instead = instead
        self.engine = engine

    def __str__(self) -> str:
        """Say it in one line: `solve cannot model <what>: <why>; use ha.simulate`."""
        return f"{self.engine} cannot model {self.what}: {self.why}; {self.instead}"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean 'members'?" for the allowed word most like `word`, or "" if none is near."""
    by_lower = {name.lower(): name for name in allowed}
    match = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[match[0]]!r}?" if match else ""
