"""Empirical laws from a CSV file: which files are read, and how bad ones are refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hasim.errors import ModelError
from hasim.model.laws import Empirical, csv_base, parse_law


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    token = csv_base.set(tmp_path)
    yield tmp_path
    csv_base.reset(token)


def test_a_column_of_a_csv_file_is_an_empirical_law(folder: Path) -> None:
    (folder / "repairs.csv").write_text("host,duration_h\na,0.5\n\nb, 2\n", encoding="utf-8-sig")
    plain = {"empirical": {"csv": "repairs.csv", "column": "duration_h", "unit": "h", "source": "our log"}}
    law = parse_law(plain)
    assert isinstance(law, Empirical) and law.data == (1800.0, 7200.0) and law.mean == 4500.0
    assert law.to_plain() == plain and parse_law(law.to_plain()) == law
    assert law.text() == "empirical, 2 values, mean 1h15m, from our log"
    assert law.scaled(2.0).to_plain() == {"empirical": {"data": ["1h", "4h"], "source": "our log"}}


def test_a_csv_file_with_one_column_of_texts_needs_neither_column_nor_unit(folder: Path) -> None:
    (folder / "gaps.csv").write_text("gap\r\n30s\r\n1m30s\r\n")
    law = Empirical(csv="gaps.csv")
    assert law.data == (30.0, 90.0)


BAD_FILES = [
    (b"", "x.csv is empty; it needs a header line"),
    (b"host,d\n", "x.csv has a header but no durations"),
    (b"host,d\na,1\nb\n", "x.csv line 3 has 1 of 2 columns; is the file cut off?"),
    (b"host,d\na,1,2\n", "x.csv line 2 has 3 of 2 columns"),
    (b"host,d\na,soon\n", "x.csv line 2, column 'd': got 'soon'; a number is needed"),
    (b"host,d\na,1_0\n", "x.csv line 2, column 'd': got '1_0'; a number is needed"),
    (b"host,d\na,\n", "x.csv line 2, column 'd': got ''; a number is needed"),
    (b"host,d\na,-1\n", "x.csv line 2, column 'd': got '-1'; a duration is finite and zero or more"),
    (b"host,d\na,nan\n", "x.csv line 2, column 'd': got 'nan'; a duration is finite"),
    (b"host,d\na,1e999\n", "x.csv line 2, column 'd': got '1e999'; a duration is finite"),
    (b"host,e\na,1\n", "x.csv has no column 'd'; it has host, e"),
    (b"host,duration,D\na,1,1\n", "x.csv has no column 'd'; it has host, duration, D; did you mean 'D'?"),
    (b"d,d\n1,1\n", "x.csv has 2 columns named 'd'"),
    (b"host,d\na\xff,1\n", "x.csv line 2: byte 8 is not UTF-8 text"),
    (b'host,d\n"a,1\n', "x.csv: not a CSV file"),
    (b"host,d\na,0\n", "all durations are zero"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES, ids=[message[:60] for _, message in BAD_FILES])
def test_a_bad_csv_file_is_refused_with_its_line(folder: Path, content: bytes, message: str) -> None:
    (folder / "x.csv").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        Empirical(csv="x.csv", column="d", unit="h")
    assert message in str(caught.value)


def test_a_csv_file_without_units_needs_the_unit(folder: Path) -> None:
    (folder / "x.csv").write_text("a,d\n1,2\n")
    with pytest.raises(ModelError, match=r"line 2, column 'd': got '2'; a duration needs a unit.*say the `unit`"):
        Empirical(csv="x.csv", column="d")
    with pytest.raises(ModelError, match="several columns; choose one with `column`: a, d"):
        Empirical(csv="x.csv", unit="h")
    with pytest.raises(ModelError, match="unit: got 'hours'; "):
        Empirical(csv="x.csv", column="d", unit="hours")


def test_what_is_no_regular_file_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "big.csv").write_bytes(b"d\n" + b"1\n" * (11 * 1024 * 1024))
    for file, message in (
        ("missing.csv", "cannot read missing.csv: no such file"),
        (".", ". is a directory"),
        ("pipe", "pipe is not a regular file"),
        ("big.csv", "big.csv is larger than 20 MB"),
        ("a\0b", "is not the name of a file"),
    ):
        with pytest.raises(ModelError) as caught:
            Empirical(csv=file, unit="s")
        assert message in str(caught.value)
