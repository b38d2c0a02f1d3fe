"""A build that is killed, stopped or robbed of its workers at any moment ends, run again, in the same bytes."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.store.part import Sidecars
from tests.conftest import ROOT
from tests.crash.small import KILLS, World, command, curate, tree

pytestmark = pytest.mark.crash

ROUNDS = 16 * KILLS
LONGEST_S = 3.0
"""Somewhat longer than an undisturbed build takes on an idle machine."""


class Build:
    """A build in a session of its own, so that its workers can be counted."""

    def __init__(self, world: World, out: Path) -> None:
        self.process = subprocess.Popen(
            command("build", world.recipe, "--out", out, "-j", "2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )

    def workers(self) -> list[int]:
        """Processes of the build but the driver itself."""
        return [pid for pid in _in_session(self.process.pid) if pid != self.process.pid]

    def end(self) -> tuple[int, str]:
        """Its exit code and all that it said."""
        said, _ = self.process.communicate(timeout=120)
        return self.process.returncode, said

    def workers_end(self) -> bool:
        """True where every worker is gone within seconds."""
        until = time.monotonic() + 10
        while self.workers():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


def _in_session(session: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            yield int(folder.name)


def begun(out: Path) -> None:
    """Wait until a build has claimed its folder."""
    until = time.monotonic() + 60
    while not (out / "corpus.json").exists() and time.monotonic() < until:
        time.sleep(0.02)


def assert_whole(out: Path) -> None:
    """Whatever a sidecar names is there in full."""
    for sidecar in Sidecars(out).listed():
        for file in sidecar.files:
            assert (out / file.name).stat().st_size == file.bytes


def test_a_build_killed_again_and_again_ends_in_the_same_bytes(world: World, calm: dict[str, str]) -> None:
    chance = random.Random("kills")
    finished = 0
    for number in range(ROUNDS):
        out = world.out(f"killed-{finished}")
        build = Build(world, out)
        time.sleep(chance.uniform(0.2, LONGEST_S))
        build.process.kill()
        code, said = build.end()
        assert build.workers_end(), f"workers outlived the build that was killed in round {number}"
        assert "Traceback" not in said, said
        assert_whole(out)
        finished += code == 0
    for number in range(finished + 1):
        out = world.out(f"killed-{number}")
        assert curate("build", world.recipe, "--out", out).code == 0
        assert curate("gc", out).code == 0
        assert tree(out) == calm


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 0.7, 1.2])
def test_a_worker_that_is_killed_is_replaced_and_costs_nothing(
    world: World, calm: dict[str, str], delay_s: float
) -> None:
    out = world.out(f"robbed-{delay_s}")
    build = Build(world, out)
    begun(out)
    while not build.workers() and build.process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay_s)
    for pid in build.workers()[:1]:
        os.kill(pid, signal.SIGKILL)
    code, said = build.end()
    assert code == 0, said
    assert "Traceback" not in said, said
    assert curate("gc", out).code == 0
    assert tree(out) == calm


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 1.0])
def test_ctrl_c_ends_at_once_with_130_and_the_next_run_goes_on(
    world: World, calm: dict[str, str], delay_s: float
) -> None:
    out = world.out(f"interrupted-{delay_s}")
    build = Build(world, out)
    begun(out)
    time.sleep(delay_s)
    asked = time.monotonic()
    os.killpg(build.process.pid, signal.SIGINT)
    code, said = build.end()
    assert time.monotonic() - asked < 10
    assert code in (130, 0), said  # 0: it was done before the signal came
    assert "Traceback" not in said, said
    assert code == 0 or "run the same command again" in said
    assert build.workers_end()
    assert curate("build", world.recipe, "--out", out).code == 0
    assert curate("gc", out).code == 0
    assert tree(out) == calm


def test_two_builds_of_one_folder_at_once_end_in_the_same_bytes(world: World, calm: dict[str, str]) -> None:
    out = world.out("shared")
    builds = [Build(world, out), Build(world, out)]
    for build in builds:
        code, said = build.end()
        assert code == 0, said
    assert curate("gc", out).code == 0
    assert tree(out) == calm


def test_status_looks_on_while_a_build_runs(world: World) -> None:
    out = world.out("watched")
    build = Build(world, out)
    begun(out)
    seen = []
    while build.process.poll() is None:
        said = curate("status", out)
        assert said.code == 0, said.text
        seen.append(said.stdout)
    assert build.end()[0] == 0
    assert "small is not complete" in seen[0]
    assert "small is complete" in curate("status", out).stdout


def test_a_disk_that_takes_no_more_is_one_line_and_the_next_run_goes_on(world: World, calm: dict[str, str]) -> None:
    """A limit on the size of files stands for the full disk: both are an `OSError` on write."""
    out = world.out("full")
    arguments = " ".join(f"'{argument}'" for argument in command("build", world.recipe, "--out", out))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 12 && exec {arguments}"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("curate: cannot write below")
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not [name for name in tree(out) if ".tmp-" in name]
    assert curate("build", world.recipe, "--out", out).code == 0
    assert curate("gc", out).code == 0
    assert tree(out) == calm
