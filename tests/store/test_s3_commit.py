"""On an object store a commit promises what it promises on a disk. The store is a real server (moto)."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from upath import UPath

from curate.errors import StoreError, UsageError
from curate.store import objects
from curate.store.answers import answers_folder
from curate.store.commit import PartWriter, replace_file, retire
from curate.store.gc import abandoned, leftovers, remove
from curate.store.part import Part, Sidecars
from curate.store.place import digest_of, names_in, open_binary, place_of, read_bytes, size_of, walk
from curate.store.trees import digest_of_tree
from tests.conftest import ROOT
from tests.crash.small import tree
from tests.store.kill_at_step import PART, PART_BYTES, commit, rows
from tests.store.server import BUCKET, CUT_SHORT, HANG_UP, LOSE, Request, S3Server, remote

pytestmark = pytest.mark.crash


def objects_of(out: UPath) -> dict[str, str]:
    """Name -> sha256 of every object below a prefix."""
    return {one.name: hashlib.sha256(read_bytes(out / one.name)).hexdigest() for one in walk(out)}


def sends(request: Request) -> bool:
    """True for whatever changes the store."""
    return request.method in ("PUT", "POST", "DELETE")


def nth(
    number: int, status: int, wanted: Callable[[Request], bool] = sends, times: int = 1
) -> Callable[[Request], int | None]:
    """Fail so many of the wanted requests, from the one with this number on (from 0)."""
    seen = 0

    def fault(request: Request) -> int | None:
        nonlocal seen
        if not wanted(request):
            return None
        seen += 1
        return status if number < seen <= number + times else None

    return fault


def always(status: int, wanted: Callable[[Request], bool] = sends) -> Callable[[Request], int | None]:
    return nth(0, status, wanted, 10**9)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", PART_BYTES)


@pytest.fixture(scope="module")
def undisturbed(store: S3Server) -> dict[str, str]:
    """The objects of one commit."""
    out = remote("calm")
    commit(out, "one")
    return objects_of(out)


def assert_nothing_torn(out: UPath) -> None:
    """Every table under a final name is whole; a sidecar is there only with all that it names."""
    for name, digest in objects_of(out).items():
        if name.endswith(".parquet"):
            assert digest.startswith(name.removesuffix(".parquet").rpartition("-")[2])
    for sidecar in Sidecars(out).listed():
        for file in sidecar.files:
            if file.table == "volumes":
                assert digest_of_tree(out / file.name)[0] == file.sha256
            else:
                assert digest_of(out / file.name) == (file.sha256, file.bytes)


def killed_commits(name: str, *before: str) -> list[UPath]:
    """The places of commits that were killed, each one step later than the one before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_at_step", f"s3://{BUCKET}/{name}", *before],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [remote(name) / str(step) for step in range(1, int(done.stdout) + 1)]


def test_a_commit_has_the_names_and_the_bytes_that_it_has_on_a_disk(store: S3Server, tmp_path: Path) -> None:
    with PartWriter(tmp_path, PART) as local, PartWriter(remote("same"), PART) as distant:
        for writer in (local, distant):
            writer.write("files", rows("one"))
            writer.commit({"version": "one"}, {})
    assert objects_of(remote("same")) == tree(tmp_path)


def test_killed_at_any_request_of_a_first_commit_the_rerun_gives_the_same_objects(
    store: S3Server, undisturbed: dict[str, str]
) -> None:
    killed = killed_commits("killed")
    assert len(killed) > 10
    dangling = 0
    for out in killed:
        assert_nothing_torn(out)
        commit(out, "one")
        dangling += len(abandoned(out))
        remove(out, leftovers(out, frozenset()), abandoned(out))
        assert objects_of(out) == undisturbed, f"killed at step {out.name}"
        assert not abandoned(out)
    assert dangling  # uploads in parts were among what was killed


def test_killed_at_any_request_of_a_replacement_the_old_part_or_the_new_one_stands_whole(
    store: S3Server, undisturbed: dict[str, str]
) -> None:
    standing = set()
    for out in killed_commits("replaced", "other"):
        assert_nothing_torn(out)
        standing.add(Sidecars(out).need(PART).inputs["listing"])
        commit(out, "one")
        remove(out, leftovers(out, frozenset()), abandoned(out))
        assert objects_of(out) == undisturbed, f"killed at step {out.name}"
    assert standing == {"other", "one"}


