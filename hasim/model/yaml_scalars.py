"""What a single value means in YAML 1.2: the core schema, and the characters and numbers a model may hold.

| written plainly               | means    | written plainly              | means   |
|-------------------------------|----------|------------------------------|---------|
| null, Null, NULL, ~, nothing  | None     | 12, -3, 0o17, 0x1F           | integer |
| true, True, TRUE (and false)  | boolean  | 1.5, .5, 1e3, .inf, .nan     | float   |

Everything else is text, such as `on`, `no`, `1:30` and `2030-01-01`; so is whatever stands in quotes.
Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import math
import re
from typing import Final, TypeAlias

from hasim.declared import shown

Scalar: TypeAlias = bool | int | float | str | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"

INTEGER_MAX: Final = 10**18  # every integer up to it also fits a machine word
KEY_LENGTH_MAX: Final = 100  # characters; written in escapes it still stays below YAML's own bound of 1024

# A text may not hold these, not even as an escape: they could steer the terminal that shows it. The line
# breaks of Unicode (NEL, LS, PS) may be escaped.
FORBIDDEN_IN_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"(?P<ten>[-+]?[0-9]+)|0o(?P<eight>[0-7]+)|0x(?P<sixteen>[0-9a-fA-F]+)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"(?P<infinite>[-+]?\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)")
_DIGITS_MAX: Final = 25


def plain_value(text: str) -> Scalar:
    """Return what a scalar without quotes means; a number too large to hold is a ValueError."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if number := _INTEGER.fullmatch(text):
        return _integer(text, number)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError(f"got {shown(text)}; a number is below 1.8e308 (infinity is written .inf)")
        return value
    if special := _NO_NUMBER.fullmatch(text):
        return math.nan if not special["infinite"] else -math.inf if text[0] == "-" else math.inf
    return text


def _integer(text: str, number: re.Match[str]) -> int:
    base = {"ten": 10, "eight": 8, "sixteen": 16}[str(number.lastgroup)]
    digits = number[str(number.lastgroup)]
    # Length first: converting a million digits takes long, and Python itself refuses it.
    if len(digits) <= _DIGITS_MAX and abs(value := int(digits, base)) <= INTEGER_MAX:
        return value
    raise ValueError(f"got {shown(text)}; an integer is at most 10^18 (a text of digits needs quotes)")
