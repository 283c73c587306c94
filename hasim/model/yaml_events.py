"""The steps of ruamel.yaml's parser in hasim's own terms: the one module that talks to that library.

Whatever the parser raises becomes a ModelError with the line and the parser's problem in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from hasim.declared import Loc, path_text
from hasim.errors import ModelError, Problem

if TYPE_CHECKING:
    from ruamel.yaml.error import YAMLError

_KINDS: Final = {
    "DocumentStartEvent": "document",
    "MappingStartEvent": "mapping",
    "SequenceStartEvent": "list",
    "MappingEndEvent": "end",
    "SequenceEndEvent": "end",
    "ScalarEvent": "scalar",
    "AliasEvent": "alias",
}

_QUOTE_IT: Final = "a text that starts with this character needs quotes"
_HINTS: Final = {
    "mapping values are not allowed": "a text with ': ' in it needs quotes; keys of a mapping stand in line",
    "found character '\\t'": "YAML indents with spaces, not with tabs",
    "could not find expected ':'": "a line lacks its ':', or an earlier one its closing quote or bracket",
    "found character '%'": _QUOTE_IT,
    "found character '@'": _QUOTE_IT,
    "found character '`'": _QUOTE_IT,
}


class Event(NamedTuple):
    """One step of the parser: a document, mapping or list starts, one ends, a scalar, an alias."""

    kind: str
    line: int
    text: str = ""  # of a scalar; of an alias the anchor it names
    plain: bool = False  # neither quoted nor a block of text
    tag: str = ""
    anchor: str = ""


def events(text: str, name: str) -> Iterator[Event]:
    """Yield what the parser meets in `text`, from first to last; `name` is what errors call the text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    line = 1
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line = event.start_mark.line + 1
            kind = _KINDS.get(type(event).__name__)
            if kind:
                yield _event(kind, event, line, name)
    except ModelError:
        raise
    except YAMLError as error:
        _refuse_syntax(error, line, name)
    except Exception as error:  # the parser's own, as from an escape beyond Unicode
        said = short(str(error) or type(error).__name__)
        refuse(name, line, f"is not valid YAML, on this line or soon after it: {said}")


def _event(kind: str, event: Any, line: int, name: str) -> Event:
    if kind == "scalar":
        return Event(kind, line, event.value, event.style is None, event.tag or "", event.anchor or "")
    if kind == "alias":
        return Event(kind, line, event.anchor)
    if kind in ("mapping", "list"):
        return Event(kind, line, tag=event.tag or "", anchor=event.anchor or "")
    if kind == "document" and event.version not in (None, (1, 2)):
        version = short(".".join(str(part) for part in event.version))
        refuse(name, line, f"asks for YAML {version}; a model is YAML 1.2 and needs no %YAML line")
    return Event(kind, line)


def _refuse_syntax(error: YAMLError, line: int, name: str) -> NoReturn:
    """Say the parser's problem at its line, with what to do about the usual ones."""
    problem = str(getattr(error, "problem", None) or error)
    context, began = getattr(error, "context", None), getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None)
    said = short(problem)
    if context:
        said = f"{context}{f' that began on line {began.line + 1}' if began else ''}, {said}"
    said = re.sub(r"\('(<[^>']*>)',\)", r"'\1'", said)  # some of its messages show a token as a tuple
    hint = next((f" ({hint})" for known, hint in _HINTS.items() if problem.startswith(known)), "")
    refuse(name, mark.line + 1 if mark else line, f"is not valid YAML: {said}{hint}")


def short(text: str) -> str:
    """Return the text, or what of it fits in a message."""
    return text if len(text) <= 200 else text[:197] + "..."


def refuse(name: str, line: int | None, message: str, path: Loc = ()) -> NoReturn:
    """Raise the ModelError that says what is wrong at this line and path of the file."""
    problem = Problem(path=path_text(path), message=message, file=name, line=line, loc=path)
    raise ModelError.of([problem]) from None
