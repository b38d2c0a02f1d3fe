"""A build whose output lies in an object store gives the bytes that it gives on a disk, whatever happens meanwhile."""

import json
import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from curate.phantom import write_phantoms
from curate.store.place import digest_of, read_bytes, walk
from tests.conftest import ROOT
from tests.crash.small import KILLS, World, command, curate, run_apart, small_world, tree
from tests.store.server import HANG_UP, Request, S3Server, remote, s3_server
from tests.store.test_s3_commit import assert_nothing_torn

ROUNDS = 6 * KILLS

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def objects_of(out: UPath) -> dict[str, str]:
    return {one.name: digest_of(out / one.name)[0] for one in walk(out)}


def start(world: World, out: UPath) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("build", world.recipe, "--out", out, "-j", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def finish(world: World, out: UPath) -> None:
    said = curate("build", world.recipe, "--out", out)
    assert said.code == 0, said.text
    assert curate("gc", out).code == 0


def timeless(said: str) -> str:
    """What a command says, without how fast parts came."""
    return re.sub(r'"speed": (?:null|\{[^}]*\})', '"speed": "-"', said)


def test_every_command_says_of_a_store_what_it_says_of_a_folder(
    world: World, store: S3Server, calm: dict[str, str]
) -> None:
    out, folder = remote("commands"), world.out("calm")
    missing = json.loads(curate("plan", world.recipe, "--out", out, "--json").stdout)
    assert {row["state"] for row in missing} == {"missing", "waiting"}
    assert curate("build", world.recipe, "--out", out).code == 0
    assert objects_of(out) == calm
    asked = "SELECT task, split, count(*) AS n FROM pairs GROUP BY ALL ORDER BY ALL"
    for arguments in (
        ("status",),
        ("rejects",),
        ("rejects", "--list"),
        ("query", asked),
        ("query", "SELECT asset_id, octet_length(image.bytes) AS n FROM images ORDER BY ALL"),
        ("why", "c03"),
        ("gc", "--dry-run"),
        ("check",),
    ):
        there, here = (curate(arguments[0], place, *arguments[1:], "--json") for place in (out, folder))
        assert there.code == 0
        assert timeless(there.stdout) == timeless(here.stdout.replace(str(folder), str(out))), arguments
    assert json.loads(curate("plan", world.recipe, "--out", out, "--json").stdout) == json.loads(
        curate("plan", world.recipe, "--out", folder, "--json").stdout
    )
    again = curate("build", world.recipe, "--out", out)
    assert "(0 parts built, 9 kept" in again.stdout


@pytest.mark.parametrize("executor", ["dask", "ray"])
def test_a_cluster_writes_to_a_store_what_one_machine_writes_to_a_disk(
    world: World, store: S3Server, calm: dict[str, str], executor: str
) -> None:
    out = remote(f"by-{executor}")
    said = run_apart("build", world.recipe, "--out", out, "--executor", executor, "-j", "2")
    assert said.code == 0, said.text
    assert objects_of(out) == calm


def test_volumes_and_their_slices_in_a_store_are_those_on_a_disk(store: S3Server, tmp_path: Path) -> None:
    write_phantoms(tmp_path, images=6, only=("phantom-ct", "phantom-ct-dicom"))
    recipe = tmp_path / "volumes.yaml"
    recipe.write_text(
        "name: volumes\nsources: [phantom-ct, phantom-ct-dicom]\ntasks: [label_caption, grounding, measurement]\n"
        "volumes: {planes: [axial], slices: 2, windows: [auto]}\n"
    )
    there, here = remote("volumes"), tmp_path / "volumes"
    for out in (there, here):
        said = curate("build", recipe, "--data", tmp_path, "--out", out)
        assert said.code == 0, said.text
    assert objects_of(there) == tree(here)
    assert curate("check", there).code == 0


def test_damage_in_a_store_is_found_and_mended(world: World, store: S3Server, calm: dict[str, str]) -> None:
    out = remote("damaged")
    finish(world, out)
    pairs, sidecar = (
        next(out / name for name in sorted(calm) if name.startswith(start)) for start in ("pairs/", "parts/verify/")
    )
    whole = read_bytes(pairs)
    for data in (whole[:-1], b"x" + whole[1:], b""):
        store.put(pairs, data)
        said = curate("check", out)
        assert said.code == 1, said.text
        assert pairs.name in said.stdout
    assert curate("build", world.recipe, "--out", out).code == 0  # another size: made anew without being told
    store.put(sidecar, b"{}")
    assert "remove it and build again" in curate("build", world.recipe, "--out", out).stderr
    out.fs.rm_file(sidecar.path)
    finish(world, out)
    assert {name: digest for name, digest in objects_of(out).items() if not name.startswith("checks/")} == calm


def test_a_build_killed_at_any_request_ends_in_the_same_objects(
    world: World, store: S3Server, calm: dict[str, str]
) -> None:
    """Driver or workers or both die when the store has seen so many requests that change it."""
    chance = random.Random("kills")
    puts = sum(1 for name in calm)
    out = remote("killed/0")
    for number in range(ROUNDS):
        reached = threading.Event()
        left = chance.randrange(1, puts)

        def watch(request: Request, reached: threading.Event = reached) -> None:
            nonlocal left
            left -= request.method == "PUT"
            if left <= 0:
                reached.set()

        with store.failing(watch):
            build = start(world, out)
            while not reached.wait(0.01) and build.poll() is None:
                pass
            if build.poll() is None:
                os.killpg(build.pid, signal.SIGKILL) if number % 2 else build.kill()
            said, _ = build.communicate(timeout=120)
        assert "Traceback" not in said, said
        assert_nothing_torn(out)
        if build.returncode == 0 or number % 3 == 2:
            finish(world, out)
            assert objects_of(out) == calm
            out = remote(f"killed/{number + 1}")
    finish(world, out)
    assert objects_of(out) == calm


def test_two_builds_into_one_prefix_at_once_end_in_the_same_objects(
    world: World, store: S3Server, calm: dict[str, str]
) -> None:
    out = remote("shared")
    for build in [start(world, out), start(world, out)]:
        said, _ = build.communicate(timeout=240)
        assert build.returncode == 0, said
    assert curate("gc", out).code == 0
    assert objects_of(out) == calm


@pytest.mark.parametrize(
    ("status", "words"),
    [(503, "the store answered 503 SlowDown"), (403, "the store answered 403"), (HANG_UP, "the store")],
)
def test_a_store_that_fails_in_the_middle_ends_the_build_with_one_line_and_the_next_finishes(
    world: World, store: S3Server, calm: dict[str, str], status: int, words: str
) -> None:
    out = remote(f"failing/{status}")
    seen = 0

    def fault(request: Request) -> int | None:
        nonlocal seen
        seen += request.method == "PUT"
        return status if seen > 12 else None

    with store.failing(fault):
        said = run_apart("build", world.recipe, "--out", out)
    assert said.code == 1, said.text
    assert words in said.stderr
    assert "Traceback" not in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert_nothing_torn(out)
    finish(world, out)
    assert objects_of(out) == calm


def test_what_cannot_be_used_is_told_before_anything_is_built(
    world: World, store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = curate("build", world.recipe, "--out", "s3://no-such-bucket/out")
    assert (said.code, "the bucket is not there" in said.stderr) == (1, True)
    store.put(remote("foreign/notes.txt"), b"somebody's")
    said = curate("build", world.recipe, "--out", remote("foreign"))
    assert (said.code, "holds no corpus" in said.stderr) == (2, True)
    other = small_world(tmp_path)
    other.write_recipe(rewrite={"model": "m", "completer": {"name": "replay"}})
    said = curate("build", other.recipe, "--out", remote("rewritten"))
    assert (said.code, "--answers DIR" in said.stderr) == (2, True)
    other.write_recipe(sources=[{"card": "cells.yaml", "data": "s3://corpora/data"}])
    said = curate("build", other.recipe, "--out", tmp_path / "out")
    assert (said.code, "mirror" in said.stderr) == (2, True)
    assert curate("status", remote("nothing")).code == 2
    assert not walk(remote("rewritten"))
