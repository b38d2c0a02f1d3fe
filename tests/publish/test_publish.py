"""A corpus on its way out: what goes, what stays and why, and that a second publishing has nothing to do."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest

from curate import open_catalog
from curate.corpus import CORPUS_FILE
from curate.errors import GateError, StoreError, UsageError
from curate.phantom import write_phantoms
from curate.publish.base import MANIFEST
from curate.publish.formats import formats_of
from curate.publish.manifest import decode_manifest
from curate.publish.run import publish
from curate.publish.targets import FolderTarget, TargetError, target_of
from curate.publish.targets.base import UNFINISHED
from curate.resources import shipped
from curate.store.place import read_bytes, walk
from curate.store.seal import sealed, unsealed
from tests.conftest import ROOT
from tests.crash.small import World, curate, places
from tests.publish.plain_format import Plain
from tests.publish.terms import with_terms
from tests.publish.worlds import copy_of, edited, files_at, published
from tests.store.server import S3Server, remote, s3_server


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    """An S3 server with one bucket."""
    with s3_server() as server:
        yield server


def assert_whole(folder: Path) -> None:
    """Everything that the manifest names is there, and nothing else."""
    manifest = decode_manifest((folder / MANIFEST).read_bytes(), str(folder))
    found = files_at(folder)
    assert found.keys() == {file.path for file in manifest.files} | {MANIFEST}
    for file in manifest.files:
        assert (hashlib.sha256(found[file.path]).hexdigest(), len(found[file.path])) == (file.sha256, file.bytes)


def test_every_row_goes_with_its_pictures(world: World) -> None:
    done = published(world)
    folder = world.folder / "there"
    assert_whole(folder)
    rows = [json.loads(line) for path in sorted((folder / "plain").iterdir()) for line in path.read_text().splitlines()]
    assert len(rows) == sum(done.rows.values()) > 0
    assert {path for row in rows for path in row["media"]} == {
        one.name for one in walk(folder) if one.name.startswith("images/")
    }


def test_a_second_publishing_does_nothing_and_says_so(world: World) -> None:
    first = published(world)
    before = places(world.folder / "there")
    second = published(world)
    assert (first.is_unchanged, second.is_unchanged) == (False, True)
    assert second.number == first.number == 1
    assert places(world.folder / "there") == before
    said = curate("publish", world.out(), world.folder / "there", "--format", "hf-parquet")
    assert said.code == 0, said.text
    again = curate("publish", world.out(), world.folder / "there", "--format", "hf-parquet")
    assert "already" in again.stdout
    assert "nothing was sent" in again.stdout


def test_the_same_corpus_gives_the_same_bytes_wherever_it_is_put_together(built: World, tmp_path: Path) -> None:
    first, second = (copy_of(built, tmp_path / name) for name in ("a", "b"))
    published(first)
    published(second, desk=tmp_path / "desk")
    assert files_at(first.folder / "there") == files_at(second.folder / "there")


BALANCED = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "publish.md").read_text(), re.DOTALL)[0]


@pytest.mark.slow
def test_rows_are_chosen_by_a_query_that_the_release_tells(corpus: Path, tmp_path: Path) -> None:
    there = FolderTarget(tmp_path / "there")
    whole = publish(corpus, there, formats_of(["llava"]), desk=tmp_path / "desk", dry_run=True)
    done = publish(corpus, there, formats_of(["llava"]), desk=tmp_path / "desk", where=BALANCED)
    assert 0 < sum(done.rows.values()) < sum(whole.rows.values())
    left = sum(reasons.get("not_chosen", 0) for reasons in done.withheld.values())
    assert sum(done.rows.values()) + left == sum(whole.rows.values())
    readme = (tmp_path / "there" / "README.md").read_text()
    assert BALANCED.strip() in readme
    assert "the query of this release leaves it out" in readme
    going = polars.read_parquet(tmp_path / "there/index/rows-*.parquet", columns=["pair_id"])
    told = open_catalog(corpus).pairs.join(going.lazy(), on="pair_id", how="semi").collect()
    answers = [messages[-1]["content"].lower() for messages in told["messages"]]
    assert len(answers) == sum(done.rows.values())
    assert sum(answer.startswith("yes") for answer in answers) == sum(answer.startswith("no") for answer in answers)


def test_a_condition_chooses_among_the_rows_that_may_go(world: World) -> None:
    done = published(world, where="task <> 'label_caption' -- without captions", dry_run=True)
    assert 0 < sum(done.rows.values()) < sum(published(world, dry_run=True).rows.values())
    with pytest.raises(GateError, match="--where chooses none of the rows"):
        published(world, where="task = 'nothing of the kind'")


@pytest.mark.parametrize(
    "where", ["tsk = 'x'", "DROP TABLE pairs", "SELECT 1; SELECT 2", "SELECT source FROM pairs", "1 = 1); SELECT (1"]
)
def test_what_is_no_condition_and_no_query_of_ids_is_told(world: World, where: str) -> None:
    with pytest.raises(UsageError):
        published(world, where=where)
    assert not (world.folder / "there").exists()


def test_a_dry_run_tells_the_rows_and_writes_nothing_there(world: World) -> None:
    done = published(world, dry_run=True)
    assert sum(done.rows.values()) > 0
    assert done.files is None
    assert not (world.folder / "there").exists()
    assert not (world.folder / "out.release" / "files").exists()


def test_pictures_that_lie_there_are_not_written_again(world: World) -> None:
    published(world)
    desk = world.folder / "out.release" / "files"
    before = {path: path.stat().st_ino for path in (desk / "images").rglob("*.png")}
    published(world, "elsewhere")
    assert {path: path.stat().st_ino for path in (desk / "images").rglob("*.png")} == before


def test_a_picture_that_was_changed_on_the_desk_is_made_anew(world: World) -> None:
    published(world)
    staged = next((world.folder / "out.release" / "files" / "images").rglob("*.png"))
    there = world.folder / "there" / staged.relative_to(world.folder / "out.release" / "files")
    whole = staged.read_bytes()
    staged.unlink()
    staged.write_bytes(b"\x00" * len(whole))
    published(world, "elsewhere")
    assert there.read_bytes() == whole
    assert_whole(world.folder / "elsewhere")


def test_an_update_sends_what_changed_alone(world: World) -> None:
    first = published(world)
    edited(world, "labels.csv", ("c00,p0,anaemia", "c00,p0,healthy"))
    second = published(world)
    assert_whole(world.folder / "there")
    assert second.number == 2
    assert second.difference is not None
    assert not second.difference.is_empty
    assert 0 < second.sent.files < first.sent.files / 2


def test_a_takeover_by_another_name_is_refused_unless_that_is_asked_for(world: World) -> None:
    published(world)
    with pytest.raises(UsageError, match="holds the release 'small', and this one is 'other'"):
        published(world, name="other")
    published(world, name="other", replace=True)
    assert_whole(world.folder / "there")
    assert decode_manifest((world.folder / "there" / MANIFEST).read_bytes(), "").number == 1


def test_one_desk_serves_one_publishing_at_a_time(world: World) -> None:
    from curate.publish.staging import desk_of, opened

    with opened(desk_of(world.out())), pytest.raises(UsageError, match="in use by another publishing"):
        published(world)
    published(world)


@pytest.mark.parametrize("where", ["out", "out/release", ".", "out.release/x"])
def test_a_release_does_not_go_into_its_own_corpus(world: World, where: str) -> None:
    with pytest.raises(UsageError, match="lie within each other"):
        published(world, where)
    assert curate("check", world.out()).code == 0


# --- what stays


def test_a_source_that_nothing_states_deidentified_stays(built: World) -> None:
    with with_terms(built.out(), {"cells": {"deidentified": None}}) as out, pytest.raises(GateError) as caught:
        publish(out, FolderTarget(out.parent / "there"), [Plain()])
    assert caught.value.exit_code == 3
    assert "not_deidentified" in str(caught.value)


def test_rows_under_an_agreement_stay_and_are_counted(corpus: Path, tmp_path: Path) -> None:
    terms = {"phantom-qa": {"licence": "LicenseRef-dua", "quote": "only who signs"}}
    with with_terms(corpus, terms) as out:
        curate_again(out)
        done = publish(out, FolderTarget(tmp_path / "there"), [Plain()])
    assert done.withheld["phantom-qa"]["agreement"] > 0
    told = decode_manifest((tmp_path / "there" / MANIFEST).read_bytes(), "").withheld
    assert told == done.withheld
    assert not list((tmp_path / "there").glob("images/phantom-qa/**/*.*"))


def test_two_terms_that_each_ask_for_the_whole_are_refused_with_both_quotes(corpus: Path, tmp_path: Path) -> None:
    terms = {
        "phantom-qa": {"licence": "CC-BY-SA-4.0", "quote": "share it alike", "read_at": "LICENSE"},
        "phantom-clip": {"licence": "CC-BY-NC-SA-4.0", "quote": "share it alike, not for money", "read_at": "TERMS"},
    }
    with with_terms(corpus, terms) as out:
        curate_again(out)
        with pytest.raises(GateError) as caught:
            publish(out, FolderTarget(tmp_path / "there"), [Plain()])
        publish(out, FolderTarget(tmp_path / "there"), [Plain()], sources=["phantom-qa"])
    assert '"share it alike"' in str(caught.value)
    assert '"share it alike, not for money"' in str(caught.value)


def curate_again(out: Path) -> None:
    """Have the catalog state the terms of the description beside it, as a build would."""
    from curate.stages import stage_named
    from curate.standing import run_within
    from curate.store.commit import PartWriter
    from curate.store.part import Part

    run, stage, part = run_within(out), stage_named("catalog"), Part("catalog")
    with PartWriter(out, part, folder="catalog", schemas=_catalog_tables()) as writer:
        inputs = stage.build(run, part, writer, lambda *_: None)
        writer.commit(stage.fingerprint(run, part), inputs)


def _catalog_tables() -> Any:
    from curate.schema import CATALOG_TABLES

    return CATALOG_TABLES


def test_a_corpus_that_is_not_built_to_its_end_is_refused(world: World) -> None:
    sidecar = next((world.out() / "parts" / "verify").rglob("*.json"))
    sidecar.unlink()
    with pytest.raises(StoreError, match="is not built to its end"):
        published(world)
    assert not (world.folder / "there").exists()


def test_a_corpus_whose_catalog_is_older_than_its_rows_is_refused(world: World) -> None:
    older = {path: path.read_bytes() for path in (world.out() / "parts" / "catalog").rglob("*.json")}
    edited(world, "labels.csv", ("c00,p0,anaemia", "c00,p0,healthy"))
    for path, data in older.items():
        path.write_bytes(data)
    with pytest.raises(StoreError, match="was made from other"):
        published(world)


def test_a_folder_without_a_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no corpus"):
        publish(tmp_path, FolderTarget(tmp_path / "there"), [Plain()])


def test_no_format_and_a_name_that_is_none_are_told(world: World) -> None:
    with pytest.raises(UsageError, match="at least one format"):
        published(world, formats=[])
    with pytest.raises(UsageError, match="cannot be the name"):
        published(world, name="../x")
    assert curate("publish", world.out(), world.folder / "there", "--format", "no-such").code == 2


# --- what breaks on the way


def test_a_row_whose_picture_vanished_is_told_and_nothing_appears(world: World) -> None:
    shutil.rmtree(world.out() / "images")
    with pytest.raises(StoreError, match="images"):
        published(world)
    assert not (world.folder / "there").exists()


def test_a_picture_that_does_not_fit_its_digest_is_told_by_its_item(world: World) -> None:
    for path in (world.out() / "images").rglob("*.parquet"):
        data = path.read_bytes()
        assert b"IDATx" in data
        path.write_bytes(data.replace(b"IDATx", b"IDATy"))
    with pytest.raises(StoreError, match=r"curate check"):
        published(world)
    assert not (world.folder / "there").exists()


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_finishes(world: World) -> None:
    calm = copy_of(world, world.folder.parent / "calm")
    curate("publish", calm.out(), calm.folder / "there", "--format", "llava")
    for steps in (3, 9, 15, 20, 26, 40):
        killed(world, steps)
        found = files_at(world.folder / "there") if (world.folder / "there").exists() else {}
        if MANIFEST in found:
            assert_whole(world.folder / "there") if UNFINISHED not in found else None
    said = curate("publish", world.out(), world.folder / "there", "--format", "llava")
    assert said.code == 0, said.text
    assert files_at(world.folder / "there") == files_at(calm.folder / "there")


KILLER = """
import os, signal
from pathlib import Path
left = [int(os.environ["KILL_AT"])]

