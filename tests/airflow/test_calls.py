"""What a DAG calls and what it makes of the end, against the command line itself; no Airflow is needed here."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.ranges import ranges_of
from curate.stages import STAGE_NAMES
from tests.conftest import ROOT
from tests.crash.small import World, small_world
from tests.test_cli import curate, parsed

sys.path.append(str(ROOT / "dags"))
from curate_airflow import calls
from curate_airflow.settings import Settings, settings_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    return small_world(tmp_path)


def test_the_stages_are_those_of_the_command() -> None:
    assert calls.STAGES == STAGE_NAMES


def test_the_ranges_of_a_stage_shrink_as_it_is_built(world: World) -> None:
    assert curate("plan", world.recipe, "--out", world.out(), "--stage", "read", "--ranges", "1").code == 1
    assert world.build("out", "--stage", "scan").code == 0
    asked = ("plan", world.recipe, "--out", world.out(), "--stage", "read", "--ranges", "1")
    before = parsed(*asked)
    assert before["wanted"] == before["todo"] > 1
    assert before["ranges"][0] == "0:1"
    assert curate(*asked).stdout.split() == before["ranges"]
    built = parsed(
        "build", world.recipe, "--out", world.out(), "--stage", "read", "--parts", before["ranges"][0], "-j", "1"
    )
    assert built["built"] == {"read": 1}
    assert {line["stage"] for line in built["ledger"]} == {"read"}  # of these parts, not of all that is there
    assert parsed(*asked)["todo"] == before["todo"] - 1
    assert parsed(*asked)["ranges"] == before["ranges"][1:]


def test_a_range_holds_at_most_so_many_parts_to_do() -> None:
    assert ranges_of([], 3) == ()
    assert ranges_of([0, 1, 2, 3], 3) == ((0, 3), (3, 4))
    assert ranges_of([2, 7, 9], 2) == ((2, 8), (9, 10))


def test_ranges_and_stage_are_asked_together(world: World) -> None:
    assert curate("plan", world.recipe, "--out", world.out(), "--ranges", "2").code == 2
    assert curate("plan", world.recipe, "--out", world.out(), "--stage", "read").code == 2
    assert curate("plan", world.recipe, "--out", world.out(), "--stage", "painting", "--ranges", "2").code == 2


def test_neighbouring_ranges_are_taken_together_where_there_are_too_many() -> None:
    assert calls.merged(["0:2", "2:4", "7:9"], 5) == ["0:2", "2:4", "7:9"]
    assert calls.merged(["0:2", "2:4", "7:9"], 2) == ["0:4", "7:9"]
    assert calls.merged(["0:2", "2:4", "7:9"], 1) == ["0:9"]
    assert calls.merged([], 1) == []


@pytest.mark.parametrize(
    ("code", "document", "verdict"),
    [
        (0, {"ledger": []}, "done"),
        (0, None, "again"),  # it says that it is done, and its answer was lost
        (1, {"error": "StoreError", "message": "", "retryable": True}, "again"),
        (1, {"error": "DataError", "message": "", "retryable": False}, "final"),
        (1, {"ledger": [], "shortfalls": [{}]}, "final"),
        (1, None, "again"),
        (2, {"error": "UsageError", "retryable": False}, "final"),
        (3, {"error": "GateError", "retryable": False}, "final"),
        (130, None, "again"),
        (137, None, "again"),
        (-9, None, "again"),
    ],
)
def test_only_what_may_pass_is_tried_again(code: int, document: dict[str, object] | None, verdict: str) -> None:
    assert calls.verdict_of(code, document) == verdict


def test_an_error_says_whether_trying_again_may_help(world: World) -> None:
    wrong = parsed("build", world.recipe, "--out", world.out(), "--stage", "painting")
    assert (wrong["exit_code"], wrong["retryable"]) == (2, False)
    assert parsed("build", world.recipe, "--out", world.out(), "--stage", "read")["retryable"] is True


def test_credentials_are_inherited_and_airflows_own_are_not() -> None:
    seen = {"CURATE_KEY_FILE": "k", "AWS_PROFILE": "p", "AIRFLOW__CORE__FERNET_KEY": "f", "PYTHONPATH": "x"}
    assert calls.environment_of(seen) == {"CURATE_KEY_FILE": "k", "AWS_PROFILE": "p"}


def test_a_plan_is_asked_with_what_changes_the_parts() -> None:
    settings = settings_of(
        {"CURATE_RECIPES": "r", "CURATE_OUT": "s3://b/", "CURATE_BUILD_OPTIONS": "-j 2 --limit 5 --completer=replay"}
    ).of("x")
    assert settings.out == "s3://b/x"
    asked = calls.plan_call(settings, Path("r/x.yaml"), "read", 4)
    assert asked == [
        *("curate", "plan", "r/x.yaml", "--out", "s3://b/x", "--json"),
        *("--limit", "5", "--completer=replay", "--stage", "read", "--ranges", "4"),
    ]
    assert "--offline" in calls.finish_call(Settings(Path("r"), "o"), Path("r/x.yaml"))
