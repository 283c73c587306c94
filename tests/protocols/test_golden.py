"""The golden stories of Raft come out as they were recorded; `pytest --rewrite` records them anew: read the diff.

Most retell the scenarios of etcd's library (etcd-io/raft, testdata and raft_test.go), with this member's own words.
Three of those have no story, for the member does not have what they are about: to forget a leader (`forget_leader`;
etcd does not use it), to switch off the check of changes (`disable_validation`), and to vote by settings that differ
from member to member (`PreVoteMigration`).
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
from story import Story, retold

STORIES = sorted((Path(__file__).parents[1] / "golden" / "raft").glob("*.txt"))


def diff(recorded: str, told: str) -> str:
    lines = difflib.unified_diff(recorded.splitlines(), told.splitlines(), "recorded", "told now", lineterm="", n=6)
    return "\n".join(lines)


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_comes_out_as_recorded(path: Path, request: pytest.FixtureRequest) -> None:
    recorded = path.read_text(encoding="utf-8")
    told = retold(recorded)
    if request.config.getoption("--rewrite"):
        path.write_text(told, encoding="utf-8")
    elif told != recorded:
        pytest.fail(f"{path.name}, lines that begin with - are recorded and did not come:\n{diff(recorded, told)}")


def test_there_are_stories() -> None:
    assert len(STORIES) >= 30


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_a_story_begins_by_saying_what_it_shows(path: Path) -> None:
    assert re.match(r"# \w.*[.:]\n", path.read_text(encoding="utf-8")) is not None


def test_every_command_of_the_stories_is_used_in_one() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in STORIES)
    commands = [name.removeprefix("do_") for name in vars(Story) if name.startswith("do_")]
    assert not [each for each in commands if not re.search(rf"^(quietly )?{each}( |$)", text, re.MULTILINE)]


def test_another_outcome_than_the_recorded_one_is_noticed() -> None:
    story = "# One is enough.\ncluster n1\ncampaign n1\n----\nn1 dawdles\n"
    assert "n1 dawdles" not in retold(story)
    assert "n1 leader term=1" in retold(story)
