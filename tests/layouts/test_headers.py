"""The header of a DICOM image is a row of its own."""

from collections.abc import Callable
from pathlib import Path

from pydicom.data import get_testdata_file

from curate.layouts.base import Record, Refused
from curate.layouts.headers import Headers
from curate.schema import Kind
from tests.layouts.scanning import refusals, scan, write


def test_the_header_says_what_the_card_asks_of_it() -> None:
    root = Path(str(get_testdata_file("CT_small.dcm"))).parent
    units, _ = scan(
        Headers,
        root,
        "CT_small.dcm",
        columns={"Modality": {"kind": "class"}, "KVP": {"kind": "measurement", "unit": "kV"}},
        concepts={"CT": "computed tomography"},
        fields={"modality": "Modality"},
    )
    (record,) = units
    assert isinstance(record, Record)
    modality = record.annotations[0]
    assert (modality.kind, modality.label, modality.concept) == (Kind.CLASS, "CT", "computed tomography")
    assert modality.locator == "header, Modality"
    assert record.columns["@modality"] == "CT"
    assert record.covers


def test_a_keyword_that_a_header_lacks_says_nothing(test_data: Callable[[str], Path]) -> None:
    units, _ = scan(
        Headers, test_data("medio-ct-series"), "data/dcm/IM1.dcm", columns={"BodyPartExamined": {"kind": "class"}}
    )
    assert units
    assert all(isinstance(unit, Record) for unit in units)


def test_what_is_no_dicom_is_refused_with_its_image(tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": b"not dicom at all" * 20, "b.dcm": b""})
    units, _ = scan(Headers, tmp_path, "*.dcm", columns={"Modality": {"kind": "class"}})
    assert len(refusals(units)) == 2
    assert [unit.image is not None and unit.image.name for unit in units if isinstance(unit, Refused)] == [
        "a.dcm",
        "b.dcm",
    ]
