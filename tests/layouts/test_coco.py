"""COCO: images, categories and annotations tied by ids, and every way in which they fail to be."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.geometry import PlacedBox, PlacedMask, place_box, place_mask
from curate.layouts.base import Record, Refused
from curate.layouts.coco import Coco
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Unit, Verdict
from tests.layouts.scanning import covered, objects, pack, refusals, scan, write

IMAGES: list[Any] = [{"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}, {"id": 8, "file_name": "b.jpg"}]
CATEGORIES: list[Any] = [{"id": 1, "name": "nucleus"}, {"id": 2, "name": "debris"}]
RING = [1, 1, 9, 1, 9, 9, 1.5, 9]


def box(**keys: object) -> dict[str, Any]:
    return {"id": 1, "image_id": 7, "category_id": 1, "bbox": [3, 4, 10, 12.5], **keys}


def document(*annotations: object, images: object = IMAGES, categories: object = CATEGORIES) -> str:
    return json.dumps({"images": images, "categories": categories, "annotations": annotations})


def scan_one(tmp_path: Path, content: str | bytes, **labels: object) -> list[Record | Refused]:
    write(tmp_path, {"images/a.jpg": b"x", "images/b.jpg": b"x", "all.json": content})
    return scan(Coco, tmp_path, "images/*.jpg", files="all.json", **labels)[0]


def test_a_box_is_left_top_width_height_on_the_stated_raster(tmp_path: Path) -> None:
    (found,) = objects(scan_one(tmp_path, document(box())))
    assert (found.kind, found.locator, found.label, found.concept) == (Kind.BOX, "annotations[0]", "nucleus", "nucleus")
    assert (found.coords, found.convention, found.size) == ((3, 4, 10, 12.5), "xywh", (64, 48))


def test_every_listed_image_is_covered_also_where_no_annotation_names_it(tmp_path: Path) -> None:
    units = scan_one(tmp_path, document(box()))
    assert covered(units) == ["a.jpg", "b.jpg"]
    assert [(unit.unit, unit.locator) for unit in units] == [
        (Unit.ROW, "images[0]"),
        (Unit.ROW, "images[1]"),
        (Unit.OBJECT, "annotations[0]"),
    ]


def test_an_image_without_a_stated_size_has_none_to_be_checked(tmp_path: Path) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(image_id=8))))
    assert found.size is None


def test_crowds_are_flagged_and_scores_kept(tmp_path: Path) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(iscrowd=1, score=0.75))))
    assert found.flags == ("crowd",)
    assert found.qualifiers == {"score": "0.75"}


# --- geometry ---


@pytest.mark.parametrize("segmentation", [[RING], RING])
def test_a_polygon_is_taken_before_the_box(tmp_path: Path, segmentation: object) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(segmentation=segmentation))))
    assert (found.kind, found.polygons, found.convention) == (Kind.POLYGON, (tuple(RING),), "continuous")


def test_the_box_is_taken_where_the_card_asks_for_it(tmp_path: Path) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(segmentation=[RING])), geometry="box"))
    assert found.kind is Kind.BOX


@pytest.mark.parametrize("empty", [[], None, {}])
def test_an_empty_segmentation_leaves_the_box(tmp_path: Path, empty: object) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(segmentation=empty))))
    assert found.kind is Kind.BOX


@pytest.mark.parametrize("counts", [[0, 1, 10, 3, 2, 3, 2, 3, 2, 3, 2, 3, 6], "01:2H00000004"])
def test_run_lengths_plain_and_compressed_are_the_same_mask(tmp_path: Path, counts: object) -> None:
    (found,) = objects(scan_one(tmp_path, document(box(segmentation={"size": [5, 8], "counts": counts}))))
    assert (found.kind, found.size) == (Kind.MASK, (8, 5))
    assert found.rle is not None
    placed = place_mask(found.rle, (8, 5), 8, 5)
    assert isinstance(placed, PlacedMask)
    assert (placed.area_px, placed.box) == (16, (0, 0, 7, 4))


@pytest.mark.parametrize(
    "keys",
    [
        {"bbox": None},
        {"bbox": []},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, "4"]},
        {"bbox": [1, 2, 3, True]},
        {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": [1, 2, 3, float("inf")]},
        {"bbox": [1, 2, 3, 10**400]},
        {"bbox": "1 2 3 4"},
        {"segmentation": "RING"},
        {"segmentation": [[]]},
        {"segmentation": [RING, []]},
        {"segmentation": [RING, 3]},
        {"segmentation": [["1", 2, 3, 4, 5, 6]]},
        {"segmentation": {"size": [5, 8]}},
        {"segmentation": {"counts": [40]}},
        {"segmentation": {"size": [5, 8], "counts": [1.5, 38.5]}},
        {"segmentation": {"size": [5, -8], "counts": [40]}},
        {"segmentation": {"size": 5, "counts": [40]}},
    ],
)
def test_a_geometry_that_is_none_refuses_the_object_alone(tmp_path: Path, keys: dict[str, object]) -> None:
    units = scan_one(tmp_path, document(box(), box(**keys), box()))
    assert refusals(units) == [("object", "annotations[1]", "invalid_geometry")]
    assert [found.locator for found in objects(units)] == ["annotations[0]", "annotations[2]"]


def test_an_annotation_without_a_box_may_have_a_polygon(tmp_path: Path) -> None:
    (found,) = objects(scan_one(tmp_path, document({"image_id": 7, "category_id": 1, "segmentation": [RING]})))
    assert found.kind is Kind.POLYGON


# --- ids ---


@pytest.mark.parametrize("category", [9, None, "1", [1], True])
def test_a_category_without_a_name_is_unknown(tmp_path: Path, category: object) -> None:
    units = scan_one(tmp_path, document(box(category_id=category)))
    assert refusals(units) == [("object", "annotations[0]", "unknown_class")]


def test_a_category_id_with_two_names_means_neither(tmp_path: Path) -> None:
    categories = [*CATEGORIES, {"id": 2, "name": "artefact"}, {"id": 1, "name": "nucleus"}]
    units = scan_one(tmp_path, document(box(), box(category_id=2), categories=categories))
    assert refusals(units) == [("object", "annotations[1]", "unknown_class")]


def test_a_category_that_the_card_leaves_out_is_filtered(tmp_path: Path) -> None:
    concepts = {"nucleus": "cell nucleus", "debris": None}
    units = scan_one(tmp_path, document(box(), box(category_id=2)), concepts=concepts)
    assert [found.concept for found in objects(units)] == ["cell nucleus"]
    (filtered,) = [unit for unit in units if isinstance(unit, Refused)]
    assert (filtered.refusal.reason, filtered.refusal.verdict) == (Reason.IGNORED_CLASS, Verdict.FILTERED)


def test_files_without_categories_name_no_class(tmp_path: Path) -> None:
    units = scan_one(tmp_path, document(box(), categories=None))
    assert refusals(units) == [("object", "annotations[0]", "unknown_class")]


@pytest.mark.parametrize("image", [99, None, [7], "7"])
def test_an_annotation_of_no_listed_image_has_none(tmp_path: Path, image: object) -> None:
    units = scan_one(tmp_path, document(box(image_id=image)))
    assert refusals(units) == [("object", "annotations[0]", "image_unavailable")]


def test_an_image_id_with_two_files_means_neither(tmp_path: Path) -> None:
    images = [*IMAGES, {"id": 7, "file_name": "c.jpg"}]
    units = scan_one(tmp_path, document(box(), box(image_id=8), images=images))
    assert refusals(units) == [
        ("row", "images[0]", "invalid_row"),
        ("row", "images[2]", "invalid_row"),
        ("object", "annotations[0]", "image_unavailable"),
    ]
    assert covered(units) == ["b.jpg"]


def test_an_image_that_is_listed_twice_is_one_image(tmp_path: Path) -> None:
    units = scan_one(tmp_path, document(box(), images=[*IMAGES, IMAGES[0]]))
    assert refusals(units) == [("row", "images[2]", "repeated")]
    assert len(objects(units)) == 1


def test_repeated_annotation_ids_lose_nothing(tmp_path: Path) -> None:
    found = objects(scan_one(tmp_path, document(box(id=5), box(id=5, bbox=[0, 0, 2, 2]))))
    assert [annotation.locator for annotation in found] == ["annotations[0]", "annotations[1]"]


@pytest.mark.parametrize(
    "image", [{"id": 9}, {"file_name": "a.jpg"}, {"id": 9, "file_name": ""}, {"id": 9, "file_name": 3}, "a.jpg", None]
)
def test_an_image_without_id_or_name_is_refused(tmp_path: Path, image: object) -> None:
    units = scan_one(tmp_path, document(box(image_id=9), images=[*IMAGES, image]))
    assert refusals(units) == [
        ("row", "images[2]", "missing_value"),
        ("object", "annotations[0]", "image_unavailable"),
    ]


def test_an_annotation_that_is_no_object_is_refused(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, document("box", None))) == [
        ("object", "annotations[0]", "invalid_row"),
        ("object", "annotations[1]", "invalid_row"),
    ]


# --- files ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"{}", "invalid_json"),
        (b'{"images": []}', "invalid_json"),
        (b'{"images": {}, "annotations": []}', "invalid_json"),
        (b'{"images": [], "annotations": null}', "invalid_json"),
        (b"[" * 200_000, "invalid_json"),
    ],
)
def test_a_damaged_file_is_refused_as_a_whole(tmp_path: Path, content: bytes, reason: str) -> None:
    assert refusals(scan_one(tmp_path, content)) == [("file", "", reason)]


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    assert len(objects(scan_one(tmp_path, b"\xef\xbb\xbf" + document(box()).encode()))) == 1


def test_labels_and_images_may_lie_in_one_archive(tmp_path: Path) -> None:
    pack(tmp_path / "all.zip", {"train/a.jpg": b"x", "train/b.jpg": b"x", "train/_annotations.json": document(box())})
    units, images = scan(Coco, tmp_path, "all.zip/**/*.jpg", files="all.zip/**/*.json")
    entries = [images.resolve(unit.image.name, unit.image.near) for unit in units if isinstance(unit, Record)]
    assert [entry.key for entry in entries if isinstance(entry, Entry)] == [
        "all.zip!train/a.jpg",
        "all.zip!train/b.jpg",
        "all.zip!train/a.jpg",
    ]


# --- real files ---


def test_a_real_export_holds_what_its_json_lists(test_data: Callable[[str], Path]) -> None:
    root = test_data("rbc-wbc-coco")
    units, images = scan(Coco, root, "*/*.jpg", files="*/_annotations.coco.json")
    expected: Counter[str] = Counter()
    listed = 0
    for path in root.glob("*/_annotations.coco.json"):
        content = json.loads(path.read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        expected.update(names[annotation["category_id"]] for annotation in content["annotations"])
        listed += len(content["images"])
    assert Counter(found.label for found in objects(units)) == expected
    assert len(covered(units)) == listed == len(list(root.glob("*/*.jpg")))
    assert refusals(units) == []
    for unit in units:
        assert isinstance(unit, Record)
        entry = images.resolve(unit.image.name, unit.image.near)
        assert isinstance(entry, Entry)
        assert entry.folder == unit.file.split("/")[0]


def test_every_box_of_a_real_export_lies_on_its_image(test_data: Callable[[str], Path]) -> None:
    units, _ = scan(Coco, test_data("rbc-wbc-coco"), "*/*.jpg", files="*/_annotations.coco.json")
    for found in objects(units):
        assert found.size == (416, 416)
        assert isinstance(place_box(found.coords, str(found.convention), 416, 416), PlacedBox), found.locator
