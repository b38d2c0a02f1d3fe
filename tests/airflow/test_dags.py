"""Recipes as DAGs, in a real Airflow: built to the end, killed and retried, refused, and the same bytes as without."""

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner

from curate.cli import cli
from curate.plan import load
from curate.store.place import digest_of, walk
from tests.airflow.conftest import Airflow
from tests.conftest import ROOT
from tests.crash.small import World, small_world, tree
from tests.store.server import BUCKET, remote, s3_server

PIPELINES = ROOT / "pipelines"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Drawn cells whose recipe lies in a folder of recipes of its own."""
    made = small_world(tmp_path / "world", images=60)
    (tmp_path / "recipes").mkdir()
    recipe = yaml.safe_load(made.recipe.read_text())
    recipe["parts"] = {"items": 4}
    made.recipe.write_text(yaml.safe_dump(recipe))
    for source in recipe["sources"]:
        source["card"] = str(made.folder / source["card"])
        source["data"] = str(made.folder / source["data"])
    (tmp_path / "recipes" / "small.yaml").write_text(yaml.safe_dump(recipe))
    return made


def corpus(out: Path) -> dict[str, str]:
    """The files of a corpus; what a check writes beside it tells its own times and belongs to no build."""
    return {name: digest for name, digest in tree(out).items() if not name.startswith("checks/")}


def succeeded(log: str) -> bool:
    """Whether the run that a log tells of came to a good end."""
    return "state=success" in log.rsplit("DagRun Finished", maxsplit=1)[-1]


def test_every_recipe_that_we_ship_is_a_dag(airflow: Airflow, tmp_path: Path) -> None:
    bag = airflow.bag(PIPELINES, tmp_path)
    assert bag["errors"] == {}
    assert bag["warnings"] == {}
    assert set(bag["dags"]) == {path.stem for path in PIPELINES.glob("*.yaml")}
    stages = ("scan", "read", "group", "draft", "verify", "catalog")
    tasks = bag["dags"]["seven-sources"]
    assert set(tasks) == {f"{stage}.{step}" for stage in stages for step in ("plan", "build")} | {"ledger", "check"}
    assert tasks["check"]["after"] == ["ledger"]
    assert tasks["read.build"]["after"] == ["read.plan"]
    assert tasks["read.plan"]["after"] == ["scan.build"]
    assert all(task["retries"] == 3 for task in tasks.values())


def test_only_a_recipe_that_rewrites_asks_a_language_model_and_one_task_at_a_time(
    airflow: Airflow, tmp_path: Path
) -> None:
    bag = airflow.bag(PIPELINES, tmp_path, CURATE_REWRITE_POOL="accelerator")
    rewriting = {name for name, tasks in bag["dags"].items() if "rewrite.build" in tasks}
    assert rewriting == {"seven-sources-rewritten"}
    tasks = bag["dags"]["seven-sources-rewritten"]
    assert (tasks["rewrite.build"]["at_once"], tasks["rewrite.build"]["pool"]) == (1, "accelerator")
    assert (tasks["read.build"]["at_once"], tasks["read.build"]["pool"]) == (None, "default_pool")


def test_a_setting_that_is_missing_or_wrong_is_said_by_its_name(airflow: Airflow, tmp_path: Path) -> None:
    assert "CURATE_OUT" in str(airflow.bag(PIPELINES, tmp_path, CURATE_OUT="")["errors"])
    wrong = airflow.bag(PIPELINES, tmp_path, CURATE_PARTS_PER_TASK="none")
    assert "CURATE_PARTS_PER_TASK is a whole number" in str(wrong["errors"])


def test_a_dag_builds_what_the_command_builds_and_a_second_run_has_nothing_to_do(
    airflow: Airflow, world: World, tmp_path: Path
) -> None:
    first = airflow.test("small", tmp_path / "recipes", tmp_path / "out", CURATE_PARTS_PER_TASK="2")
    assert succeeded(first), first
    assert world.build("local").code == 0
    assert corpus(tmp_path / "out" / "small") == corpus(world.out("local"))
    assert "read cells item: in " in first  # the ledger of a range, in the log of its task
    assert first.count("'--stage', 'read', '--parts'") > 1
    second = airflow.test("small", tmp_path / "recipes", tmp_path / "out")
    assert succeeded(second), second
    assert "read: 0 of " in second
    assert "'--parts'" not in second
    assert corpus(tmp_path / "out" / "small") == corpus(world.out("local"))


def test_a_task_whose_process_is_killed_in_the_middle_is_retried_to_the_same_bytes(
    airflow: Airflow, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with (
        (tmp_path / "log").open("w") as told,
        airflow.start(["airflow", "dags", "test", "small"], told, tmp_path / "recipes", out) as process,
    ):
        killed = _kill(process.pid, out / "small")
    log = (tmp_path / "log").read_text()
    assert killed, log
    assert "curate ended by SIGKILL" in log
    assert log.count("'--stage', 'read', '--parts'") == 2
    assert succeeded(log), log
    assert CliRunner().invoke(cli, ["gc", str(out / "small")]).exit_code == 0  # what the kill left half-written
    assert world.build("local").code == 0
    assert corpus(out / "small") == corpus(world.out("local"))


def _kill(parent: int, out: Path) -> bool:
    """SIGKILL for the process that builds `read`, once one of its parts is committed."""
    began = time.monotonic()
    while time.monotonic() - began < 300 and psutil.pid_exists(parent):
        if any((out / "parts" / "read").rglob("*.json")):
            for process in psutil.Process(parent).children(recursive=True):
                try:
                    words = process.cmdline()
                except psutil.Error:
                    continue
                if "--parts" in words and "read" in words:
                    os.kill(process.pid, signal.SIGKILL)
                    return True
            return False
        time.sleep(0.005)
    return False


def test_what_a_person_must_mend_is_not_tried_again(airflow: Airflow, world: World, tmp_path: Path) -> None:
    shutil.rmtree(world.data)
    log = airflow.test("small", tmp_path / "recipes", tmp_path / "out")
    assert not succeeded(log)
    assert "AirflowFailException" in log
    assert log.count("calling curate") == 1


def test_a_recipe_that_cannot_be_read_hides_no_other(airflow: Airflow, world: World, tmp_path: Path) -> None:
    (tmp_path / "recipes" / "broken.yaml").write_text("sources: [")
    bag = airflow.bag(tmp_path / "recipes", tmp_path)
    assert bag["errors"] == {}
    assert set(bag["dags"]) == {"broken", "small"}
    log = airflow.test("broken", tmp_path / "recipes", tmp_path / "out")
    assert "AirflowFailException" in log
    assert "broken.yaml" in log


def test_keys_reach_curate_but_no_log(airflow: Airflow, world: World, tmp_path: Path) -> None:
    """A key of the project changes the subject tokens: the build with it is that of the command with it."""
    key = tmp_path / "project.key"
    key.write_text("5f" * 32)
    key.chmod(0o600)
    log = airflow.test("small", tmp_path / "recipes", tmp_path / "out", CURATE_KEY_FILE=str(key))
    assert succeeded(log), log
    assert "public demonstration key" not in log
    assert "5f5f" not in log
    assert str(key) not in log


def test_a_dag_builds_the_same_into_an_object_store_that_refuses_now_and_then(
    airflow: Airflow, world: World, tmp_path: Path
) -> None:
    count = itertools.count(1)
    with s3_server() as store, store.failing(lambda _: 503 if next(count) % 40 == 0 else None):
        settings = {
            "CURATE_OUT": f"s3://{BUCKET}/dags",
            "CURATE_PARTS_PER_TASK": "8",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        log = airflow.test("small", tmp_path / "recipes", tmp_path, **settings)
        assert succeeded(log), log
        out = remote("dags/small")
        objects = {one.name: digest_of(out / one.name)[0] for one in walk(out)}
    assert world.build("local").code == 0
    built = {name: digest for name, digest in objects.items() if not name.startswith("checks/")}
    assert built == corpus(world.out("local"))


def test_the_seven_sources_are_the_same_from_airflow_and_from_the_command(
    airflow: Airflow, test_data: Callable[[str], Path], data_root: Path, tmp_path: Path
) -> None:
    shipped = PIPELINES / "seven-sources.yaml"
    for source in load(shipped, data_root).sources:
        test_data(source.id)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    shutil.copy(shipped, recipes)
    log = airflow.test("seven-sources", recipes, tmp_path / "out", data_root)
    assert succeeded(log), log
    here = tmp_path / "local"
    answer = CliRunner().invoke(cli, ["build", str(shipped), "--out", str(here), "--data", str(data_root)])
    assert answer.exit_code == 0, answer.output
    assert corpus(tmp_path / "out" / "seven-sources") == corpus(here)
