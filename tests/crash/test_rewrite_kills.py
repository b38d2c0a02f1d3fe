"""A rewriting that is killed at any moment pays at most for what was in flight, and ends in the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.store.answers import AnswerStore
from curate.store.part import Sidecars
from curate.testing.scripted import Reply, ScriptedServer, brief_of, well
from tests.conftest import ROOT
from tests.crash.small import KILLS, World, command, curate, run_apart, small_world, tree
from tests.crash.test_kills import Build
from tests.stages.rewriting import built_here, is_repair

ROUNDS = 20 * KILLS
CONCURRENCY = 4
IN_FLIGHT = 3 * CONCURRENCY
"""Requests at the server, and as many again on either side of it: what a kill may cost at most."""

pytestmark = pytest.mark.crash


def model(body: dict[str, Any]) -> Reply:
    """A model that takes its time, and lies about leukocytes until it is told."""
    if "leukocyte" in str(brief_of(body)["answer"]) and not is_repair(body):
        said = msgspec.json.encode({"question": "What is it?", "answer": "There is a pneumothorax."}).decode()
        return Reply(text=said, delay_s=0.02)
    return Reply(text=well(body), delay_s=0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(model) as made:
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: ScriptedServer) -> World:
    """The small source with a rewriter."""
    made = small_world(tmp_path_factory.mktemp("world"))
    completer = {"name": "openai", "url": server.url, "concurrency": CONCURRENCY, "retries": 1}
    made.write_recipe(rewrite={"model": "scripted", "completer": completer})
    return made


@pytest.fixture(scope="module")
def calm(world: World) -> dict[str, str]:
    """The tree of a build that nobody disturbed."""
    with built_here():
        assert world.build("calm").code == 0
    return tree(world.out("calm"))


@pytest.fixture(scope="module")
def drafted(world: World) -> Path:
    """An output in which everything is done but what needs the model."""
    with built_here():
        for stage in ("scan", "read", "group", "draft"):
            assert world.build("drafted", "--stage", stage).code == 0
    return world.out("drafted")


def copy_of(drafted: Path, world: World, name: str) -> Path:
    shutil.copytree(drafted, world.out(name))
    return world.out(name)


def store_of(out: Path) -> Path:
    return out.parent / f"{out.name}.answers"


def rewriting(world: World, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("build", world.recipe, "--out", out, "--stage", "rewrite"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def finish(world: World, out: Path) -> None:
    with built_here():
        said = curate("build", world.recipe, "--out", out)
    assert said.code == 0, said.text
    assert curate("gc", out).code == 0


def test_a_rewriting_killed_again_and_again_pays_for_what_was_in_flight_alone(
    world: World, server: ScriptedServer, drafted: Path, calm: dict[str, str]
) -> None:
    chance = random.Random("kills")
    needed = len(AnswerStore(store_of(world.out("calm"))))
    kills = finished = 0
    while kills < ROUNDS:
        out = copy_of(drafted, world, f"killed-{finished}")
        paid = server.calls
        while kills < ROUNDS:
            wanted = server.calls + chance.randrange(1, 12)
            process = rewriting(world, out)
            until = time.monotonic() + 60
            while server.calls < wanted and process.poll() is None and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.02))
            os.killpg(process.pid, signal.SIGKILL) if kills % 2 and process.poll() is None else process.kill()
            said, _ = process.communicate(timeout=60)
            assert "Traceback" not in said, said
            kills += 1
            settle(server)
            store = AnswerStore(store_of(out))
            assert store.damaged == 0
            assert server.calls - paid - len(store) <= kills * IN_FLIGHT
            if process.returncode == 0 or Sidecars(out).listed("rewrite"):
                break
        finish(world, out)
        assert server.calls - paid <= needed + kills * IN_FLIGHT
        assert tree(out) == calm
        finished += 1
    assert finished >= 1


def settle(server: ScriptedServer) -> None:
    """Until orphans have ended: no call comes in any more."""
    calls = -1
    while calls != server.calls:
        calls = server.calls
        time.sleep(0.3)


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3])
def test_an_engine_worker_that_is_killed_is_replaced_and_the_build_ends_well(
    world: World, server: ScriptedServer, drafted: Path, calm: dict[str, str], delay_s: float
) -> None:
    out = copy_of(drafted, world, f"robbed-{delay_s}")
    before = server.calls
    build = Build(world, out)
    while server.calls == before and build.process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay_s)
    for pid in build.workers():
        os.kill(pid, signal.SIGKILL)
    code, said = build.end()
    assert code == 0, said
    assert curate("gc", out).code == 0
    assert tree(out) == calm
    assert server.calls - before <= len(AnswerStore(store_of(out))) + IN_FLIGHT


def test_ctrl_c_while_a_model_is_asked_ends_with_130_and_keeps_what_was_answered(
    world: World, server: ScriptedServer, drafted: Path, calm: dict[str, str]
) -> None:
    out = copy_of(drafted, world, "interrupted")
    before = server.calls
    build = Build(world, out)
    while server.calls < before + 15 and build.process.poll() is None:
        time.sleep(0.005)
    os.killpg(build.process.pid, signal.SIGINT)
    code, said = build.end()
    assert code in (130, 0), said
    assert "Traceback" not in said, said
    assert build.workers_end()
    settle(server)
    assert len(AnswerStore(store_of(out))) >= server.calls - before - IN_FLIGHT
    finish(world, out)
    assert tree(out) == calm


def test_two_builds_on_one_store_at_once_end_in_the_same_bytes(
    world: World, server: ScriptedServer, drafted: Path, calm: dict[str, str]
) -> None:
    shared = world.folder / "shared.answers"
    outs = [copy_of(drafted, world, name) for name in ("one", "other")]
    running = [
        subprocess.Popen(
            command("build", world.recipe, "--out", out, "--answers", shared),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        for out in outs
    ]
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    lines = (shared / "answers.jsonl").read_bytes().splitlines()
    ids = [msgspec.json.decode(line)["answer"]["request_id"] for line in lines]
    assert len(ids) == len(set(ids))
    for out in outs:
        assert curate("gc", out).code == 0
        assert tree(out) == calm


def test_a_disk_that_takes_no_more_answers_is_one_line_and_the_next_run_goes_on(
    world: World, server: ScriptedServer, drafted: Path, calm: dict[str, str]
) -> None:
    """A limit on the size of files stands for the full disk: both are an `OSError` on write."""
    out = copy_of(drafted, world, "full")
    arguments = " ".join(f"'{part}'" for part in command("build", world.recipe, "--out", out, "--stage", "rewrite"))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 12 && exec {arguments}"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("curate: cannot use the answer store")
    assert "File too large; free space" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    kept = len(AnswerStore(store_of(out)))
    assert kept > 10
    before = server.calls
    finish(world, out)
    assert server.calls - before == len(AnswerStore(store_of(out))) - kept
    assert tree(out) == calm


def test_a_store_that_can_be_nowhere_is_one_line(world: World, drafted: Path) -> None:
    out = copy_of(drafted, world, "nowhere")
    (world.folder / "odd" / "answers.jsonl").mkdir(parents=True)
    said = run_apart("build", world.recipe, "--out", out, "--answers", world.folder / "odd")
    assert said.code == 1
    assert "cannot use the answer store" in said.stderr
    assert "name another --answers" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert not Sidecars(out).listed("rewrite")
