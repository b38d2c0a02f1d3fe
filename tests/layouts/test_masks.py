"""Masks: the paths say which image, which class and how a file is to be split; no pixel is opened."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CardError
from curate.layouts.base import RawMask, Record, Refused
from curate.layouts.masks import Masks
from curate.layouts.tree import Entry, Reader
from curate.schema import Kind, Reason, State, Unit, Verdict
from tests.layouts.scanning import context_of, covered, objects, options_of, pack, refusals, scan, write

PIXELS = b"not a picture: this layout must not look"


def test_one_file_is_one_object_that_covers_its_image(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "images/*.png", files="masks/*.png", per="file", label="nucleus")
    (mask,) = objects(units)
    assert (mask.kind, mask.label, mask.state, mask.locator) == (Kind.MASK, "nucleus", State.PRESENT, "mask")
    assert mask.mask == RawMask("masks/a.png", None, None)
    assert covered(units) == ["images/a.png"]
    assert [(unit.unit, unit.file) for unit in units] == [(Unit.OBJECT, "masks/a.png")]


def test_an_image_without_a_mask_file_is_not_covered(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "images/b.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "images/*.png", files="masks/*.png", per="file", label="nucleus")
    assert covered(units) == ["images/a.png"]


def test_the_pattern_s_groups_fill_the_image_s_path_and_name_the_class(tmp_path: Path) -> None:
    write(tmp_path, {"img/p1_3.png": PIXELS, "seg/p1/3_tumour.png": PIXELS, "seg/p1/3_vessel.png": PIXELS})
    units, images = scan(
        Masks,
        tmp_path,
        "img/*.png",
        files="seg/**/*.png",
        per="file",
        pattern=r"(?P<patient>p\d+)/(?P<slice>\d+)_(?P<label>\w+)\.png$",
        image="img/{patient}_{slice}.png",
        concepts={"tumour": {"name": "neoplasm"}, "vessel": None},
    )
    assert [(mask.label, mask.concept) for mask in objects(units)] == [("tumour", "neoplasm")]
    assert [unit.image.name for unit in units if unit.image] == ["img/p1_3.png"] * 2
    assert isinstance(images.resolve("img/p1_3.png"), Entry)
    (ignored,) = [unit for unit in units if isinstance(unit, Refused)]
    assert (ignored.refusal.reason, ignored.refusal.verdict) == (Reason.IGNORED_CLASS, Verdict.FILTERED)


def test_a_path_that_the_pattern_does_not_fit_is_refused_aloud(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a_seg.png": PIXELS, "masks/b.png": PIXELS})
    units, _ = scan(
        Masks,
        tmp_path,
        "images/*.png",
        files="masks/*.png",
        per="file",
        label="x",
        pattern=r"masks/(?P<id>.+)_seg",
        image="images/{id}.png",
    )
    (refused,) = [unit for unit in units if isinstance(unit, Refused)]
    assert refused.file == "masks/b.png"
    assert (refused.refusal.reason, refused.refusal.verdict) == (Reason.UNCLAIMED_FILE, Verdict.REJECTED)


def test_a_label_map_says_each_named_value_by_itself(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(
        Masks,
        tmp_path,
        "images/*.png",
        files="masks/*.png",
        per="value",
        values={0: "background", 2: "disc", 1: "cup", 255: "void"},
        concepts={"disc": "optic disc", "cup": "optic cup", "void": None},
    )
    (unit,) = units
    assert isinstance(unit, Record)
    assert [(one.locator, one.concept, one.mask and one.mask.value) for one in unit.annotations] == [
        ("value 1", "optic cup", 1),
        ("value 2", "optic disc", 2),
    ]
    assert unit.covers


def test_the_background_of_a_label_map_need_not_be_zero(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    labels = {"files": "masks/*.png", "per": "value", "values": {0: "lesion", 255: "skin"}, "background": 255}
    units, _ = scan(Masks, tmp_path, "images/*.png", **labels)
    assert [one.label for one in objects(units)] == ["lesion"]


def test_a_value_whose_label_the_concepts_do_not_list_is_refused_and_the_others_stand(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    labels = {"files": "masks/*.png", "per": "value", "values": {1: "cup", 2: "rim"}, "concepts": {"cup": "optic cup"}}
    units, _ = scan(Masks, tmp_path, "images/*.png", **labels)
    assert refusals(units) == [("object", "value 2", "unknown_class")]
    assert [one.concept for one in objects(units)] == ["optic cup"]


def test_an_instance_map_is_one_unit_that_read_will_split(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "images/*.png", files="masks/*.png", per="instance", label="cell")
    (mask,) = objects(units)
    assert (mask.locator, mask.qualifiers) == ("instances", {})
    assert mask.mask == RawMask("masks/a.png", per_instance=True)


def test_the_background_that_the_card_states_goes_with_each_mask(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "images/*.png", files="masks/*.png", per="file", label="cell", background=255)
    assert [mask.mask for mask in objects(units)] == [RawMask("masks/a.png", background=255)]


def test_the_same_name_in_two_splits_is_the_one_of_the_same_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path, {f"{split}/images/a.png": PIXELS, f"{split}/masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "*/images/*.png", files="*/masks/*.png", per="file", label="x")
    assert covered(units) == ["test/images/a.png", "train/images/a.png"]


def test_a_mask_is_never_its_own_image(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "**/*.png", files="masks/*.png", per="file", label="x")
    assert covered(units) == ["images/a.png"]


def test_masks_may_lie_in_an_archive(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS})
    pack(tmp_path / "masks.zip", {"masks/a.png": PIXELS})
    units, _ = scan(Masks, tmp_path, "images/*.png", files="masks.zip/**/*.png", per="file", label="x")
    (mask,) = objects(units)
    assert mask.mask == RawMask("masks.zip", "masks/a.png")
    assert covered(units) == ["a"]


def test_scan_is_told_which_files_are_masks_and_reads_none(tmp_path: Path) -> None:
    write(tmp_path, {"images/a.png": PIXELS, "masks/a.png": PIXELS, "masks/b.png": PIXELS})
    labels = {"files": "masks/*.png", "per": "file", "label": "x"}
    with Reader(tmp_path) as reader:
        context = context_of(reader, Masks, tmp_path, "images/*.png", labels)
        assert [entry.name for entry in Masks().mask_files(context)] == ["masks/a.png", "masks/b.png"]
        assert Masks().label_files(context) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "file"}, "needs `label`"),
        ({"per": "instance", "pattern": "(?P<id>.+)"}, "needs `label`"),
        ({"per": "value"}, "needs `values`"),
        ({"per": "file", "label": "x", "pattern": "("}, "not a regular expression"),
        ({"per": "file", "label": "x", "image": "{id}.png"}, "no such group"),
        ({"per": "pixel", "label": "x"}, "pixel"),
        ({"label": "x"}, "per"),
        ({"per": "file", "lable": "x"}, "did you mean `label`"),
    ],
)
def test_a_card_that_says_too_little_is_told_what_is_missing(options: dict[str, object], message: str) -> None:
    with pytest.raises(CardError, match=message):
        options_of(Masks, **options)


def test_every_nucleus_of_the_data_science_bowl_is_one_mask_of_its_image(test_data: Callable[[str], Path]) -> None:
    root = test_data("dsb2018-nuclei")
    units, images = scan(
        Masks,
        root,
        "stage1_train/*/images/*.png",
        files="stage1_train/*/masks/*.png",
        per="file",
        label="nucleus",
        pattern=r"^stage1_train/(?P<id>[0-9a-f]+)/masks/",
        image="stage1_train/{id}/images/{id}.png",
    )
    assert refusals(units) == []
    entries = [images.resolve(unit.image.name, unit.image.near) for unit in units if isinstance(unit, Record)]
    nuclei = Counter(entry.folder.split("/")[1] for entry in entries if isinstance(entry, Entry))
    expected = {path.name: len(list(path.glob("masks/*.png"))) for path in (root / "stage1_train").iterdir()}
    assert nuclei == Counter(expected)
    assert len(nuclei) == len(list(root.glob("stage1_train/*/images/*.png")))
