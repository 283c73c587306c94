"""YAML read: what it means, on which line it stands, what is refused and in which words."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.model import yaml_reader
from hasim.model.yaml_reader import (
    ALIASES_MAX,
    DEPTH_MAX,
    NODES_MAX,
    SIZE_MAX,
    Document,
    read_yaml,
    read_yaml_file,
)

MODEL = """\
# three hosts
hasim: 1
name: stacked
defaults: &hours
  mttr: 1h30m
  list: [a, {b: 1}]

parts:
  etcd:
    on: [cp-1,
         cp-2]
    members: 3
    needs: *hours
  "lb":
    - kind: balancer
      share: 99.95%
    -
      - deep
"""


def only_problem(source: bytes | str) -> tuple[int | None, str, str]:
    with pytest.raises(ModelError) as caught:
        read_yaml(source, "m.yaml")
    (problem,) = caught.value.problems
    assert problem.file == "m.yaml"
    return problem.line, problem.path, problem.message


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Fail instead of hanging, should reading a pipe block."""

    def late(*_: object) -> None:
        raise AssertionError("blocked")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --------------------------------------------------------------------------------------------- what is read


def test_a_model_becomes_plain_data() -> None:
    shared = {"mttr": "1h30m", "list": ["a", {"b": 1}]}
    assert read_yaml(MODEL).data == {
        "hasim": 1,
        "name": "stacked",
        "defaults": shared,
        "parts": {
            "etcd": {"on": ["cp-1", "cp-2"], "members": 3, "needs": shared},
            "lb": [{"kind": "balancer", "share": "99.95%"}, ["deep"]],
        },
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_key_and_list_item_knows_its_line(newline: str) -> None:
    assert read_yaml(MODEL.replace("\n", newline)).lines == {
        (): 1,
        ("hasim",): 2,
        ("name",): 3,
        ("defaults",): 4,
        ("defaults", "mttr"): 5,
        ("defaults", "list"): 6,
        ("defaults", "list", 0): 6,
        ("defaults", "list", 1): 6,
        ("defaults", "list", 1, "b"): 6,
        ("parts",): 8,
        ("parts", "etcd"): 9,
        ("parts", "etcd", "on"): 10,
        ("parts", "etcd", "on", 0): 10,
        ("parts", "etcd", "on", 1): 11,
        ("parts", "etcd", "members"): 12,
        ("parts", "etcd", "needs"): 13,
        ("parts", "etcd", "needs", "mttr"): 5,  # through the alias: where it is written
        ("parts", "etcd", "needs", "list"): 6,
        ("parts", "etcd", "needs", "list", 0): 6,
        ("parts", "etcd", "needs", "list", 1): 6,
        ("parts", "etcd", "needs", "list", 1, "b"): 6,
        ("parts", "lb"): 14,
        ("parts", "lb", 0): 15,
        ("parts", "lb", 0, "kind"): 15,
        ("parts", "lb", 0, "share"): 16,
        ("parts", "lb", 1): 18,
        ("parts", "lb", 1, 0): 18,
    }


def test_a_value_of_several_lines_stands_where_it_starts() -> None:
    lines = read_yaml("a:\n- 'x\n  y'\n- |\n  z\n  z\n- [1,\n   2]\nb:\n  c").lines
    assert lines == {
        (): 1, ("a",): 1, ("a", 0): 2, ("a", 1): 4, ("a", 2): 7, ("a", 2, 0): 7, ("a", 2, 1): 8, ("b",): 9,
    }  # fmt: skip


def test_a_path_that_is_not_in_the_file_has_the_line_of_what_is_around_it() -> None:
    document = read_yaml(MODEL)
    assert document.line_of(("parts", "etcd", "members")) == 12
    assert document.line_of(["parts", "etcd", "on", 7, "x"]) == 10
    assert document.line_of(("nowhere",)) == document.line_of(()) == 1


SCALARS: list[tuple[str, object]] = [
    ("", None), ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"),
    ("true", True), ("FALSE", False), ("yes", "yes"), ("on", "on"), ("No", "No"), ("y", "y"),
    ("12", 12), ("-3", -3), ("+3", 3), ("010", 10), ("0o17", 15), ("0x1F", 31), ("-0x1F", "-0x1F"),
    ("1_000", "1_000"),
    ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1E-3", 0.001), ("-.inf", -math.inf),
    (".Inf", math.inf),
    ("inf", "inf"), ("nan", "nan"), ("1:30", "1:30"), ("190:20:30", "190:20:30"),
    ("2030-01-01", "2030-01-01"),
    ("99.95%", "99.95%"), ("30s", "30s"), ("1.2.3", "1.2.3"), ("=", "="), ("<<", "<<"), (".", "."),
    ("-", [None]),
    ("'12'", "12"), ('"true"', "true"), ("''", ""), ("|-\n  12", "12"), ("'it''s'", "it's"),
    ('"\\u00e9\\L"', "é\u2028"),
    ("!!str 12", "12"), ("!!int '12'", 12), ("!!float 12", 12.0), ("!!bool 'true'", True),
    ("!!null ''", None),
    ("!!seq [1]", [1]), ("!!map {b: 1}", {"b": 1}), ("1000000000000000000", 10**18),
    ("\u0661\u0662", "\u0661\u0662"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), SCALARS)
def test_a_scalar_means_what_yaml_1_2_says(text: str, meaning: object) -> None:
    value = read_yaml(f"a:{' ' if text != '-' else chr(10)}{text}\n").data["a"]
    assert (type(value), value) == (type(meaning), meaning)


def test_not_a_number_is_read() -> None:
    value = read_yaml("a: .nan").data["a"]
    assert isinstance(value, float) and math.isnan(value)


def test_keys_that_yaml_1_1_takes_for_booleans_stay_texts() -> None:
    assert list(read_yaml("on: 1\nno: 2\ny: 3\n'null': 4\n'1': 5\n!!str 2: 6").data) == [
        "on", "no", "y", "null", "1", "2",
    ]  # fmt: skip


def test_what_an_alias_repeats_is_a_copy() -> None:
    data: Any = read_yaml("a: &a {x: [1]}\nb: [*a, *a]\nc: *a\nd: &k key\n*k : text").data
    data["b"][0]["x"].append(2)
    assert data == {
        "a": {"x": [1]},
        "b": [{"x": [1, 2]}, {"x": [1]}],
        "c": {"x": [1]},
        "d": "key",
        "key": "text",
    }


def test_an_anchor_given_twice_means_the_later_one() -> None:
    assert read_yaml("a: &a 1\nb: *a\nc: &a [&a 2, *a]\nd: *a").data == {"a": 1, "b": 1, "c": [2, 2], "d": 2}


def test_a_byte_order_mark_and_an_end_marker_do_no_harm() -> None:
    assert read_yaml(b"\xef\xbb\xbf%YAML 1.2\n---\na: \xc3\xa9\n...\n# the end\n").data == {"a": "é"}


# ------------------------------------------------------------------------------------------ what is refused

REFUSED: list[tuple[bytes | str, int, str, str]] = [
    # the source, then the line, the path, the message up to where the words no longer matter
    ("", 1, "", "is empty; a model is a mapping of fields"),
    ("# only a comment\n", 1, "", "is empty"),
    ("---\n", 1, "", "is empty"),
    ("- a", 1, "", "got a list; a model is a mapping"),
    ("foo", 1, "", "got only 'foo'; a model is a mapping"),
    ("models/x.yaml", 1, "",
     "got only 'models/x.yaml'; a model is a mapping of fields (this looks like the name of"),
    ("a: 1\n---\nb: 2", 2, "", "a second document starts here"),
    ("a: 1\n...\nb: 2", 3, "", "a second document starts here"),
    ("%YAML 1.1\n---\na: 1", 2, "", "asks for YAML 1.1; a model is YAML 1.2"),
    ("b:\n- a: 1\n  c: 2\n  a: 3", 4, "b[0].a", "is written twice, on line 2 and on line 4"),
    ("a: 1\n'a': 1", 2, "a", "is written twice, on line 1 and on line 2"),
    ("k: &k a\na: 1\n*k : 2", 3, "a", "is written twice, on line 2 and on line 3"),
    ("a:\n  1: 2", 2, "a", "got the key 1; a key is a text"),
    ("true: 2", 1, "", "got the key True; a key is a text"),
    ("~: 2", 1, "", "got the key"),
    (": 2", 1, "", "got the key"),
    ("? [a]\n: 2", 1, "", "got a list as a key; a key is a text"),
    ("a: {{b: 1}: 2}", 1, "a", "got a mapping as a key; a key is a text"),
    ("a: &a [1]\n*a : 2", 2, "", "got the key [1]; a key is a text"),
    (f"{'k' * 101}: 1", 1, "", "got a key of 101 characters; a key has at most 100"),
    ("a: &a {b: 1}\nc:\n  <<: *a", 3, "c", "merge keys (<<) are not allowed"),
    ("a: !!python/object/apply:os.system [ls]", 1, "a",
     "a model is data; the tag '!!python/object/apply:os.system' is not allowed"),
    ("a: !!binary aGk=", 1, "a", "a model is data; the tag '!!binary' is not allowed"),
    ("a: [!local {b: 1}]", 1, "a[0]", "a model is data; the tag '!local' is not allowed"),
    ("a: ! x", 1, "a", "a model is data; the tag '!' is not allowed"),
    ("!!python/name:os.system a: 1", 1, "",
     "a model is data; the tag '!!python/name:os.system' is not allowed"),
    ("%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!none x", 3, "a",
     "a model is data; the tag '!!python/none'"),
    ("a: !<int> 1", 1, "a", "a model is data; the tag 'int' is not allowed"),
    ("a: !!int x", 1, "a", "got 'x', which is not what its tag '!!int' says"),
    ("a: !!bool 1", 1, "a", "got '1', which is not what its tag '!!bool' says"),
    ("a: !!seq {b: 1}", 1, "a", "the tag '!!seq' does not fit a mapping"),
    ("a: !!map x", 1, "a", "the tag '!!map' does not fit a single value"),
    ("a: !!str [x]", 1, "a", "the tag '!!str' does not fit a list"),
    ("a:\n  - b: 1000000000000000001", 2, "a[0].b", "got '1000000000000000001'; an integer is at most 10^18"),
    ("a: -0x1\nb: 0xfffffffffffffffffffff", 2, "b",
     "got '0xfffffffffffffffffffff'; an integer is at most 10^18"),
    (f"a: {'9' * 5000}", 1, "a", "got '9999"),
    ("a: 1e999", 1, "a", "got '1e999'; a number is below 1.8e308"),
    ("a: *b", 1, "a", "the alias *b has no anchor before it"),
    ("x: &hosts [1]\na: *host", 2, "a", "the alias *host has no anchor before it; did you mean 'hosts'?"),
    ("a: &a\n  b: [*a]", 2, "a.b[0]", "the alias *a stands inside the thing it repeats"),
    ("&a a: &a {*a : 1}", 1, "a", "the alias *a stands inside the thing it repeats"),
    ("a: 1\nb: \x07", 2, "", "the character U+0007 is not allowed here"),
    ("a: \x00", 1, "", "the character U+0000 is not allowed here; is this a text file"),
    ("a: \x7f", 1, "", "the character U+007F"),
    ("a: \x9b31m", 1, "", "the character U+009B"),
    ("a: 1\n# a\u2028b", 2, "", r"the character U+2028 is not allowed here; it is invisible; in a"),
    ("a: \ud800", 1, "", "the character U+D800"),
    ('a: 1\nb: ["\\e[31m"]', 2, "b[0]", "the character U+001B is not allowed, not even as an escape"),
    ('"\\0": 1', 1, "", "the character U+0000 is not allowed, not even as an escape"),
    ('a: "\\ud800"', 1, "a", "the character U+D800 is not allowed, not even as an escape"),
    ('a: "\\UFFFFFFFF"', 1, "", "is not valid YAML, on this line or soon after it"),
    (b"a: 1\nb: \xff", 2, "", "byte 8 (0xFF) is not UTF-8 (invalid start byte); save it as UTF-8"),
    (b"a: \xc3\xa9\r\nb: \xc3", 2, "", "byte 10 (0xC3) is not UTF-8 (unexpected end of data)"),
    (b"a: \xed\xa0\x80", 1, "", "byte 3 (0xED) is not UTF-8"),
    ("a: 1".encode("utf-16"), 1, "", "starts at byte 0 with the mark of UTF-16"),
    ("a: 1".encode("utf-16-be"), 1, "", "the character U+0000"),
    ("a: 1\nb: [1\nc: 2", 3, "",
     "is not valid YAML: while parsing a flow sequence that began on line 2, expected"),
    ("a:\n\t- b", 2, "",
     "is not valid YAML: while scanning for the next token, found character '\\t' that cannot"),
    ("a: b: c", 1, "",
     "is not valid YAML: mapping values are not allowed here (a text with ': ' in it needs quotes"),
    ("a: @x", 1, "",
     "is not valid YAML: while scanning for the next token, found character '@' that cannot start"),
    ("a: 1\nb", 2, "", "is not valid YAML: while scanning a simple key that began on line 2, could not find"),
    ("a: 'x", 1, "", "is not valid YAML: while scanning a quoted scalar that began on line 1"),
    ("a: &a &b 1", 1, "", "is not valid YAML"),
    ("a: !x!y 1", 1, "",
     "is not valid YAML: while parsing a node that began on line 1, found undefined tag handle"),
    ("a: 1\n... b", 2, "",
     "is not valid YAML: found non-comment content after document end marker, '<scalar>'"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "path", "words"), REFUSED)
def test_what_is_wrong_is_said_with_line_and_path(source: bytes | str, line: int, path: str, words: str) -> None:
    found_line, found_path, message = only_problem(source)
    assert message.startswith(words)
    assert (found_line, found_path) == (line, path)
    assert len(message) < 400 and "\n" not in message


def test_an_error_reads_as_file_line_path_and_message() -> None:
    with pytest.raises(ModelError) as caught:
        read_yaml("parts:\n  etcd: 1\n  etcd: 2", "models/x.yaml")
    assert str(caught.value) == "models/x.yaml:3 parts.etcd: is written twice, on line 2 and on line 3"


@pytest.mark.parametrize("source", [None, 3, ["a: 1"], bytearray(b"a: 1")])
def test_a_source_that_is_not_text_is_refused(source: Any) -> None:
    with pytest.raises(ModelError, match="YAML is read from text or bytes"):
        read_yaml(source)


# --------------------------------------------------------------------------------------------------- bounds


def test_size_has_a_bound() -> None:
    padding = SIZE_MAX - len("a: 1\n#")
    assert read_yaml("a: 1\n#" + "x" * padding).data == {"a": 1}
    for source in (
        "a: 1\n#" + "x" * (padding + 1),
        b"a: 1\n#" + b"x" * (padding + 1),
        "a: 1\n#" + "é" * (padding // 2 + 1),
    ):
        line, _, message = only_problem(source)
        assert line is None and message.startswith(f"has {SIZE_MAX + 1}" if padding % 2 else "has 26")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_depth_has_a_bound(opening: str, closing: str) -> None:
    deepest = DEPTH_MAX - 1  # below the mapping at the top
    assert read_yaml("a: " + opening * deepest + closing * deepest).data
    _, path, message = only_problem("a: " + opening * (deepest + 1) + closing * (deepest + 1))
    assert message == f"here the model is nested deeper than {DEPTH_MAX} levels"
    assert path.startswith("a[0][0]" if opening == "[" else "a.a.a")


def test_depth_is_counted_through_aliases() -> None:
    half = DEPTH_MAX // 2
    inner, outer = "[" * half + "]" * half, "[" * (DEPTH_MAX - half - 1) + "*a" + "]" * (DEPTH_MAX - half - 1)
    assert read_yaml(f"a: &a {inner}\nb: {outer}").data
    assert "nested deeper" in only_problem(f"a: &a {inner}\nb: [{outer}]")[2]
    # and through an alias of something that itself grew by an alias
    assert "nested deeper" in only_problem(f"a: &a {inner}\nb: &b {outer}\nc: [*b]")[2]


def test_nodes_are_counted_with_every_alias_written_out() -> None:
    # The top, three keys, the lists of b and c; the list of a and its n values once, and 50 times by alias.
    def text(n: int, more: int) -> str:
        return f"a: &a [{'x,' * n}]\nb: [{'*a,' * 50}]\nc: [{'x,' * more}]"

    n = (NODES_MAX - 1000) // 51 - 1
    rest = NODES_MAX - (1 + 3 + 51 * (n + 1) + 1 + 1)
    assert len(read_yaml(text(n, rest)).lines) == NODES_MAX - 3  # all but the keys' own nodes
    line, path, message = only_problem(text(n, rest + 1))
    assert (line, path) == (3, f"c[{rest}]")
    assert message == f"here the model exceeds {NODES_MAX} values, counting aliased ones each time"


def test_an_alias_bomb_is_refused_at_once() -> None:
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    line, path, message = only_problem("\n".join(levels))
    assert (line, path) == (5, "a4[7]")  # 12351 nodes before, 11111 in each: the eighth is at 101239
    assert "exceeds" in message


def test_aliases_have_a_bound() -> None:
    assert read_yaml(f"a: &a 1\nb: [{'*a,' * ALIASES_MAX}]").data["b"] == [1] * ALIASES_MAX
    assert only_problem(f"a: &a 1\nb: [{'*a,' * (ALIASES_MAX + 1)}]") == (
        2, f"b[{ALIASES_MAX}]", f"a model has at most {ALIASES_MAX} aliases",
    )  # fmt: skip


def filled(start: str, piece: str) -> str:
    return (start + piece * (SIZE_MAX // len(piece)))[:SIZE_MAX]


HOSTILE = {
    "nested lists": "[" * SIZE_MAX,
    "nested mappings": filled("", "{a: "),
    "nested keys": filled("", "? "),
    "a quoted text of many lines": filled('k: "', "\n"),
    "many comments": filled("", "#\n"),
    "a long number": filled("k: ", "9"),
    "a long tag": filled("k: !", "%41"),
}
HOSTILE_AND_SLOW = {
    "many values in a deep list": filled("k: " + "[" * 45, "a,"),
    "many deep lists": filled("k: [", "[" * 45 + "]" * 45 + ","),
    "a plain text of many lines": filled("k:\n", " a\n"),
    "a folded text": filled("k: >\n", " a\n"),
    "many anchors": filled("k: [", "&a ,"),
    "many aliases without an anchor": "k: [" + "".join(f"&a{i} ," for i in range(30_000)) + "*b]",
    "many tags": filled("k: [", '!!str "",'),
    "many directives": filled("", "%A b\n"),
}


@pytest.mark.parametrize(
    "source",
    [
        *(pytest.param(text, id=kind) for kind, text in HOSTILE.items()),
        *(pytest.param(text, id=kind, marks=pytest.mark.slow) for kind, text in HOSTILE_AND_SLOW.items()),
    ],
)
def test_a_hostile_file_is_answered_within_seconds(source: str) -> None:
    before = time.process_time()
    try:
        read_yaml(source)
    except ModelError as error:
        assert len(str(error)) < 1000
    # CPU time. The worst of these needs about 7 s on a slow machine; a quadratic one would need minutes.
    assert time.process_time() - before < 30


# ---------------------------------------------------------------------------------------------------- files


def file_problem(path: Any) -> str:
    with deadline(10), pytest.raises(ModelError) as caught:
        read_yaml_file(path)
    (problem,) = caught.value.problems
    return problem.message


def test_a_file_is_read_by_text_or_path(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_bytes(MODEL.encode())
    for path in (file, str(file)):
        document = read_yaml_file(path)
        assert document == Document(read_yaml(MODEL).data, read_yaml(MODEL).lines, str(file))


def test_a_missing_file_comes_with_the_nearest_match(tmp_path: Path) -> None:
    for name in ("three-zones.yaml", "two-zones.yml", "three-zone.txt"):
        (tmp_path / name).touch()
    assert file_problem(tmp_path / "three-zone.yaml") == "there is no such file; did you mean 'three-zones.yaml'?"
    assert file_problem(tmp_path / "two-zones") == "there is no such file; did you mean 'two-zones.yml'?"
    assert file_problem(tmp_path / "zzz.yaml") == "there is no such file"
    assert file_problem(tmp_path / "no" / "m.yaml") == f"there is no such file, and no folder '{tmp_path / 'no'}'"
    assert "there is no such file" in file_problem("")


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert file_problem(tmp_path / "pipe") == "is a pipe, a device or a socket; a model is a regular file"
    assert file_problem("/dev/zero") == "is a pipe, a device or a socket; a model is a regular file"
    assert file_problem(tmp_path) == "is a directory; give one of the files in it"


def test_a_file_exchanged_for_a_pipe_after_the_look_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "m.yaml").write_text("a: 1")
    os.mkfifo(tmp_path / "pipe")
    opened = os.open
    monkeypatch.setattr(yaml_reader.os, "open", lambda _, flags: opened(tmp_path / "pipe", flags))
    assert file_problem(tmp_path / "m.yaml").startswith("is a pipe")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    with open(tmp_path / "m.yaml", "wb") as file:
        file.truncate(10**12)  # sparse
    monkeypatch.setattr(yaml_reader.os, "open", lambda *_: pytest.fail("opened"))
    assert file_problem(tmp_path / "m.yaml") == f"has {10**12} bytes; a model has at most {SIZE_MAX} (256 KiB)"


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "m.yaml").write_bytes(b"#" * (SIZE_MAX + 1))
    monkeypatch.setattr(yaml_reader, "_check_file", lambda *_: None)
    assert file_problem(tmp_path / "m.yaml").startswith(f"has {SIZE_MAX + 1} bytes")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a: 1")
    file.chmod(0)

    def forbidden(*_: object) -> int:  # root may read everything, so play the kernel
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(yaml_reader.os, "open", forbidden)
    assert file_problem(file) == "may not be read by this user (permission denied)"


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "m.yaml").write_text("a: 1")
    assert file_problem(tmp_path / "loop.yaml").startswith("cannot be read: ")
    assert file_problem(tmp_path / "m.yaml" / "x.yaml").startswith("cannot be read: ")
    assert file_problem(tmp_path / ("x" * 300)).startswith("cannot be read: ")
    assert file_problem("a\0b").startswith("is no path of a file")
    assert file_problem("a\ud800b").startswith(("is no path of a file", "there is no such file"))


@pytest.mark.parametrize("path", [None, 0, b"m.yaml", ["m.yaml"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    assert "a model file is given by its path" in file_problem(path)


# ----------------------------------------------------------------------------------------------------- fuzz

FUZZ = settings(max_examples=700, deadline=None, derandomize=True, database=None)
PIECES = [
    "a", "on", ": ", ":\n  ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "? ", "&a ", "*a", "!!int ",
    "!!str ", "!x ",
    "'", '"', "|\n  ", ">-\n ", "#", " #", "\t", "\r", "%", "%YAML 1.2\n", "---\n", "...\n", "<<: ", "~",
    "1e3", "0x1F",
    "-.inf", "9" * 20, "\\", '"\\ud800"', "\x00", "\u2028", "\ufeff", "é", "\U0001f600", "@",
    '"\\U00110000"',
    "`", "=",
]  # fmt: skip


def is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(held) for key, held in value.items())
    return all(map(is_plain, value)) if isinstance(value, list) else type(value) in (str, int, float, bool, type(None))


def answer(source: bytes | str) -> Document | None:
    """A document that is what it promises, or None for a ModelError; anything else fails the test."""
    try:
        document = read_yaml(source)
    except ModelError as error:
        assert str(error)
        return None
    text = source if isinstance(source, str) else source.decode()
    last = 1 + text.count("\n") + text.count("\r")
    assert type(document.data) is dict and is_plain(document.data)
    assert all(1 <= line <= last for line in document.lines.values())
    return document


@settings(FUZZ, max_examples=2000)
@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_a_document_or_a_model_error(source: bytes) -> None:
    answer(source)


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_heap_of_yaml_pieces_is_a_document_or_a_model_error(source: str) -> None:
    answer("a: " + source)


@FUZZ
@given(
    st.lists(
        st.tuples(st.integers(0, len(MODEL)), st.integers(0, 12), st.sampled_from(PIECES) | st.just("")),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_model_is_a_document_or_a_model_error(damage: list[tuple[int, int, str]]) -> None:
    text = MODEL
    for start, removed, inserted in damage:
        text = text[:start] + inserted + text[start + removed :]
    answer(text)


class Flawed:
    """A parser that fails the way `flaw` says."""

    flaw: BaseException

    def __init__(self, **_: object) -> None: ...

    def parse(self, _: str) -> Iterator[object]:
        raise self.flaw
        yield


@pytest.mark.parametrize("flaw", [RecursionError("deep"), ValueError("odd"), AttributeError(), OverflowError("big")])
def test_any_exception_of_the_parser_is_a_model_error(flaw: Exception, monkeypatch: Any) -> None:
    monkeypatch.setattr("ruamel.yaml.YAML", type("Flawed", (Flawed,), {"flaw": flaw}))
    assert "is not valid YAML" in only_problem("a: 1")[2]
