"""Durations and shares: "1m30s" → 90.0, "99.95%" → 0.9995, and back.

Inside hasim a duration is a float in seconds and a share a float from 0 to 1. Outside, a duration always
carries its unit: a bare 30 means seconds to one reader and minutes to another.

| unit | is              | unit | is                    |
|------|-----------------|------|-----------------------|
| us   | 1e-6 s          | h    | 3600 s                |
| ms   | 1e-3 s          | d    | 24 h                  |
| s    | one second      | w    | 7 d                   |
| m    | 60 s (or "min") | y    | 365 d, no leap years  |

A month is refused: it has 28 to 31 days.
"""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Annotated, Final, SupportsFloat

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, Strict, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

YEAR: Final = 365 * 86400.0
"""Seconds in a year of 365 days, the year meant by every "per year" in hasim."""

_UNITS: Final = {
    "y": Fraction(365 * 86400),
    "w": Fraction(7 * 86400),
    "d": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
}
_SPELLINGS: Final = {"min": "m", "\u00b5s": "us", "\u03bcs": "us"}
_ORDER: Final = {unit: rank for rank, unit in enumerate(_UNITS)}
_HINTS: Final = {
    **dict.fromkeys(("mo", "mon", "month", "months"), "a month has 28 to 31 days; write '30d'"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "write 's' for seconds"),
    **dict.fromkeys(("mins", "minute", "minutes"), "write 'm' for minutes"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "write 'h' for hours"),
    **dict.fromkeys(("day", "days"), "write 'd' for days"),
    **dict.fromkeys(("week", "weeks"), "write 'w' for weeks"),
    **dict.fromkeys(("yr", "yrs", "year", "years"), "write 'y' for years"),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), "the smallest unit is 'us'"),
}
_NUMBER: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_TERM: Final = re.compile(rf"({_NUMBER})\s*([^\W\d_]+)\s*")
_BARE: Final = re.compile(rf"[+-]?(?:{_NUMBER}|inf|nan|infinity)", re.IGNORECASE)
_SHARE: Final = re.compile(rf"([+-]?{_NUMBER})\s*(%?)")
_LONGEST_TEXT: Final = 100  # no duration needs more; keeps a hostile text from costing anything


class s(float):
    """A float that says it is in seconds, so that it may stand where a bare number is refused: `ha.s(30)`."""

    def __new__(cls, value: SupportsFloat) -> s:
        """Check that `value` is a finite number, zero or more."""
        if isinstance(value, (str, bool)):
            raise ValueError(f"got {value!r}; ha.s takes a number of seconds, like ha.s(30)")
        return super().__new__(cls, _checked(float(value), repr(value)))

    def __repr__(self) -> str:
        """Show the number with its unit: `s(30.0)`."""
        return f"s({float(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a default of `s(15)` appear as "15s" in a JSON Schema."""
        return core_schema.no_info_plain_validator_function(
            lambda value: cls(seconds(value)),
            serialization=core_schema.plain_serializer_function_ser_schema(
                duration_text, return_schema=core_schema.str_schema()
            ),
        )


def h(value: SupportsFloat) -> s:
    """Return `value` hours as a float that says it is in seconds: `ha.h(7700)`."""
    return s(s(value) * 3600.0)


def seconds(value: object) -> float:
    """Return a duration in seconds from text with units ("1m30s"), a timedelta, or `s(30)`.

    Terms go from the largest unit to the smallest ("1h30m", not "30m1h"); each number may have a fraction.
    The result is the float nearest to the exact sum. Raises ValueError for a bare number, an unknown unit,
    and anything negative or not finite.
    """
    if isinstance(value, s):
        return float(value)
    if isinstance(value, datetime.timedelta):
        return _checked(value / datetime.timedelta(seconds=1), repr(value))
    if isinstance(value, bool) or not isinstance(value, (str, Real)):
        raise ValueError(f"got {_shown(value)}; a duration is text with a unit, like '30s' or '5m'")
    if not isinstance(value, str):
        raise ValueError(f"got {_number_text(value)}; a duration needs a unit, like '30s' or '5m'")
    return _parse(value)


