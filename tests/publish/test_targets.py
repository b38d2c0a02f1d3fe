"""However a delivery ends, a reader finds a whole release or none, and the same call finishes it."""

import errno
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from curate.errors import UsageError
from curate.publish.base import MANIFEST
from curate.publish.targets import FolderTarget, TargetError, target_of
from curate.publish.targets.base import UNFINISHED, refuse_taken
from curate.publish.targets.hub import HubTarget
from curate.publish.targets.s3 import StoreTarget
from curate.store import objects
from curate.store.place import read_bytes, walk
from tests.publish.hub import HANG_UP, Asked, Hub, hub_server
from tests.publish.parcels import FIRST, SECOND, assert_never_half, parcel_of, whole
from tests.store import server as s3
from tests.store.server import Request, S3Server, remote, s3_server

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # huggingface_hub's own call

STEPS = 200
"""More steps than a delivery has."""


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    """An S3 server with one bucket."""
    with s3_server() as server:
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the Hub."""
    with hub_server(monkeypatch) as server:
        yield server


def folder_files(folder: Path) -> dict[str, bytes]:
    return {one.name: (folder / one.name).read_bytes() for one in walk(folder)}


def store_files(target: StoreTarget) -> dict[str, bytes]:
    return {one.name: read_bytes(target.place / one.name) for one in walk(target.place)}


# --- what a target is called


def test_a_target_is_a_folder_a_prefix_or_a_repository() -> None:
    assert isinstance(target_of("some/where"), FolderTarget)
    assert isinstance(target_of("s3://bucket/prefix"), StoreTarget)
    assert target_of("hf://datasets/me/cells@next") == HubTarget("me/cells", "next")
    assert str(target_of("hf://datasets/me/cells")) == "hf://datasets/me/cells"


@pytest.mark.parametrize(
    "text", ["hf://me/cells", "hf://datasets/cells", "hf://datasets/../cells", "ftp://x/y", "s3://"]
)
def test_another_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        target_of(text)


def test_only_a_repository_is_made_private(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only a repository"):
        target_of(str(tmp_path), private=True)


# --- a folder


def test_a_release_arrives_whole_and_a_second_time_nothing_is_sent(tmp_path: Path) -> None:
    target, parcel = FolderTarget(tmp_path / "there"), parcel_of(tmp_path / "here", FIRST)
    sent = target.deliver(parcel, target.look())
    assert (sent.files, sent.bytes) == (len(FIRST), sum(map(len, FIRST.values())))
    assert folder_files(tmp_path / "there") == whole(parcel)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "there").rglob("*")}
    again = target.deliver(parcel, target.look())
    assert (again.files, again.bytes, again.removed, again.kept) == (0, 0, 0, len(FIRST))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "there").rglob("*")} == before


def test_the_next_release_sends_what_is_new_and_removes_what_is_gone(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "there")
    target.deliver(parcel_of(tmp_path / "first", FIRST), target.look())
    (tmp_path / "there" / "notes.txt").write_text("of the reader's own")
    parcel = parcel_of(tmp_path / "second", SECOND, 2)
    sent = target.deliver(parcel, target.look())
    assert (sent.files, sent.kept, sent.removed) == (3, 1, 1)
    assert folder_files(tmp_path / "there") == whole(parcel) | {"notes.txt": b"of the reader's own"}
    assert not (tmp_path / "there" / UNFINISHED).exists()


def test_a_file_that_vanished_or_was_cut_is_sent_again(tmp_path: Path) -> None:
    target, parcel = FolderTarget(tmp_path / "there"), parcel_of(tmp_path / "here", FIRST)
    target.deliver(parcel, target.look())
    (tmp_path / "there" / "images/a/1.png").unlink()
    (tmp_path / "there" / "images/a/2.png").unlink()
    (tmp_path / "there" / "images/a/2.png").write_bytes(b"tw")
    assert target.deliver(parcel, target.look()).files == 2
    assert folder_files(tmp_path / "there") == whole(parcel)


def kill_after(steps: int, deliver: Callable[[], object]) -> bool:
    """Run in a process of its own that is killed at its n-th step; true where it came to its end before."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def counted(step: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*args, **kwargs)

            return run

        for name in ("link", "fsync"):
            setattr(os, name, counted(getattr(os, name)))
        for name in ("replace", "unlink", "mkdir"):
            setattr(Path, name, counted(getattr(Path, name)))
        try:
            deliver()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("first", [False, True], ids=["into nothing", "over a release"])
