"""scan: whose image it is, which label sets have seen it whole, and that nothing goes without being counted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from curate.corpus import project_key
from curate.errors import CardError, DataError
from curate.plan import load
from curate.schema import INVENTORY
from curate.stages import stage_named
from curate.stages.base import Run
from curate.stages.runner import build_part
from curate.store.freshness import Freshness, cache_folder
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar, Sidecars
from tests.layouts.scanning import CARD, write

PICTURE = b"scan opens no picture"
LABELLED: dict[str, Any] = {"layout": "table", "files": "l.csv", "image": "image", "columns": {"dx": {"kind": "class"}}}
BOXES: dict[str, Any] = {
    "layout": "table",
    "name": "boxes",
    "files": "b.csv",
    "image": "image",
    "exhaustive": True,
    "box": {"columns": ["x0", "y0", "x1", "y1"], "label": "c", "convention": "xyxy"},
}


class Scanned:
    """What one scan wrote."""

    def __init__(self, out: Path, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        rows = read_table(out, list(sidecar.of("inventory")), INVENTORY).to_pylist()
        self.items = {row["item_key"]: row for row in rows}
        files = [out / file.name for file in sidecar.of("rejects")]
        self.rejects = [row for file in files for row in pq.read_table(file).to_pylist()]

    def count(self, unit: str) -> tuple[int, int, int, int]:
        """Met, used, rejected, filtered."""
        (found,) = [count for count in self.sidecar.counts if count.unit == unit]
        return found.n_in, found.n_used, found.n_rejected, found.n_filtered

    def reasons(self, unit: str) -> list[str]:
        return sorted(row["reason"] for row in self.rejects if row["unit"] == unit)


def scan(root: Path, files: Mapping[str, Any], limit: int | None = None, **card: Any) -> Scanned:
    write(root / "data" / "example", files)
    said = {**CARD, "images": {"glob": "**/*.png"}, **card}
    (root / "card.yaml").write_text(yaml.safe_dump(said))
    corpus = load(root / "card.yaml", root / "data", limit)
    out = root / "out"
    run = Run(corpus, project_key({}), out, Sidecars(out), Freshness(cache_folder(out)))
    return Scanned(out, build_part(stage_named("scan"), run, Part("scan", "example"), lambda _: None))


def pictures(n: int) -> dict[str, str | bytes]:
    return {f"{number}.png": PICTURE for number in range(n)}


# whose image it is


@pytest.mark.parametrize("concepts", [{"flu": "flu", "normal": None}, {"flu": "flu"}])
@pytest.mark.parametrize("missing", ["reject", "alone"])
def test_the_patient_of_an_image_is_known_though_its_label_is_not_wanted(
    tmp_path: Path, concepts: dict[str, str | None], missing: str
) -> None:
    rows = "".join(f"{number}.png,P1,{('flu', 'normal')[number % 2]},f{number % 2}\n" for number in range(6))
    found = scan(
        tmp_path,
        {**pictures(6), "l.csv": "image,pid,dx,fold\n" + rows},
        subject={"column": "pid", "missing": missing},
        split={"column": "fold"},
        labels=[{**LABELLED, "concepts": concepts}],
    )
    assert len({row["subject"] for row in found.items.values()}) == 1
    assert [row["source_split"] for row in found.items.values()] == ["f0", "f1"] * 3


def test_an_image_whose_row_cannot_be_read_does_not_stand_alone(tmp_path: Path) -> None:
    table = "image,pid,dx\n0.png,P1,flu\n1.png,P1,flu,more\n"
    found = scan(
        tmp_path, {**pictures(3), "l.csv": table}, subject={"column": "pid", "missing": "alone"}, labels=[LABELLED]
    )
    assert sorted(found.items) == ["0.png", "2.png"]
    assert found.reasons("image") == ["no_subject"]


def test_what_is_said_of_an_image_without_subject_is_refused_with_it(tmp_path: Path) -> None:
    files = {**pictures(3), "l.csv": "image,dx\n0.png,flu\n1.png,flu\n"}
    found = scan(tmp_path, files, subject={"pattern": "(?P<subject>p[0-9])"}, labels=[LABELLED])
    assert found.count("image") == (3, 0, 3, 0)
    assert found.count("row") == (2, 0, 2, 0)
    assert found.reasons("row") == ["image_unavailable"] * 2


def test_what_is_said_of_an_image_over_the_limit_is_filtered_with_it(tmp_path: Path) -> None:
    files = {**pictures(3), "l.csv": "image,dx\n0.png,flu\n1.png,flu\n2.png,flu\n"}
    found = scan(tmp_path, files, limit=1, labels=[LABELLED])
    assert found.count("image") == found.count("row") == (3, 1, 0, 2)
    assert found.reasons("row") == ["over_limit"] * 2


def test_two_full_names_of_one_image_are_refused_where_only_file_names_count(tmp_path: Path) -> None:
    table = "image,dx\n/a/0.png,flu\n/b/0.png,tbc\nC:\\x\\1.png,flu\n"
    files = {"img/0.png": PICTURE, "img/1.png": PICTURE, "l.csv": table}
    found = scan(tmp_path, files, labels=[{**LABELLED, "image_by": "name"}])
    assert found.reasons("row") == ["ambiguous_image"] * 2
    assert {key: row["labelled_by"] for key, row in found.items.items()} == {"img/0.png": [], "img/1.png": ["table"]}


# which label sets have seen an image whole


@pytest.mark.parametrize(
    ("row", "left"),
    [
        (b"1.png,11,11,15,15,cell,extra", ["0.png", "2.png"]),
        (b"1.png,11,11,15,15,c\xe9ll", ["0.png", "2.png"]),
        (b"\xe9.png,11,11,15,15,cell", []),
        (b'1.png,11,11,15,15,"cell', ["0.png", "2.png"]),
    ],
)
def test_a_broken_row_takes_the_count_from_every_image_that_it_may_have_meant(
    tmp_path: Path, row: bytes, left: list[str]
) -> None:
    whole = b"".join(b"%d.png,1,1,5,5,cell\n" % number for number in range(3))
    found = scan(tmp_path, {**pictures(3), "b.csv": b"image,x0,y0,x1,y1,c\n" + row + b"\n" + whole}, labels=[BOXES])
    assert found.count("object") == (4, 3, 1, 0)
    assert [key for key, one in found.items.items() if one["labelled_by"]] == left


def test_a_broken_line_of_json_takes_the_count_from_its_file_alone(tmp_path: Path) -> None:
    line = '{{"image":"{}.png","x0":1,"y0":1,"x1":5,"y1":5,"c":"cell"}}\n'
    files = {**pictures(2), "a.jsonl": line.format(0) + "{broken\n", "b.jsonl": line.format(1)}
    found = scan(tmp_path, files, labels=[{**BOXES, "files": "*.jsonl"}])
    assert [key for key, one in found.items.items() if one["labelled_by"]] == ["1.png"]


def test_a_mask_of_no_known_image_takes_the_count_from_its_whole_set(tmp_path: Path) -> None:
    masks = {"layout": "masks", "files": "m/*.png", "per": "file", "label": "cell", "exhaustive": True}
    masks |= {"pattern": r"m/(?P<id>\d)_", "image": "i/{id}.png"}
    files = {"i/0.png": PICTURE, "m/0_a.png": PICTURE, "m/stray.png": PICTURE}
    found = scan(tmp_path, files, images={"glob": "i/*.png"}, labels=[masks])
    assert [one["labelled_by"] for one in found.items.values()] == [[]]


def test_a_name_that_fits_two_images_takes_the_count_from_both(tmp_path: Path) -> None:
    table = "image,x0,y0,x1,y1,c\na/1.png,1,1,5,5,cell\nc/2.png,1,1,5,5,cell\n1.png,1,1,5,5,cell\n"
    files = {"a/1.png": PICTURE, "b/1.png": PICTURE, "c/2.png": PICTURE, "b.csv": table}
    found = scan(tmp_path, files, labels=[BOXES])
    assert [key for key, one in found.items.items() if one["labelled_by"]] == ["c/2.png"]


# nothing goes without being counted


def test_an_absent_image_is_counted_once_for_each_folder_that_names_it(tmp_path: Path) -> None:
    xml = "<annotation><filename>1.png</filename></annotation>"
    files = {**pictures(1), "train/1.xml": xml, "valid/1.xml": xml}
    found = scan(tmp_path, files, labels=[{"layout": "voc", "files": "*/*.xml"}])
    assert found.reasons("image") == ["missing_file"] * 2


def test_a_class_list_names_an_absent_image_without_its_flag(tmp_path: Path) -> None:
    files = {**pictures(1), "train.txt": "0\n7\n", "aero_train.txt": "0 1\n7 -1\n"}
    found = scan(tmp_path, files, split={"lists": "{split}.txt"})
    assert [row["item_key"] for row in found.rejects if row["reason"] == "missing_file"] == ["7"]


def test_a_line_of_a_list_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    files = {"a/1.png": PICTURE, "b/1.png": PICTURE, "train.txt": "1\n../../x\n"}
    found = scan(tmp_path, files, split={"lists": "{split}.txt"})
    assert found.reasons("row") == ["ambiguous_image", "outside_root"]


def test_a_quote_that_is_never_closed_costs_its_own_row_alone(tmp_path: Path) -> None:
    rows = "".join(f"{number}.png,flu,{chr(34) + 'x' if number == 2 else 'y'}\n" for number in range(30))
    found = scan(tmp_path, {**pictures(30), "l.csv": "image,dx,n\n" + rows}, labels=[LABELLED])
    assert found.count("row") == (30, 29, 1, 0)
    assert [(row["item_key"], row["locator"]) for row in found.rejects if row["unit"] == "row"] == [("2.png", "row 3")]


def test_hidden_paths_stay_out_of_details(tmp_path: Path) -> None:
    labels = [{"layout": "folders", "concepts": {"flu": "flu"}}]
    found = scan(tmp_path, {"SMITHJOHN/1.png": PICTURE}, paths_identify=True, labels=labels)
    assert found.reasons("file") == ["unknown_class"]
    assert "SMITH" not in str(found.rejects)


# what a card says and no file holds


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"labels": [{**LABELLED, "files": ["l.csv", "nope.csv"]}]}, "label set table: `files`.*nope.csv"),
        ({"split": {"lists": "nolist/{split}.txt"}}, "split: `lists`.*nolist"),
        ({"labels": [LABELLED], "split": {"column": "fold"}}, "split: .*'fold'"),
        ({"labels": [LABELLED], "subject": {"column": "patient_idd", "missing": "alone"}}, "subject: .*patient_idd"),
    ],
)
def test_what_a_card_names_and_no_file_holds_stops_the_build(tmp_path: Path, card: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        scan(tmp_path, {**pictures(1), "l.csv": "image,pid,dx\n0.png,P1,flu\n"}, **card)


def test_a_column_that_is_empty_in_every_row_is_there(tmp_path: Path) -> None:
    subject = {"column": "pid", "missing": "alone"}
    found = scan(tmp_path, {**pictures(1), "l.csv": "image,pid,dx\n0.png,,flu\n"}, subject=subject, labels=[LABELLED])
    assert [row["subject"] for row in found.items.values()] == [None]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"images": {"glob": "*.dcm", "header": {"modalty": "Modality"}}}, "did you mean modality"),
        ({"images": {"glob": "*.dcm", "header": {"view": "ViewPositon"}}}, "did you mean ViewPosition"),
        ({"images": {"glob": "*.dcm", "header": {"view": "PatientName"}}}, "PatientName"),
        ({"subject": {"header": "PatientName"}}, "names a subject or a study"),
        (
            {"labels": [{"layout": "headers", "columns": {"Foo": {"kind": "attribute"}}}]},
            "'Foo' is not a DICOM keyword",
        ),
    ],
)
def test_a_dicom_keyword_that_is_never_read_is_an_error_of_the_card(
    tmp_path: Path, card: dict[str, Any], said: str
) -> None:
    with pytest.raises(CardError, match=said):
        scan(tmp_path, pictures(1), **card)


def test_a_whole_number_of_parquet_is_one_subject_whether_its_column_holds_floats_or_not(tmp_path: Path) -> None:
    import pyarrow as pa

    write(tmp_path / "data" / "example", pictures(2))
    for name, image, pid in (("a", "0.png", 1.0), ("b", "1.png", 1)):
        pq.write_table(
            pa.table({"image": [image], "pid": [pid], "dx": ["flu"]}), tmp_path / f"data/example/{name}.parquet"
        )
    labels = [{**LABELLED, "files": "*.parquet"}]
    found = scan(tmp_path, {}, subject={"column": "pid"}, labels=labels)
    assert len({row["subject"] for row in found.items.values()}) == 1


def test_a_state_of_one_point_nought_is_met_by_a_float_of_parquet_and_by_text(tmp_path: Path) -> None:
    states = {"1.0": "present", "0.0": "absent", "": "not_stated"}
    columns = {"flu": {"kind": "multilabel", "states": states}}
    files = {**pictures(2), "a.csv": "image,flu\n0.png,1.0\n", "b.jsonl": '{"image":"1.png","flu":0.0}\n'}
    labels = [{**LABELLED, "files": ["a.csv", "b.jsonl"], "columns": columns}]
    assert scan(tmp_path, files, labels=labels).count("row") == (2, 2, 0, 0)