def test_what_a_killed_commit_spooled_is_removed_by_the_next(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = (
        "import os; from curate.store.spool import spool\n"
        "with spool() as folder: (folder / 'voxels').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -9
    assert len(list(tmp_path.glob("curate-spool-*/files/voxels"))) == 1
    commit(remote("spooled/after"), "one")
    assert not list(tmp_path.glob("curate-spool-*"))


def test_a_large_file_goes_in_parts_as_large_as_s3_wants_them(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = 5 * 2**20
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", least)
    monkeypatch.setattr(objects, "PART_BYTES", least)
    for size, parts in ((2 * least - 1, 0), (2 * least, 2), (2 * least + 1, 3)):
        data = hashlib.shake_256(b"voxels").digest(size)
        (tmp_path / "file").write_bytes(data)
        store.requests.clear()
        objects.put_file(tmp_path / "file", remote(f"parts/{size}"))
        assert len([request for request in store.requests if "partNumber" in request.query]) == parts
        assert read_bytes(remote(f"parts/{size}")) == data
    assert not abandoned(remote("parts"))


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_request_that_fails_once_is_asked_again(store: S3Server, undisturbed: dict[str, str], first: int) -> None:
    """Each request of a commit fails once, in one of four ways."""
    store.requests.clear()
    commit(remote(f"counted/{first}"), "one")
    sent = len([request for request in store.requests if sends(request)])
    assert sent >= 9
    for number in range(first, sent, 4):
        out = remote(f"once/{number}")
        with store.failing(nth(number, (500, 503, HANG_UP, LOSE)[first])):
            commit(out, "one")
        assert objects_of(out) == undisturbed


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "403 AccessDenied"), (500, "500 InternalError"), (503, "503 SlowDown"), (HANG_UP, "broke off")],
)
def test_a_store_that_goes_on_failing_is_a_plain_error_and_the_rerun_finishes(
    store: S3Server, undisturbed: dict[str, str], status: int, words: str
) -> None:
    for number in (0, 3, 8):
        out = remote(f"for-ever/{status}/{number}")
        with store.failing(nth(number, status, times=10**9)), pytest.raises(StoreError, match=words) as told:
            commit(out, "one")
        assert "run the same command again" in str(told.value)
        assert "as the test wants" not in str(told.value)  # foreign words stay outside
        assert not Sidecars(out).listed()
        assert_nothing_torn(out)
        commit(out, "one")
        remove(out, leftovers(out, frozenset()), abandoned(out))
        assert objects_of(out) == undisturbed


def test_a_store_without_conditional_puts_is_refused(store: S3Server) -> None:
    conditional = always(501, lambda request: "IF-NONE-MATCH" in request.headers)
    with store.failing(conditional), pytest.raises(StoreError, match="conditional put"):
        commit(remote("old-store"), "one")
    assert not Sidecars(remote("old-store")).listed()


def test_a_bucket_that_is_not_there_is_a_plain_error(store: S3Server) -> None:
    nowhere = place_of("s3://no-such-bucket/out")
    for ask in (
        lambda: commit(nowhere, "one"),
        lambda: Sidecars(nowhere).listed(),
        lambda: Sidecars(nowhere).get(PART),
        lambda: leftovers(nowhere, frozenset()),
    ):
        with pytest.raises(StoreError, match="the bucket is not there"):
            ask()


def test_a_new_sidecar_is_put_if_there_is_none_and_a_newer_one_if_the_old_one_stands(store: S3Server) -> None:
    path = remote("switch/a.json")
    store.requests.clear()
    for data in (b"one", b"one", b"two"):
        replace_file(path, data)
        assert read_bytes(path) == data
    puts = [request.headers for request in store.requests if request.method == "PUT"]
    assert [("IF-NONE-MATCH" in said, "IF-MATCH" in said) for said in puts] == [(True, False), (False, True)]


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("others", [b"mine", b"theirs"])
def test_of_two_who_put_at_once_equal_bytes_are_success_and_unlike_ones_an_error(
    store: S3Server, before: bytes | None, others: bytes
) -> None:
    """The other one is faster by a moment, each time that ours looks."""
    path = remote(f"race/{before!r}/{others!r}.json".replace("'", ""))
    if before is not None:
        replace_file(path, before)
    turn = 0

    def faster(request: Request) -> None:
        nonlocal turn
        if request.method == "PUT" and not turn % 2:
            turn += 1
            store.lock.release()
            try:
                path.fs.pipe_file(path.path, others if others == b"mine" else others + str(turn).encode())
            finally:
                store.lock.acquire()
            turn += 1

    with store.failing(faster):
        if others == b"mine":
            replace_file(path, b"mine")
        else:
            with pytest.raises(StoreError, match="replaced by another build"):
                replace_file(path, b"mine")
    assert read_bytes(path).startswith(others)