def test_killed_at_any_step_a_reader_finds_a_whole_release_or_none(tmp_path: Path, first: bool) -> None:
    old, new = parcel_of(tmp_path / "old", FIRST), parcel_of(tmp_path / "new", SECOND, 2)
    for steps in range(STEPS):
        folder = tmp_path / f"there-{steps}"
        if first:
            FolderTarget(folder).deliver(old, FolderTarget(folder).look())
        ended = kill_after(steps, lambda at=folder: FolderTarget(at).deliver(new, FolderTarget(at).look()))  # type: ignore[misc]
        assert_never_half(folder_files(folder), old, new)
        FolderTarget(folder).deliver(new, FolderTarget(folder).look())
        assert folder_files(folder) == whole(new)
        if ended:
            break
    else:
        pytest.fail("it never came to its end")
    assert steps > 20


def test_what_an_interrupted_release_left_is_cleared_by_another_one(tmp_path: Path) -> None:
    old, new = parcel_of(tmp_path / "old", FIRST), parcel_of(tmp_path / "new", SECOND, 2)
    for steps in range(STEPS):
        folder = tmp_path / f"there-{steps}"
        ended = kill_after(steps, lambda at=folder: FolderTarget(at).deliver(old, FolderTarget(at).look()))  # type: ignore[misc]
        assert not ended, "no kill left a picture without a manifest"
        if (folder / "images/a/1.png").exists():
            break
    FolderTarget(folder).deliver(new, FolderTarget(folder).look())
    assert folder_files(folder) == whole(new)


def test_a_full_disk_is_told_in_one_line_and_leaves_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, parcel = FolderTarget(tmp_path / "there"), parcel_of(tmp_path / "here", FIRST)
    real, left = os.link, [2]

    def full(*args: Any, **kwargs: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(TargetError, match="No space left on device; free space there") as caught:
            target.deliver(parcel, target.look())
    assert caught.value.retryable
    assert MANIFEST not in folder_files(tmp_path / "there")
    assert UNFINISHED in folder_files(tmp_path / "there")
    assert target.deliver(parcel, target.look()).kept == 2
    assert folder_files(tmp_path / "there") == whole(parcel)


def test_a_folder_without_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, parcel = FolderTarget(tmp_path / "there"), parcel_of(tmp_path / "here", FIRST)

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(TargetError, match="Permission denied; see to its rights") as caught:
        target.deliver(parcel, target.look())
    assert not caught.value.retryable


def test_too_little_room_on_another_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    target = FolderTarget(shared / f"curate-{os.getpid()}")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
    with pytest.raises(TargetError, match="bytes are to be written and 100 are free"):
        target.deliver(parcel_of(tmp_path / "here", FIRST), target.look())
    assert not target.folder.exists()


def test_files_are_copied_where_no_link_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", elsewhere)
    target, parcel = FolderTarget(tmp_path / "there"), parcel_of(tmp_path / "here", FIRST)
    target.deliver(parcel, target.look())
    assert folder_files(tmp_path / "there") == whole(parcel)
    assert (tmp_path / "there/README.md").stat().st_ino != (tmp_path / "here/README.md").stat().st_ino


def test_nothing_is_written_through_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there" / "images").symlink_to(tmp_path / "elsewhere")
    target = FolderTarget(tmp_path / "there")
    with pytest.raises(TargetError, match="is a link"):
        target.deliver(parcel_of(tmp_path / "here", FIRST), target.look())
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("stays")
    target = FolderTarget(tmp_path / "there")
    target.deliver(parcel_of(tmp_path / "here", FIRST), target.look())
    manifest = tmp_path / "there" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"README.md"', '"../precious.txt"'))
    with pytest.raises(Exception, match="is damaged or not ours"):
        target.look()
    assert (tmp_path / "precious.txt").exists()


# --- what lies there already


def test_another_release_is_not_written_over_unless_that_is_asked_for(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "there")
    target.deliver(parcel_of(tmp_path / "old", FIRST, name="other"), target.look())
    held = target.look()
    with pytest.raises(UsageError, match="holds the release 'other'"):
        refuse_taken(str(target), held, "small", "0" * 32, replace=False)
    with pytest.raises(UsageError, match="of another corpus"):
        refuse_taken(str(target), held, "other", "1" * 32, replace=False)
    refuse_taken(str(target), held, "small", "0" * 32, replace=True)
    parcel = parcel_of(tmp_path / "new", SECOND)
    target.deliver(parcel, held)
    assert folder_files(tmp_path / "there") == whole(parcel)


def test_a_folder_of_other_files_is_left_alone_unless_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").write_text("mine")
    target = FolderTarget(tmp_path / "there")
    with pytest.raises(UsageError, match="holds 1 files that are no release"):
        refuse_taken(str(target), target.look(), "small", "0" * 32, replace=False)
    target.deliver(parcel_of(tmp_path / "new", FIRST), target.look())
    assert (tmp_path / "there" / "thesis.tex").read_text() == "mine"


# --- a store


def test_a_store_gets_what_is_new_and_loses_what_is_gone(tmp_path: Path, store: S3Server) -> None:
    target = StoreTarget(remote("releases/new"))
    target.deliver(parcel_of(tmp_path / "first", FIRST), target.look())
    parcel = parcel_of(tmp_path / "second", SECOND, 2)
    sent = target.deliver(parcel, target.look())
    assert (sent.files, sent.kept, sent.removed) == (3, 1, 1)
    assert store_files(target) == whole(parcel)
    store.requests.clear()
    assert target.deliver(parcel, target.look()).files == 0
    assert not [one for one in store.requests if one.method in ("PUT", "POST", "DELETE")]


def changing(requests: list[Request]) -> list[Request]:
    return [one for one in requests if one.method in ("PUT", "POST", "DELETE")]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [s3.HANG_UP, 503, 403], ids=["hangs up", "is busy", "refuses"])
