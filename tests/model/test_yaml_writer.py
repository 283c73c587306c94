"""YAML written: it looks as a person would write it, and reads back as the same data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.model.yaml_reader import DEPTH_MAX, NODES_MAX, SIZE_MAX, read_yaml
from hasim.model.yaml_scalars import INTEGER_MAX, KEY_LENGTH_MAX
from hasim.model.yaml_writer import write_yaml

NASTY = [
    "", " ", "on", "no", "null", "~", "true", "1:30", "1e3", "0x1F", "0o7", "12", "-3", "+1", ".5", "5.",
    ".inf", ".nan",
    "9" * 30, "1e999", "é", "#", "a #b", "a#b", ": ", "a: b", "a:", ":a", "a:b", "- a", "-", "---", "...",
    "... a", "?", "? a",
    "<<", "=", "%", "@x", "`", "&a", "*a", "!x", "!!int 1", "|", ">", "[", "]", "{}", "a,b", "a]", "a{",
    "'", '"', "it's",
    '"q"', "\\", "\\n", " leading", "trailing ", "two  spaces", "\ttab", "a\tb", "a\nb", "a\nb\n",
    "a\n\nb\n", "\na",
    "a\n\n", "\n", " a\nb", "a\n  b", "a\n b \nc", "a\n#b", "a\n---\nb", "a\rb", "a\r\nb", "\x85", "a\u2028b",
    "\u2029",
    "\xa0", "\xad", "\ufeff", "a\ufeff", "\U0001f600", "\U000e0001", "\ue000", "\u202e", "२", "2030-01-01",
    "99.95%",
]  # fmt: skip

# Every character a model may hold; surrogates and control characters are refused, see below.
characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
texts = st.one_of(
    st.sampled_from(NASTY),
    st.lists(st.sampled_from(NASTY), max_size=4).map("".join),
    st.text(characters | st.sampled_from("\t\n\r\x85 :#-,"), max_size=12),
)
keys = texts.map(lambda text: text[:KEY_LENGTH_MAX])
integers = st.integers(-INTEGER_MAX, INTEGER_MAX)
scalars = texts | st.none() | st.booleans() | integers | st.floats() | st.sampled_from([1e16, -1e-5])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(keys, values, max_size=5))
def test_what_is_written_reads_back_the_same(data: dict[str, Any]) -> None:
    text = write_yaml(data)
    # repr tells 1 from 1.0 and True, -0.0 from 0.0, and one nan equals another.
    assert repr(read_yaml(text).data) == repr(data), text


@pytest.mark.parametrize("text", NASTY)
def test_a_nasty_text_reads_back_wherever_it_stands(text: str) -> None:
    data = {"a": text, "b": [text, text], "c": [[text], {"d": text}], text: {text: text}}
    assert read_yaml(write_yaml(data, header=text)).data == data


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), values, max_size=5))
def test_the_line_of_a_key_is_the_line_that_shows_it(data: dict[str, Any]) -> None:
    text = write_yaml(data, header="one\ntwo")
    lines = text.split("\n")
    for path, line in read_yaml(text).lines.items():
        if path and isinstance(path[-1], str) and path[-1].isalpha() and path[-1].isascii():
            assert path[-1] in lines[line - 1]


def test_writing_looks_like_a_person_wrote_it() -> None:
    data = {
        "hasim": 1,
        "name": "three zones: 2 + 1",
        "about": "One line.\n\n  Another.\n",
        "slo": {"availability": "99.95%", "window": "30d", "strict": True, "none": None},
        "parts": {"etcd": {"on": ["cp-1", "cp-2"], "weights": [1, 2.5, 1e16], "size": 12, "text": "12"}},
        "steps": [{"at": "30s", "do": ["a, b", "c"]}, [["x"], {}], []],
        "long": ["a" * 40, "b" * 40],
        "empty": {},
    }
    assert write_yaml(data, header="What it shows.\n\nMore.") == (
        "# What it shows.\n#\n# More.\n"
        "hasim: 1\n"
        'name: "three zones: 2 + 1"\n'
        "about: |\n  One line.\n\n    Another.\n"
        "slo:\n  availability: 99.95%\n  window: 30d\n  strict: true\n  none: null\n"
        "parts:\n  etcd:\n    on: [cp-1, cp-2]\n    weights: [1, 2.5, 1.0e+16]\n    size: 12\n"
        '    text: "12"\n'
        'steps:\n  - at: 30s\n    do: ["a, b", c]\n  - - [x]\n    - {}\n  - []\n'
        f"long:\n  - {'a' * 40}\n  - {'b' * 40}\n"
        "empty: {}\n"
    )


def test_tuples_and_subclasses_are_written_as_what_they_hold() -> None:
    class Odd(float):
        def __repr__(self) -> str:
            return "odd"

    class Word(str):
        def __str__(self) -> str:
            return "word"

    assert write_yaml({"a": (1, 2), "b": Odd(1.5), "c": Word("x"), Word("d"): Word("on: ")}) == (
        'a: [1, 2]\nb: 1.5\nc: x\nd: "on: "\n'
    )


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {}


def test_the_deepest_data_is_written_and_read_back() -> None:
    assert read_yaml(write_yaml(nested(DEPTH_MAX))).data == nested(DEPTH_MAX)


looped: dict[str, Any] = {}
looped["a"] = looped
UNWRITABLE: list[tuple[Any, str]] = [
    ([1], "got [1]; a model is a mapping of fields"),
    ({"a": {1: 2}}, "a: got the key 1; a key is a text"),
    ({"k" * 101: 1}, "got a key of 101 characters"),
    ({"a": [{1, 2}]}, "a[0]: got {1, 2}; YAML holds mappings, lists, texts"),
    ({"a": b"x"}, "a: got b'x'; YAML holds"),
    ({"a": 10**18 + 1}, "a: got 1000000000000000001; an integer is at most 10^18"),
    ({"a": "\x1b[31m"}, "a: the character U+001B is not allowed in a model"),
    ({"a": ["\ud800"]}, "a[0]: the character U+D800 is not allowed in a model"),
    ({"\0": 1}, "the character U+0000 is not allowed in a model"),
    (looped, ".".join("a" * 50) + ": is nested deeper than 50 levels"),
    (nested(DEPTH_MAX + 1), ".".join("a" * 50) + ": is nested deeper than 50 levels"),
    ({"a": [0] * NODES_MAX}, f"a[{NODES_MAX - 3}]: here the model exceeds {NODES_MAX} values"),
    ({"a": "x" * SIZE_MAX}, f"the model takes {SIZE_MAX + 4} bytes of YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), UNWRITABLE)
def test_what_could_not_be_read_back_is_not_written(data: Any, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        write_yaml(data)
    assert str(caught.value).startswith(words)
