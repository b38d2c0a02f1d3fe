"""What a commit promises: killed, out of space or fed wrong counts, nothing half-written ever goes by a final name."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.errors import ConservationError, StoreError
from curate.schema import Reason, Refusal, Unit
from curate.store.commit import PartWriter, replace_file
from curate.store.gc import leftovers, remove
from curate.store.parquet import HashingFile
from curate.store.part import TEMPORARY_PREFIX, Sidecars
from curate.store.trees import digest_of_tree
from tests.conftest import ROOT
from tests.crash.small import tree
from tests.store.kill_at_step import PART, ROWS, commit, rows


def killed_commits(folder: Path, *before: str) -> list[Path]:
    """The folders of commits that were killed, each one step later than the one before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_at_step", str(folder), *before],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [folder / str(step) for step in range(1, int(done.stdout) + 1)]


def assert_nothing_torn(out: Path) -> None:
    """Every file under a final name is whole; a sidecar is there only with all that it names."""
    for path in out.rglob("*.parquet"):
        if not path.name.startswith(TEMPORARY_PREFIX):
            assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem.rpartition("-")[2])
            assert pq.ParquetFile(path, page_checksum_verification=True).read().num_rows in (1, ROWS)
    for sidecar in Sidecars(out).listed():
        for file in sidecar.files:
            if file.table == "volumes":
                assert digest_of_tree(out / file.name)[0] == file.sha256
                continue
            assert hashlib.sha256((out / file.name).read_bytes()).hexdigest() == file.sha256


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tree of one commit."""
    out = tmp_path_factory.mktemp("calm") / "out"
    commit(out, "one")
    return tree(out)


def test_killed_at_any_step_of_a_first_commit_the_rerun_gives_the_same_bytes(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    killed = killed_commits(tmp_path)
    assert len(killed) > 20
    for out in killed:
        assert_nothing_torn(out)
        commit(out, "one")
        remove(out, leftovers(out, frozenset()))
        assert tree(out) == undisturbed, f"killed at step {out.name}"


def test_killed_at_any_step_of_a_replacement_the_old_part_or_the_new_one_stands_whole(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    standing = set()
    for out in killed_commits(tmp_path, "other"):
        assert_nothing_torn(out)
        standing.add(Sidecars(out).need(PART).inputs["listing"])
        commit(out, "one")
        remove(out, leftovers(out, frozenset()))
        assert tree(out) == undisturbed, f"killed at step {out.name}"
    assert standing == {"other", "one"}  # the last step follows the switch


class _FullDisk:
    """Lets so many bytes through, then says what a full disk says."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, sink: HashingFile, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= size
        return _write(sink, data)


_write = HashingFile.write


@pytest.mark.parametrize("room", [0, 3, 4, 200, 900, 1500, 3000])
def test_a_full_disk_is_a_plain_error_that_leaves_nothing_and_hurts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, undisturbed: dict[str, str]
) -> None:
    out = tmp_path / "out"
    disk = _FullDisk(room)
    with monkeypatch.context() as full:
        full.setattr(HashingFile, "write", lambda sink, data: disk.write(sink, data))  # noqa: PLW0108
        with pytest.raises(StoreError, match="No space left") as told:
            commit(out, "one")
    assert told.value.exit_code == 1
    assert "run the same command again" in str(told.value)
    assert not [name for name in tree(out) if TEMPORARY_PREFIX in name]
    assert not list((out / "parts").rglob("*.json"))
    commit(out, "one")
    remove(out, leftovers(out, frozenset()))
    assert tree(out) == undisturbed


STEPS = (
    (os, "fsync"),
    (Path, "rename"),
    (Path, "mkdir"),
    (Path, "open"),
    (HashingFile, "write"),
)
"""What of a commit a disk may answer with an error."""