def _parse(text: str) -> float:
    stripped = text.strip()
    if len(stripped) > _LONGEST_TEXT:
        raise ValueError(f"got {_shown(text)}; a duration is short text, like '30s' or '1h30m'")
    if _BARE.fullmatch(stripped):
        raise ValueError(f"got {_shown(text)}; a duration needs a unit, like '30s' or '5m'")
    if stripped.startswith("-"):
        raise ValueError(f"got {_shown(text)}; a duration is zero or more")
    total, position, last_rank = Fraction(0), 0, -1
    while position < len(stripped):
        term = _TERM.match(stripped, position)
        if term is None:
            raise ValueError(f"got {_shown(text)}; a duration is numbers with units, like '30s' or '1h30m'")
        unit = _unit(term[2], text)
        if _ORDER[unit] <= last_rank:
            raise ValueError(f"got {_shown(text)}; units go from large to small, each at most once, like '1h30m'")
        total += Fraction(Decimal(term[1])) * _UNITS[unit]
        position, last_rank = term.end(), _ORDER[unit]
    if last_rank < 0:
        raise ValueError(f"got {_shown(text)}; a duration is numbers with units, like '30s' or '1h30m'")
    try:
        return float(total)
    except OverflowError:
        raise ValueError(f"got {_shown(text)}; a duration is finite") from None


def _unit(word: str, text: str) -> str:
    unit = _SPELLINGS.get(word, word)
    if unit in _UNITS:
        return unit
    lower = _SPELLINGS.get(word.lower(), word.lower())
    hint = _HINTS.get(lower) or (f"write {lower!r}" if lower in _UNITS else "")
    allowed = "units are us ms s m h d w y"
    raise ValueError(f"got {_shown(text)}; {word!r} is not a unit here: {hint or allowed}")


def _checked(value: float, given: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"got {given}; a duration is finite")
    if value < 0:
        raise ValueError(f"got {given}; a duration is zero or more")
    return value + 0.0  # -0.0 becomes 0.0


def _number_text(value: object) -> str:
    """Show a number as a user would type it, whatever array library it came from."""
    return str(value) if isinstance(value, (int, Fraction)) else repr(float(value))  # type: ignore[arg-type]


def _shown(value: object, longest: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def duration_text(value: float) -> str:
    """Return the text of a duration such that `seconds(duration_text(x)) == x` exactly: 5400.0 → "1h30m".

    Whole years, days and hours stay in one unit ("7700h"); what no neat text gives exactly is a decimal of
    seconds.
    """
    value = _checked(float(value), repr(value))
    if value == int(value) and value < 2**53:
        return _whole_text(int(value))
    if value < 1:
        for unit, scale in (("ms", 1e3), ("us", 1e6)):
            text = f"{round(value * scale)}{unit}"
            if seconds(text) == value:
                return text
    return f"{value!r}s"


def _whole_text(whole: int) -> str:
    if whole == 0:
        return "0s"
    if whole >= 86400:
        for unit in ("y", "d", "h"):
            count, rest = divmod(whole, int(_UNITS[unit]))
            if not rest:
                return f"{count}{unit}"
    text = ""
    for unit in ("d", "h", "m", "s"):
        count, whole = divmod(whole, int(_UNITS[unit]))
        if count:
            text += f"{count}{unit}"
    return text


def human(value: float) -> str:
    """Return a duration as short text for tables, rounded: "2m 14s", "3.4 h", "1.2 ms", "11 d"."""
    value = float(value)
    if math.isnan(value):
        return "n/a"
    if value < 0:
        return f"-{human(-value)}"
    if value == 0:
        return "0 s"
    if math.isinf(value):
        return "∞"
    for unit, scale, limit in (("us", 1e6, 999.5), ("ms", 1e3, 999.5), ("s", 1.0, 59.5)):
        if value * scale < limit:  # rounds to less than the next unit
            return f"{_digits(value * scale)} {unit}"
    if round(value) < 3600:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes}m {rest:02d}s" if rest else f"{minutes} m"
    for unit, largest in (("h", 48 * 3600.0), ("d", 2 * YEAR)):
        if value < largest:
            return f"{_digits(value / float(_UNITS[unit]))} {unit}"
    years = value / YEAR
    return f"{_digits(years)} y" if years < 1e6 else f"{years:.1e} y"


