"""The notebooks: what is committed is what they show when somebody runs them again."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
TIMEOUT_S = 180
IMAGE_BYTES_MAX = 200_000
# Directories of the machine that ran a notebook: they tell the reader nothing and change with every machine.
LOCAL_PATH = re.compile(r"(?<![\w.])/(?:work|tmp|home|Users|root|var)/")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(output: Any) -> list[str]:
    """All text of an output; pictures are left out."""
    data = output.get("data", {})
    found = [output.get("text", ""), *output.get("traceback", [])]
    return found + [text for kind, text in data.items() if not kind.startswith("image/")]


def shown(cell: Any) -> str:
    """What a cell prints and returns, as plain text; what libraries say on stderr is no result."""
    printed = [output["text"] for output in cell.outputs if output.get("name") == "stdout"]
    returned = [output["data"].get("text/plain", "") for output in cell.outputs if "data" in output]
    return "".join([*printed, *returned])


def unlike(committed: Any, again: Any) -> list[str]:
    """Ids of the cells tagged `exact` whose committed result is not the one of another execution."""
    pairs = zip(code_cells(committed), code_cells(again), strict=True)
    return [old.id for old, new in pairs if "exact" in old.metadata.get("tags", []) and shown(old) != shown(new)]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_the_committed_notebook_was_run_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2


@each_notebook
def test_no_committed_output_is_an_error_a_warning_or_a_local_path(path: Path) -> None:
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", cell.id
            for text in texts(output):
                assert "Traceback" not in text, cell.id
                assert not LOCAL_PATH.search(text), cell.id


@each_notebook
def test_pictures_in_a_notebook_stay_small(path: Path) -> None:
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png", "")
            assert len(picture) * 3 / 4 < IMAGE_BYTES_MAX, cell.id


@each_notebook
def test_a_notebook_runs_and_shows_its_exact_results_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))  # nothing of the user's own counts
    committed = nbformat.read(path, as_version=4)
    again = copy.deepcopy(committed)
    for cell in code_cells(again):
        cell.outputs, cell.execution_count = [], None
    folder = tmp_path / "run"
    folder.mkdir()
    NotebookClient(again, timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}}).execute()
    assert any("exact" in cell.metadata.get("tags", []) for cell in code_cells(committed)), "no number is held"
    assert unlike(committed, again) == []


@each_notebook
def test_a_number_that_changed_by_one_digit_is_noticed(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    forged = copy.deepcopy(committed)
    tagged = [cell for cell in code_cells(forged) if "exact" in cell.metadata.get("tags", [])]
    for output in tagged[-1].outputs:
        for holder, key in ((output, "text"), (output.get("data", {}), "text/plain")):
            if key in holder:
                holder[key] = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), holder[key], count=1)
    assert unlike(committed, forged) == [tagged[-1].id]
