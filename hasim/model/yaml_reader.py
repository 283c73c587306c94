"""Reads a YAML model file into plain data, and remembers on which line each field stands.

A model file is data, never code, and may come from a stranger. So the tree is built here, from the events of
ruamel.yaml's pure safe parser, and nothing else of that library is used:

- its scanner follows YAML 1.2, where `on`, `no` and `1:30` are texts: a field called `on` stays a field (in
  YAML 1.1 it would be the boolean true);
- every event carries the mark of where it was read, which gives errors their line;
- events construct nothing. A tag beyond the core schema is refused, so no text can name a Python object.

The loop that builds the tree does not recurse; size, depth, nodes and aliases are bounded. Nodes are counted
as if every alias were written out, and that is what happens: aliased data is copied, so no two places of the
result share a list or a mapping. Merge keys, duplicate keys, keys that are not text and second documents are
refused.

Whatever is wrong with a file or a text is a `hasim.errors.ModelError` that names the file and the line.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from hasim.declared import Loc, shown
from hasim.errors import ModelError, nearest
from hasim.model.yaml_events import Event, events, refuse, short
from hasim.model.yaml_scalars import FORBIDDEN_IN_TEXT, KEY_LENGTH_MAX, Plain, plain_value

SIZE_MAX: Final = 256 * 1024  # bytes; the pure parser needs 2 to 20 microseconds for each
DEPTH_MAX: Final = 50
NODES_MAX: Final = 100_000
ALIASES_MAX: Final = 100

_CORE: Final = "tag:yaml.org,2002:"
_TYPES_OF_TAGS: Final = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
_EMPTY: Final = "is empty; a model is a mapping of fields, as in 'name: my cluster'"

_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
# What a file may hold. Besides control characters this leaves out byte order marks in the middle and the
# line breaks of Unicode, which some editors count as lines and YAML does not.
_FORBIDDEN_IN_FILE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_INVISIBLE: Final = {"\x85": r"\N", "\u2028": r"\L", "\u2029": r"\P", "\ufeff": r"\uFEFF"}


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the line of every field.

    `data` holds dicts with text keys, lists, texts, numbers, booleans and None. `lines` gives for each path
    the line (from 1) of its key or list item; what came through an alias has the line where it is written.
    """

    data: dict[str, Plain]
    lines: dict[Loc, int]
    name: str

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line of `path`, or of the nearest thing around it that stands in the file."""
        place = tuple(path)
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines[place]


def read_yaml_file(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file of at most `SIZE_MAX` bytes; whatever is wrong with it is a ModelError."""
    name: object = path
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    if not isinstance(name, str):  # a number would name an open file, and bytes a path no message can show
        raise ModelError(f"got {shown(path)}; a model file is given by its path, as in 'models/mine.yaml'")
    return read_yaml(_content(name), name)


def read_yaml(source: bytes | str, name: str = "<text>") -> Document:
    """Read YAML from memory; `name` is what errors call it. Whatever is wrong with it is a ModelError."""
    tree = _Tree(name)
    for event in events(_checked_text(source, name), name):
        tree.take(event)
    if not tree.documents:
        refuse(name, 1, _EMPTY)
    assert isinstance(tree.root, dict) and not tree.open, "the parser ended inside a collection"
    return Document(tree.root, tree.lines, name)


# ------------------------------------------------------------------------------------------ from file to text


def _content(name: str) -> bytes:
    """Read the file, looking first at what it is: a pipe or a device could keep us waiting for ever."""
    try:
        _check_file(os.stat(name), name)
        # Between the look and the opening the file may have been exchanged, so look again at what was opened.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(name, flags), "rb") as file:
            _check_file(os.fstat(file.fileno()), name)
            return file.read(SIZE_MAX + 1)
    except ModelError:  # also a ValueError
        raise
    except FileNotFoundError:
        refuse(name, None, f"there is no such file{_nearest_file(name)}")
    except PermissionError:
        refuse(name, None, "may not be read by this user (permission denied)")
    except OSError as error:
        refuse(name, None, f"cannot be read: {error.strerror or error}")
    except ValueError as error:  # a NUL or a lone surrogate in the path
        refuse(repr(name), None, f"is no path of a file: {error}")


def _check_file(found: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        refuse(name, None, "is a directory; give one of the files in it")
    if not stat.S_ISREG(found.st_mode):
        refuse(name, None, "is a pipe, a device or a socket; a model is a regular file")
    _check_size(found.st_size, name)


def _check_size(size: int, name: str) -> None:
    if size > SIZE_MAX:
        refuse(name, None, f"has {size} bytes; a model has at most {SIZE_MAX} ({SIZE_MAX // 1024} KiB)")


def _nearest_file(name: str) -> str:
    folder, file = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in itertools.islice(entries, 10_000)]
    except OSError:
        return f", and no folder {folder!r}" if folder and not os.path.exists(folder) else ""
    wanted = file if file.endswith((".yaml", ".yml")) else f"{file}.yaml"
    return nearest(wanted, sorted(name for name in names if name.endswith((".yaml", ".yml"))))


