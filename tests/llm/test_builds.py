"""Whole builds whose rewriter is vLLM itself. A model of noise is refused or read; either way the corpus is whole."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.store.answers import AnswerStore
from tests.conftest import ROOT
from tests.crash.small import World, command, curate, small_world, tree
from tests.llm.asking import SMALL

BUILD_S = 400.0


@pytest.fixture(scope="module")
def world(text_folder: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Drawn cells, and a recipe that asks the tiny model."""
    made = small_world(tmp_path_factory.mktemp("rewritten"), images=24)
    completer = {"name": "vllm", **SMALL, "max_in_flight": 16}
    made.write_recipe(rewrite={"model": text_folder, "completer": completer, "max_tokens": 160})
    return made


@pytest.fixture(scope="module")
def built(world: World) -> Path:
    """One build, from the first request to the catalog."""
    said = _run("build", world.recipe, "--out", world.out("calm"))
    assert said.returncode == 0, said.stdout + said.stderr
    return world.out("calm")


def test_the_engine_answers_each_distinct_request_and_its_repair(built: Path) -> None:
    by_attempt = _rows(
        built,
        "SELECT attempt, count(*) AS n, count(DISTINCT request_id) AS distinct_n, min(engine) AS engine, "
        "min(completion_tokens) AS tokens FROM responses GROUP BY 1 ORDER BY 1",
    )
    first, *repairs = by_attempt
    assert first["n"] == first["distinct_n"] > 0
    assert all(row["n"] <= first["n"] for row in repairs)
    assert all(row["engine"].startswith("vllm ") and row["tokens"] > 0 for row in by_attempt)


def test_what_noise_answers_is_refused_and_the_template_stays(built: Path) -> None:
    refused = _rows(built, "SELECT DISTINCT request_id FROM responses WHERE verdict = 'refused' AND attempt = 2")
    kept = _rows(built, "SELECT DISTINCT origin, request_id FROM pairs WHERE request_id IS NOT NULL")
    assert refused
    by_request = {row["request_id"]: row["origin"] for row in kept}
    assert {by_request[row["request_id"]] for row in refused if row["request_id"] in by_request} == {"template"}


def test_a_replay_without_an_engine_gives_the_same_bytes(world: World, built: Path) -> None:
    out = world.out("replayed")
    said = curate("build", world.recipe, "--out", out, "--completer", "replay", "--answers", _answers(built).parent)
    assert said.code == 0, said.text
    assert tree(out) == tree(built)


def test_a_killed_build_asks_again_only_what_was_in_flight(world: World, built: Path) -> None:
    out = world.out("killed")
    store = _answers(out)
    with _building(world, out) as process:
        ends = time.monotonic() + BUILD_S
        while len(_lines(store)) < 10:
            assert process.poll() is None, "the build ended before it could be killed"
            assert time.monotonic() < ends, "no answers came"
            time.sleep(0.05)
    kept = _lines(store)
    said = _run("build", world.recipe, "--out", out)
    assert said.returncode == 0, said.stdout + said.stderr
    after = _lines(store)
    assert after[: len(kept)] == kept, "what was stored is never asked or written again"
    assert len(AnswerStore(store.parent)) == len(after), "no request is answered twice"
    assert _pairs(out) == _pairs(built)


@contextlib.contextmanager
def _building(world: World, out: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A build in a session of its own, whose every process is killed at the end."""
    process = subprocess.Popen(
        command("build", world.recipe, "--out", out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def _rows(out: Path, sql: str) -> list[dict[str, Any]]:
    said = curate("query", out, sql, "--json")
    assert said.code == 0, said.text
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def _pairs(out: Path) -> list[dict[str, Any]]:
    return _rows(out, "SELECT pair_id, task FROM pairs ORDER BY 1")


def _answers(out: Path) -> Path:
    return out.parent / f"{out.name}.answers" / "answers.jsonl"


def _lines(store: Path) -> list[bytes]:
    """The whole lines of a store."""
    return store.read_bytes().rpartition(b"\n")[0].splitlines() if store.exists() else []
