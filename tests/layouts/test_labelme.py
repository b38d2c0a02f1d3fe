"""Labelme JSON: what each shape says, which polygons are one object, and what a damaged file is refused for."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.geometry import PlacedPolygons, place_polygons
from curate.layouts.base import Record, Refused
from curate.layouts.labelme import Labelme
from curate.layouts.tree import Entry
from curate.schema import Kind, State
from tests.layouts.scanning import covered, objects, refusals, scan, write

SQUARE = [[2, 3], [10, 3], [10, 11], [2, 11]]


def shape(kind: str = "polygon", points: Any = SQUARE, label: Any = "mole", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def document(*shapes: Any, path: Any = "a.jpg") -> str:
    stated = {"imageWidth": 64, "imageHeight": 48, "imageData": None}
    return json.dumps({"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": path, **stated})


def scan_one(tmp_path: Path, text: str | bytes, **labels: object) -> list[Record | Refused]:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.json": text})
    return scan(Labelme, tmp_path, "images/*.jpg", files="labels/*.json", **labels)[0]


def test_a_polygon_is_written_on_the_raster_itself(tmp_path: Path) -> None:
    (mole,) = objects(scan_one(tmp_path, document(shape()), concepts={"mole": "naevus"}))
    assert (mole.kind, mole.locator, mole.label, mole.concept) == (Kind.POLYGON, "shapes[0]", "mole", "naevus")
    assert (mole.convention, mole.size, mole.state) == ("continuous", (64, 48), State.PRESENT)
    placed = place_polygons(mole.polygons, str(mole.convention), 64, 48)
    assert isinstance(placed, PlacedPolygons)
    assert placed.area_px == pytest.approx(64)


def test_a_rectangle_is_a_box_whichever_corners_were_drawn(tmp_path: Path) -> None:
    drawn = [shape("rectangle", points) for points in ([[10, 11], [2, 3]], [[2, 11], [10, 3]], SQUARE)]
    assert {(box.kind, box.coords, box.convention) for box in objects(scan_one(tmp_path, document(*drawn)))} == {
        (Kind.BOX, (2, 3, 10, 11), "xyxy")
    }


def test_a_circle_has_the_area_of_its_radius(tmp_path: Path) -> None:
    (circle,) = objects(scan_one(tmp_path, document(shape("circle", [[30, 20], [30, 30]]))))
    placed = place_polygons(circle.polygons, str(circle.convention), 64, 48)
    assert isinstance(placed, PlacedPolygons)
    assert placed.area_px == pytest.approx(314.16, rel=0.003)


def test_a_point_is_a_place_on_the_raster(tmp_path: Path) -> None:
    (point,) = objects(scan_one(tmp_path, document(shape("point", [[3.5, 4.25]]))))
    assert (point.kind, point.coords, point.convention) == (Kind.POINT, (3.5, 4.25), "continuous")


def test_polygons_of_one_label_and_group_are_one_object(tmp_path: Path) -> None:
    other = [[20, 20], [30, 20], [30, 30]]
    parts = [shape(group_id=1), shape(points=other, group_id=1), shape(group_id=2), shape(label="hair", group_id=1)]
    found = objects(scan_one(tmp_path, document(*parts)))
    assert [(one.locator, one.label, len(one.polygons)) for one in found] == [
        ("shapes[0]", "mole", 2),
        ("shapes[2]", "mole", 1),
        ("shapes[3]", "hair", 1),
    ]


def test_a_file_without_shapes_says_that_there_is_nothing(tmp_path: Path) -> None:
    units = scan_one(tmp_path, document())
    assert covered(units) == ["a.jpg"]
    assert objects(units) == []


@pytest.mark.parametrize("path", ["..\\images\\a.jpg", "../images/a.jpg", "renamed.jpg", "", None])
def test_the_image_is_that_of_the_path_else_that_of_the_stem(path: str | None, tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.json": document(shape(), path=path)})
    units, images = scan(Labelme, tmp_path, "images/*.jpg", files="labels/*.json")
    assert all(isinstance(unit, Record) for unit in units)
    named = {unit.image for unit in units if isinstance(unit, Record)}
    found = [images.resolve(image.name, image.near) for image in named if image is not None]
    assert [entry.name for entry in found if isinstance(entry, Entry)] == ["images/a.jpg"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (shape("line", [[1, 2], [3, 4]]), "invalid_geometry"),
        (shape("mask", [[1, 2], [3, 4]], mask="iVBOR"), "invalid_geometry"),
        (shape(points=[[1, 2], [3, "x"], [4, 5]]), "invalid_geometry"),
        (shape(points=[]), "invalid_geometry"),
        (shape(label="  "), "missing_value"),
        (shape(label=None), "missing_value"),
        (shape(label="nail"), "unknown_class"),
        ("no shape", "invalid_row"),
    ],
)
def test_a_broken_shape_is_refused_alone(broken: Any, reason: str, tmp_path: Path) -> None:
    units = scan_one(tmp_path, document(shape(), broken), concepts={"mole": "naevus"})
    assert refusals(units) == [("object", "shapes[1]", reason)]
    assert len(objects(units)) == 1


@pytest.mark.parametrize(
    ("text", "reason"), [("", "empty_file"), ("{", "invalid_json"), ('{"shapes": []}', "invalid_json")]
)
def test_a_file_that_is_none_of_labelme_s_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, text)) == [("file", "", reason)]