def _checked_text(source: bytes | str, name: str) -> str:
    if isinstance(source, str):
        text = source
        # No character takes less than a byte, so a text too long for its characters need not be encoded.
        _check_size(len(text), name)
        _check_size(len(text.encode("utf-8", "surrogatepass")), name)
    elif isinstance(source, bytes):
        _check_size(len(source), name)
        text = _decoded(source, name)
    else:
        raise ModelError(f"got {shown(source)}; YAML is read from text or bytes")
    text = text.removeprefix("\ufeff")  # the byte order mark some editors put first
    if bad := _FORBIDDEN_IN_FILE.search(text):
        line = _line_at(text, bad.start())
        refuse(name, line, f"the character U+{ord(bad[0]):04X} is not allowed here{_way_out(bad[0])}")
    return text


def _way_out(character: str) -> str:
    if character in _INVISIBLE:
        return f"; it is invisible; in a double-quoted text write {_INVISIBLE[character]}"
    return "; is this a text file in UTF-8?" if character == "\0" else ""


def _decoded(source: bytes, name: str) -> str:
    if source.startswith((b"\xff\xfe", b"\xfe\xff")):
        refuse(name, 1, "starts at byte 0 with the mark of UTF-16; save it as UTF-8")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_at(source[: error.start].decode("utf-8"), error.start)
        found = f"0x{source[error.start]:02X}"
        refuse(name, line, f"byte {error.start} ({found}) is not UTF-8 ({error.reason}); save it as UTF-8")


def _line_at(text: str, position: int) -> int:
    return 1 + sum(1 for _ in _LINE_BREAK.finditer(text, 0, position))


# ---------------------------------------------------------------------------------------- from events to data


