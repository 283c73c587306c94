"""Writes plain data as YAML that a person could have written, and that reads back as the same data.

Mappings and lists are blocks, keys keep their order, a list of short values takes one line: `[cp-1, cp-2]`.
A text is quoted only where it would otherwise mean something else in YAML 1.2; one of several lines becomes a
literal block (`|`) if it can. What `read_yaml` refuses, such as a control character, is refused here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

from hasim.declared import Loc, at, shown
from hasim.errors import ModelError
from hasim.model.yaml_reader import DEPTH_MAX, NODES_MAX, SIZE_MAX
from hasim.model.yaml_scalars import FORBIDDEN_IN_TEXT, INTEGER_MAX, KEY_LENGTH_MAX, plain_value

FLOW_WIDTH_MAX: Final = 80  # characters of a list that stays on one line

# What cannot begin a plain text, ends one, or makes a comment or a merge key of it.
_NOT_PLAIN: Final = re.compile(r"""^[-?:,\[\]{}#&*!|>'"%@`~ ]|^<<$|^\.\.\.|: |:$| #| $""")
_NOT_PLAIN_IN_FLOW: Final = re.compile(r"[,\[\]{}]")
_ESCAPES: Final = {
    '"': r"\"",
    "\\": r"\\",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\x85": r"\N",
    "\xa0": r"\_",
    "\u2028": r"\L",
    "\u2029": r"\P",
}


def write_yaml(data: dict[str, Any], header: str | None = None) -> str:
    """Return `data` as YAML under `header`, a comment of any number of lines.

    `data` holds dicts, lists (or tuples, which read back as lists), texts, numbers, booleans and None.
    Anything else, and data beyond the bounds of the reader, is a ModelError.
    """
    if not isinstance(data, dict):
        raise ModelError(f"got {shown(data)}; a model is a mapping of fields")
    comment = [f"# {_on_one_line(line)}".rstrip() for line in (header or "").splitlines()]
    text = "\n".join([*comment, *_Layout().of(data, ()).lines]) + "\n"
    if (size := len(text.encode("utf-8"))) > SIZE_MAX:
        raise ModelError(f"the model takes {size} bytes of YAML; a model file has at most {SIZE_MAX}")
    return text


class _Laid(NamedTuple):
    """A value in lines without indentation; it starts on the line of its key, or below it as a block."""

    lines: list[str]
    below: bool = False


class _Layout:
    """Lays out a value and all in it, counting nodes as the reader does."""

    def __init__(self) -> None:
        self.nodes = 0

    def of(self, value: object, path: Loc) -> _Laid:
        """Return the lines of the value at `path`."""
        self._count(1, path)
        if isinstance(value, dict | list | tuple):
            if len(path) >= DEPTH_MAX:
                _refuse(path, f"is nested deeper than {DEPTH_MAX} levels")
            if not value:
                return _Laid(["{}" if isinstance(value, dict) else "[]"])
            return self._of_mapping(value, path) if isinstance(value, dict) else self._of_list(value, path)
        if isinstance(value, str) and "\n" in value and _fits_a_literal(value):
            return _Laid(["|" if value.endswith("\n") else "|-", *value.removesuffix("\n").split("\n")])
        return _Laid([_scalar(value, path)])

    def _count(self, nodes: int, path: Loc) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            _refuse(path, f"here the model exceeds {NODES_MAX} values")

    def _of_mapping(self, mapping: dict[Any, Any], path: Loc) -> _Laid:
        lines = []
        for key, value in mapping.items():
            self._count(1, path)
            name, laid = _key(key, path), self.of(value, (*path, key))
            lines += [f"{name}:", *_indented(laid.lines)] if laid.below else _hung(f"{name}: ", laid.lines)
        return _Laid(lines, below=True)

    def _of_list(self, items: Sequence[Any], path: Loc) -> _Laid:
        laid = [self.of(item, (*path, i)) for i, item in enumerate(items)]
        if not any(isinstance(item, dict | list | tuple) for item in items):
            flow = f"[{', '.join(_scalar(item, (*path, i), in_flow=True) for i, item in enumerate(items))}]"
            if len(flow) <= FLOW_WIDTH_MAX and all(len(item.lines) == 1 for item in laid):
                return _Laid([flow])
        return _Laid([line for item in laid for line in _hung("- ", item.lines)], below=True)


def _hung(first: str, lines: list[str]) -> list[str]:
    return [first + lines[0], *_indented(lines[1:])]


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]


def _key(key: object, path: Loc) -> str:
    if not isinstance(key, str):
        _refuse(path, f"got the key {shown(key)}; a key is a text")
    if len(key) > KEY_LENGTH_MAX:
        _refuse(path, f"got a key of {len(key)} characters; a key has at most {KEY_LENGTH_MAX}")
    return _text(key, path)


def _scalar(value: object, path: Loc, in_flow: bool = False) -> str:
    # Shown by the plain types: a subclass with a display of its own is written as what it holds.
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            _refuse(path, f"got {shown(value)}; an integer is at most 10^18")
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _text(value, path, in_flow)
    _refuse(path, f"got {shown(value)}; YAML holds mappings, lists, texts, numbers, booleans and null")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return "-.inf" if value < 0 else ".inf"
    # 1e+16 is a text to YAML 1.1, 1.0e+16 a float to both.
    return re.sub(r"^(-?[0-9]+)e", r"\1.0e", float.__repr__(value))


def _text(value: str, path: Loc, in_flow: bool = False) -> str:
    text = str.__str__(value)
    if bad := FORBIDDEN_IN_TEXT.search(text):
        _refuse(path, f"the character U+{ord(bad[0]):04X} is not allowed in a model")
    return text if _stays_plain(text, in_flow) else f'"{"".join(map(_escaped, text))}"'


def _stays_plain(text: str, in_flow: bool) -> bool:
    if not text.isprintable() or _NOT_PLAIN.search(text) or (in_flow and _NOT_PLAIN_IN_FLOW.search(text)):
        return False
    try:
        return isinstance(plain_value(text), str)
    except ValueError:
        return False


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # Beyond U+FFFF an escape takes ten characters, and the longest key must fit in YAML's bound.
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\x{ord(character):02X}" if ord(character) < 0x100 else f"\\u{ord(character):04X}"


def _fits_a_literal(text: str) -> bool:
    """A literal block shows the text as it is, so nothing invisible may end or indent it."""
    lines = text.removesuffix("\n").split("\n")
    starts_and_ends = bool(lines[0]) and bool(lines[-1]) and not lines[0].startswith(" ")
    return starts_and_ends and all(line.isprintable() and not line.endswith(" ") for line in lines)


def _on_one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _refuse(path: Loc, message: str) -> NoReturn:
    raise ModelError.of([at(path, message)])
