"""Published failure and repair figures, ready to use, each with its source, its confidence and what to mind.

The figures are in `presets.json` beside this file, in the forms that a model file uses. Old fleets
(1996-2010) dominate what has been published, so trust ratios and shapes more than absolute rates; and
independent failures understate risk, since between a seventh and a third of node failures come in bursts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hasim.errors import ModelError, nearest
from hasim.model.laws import Law, parse_law


@dataclass(frozen=True)
class Preset:
    """Published figures for one kind of component; `mtbf` or `mttr` is None where nothing was published."""

    name: str
    what: str
    mtbf: Law | None
    mttr: Law | None
    source: str
    confidence: str
    caveat: str

    @property
    def confidence_meaning(self) -> str:
        """What the letter of the confidence stands for, A (best) to D."""
        return str(_file()["confidence"][self.confidence])

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.what}",
            f"  mtbf        {self.mtbf.text() if self.mtbf else 'not published'}",
            f"  mttr        {self.mttr.text() if self.mttr else 'not published'}",
            f"  source      {self.source}",
            f"  confidence  {self.confidence}, {self.confidence_meaning}",
        ]
        return "\n".join([*lines, f"  caveat      {self.caveat}"] if self.caveat else lines)


def preset(name: str) -> Preset:
    """Return the preset of that name; a ModelError offers the nearest match."""
    known = _all()
    if name not in known:
        raise ModelError(f"got {name!r}; presets are {', '.join(known)}{nearest(str(name), known)}")
    return known[name]


def presets() -> list[Preset]:
    """Return all presets, by name."""
    return list(_all().values())


@cache
def _file() -> dict[str, Any]:
    text = files("hasim.model").joinpath("presets.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def _all() -> dict[str, Preset]:
    entries = sorted(_file()["presets"], key=lambda entry: str(entry["name"]))
    return {
        entry["name"]: Preset(
            name=entry["name"],
            what=entry["what"],
            mtbf=None if entry["mtbf"] is None else parse_law(entry["mtbf"]),
            mttr=None if entry["mttr"] is None else parse_law(entry["mttr"]),
            source=entry["source"],
            confidence=entry["confidence"],
            caveat=entry["caveat"],
        )
        for entry in entries
    }
