"""The shelf of ready cluster designs, found by name wherever hasim is installed.

The designs are YAML files in `models/`. In a checkout (and an editable install) that folder lies beside the
package; a wheel carries it inside, as `hasim/_models/`.
"""

from __future__ import annotations

from pathlib import Path

from hasim.errors import ModelError, nearest

_PACKAGE = Path(__file__).resolve().parents[1]


def model_names() -> list[str]:
    """Return the names of the ready designs in alphabetical order, as in `stacked-control-plane`."""
    return sorted(_shelf())


def model_path(name: str) -> Path:
    """Return the YAML file of the ready design called `name`; an unknown name is a ModelError."""
    shelf = _shelf()
    if name not in shelf:
        known = ", ".join(sorted(shelf)) or "nothing"
        raise ModelError(f"got {name!r}, no model on the shelf{nearest(name, shelf)}; the shelf holds {known}")
    return shelf[name]


def _shelf() -> dict[str, Path]:
    inside, beside = _PACKAGE / "_models", _PACKAGE.parent / "models"
    folder = inside if inside.is_dir() else beside
    return {path.stem: path for path in folder.glob("*.yaml")}
