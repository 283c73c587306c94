"""What happened, fact by fact: a Fact is one thing that happened, a Trace is all of them in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas

Detail = str | Mapping[str, Any]
"""What else there is to say of a fact: a few words, or named values."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened: when (in seconds), what, to whom, and what else there is to say."""

    at: float
    kind: str
    subject: str
    detail: Detail = ""

    def __str__(self) -> str:
        """Say it in one line: `12.5 s  failed  etcd-1`."""
        return "  ".join(word for word in (f"{self.at:.6g} s", self.kind, self.subject, self._said()) if word)

    def _said(self) -> str:
        if isinstance(self.detail, str):
            return self.detail
        return ", ".join(f"{name} {value}" for name, value in self.detail.items())


class Trace(Sequence[Fact]):
    """Facts in order of time, as many as were kept; `counts` has the number of each kind, also of those
    dropped.
    """

    def __init__(self, facts: Iterable[Fact] = (), counts: Mapping[str, int] | None = None) -> None:
        """Keep these facts; without `counts` they are all there were."""
        self._facts = tuple(facts)
        self.counts: dict[str, int] = dict(Counter(fact.kind for fact in self) if counts is None else counts)

    @property
    def dropped(self) -> int:
        """Number of facts that happened but were not kept."""
        return sum(self.counts.values()) - len(self._facts)

    @overload
    def __getitem__(self, index: int) -> Fact: ...
    @overload
    def __getitem__(self, index: slice) -> Trace: ...
    def __getitem__(self, index: int | slice) -> Fact | Trace:
        """Return one fact, or the trace of a slice of them."""
        return Trace(self._facts[index]) if isinstance(index, slice) else self._facts[index]

    def __len__(self) -> int:
        """Return the number of facts kept."""
        return len(self._facts)

    def __iter__(self) -> Iterator[Fact]:
        """Go through the facts in order of time."""
        return iter(self._facts)

    def __eq__(self, other: object) -> bool:
        """Two traces are equal when the same things happened at the same times."""
        if not isinstance(other, Trace):
            return NotImplemented
        return self._facts == other._facts and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # facts may hold mappings

    def filter(
        self,
        kind: str | Collection[str] | None = None,
        subject: str | Collection[str] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> Trace:
        """Return the facts of these kinds about these subjects at times from `since` to before `until`
        (seconds).
        """
        kinds = {kind} if isinstance(kind, str) else kind
        subjects = {subject} if isinstance(subject, str) else subject
        return Trace(
            fact
            for fact in self._facts
            if (kinds is None or fact.kind in kinds)
            and (subjects is None or fact.subject in subjects)
            and (since is None or fact.at >= since)
            and (until is None or fact.at < until)
        )

    def to_frame(self) -> pandas.DataFrame:
        """Return a frame with one row a fact: at (seconds), kind, subject, detail."""
        import pandas

        rows = [(fact.at, fact.kind, fact.subject, fact.detail) for fact in self._facts]
        return pandas.DataFrame(rows, columns=["at", "kind", "subject", "detail"])

    def __repr__(self) -> str:
        """Say how much there is."""
        dropped = f", {self.dropped} more not kept" if self.dropped else ""
        return f"Trace({len(self)} facts{dropped})"