def test_a_store_that_fails_at_any_request_never_shows_half(
    tmp_path: Path, store: S3Server, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = parcel_of(tmp_path / "old", FIRST), parcel_of(tmp_path / "new", SECOND, 2)
    target = StoreTarget(remote(f"releases/failing-{wrong}"))
    monkeypatch.setattr(target.place.fs, "retries", 1)
    for steps in range(STEPS):
        target.deliver(old, target.look())
        seen: list[Request] = []

        def failing(request: Request, seen: list[Request] = seen, steps: int = steps) -> int | None:
            seen.append(request)
            return wrong if len(changing(seen)) > steps else None

        with store.failing(failing):
            try:
                target.deliver(new, target.look())
            except TargetError as problem:
                assert problem.retryable is (wrong != 403), problem
                assert "then run the same command again" in str(problem)
            else:
                break
        assert_never_half(store_files(target), old, new)
        target.deliver(new, target.look())
        assert store_files(target) == whole(new)
    assert steps >= 6


def test_what_a_store_took_before_it_failed_is_not_sent_again(tmp_path: Path, store: S3Server) -> None:
    parcel, target = parcel_of(tmp_path / "here", FIRST), StoreTarget(remote("releases/resumed"))

    def failing(request: Request) -> int | None:
        return 403 if request.path.endswith("README.md") and request.method == "PUT" else None

    with store.failing(failing), pytest.raises(TargetError):
        target.deliver(parcel, target.look())
    store.requests.clear()
    assert target.deliver(parcel, target.look()).files == 1
    put = {one.path.rpartition("/")[2] for one in store.requests if one.method == "PUT"}
    assert put == {"README.md", MANIFEST}


def test_large_objects_go_in_parts_and_their_remains_are_given_up(
    tmp_path: Path, store: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 2**16)
    parcel = parcel_of(tmp_path / "here", {"images/large.png": os.urandom(10 * 2**16), "README.md": b"#"})
    target = StoreTarget(remote("releases/large"))

    def failing(request: Request) -> int | None:
        return 403 if "partNumber" in request.query and request.query["partNumber"] == ["7"] else None

    with store.failing(failing), pytest.raises(TargetError):
        target.deliver(parcel, target.look())
    target.deliver(parcel, target.look())
    assert store_files(target) == whole(parcel)
    assert objects.dangling_uploads(target.place) == []


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, store: S3Server) -> None:
    target = target_of("s3://no-such-bucket/release")
    with pytest.raises(TargetError, match="bucket"):
        target.deliver(parcel_of(tmp_path / "here", FIRST), target.look())


# --- the Hub


def released(hub: Hub, files: Mapping[str, bytes] = FIRST) -> dict[str, bytes]:
    return {path: data for path, data in hub.files("me/cells").items() if path != ".gitattributes"}


