"""Comparisons in pairs: their intervals hold, their numbers are the same wherever they are played."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.results import Comparison
from hasim.results.intervals import clopper_pearson
from hasim.studies import compare as study
from hasim.studies.compare import run_seed


def cluster(mttr: str = "6m", name: str = "web", replicas: int = 1) -> ha.Cluster:
    parts = {"web": {"kind": "pool", "replicas": replicas, "required": 1}}
    return ha.Cluster(name=name, parts=parts, failures={"web": {"mtbf": "1h", "mttr": mttr}}, up=["web"])


def downtime(run: ha.Run) -> float:
    return run.downtime_s("web")


def fell(run: ha.Run) -> bool:
    return run.downtime_s("web") > 0


def no_number(run: ha.Run) -> float:
    return math.nan if run.downtime_s("web") > 0 else 0.0


def expected_downtime(mttr: float, over: float, mtbf: float = 3600.0) -> float:
    """Of a unit that is new at the start, with exponential times: the integral of P(down at t)."""
    fail, repair = 1 / mtbf, 1 / mttr
    both = fail + repair
    return fail / both * over + fail / both**2 * math.expm1(-both * over)


# ------------------------------------------------------------------------------------------ the numbers


def test_the_interval_of_the_difference_covers_the_known_one() -> None:
    slow, fast = cluster("12m", "slow"), cluster("6m", "fast")
    known = expected_downtime(360.0, 10 * 3600.0) - expected_downtime(720.0, 10 * 3600.0)
    found = [
        ha.compare(slow, fast, of=downtime, over="10h", runs=25, seed=seed).difference("fast").mean
        for seed in range(200)
    ]
    covered = sum(difference.covers(known) for difference in found) / len(found)
    assert abs(covered - 0.95) < 4.5 * math.sqrt(0.95 * 0.05 / len(found))
    values = np.array([difference.value for difference in found])
    assert values.mean() == pytest.approx(known, abs=4.5 * values.std() / math.sqrt(len(found)))
    errors = np.array([difference.standard_error for difference in found])
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.25)


def test_pairs_share_their_luck() -> None:
    """A crash of one minute more or less in the same history costs the same minute more or less in every run."""
    web = cluster(replicas=2)
    short, long = (web.during(ha.Crash("web", at="1m", lasting=lasting)) for lasting in ("2m", "5m"))
    comparison = ha.compare(short, long, of=downtime, names=["short", "long"], over="1h", runs=60, seed=5)
    apart = comparison.difference("long")
    assert apart.mean.covers(180.0) and apart.variance_saved is not None and apart.variance_saved > 0.9
    alone = [comparison.mean(name).standard_error or 0.0 for name in comparison.names]
    assert apart.mean.standard_error is not None and apart.mean.standard_error < 0.4 * math.hypot(*alone)


def test_run_i_of_every_model_is_the_simulation_with_seed_i() -> None:
    slow, fast = cluster("12m"), cluster("6m")
    comparison = ha.compare(slow, fast, of=downtime, over="3h", runs=4, seed=9)
    assert comparison.seeds == tuple(run_seed(9, i) for i in range(4)) and len(set(comparison.seeds)) == 4
    for i, seed in enumerate(comparison.seeds):
        for row, model in enumerate((slow, fast)):
            assert comparison.values[row, i] == downtime(ha.simulate(model, over="3h", seed=seed))
    longer = ha.compare(slow, fast, of=downtime, over="3h", runs=6, seed=9)
    assert np.array_equal(longer.values[:, :4], comparison.values), "more runs go on where fewer ended"
    steady = ha.compare(slow, fast, of=downtime, over="3h", runs=2, seed=9, start="steady")
    assert steady.values[0, 0] == downtime(ha.simulate(slow, over="3h", seed=steady.seeds[0], start="steady"))


def test_the_spawned_seeds_are_those_of_numpy() -> None:
    spawned = np.random.SeedSequence(11).spawn(3)
    words = [int(sequence.generate_state(1, np.uint64)[0]) >> 11 for sequence in spawned]
    assert [run_seed(11, i) for i in range(3)] == words


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_every_executor_gives_the_same_numbers(pool: Callable[..., Executor]) -> None:
    models = {"slow": cluster("12m"), "fast": cluster("6m")}
    of = {"downtime": downtime, "fell": fell}
    told: list[tuple[int, int]] = []
    here = ha.compare(models, of=of, over="2h", runs=70, seed=3, progress=lambda *done: told.append(done))
    assert told == [(i, 70) for i in range(1, 71)]
    with pool(max_workers=2) as executor:
        there = ha.compare(models, of=of, over="2h", runs=70, seed=3, executor=executor)
    assert here.to_json() == there.to_json()
    assert all(np.array_equal(here.samples[name], there.samples[name]) for name in of)


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    comparison = ha.compare(cluster(), cluster(), of={"downtime": downtime, "fell": fell}, over="3h", runs=40, seed=2)
    assert comparison.names == ("web", "web-2")
    assert np.array_equal(comparison.values[0], comparison.values[1]) and comparison.values.std() > 0
    apart = comparison.difference("web-2")
    assert (apart.mean.value, apart.mean.low, apart.mean.high) == (0.0, 0.0, 0.0) and apart.always_equal
    assert apart.mean.standard_error == 0.0 and apart.variance_saved == 1.0 and apart.equal.value == 1.0
    assert "web-2 is the same model as web" in comparison.warnings
    assert "difference 0 (in every run)" in str(comparison)


def test_what_never_happened_keeps_its_upper_bound() -> None:
    slow, fast = cluster("12m", "slow", replicas=9), cluster("6m", "fast", replicas=9)
    comparison = ha.compare(slow, fast, of={"fell": fell, "downtime": downtime}, over="1m", runs=50, seed=1)
    bound = clopper_pearson(0, 50)[1]
    assert comparison.mean("slow").high == pytest.approx(bound)
    apart = comparison.difference("fast")
    assert (apart.mean.low, apart.mean.value, apart.mean.high) == pytest.approx((-bound, 0.0, bound))
    assert apart.variance_saved is None and apart.lower.high == pytest.approx(bound)
    (note,) = comparison.notes("downtime")
    assert "in every run" in note and "5.8 %" in note and note in str(comparison)


def test_few_runs_that_differ_are_a_caution() -> None:
    numbers = np.zeros((2, 100))
    numbers[1, :3] = 1.0, 2.0, 5.0
    comparison = Comparison(("a", "b"), {"x": numbers}, tuple(range(100)), 60.0, 1)
    assert "only 3 of 100 runs" in comparison.notes()[0]
    numbers = np.random.default_rng(1).normal(size=(2, 5))
    assert not Comparison(("a", "b"), {"x": numbers}, tuple(range(5)), 60.0, 1).notes()


def test_the_numbers_of_a_difference() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 5.0, 8.0])
    comparison = Comparison(("a", "b", "c"), {"x": np.stack([a, b, a - 1])}, (1, 2, 3, 4), 60.0, 1, level=0.9)
    apart = comparison.difference("b")
    assert apart.mean.value == 1.25 and apart.mean.level == 0.9
    error = (b - a).std(ddof=1) / 2
    assert apart.mean.standard_error == pytest.approx(error)
    assert apart.mean.high - 1.25 == pytest.approx(2.353363 * error, rel=1e-5), "Student's, 3 degrees of freedom"
    assert [chance.value for chance in (apart.lower, apart.equal, apart.higher)] == [0.0, 0.25, 0.75]
    assert apart.variance_saved == pytest.approx(1 - (b - a).var() / (a.var() + b.var()))
    assert comparison.difference("a", "b").mean.value == -1.25
    assert comparison.difference("c", "b").mean.value == -2.25


def test_shares_stay_between_none_and_all() -> None:
    numbers = np.array([[0.0, 0.0, 0.0, 0.1], [0.5, 0.5, 0.5, 0.5]])
    comparison = Comparison(("a", "b"), {"x": numbers}, (1, 2, 3, 4), 60.0, 1, units={"x": "share"})
    assert comparison.mean("a").low == 0.0 and comparison.mean("b").high == 1.0 and comparison.mean("b").low == 0.0
    assert "points" in str(comparison)


# --------------------------------------------------------------------------------- requests, interruptions


def serving() -> ha.Cluster:
    parts = {"web": {"kind": "pool", "replicas": 2, "required": 1, "serving": {"takes": "20ms"}}}
    return ha.Cluster(name="shop", parts=parts, up=["web"])


def test_shares_of_failed_requests_are_the_default() -> None:
    calm = serving().during(ha.Load(rate=20))
    worse = calm.during(ha.Crash("web", at="5s", lasting="3s"))
    comparison = ha.compare(calm, worse, names=["calm", "worse"], over="30s", runs=40, seed=1)
    assert comparison.measures == ("failed_share",) and comparison.units == {"failed_share": "share"}
    apart = comparison.difference("worse").mean  # three seconds of thirty
    assert apart.value == pytest.approx(0.1, abs=4.5 * (apart.standard_error or 0.0)) and "points" in str(comparison)
    within = partial(ha.failed_share, within="5s")
    assert ha.compare(calm, worse, of=within, over="9s", runs=2, seed=1).units == {"failed_share": "share"}


def test_ctrl_c_returns_the_runs_that_are_complete() -> None:
    def stop(done: int, _: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    models = cluster("12m", "slow"), cluster("6m", "fast")
    stopped = ha.compare(*models, of=downtime, over="3h", runs=50, seed=4, progress=stop)
    assert stopped.runs == 7 and "interrupted after 7 of 50 runs" in stopped.warnings
    asked = ha.compare(*models, of=downtime, over="3h", runs=7, seed=4)
    assert np.array_equal(stopped.values, asked.values)
    with pytest.raises(KeyboardInterrupt):
        ha.compare(*models, of=interrupted, over="3h", runs=5, seed=4)


def interrupted(_: ha.Run) -> float:
    raise KeyboardInterrupt


def test_a_simulation_that_was_cut_off_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C within a simulation returns what happened so far; such a part is not taken for a run."""
    import importlib

    module: Any = importlib.import_module("hasim.studies.compare")
    whole = module.simulate
    played: list[int] = []

    def cut_off(*args: Any, **more: Any) -> ha.Run:
        played.append(1)
        run: ha.Run = whole(*args, **more)
        return run if len(played) <= 7 else run.between(0.0, "1h")

    monkeypatch.setattr(module, "simulate", cut_off)
    comparison = ha.compare(cluster("12m"), cluster("6m"), of=downtime, over="3h", runs=9, seed=4)
    assert comparison.runs == 3 and "interrupted after 3 of 9 runs" in comparison.warnings


