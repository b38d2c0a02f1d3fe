"""An archive is a folder, and a dishonest one is refused before anything of it is believed."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from curate.layouts import archives
from curate.layouts.tree import ArchiveError, Reader, Tree
from curate.schema import Reason

FILES = {"train/a.png": b"a" * 10, "train/b.png": b"b" * 20, "README.md": b"text"}


def make_zip(path: Path, files: Mapping[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def regular(files: Mapping[str, bytes] = FILES) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(name), data) for name, data in files.items()]


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info, b""


def opened(root: Path, pattern: str) -> tuple[list[str], dict[str, Reason]]:
    tree = Tree.scan(root, [pattern])
    return [entry.key for entry in tree.entries], {key: refusal.reason for key, refusal in tree.refusals}


ARCHIVES = {
    "images.zip": make_zip,
    "images.ZIP": make_zip,
    "images.tar": lambda path: make_tar(path, regular(), "w"),
    "images.tar.gz": lambda path: make_tar(path, regular(), "w:gz"),
    "images.tgz": lambda path: make_tar(path, regular(), "w:gz"),
    "images.tar.bz2": lambda path: make_tar(path, regular(), "w:bz2"),
    "images.tar.xz": lambda path: make_tar(path, regular(), "w:xz"),
}


@pytest.mark.parametrize("name", list(ARCHIVES))
def test_members_are_listed_matched_and_read_like_files(tmp_path: Path, name: str) -> None:
    ARCHIVES[name](tmp_path / name)
    tree = Tree.scan(tmp_path, [f"{name}/train/*.png"])
    assert [entry.key for entry in tree.entries] == [
        name,
        f"{name}!README.md",
        f"{name}!train/a.png",
        f"{name}!train/b.png",
    ]
    assert tree.archives == (name,)
    matched = tree.match([f"{name}/train/*.png"])
    assert [(entry.name, entry.bytes) for entry in matched] == [
        (f"{name}/train/a.png", 10),
        (f"{name}/train/b.png", 20),
    ]
    with Reader(tmp_path) as reader:
        backwards = [reader.read(entry.path, entry.member) for entry in reversed(matched)]
    assert backwards == [b"b" * 20, b"a" * 10]


def test_an_archive_that_no_pattern_names_stays_closed(tmp_path: Path) -> None:
    make_zip(tmp_path / "images.zip")
    for pattern in ("**/*.png", "*/*.png", "images.zip", "train/*.png"):
        assert opened(tmp_path, pattern) == (["images.zip"], {})
    assert len(opened(tmp_path, "*.zip/**/*.png")[0]) == 4


def test_names_written_on_windows_or_with_a_leading_dot_are_plain_paths(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar", regular({"./train/a.png": b"dot"}), "w")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = "train\\a.png"
        archive.writestr(info, b"backslash")
    keys, refused = opened(tmp_path, "[ab].*/**")
    assert keys == ["a.tar", "a.tar!train/a.png", "b.zip", "b.zip!train/a.png"]
    assert not refused
    with Reader(tmp_path) as reader:
        assert reader.read("a.tar", "train/a.png") == b"dot"
        assert reader.read("b.zip", "train/a.png") == b"backslash"


@pytest.mark.parametrize("name", ["../escape.png", "/etc/passwd", "a/../../b.png", "C:/a.png", "..\\b.png"])
def test_a_member_that_would_leave_its_folder_is_refused_alone(tmp_path: Path, name: str) -> None:
    make_zip(tmp_path / "a.zip", {name: b"x", "good.png": b"y"})
    make_tar(tmp_path / "b.tar", regular({name: b"x", "good.png": b"y"}), "w")
    keys, refused = opened(tmp_path, "*.*/**")
    assert keys == ["a.zip", "a.zip!good.png", "b.tar", "b.tar!good.png"]
    assert refused == {f"a.zip!{name}": Reason.UNSAFE_ARCHIVE, f"b.tar!{name}": Reason.UNSAFE_ARCHIVE}


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    members = [
        special("soft.png", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.png", tarfile.LNKTYPE, "good.png"),
        special("device", tarfile.CHRTYPE),
        special("folder", tarfile.DIRTYPE),
        *regular({"good.png": b"y"}),
    ]
    make_tar(tmp_path / "a.tar", members, "w")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    keys, refused = opened(tmp_path, "*.*/**")
    assert keys == ["a.tar", "a.tar!good.png", "b.zip"]
    assert set(refused) == {"a.tar!soft.png", "a.tar!hard.png", "a.tar!device", "b.zip!link.png"}
    assert set(refused.values()) == {Reason.UNSAFE_ARCHIVE}


def test_a_bomb_is_refused_and_a_blank_mask_is_not(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"bomb.png": bytes(40 << 20), "blank.bmp": bytes(4 << 20)})
    keys, refused = opened(tmp_path, "a.zip/*")
    assert keys == ["a.zip", "a.zip!blank.bmp"]
    assert refused == {"a.zip!bomb.png": Reason.UNSAFE_ARCHIVE}


def test_an_archive_that_is_a_bomb_as_a_whole_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 1 << 10)
    make_tar(tmp_path / "a.tar.gz", regular({"bomb": bytes(4 << 20)}), "w:gz")
    make_zip(tmp_path / "b.zip", {f"{number}.bmp": bytes(1 << 20) for number in range(8)})
    assert opened(tmp_path, "*.*/**") == ([], {"a.tar.gz": Reason.UNSAFE_ARCHIVE, "b.zip": Reason.UNSAFE_ARCHIVE})


def test_more_members_than_the_limit_refuse_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    make_zip(tmp_path / "a.zip")
    make_tar(tmp_path / "b.tar", regular(), "w")
    assert opened(tmp_path, "*.*/**") == ([], {"a.zip": Reason.UNSAFE_ARCHIVE, "b.tar": Reason.UNSAFE_ARCHIVE})


def test_encrypted_members_and_unknown_methods_are_unreadable(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.png": b"x" * 50}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    data = bytearray(make_zip(tmp_path / "b.zip", {"a.png": b"x" * 50}).read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 9  # Deflate64
    (tmp_path / "b.zip").write_bytes(data)
    keys, refused = opened(tmp_path, "*.zip/*")
    assert keys == ["a.zip", "b.zip"]
    assert refused == {"a.zip!a.png": Reason.UNREADABLE_FILE, "b.zip!a.png": Reason.UNREADABLE_FILE}


@pytest.mark.parametrize("name", [name for name in ARCHIVES if name != "images.tar"])
def test_an_archive_cut_short_is_unreadable(tmp_path: Path, name: str) -> None:
    ARCHIVES[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    assert opened(tmp_path, f"{name}/**") == ([], {name: Reason.UNREADABLE_FILE})


@pytest.mark.parametrize("name", list(ARCHIVES))
@pytest.mark.parametrize("data", [b"", b"not an archive" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    keys, refused = opened(tmp_path, f"{name}/**")
    assert keys == []
    assert refused == {name: Reason.UNREADABLE_FILE if data else Reason.EMPTY_FILE}


def test_a_tar_with_a_damaged_header_in_its_middle_does_not_lose_members_in_silence(tmp_path: Path) -> None:
    data = bytearray(make_tar(tmp_path / "a.tar", regular(), "w").read_bytes())
    data[1024:1536] = b"\xff" * 512
    (tmp_path / "a.tar").write_bytes(data)
    assert opened(tmp_path, "a.tar/**") == ([], {"a.tar": Reason.UNREADABLE_FILE})


def test_a_member_with_a_wrong_checksum_is_unreadable_and_the_others_are_not(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"bad.png": b"BADBADBAD", "good.png": b"good"}, zipfile.ZIP_STORED)
    data = (tmp_path / "a.zip").read_bytes().replace(b"BADBADBAD", b"BADBADBAX", 1)
    (tmp_path / "a.zip").write_bytes(data)
    with Reader(tmp_path) as reader:
        with pytest.raises(ArchiveError) as caught:
            reader.read("a.zip", "bad.png")
        assert reader.read("a.zip", "good.png") == b"good"
        with pytest.raises(ArchiveError, match="no such member"):
            reader.read("a.zip", "none.png")
    assert caught.value.refusal.reason is Reason.UNREADABLE_FILE
    with Reader(tmp_path, max_bytes=3) as reader, pytest.raises(ArchiveError) as large:
        reader.read("a.zip", "good.png")
    assert large.value.refusal.reason is Reason.TOO_LARGE


def test_an_archive_within_an_archive_stays_closed(tmp_path: Path) -> None:
    make_zip(tmp_path / "inner.zip")
    make_zip(tmp_path / "a.zip", {"inner.zip": (tmp_path / "inner.zip").read_bytes()})
    (tmp_path / "inner.zip").unlink()
    assert opened(tmp_path, "a.zip/inner.zip/**") == (["a.zip", "a.zip!inner.zip"], {})


def test_a_link_that_hides_behind_a_file_of_the_same_name_takes_it_along(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar", [special("a.png", tarfile.SYMTYPE, "/etc"), *regular({"a.png": b"x"})], "w")
    assert opened(tmp_path, "a.tar/*") == (["a.tar"], {"a.tar!a.png": Reason.UNSAFE_ARCHIVE})
