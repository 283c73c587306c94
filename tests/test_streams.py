"""Named streams: the name and the seed decide, nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hasim.errors import ModelError
from hasim.streams import SEED_BITS, Streams, seed_or_fresh


def test_adding_a_thing_changes_nobody_elses_luck() -> None:
    one, more = Streams(7), Streams(7)
    more["new/life"].random(100)
    assert one["cp-1/life"].random(5).tolist() == more["cp-1/life"].random(5).tolist()


def test_a_stream_goes_on_where_it_stopped() -> None:
    streams, again = Streams(7), Streams(7)
    parts = [*streams["a"].random(3), *streams["a"].random(2)]
    assert parts == again["a"].random(5).tolist()


@pytest.mark.parametrize(
    ("one", "other"), [((1, 0, "a"), (2, 0, "a")), ((1, 0, "a"), (1, 1, "a")), ((1, 0, "a"), (1, 0, "b"))]
)
def test_seed_block_and_name_each_make_another_stream(one: tuple[int, int, str], other: tuple[int, int, str]) -> None:
    draws = [Streams(seed, block)[name].random(4).tolist() for seed, block, name in (one, other)]
    assert draws[0] != draws[1]


def test_another_process_draws_the_same() -> None:
    code = "from hasim.streams import Streams; print(Streams(11, 3)['cp-1/life'].random())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) == Streams(11, 3)["cp-1/life"].random()


def test_a_fresh_seed_survives_json() -> None:
    seeds = {seed_or_fresh(None) for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 1 << SEED_BITS for seed in seeds)


@pytest.mark.parametrize("bad", [-1, 1.5, "7", True])
def test_a_seed_is_a_whole_number(bad: object) -> None:
    with pytest.raises(ModelError, match="whole number"):
        seed_or_fresh(bad)  # type: ignore[arg-type]
