"""Mask files of volumes: one organ a file or one map of all, and what an empty file says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import CardError
from curate.layouts.base import ImageRef, Record
from curate.layouts.masks import Masks
from tests.layouts.scanning import scan, write

ORGANS = {"pattern": r"^(?P<case>[^/]+)/seg/(?P<label>[a-z_]+)\.nii\.gz$", "image": "{case}/ct.nii.gz", "per": "file"}


def test_one_file_an_organ_is_named_by_its_path(tmp_path: Path) -> None:
    write(tmp_path, {"s1/ct.nii.gz": b"1", "s1/seg/liver.nii.gz": b"2", "s1/seg/kidney_left.nii.gz": b"3"})
    found, index = scan(Masks, tmp_path, "*/ct.nii.gz", files="*/seg/*.nii.gz", empty="absent", **ORGANS)
    said = {unit.annotations[0].label: unit.annotations[0] for unit in found if isinstance(unit, Record)}
    assert sorted(said) == ["kidney_left", "liver"]
    assert all(annotation.mask is not None and annotation.mask.may_be_empty for annotation in said.values())
    assert all(unit.image == ImageRef("s1/ct.nii.gz", "s1/seg") for unit in found)
    assert index.resolve("s1/ct.nii.gz").key == "s1/ct.nii.gz"  # type: ignore[union-attr]


def test_an_empty_file_is_a_mistake_where_the_card_does_not_say_otherwise(tmp_path: Path) -> None:
    write(tmp_path, {"s1/ct.nii.gz": b"1", "s1/seg/liver.nii.gz": b"2"})
    (unit,), _ = scan(Masks, tmp_path, "*/ct.nii.gz", files="*/seg/*.nii.gz", **ORGANS)
    assert isinstance(unit, Record)
    mask = unit.annotations[0].mask
    assert mask is not None
    assert not mask.may_be_empty
    with pytest.raises(CardError, match="empty"):
        scan(Masks, tmp_path, "*/ct.nii.gz", files="*/seg/*.nii.gz", empty="maybe", **ORGANS)


def test_a_map_of_the_same_stem_is_the_images(tmp_path: Path) -> None:
    write(tmp_path, {"images/c1.nii.gz": b"1", "masks/c1.nii.gz": b"2"})
    (unit,), _ = scan(
        Masks, tmp_path, "images/*.nii.gz", files="masks/*.nii.gz", per="value", values={"1": "liver", "2": "spleen"}
    )
    assert unit.image == ImageRef("images/c1.nii.gz")
    assert isinstance(unit, Record)
    assert [annotation.mask.value for annotation in unit.annotations if annotation.mask] == [1, 2]
    assert all(annotation.flags == ("region",) for annotation in unit.annotations)


def test_the_real_folder_names_117_organs(test_data: Callable[[str], Path]) -> None:
    found, _ = scan(
        Masks,
        test_data("totalsegmentator-tests"),
        "example_ct_sm.nii.gz",
        files="example_seg_fast/*.nii.gz",
        per="file",
        pattern=r"^example_seg_fast/(?P<label>[A-Za-z0-9_]+)\.nii\.gz$",
        image="example_ct_sm.nii.gz",
    )
    assert len({unit.annotations[0].label for unit in found if isinstance(unit, Record)}) == 117