def test_an_interrupted_executor_gives_the_first_runs_only() -> None:
    """Later runs may be finished too; to keep them would prefer those that are fast."""

    class Uneven(Executor):
        def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if args[1] == 3:
                future.set_exception(KeyboardInterrupt())
            else:
                future.set_result(fn(*args, **more))
            return future

    models = cluster("12m"), cluster("6m")
    comparison = ha.compare(*models, of=downtime, over="3h", runs=9, seed=4, executor=Uneven())
    assert comparison.runs == 3
    assert np.array_equal(comparison.values, ha.compare(*models, of=downtime, over="3h", runs=3, seed=4).values)


# ------------------------------------------------------------------------------------------- what is shown


def test_text_frame_and_data() -> None:
    of = {"downtime": downtime, "fell": fell}
    models = cluster("12m", "slow"), cluster("6m", "<fast>")
    comparison = ha.compare(*models, of=of, over="90m", runs=30, seed=6)
    lines = str(comparison).splitlines()
    assert lines[0] == "downtime [compare, 30 runs of 1.5 h, seed 6, in pairs]"
    assert lines[1].startswith("  slow: ") and lines[2].startswith("  <fast>: ") and "; difference -" in lines[2]
    frame = comparison.to_frame()
    assert list(frame.index.names) == ["measure", "model"] and frame.shape == (4, 13)
    row = frame.loc[("downtime", "<fast>")]
    assert row["difference"] == comparison.difference("<fast>").mean.value
    assert row["lower"] + row["equal"] + row["higher"] == pytest.approx(1.0)
    assert math.isnan(frame.loc[("fell", "slow"), "difference"])
    page = comparison._repr_html_()
    assert "&lt;fast&gt;" in page and "<fast>" not in page and page.count("<table>") == 2
    plain = json.loads(json.dumps(comparison.to_json()))
    assert plain["measures"]["fell"]["differences"]["<fast>"]["mean"]["value"] == row_of(comparison, "fell")
    with pytest.raises(AttributeError):
        comparison.seed = 1  # type: ignore[misc]


