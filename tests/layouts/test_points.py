"""Points: one a line, in a convention that the card states."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CardError
from curate.geometry import PlacedPoint, place_point
from curate.layouts.base import Record, Refused
from curate.layouts.points import Points
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, State, Unit
from tests.layouts.scanning import covered, objects, options_of, pack, refusals, scan, write


def scan_one(tmp_path: Path, text: str | bytes, **labels: object) -> list[Record | Refused]:
    write(tmp_path, {"images/a.jpg": b"x", "points/a.txt": text})
    return scan(Points, tmp_path, "images/*.jpg", files="points/*.txt", **{"names": {0: "normal cell"}, **labels})[0]


def test_a_line_is_a_point_at_the_centre_of_a_pixel(tmp_path: Path) -> None:
    (point,) = objects(scan_one(tmp_path, "594 95 0\n"))
    assert (point.kind, point.locator, point.label, point.state) == (
        Kind.POINT,
        "line 1",
        "normal cell",
        State.PRESENT,
    )
    assert place_point(point.coords, str(point.convention), 640, 480) == PlacedPoint((594.5, 95.5), False)


@pytest.mark.parametrize("convention", ["index", "index1", "continuous", "normalised"])
def test_the_card_states_what_the_numbers_mean(tmp_path: Path, convention: str) -> None:
    (point,) = objects(scan_one(tmp_path, "0.5 0.25 0", convention=convention))
    assert (point.coords, point.convention) == ((0.5, 0.25), convention)


def test_an_empty_file_covers_its_image_with_zero_points(tmp_path: Path) -> None:
    units = scan_one(tmp_path, "\n")
    assert covered(units) == ["a"]
    assert len(units) == 1


def test_columns_may_stand_in_any_order_and_the_rest_are_qualifiers(tmp_path: Path) -> None:
    columns = ["label", "y", "x", "reader"]
    units = scan_one(tmp_path, "label;y;x;reader\nmitosis; 20; 10; B\n", columns=columns, separator=";", names=None)
    (point,) = objects(units)
    assert (point.label, point.coords, point.qualifiers) == ("mitosis", (10, 20), {"reader": "B"})
    assert refusals(units) == []


def test_points_need_no_label(tmp_path: Path) -> None:
    (point,) = objects(scan_one(tmp_path, "3 4", columns=["x", "y"]))
    assert (point.label, point.concept, point.state) == (None, None, State.PRESENT)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("3 4", "invalid_row"),
        ("3 4 0 0", "invalid_row"),
        ("3,4,0", "invalid_row"),
        ("x y 0", "invalid_row"),
        ("\x00", "invalid_row"),
        ("nan 4 0", "invalid_geometry"),
        ("3 -inf 0", "invalid_geometry"),
        ("3 1e999 0", "invalid_geometry"),
        ("3 4 12", "unknown_class"),
        ("3 4 cell", "unknown_class"),
    ],
)
def test_a_broken_line_is_refused_alone(tmp_path: Path, line: str, reason: str) -> None:
    units = scan_one(tmp_path, f"1 1 0\n{line}\n2 2 0")
    assert refusals(units) == [("object", "line 2", reason)]
    assert [point.locator for point in objects(units)] == ["line 1", "line 3"]


def test_an_empty_label_cell_is_missing(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, "3,4,", separator=",")) == [("object", "line 1", "missing_value")]


def test_a_bare_number_is_no_name_of_a_class(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, "3 4 5", names=None)) == [("object", "line 1", "unknown_class")]
    (point,) = objects(scan_one(tmp_path, "3 4 5", names=None, concepts={5: "schistocyte"}))
    assert point.concept == "schistocyte"


def test_a_file_that_is_no_text_is_refused_as_a_whole(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, b"\xff\xd8\xff")) == [("file", "", "bad_encoding")]


def test_points_may_lie_in_an_archive(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x"})
    pack(tmp_path / "points.zip", {"a.txt": "1 1 cell"})
    units, images = scan(Points, tmp_path, "images/*.jpg", files="points.zip/*.txt")
    assert [unit.file for unit in units] == ["points.zip!a.txt"] * 2
    assert isinstance(images.resolve(units[0].image.name, units[0].image.near), Entry)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["x", "label"]}, "names x and y"),
        ({"columns": ["x", "y", "y"]}, "each column once"),
        ({"convention": "voc"}, "convention of points"),
        ({"convention": "pixels"}, "pixels"),
        ({"separator": ""}, "separator"),
        ({"seperator": ","}, "did you mean `separator`"),
    ],
)
def test_a_card_that_contradicts_itself_is_told_so(options: dict[str, object], message: str) -> None:
    with pytest.raises(CardError, match=message):
        options_of(Points, **options)


def test_chula_holds_one_cell_a_line(test_data: Callable[[str], Path]) -> None:
    root = test_data("chula-rbc-12-points")
    names = {number: f"type {number}" for number in range(13)}
    units, images = scan(Points, root, "Dataset/*.jpg", files="Label/*.txt", names=names)
    files = sorted((root / "Label").glob("*.txt"))
    lines = [line.split() for path in files for line in path.read_text().splitlines() if line.strip()]
    assert Counter(point.label for point in objects(units)) == Counter(f"type {line[2]}" for line in lines)
    assert refusals(units) == []
    assert len(covered(units)) == len(files)
    stems = {path.stem for path in (root / "Dataset").glob("*.jpg")}
    resolved = [
        images.resolve(unit.image.name, unit.image.near)
        for unit in units
        if isinstance(unit, Record) and unit.unit is Unit.FILE
    ]
    assert sum(isinstance(entry, Entry) for entry in resolved) == len({path.stem for path in files} & stems)
    assert {entry.reason for entry in resolved if not isinstance(entry, Entry)} <= {Reason.MISSING_FILE}
