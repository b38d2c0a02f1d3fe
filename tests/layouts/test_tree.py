"""A data root is a listing of every file, member and embedded image, and a label finds its one image in it."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import DataError
from curate.layouts.image_index import ImageIndex
from curate.layouts.tree import ArchiveError, Entry, Reader, Tree
from curate.schema import Reason, Refusal


def put(root: Path, *paths: str, data: bytes = b"x") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def reasons(tree: Tree) -> dict[str, Reason]:
    return {key: refusal.reason for key, refusal in tree.refusals}


# patterns


def test_patterns_follow_the_rules_of_the_cards(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "x/a.png", "x/y/a.PNG", "x/y/b1.png", "x/y/bz.png", "scan[1].png")
    tree = Tree.scan(tmp_path)
    assert names(tree.match(["*.png"])) == ["a.png", "scan[1].png"]
    assert names(tree.match(["**/*.png"])) == ["a.png", "scan[1].png", "x/a.png", "x/y/b1.png", "x/y/bz.png"]
    assert names(tree.match(["x/**/a.png"])) == ["x/a.png"]
    assert names(tree.match(["x/**"])) == ["x/a.png", "x/y/a.PNG", "x/y/b1.png", "x/y/bz.png"]
    assert names(tree.match(["x/y/b[0-9].png"])) == ["x/y/b1.png"]
    assert names(tree.match(["x/y/b[!0-9].png"])) == ["x/y/bz.png"]
    assert names(tree.match(["x/?.png"])) == ["x/a.png"]
    assert names(tree.match(["scan[[]1].png"])) == ["scan[1].png"]


def test_a_file_that_two_patterns_match_stands_once(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.png")
    assert names(Tree.scan(tmp_path).match(["*.png", "a.*"])) == ["a.png", "b.png"]


def test_a_template_says_what_its_names_stand_for(test_data: Callable[[str], Path]) -> None:
    tree = Tree.scan(test_data("bccd"))
    found = tree.match_template("BCCD/ImageSets/Main/{split}.txt")
    assert [values["split"] for _, values in found] == ["test", "train", "trainval", "val"]


def test_a_name_that_stands_twice_in_a_template_means_the_same_twice(tmp_path: Path) -> None:
    put(tmp_path, "p1/p1.txt", "p1/p2.txt")
    found = Tree.scan(tmp_path).match_template("{id}/{id}.txt")
    assert [entry.path for entry, _ in found] == ["p1/p1.txt"]


def test_real_folders_are_listed_whole(test_data: Callable[[str], Path]) -> None:
    tree = Tree.scan(test_data("bccd"))
    assert len(tree.match(["BCCD/JPEGImages/*.jpg"])) == 180
    assert list(tree.entries) == sorted(tree.entries)
    assert not tree.refusals


# what is not a plain file


def test_a_missing_root_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data folder"):
        Tree.scan(tmp_path / "nowhere")
    put(tmp_path, "file")
    with pytest.raises(DataError, match="not a folder"):
        Tree.scan(tmp_path / "file")


def test_empty_files_are_listed_with_zero_bytes(tmp_path: Path) -> None:
    put(tmp_path, "a.png", data=b"")
    assert Tree.scan(tmp_path).entries == (Entry("a.png", None, 0),)


def test_links_count_as_long_as_they_stay_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, "annex/a.png")
    put(tmp_path, "secret.png")
    (root / "a.png").symlink_to("annex/a.png")
    (root / "stolen.png").symlink_to("../secret.png")
    (root / "broken.png").symlink_to("annex/none.png")
    (root / "loop").symlink_to(".")
    (root / "self").symlink_to("self")
    (root / "again").symlink_to("annex")
    tree = Tree.scan(root)
    assert names(list(tree.entries)) == ["a.png", "again/a.png", "annex/a.png"]
    assert reasons(tree) == {
        "broken.png": Reason.UNREADABLE_FILE,
        "loop": Reason.UNREADABLE_FILE,
        "self": Reason.UNREADABLE_FILE,
        "stolen.png": Reason.OUTSIDE_ROOT,
    }


def test_pipes_are_refused_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert reasons(Tree.scan(tmp_path)) == {"pipe.png": Reason.UNREADABLE_FILE}
    with Reader(tmp_path) as reader, pytest.raises(ArchiveError, match="not a regular file"):
        reader.read("pipe.png")


def test_a_file_name_that_is_not_utf8_is_refused_by_a_printable_key(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert reasons(Tree.scan(tmp_path)) == {"caf\\udce9.png": Reason.BAD_ENCODING}


# reading


def test_a_reader_gives_files_and_refuses_what_lies_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, "a.png", data=b"abc")
    put(tmp_path, "secret")
    with Reader(root) as reader:
        assert reader.read("a.png") == b"abc"
        with pytest.raises(ArchiveError, match="leaves the data root"):
            reader.read("../secret")
        with pytest.raises(FileNotFoundError):
            reader.read("b.png")
    with Reader(root, max_bytes=2) as reader, pytest.raises(ArchiveError) as caught:
        reader.read("a.png")
    assert caught.value.refusal.reason is Reason.TOO_LARGE


def test_more_archives_than_stay_open_can_be_read(tmp_path: Path) -> None:
    for number in range(12):
        with zipfile.ZipFile(tmp_path / f"{number:02}.zip", "w") as archive:
            archive.writestr("a", str(number))
    tree = Tree.scan(tmp_path, ["*.zip/*"])
    with Reader(tmp_path) as reader:
        read = [reader.read(entry.path, entry.member) for entry in tree.match(["*.zip/a"]) * 2]
    assert read == [str(number).encode() for number in range(12)] * 2


# embedded images


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    cells = [{"bytes": b"image %d" % number, "path": f"{number}.png"} for number in range(11)]
    cells[3] = {"bytes": None, "path": "3.png"}
    pq.write_table(pa.table({"image": cells, "label": list(range(11))}), tmp_path / "a.parquet", row_group_size=4)
    pq.write_table(pa.table({"image": [b"plain"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"image": ["text"]}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"label": [1]}), tmp_path / "d.parquet")
    put(tmp_path, "e.parquet", data=b"PAR1 not at all")
    return tmp_path


def test_rows_of_parquet_are_entries_in_the_order_of_the_rows(parquet: Path) -> None:
    tree, rows = Tree.scan(parquet).with_embedded(["*.parquet"], "image")
    assert [entry.key for entry in rows] == [*(f"a.parquet!row={number}" for number in range(11)), "b.parquet!row=0"]
    assert all(entry.bytes > 0 for entry in rows)
    assert [entry.row for entry in rows] == [*range(11), 0]
    assert names(list(tree.entries)) == ["a.parquet", "b.parquet"]
    assert reasons(tree) == {
        "c.parquet": Reason.UNSUPPORTED_FORMAT,
        "d.parquet": Reason.MISSING_COLUMN,
        "e.parquet": Reason.UNREADABLE_FILE,
    }


def test_the_image_of_a_row_is_its_bytes(parquet: Path) -> None:
    with Reader(parquet, column="image") as reader:
        assert reader.read("a.parquet", "row=10") == b"image 10"
        assert reader.read("a.parquet", "row=0") == b"image 0"
        assert reader.read("b.parquet", "row=0") == b"plain"
        with pytest.raises(ArchiveError) as empty:
            reader.read("a.parquet", "row=3")
        with pytest.raises(ArchiveError) as beyond:
            reader.read("a.parquet", "row=11")
    assert empty.value.refusal.reason is Reason.EMPTY_FILE
    assert beyond.value.refusal.reason is Reason.MISSING_FILE


# names of images


def index(*paths: str) -> ImageIndex:
    return ImageIndex([Entry(path, None, 1) for path in paths])


def found(answer: Entry | Refusal) -> str | Reason:
    return answer.reason if isinstance(answer, Refusal) else answer.name


@pytest.mark.parametrize(
    ("name", "near", "expected"),
    [
        ("train/a.png", "", "train/a.png"),
        ("./train/a.png", "", "train/a.png"),
        ("train\\a.png", "", "train/a.png"),
        ("a.png", "valid", "valid/a.png"),
        ("../train/a.png", "valid", "train/a.png"),
        ("only.png", "", "train/deep/only.png"),
        ("only", "", "train/deep/only.png"),
        ("only.jpg", "", "train/deep/only.png"),
        ("deep/only.png", "", "train/deep/only.png"),
        ("train/a.jpg", "", "train/a.png"),
        ("valid/a", "", "valid/a.png"),
        ("https://example.org/images/train/a.png", "", "train/a.png"),
        ("root/train/a.png", "", "train/a.png"),
        ("/home/somebody/else/a.png", "", Reason.MISSING_FILE),
        ("/home/somebody/data/train/a.png", "", "train/a.png"),
        ("C:\\Users\\somebody\\deep\\only.png", "", "train/deep/only.png"),
        ("a.png", "", Reason.AMBIGUOUS_IMAGE),
        ("/home/somebody/only.png", "", Reason.MISSING_FILE),
        ("test/a.png", "", Reason.MISSING_FILE),
        ("b.png", "", Reason.MISSING_FILE),
        ("", "", Reason.MISSING_FILE),
        ("..", "", Reason.MISSING_FILE),
        ("../../etc/passwd", "", Reason.OUTSIDE_ROOT),
        ("../../../train/a.png", "labels/deep", Reason.OUTSIDE_ROOT),
    ],
)
def test_a_label_finds_its_image(name: str, near: str, expected: str | Reason) -> None:
    images = index("train/a.png", "valid/a.png", "train/deep/only.png")
    assert found(images.resolve(name, near)) == expected


def test_a_file_name_in_another_folder_is_not_the_named_image() -> None:
    images = index("xmlab0/source.jpg")
    assert found(images.resolve("xmlab1/source.jpg")) is Reason.MISSING_FILE


def test_the_number_at_the_end_of_a_uid_is_not_an_extension() -> None:
    images = index("1.2.840.1", "1.2.840.2.dcm", "1.2.dcm")
    assert found(images.resolve("1.2.840.1")) == "1.2.840.1"
    assert found(images.resolve("1.2.840.2")) == "1.2.840.2.dcm"
    assert found(images.resolve("1.2.3")) is Reason.MISSING_FILE


def test_a_file_name_in_another_folder_of_another_machine_is_another_image() -> None:
    images = index("valid/1.png", "valid/2.png")
    assert found(images.resolve("/home/me/ds/valid/1.png")) == "valid/1.png"
    assert found(images.resolve("/home/me/ds/train/1.png")) is Reason.MISSING_FILE
    assert found(images.resolve("train/2.png")) is Reason.MISSING_FILE


def test_only_an_absolute_name_means_an_image_in_the_root_itself() -> None:
    images = index("1.png")
    assert found(images.resolve("left/1.png")) is Reason.MISSING_FILE
    assert found(images.resolve("https://example.org/1.png")) == "1.png"


def test_of_images_that_share_an_ending_the_whole_path_is_meant() -> None:
    images = index("valid/1.png", "x/valid/1.png")
    assert found(images.resolve("/b/valid/1.png")) == "valid/1.png"
    assert found(images.resolve("/b/x/valid/1.png")) == "x/valid/1.png"


def test_the_images_that_an_ambiguous_name_fits_are_told() -> None:
    images = index("a/1.png", "b/1.png", "b/2.png")
    assert [entry.name for entry in images.candidates("1.png") if isinstance(entry, Entry)] == ["a/1.png", "b/1.png"]


def test_a_stem_that_fits_two_images_is_ambiguous() -> None:
    assert found(index("a.png", "a.jpg").resolve("a")) is Reason.AMBIGUOUS_IMAGE


def test_composed_and_decomposed_letters_are_the_same_name() -> None:
    assert found(index("u\u0308ber.png").resolve("\u00fcber.png")) == "u\u0308ber.png"


def test_members_of_archives_are_found_like_files() -> None:
    images = ImageIndex([Entry("images.zip", "train/a.png", 1)])
    assert found(images.resolve("a.png")) == "images.zip/train/a.png"
    assert found(images.resolve("train/a.png")) == "images.zip/train/a.png"


def test_many_images_of_one_file_name_are_found_by_their_folders() -> None:
    images = ImageIndex([Entry(f"case{number}/source.jpg", None, 1) for number in range(20_000)])
    assert all(
        found(images.resolve(f"/data/imgs/case{number}/source.jpg")) == f"case{number}/source.jpg"
        for number in range(20_000)
    )