def test_many_builders_of_one_part_at_once_leave_it_whole(store: S3Server, undisturbed: dict[str, str]) -> None:
    out = remote("crowd")
    told: list[StoreError] = []

    def build(version: str) -> None:
        try:
            commit(out, version)
        except StoreError as problem:
            told.append(problem)

    for versions in (["one"] * 4, ["other", "one", "other", "one"]):
        threads = [threading.Thread(target=build, args=(version,)) for version in versions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_nothing_torn(out)
        assert len(set(versions)) > 1 or not told
    assert all("replaced by another build" in str(problem) for problem in told)
    commit(out, "one")
    remove(out, leftovers(out, frozenset()), abandoned(out))
    assert objects_of(out) == undisturbed


def test_a_torn_tree_under_the_final_name_is_made_whole(store: S3Server, undisturbed: dict[str, str]) -> None:
    out = remote("torn")
    commit(out, "one")
    (name,) = (file.name for file in Sidecars(out).need(PART).files if file.table == "volumes")
    objects.remove_objects([out / name / "zarr.json"])
    out.fs.pipe_file((out / name / "stray").path, b"of nobody")
    commit(out, "one")
    assert objects_of(out) == undisturbed


def test_a_part_that_is_retired_is_gone_and_its_files_wait_for_gc(store: S3Server) -> None:
    out = remote("retired")
    commit(out, "one")
    sidecars = Sidecars(out)
    sidecars.load()
    assert sidecars.need(PART).inputs["listing"] == "one"
    retire(out, [PART, Part("read", "cells", 4)])
    sidecars.forget(PART)
    assert sidecars.get(PART) is None
    assert len(leftovers(out, frozenset())) == 4
    remove(out, leftovers(out, frozenset()))
    assert not walk(out)


def test_leaving_without_a_commit_leaves_nothing(store: S3Server) -> None:
    out = remote("left")
    with pytest.raises(RuntimeError), PartWriter(out, PART) as part:
        part.write("files", rows("one"))
        raise RuntimeError
    assert not walk(out)


def test_more_than_a_page_of_objects_is_listed_and_removed_in_full(store: S3Server) -> None:
    out = remote("many")
    for number in range(1203):
        store.put(out / f"files/{number:04d}", b"x")
    assert len(walk(out)) == 1203
    remove(out, leftovers(out, frozenset()))
    assert not walk(out)


def test_a_prefix_is_not_its_neighbour(store: S3Server) -> None:
    commit(remote("near"), "one")
    commit(remote("nearby"), "one")
    assert {one.name for one in walk(remote("near"))} == set(objects_of(remote("nearby")))
    assert names_in(remote("near")) == {"files", "parts", "rejects", "volumes"}
    assert names_in(remote("nothing-here")) == set()


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20, 8 * 2**20 + 1, 20 * 2**20 + 7])
def test_a_file_is_read_as_it_was_written_whole_or_by_ranges(store: S3Server, tmp_path: Path, size: int) -> None:
    data = hashlib.shake_256(b"bytes").digest(size)
    (tmp_path / "file").write_bytes(data)
    place = remote(f"read/{size}")
    objects.put_file(tmp_path / "file", place)
    assert size_of(place) == size
    assert digest_of(place) == (hashlib.sha256(data).hexdigest(), size)
    with open_binary(place) as file:
        file.seek(max(0, size - 5))
        assert file.read() == data[-5:]
        file.seek(-min(size, 9), 2)
        assert file.read(3) == data[size - min(size, 9) :][:3]


def test_an_answer_that_is_cut_short_is_asked_again_and_never_taken_for_the_whole(store: S3Server) -> None:
    place = remote("cut/file")
    place.fs.pipe_file(place.path, b"0123456789" * 1000)
    with store.failing(nth(0, CUT_SHORT, lambda request: request.method == "GET")):
        assert read_bytes(place) == b"0123456789" * 1000
    began = time.monotonic()
    with (
        store.failing(always(CUT_SHORT, lambda request: request.method == "GET")),
        pytest.raises(OSError, match="store"),
    ):
        read_bytes(place)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///x",
        "s3://B/x",
        "s3://corpora//x",
        "s3://corpora/a/../b",
        "s3://corpora/a?b",
        "gs://corpora/x",
        "http://corpora/x",
        "s3://corpora/a*",
    ],
)
def test_an_address_that_is_no_place_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        place_of(text)


def test_an_address_is_a_place_however_it_is_spelt() -> None:
    assert {str(place_of(text)) for text in ("s3://corpora/a/b", "s3://corpora/a/b/", "S3A://corpora/a/b")} == {
        "s3://corpora/a/b"
    }
    assert place_of("corpora/s3") == Path("corpora/s3")


def test_answers_are_not_kept_in_a_store(store: S3Server) -> None:
    with pytest.raises(UsageError, match="--answers DIR"):
        answers_folder(remote("out"))
