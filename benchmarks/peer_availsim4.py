"""availsim4 on P1 and P5; run in the benchmark's own environment, prints one JSON line.

It reads spreadsheets and runs from the command line; a run without histories is timed as well and taken off, so
that start-up and spreadsheets do not count against it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import openpyxl

NONE = "none"
Row = tuple[object, ...]

HEADS = {
    "ARCHITECTURE": "COMPONENT_NAME COMPONENT_TYPE COMPONENT_NUMBER CHILDREN_NAME CHILDREN_LOGIC IN_MRU TRIGGER_MRU",
    "FAILURE_MODE_ASSIGNMENTS": "COMPONENT_NAME FAILURE_MODE_NAME",
    "FAILURE_MODES": "FAILURE_MODE_NAME FAILURE_LAW FAILURE_PARAMETERS REPAIR_LAW REPAIR_PARAMETERS "
    "TYPE_OF_FAILURE HELD_BEFORE_REPAIR INSPECTION_NAME PHASE_NAME NEXT_PHASE_IF_FAILURE PHASE_CHANGE_TRIGGER "
    "HELD_AFTER_REPAIR",
    "PHASES": "PHASE_NAME PHASE_LAW PHASE_PARAMETERS NEXT_DEFAULT_PHASE FIRST_PHASE NEXT_DEFAULT_PHASE_IF_FAILURE",
    "MRU": "MRU_NAME MRU_LAW MRU_PARAMETERS MRU_SCHEDULE LOWEST_COMMON_ANCESTOR_SCOPE TRIGGERING_STATUS",
    "INSPECTIONS": "INSPECTION_NAME INSPECTION_PERIOD INSPECTION_DURATION",
    "ROOT_CAUSE_ANALYSIS": "TRIGGERING_COMPONENT_NAME TRIGGERED_BY_COMPONENT_STATUS TRIGGERED_IN_PHASE",
    "PHASE_JUMP": "TRIGGERING_COMPONENT_NAME TRIGGERED_BY_COMPONENT_STATUS FROM_PHASE TO_PHASE",
}


def compound(name: str, children: list[str], logic: str) -> Row:
    return name, "compound", 1, ",".join(children), logic, NONE, NONE


def basic(name: str, count: int = 1) -> Row:
    return name, "basic", count, NONE, NONE, NONE, NONE


def two_of_three() -> tuple[list[Row], dict[str, tuple[float, float]]]:
    return [compound("ROOT", ["U"], "2OO3"), basic("U", 3)], {"U": (1000, 10)}


def control_plane() -> tuple[list[Row], dict[str, tuple[float, float]]]:
    rows = [compound("ROOT", ["LB", "API", "ETCD", "SCHED"], "AND"), compound("LB", ["L"], "1OO2"), basic("L", 2)]
    laws: dict[str, tuple[float, float]] = {"L": (8760, 2)}
    for part, logic, count, law in (
        ("API", "1OO3", 3, (720, 0.1)),
        ("ETCD", "2OO3", 3, (1440, 0.25)),
        ("SCHED", "1OO2", 2, (720, 0.1)),
    ):
        numbers = range(1, count + 1)
        rows.append(compound(part, [f"{part}M{i}" for i in numbers], logic))
        for i in numbers:
            rows += [compound(f"{part}M{i}", [f"{part}P{i}", f"H{i}(ROOT)"], "AND"), basic(f"{part}P{i}")]
            laws[f"{part}P{i}"] = law
    for i in (1, 2, 3):
        rows.append(basic(f"H{i}"))
        laws[f"H{i}"] = (2160, 4)
    return rows, laws


def workbook(path: Path, sheets: dict[str, tuple[str, list[Row]]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, (head, rows) in sheets.items():
        sheet = book.create_sheet(title)
        for row in [tuple(head.split()), *rows]:
            sheet.append(row)
    book.save(path)


def cpu_of(folder: Path, runs: int, hours: float) -> float:
    head = "SIMULATION_TYPE MIN_NUMBER_OF_SIMULATION MAX_NUMBER_OF_SIMULATION CONVERGENCE_MARGIN "
    head += "MAX_EXECUTION_TIME SEED DIAGNOSTICS SIMULATION_DURATION"
    row = ("MONTE_CARLO", runs, runs, 0, 100000, 1, '["SUMMARY"]', hours)
    workbook(folder / "simulation.xlsx", {"SIMULATION": (head, [row])})
    command = [
        str(Path(sys.executable).parent / "availsim4"), "--simulation", str(folder / "simulation.xlsx"),
        "--system", str(folder / "system.xlsx"), "--output_folder", str(folder / "out"),
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr[-500:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def unavailability(folder: Path) -> float:
    """The share of time that the root was down, from the newest workbook of results."""
    newest = max((folder / "out").glob("*.xlsx"), key=lambda path: path.stat().st_mtime)
    head, values = openpyxl.load_workbook(newest)["RESULTS_ROOT_SUMMARY"].iter_rows(values_only=True)
    found = dict(zip(head, values, strict=True))
    return float(found["downtime_duration"] / found["total"])


def main() -> None:
    problem, years, runs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    rows, laws = {"P1": two_of_three, "P5": control_plane}[problem]()
    modes = [
        (
            f"{name}F",
            "EXP",
            life,
            "EXP",
            repair,
            "detectable",
            "NEVER_HELD",
            NONE,
            NONE,
            NONE,
            "after_repair",
            "never_held",
        )
        for name, (life, repair) in laws.items()
    ]
    sheets = {title: (head, []) for title, head in HEADS.items()}
    sheets["ARCHITECTURE"] = HEADS["ARCHITECTURE"], rows
    sheets["FAILURE_MODES"] = HEADS["FAILURE_MODES"], modes
    sheets["FAILURE_MODE_ASSIGNMENTS"] = HEADS["FAILURE_MODE_ASSIGNMENTS"], [(name, f"{name}F") for name in laws]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workbook(folder / "system.xlsx", sheets)
        start_up = cpu_of(folder, 1, 1.0)
        cpu = cpu_of(folder, runs, 8760 * years)
        print(json.dumps({"cpu_s": cpu - start_up, "unavailability": unavailability(folder)}))


if __name__ == "__main__":
    main()