def _digits(number: float) -> str:
    """Two significant digits below 10, whole numbers above: 3.4, 11, 1,200."""
    text = f"{number:.1f}" if number >= 1 else f"{number:.2g}"
    if float(text) >= 10:
        return f"{round(number):,}" if number < 1e3 else f"{float(f'{number:.3g}'):,.0f}"  # 1,234,567 -> 1,230,000
    return text.removesuffix(".0")


def share(value: object) -> float:
    """Return a share from 0 to 1, given as text with a percent sign ("99.95%") or as a number (0.9995).

    Raises ValueError for anything outside 0 … 1; a bare 99.95 is refused with a hint.
    """
    if isinstance(value, str):
        match = _SHARE.fullmatch(value.strip()) if len(value) <= _LONGEST_TEXT else None
        if match is None:
            raise ValueError(f"got {_shown(value)}; a share is like '99.95%' or 0.9995")
        exact = Fraction(Decimal(match[1])) / (100 if match[2] else 1)
        percent = bool(match[2])
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"got {_shown(value)}; a share is like '99.95%' or 0.9995")
    elif not math.isfinite(value):
        raise ValueError(f"got {_number_text(value)}; a share is from 0 to 1 (0% to 100%)")
    else:
        exact, percent = Fraction(float(value)), False
    if not 0 <= exact <= 1:
        shown = _shown(value) if isinstance(value, str) else _number_text(value)
        bare = shown.strip("'")
        hint = f"; did you mean '{bare}%'?" if not percent and 1 < exact <= 100 else ""
        raise ValueError(f"got {shown}; a share is from 0 to 1 (0% to 100%){hint}")
    return float(exact)


def share_text(value: float) -> str:
    """Return the text of a share such that `share(share_text(x)) == x` exactly: 0.9995 → "99.95%"."""
    value = share(float(value))
    if value == 0:
        return "0%"
    # repr is the shortest decimal that names this float; moving its point two places is exact in decimal.
    percent = Decimal(repr(value)).scaleb(2).normalize()
    return f"{percent:f}%" if value >= 1e-9 else f"{percent}%"


def nines(availability: float | None = None, *, unavailability: float | None = None) -> float:
    """Return the number of nines, -log10(unavailability): 0.999 → 3.0; perfect availability → infinity.

    Give either; `unavailability` keeps digits that 1 - availability has lost.
    """
    if (availability is None) == (unavailability is None):
        raise TypeError("nines takes either availability or unavailability")
    down = 1.0 - availability if availability is not None else unavailability
    assert down is not None
    if not 0.0 <= down <= 1.0:
        raise ValueError(f"got {down!r}; an unavailability is from 0 to 1")
    return -math.log10(down) + 0.0 if down > 0 else math.inf


_DURATION_PATTERN: Final = rf"^\s*({_NUMBER}\s*(us|\u00b5s|ms|s|min|m|h|d|w|y)\s*)+$"

Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _DURATION_PATTERN,
            "description": "A duration with its unit: us ms s m h d w y.",
            "examples": ["100ms", "15s", "1m30s", "90d", "5y"],
        }
    ),
]
"""A pydantic field holding a duration: "15s", a timedelta or `s(15)` in; a float of seconds inside."""

Share = Annotated[
    float,
    BeforeValidator(share),
    PlainSerializer(share_text, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%?\s*$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "description": "A share from 0 to 1, as percent text or as a number.",
            "examples": ["99.95%", 0.9995],
        }
    ),
]
"""A pydantic field holding a share: "99.95%" or 0.9995 in; a float from 0 to 1 inside."""

Count = Annotated[int, Strict()]
"""A pydantic field holding a whole number; true is not 1, and the text "3" is not 3."""
