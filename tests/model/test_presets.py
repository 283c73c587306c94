"""Presets: every published figure is a law with the mean it claims, a source and a confidence."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from hasim.errors import ModelError
from hasim.model.laws import Exponential, Lognormal, Weibull
from hasim.model.presets import Preset, preset, presets

ENTRIES = json.loads(files("hasim.model").joinpath("presets.json").read_text(encoding="utf-8"))["presets"]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["name"] for entry in ENTRIES])
def test_the_mean_of_each_law_is_the_published_number_of_hours(entry: dict[str, object]) -> None:
    known = preset(str(entry["name"]))
    for law, hours in ((known.mtbf, entry["mtbf_h"]), (known.mttr, entry["mttr_h"])):
        assert (law is None) == (hours is None)
        if law is not None:
            # durations are written with at least four digits, except where a mean is taken from shares
            assert law.mean / 3600 == pytest.approx(hours, rel=1e-4)


def test_presets_are_found_by_name_and_sorted() -> None:
    names = [known.name for known in presets()]
    assert names == sorted(names) and len(set(names)) == len(names) == len(ENTRIES)
    assert {"lanl_server", "rack", "az_partial", "cloud_vm_guess", "process_crash_guess", "gpu_node"} <= set(names)
    for known in presets():
        assert preset(known.name) == known
        assert known.source and known.what and known.confidence in "ABCD" and known.confidence_meaning
        assert known.mtbf is not None or known.mttr is not None


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"got 'lanl_sever'; presets are az_partial, .*; did you mean 'lanl_server'\?"):
        preset("lanl_sever")


def test_a_printed_preset_shows_source_confidence_and_caveat() -> None:
    text = str(preset("cloud_vm_guess"))
    assert "mtbf        exponential, mean 3y" in text
    assert "mttr        lognormal, mean 6m, median 3m39s" in text
    assert "confidence  D, assumption" in text and "source      assumption between" in text and "caveat      no" in text
    assert "mttr        not published" in str(preset("backblaze_hdd"))
    assert "caveat" not in str(Preset("x", "y", None, None, "z", "D", ""))


def test_guesses_say_that_they_are_guesses() -> None:
    for known in presets():
        assert (known.confidence == "D") == known.name.endswith("_guess")


def test_the_laws_of_the_commodity_server() -> None:
    known = preset("lanl_server")
    assert known.mtbf == Weibull(shape=0.7, mean="7700h")
    assert isinstance(known.mtbf, Weibull) and known.mtbf.scale / 3600 == pytest.approx(6083, rel=1e-4)
    assert known.mttr == Lognormal(mean="3.25h", median="1h")
    assert preset("process_crash_guess").mttr == Exponential(mean="10.8s")


def test_restart_times_go_through_the_published_shares() -> None:
    law = preset("google_machine_restart").mttr
    assert law is not None
    over_6min, over_30min, over_1d = law.survival([360.0, 1800.0, 86400.0])
    # the published shares are rounded to five per cent and to one per cent
    assert over_6min == pytest.approx(0.45, abs=0.025)
    assert over_30min == pytest.approx(0.20, abs=0.025)
    assert over_1d == pytest.approx(0.01, abs=0.005)


def test_network_incidents_last_ten_to_a_hundred_minutes_in_four_cases_of_five() -> None:
    law = preset("network_incident").mttr
    assert law is not None
    ten, hundred = law.survival([600.0, 6000.0])
    assert ten - hundred == pytest.approx(0.80, abs=0.01)