@dataclass(slots=True)
class _Anchor:
    """A node that an alias may repeat, once it is complete."""

    path: Loc
    value: Plain = None
    size: int = 0  # nodes in it, itself included, aliases written out
    height: int = 0  # levels of collections in it
    complete: bool = False


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been met."""

    path: Loc
    value: dict[str, Plain] | list[Plain]
    began: int  # nodes before it
    anchor: _Anchor | None
    key: str | None = None  # a key that waits for its value
    height: int = 1


class _Tree:
    """Builds the data from the events, one call of `take` for each, and stops at the first thing wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Plain = None
        self.lines: dict[Loc, int] = {(): 1}
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchor] = {}
        self.documents = self.nodes = self.aliases = 0

    def take(self, event: Event) -> None:
        """Put one event in its place."""
        if event.kind == "document":
            self.documents += 1
            if self.documents > 1:
                self.refuse(event, "a second document starts here; a model file holds one")
        elif event.kind == "end":
            self._close()
        elif event.kind == "alias":
            self._repeat(event)
        elif event.kind == "scalar":
            self._scalar(event)
        else:
            self._start(event)

    def refuse(self, event: Event, message: str) -> NoReturn:
        """Raise the ModelError at the line of the event, with the path where it would have gone."""
        refuse(self.name, event.line, message, self._place() if self.open else ())

    def _place(self) -> Loc:
        """Where the next node goes; for a key, the mapping it belongs to."""
        if not self.open:
            return ()
        top = self.open[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return top.path if top.key is None else (*top.path, top.key)

    def _awaits_key(self) -> bool:
        return bool(self.open) and self.open[-1].key is None and isinstance(self.open[-1].value, dict)

    def _count(self, event: Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            self.refuse(event, f"here the model exceeds {NODES_MAX} values, counting aliased ones each time")

    def _scalar(self, event: Event) -> None:
        if not self.open and event.plain and not event.text and not event.tag:
            refuse(self.name, 1, _EMPTY)
        self._count(event, 1)
        value = self._meaning(event)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(self._place(), value, size=1, complete=True)
        if self._awaits_key():
            self._take_key(event, value)
        else:
            self._put(event, value)

    def _meaning(self, event: Event) -> Plain:
        tag = self._tag(event, tuple(_TYPES_OF_TAGS), "a single value")
        if bad := FORBIDDEN_IN_TEXT.search(event.text):
            self.refuse(event, f"the character U+{ord(bad[0]):04X} is not allowed, not even as an escape")
        if tag == "str" or not (event.plain or tag):
            return event.text
        try:
            value = plain_value(event.text)
        except ValueError as error:
            self.refuse(event, str(error))
        if tag == "float" and type(value) is int:
            return float(value)
        if tag and type(value) is not _TYPES_OF_TAGS[tag]:
            self.refuse(event, f"got {shown(event.text)}, which is not what its tag '!!{tag}' says")
        return value

    def _tag(self, event: Event, fitting: tuple[str, ...], what: str) -> str:
        """Return the tag's name in the core schema, or "" without a tag; anything else is refused."""
        if not event.tag:
            return ""
        tag = event.tag.removeprefix(_CORE)
        said = short(f"!!{tag}" if event.tag.startswith(_CORE) else event.tag)
        if tag == event.tag or tag not in (*_TYPES_OF_TAGS, "map", "seq"):
            self.refuse(event, f"a model is data; the tag {said!r} is not allowed")
        if tag not in fitting:
            self.refuse(event, f"the tag {said!r} does not fit {what}")
        return tag

    def _take_key(self, event: Event, key: Plain) -> None:
        if not isinstance(key, str):
            self.refuse(event, f"got the key {shown(key)}; a key is a text (put it in quotes)")
        if event.plain and key == "<<":
            self.refuse(event, "merge keys (<<) are not allowed; write the fields out")
        if len(key) > KEY_LENGTH_MAX:
            self.refuse(event, f"got a key of {len(key)} characters; a key has at most {KEY_LENGTH_MAX}")
        top = self.open[-1]
        top.key = key
        first = self.lines.get(self._place())
        if first is not None:
            self.refuse(event, f"is written twice, on line {first} and on line {event.line}")
        self.lines[self._place()] = event.line

    def _put(self, event: Event, value: Plain, height: int = 0) -> None:
        if not self.open:
            if not isinstance(value, dict):
                what = "a list" if isinstance(value, list) else f"only {shown(value)}"
                self.refuse(event, f"got {what}; a model is a mapping of fields{_hint_of_a_path(value)}")
            self.root = value
            return
        top = self.open[-1]
        top.height = max(top.height, height + 1)
        if isinstance(top.value, list):
            self.lines[self._place()] = event.line
            top.value.append(value)
        else:
            assert top.key is not None, "a value without a key"
            top.value[top.key] = value
            top.key = None

    def _start(self, event: Event) -> None:
        self._count(event, 1)
        mapping = event.kind == "mapping"
        self._tag(event, ("map",) if mapping else ("seq",), f"a {event.kind}")
        if self._awaits_key():
            self.refuse(event, f"got a {event.kind} as a key; a key is a text")
        self._check_depth(event, 1)
        place = self._place()
        anchor = _Anchor(place) if event.anchor else None
        if anchor:
            self.anchors[event.anchor] = anchor
        opened = _Open(place, {} if mapping else [], self.nodes - 1, anchor)
        self._put(event, opened.value)
        self.open.append(opened)

    def _check_depth(self, event: Event, height: int) -> None:
        if len(self.open) + height > DEPTH_MAX:
            self.refuse(event, f"here the model is nested deeper than {DEPTH_MAX} levels")

    def _close(self) -> None:
        closed = self.open.pop()
        if self.open:
            self.open[-1].height = max(self.open[-1].height, closed.height + 1)
        if closed.anchor:
            closed.anchor.value = closed.value
            closed.anchor.size = self.nodes - closed.began
            closed.anchor.height = closed.height
            closed.anchor.complete = True

    def _repeat(self, event: Event) -> None:
        """Write out an alias: a copy of the node at its anchor."""
        alias = short(f"*{event.text}")
        anchor = self.anchors.get(event.text)
        if anchor is None:
            near = nearest(alias[1:], itertools.islice(map(short, self.anchors), 100))
            self.refuse(event, f"the alias {alias} has no anchor before it{near}")
        if not anchor.complete:
            self.refuse(event, f"the alias {alias} stands inside the thing it repeats")
        self.aliases += 1
        if self.aliases > ALIASES_MAX:
            self.refuse(event, f"a model has at most {ALIASES_MAX} aliases")
        self._count(event, anchor.size)
        if self._awaits_key():
            self._take_key(event, anchor.value)
            return
        self._check_depth(event, anchor.height)
        place = self._place()
        self._put(event, self._copy(anchor, place), anchor.height)

    def _copy(self, anchor: _Anchor, place: Loc) -> Plain:
        """Copy the anchored data without recursion, and the lines of what is in it."""
        copied = _emptied(anchor.value)
        ahead = [(anchor.value, anchor.path, copied, place)]
        while ahead:
            old, old_path, new, new_path = ahead.pop()
            for step, value in _steps(old):
                child = _emptied(value)
                if isinstance(new, dict):
                    new[str(step)] = child
                elif isinstance(new, list):
                    new.append(child)
                self.lines[*new_path, step] = self.lines[*old_path, step]
                ahead.append((value, (*old_path, step), child, (*new_path, step)))
        return copied


def _steps(value: Plain) -> Iterable[tuple[str | int, Plain]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _emptied(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {}
    return [] if isinstance(value, list) else value


def _hint_of_a_path(value: Plain) -> str:
    named = isinstance(value, str) and value.endswith((".yaml", ".yml"))
    return " (this looks like the name of a file: read the file, not its name)" if named else ""
