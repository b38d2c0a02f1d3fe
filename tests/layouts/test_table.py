"""A row of a table speaks of one image, and says no more than its cells do."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.layouts.base import ImageRef, RawAnnotation, Record, Refused
from curate.layouts.table import Table
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, State, Unit, Verdict
from tests.layouts.scanning import refusals, write
from tests.layouts.scanning import scan as scan_layout


def scan(root: Path, **labels: Any) -> list[Record | Refused]:
    labels.setdefault("image", "image")
    return scan_layout(Table, root, "**/*.png", **labels)[0]


def read(root: Path, text: str | bytes, name: str = "labels.csv", **labels: Any) -> list[Record | Refused]:
    write(root, {name: text})
    return scan(root, files=name, **labels)


def said(units: list[Record | Refused]) -> list[RawAnnotation]:
    return [annotation for unit in units if isinstance(unit, Record) for annotation in unit.annotations]


def one(units: list[Record | Refused]) -> RawAnnotation:
    (annotation,) = said(units)
    return annotation


# real tables


def test_laboratory_values_keep_their_unit_their_day_and_their_limits(test_data: Callable[[str], Path]) -> None:
    units, images = scan_layout(
        Table,
        test_data("hannover-covid-cxr"),
        "png/*.png",
        files="data.csv",
        image="png/{image_id}.png",
        columns={
            "sex": {"kind": "attribute", "values": {"f": "female", "m": "male"}},
            "crp_val": {
                "kind": "measurement",
                "concept": "C-reactive protein",
                "unit": "mg/L",
                "qualifiers": {"days_from_exam": "crp_offset"},
            },
        },
        fields={"modality": "modality", "view": "projection", "day_offset": "admission_offset"},
    )
    records = [unit for unit in units if isinstance(unit, Record)]
    assert len(records) == len(units) == 243
    assert sum(isinstance(images.resolve(record.image.name, record.image.near), Entry) for record in records) == 66
    first = records[0]
    assert first.image == ImageRef("png/fff13f3a.png")
    assert first.columns["patient_id"] == "024e7871"
    assert (first.columns["@modality"], first.columns["@view"], first.columns["@day_offset"]) == ("CR", "pa", "0")
    sex, crp = first.annotations
    assert (sex.kind, sex.concept, sex.label, sex.text) == (Kind.ATTRIBUTE, "sex", "f", "female")
    assert (crp.concept, crp.value, crp.unit, crp.qualifiers) == (
        "C-reactive protein",
        3.0,
        "mg/L",
        {"days_from_exam": "0.0"},
    )
    undetected = [one for one in said(units) if "censored" in one.qualifiers]
    assert undetected
    assert all(one.value is None for one in undetected)
    assert {one.qualifiers["censored"] for one in undetected} == {"below"}


def test_boxes_in_a_table_are_objects(test_data: Callable[[str], Path]) -> None:
    units, _ = scan_layout(
        Table,
        test_data("bccd"),
        "BCCD/JPEGImages/*.jpg",
        files="test.csv",
        image="filename",
        box={"columns": ["xmin", "ymin", "xmax", "ymax"], "label": "cell_type", "convention": "voc"},
        concepts={"RBC": "erythrocyte", "WBC": "leukocyte", "Platelets": None},
    )
    verdicts = Counter(unit.refusal.verdict if isinstance(unit, Refused) else None for unit in units)
    assert {unit.unit for unit in units} == {Unit.OBJECT}
    assert verdicts.keys() == {None, Verdict.FILTERED}
    first = said(units)[0]
    assert (first.kind, first.label, first.concept, first.coords) == (
        Kind.BOX,
        "WBC",
        "leukocyte",
        (260.0, 177.0, 491.0, 376.0),
    )
    assert (first.convention, first.locator, first.state) == ("voc", "row 1, box", State.PRESENT)


def test_a_table_of_many_thousand_rows_is_read_whole(test_data: Callable[[str], Path]) -> None:
    units, _ = scan_layout(
        Table,
        test_data("fitzpatrick17k-labels"),
        "*.jpg",
        files="fitzpatrick17k.csv",
        image="{md5hash}.jpg",
        columns={
            "three_partition_label": {"kind": "class"},
            "fitzpatrick_scale": {"kind": "grade", "concept": "Fitzpatrick skin type"},
        },
        missing=["", "-1"],
    )
    assert len(units) == 16577
    assert not refusals(units)
    grades = {annotation.value for annotation in said(units) if annotation.kind is Kind.GRADE}
    assert grades == {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}


# findings


CHEXPERT = {
    "kind": "multilabel",
    "concept": "pneumonia",
    "states": {"1.0": "present", "0.0": "absent", "-1.0": "uncertain", "": "not_stated"},
}


def test_each_state_of_a_cell_is_kept_and_another_cell_is_refused(tmp_path: Path) -> None:
    rows = "image,Pneumonia\na,1.0\nb,0.0\nc,-1.0\nd,\ne,2.0\nf,mild\n"
    units = read(tmp_path, rows, columns={"Pneumonia": CHEXPERT})
    assert [(one.state, one.label, one.concept) for one in said(units)] == [
        (state, "Pneumonia", "pneumonia") for state in (State.PRESENT, State.ABSENT, State.UNCERTAIN, State.NOT_STATED)
    ]
    assert refusals(units) == [("row", "row 5", "unknown_state"), ("row", "row 6", "unknown_state")]
    assert not [unit for unit in units if isinstance(unit, Refused) and "mild" in unit.refusal.detail]


def test_states_may_stand_without_quotes_on_the_card(tmp_path: Path) -> None:
    spec = {"kind": "multilabel", "states": {1: "present", 0: "absent"}}
    assert [one.state for one in said(read(tmp_path, "image,Edema\na,1\nb,0\n", columns={"Edema": spec}))] == [
        State.PRESENT,
        State.ABSENT,
    ]


def test_an_empty_cell_without_a_state_says_nothing_and_covers_nothing(tmp_path: Path) -> None:
    spec = {"kind": "multilabel", "states": {"1": "present", "0": "absent"}}
    (unit,) = read(tmp_path, "image,Edema\na,\n", columns={"Edema": spec})
    assert isinstance(unit, Record)
    assert unit.annotations == ()
    assert not unit.covers


FINDINGS = {"Finding Labels": {"kind": "multilabel", "separator": "|", "none": "No Finding"}}


def test_several_findings_in_a_cell_are_several_annotations(tmp_path: Path) -> None:
    (unit,) = read(tmp_path, "image,Finding Labels\na,Effusion| Edema|Effusion|\n", columns=FINDINGS)
    assert isinstance(unit, Record)
    assert [(one.label, one.locator) for one in unit.annotations] == [
        ("Effusion", "row 1, Finding Labels[0]"),
        ("Edema", "row 1, Finding Labels[1]"),
    ]
    assert unit.covers


def test_no_finding_is_a_statement_and_an_empty_cell_is_not(tmp_path: Path) -> None:
    units = read(tmp_path, "image,Finding Labels\na,No Finding\nb,\n", columns=FINDINGS)
    assert [(unit.covers, unit.annotations) for unit in units if isinstance(unit, Record)] == [(True, ()), (False, ())]


def test_no_finding_beside_a_finding_is_a_contradiction(tmp_path: Path) -> None:
    units = read(tmp_path, "image,Finding Labels\na,No Finding|Edema\n", columns=FINDINGS)
    assert refusals(units) == [("row", "row 1", "invalid_row")]


def test_a_list_in_json_holds_several_findings(tmp_path: Path) -> None:
    text = '{"image": "a", "Finding Labels": ["Effusion", "Edema"]}\n{"image": "b", "Finding Labels": []}\n'
    units = read(tmp_path, text, "labels.jsonl", columns=FINDINGS)
    assert [one.label for one in said(units)] == ["Effusion", "Edema"]


def test_concepts_name_ignore_and_refuse_labels(tmp_path: Path) -> None:
    units = read(
        tmp_path,
        "image,diagnosis\na,mel\nb,artefact\nc,unheard of\n",
        columns={"diagnosis": {"kind": "class"}},
        concepts={"mel": {"name": "melanoma", "code": "372244006", "system": "SCT"}, "artefact": None},
    )
    melanoma = one(units)
    assert (melanoma.kind, melanoma.label, melanoma.concept) == (Kind.CLASS, "mel", "melanoma")
    assert (melanoma.code, melanoma.code_system, melanoma.state) == ("372244006", "SCT", State.PRESENT)
    ignored, unknown = (unit.refusal for unit in units if isinstance(unit, Refused))
    assert (ignored.reason, ignored.verdict) == (Reason.IGNORED_CLASS, Verdict.FILTERED)
    assert (unknown.reason, unknown.verdict) == (Reason.UNKNOWN_CLASS, Verdict.REJECTED)
    assert "unheard of" in unknown.detail


def test_values_translate_labels_and_refuse_others(tmp_path: Path) -> None:
    spec = {"kind": "class", "values": {0: "benign", 1: "malignant", 2: None}}
    units = read(tmp_path, "image,label\na,0\nb,1\nc,2\nd,3\n", columns={"label": spec})
    assert [one.label for one in said(units)] == ["benign", "malignant"]
    assert refusals(units) == [("row", "row 3", "ignored_class"), ("row", "row 4", "unknown_class")]


def test_an_exclusive_world_does_not_make_a_layout_invent_absence(tmp_path: Path) -> None:
    units = read(
        tmp_path, "image,diagnosis\na,mel\nb,nv\n", columns={"diagnosis": {"kind": "class"}}, world="exclusive"
    )
    assert [one.state for one in said(units)] == [State.PRESENT, State.PRESENT]


# numbers and texts


@pytest.mark.parametrize(
    ("cell", "value", "qualifiers"),
    [
        ("3", 3.0, {}),
        (" -0.5 ", -0.5, {}),
        ("1.5e-3", 0.0015, {}),
        ("inf", None, {"censored": "above"}),
        ("-Infinity", None, {"censored": "below"}),
        ("<0.5", None, {"censored": "below", "limit": "0.5"}),
        (">= 100", None, {"censored": "above", "limit": "100"}),
    ],
)
def test_a_measurement_is_a_number_or_beyond_its_limit(
    tmp_path: Path, cell: str, value: float | None, qualifiers: dict[str, str]
) -> None:
    measured = one(read(tmp_path, f"image,crp\na,{cell}\n", columns={"crp": {"kind": "measurement", "unit": "mg/L"}}))
    assert (measured.value, measured.qualifiers, measured.unit) == (value, qualifiers, "mg/L")


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "n/a"])
def test_a_number_that_is_not_there_says_nothing(tmp_path: Path, cell: str) -> None:
    units = read(tmp_path, f"image,crp\na,{cell}\n", columns={"crp": {"kind": "measurement"}}, missing=["n/a"])
    assert len(units) == 1
    assert said(units) == []


@pytest.mark.parametrize("cell", ["three", '"3,5"', "1_000", "0x10", "٣", "1e999", "9" * 5000, "3 mg", "<", "<low"])
def test_what_is_no_number_refuses_the_row(tmp_path: Path, cell: str) -> None:
    units = read(tmp_path, f"image,crp\na,{cell}\nb,1\n", columns={"crp": {"kind": "measurement"}})
    assert refusals(units) == [("row", "row 1", "invalid_row")]
    assert len(said(units)) == 1


def test_a_count_is_a_whole_number(tmp_path: Path) -> None:
    rows = "image,cells\na,0\nb,12\nc,12.0\nd,2.5\ne,-1\nf,inf\ng,99999999999999999999\n"
    units = read(tmp_path, rows, columns={"cells": {"kind": "count", "concept": "erythrocyte"}})
    assert [one.value for one in said(units)] == [0.0, 12.0, 12.0]
    assert [reason for *_, reason in refusals(units)] == ["invalid_row"] * 4


def test_a_grade_may_be_a_word(tmp_path: Path) -> None:
    units = read(tmp_path, "image,birads\na,4A\nb,2\n", columns={"birads": {"kind": "grade"}})
    assert [(one.label, one.value, one.concept) for one in said(units)] == [
        ("4A", None, "birads"),
        ("2", 2.0, "birads"),
    ]


def test_a_unit_may_stand_in_a_column(tmp_path: Path) -> None:
    spec = {"kind": "measurement", "unit": {"column": "unit", "values": {"mm": "mm", "cm": "cm"}}}
    units = read(tmp_path, "image,size,unit\na,3,mm\nb,1,cm\nc,2,\nd,2,inch\n", columns={"size": spec})
    assert [one.unit for one in said(units)] == ["mm", "cm", None]
    assert refusals(units) == [("row", "row 4", "unknown_state")]


def test_texts_keep_their_words_and_lines_and_state_their_language(tmp_path: Path) -> None:
    text = 'image,impression\r\na,"  Kein Erguss,\r\nkein ""Pneu"".  "\r\n'
    report = one(read(tmp_path, text, columns={"impression": {"kind": "report"}}, language="de"))
    assert (report.kind, report.text, report.language) == (Kind.REPORT, 'Kein Erguss,\r\nkein "Pneu".', "de")
    assert report.concept is None


def test_a_code_names_its_system(tmp_path: Path) -> None:
    code = one(read(tmp_path, "image,icd\na,J18.9\n", columns={"icd": {"kind": "code", "system": "ICD-10"}}))
    assert (code.code, code.code_system, code.concept) == ("J18.9", "ICD-10", None)


def test_columns_of_one_row_have_locators_of_their_own(tmp_path: Path) -> None:
    spec = {"kind": "multilabel", "states": {"1": "present", "0": "absent"}}
    units = read(tmp_path, "image,Edema,Effusion\na,1,0\n", columns={"Edema": spec, "Effusion": spec})
    assert [one.locator for one in said(units)] == ["row 1, Edema", "row 1, Effusion"]


# fields of the asset


def test_fields_fill_the_asset_and_a_side_must_be_one(tmp_path: Path) -> None:
    rows = "image,view,side,day\na,PA,L,0\nb,,,\nc,AP,X,1\nd,AP,R,1.5\n"
    units = read(
        tmp_path,
        rows,
        fields={
            "view": "view",
            "laterality": {"column": "side", "values": {"L": "left", "R": "right", "X": "unclear"}},
            "day_offset": "day",
        },
    )
    first, second = (unit for unit in units if isinstance(unit, Record))
    assert {key: value for key, value in first.columns.items() if key[0] == "@"} == {
        "@view": "PA",
        "@laterality": "left",
        "@day_offset": "0",
    }
    assert not any(key.startswith("@") for key in second.columns)
    assert refusals(units) == [("row", "row 3", "unknown_state"), ("row", "row 4", "invalid_row")]


# objects


BOX = {"columns": ["x0", "y0", "x1", "y1"], "label": "cell", "convention": "xyxy"}


def test_a_row_without_coordinates_says_that_somebody_looked(tmp_path: Path) -> None:
    (unit,) = read(tmp_path, "image,x0,y0,x1,y1,cell\na,,,,,\n", box=BOX)
    assert isinstance(unit, Record)
    assert (unit.unit, unit.annotations, unit.covers) == (Unit.ROW, (), True)


def test_boxes_that_are_incomplete_or_not_finite_are_refused(tmp_path: Path) -> None:
    rows = "image,x0,y0,x1,y1,cell\na,1,2,,4,RBC\na,1,2,inf,4,RBC\na,1,2,x,4,RBC\na,1,2,3,4,\na,1,2,3,4,RBC\n"
    units = read(tmp_path, rows, box=BOX)
    assert refusals(units) == [
        ("object", "row 1", "missing_value"),
        ("object", "row 2", "invalid_geometry"),
        ("object", "row 3", "invalid_row"),
        ("object", "row 4", "missing_value"),
    ]
    assert one(units).coords == (1.0, 2.0, 3.0, 4.0)


def test_points_without_a_label_column_are_of_the_cards_concept(tmp_path: Path) -> None:
    point = {"columns": ["x", "y"], "convention": "index", "concept": "mitosis"}
    found = one(read(tmp_path, "image,x,y\na,3,4\n", point=point))
    assert (found.kind, found.coords, found.convention, found.concept) == (Kind.POINT, (3.0, 4.0), "index", "mitosis")


# how a table is written


def test_tabs_semicolons_a_byte_order_mark_and_spaced_headers_are_read(tmp_path: Path) -> None:
    columns = {"label": {"kind": "class"}}
    assert one(read(tmp_path, "image\tlabel\na\tx\n", "t.tsv", columns=columns)).label == "x"
    assert one(read(tmp_path, "image;label\na;x\n", "s.csv", delimiter=";", columns=columns)).label == "x"
    assert one(read(tmp_path, b"\xef\xbb\xbfimage, label\r\na, x\r\n", "b.csv", columns=columns)).label == "x"
    assert one(read(tmp_path, "image,label\na,x\n", "labels.txt", format="csv", columns=columns)).label == "x"


def test_json_lines_lists_and_nested_lists_of_records_are_read(tmp_path: Path) -> None:
    columns = {"label": {"kind": "class"}}
    record = '{"image": "a", "label": "x", "unused": {"deep": [1]}}'
    assert one(read(tmp_path, f"{record}\n\n", "a.jsonl", columns=columns)).label == "x"
    assert one(read(tmp_path, f"[{record}]", "b.json", columns=columns)).label == "x"
    deep = '{"data": {"rows": [' + record + "]}}"
    assert one(read(tmp_path, deep, "c.json", records="data.rows", columns=columns)).label == "x"


def test_numbers_truths_and_nulls_of_json_are_cells(tmp_path: Path) -> None:
    text = '{"image": 7, "a": true, "b": 1.0, "c": null, "d": NaN}'
    (unit,) = read(tmp_path, text, "a.jsonl")
    assert isinstance(unit, Record)
    assert unit.columns == {"image": "7", "a": "true", "b": "1", "c": "", "d": ""}


def test_parquet_rows_are_cells_and_an_embedded_image_is_the_rows_own(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image": [{"bytes": b"x", "path": "a.png"}, {"bytes": b"y", "path": "b.png"}],
            "label": ["nv", "mel"],
            "taken": pa.array([0, 1], pa.timestamp("ns", "UTC")),
            "age": pa.array([50.0, None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    units = scan(tmp_path, files="*.parquet", image="@row", columns={"label": {"kind": "class"}})
    records = [unit for unit in units if isinstance(unit, Record)]
    assert [record.image.name for record in records] == ["a.parquet/row=0", "a.parquet/row=1"]
    assert [annotation.label for annotation in said(units)] == ["nv", "mel"]
    assert [record.columns.get("age") for record in records] == ["50", ""]
    assert records[0].columns["taken"].startswith("1970-01-01 00:00:00")
    assert "image" not in records[0].columns


def test_a_table_in_an_archive_looks_for_images_beside_itself(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("train/labels.csv", "image\na.png\n")
    (unit,) = scan(tmp_path, files="d.zip/train/labels.csv")
    assert isinstance(unit, Record)
    assert (unit.file, unit.image) == ("d.zip!train/labels.csv", ImageRef("a.png", "d.zip/train"))


def test_a_gzipped_table_is_unpacked_and_a_damaged_one_refused(tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(b"image,label\na,x\n")
    assert one(read(tmp_path, packed, "a.csv.gz", columns={"label": {"kind": "class"}})).label == "x"
    for broken in (packed[:-12], b"not gzip", packed[:-8] + bytes(8)):
        assert refusals(read(tmp_path, broken, "b.csv.gz")) == [("file", "", "unreadable_file")]


def test_a_missing_subject_is_no_subject(tmp_path: Path) -> None:
    units = read(tmp_path, "image,patient\na, p1\nb,NA\n", missing=["NA"])
    assert [unit.columns.get("patient") for unit in units if isinstance(unit, Record)] == ["p1", ""]


def test_a_table_without_rows_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "image,label\n", columns={"label": {"kind": "class"}}) == []
    assert read(tmp_path, "[]", "a.json", columns={"label": {"kind": "class"}}) == []


# what is broken


def test_one_broken_row_leaves_the_others(tmp_path: Path) -> None:
    rows = b"image,label\na,x\nb\nc,y,z\nd,caf\xe9\ne,nul\0\n,x\n\nf,ok\n"
    units = read(tmp_path, rows, columns={"label": {"kind": "class"}})
    assert refusals(units) == [
        ("row", "row 2", "invalid_row"),
        ("row", "row 3", "invalid_row"),
        ("row", "row 4", "bad_encoding"),
        ("row", "row 5", "invalid_row"),
        ("row", "row 6", "missing_value"),
    ]
    assert [annotation.locator for annotation in said(units)] == ["row 1, label", "row 7, label"]


def test_an_open_quote_does_not_swallow_rows_in_silence(tmp_path: Path) -> None:
    units = read(tmp_path, 'image,label\na,"x\nb,y\n', columns={"label": {"kind": "class"}})
    assert refusals(units) == [("row", "row 1", "invalid_row")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labels.csv", b"", "empty_file"),
        ("labels.csv", b"image,other\na,b\n", "missing_column"),
        ("labels.csv", b"image,label,label\na,b,c\n", "missing_column"),
        ("labels.csv", "image,label\na,b\n".encode("utf-16"), "bad_encoding"),
        ("labels.csv", b"\x89PNG\r\n\x1a\n\0\0", "bad_encoding"),
        ("labels.json", b"{", "invalid_json"),
        ("labels.json", b'{"image": "a"}', "invalid_json"),
        ("labels.json", b"[" * 100_000, "invalid_json"),
        ("labels.json", b'[{"image": ' + b"9" * 5000 + b"}]", "invalid_json"),
        ("labels.jsonl", b'{"image": "a"}\n', "missing_column"),
        ("labels.parquet", b"PAR1 not parquet", "unreadable_file"),
        ("labels.xlsx", b"PK", "unsupported_format"),
    ],
)
def test_a_file_that_says_nothing_is_refused_as_a_whole(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    units = read(tmp_path, content, name, columns={"label": {"kind": "class"}})
    assert refusals(units) == [("file", "", reason)]


def test_records_that_are_broken_by_themselves_are_refused_alone(tmp_path: Path) -> None:
    lines = [
        '{"image": "a", "label": "x"}',
        "{broken",
        "[1, 2]",
        '{"image": "b", "label": "x", "label": "y"}',
        '{"image": "c", "label": {"nested": 1}}',
        '{"image": "d", "label": "\\ud800"}',
        '{"image": "e"}',
        '{"image": ["f", "g"], "label": "x"}',
        "[" * 100_000,
    ]
    units = read(tmp_path, "\n".join(lines), "a.jsonl", columns={"label": {"kind": "class"}})
    assert refusals(units) == [
        ("row", "row 2", "invalid_json"),
        ("row", "row 3", "invalid_row"),
        ("row", "row 4", "invalid_row"),
        ("row", "row 5", "invalid_row"),
        ("row", "row 6", "bad_encoding"),
        ("row", "row 8", "invalid_row"),
        ("row", "row 9", "invalid_json"),
    ]
    assert len(said(units)) == 1


def test_other_encodings_are_read_as_the_card_says(tmp_path: Path) -> None:
    text = "image,label\na,结节\n".encode("gb18030")
    assert one(read(tmp_path, text, encoding="gb18030", columns={"label": {"kind": "class"}})).label == "结节"
    assert refusals(read(tmp_path, text, columns={"label": {"kind": "class"}})) == [("row", "row 1", "bad_encoding")]


def test_a_column_that_nobody_reads_may_stand_twice(tmp_path: Path) -> None:
    units = read(tmp_path, "image,unused,unused\na,b,c\n")
    assert len(units) == 1
    assert isinstance(units[0], Record)
