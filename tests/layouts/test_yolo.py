"""YOLO text: fractions of the image, a class id first, and an empty file that means none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CardError, DataError
from curate.geometry import PlacedBox, PlacedPolygons, place_box, place_polygons
from curate.layouts.base import Record, Refused
from curate.layouts.tree import Entry, Reader
from curate.layouts.yolo import Yolo
from curate.schema import Kind
from tests.layouts.scanning import context_of, covered, objects, options_of, pack, refusals, scan, write

NAMES = ["erythrocyte", "leukocyte"]


def scan_one(tmp_path: Path, text: str | bytes, **labels: object) -> list[Record | Refused]:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.txt": text})
    return scan(Yolo, tmp_path, "images/*.jpg", files="labels/*.txt", **{"names": NAMES, **labels})[0]


def test_five_values_are_a_box_in_fractions(tmp_path: Path) -> None:
    (box,) = objects(scan_one(tmp_path, "1 0.5 0.5 0.25 0.5\n"))
    assert (box.kind, box.locator, box.label, box.convention) == (Kind.BOX, "line 1", "leukocyte", "yolo")
    assert place_box(box.coords, str(box.convention), 80, 40) == PlacedBox((30, 10, 50, 30), False)


def test_a_sixth_value_is_a_detector_s_score(tmp_path: Path) -> None:
    (box,) = objects(scan_one(tmp_path, "0 0.5 0.5 0.25 0.5 0.875"))
    assert (box.coords, box.qualifiers) == ((0.5, 0.5, 0.25, 0.5), {"score": "0.875"})


def test_pairs_from_the_third_on_are_a_polygon(tmp_path: Path) -> None:
    (polygon,) = objects(scan_one(tmp_path, "0 0.1 0.1 0.9 0.1 0.9 0.9"))
    assert polygon.kind is Kind.POLYGON
    placed = place_polygons(polygon.polygons, str(polygon.convention), 10, 10)
    assert isinstance(placed, PlacedPolygons)
    assert placed.area_px == pytest.approx(32)


def test_an_empty_file_covers_its_image_with_zero_objects(tmp_path: Path) -> None:
    units = scan_one(tmp_path, "")
    assert covered(units) == ["images/a.jpg"]
    assert len(units) == 1


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_say_nothing(tmp_path: Path) -> None:
    units = scan_one(tmp_path, b"\xef\xbb\xbf0 0.5 0.5 0.25 0.5\r\n\r\n  \r\n1 0.5 0.5 0.25 0.5")
    assert [box.locator for box in objects(units)] == ["line 1", "line 4"]
    assert refusals(units) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0", "invalid_row"),
        ("0 0.5 0.5 0.1", "invalid_row"),
        ("0 0.1 0.1 0.9 0.1 0.9 0.9 0.5", "invalid_row"),
        ("0 0.5 a 0.1 0.1", "invalid_row"),
        ("0,0.5,0.5,0.1,0.1", "invalid_row"),
        ("\x00\x00", "invalid_row"),
        ("0 0.5 nan 0.1 0.1", "invalid_geometry"),
        ("0 0.5 inf 0.1 0.1", "invalid_geometry"),
        ("0 1e999 0.5 0.1 0.1", "invalid_geometry"),
        ("0 320 240 50 60", "invalid_geometry"),
        ("0 -0.5 0.5 0.1 0.1", "invalid_geometry"),
        ("0 0.1 0.1 0.9 0.1 0.9 9", "invalid_geometry"),
        ("7 0.5 0.5 0.1 0.1", "unknown_class"),
        ("-1 0.5 0.5 0.1 0.1", "unknown_class"),
        ("0.5 0.5 0.5 0.1 0.1", "unknown_class"),
        ("cell 0.5 0.5 0.1 0.1", "unknown_class"),
    ],
)
def test_a_broken_line_is_refused_alone(tmp_path: Path, line: str, reason: str) -> None:
    units = scan_one(tmp_path, f"0 0.5 0.5 0.25 0.5\n{line}\n1 0.5 0.5 0.25 0.5\n")
    assert refusals(units) == [("object", "line 2", reason)]
    assert [box.locator for box in objects(units)] == ["line 1", "line 3"]


def test_a_file_that_is_no_text_is_refused_as_a_whole(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, b"\x89PNG\xff\xfe")) == [("file", "", "bad_encoding")]


# --- names of classes ---


def test_ids_without_names_count_only_where_the_concepts_list_them(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.25 0.5"
    assert refusals(scan_one(tmp_path, line, names=None)) == [("object", "line 1", "unknown_class")]
    (box,) = objects(scan_one(tmp_path, line, names=None, concepts={0: "erythrocyte"}))
    assert (box.label, box.concept) == ("0", "erythrocyte")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("data.yaml", "train: ../train\nnc: 2\nnames: [erythrocyte, leukocyte]\n"),
        ("data.yml", "names:\n  0: erythrocyte\n  1: leukocyte\n"),
        ("labels/classes.txt", "erythrocyte\nleukocyte\n\n"),
        ("obj.names", "erythrocyte\r\nleukocyte\r\n"),
    ],
)
def test_names_may_stand_in_a_file_of_the_dataset(tmp_path: Path, path: str, content: str) -> None:
    write(tmp_path, {path: content})
    units = scan_one(tmp_path, "1 0.5 0.5 0.25 0.5", names=path)
    assert [box.label for box in objects(units)] == ["leukocyte"]
    assert covered(units) == ["images/a.jpg"]


def test_the_file_of_names_is_read_by_scan_and_is_no_label_file_of_an_image(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.txt": "", "labels/classes.txt": "erythrocyte"})
    labels = {"files": "labels/*.txt", "names": "labels/classes.txt"}
    with Reader(tmp_path) as reader:
        context = context_of(reader, Yolo, tmp_path, "images/*.jpg", labels)
        assert [entry.name for entry in Yolo().label_files(context)] == ["labels/a.txt", "labels/classes.txt"]
        assert [unit.file for unit in Yolo().scan(context)] == ["labels/a.txt"]


def test_a_blank_line_among_the_names_keeps_the_ids_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, {"classes.txt": "erythrocyte\n\nleukocyte"})
    units = scan_one(tmp_path, "2 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5", names="classes.txt")
    assert [box.label for box in objects(units)] == ["leukocyte"]
    assert refusals(units) == [("object", "line 2", "unknown_class")]


@pytest.mark.parametrize("content", ["", "names: 3", "[1, 2", "nc: 2", "names: []", b"\xff\xfe\xff"])
def test_a_file_of_names_without_names_contradicts_the_card(tmp_path: Path, content: str | bytes) -> None:
    write(tmp_path, {"data.yaml": content})
    with pytest.raises(DataError, match=r"data\.yaml holds no names"):
        scan_one(tmp_path, "", names="data.yaml")


def test_a_file_of_names_that_is_not_there_contradicts_the_card(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file lies below the data root"):
        scan_one(tmp_path, "", names="data.yaml")


def test_a_misspelt_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(CardError, match="did you mean `names`"):
        options_of(Yolo, name=["a"])


# --- which image is meant ---


def test_labels_become_images_in_the_path_of_the_same_split(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write(tmp_path, {f"{split}/images/a.b.jpg": b"x", f"{split}/labels/a.b.txt": ""})
    units, _ = scan(Yolo, tmp_path, "*/images/*.jpg", files="*/labels/*.txt", names=NAMES)
    assert covered(units) == ["train/images/a.b.jpg", "valid/images/a.b.jpg"]


def test_the_image_beside_the_label_comes_first(tmp_path: Path) -> None:
    write(tmp_path, {"labels/a.jpg": b"x", "images/a.jpg": b"x", "labels/a.txt": ""})
    assert covered(scan(Yolo, tmp_path, "**/*.jpg", files="labels/*.txt")[0]) == ["labels/a.jpg"]


def test_two_images_of_the_stem_are_ambiguous_and_none_is_missing(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "images/a.png": b"x", "labels/a.txt": "", "labels/c.txt": ""})
    units, images = scan(Yolo, tmp_path, "images/*", files="labels/*.txt")
    results = [images.resolve(unit.image.name, unit.image.near) for unit in units if isinstance(unit, Record)]
    assert [result.reason.value for result in results if not isinstance(result, Entry)] == [
        "ambiguous_image",
        "missing_file",
    ]


def test_labels_and_images_may_lie_in_archives(tmp_path: Path) -> None:
    pack(tmp_path / "all.zip", {"train/images/a.jpg": b"x", "train/labels/a.txt": "0 0.5 0.5 0.5 0.5"})
    units, _ = scan(Yolo, tmp_path, "all.zip/**/*.jpg", files="all.zip/**/*.txt", names=NAMES)
    assert covered(units) == ["all.zip/train/images/a.jpg"]
    assert [box.label for box in objects(units)] == ["erythrocyte"]
    assert units[0].file == "all.zip!train/labels/a.txt"


def test_real_voc_boxes_written_as_yolo_are_read_back(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    import xml.etree.ElementTree as ET

    source = sorted((test_data("bccd") / "BCCD/Annotations").glob("*.xml"))[0]
    corners = [
        [int(thing.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")]
        for thing in ET.parse(source).iter("object")
    ]
    fractions = [
        ((x0 - 1 + x1) / 2 / 640, (y0 - 1 + y1) / 2 / 480, (x1 - x0 + 1) / 640, (y1 - y0 + 1) / 480)
        for x0, y0, x1, y1 in corners
    ]
    lines = [" ".join(["0", *(f"{fraction:.8f}" for fraction in line)]) for line in fractions]
    boxes = objects(scan_one(tmp_path, "\n".join(lines)))
    for (x0, y0, x1, y1), box in zip(corners, boxes, strict=True):
        placed = place_box(box.coords, str(box.convention), 640, 480)
        assert isinstance(placed, PlacedBox)
        assert placed.box == pytest.approx((max(x0 - 1, 0), max(y0 - 1, 0), min(x1, 640), min(y1, 480)), abs=1e-4)