@pytest.mark.parametrize("before", [(), ("other",)])
def test_an_error_at_any_step_fails_the_commit_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    undisturbed: dict[str, str],
) -> None:
    seen, at = 0, 0

    def failing(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return step(*args, **kwargs)

        return run

    failed = 0
    while failed == at:
        out = tmp_path / str(at)
        for version in before:
            commit(out, version)
        at += 1
        seen = 0
        with monkeypatch.context() as bad:
            for owner, name in STEPS:
                bad.setattr(owner, name, failing(getattr(owner, name)))
            try:
                commit(out, "one")
            except (StoreError, OSError) as problem:  # a stage that writes a tree meets the disk itself
                assert os.strerror(errno.EIO) in str(problem)
                failed += 1
        assert_nothing_torn(out)
        assert not [name for name in tree(out) if TEMPORARY_PREFIX in name]
        commit(out, "one")
        remove(out, leftovers(out, frozenset()))
        assert tree(out) == undisturbed, f"step {at}"
    assert failed > 20


def test_a_disk_that_fails_to_sync_fails_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        commit(tmp_path / "out", "one")
    assert not list((tmp_path / "out" / "parts").rglob("*.json"))
    assert not list((tmp_path / "out").rglob(f"{TEMPORARY_PREFIX}*"))


def test_a_part_that_lost_or_invented_rows_is_never_committed(tmp_path: Path) -> None:
    for used in (ROWS - 2, ROWS + 1):
        with (
            pytest.raises(ConservationError, match=f"item: {ROWS} in, {used} used"),
            PartWriter(tmp_path, PART) as part,
        ):
            part.write("files", rows("one"))
            part.saw(Unit.ITEM, ROWS)
            part.used(Unit.ITEM, used)
            part.commit({}, {})
    with pytest.raises(ConservationError, match="file: 0 in"), PartWriter(tmp_path, PART) as part:
        part.refuse(Unit.FILE, "a.csv", Refusal(Reason.EMPTY_FILE))
        part.commit({}, {})
    assert tree(tmp_path) == {}


def test_leaving_without_a_commit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), PartWriter(tmp_path, PART) as part:
        part.write("files", rows("one"))
        raise RuntimeError
    assert tree(tmp_path) == {}


def test_a_file_that_holds_the_same_bytes_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    replace_file(path, b"one")
    before = path.stat()
    replace_file(path, b"one")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["corpus.json"]  # noqa: PTH208


def test_a_folder_that_may_not_be_written_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file where a folder must be")
    with pytest.raises(StoreError, match="cannot write below"):
        commit(tmp_path, "one")


def test_gc_removes_what_no_sidecar_names_and_nothing_else(tmp_path: Path) -> None:
    commit(tmp_path, "other")
    commit(tmp_path, "one")
    (tmp_path / "parts/read/cells/.tmp-1-2").write_text("of a killed build")
    (tmp_path / "files/cells/.tmp-1-2").write_text("of a killed build")
    (tmp_path / "parts/notes.txt").write_text("somebody's")
    (tmp_path / "corpus.json").write_text("{}")
    found = {file.name for file in leftovers(tmp_path, frozenset({"corpus.json"}))}
    named = {file.name for file in Sidecars(tmp_path).need(PART).files}
    # The replaced table and tree, two temporary files, the note; the rejects of both are the same file.
    assert len(found) == 6
    assert not found & named
    remove(tmp_path, leftovers(tmp_path, frozenset({"corpus.json"})))
    (volume,) = (name for name in named if name.startswith("volumes/"))
    kept = (named - {volume}) | {f"{volume}/zarr.json", f"{volume}/0/c"}
    assert set(tree(tmp_path)) == kept | {"corpus.json", PART.sidecar_path}


def test_a_tree_that_is_not_committed_vanishes(tmp_path: Path) -> None:
    with PartWriter(tmp_path, PART) as part, part.tree("volumes", ".zarr") as tree:
        tree.path.mkdir()
        (tree.path / "zarr.json").write_bytes(b"{}")
    assert not list(tmp_path.rglob("*.json"))


def test_two_trees_of_equal_content_are_one(tmp_path: Path) -> None:
    with PartWriter(tmp_path, PART) as part:
        for _ in range(2):
            with part.tree("volumes", ".zarr") as tree:
                tree.path.mkdir()
                (tree.path / "zarr.json").write_bytes(b"{}")
                stored = tree.commit()
        sidecar = part.commit({}, {})
    assert [file.name for file in sidecar.of("volumes")] == [stored.name]
    assert sidecar.emitted == {"volumes": 2}
    assert not leftovers(tmp_path, frozenset())


def test_a_tree_under_the_final_name_that_is_torn_is_replaced(tmp_path: Path) -> None:
    def write() -> str:
        with PartWriter(tmp_path, PART) as part:
            with part.tree("volumes", ".zarr") as tree:
                tree.path.mkdir()
                (tree.path / "zarr.json").write_bytes(b"{}")
                (tree.path / "c").write_bytes(b"voxels")
                stored = tree.commit()
            part.commit({}, {})
        return stored.name

    (tmp_path / write() / "c").unlink()
    whole = tmp_path / write()
    assert digest_of_tree(whole)[0].startswith(whole.stem)
