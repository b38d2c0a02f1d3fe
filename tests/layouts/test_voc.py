"""Pascal VOC: what each `<object>` says, and what a damaged one is refused for."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CardError
from curate.geometry import PlacedBox, place_box
from curate.layouts.base import Record, Refused
from curate.layouts.tree import Entry
from curate.layouts.voc import Voc
from curate.schema import Kind, Reason, State, Unit
from tests.layouts.scanning import covered, objects, options_of, pack, refusals, scan, write

BOX = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>10</xmax><ymax>12</ymax></bndbox>"
CELL = f"<object><name>RBC</name>{BOX}</object>"


def annotation(*parts: str, filename: str = "a.jpg", size: tuple[int, int] = (64, 48)) -> str:
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{filename}</filename>{stated}{''.join(parts)}</annotation>"


def scan_one(tmp_path: Path, xml: str | bytes, **labels: object) -> list[Record | Refused]:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.xml": xml})
    return scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml", **labels)[0]


def test_an_object_is_one_box_in_the_source_s_own_words(tmp_path: Path) -> None:
    (box,) = objects(
        scan_one(tmp_path, annotation(CELL), concepts={"RBC": {"name": "erythrocyte", "code": "41898006"}})
    )
    assert (box.kind, box.locator, box.label, box.concept, box.code) == (
        Kind.BOX,
        "object[0]",
        "RBC",
        "erythrocyte",
        "41898006",
    )
    assert (box.coords, box.convention, box.size, box.state) == ((3, 4, 10, 12), "voc", (64, 48), State.PRESENT)


def test_the_file_covers_its_image_and_the_objects_do_not(tmp_path: Path) -> None:
    units = scan_one(tmp_path, annotation(CELL, CELL))
    assert [(unit.unit, unit.covers) for unit in units if isinstance(unit, Record)] == [
        (Unit.FILE, True),
        (Unit.OBJECT, False),
        (Unit.OBJECT, False),
    ]


def test_a_file_without_objects_says_that_there_is_nothing(tmp_path: Path) -> None:
    units = scan_one(tmp_path, annotation())
    assert covered(units) == ["a.jpg"]
    assert objects(units) == []


def test_zero_based_boxes_have_their_own_convention(tmp_path: Path) -> None:
    (box,) = objects(scan_one(tmp_path, annotation(CELL), zero_based=True))
    assert box.convention == "voc0"


def test_a_size_of_zero_is_unknown(tmp_path: Path) -> None:
    (box,) = objects(scan_one(tmp_path, annotation(CELL, size=(0, 0))))
    assert box.size is None


def test_difficult_truncated_and_occluded_are_flags_where_they_are_set(tmp_path: Path) -> None:
    flags = "<difficult>1</difficult><truncated>0</truncated><occluded> 1 </occluded>"
    cell = f"<object><name>RBC</name>{flags}{BOX}</object>"
    (box,) = objects(scan_one(tmp_path, annotation(cell)))
    assert box.flags == ("difficult", "occluded")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("<object><name>RBC</name></object>", "invalid_geometry"),
        (CELL.replace("<xmin>3</xmin>", ""), "invalid_geometry"),
        (CELL.replace(">3<", ">three<"), "invalid_geometry"),
        (CELL.replace(">3<", ">nan<"), "invalid_geometry"),
        (CELL.replace(">3<", "> <"), "invalid_geometry"),
        (CELL.replace(">3<", ">1_0<"), "invalid_geometry"),
        (CELL.replace(">3<", ">1e999<"), "invalid_geometry"),
        (f"<object>{BOX}</object>", "missing_value"),
        (CELL.replace("RBC", "Blast"), "unknown_class"),
        (CELL.replace("RBC", "Artefact"), "ignored_class"),
    ],
)
def test_a_broken_object_is_refused_alone(tmp_path: Path, broken: str, reason: str) -> None:
    units = scan_one(tmp_path, annotation(CELL, broken, CELL), concepts={"RBC": "erythrocyte", "Artefact": None})
    assert refusals(units) == [("object", "object[1]", reason)]
    assert [box.locator for box in objects(units)] == ["object[0]", "object[2]"]


def test_a_part_of_an_object_is_not_its_box(tmp_path: Path) -> None:
    part = f"<object><name>RBC</name><part><name>rim</name>{BOX}</part></object>"
    assert refusals(scan_one(tmp_path, annotation(part))) == [("object", "object[0]", "invalid_geometry")]


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "empty_file"),
        ("<annotation><object></annotation>", "invalid_xml"),
        ("not xml", "invalid_xml"),
        ("<html/>", "invalid_xml"),
        (f"<!DOCTYPE annotation>{annotation(CELL)}", "invalid_xml"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>', "invalid_xml"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "invalid_xml"),
        ("<annotation>&undefined;</annotation>", "invalid_xml"),
        (b"<?xml version='1.0' encoding='no-such-code'?><annotation/>", "invalid_xml"),
        (b"<annotation>\xff\xfe\x00</annotation>", "invalid_xml"),
        ("<a>" * 100_000, "invalid_xml"),
        ("<a>" * 100_000 + "</a>" * 100_000, "invalid_xml"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_as_a_whole(tmp_path: Path, xml: str | bytes, reason: str) -> None:
    units = scan_one(tmp_path, xml)
    assert refusals(units) == [("file", "", reason)]
    assert len(units) == 1


def test_a_refusal_says_where_the_xml_breaks(tmp_path: Path) -> None:
    (unit,) = scan_one(tmp_path, "<annotation>\n<object>\n</annotation>")
    assert isinstance(unit, Refused)
    assert unit.refusal.detail == "line 3: mismatched tag"


# --- which image is meant ---


def found(units: list[Record | Refused], images: object) -> list[str]:
    return [
        entry.name
        for unit in units
        if isinstance(unit, Record) and unit.covers
        for entry in [images.resolve(unit.image.name, unit.image.near)]
        if isinstance(entry, Entry)
    ]


def test_an_absolute_path_of_somebody_else_s_machine_counts_by_its_end(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.xml": annotation(filename=r"C:\data\images\a.jpg")})
    assert found(*scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml")) == ["images/a.jpg"]


def test_where_no_image_has_the_filename_the_stem_of_the_xml_counts(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.xml": annotation(filename="export_0001.png")})
    assert found(*scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml")) == ["images/a.jpg"]
    assert found(*scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml", image_from="filename")) == []


def test_the_stem_counts_alone_where_the_card_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "images/b.jpg": b"x", "labels/a.xml": annotation(filename="b.jpg")})
    assert found(*scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml")) == ["images/b.jpg"]
    assert found(*scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml", image_from="stem")) == ["images/a.jpg"]


def test_a_file_that_must_name_its_image_and_does_not_is_refused(tmp_path: Path) -> None:
    assert refusals(scan_one(tmp_path, "<annotation/>", image_from="filename")) == [("file", "", "missing_value")]
    assert covered(scan_one(tmp_path, "<annotation/>")) == ["a"]


def test_the_same_name_in_two_splits_is_the_one_beside_the_xml(tmp_path: Path) -> None:
    folder = "<folder>JPEGImages</folder>"
    for split in ("train", "valid"):
        write(tmp_path, {f"{split}/JPEGImages/a.jpg": b"x", f"{split}/Annotations/a.xml": annotation(folder)})
    images = found(*scan(Voc, tmp_path, "*/JPEGImages/*.jpg", files="*/Annotations/*.xml"))
    assert images == ["train/JPEGImages/a.jpg", "valid/JPEGImages/a.jpg"]


def test_a_name_that_climbs_out_of_the_root_is_not_saved_by_the_stem(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "labels/a.xml": annotation(filename="../../../etc/a.png")})
    units, images = scan(Voc, tmp_path, "images/*.jpg", files="labels/*.xml")
    (unit,) = units
    assert isinstance(unit, Record)
    refusal = images.resolve(unit.image.name, unit.image.near)
    assert not isinstance(refusal, Entry)
    assert refusal.reason is Reason.OUTSIDE_ROOT


def test_labels_and_images_may_lie_in_archives(tmp_path: Path) -> None:
    pack(tmp_path / "labels.zip", {"xml/a.xml": annotation(CELL)})
    pack(tmp_path / "images.zip", {"train/a.jpg": b"x"})
    units, images = scan(Voc, tmp_path, "images.zip/**/*.jpg", files="labels.zip/**/*.xml")
    assert found(units, images) == ["images.zip/train/a.jpg"]
    assert {unit.file for unit in units} == {"labels.zip!xml/a.xml"}


def test_a_misspelt_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(CardError, match="did you mean `zero_based`"):
        options_of(Voc, zerobased=True)


# --- real files ---


def test_bccd_as_a_regular_expression_counts_it(test_data: Callable[[str], Path]) -> None:
    root = test_data("bccd")
    units, images = scan(
        Voc,
        root,
        "BCCD/JPEGImages/*.jpg",
        files="BCCD/Annotations/*.xml",
        concepts={"RBC": "erythrocyte", "WBC": "leukocyte", "Platelets": "platelet"},
    )
    texts = [path.read_text() for path in sorted((root / "BCCD/Annotations").glob("*.xml"))]
    names = Counter(name for text in texts for name in re.findall(r"<object>\s*<name>([^<]*)</name>", text))
    assert Counter(box.label for box in objects(units)) == names
    assert len(covered(units)) == len(texts)
    assert len(found(units, images)) == len(list((root / "BCCD/JPEGImages").glob("*.jpg")))
    assert refusals(units) == []


def test_boxes_of_bccd_lie_on_their_images(test_data: Callable[[str], Path]) -> None:
    units, _ = scan(Voc, test_data("bccd"), "BCCD/JPEGImages/*.jpg", files="BCCD/Annotations/*.xml")
    placed = [place_box(box.coords, str(box.convention), 640, 480) for box in objects(units)]
    refused = [result for result in placed if not isinstance(result, PlacedBox)]
    assert {result.reason for result in refused} <= {Reason.INVALID_GEOMETRY, Reason.OUTSIDE_IMAGE}
    assert len(refused) < 0.01 * len(placed)
