"""Durations and shares: what is read, what is refused and why, and exact round trips."""

from __future__ import annotations

import datetime
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from hasim.errors import CannotModel, ModelError, Problem, nearest
from hasim.units import Seconds, Share, duration_text, h, human, nines, s, seconds, share, share_text

DURATIONS = [
    ("0s", 0.0),
    ("1m30s", 90.0),
    ("100ms", 0.1),
    ("1.5h", 5400.0),
    ("90d", 90 * 86400.0),
    ("5y", 5 * 365 * 86400.0),
    ("2w", 14 * 86400.0),
    ("250us", 250e-6),
    ("250\u00b5s", 250e-6),
    ("2min", 120.0),
    ("2m 14s", 134.0),
    (" 3.3h ", 11880.0),
    ("1y1w1d1h1m1s1ms1us", 32230861.001001),
    (".5s", 0.5),
    ("1e3s", 1000.0),
    ("7ms", 0.007),
]


@pytest.mark.parametrize(("text", "expected"), DURATIONS)
def test_a_duration_is_read_to_the_nearest_float(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_other_spellings_of_a_duration() -> None:
    assert seconds(datetime.timedelta(minutes=1, milliseconds=500)) == 60.5
    assert seconds(s(30)) == 30.0 and type(seconds(s(30))) is float
    assert h(7700) == 7700 * 3600 and isinstance(h(7700), s)
    assert repr(s(30)) == "s(30.0)"
    assert pickle.loads(pickle.dumps(s(30))) == s(30)


REFUSED = [
    (30, "got 30; a duration needs a unit, like '30s' or '5m'"),
    (1.5, "got 1.5; a duration needs a unit"),
    (np.float64(1.5), "got 1.5; a duration needs a unit"),
    (np.int64(30), "got 30"),
    ("30", "got '30'; a duration needs a unit"),
    ("-30", "got '-30'; a duration needs a unit"),
    (math.nan, "got nan; a duration needs a unit"),
    ("inf", "got 'inf'; a duration needs a unit"),
    (True, "got True; a duration is text with a unit"),
    (None, "got None; a duration is text with a unit"),
    (["30s"], "got ['30s']; a duration is text with a unit"),
    ("-30s", "got '-30s'; a duration is zero or more"),
    ("", "got ''; a duration is numbers with units"),
    ("soon", "got 'soon'; a duration is numbers with units"),
    ("5 mo", "'mo' is not a unit here: a month has 28 to 31 days; write '30d'"),
    ("5 hours", "'hours' is not a unit here: write 'h' for hours"),
    ("5M", "'M' is not a unit here: write 'm'"),
    ("5q", "'q' is not a unit here: units are us ms s m h d w y"),
    ("30s1m", "units go from large to small, each at most once"),
    ("1s1s", "units go from large to small"),
    ("1h30", "a duration is numbers with units"),
    ("1e400y", "a duration is finite"),
    ("1e9999s", "got '1e9999s'; "),
    ("1:30", "a duration is numbers with units"),
    ("٣s", "a duration is numbers with units"),
    ("1" * 500 + "s", "a duration is short text"),
    (datetime.timedelta(seconds=-1), "a duration is zero or more"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_what_is_not_a_duration_is_refused_with_a_reason(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        seconds(value)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "30", True])
def test_s_refuses_what_is_no_number_of_seconds(value: object) -> None:
    with pytest.raises(ValueError):
        s(value)  # type: ignore[arg-type]


TEXTS = [
    (0.0, "0s"),
    (-0.0, "0s"),
    (90.0, "1m30s"),
    (5400.0, "1h30m"),
    (7700 * 3600.0, "7700h"),
    (90 * 86400.0, "90d"),
    (5 * 365 * 86400.0, "5y"),
    (90061.0, "1d1h1m1s"),
    (0.1, "100ms"),
    (250e-6, "250us"),
    (1.5, "1.5s"),
    (10.8, "10.8s"),
    (1 / 3, "0.3333333333333333s"),
    (1e20, "1e+20s"),
    (5e-324, "5e-324s"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_a_duration_is_written_neatly(value: float, text: str) -> None:
    assert duration_text(value) == text
    assert seconds(text) == value


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False) | st.integers(0, 2**60).map(float))
@settings(max_examples=1000)
def test_every_duration_survives_its_text(value: float) -> None:
    assert seconds(duration_text(value)) == value


@given(st.integers(0, 10**10), st.sampled_from([1e3, 1e6]))
def test_every_count_of_milli_or_microseconds_survives_its_text(count: int, scale: float) -> None:
    assert seconds(duration_text(count / scale)) == count / scale


@given(st.text(max_size=120) | st.from_regex(r"[0-9.e+-]{0,6}[a-z]{0,3}", fullmatch=True))
def test_any_text_is_a_finite_duration_or_a_value_error(text: str) -> None:
    try:
        value = seconds(text)
    except ValueError as error:
        assert "got " in str(error)
    else:
        assert math.isfinite(value) and value >= 0


HUMAN = [
    (0, "0 s"),
    (134, "2m 14s"),
    (12240, "3.4 h"),
    (0.0012, "1.2 ms"),
    (11 * 86400, "11 d"),
    (59.96, "1 m"),
    (0.9997, "1 s"),
    (3599.7, "1 h"),
    (3600, "1 h"),
    (30, "30 s"),
    (1.25e-4, "125 us"),
    (300, "5 m"),
    (5 * 365 * 86400, "5 y"),
    (math.inf, "∞"),
    (-134, "-2m 14s"),
    (math.nan, "n/a"),
    (1234 * 365 * 86400, "1,230 y"),
    (1e15, "3.2e+07 y"),
    (0.4e-6, "0.4 us"),
    (61, "1m 01s"),
    (9.96, "10 s"),
    (0.9994, "999 ms"),
]


@pytest.mark.parametrize(("value", "text"), HUMAN)
def test_tables_show_a_duration_shortly(value: float, text: str) -> None:
    assert human(value) == text


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_the_short_form_is_within_five_percent(value: float) -> None:
    text = human(value).replace(",", "").replace(" ", "")
    # Two significant digits are off by at most 5 %.
    assert seconds(text) == pytest.approx(value, rel=0.0501)


SHARES = [
    ("99.95%", 0.9995),
    (0.9995, 0.9995),
    ("0.9995", 0.9995),
    (0, 0.0),
    (1, 1.0),
    ("100 %", 1.0),
    ("0%", 0.0),
    ("55%", 0.55),
]


@pytest.mark.parametrize(("value", "expected"), SHARES)
def test_a_share_is_read(value: object, expected: float) -> None:
    assert share(value) == expected


BAD_SHARES = [
    (99.95, "got 99.95; a share is from 0 to 1 (0% to 100%); did you mean '99.95%'?"),
    ("99.95", "did you mean '99.95%'?"),
    ("101%", "got '101%'; a share is from 0 to 1 (0% to 100%)"),
    (-0.1, "got -0.1; a share is from 0 to 1"),
    (1000, "got 1000; a share is from 0 to 1 (0% to 100%)"),
    (True, "got True; a share is like"),
    (None, "got None; a share is like"),
    ("most", "got 'most'; a share is like '99.95%' or 0.9995"),
    (math.nan, "got nan; a share is from 0 to 1"),
    (math.inf, "got inf; a share is from 0 to 1"),
]


@pytest.mark.parametrize(("value", "message"), BAD_SHARES)
def test_what_is_not_a_share_is_refused_with_a_reason(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        share(value)
    assert message in str(caught.value)


@given(st.floats(0, 1))
@settings(max_examples=1000)
def test_every_share_survives_its_text(value: float) -> None:
    assert share(share_text(value)) == value


def test_shares_are_written_as_percent() -> None:
    written = [share_text(x) for x in (0.9995, 1.0, 0.0, 0.55, 0.001, 1e-30)]
    assert written == ["99.95%", "100%", "0%", "55%", "0.1%", "1E-28%"]


def test_nines_count_the_digits_of_availability() -> None:
    assert nines(0.999) == pytest.approx(3.0)
    assert nines(unavailability=1e-20) == pytest.approx(20.0)
    assert nines(1.0) == math.inf and nines(0.0) == 0.0 and math.copysign(1, nines(0.0)) == 1
    with pytest.raises(TypeError):
        nines()
    with pytest.raises(ValueError):
        nines(1.5)


class Probe(BaseModel):
    """A model with one field of each kind."""

    timeout: Seconds = Field(default=s(1.0), gt=0)
    target: Share = 0.5


def test_pydantic_fields_read_text_and_dump_text() -> None:
    probe = Probe(timeout="1m30s", target="99.95%")  # type: ignore[arg-type]
    assert (probe.timeout, probe.target) == (90.0, 0.9995)
    assert probe.model_dump() == {"timeout": "1m30s", "target": "99.95%"}
    assert Probe.model_validate_json(probe.model_dump_json()) == probe
    assert Probe(timeout=s(30)).timeout == 30.0


def test_pydantic_fields_refuse_with_the_same_words() -> None:
    with pytest.raises(ValidationError) as caught:
        Probe(timeout=30, target=99.95)
    messages = [error["msg"] for error in caught.value.errors()]
    assert messages[0] == "Value error, got 30; a duration needs a unit, like '30s' or '5m'"
    assert "did you mean '99.95%'?" in messages[1]
    with pytest.raises(ValidationError, match="greater than 0"):
        Probe(timeout="0s")  # type: ignore[arg-type]


def test_the_json_schema_shows_how_to_write_a_duration() -> None:
    schema = Probe.model_json_schema()
    json.dumps(schema)
    assert schema["properties"]["timeout"]["type"] == "string"
    assert "1m30s" in schema["properties"]["timeout"]["examples"]
    assert schema["properties"]["timeout"]["default"] == "1s"
    assert schema["properties"]["target"]["anyOf"][1] == {"type": "number", "minimum": 0, "maximum": 1}


def test_a_model_error_has_one_line_a_problem() -> None:
    error = ModelError.of(
        [
            Problem("parts.etcd.members", "got 0; a quorum has 1 to 99 members", "models/x.yaml", 14),
            Problem("slo", "bad"),
        ]
    )
    assert str(error) == "models/x.yaml:14 parts.etcd.members: got 0; a quorum has 1 to 99 members\nslo: bad"
    assert str(ModelError("bad", "slo")) == "slo: bad" and str(ModelError("bad")) == "bad"
    assert str(Problem("", "empty", "x.yaml")) == "x.yaml: empty" and str(Problem("a", "b", None, 3)) == "line 3 a: b"
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems and str(again) == str(error)


def test_cannot_model_names_the_thing_the_reason_and_the_way_out() -> None:
    error = CannotModel("a rolling update", "it is a story, not a law")
    assert str(error) == "solve cannot model a rolling update: it is a story, not a law; use ha.simulate"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_nearest_offers_a_likely_word_or_nothing() -> None:
    assert nearest("memebrs", ["replicas", "members"]) == "; did you mean 'members'?"
    assert nearest("Members", ["members"]) == "; did you mean 'members'?"
    assert nearest("xyzzy", ["members"]) == ""
