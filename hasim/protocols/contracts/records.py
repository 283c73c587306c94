"""Stored items as they are at one moment: which forms each has, and how recent the value in each form is.

Every write has a number, and each form of an item remembers the number of the write that its value is of. So it shows
when a version reads an old value: another one has written since, into forms that this one does not read.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.protocols.contracts.schema import Access, DataContract
from hasim.protocols.contracts.versions import known

Outcome = Literal["ok", "stale", "unreadable"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("ok", "stale", "unreadable")
"""What a read may find, in the order of their numbers in arrays: 0, 1, 2."""


class Records:
    """The items of a data contract, changed by writes, conversions and changes of the schema.

    A read is `ok`, `stale` (it finds a value, and a newer one is in a form that this version does not look at: a lost
    update) or `unreadable` (the item has no form that this version knows: an error). `met` counts the reads of each
    version by what they found, `refused` the writes of each version that named a form the store does not have.
    """

    def __init__(self, contract: DataContract) -> None:
        """Begin with all items in the forms that the contract says are stored, all up to date."""
        self.contract = contract
        self.met: Counter[tuple[str, Outcome]] = Counter()
        self.refused: Counter[str] = Counter()
        self._column = {form: index for index, form in enumerate(contract.forms)}
        self._written = np.zeros((len(contract.forms), contract.items), dtype=np.int64)  # 0: it has not this form
        self._newest = np.ones(contract.items, dtype=np.int64)
        self._writes = 1
        self._there = set(contract.forms) if contract.store == "documents" else set(contract.stored)
        for form in contract.stored:
            self._written[self._column[form]] = 1

    # What services do.

    def write(self, item: int, version: str) -> bool:
        """Write a new value of an item; False if it was refused, since a form is not there, and nothing changed."""
        access = self._access(version)
        self._checked(item)
        if not self._there.issuperset(access.writes):
            self.refused[version] += 1
            return False
        if not access.writes:
            return True
        self._writes += 1
        if self.contract.store == "documents":
            self._written[:, item] = 0
        for form in access.writes:
            self._written[self._column[form], item] = self._writes
        self._newest[item] = self._writes
        return True

    def write_all(self, items: npt.ArrayLike, version: str) -> int:
        """Write a new value of each of these items, one after another; the number of writes that were not refused."""
        access, chosen = self._access(version), self._all_checked(items)
        if not self._there.issuperset(access.writes):
            self.refused[version] += len(chosen)
            return 0
        if not access.writes or not len(chosen):
            return len(chosen)
        numbers = self._writes + 1 + np.arange(len(chosen), dtype=np.int64)
        self._writes = int(numbers[-1])
        np.maximum.at(self._newest, chosen, numbers)  # an item that is named twice has the later write
        if self.contract.store == "documents":
            self._written[:, chosen] = 0
        for form in access.writes:
            self._written[self._column[form], chosen] = self._newest[chosen]
        return len(chosen)

    def read(self, item: int, version: str) -> Outcome:
        """Read an item as this version does, and count what was found."""
        access = self._access(version)
        self._checked(item)
        found: Outcome = "unreadable"
        for form in access.reads:
            number = self._written[self._column[form], item]
            if number:
                found = "ok" if number == self._newest[item] else "stale"
                break
        self.met[version, found] += 1
        return found

    def read_all(self, items: npt.ArrayLike, version: str) -> npt.NDArray[np.int8]:
        """Read each of these items as this version does: places in `OUTCOMES`, 0 being ok; counted like `read`."""
        found = self._found(self._access(version), self._all_checked(items))
        for place, count in enumerate(np.bincount(found, minlength=len(OUTCOMES)).tolist()):
            if count:
                self.met[version, OUTCOMES[place]] += count
        return found

    # What migrations do.

    @property
    def there(self) -> tuple[str, ...]:
        """The forms that can be written."""
        return tuple(form for form in self.contract.forms if form in self._there)

    def expand(self, form: str) -> None:
        """Add a form to the schema; no item has it yet. One that is there already stays."""
        self._there.add(known(form, self._column, "form", "forms"))

    def unconverted(self, from_form: str, to_form: str) -> int:
        """How many items have a newer value in `from_form` than in `to_form`, or none there."""
        return int(np.count_nonzero(self._behind(from_form, to_form)))

    def backfill(self, from_form: str, to_form: str, count: int) -> int:
        """Convert the next `count` items whose `to_form` is missing or older; return how many there were.

        It never overwrites a newer value with an older one, as a conversion must not that runs beside writers.
        """
        if count < 0:
            raise ModelError(f"got {count!r}; give a whole number of at least 0", "count")
        behind = np.flatnonzero(self._behind(from_form, to_form))[:count]
        if to_form not in self._there:
            listed = ", ".join(self.there) or "none"
            raise ModelError(f"got {to_form!r}, which is not there; there are {listed}; expand first", "to_form")
        self._written[self._column[to_form], behind] = self._written[self._column[from_form], behind]
        return len(behind)

    def drop(self, form: str) -> int:
        """Remove a form from the schema and from every item; return how many items lost their newest value by it.

        Documents have no schema: there the form is only removed from the items, and may be written again.
        """
        column = self._column[known(form, self._column, "form", "forms")]
        had = np.count_nonzero(self._up_to_date())
        self._written[column] = 0
        if self.contract.store == "columns":
            self._there.discard(form)
        return int(had - np.count_nonzero(self._up_to_date()))

    # What is asked of them.

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many items have which forms; the forms in the order of the contract, stale ones too."""
        has = self._written > 0
        codes = (1 << np.arange(len(has))) @ has
        forms = self.contract.forms
        return {
            tuple(form for place, form in enumerate(forms) if code >> place & 1): count
            for code, count in enumerate(np.bincount(codes).tolist())
            if count
        }

    def newest_in(self, form: str) -> int:
        """How many items have their newest value in this form."""
        column = self._column[known(form, self._column, "form", "forms")]
        return int(np.count_nonzero(self._written[column] == self._newest))

    def unreadable_by(self, version: str) -> int:
        """How many items this version could not read at all."""
        return int(np.count_nonzero(self._found(self._access(version)) == OUTCOMES.index("unreadable")))

    def stale_for(self, version: str) -> int:
        """How many items this version would read an old value of."""
        return int(np.count_nonzero(self._found(self._access(version)) == OUTCOMES.index("stale")))

    def rollback_safe(self, version: str) -> bool:
        """Whether this version could take over all items now: it reads the newest of each, and may write its forms."""
        access = self._access(version)
        return self._there.issuperset(access.writes) and not bool(np.any(self._found(access)))

    # Inside.

    def _access(self, version: str) -> Access:
        access = self.contract.versions.get(version)
        if access is None:
            known(version, self.contract.versions, "version")
        assert access is not None
        return access

    def _checked(self, item: int) -> None:
        if not 0 <= item < self.contract.items:
            raise ModelError(f"got {shown(item)}; items are 0 to {self.contract.items - 1}", "item")

    def _all_checked(self, items: npt.ArrayLike) -> npt.NDArray[np.int64]:
        chosen = np.asarray(items)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ModelError(f"got {shown(items)}; give a list of whole numbers", "items")
        if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < self.contract.items:
            said = f"got {int(chosen.min())} to {int(chosen.max())}; items are 0 to {self.contract.items - 1}"
            raise ModelError(said, "items")
        return chosen.astype(np.int64)

    def _found(self, access: Access, items: npt.NDArray[np.int64] | slice = slice(None)) -> npt.NDArray[np.int8]:
        newest = self._newest[items]
        value = np.zeros_like(newest)
        for form in reversed(access.reads):  # the one it prefers comes last, over the others
            here = self._written[self._column[form], items]
            value = np.where(here > 0, here, value)
        return np.where(value == 0, 2, np.where(value == newest, 0, 1)).astype(np.int8)

    def _behind(self, from_form: str, to_form: str) -> npt.NDArray[np.bool_]:
        source = self._column[known(from_form, self._column, "from_form", "forms")]
        target = self._column[known(to_form, self._column, "to_form", "forms")]
        return np.asarray(self._written[source] > self._written[target])

    def _up_to_date(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self._written == self._newest).any(axis=0))