def counted(step):
    def run(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)
    return run

os.link = counted(os.link)
Path.replace = counted(Path.replace)
"""


def killed(world: World, steps: int) -> None:
    """Publish by a process of its own, which is killed at its n-th step."""
    (world.folder / "sitecustomize.py").write_text(KILLER)
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.run", "publish", world.out(), world.folder / "there", "--format", "llava"],
        capture_output=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{world.folder}:{ROOT}", "KILL_AT": str(steps)},
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr


def test_a_full_disk_while_the_release_is_put_together_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TargetError, match="No space left on device; free space"):
            published(world)
    assert not (world.folder / "there").exists()
    published(world)
    assert_whole(world.folder / "there")


def test_a_card_without_a_licence_is_told(world: World) -> None:
    path = world.out() / CORPUS_FILE
    plain = msgspec.convert(unsealed(path.read_bytes()), dict[str, Any])
    del plain["cards"]["cells"]["terms"]["licence"]
    path.write_bytes(sealed(plain))
    with pytest.raises(StoreError, match="licence"):
        published(world)


# --- elsewhere


def test_a_store_holds_what_a_folder_holds(world: World, store: S3Server) -> None:
    published(world)
    publish(world.out(), target_of(str(remote("published/cells"))), [Plain()])
    place = remote("published/cells")
    assert {one.name: read_bytes(place / one.name) for one in walk(place)} == files_at(world.folder / "there")


@pytest.mark.slow
def test_a_corpus_in_a_store_is_published_too(world: World, store: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "caches"))
    published(world)
    said = curate("build", world.recipe, "--out", remote("corpora/cells"))
    assert said.code == 0, said.text
    publish(remote("corpora/cells"), FolderTarget(world.folder / "from-store"), [Plain()])
    assert files_at(world.folder / "from-store") == files_at(world.folder / "there")


def test_the_command_tells_what_stays_and_prints_json(world: World) -> None:
    said = curate("publish", world.out(), world.folder / "there", "--json", "--format", "llava")
    assert said.code == 0, said.text
    plain = json.loads(said.stdout)
    assert plain["name"] == "small"
    assert plain["sent"]["files"] == plain["files"]
    assert plain["formats"][0]["format"] == "llava"


def test_a_corpus_whose_build_failed_is_not_published_but_the_sources_that_hold_are(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", images=6, only=("phantom-cells-voc", "phantom-nuclei-masks"))
    card = (shipped("catalogs") / "phantom-nuclei-masks.yaml").read_text()
    (tmp_path / "phantom-nuclei-masks.yaml").write_text(card + "expects: {images: 99}\n")
    recipe = "name: short\nsources: [./phantom-nuclei-masks.yaml, phantom-cells-voc]\ntasks: [label_caption]\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    out = tmp_path / "corpus"
    said = curate("build", tmp_path / "recipe.yaml", "--out", out, "--data", tmp_path / "data")
    assert (said.code, "FAILED phantom-nuclei-masks: expects 99 images, met 6" in said.text) == (1, True)
    said = curate("publish", out, tmp_path / "there")
    assert said.code == 1
    assert "phantom-nuclei-masks: expects 99 images, met 6" in said.text
    assert not (tmp_path / "there").exists()
    assert curate("publish", out, tmp_path / "there", "--source", "phantom-cells-voc").code == 0
    checked = curate("check", out)
    assert checked.code == 1
    assert "FAILED ledger: phantom-nuclei-masks: expects 99 images, met 6" in checked.text