def row_of(comparison: Comparison, measure: str) -> float:
    first, second = comparison.samples[measure]
    return float((second - first).mean())


def test_a_seed_that_was_drawn_is_told() -> None:
    comparison = ha.compare(cluster("12m"), cluster("6m"), of=downtime, over="1h", runs=2)
    again = ha.compare(cluster("12m"), cluster("6m"), of=downtime, over="1h", runs=2, seed=comparison.seed)
    assert np.array_equal(again.values, comparison.values)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("models", "more", "said"),
    [
        ([cluster()], {}, "models: got 1; compare takes two models or more"),
        ([], {}, "models: got 0"),
        ([cluster(), 3], {}, r"models\[1\]: got 3; compare takes Clusters and Scenarios"),
        ([{"a": cluster()}], {}, "models: got 1"),
        ([{"a": cluster(), "b": cluster("1m")}], {"names": ["a", "b"]}, "names: got .*has their names already"),
        ([cluster(), cluster()], {"names": ["a"]}, "names: got .*2 models have as many names"),
        ([cluster(), cluster()], {"names": ["a", "a"]}, "names: got .*different ones"),
        ([cluster(), cluster()], {"names": "ab"}, "names: got 'ab'; give a list of names"),
        ([cluster(), cluster()], {"of": "failed"}, "of: got 'failed'; give a function of a Run"),
        ([cluster(), cluster()], {"of": {"a": 1}}, "of: got {'a': 1}"),
        ([cluster(), cluster()], {"over": "20"}, "over: got '20'"),
        ([cluster(), cluster()], {"over": "0s"}, "over: got '0s'; a run lasts longer"),
        ([cluster(), cluster()], {"runs": 1}, "runs: got 1; the number of runs is a whole number from 2"),
        ([cluster(), cluster()], {"runs": 2.0}, "runs: got 2.0"),
        ([cluster(), cluster()], {"seed": -1}, "seed: got -1"),
        ([cluster(), cluster()], {"level": 95}, "level: got 95"),
        ([cluster(), cluster()], {"start": "stead"}, "start: got 'stead'.*did you mean 'steady'"),
        ([cluster(), cluster()], {"executor": 2}, "executor: got 2"),
        ([cluster(), cluster()], {"progress": 2}, "progress: got 2"),
        ([cluster(), cluster()], {"of": no_number}, "of: got nan from no_number in run 0 of web, seed"),
        ([cluster(), cluster()], {"of": lambda run: run.services}, "of: got .* from value in run 0 of web, seed"),
        ([cluster(), cluster()], {"of": ha.failed_share}, "the run played no requests.*in run 0 of web, seed"),
    ],
)
def test_mistakes_are_named(models: list[Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        ha.compare(*models, **{"of": downtime, "over": "10h", "runs": 4, "seed": 1, **more})


def test_a_run_without_a_request_to_judge_is_named() -> None:
    quiet = serving().during(ha.Load(rate=0.001))
    with pytest.raises(ha.ModelError, match=r"no request to judge.*failed_share in run 0 of shop, seed"):
        ha.compare(quiet, quiet, over="1s", runs=3, seed=1)


def test_an_error_in_the_function_tells_its_run() -> None:
    def wrong(run: ha.Run) -> float:
        return {}[run]  # type: ignore[no-any-return, index]

    with pytest.raises(KeyError) as caught:
        ha.compare(cluster(), cluster(), of=wrong, over="1h", runs=2, seed=1)
    assert "wrong in run 0 of web, seed" in caught.value.__notes__[0]


def test_a_function_that_stays_in_its_process_is_named() -> None:
    with ProcessPoolExecutor(max_workers=1) as executor, pytest.raises(ha.ModelError, match="of: value cannot be sent"):
        ha.compare(cluster(), cluster(), of=lambda run: 0.0, over="1h", runs=2, seed=1, executor=executor)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    comparison = study(cluster("12m", "slow"), cluster("6m", "fast"), of=downtime, over="1h", runs=2, seed=1)
    for call, said in (
        (lambda: comparison.mean("fasd"), "model: got 'fasd'.*did you mean 'fast'"),
        (lambda: comparison.difference("slow", "sluw"), "did you mean 'slow'"),
        (lambda: comparison.mean("slow", "downtimes"), "measure: got 'downtimes'.*did you mean 'downtime'"),
    ):
        with pytest.raises(ha.ModelError, match=said):
            call()
