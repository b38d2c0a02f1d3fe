"""Structure sets: regions by the names that the card lists, or by their codes; free text stays where it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curate.layouts.base import ImageRef, Record, Refused
from curate.layouts.rtstruct import RtStruct
from curate.layouts.stacks import uid_name
from curate.schema import Annotator, Reason, Unit, Verdict
from tests.layouts.scanning import scan, write
from tests.stages.drawn_patient import SERIES, data_of, item, structure_set

RING = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])


def units(root: Path, dataset: Dataset | bytes, **labels: Any) -> list[Record | Refused]:
    write(root, {"rt.dcm": dataset if isinstance(dataset, bytes) else data_of(dataset)})
    return scan(RtStruct, root, "*.png", files="*.dcm", **labels)[0]


def only(found: list[Record | Refused]) -> Any:
    (unit,) = found
    return unit


def test_a_region_that_the_card_lists_speaks_of_its_series(tmp_path: Path) -> None:
    record = only(units(tmp_path, structure_set({"PTV": [RING]}), concepts={"PTV": "target volume"}))
    assert (record.unit, record.locator, record.image) == (Unit.OBJECT, "roi 1", ImageRef(uid_name(SERIES)))
    (said,) = record.annotations
    assert (said.label, said.concept, said.mask.roi, said.annotator) == ("PTV", "target volume", 1, Annotator.HUMAN)


@pytest.mark.parametrize("concepts", [None, {"PTV": "target volume"}])
def test_a_name_that_nobody_listed_never_leaves_the_file(tmp_path: Path, concepts: dict[str, str] | None) -> None:
    unit = only(
        units(tmp_path, structure_set({"Mr Smith": [RING]}), **({} if concepts is None else {"concepts": concepts}))
    )
    assert unit.refusal.reason is Reason.UNKNOWN_CLASS
    assert "Smith" not in repr(unit)


def test_a_region_may_have_a_code(tmp_path: Path) -> None:
    dataset = structure_set({"Mr Smith": [RING]})
    code = item(CodeValue="10200004", CodingSchemeDesignator="SCT", CodeMeaning="Smith")
    dataset.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence = [code]
    said = only(units(tmp_path, dataset)).annotations[0]
    assert (said.label, said.concept, said.code) == ("Liver", "liver", "10200004")
    assert "Smith" not in repr(said)


def test_a_region_that_the_card_ignores_is_filtered(tmp_path: Path) -> None:
    unit = only(units(tmp_path, structure_set({"couch": [RING]}), concepts={"couch": None}))
    assert (unit.refusal.reason, unit.refusal.verdict) == (Reason.IGNORED_CLASS, Verdict.FILTERED)


def test_two_regions_of_one_number_are_one_too_many(tmp_path: Path) -> None:
    dataset = structure_set({"a": [RING], "b": [RING]})
    dataset.StructureSetROISequence[1].ROINumber = 1
    first, second = units(tmp_path, dataset, concepts={"a": "a", "b": "b"})
    assert isinstance(first, Record)
    assert isinstance(second, Refused)
    assert (second.locator, second.refusal.reason) == ("item 2", Reason.INVALID_HEADER)


def test_a_region_that_refers_to_nothing_is_not_placed(tmp_path: Path) -> None:
    dataset = structure_set({"a": [RING]}, series_uid=None)
    assert only(units(tmp_path, dataset, concepts={"a": "a"})).refusal.reason is Reason.MISSING_VALUE


@pytest.mark.parametrize("data", [b"", b"no dicom at all", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_a_file_that_is_no_structure_set_is_one_refused_file(tmp_path: Path, data: bytes) -> None:
    assert only(units(tmp_path, data)).unit is Unit.FILE


def test_real_structure_sets_have_these_regions(test_data: Callable[[str], Path]) -> None:
    names = {f"ROI-{number}": f"region {number}" for number in range(1, 5)}
    found, _ = scan(RtStruct, test_data("rt-utils-rtstruct"), "nothing", files="*/*rt.dcm", concepts=names)
    assert all(isinstance(unit, Record) for unit in found)
    assert [unit.file for unit in found] == [
        *["empty/dummy_rt.dcm"] * 4,
        *["mock_data/invalid_reference_rt.dcm"] * 4,
        *["mock_data/non_existent_reference_rt.dcm"] * 4,
        "mock_data/rt.dcm",
    ]
    assert len({unit.image for unit in found if unit.image is not None and "non_existent" not in unit.file}) == 1
