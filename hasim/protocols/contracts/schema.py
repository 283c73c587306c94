"""What a service stores, and in which forms its versions read and write it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, Problem, nearest
from hasim.protocols.contracts.versions import Version
from hasim.units import Count

MOST_FORMS: Final = 6
"""Forms of one item; the states that a check has to look at grow like their orderings."""

Form = Annotated[str, Field(min_length=1)]
"""A pydantic field holding the name of a form: "old", "v2", "address_json"."""

Store = Literal["columns", "documents"]


def _forms(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Forms = Annotated[
    tuple[Form, ...],
    BeforeValidator(_forms),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A pydantic field holding one or several forms: "old" or ["old", "new"] in; a tuple inside."""


class Access(Declared):
    """How one version of a service gets at the stored items: which forms it reads, and which it writes.

    It reads the first form of `reads` that an item has, and takes what that says for the truth; an item that has none
    of them has an unknown structure, and is an error. A write puts the new value into every form of `writes`.
    """

    reads: Forms = Field(min_length=1, description="Forms it can read, the one it prefers first.")
    writes: Forms = Field(default=(), description="Forms it writes, all of them each time; none: it only reads.")


class DataContract(Declared):
    """What is stored, in which forms, and which versions of the service read and write which of them.

    A form is a way to store the same thing: a column, a schema version, a layout of a document. At the beginning every
    item has the forms `stored`. What a write does to forms that it does not write depends on the store:

    - `columns`: it leaves them as they are, so that they are stale from then on. A form has to be added before it can
      be written, and what writes one that is not there is refused.
    - `documents`: the item is replaced, and has the written forms only: a version that does not know a form loses it.
      Any form can be written at any time.

    Where several forms are kept in step during a change: Sato, ParallelChange (2014); Ambler and Sadalage, Refactoring
    Databases (2006).
    """

    items: Count = Field(ge=1, le=10**8, description="How many items are stored.")
    forms: Forms = Field(min_length=1, max_length=MOST_FORMS, description="All forms an item may have.")
    versions: dict[Version, Access] = Field(
        min_length=1, description="For each version of the service, what it reads and writes; the oldest first."
    )
    stored: Forms = Field(default=(), description="Forms that each item has at first; left out: the first of `forms`.")
    store: Store = Field(default="columns", description="What a write does to the forms that it does not write.")

    @model_validator(mode="after")
    def _of_one_piece(self) -> Self:
        wrong = list(_twice(self.forms, ("forms",)))
        named: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(("stored",), self.stored)]
        for version, access in self.versions.items():
            named += [(("versions", version, "reads"), access.reads), (("versions", version, "writes"), access.writes)]
        for loc, forms in named:
            wrong += _twice(forms, loc)
            for form in forms:
                if form not in self.forms:
                    said = f"got {form!r}; forms are {', '.join(self.forms)}{nearest(form, self.forms)}"
                    wrong.append(at(loc, said))
        if wrong:
            raise ModelError.of(wrong)
        if not self.stored:
            object.__setattr__(self, "stored", self.forms[:1])
        return self


def _twice(forms: Iterable[str], loc: tuple[str, ...]) -> list[Problem]:
    listed = list(forms)
    return [at(loc, f"names {form!r} twice") for form in dict.fromkeys(listed) if listed.count(form) > 1]
