"""Model files in: one call from a path, a shelf name or a text to a checked cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hasim.declared import path_text, shown
from hasim.errors import ModelError, Problem, nearest
from hasim.model.cluster import Cluster
from hasim.model.laws import csv_base
from hasim.model.shelf import model_names, model_path
from hasim.model.yaml_reader import Document, read_yaml, read_yaml_file


def load(model: str | Path) -> Cluster:
    """Read a cluster from a model file, or one of the shipped models by its name.

    Every mistake in the file is named at once, with its line, in a ModelError.
    """
    path = model_file(model)
    return _build(read_yaml_file(path), path.parent)


def model_file(model: str | Path) -> Path:
    """The file that `load` reads: the path itself, or the shipped model of that name."""
    if not isinstance(model, str | Path):
        raise ModelError(f"got {shown(model)}; give the path of a model file, or the name of a shipped model")
    path = Path(model)
    # A bare word that is no file here can only be meant for the shelf.
    if not isinstance(model, str) or "/" in model or path.suffix or (model and path.exists()):
        return path
    shelf = model_names()
    if model not in shelf:
        known = ", ".join(shelf)
        raise ModelError(
            f"got {shown(model)}, neither a file nor a shipped model; shipped are {known}{nearest(model, shelf)}"
        )
    return model_path(model)


def loads(text: str | bytes, name: str = "<text>") -> Cluster:
    """Read a cluster from the text of a model file."""
    return _build(read_yaml(text, name), Path())


def _build(document: Document, folder: Path) -> Cluster:
    token = csv_base.set(folder)
    try:
        return Cluster(**_keyed(document))
    except ModelError as error:
        raise ModelError.of(_with_line(problem, document) for problem in error.problems) from None
    finally:
        csv_base.reset(token)


def _keyed(document: Document) -> dict[str, Any]:
    data = document.data
    assert isinstance(data, dict)
    return data


def _with_line(problem: Problem, document: Document) -> Problem:
    written = _as_written(problem.loc, document.data)
    return Problem(
        path=path_text(written) or problem.path,
        message=problem.message,
        file=document.name,
        line=document.line_of(written),
        loc=problem.loc,
    )


def _as_written(loc: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """The path as it stands in the file, where one failure need not be written as a list, nor `services` at all."""
    if loc[:1] == ("services",) and isinstance(data, dict) and "services" not in data:
        loc = loc[2:]
    written: list[str | int] = []
    for step in loc:
        if isinstance(step, int) and not isinstance(data, list):
            continue
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            data = None
        written.append(step)
    return tuple(written)
