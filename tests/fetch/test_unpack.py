"""Archives that come: unpacked whole and safely, or refused with nothing of them in the data folder."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import DataError
from curate.fetch.receipt import Notes
from curate.fetch.run import Fetched
from curate.layouts import archives
from tests.fetch.conftest import card_of
from tests.fetch.server import Served, serving

Bring = Callable[..., Fetched]
FILES = {"images/a.png": b"one", "images/deep/b.png": b"two" * 1000, "labels.csv": b"a,b\n"}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (zipped(FILES), "zip"),
        (tarred(FILES), "tar"),
        (tarred(FILES, "w:gz"), "tar"),
        (tarred(FILES, "w:bz2"), "tar"),
        (tarred(FILES, "w:xz"), "tar"),
    ],
)
def test_an_archive_becomes_its_files(brought: Bring, tmp_path: Path, data: bytes, kind: str) -> None:
    with serving({"/get?id=1": Served(data)}) as server:
        card = card_of({"url": f"{server.url}/get?id=1", "unpack": kind, "into": "sub"})
        done = brought(card)
        assert brought(card).downloaded == 0
    assert _below(tmp_path / "example") == {f"sub/{name}": content for name, content in FILES.items()}
    assert done.pieces == 3


def test_a_gzip_file_becomes_what_it_holds(brought: Bring, tmp_path: Path) -> None:
    with serving({"/labels.csv.gz": Served(gzip.compress(b"a,b\n"))}) as server:
        brought(card_of({"url": f"{server.url}/labels.csv.gz", "unpack": "gzip"}))
    assert _below(tmp_path / "example") == {"labels.csv": b"a,b\n"}


def test_a_member_that_was_lost_comes_back_with_its_archive(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.zip": Served(zipped(FILES))}) as server:
        card = card_of({"url": f"{server.url}/a.zip", "unpack": "zip"})
        brought(card)
        (tmp_path / "example/labels.csv").unlink()
        (tmp_path / "example/images/a.png").write_bytes(b"owt")
        assert brought(card).downloaded == 1
    assert _below(tmp_path / "example") == FILES


BOMB = zipped({"bomb.bin": bytes(64 << 20)})


@pytest.mark.parametrize(
    ("data", "kind", "told"),
    [
        (zipped({"../escaped.png": b"x"}), "zip", "leaves its folder"),
        (zipped({"/etc/escaped": b"x"}), "zip", "absolute"),
        (zipped({"C:\\escaped": b"x"}), "zip", "absolute"),
        (tarred({"a/../../escaped.png": b"x"}), "tar", "leaves its folder"),
        (BOMB, "zip", "bomb"),
        (zipped(FILES)[:-40], "zip", "damaged or cut short"),
        (tarred(FILES)[:1700], "tar", "damaged or cut short"),
        (tarred(FILES, "w:gz")[:-20], "tar", "damaged or cut short"),
        (zipped({}), "zip", "holds no file"),
        (tarred({"a": b"x", "a/b": b"y"}), "tar", "name of another's folder"),
        (tarred({"only": link("only", "/etc/passwd")}), "tar", "holds no file"),
        (b"PK\x03\x04" + b"\0" * 500, "zip", "damaged or cut short"),
    ],
)
def test_no_honest_archive_is_like_this(brought: Bring, tmp_path: Path, data: bytes, kind: str, told: str) -> None:
    with serving({"/a.bin": Served(data)}) as server, pytest.raises(DataError, match=told):
        brought(card_of({"url": f"{server.url}/a.bin", "unpack": kind}))
    assert not (tmp_path / "example").exists()
    assert not list(tmp_path.parent.rglob("escaped*"))


def test_links_in_an_archive_are_left_out_and_counted(brought: Bring, tmp_path: Path) -> None:
    data = tarred({"a.png": b"one", "l": link("l", "/etc/passwd"), "h": link("h", "a.png", tarfile.LNKTYPE)})
    with serving({"/a.tar": Served(data)}) as server:
        assert brought(card_of({"url": f"{server.url}/a.tar", "unpack": "tar"})).left_out == 2
    assert _below(tmp_path / "example") == {"a.png": b"one"}


def test_what_a_refused_archive_left_behind_does_not_enter_a_later_fetch(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.tar": Served(tarred({"0": b"z", "a": b"x", "a/b": b"y"})), "/b": Served(b"good")}) as server:
        with pytest.raises(DataError):
            brought(card_of({"url": f"{server.url}/a.tar", "unpack": "tar"}))
        brought(card_of({"url": f"{server.url}/b"}))
    assert _below(tmp_path / "example") == {"b": b"good"}


def test_whose_bytes_lie_at_a_disputed_path_is_not_told_by_its_time_stamp(
    brought: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both archives may be unpacked within one tick of the clock."""
    monkeypatch.setattr(Notes, "is_there", lambda *_: True)
    with serving({"/a.zip": Served(zipped({"x": b"1"})), "/b.zip": Served(zipped({"x": b"2"}))}) as server:
        first, second = ({"url": f"{server.url}/{name}.zip", "unpack": "zip"} for name in "ab")
        brought(card_of(first))
        with pytest.raises(DataError, match="both bring x"):
            brought(card_of(first, second))
        brought(card_of(first, second | {"into": "b"}))
    assert _below(tmp_path / "example") == {"x": b"1", "b/x": b"2"}


def test_two_archives_that_bring_one_path_with_different_bytes_are_refused(brought: Bring, tmp_path: Path) -> None:
    with serving({"/a.zip": Served(zipped({"x": b"1"})), "/b.zip": Served(zipped({"x": b"2"}))}) as server:
        files = [{"url": f"{server.url}/{name}.zip", "unpack": "zip"} for name in "ab"]
        with pytest.raises(DataError, match="both bring x"):
            brought(card_of(*files))
        assert not (tmp_path / "example").exists()
        files[1]["into"] = "b"
        brought(card_of(*files))
    assert _below(tmp_path / "example") == {"x": b"1", "b/x": b"2"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [(tarred({"bomb.bin": bytes(8 << 20)}, "w:gz"), "tar"), (gzip.compress(bytes(8 << 20)), "gzip")],
)
def test_a_stream_that_swells_is_stopped(
    brought: Bring, tmp_path: Path, data: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 1 << 10)
    with serving({"/a.gz": Served(data)}) as server, pytest.raises(DataError, match="a decompression bomb"):
        brought(card_of({"url": f"{server.url}/a.gz", "unpack": kind}))
    assert not (tmp_path / "example").exists()
