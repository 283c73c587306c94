"""Reading one column of durations from a CSV file, with the file, line and column in every complaint."""

from __future__ import annotations

import csv
import io
import math
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from hasim.errors import nearest
from hasim.units import seconds

csv_base: ContextVar[Path | None] = ContextVar("csv_base", default=None)
"""Folder that a relative file name starts from; the YAML loader sets it to the folder of the model."""

_LARGEST: Final = 20 * 1024 * 1024


def read_column(file: str, column: str | None, unit: str | None) -> tuple[float, ...]:
    """Return the durations, in seconds, of one column of a CSV file with a header line.

    With `unit` the cells are numbers in that unit; without, texts like "2m". `column` may be left out when
    there is only one. Raises ValueError naming file, line and column for anything that cannot be read.
    """
    rows = _rows(file)
    try:
        _, header = next(rows, (0, []))
        if not header:
            raise ValueError(f"{file} is empty; it needs a header line and at least one duration")
        index = _position(file, header, column)
        scale = None if unit is None else seconds(f"1{unit}")
        found = []
        for line, row in rows:
            if len(row) != len(header):
                cut = "; is the file cut off?" if len(row) < len(header) else ""
                raise ValueError(f"{file} line {line} has {len(row)} of {len(header)} columns{cut}")
            try:
                found.append(_cell(row[index], scale))
            except ValueError as error:
                raise ValueError(f"{file} line {line}, column {header[index]!r}: {error}") from None
    except csv.Error as error:
        raise ValueError(f"{file}: not a CSV file: {error}") from None
    if not found:
        raise ValueError(f"{file} has a header but no durations")
    return tuple(found)


def _rows(file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not blank."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    for row in reader:
        if row:
            yield reader.line_num, [cell.strip() for cell in row]


def _text(file: str) -> str:
    if "\0" in file:
        raise ValueError(f"{file!r} is not the name of a file")
    try:
        path = (csv_base.get() or Path()) / file
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a device or pipe could block or never end
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ValueError(f"{file} is {kind}; a CSV file is needed")
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"{file} is larger than 20 MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file} line {line}: byte {error.start} is not UTF-8 text") from None


def _position(file: str, header: list[str], column: str | None) -> int:
    shown = ", ".join(header[:20])
    if column is None:
        if len(header) == 1:
            return 0
        raise ValueError(f"{file} has several columns; choose one with `column`: {shown}")
    if header.count(column) > 1:
        raise ValueError(f"{file} has {header.count(column)} columns named {column!r}")
    if column not in header:
        raise ValueError(f"{file} has no column {column!r}; it has {shown}{nearest(column, header)}")
    return header.index(column)


def _cell(cell: str, scale: float | None) -> float:
    if scale is None:
        try:
            return seconds(cell)
        except ValueError as error:
            raise ValueError(f"{error}; or say the `unit` of the column") from None
    try:
        value = float(cell) * scale
    except ValueError:
        value = None
    if value is None or "_" in cell:
        raise ValueError(f"got {cell[:40]!r}; a number is needed")
    if not 0.0 <= value < math.inf:
        raise ValueError(f"got {cell[:40]!r}; a duration is finite and zero or more")
    return value
