"""DICOM segmentations: each segment by its code, its image by UIDs, and nothing of the header's free text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curate.card import Concept, LabelSet
from curate.images.dicom import read_header
from curate.layouts.base import ImageRef, Record, Refused
from curate.layouts.dicom_seg import DicomSeg
from curate.layouts.masks import marks_regions
from curate.layouts.stacks import uid_name
from curate.schema import Annotator, Reason, State, Unit, Verdict
from tests.layouts.scanning import context_of, scan, write
from tests.stages.drawn_patient import KIDNEY, LIVER, SERIES, data_of, drawn, item, segmentation, slices


def made(codes: list[tuple[str, str]] | None = None, **more: Any) -> Dataset:
    torso = drawn()
    codes = [LIVER] if codes is None else codes
    masks = np.stack([torso.labels == 3] * len(codes), axis=-1).astype(np.uint8)
    return segmentation(slices(torso)[:3], masks[:3], codes, **more)


def units(root: Path, dataset: Dataset | bytes, **labels: Any) -> list[Record | Refused]:
    write(root, {"seg.dcm": dataset if isinstance(dataset, bytes) else data_of(dataset)})
    return scan(DicomSeg, root, "*.png", files="*.dcm", **labels)[0]


def only(found: list[Record | Refused]) -> Any:
    (unit,) = found
    return unit


def test_a_segment_is_named_by_its_code_and_speaks_of_its_series(tmp_path: Path) -> None:
    record = only(units(tmp_path, made()))
    assert (record.unit, record.locator, record.image) == (Unit.OBJECT, "segment 1", ImageRef(uid_name(SERIES)))
    (said,) = record.annotations
    assert (said.label, said.concept, said.code, said.code_system) == ("Liver", "liver", "10200004", "SCT")
    assert (said.mask.segment, said.annotator, said.state) == (1, Annotator.HUMAN, State.PRESENT)
    assert said.flags == ("region",)


def test_segments_are_regions_unless_the_card_calls_each_an_object() -> None:
    """So a slice without any segment has no number of kidneys either."""
    for options, regions in (({}, True), ({"objects": True}, False)):
        assert marks_regions(LabelSet("dicom_seg", "organs", options=options)) is regions


@pytest.mark.parametrize(
    ("kind", "annotator"),
    [("AUTOMATIC", Annotator.MODEL), ("SEMIAUTOMATIC", Annotator.HUMAN), ("MANUAL", Annotator.HUMAN), ("ODD", None)],
)
def test_who_drew_it_follows_from_the_kind_of_algorithm(tmp_path: Path, kind: str, annotator: Annotator | None) -> None:
    dataset = made()
    dataset.SegmentSequence[0].SegmentAlgorithmType = kind
    assert only(units(tmp_path, dataset)).annotations[0].annotator is annotator


def test_sides_come_from_modifiers_and_regions_are_kept(tmp_path: Path) -> None:
    dataset = made([KIDNEY])
    segment = dataset.SegmentSequence[0]
    left = item(CodeValue="7771000", CodingSchemeDesignator="SCT", CodeMeaning="Left")
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [left]
    segment.AnatomicRegionSequence = [item(CodeValue="T-D4000", CodingSchemeDesignator="SRT", CodeMeaning="Smith")]
    said = only(units(tmp_path, dataset)).annotations[0]
    assert said.side == "left"
    assert said.qualifiers["anatomic_region"] == "Abdominal structure"


def test_sides_that_contradict_each_other_are_none(tmp_path: Path) -> None:
    dataset = made([KIDNEY])
    kind = dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    kind.SegmentedPropertyTypeModifierCodeSequence = [
        item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning="side") for code in ("7771000", "24028007")
    ]
    assert only(units(tmp_path, dataset)).annotations[0].side is None


def test_what_a_code_means_is_the_dictionarys_word_and_not_the_files(tmp_path: Path) -> None:
    dataset = made()
    dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Mr Smith"
    dataset.SegmentSequence[0].SegmentLabel = "Mr Smith"
    record = only(units(tmp_path, dataset))
    assert record.annotations[0].label == "Liver"
    assert "Smith" not in repr(record)


@pytest.mark.parametrize(("code", "scheme"), [("Mr Smith", "SCT"), ("LIVER", "99OWN"), ("1234567890", "SCT")])
def test_an_unknown_code_is_refused_without_its_words(tmp_path: Path, code: str, scheme: str) -> None:
    dataset = made()
    kind = dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = code, scheme, "Mr Smith"
    dataset.SegmentSequence[0].SegmentLabel = "Mr Smith"
    unit = only(units(tmp_path, dataset))
    assert unit.refusal.reason is Reason.UNKNOWN_CLASS
    assert "Smith" not in repr(unit)


@pytest.mark.parametrize("key", ["SCT:10200004", "Liver", "segment 1"])
def test_the_card_may_list_a_code_its_meaning_or_the_label(tmp_path: Path, key: str) -> None:
    said = only(units(tmp_path, made(), concepts={key: "hepar"})).annotations[0]
    assert (said.concept, said.code, said.code_system) == ("hepar", "10200004", "SCT")
    own = Concept(name="hepar", code="X1", system="OWN")
    said = only(units(tmp_path, made(), concepts={key: {"name": own.name, "code": own.code, "system": own.system}}))
    assert said.annotations[0].code == "X1"
    assert only(units(tmp_path, made(), concepts={key: None})).refusal.verdict is Verdict.FILTERED
    assert only(units(tmp_path, made(), concepts={"other": "other"})).refusal.reason is Reason.UNKNOWN_CLASS


def test_fractions_are_said(tmp_path: Path) -> None:
    torso = drawn()
    masks = np.where(torso.labels[:3] == 1, 1.0, 0.0).astype(np.float32)
    dataset = segmentation(slices(torso)[:3], masks, [LIVER], "FRACTIONAL", fractional_type="OCCUPANCY")
    said = only(units(tmp_path, dataset)).annotations[0]
    assert said.flags == ("region", "fractional")
    assert said.qualifiers["threshold"] == "0.5"
    assert said.qualifiers["fractional_type"] == "OCCUPANCY"


def test_two_segments_of_one_number_and_one_without_are_refused(tmp_path: Path) -> None:
    dataset = made([LIVER, KIDNEY, LIVER])
    dataset.SegmentSequence[1].SegmentNumber = 1
    del dataset.SegmentSequence[2].SegmentNumber
    first, second, third = units(tmp_path, dataset)
    assert isinstance(first, Record)
    for unit, locator in ((second, "item 2"), (third, "item 3")):
        assert isinstance(unit, Refused)
        assert (unit.locator, unit.refusal.reason) == (locator, Reason.INVALID_HEADER)


def test_a_segmentation_that_refers_to_nothing_is_not_placed(tmp_path: Path) -> None:
    dataset = made()
    del dataset.ReferencedSeriesSequence
    if "SourceImageSequence" in dataset:
        del dataset.SourceImageSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    assert only(units(tmp_path, dataset)).refusal.reason is Reason.MISSING_VALUE


@pytest.mark.parametrize("data", [b"", b"no dicom at all", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_a_file_that_is_no_segmentation_is_one_refused_file(tmp_path: Path, data: bytes) -> None:
    assert only(units(tmp_path, data)).unit is Unit.FILE


def test_an_image_of_one_file_is_found_by_its_own_uids(tmp_path: Path) -> None:
    from curate.layouts.tree import Reader

    torso = drawn()
    source = slices(torso)[0]
    write(
        tmp_path, {"a/one.dcm": data_of(source), "b/two.dcm": data_of(slices(torso)[1]), "seg/s.dcm": data_of(made())}
    )
    with Reader(tmp_path) as reader:
        context = context_of(reader, DicomSeg, tmp_path, "[ab]/*.dcm", {"files": "seg/*.dcm"})
        context.headers.update(  # type: ignore[attr-defined]
            {entry.key: read_header(reader.read(entry.path)) for entry in context.images}
        )
        unit = only(list(DicomSeg().scan(context)))
    assert unit.refusal.reason is Reason.AMBIGUOUS_IMAGE  # both slices are named, and they are two images here


def test_real_segmentations_have_these_segments(test_data: Callable[[str], Path]) -> None:
    root = test_data("dcmqi-seg-sr")
    found, _ = scan(DicomSeg, root, "nothing", files=["segmentations/*.dcm", "sr-example/seg.dcm"])
    said = {(unit.file, unit.locator): unit.annotations[0].concept for unit in found if isinstance(unit, Record)}
    assert said == {
        ("segmentations/liver.dcm", "segment 1"): "liver",
        ("segmentations/partial_overlaps.dcm", "segment 1"): "tissue",
        ("segmentations/partial_overlaps.dcm", "segment 2"): "artery",
        ("segmentations/partial_overlaps.dcm", "segment 3"): "capillary",
        ("segmentations/partial_overlaps.dcm", "segment 4"): "edema",
        ("segmentations/partial_overlaps.dcm", "segment 5"): "vein",
        ("segmentations/sparse-labelmap-noppv.dcm", "segment 1"): "liver",
        ("segmentations/sparse-labelmap-ppv5.dcm", "segment 1"): "liver",
        ("sr-example/seg.dcm", "segment 1"): "malignant neoplasm, primary",
    }
    background = [unit for unit in found if isinstance(unit, Refused)]
    assert [unit.refusal.reason for unit in background] == [Reason.IGNORED_CLASS] * 2