def test_the_hub_gets_one_commit_per_release(tmp_path: Path, hub: Hub) -> None:
    target = HubTarget("me/cells", private=True)
    first, second = parcel_of(tmp_path / "first", FIRST), parcel_of(tmp_path / "second", SECOND, 2)
    target.deliver(first, target.look())
    assert released(hub) == whole(first)
    assert hub.private == {"me/cells": "private"}
    hub.uploaded.clear()
    sent = target.deliver(second, target.look())
    assert (sent.files, sent.kept, sent.removed) == (3, 1, 1)
    assert released(hub) == whole(second)
    assert len(hub.uploaded) == 1  # of the large files, the one that the Hub did not have
    assert target.deliver(second, target.look()).files == 0
    assert len(hub.repositories["me/cells"]["main"]) == 3  # the empty one, and one for each release


def test_a_branch_is_made_and_the_others_stay_as_they_are(tmp_path: Path, hub: Hub) -> None:
    hub.make("me/cells")
    target, parcel = HubTarget("me/cells", "next"), parcel_of(tmp_path / "here", FIRST)
    target.deliver(parcel, target.look())
    assert set(hub.files("me/cells", "next")) == {*whole(parcel), ".gitattributes"}
    assert set(hub.files("me/cells")) == {".gitattributes"}


@pytest.mark.parametrize(
    "answer",
    [
        (401, "knows no such token", False),
        (403, "may not do this", False),
        (409, "committed meanwhile", True),
        (412, "committed meanwhile", True),
        (429, "asks to wait", True),
        (503, "answered 503", True),
        (HANG_UP, "broke off", True),
    ],
)
@pytest.mark.parametrize("step", ["/revision/", "/preupload/", "/objects/batch", "/lfs/", "/commit/"])
def test_a_hub_that_refuses_leaves_what_was_there(
    tmp_path: Path, hub: Hub, answer: tuple[int, str, bool], step: str
) -> None:
    status, said, retryable = answer
    target = HubTarget("me/cells")
    first, second = parcel_of(tmp_path / "first", FIRST), parcel_of(tmp_path / "second", SECOND, 2)
    target.deliver(first, target.look())

    def failing(asked: Asked) -> int | None:
        return status if step in asked.path else None

    with hub.failing(failing), pytest.raises(TargetError, match=said) as caught:
        target.deliver(second, target.look())
    assert caught.value.retryable is retryable
    assert hub.token not in str(caught.value)
    assert "as the test wants" not in str(caught.value)
    assert released(hub) == whole(first)
    target.deliver(second, target.look())
    assert released(hub) == whole(second)


def test_what_the_hub_took_before_the_commit_failed_is_not_uploaded_again(tmp_path: Path, hub: Hub) -> None:
    target, parcel = HubTarget("me/cells"), parcel_of(tmp_path / "here", FIRST)
    with hub.failing(lambda asked: 503 if "/commit/" in asked.path else None), pytest.raises(TargetError):
        target.deliver(parcel, target.look())
    assert len(hub.uploaded) == 2
    target.deliver(parcel, target.look())
    assert len(hub.uploaded) == 2
    assert released(hub) == whole(parcel)


def test_whoever_committed_meanwhile_is_not_overwritten(tmp_path: Path, hub: Hub) -> None:
    target = HubTarget("me/cells")
    target.deliver(parcel_of(tmp_path / "first", FIRST), target.look())
    held = target.look()
    target.deliver(parcel_of(tmp_path / "second", SECOND, 2), held)
    with pytest.raises(TargetError, match="somebody else committed meanwhile"):
        target.deliver(parcel_of(tmp_path / "third", FIRST, 3), held)


def test_an_expired_token_is_told_without_it(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.make("me/cells")
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(TargetError, match="set HF_TOKEN to one that is valid") as caught:
        HubTarget("me/cells").look()
    assert "hf_expired" not in str(caught.value)


def test_a_hub_out_of_reach_is_not_taken_for_an_empty_one(tmp_path: Path, hub: Hub) -> None:
    target = HubTarget("me/cells")
    target.deliver(parcel_of(tmp_path / "here", FIRST), target.look())
    with hub.failing(lambda asked: HANG_UP if "/resolve/" in asked.path else None), pytest.raises(TargetError):
        target.look()


def test_a_repository_of_other_files_is_left_alone_unless_that_is_asked_for(hub: Hub) -> None:
    hub.make("me/cells", {".gitattributes": b"", "README.md": b"#", "thesis.tex": b"mine"})
    held = HubTarget("me/cells").look()
    assert held.other == 1
    with pytest.raises(UsageError, match="no release"):
        refuse_taken("hf://datasets/me/cells", held, "small", "0" * 32, replace=False)
