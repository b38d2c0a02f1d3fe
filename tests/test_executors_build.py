"""One recipe gives the same bytes by every executor, however many workers there are and whatever becomes of them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from curate import build as building
from curate.build import build as build_here
from curate.errors import StoreError
from curate.execute import Executing
from curate.plan import load
from tests.conftest import ROOT
from tests.crash.small import World, command, curate, run_apart, small_world, tree
from tests.crash.test_kills import Build, begun
from tests.execute.clusters import dask_cluster

CLUSTERS = ("dask", "ray")

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source."""
    return small_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def calm(world: World) -> dict[str, str]:
    """The tree of a build by the embedded executor that nobody disturbed."""
    assert world.build("calm").code == 0
    return tree(world.out("calm"))


class ClusterBuild(Build):
    """A build on a cluster of this machine, in a session of its own."""

    def __init__(self, world: World, out: Path, executor: str) -> None:
        self.process = subprocess.Popen(
            command("build", world.recipe, "--out", out, "-j", "2", "--executor", executor),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )

    def hosts(self) -> list[int]:
        """The workers themselves: those processes that hold the children."""
        return self._whose_command(lambda said: b"multiprocessing.spawn" in said or said.startswith(b"ray::_Worker"))

    def serving(self) -> list[int]:
        """Workers and children; Ray's agents, which do nothing, outlive a driver that is killed by a minute or two."""
        return [*self.hosts(), *self._whose_command(lambda said: b"curate.execute.inside" in said)]

    def _whose_command(self, fits: Callable[[bytes], bool]) -> list[int]:
        found = []
        for pid in self.workers():
            with suppress(OSError):
                if fits((Path("/proc") / str(pid) / "cmdline").read_bytes()):
                    found.append(pid)
        return found


def finish(world: World, out: Path, calm: dict[str, str]) -> None:
    """Another run ends in the bytes of a build that nobody disturbed."""
    assert curate("build", world.recipe, "--out", out).code == 0
    assert curate("gc", out).code == 0
    assert tree(out) == calm


@pytest.mark.parametrize("executor", CLUSTERS)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_trees_are_the_same_by_every_executor_and_number_of_workers(
    world: World, calm: dict[str, str], executor: str, workers: int
) -> None:
    name = f"{executor}-{workers}"
    said = world.build(name, "--executor", executor, "-j", str(workers))
    assert said.code == 0, said.text
    assert tree(world.out(name)) == calm


@pytest.mark.parametrize("executor", CLUSTERS)
def test_the_terminal_shows_what_it_shows_without_a_cluster(world: World, executor: str) -> None:
    said = {
        name: run_apart("build", world.recipe, "--out", world.out(f"said-{name}"), "--executor", name, "--json")
        for name in ("local", executor)
    }
    assert said[executor].code == 0, said[executor].text
    assert said[executor].stderr == said["local"].stderr
    assert said[executor].stdout.count("\n") == said["local"].stdout.count("\n")


@pytest.mark.parametrize("executor", CLUSTERS)
@pytest.mark.parametrize("kills", [1, 3])
def test_workers_that_are_killed_in_the_middle_cost_nothing(
    world: World, calm: dict[str, str], executor: str, kills: int
) -> None:
    out = world.out(f"robbed-{executor}-{kills}")
    build = ClusterBuild(world, out, executor)
    killed = 0
    while killed < kills and build.process.poll() is None:
        begun(out)
        time.sleep(0.3)
        for pid in build.hosts()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    code, said = build.end()
    assert killed, "the build was over before a worker could be killed"
    assert code == 0, said
    assert "Traceback" not in said, said
    assert curate("gc", out).code == 0
    assert tree(out) == calm


@pytest.mark.parametrize("executor", CLUSTERS)
@pytest.mark.parametrize("delay_s", [1.0, 5.0])
def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(
    world: World, calm: dict[str, str], executor: str, delay_s: float
) -> None:
    out = world.out(f"interrupted-{executor}-{delay_s}")
    build = ClusterBuild(world, out, executor)
    begun(out)
    time.sleep(delay_s)
    os.killpg(build.process.pid, signal.SIGINT)
    code, said = build.end()
    assert code in (130, 0), said  # 0: it was done before the signal came
    assert "Traceback" not in said, said
    assert code == 0 or "run the same command again" in said
    assert build.workers_end()
    finish(world, out, calm)


@pytest.mark.parametrize("executor", CLUSTERS)
def test_a_driver_that_is_killed_takes_its_cluster_with_it(world: World, calm: dict[str, str], executor: str) -> None:
    out = world.out(f"killed-{executor}")
    build = ClusterBuild(world, out, executor)
    begun(out)
    until = time.monotonic() + 60
    while not build.hosts() and time.monotonic() < until:
        time.sleep(0.05)
    build.process.kill()
    build.process.wait()
    until = time.monotonic() + 20
    while (left := build.serving()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
    assert build.process.stdout is not None
    build.process.stdout.close()
    finish(world, out, calm)


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster whose workers have another project key."""
    folder = tmp_path_factory.mktemp("cluster")
    with dask_cluster(folder, 1, {"CURATE_KEY": "another key for another project"}) as address:
        yield address


def test_a_worker_with_another_project_key_builds_nothing(world: World, other_key: str) -> None:
    said = world.build("other-key", "--executor", "dask", "--address", other_key)
    assert said.code == 2
    assert "a worker has the project key with the fingerprint" in said.text
    assert "CURATE_KEY_FILE" in said.text
    assert "another key" not in said.text.replace("another key for", "")
    assert not list(world.out("other-key").glob("parts/**/*.json"))


def test_an_output_below_the_working_folder_is_the_same_for_workers_elsewhere(
    world: World, calm: dict[str, str], tmp_path: Path
) -> None:
    with dask_cluster(tmp_path, 2) as address:
        said = run_apart(
            "build", world.recipe, "--out", "here", "--executor", "dask", "--address", address, folder=world.folder
        )
    assert said.code == 0, said.text
    assert tree(world.out("here")) == calm


def test_a_worker_that_writes_where_the_driver_does_not_see_it_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        """Says that it has built what it was asked for."""

        workers = 1

        def __init__(self, workers: int | None, address: str | None) -> None: ...

        def __enter__(self) -> "Elsewhere":
            return self

        def __exit__(self, *told: object) -> None: ...

        def run(self, work: object, jobs: Any, beat: object) -> Iterator[tuple[Any, Any]]:
            return ((job, {}) for job in jobs)

    monkeypatch.setattr(building, "_SEEN_WITHIN_S", 0.0)
    monkeypatch.setattr(Executing, "open", lambda self: Elsewhere(None, None))
    with pytest.raises(StoreError, match=r"a worker has built part scan/cells, but it is not below .*elsewhere"):
        build_here(world.recipe, world.out("elsewhere"))


SEVEN = ROOT / "pipelines" / "seven-sources.yaml"


def test_the_seven_sources_are_the_same_by_every_executor(
    test_data: Callable[[str], Path], data_root: Path, tmp_path: Path
) -> None:
    for source in load(SEVEN, data_root).sources:
        test_data(source.id)
    arguments = (sys.executable, "-m", "tests.crash.run", "build", SEVEN, "--data", data_root)
    trees = {}
    for executor in ("local", *CLUSTERS):
        out = tmp_path / executor
        command_ = [*map(str, arguments), "--out", str(out), "--executor", executor, "-j", "2"]
        done = subprocess.run(command_, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        trees[executor] = tree(out)
        shutil.rmtree(out)
    assert trees["local"], "nothing was built"
    assert trees["dask"] == trees["local"]
    assert trees["ray"] == trees["local"]
