"""A folder that nobody described: what its draft says, and what it admits not to know."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate import layouts
from curate.card import Card, load_card, parse_card
from curate.layouts.base import Context, Record
from curate.layouts.image_index import ImageIndex
from curate.layouts.sniff import Sniffed, sniff
from curate.layouts.sniff_files import globs_of
from curate.layouts.tree import Entry, Reader, Tree
from tests.conftest import ROOT

SOURCES = (
    "bccd",
    "rbc-wbc-coco",
    "chula-rbc-diseases",
    "chula-rbc-12-points",
    "dsb2018-nuclei",
    "hannover-covid-cxr",
    "vqa-rad",
)


def picture(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def drafted(root: Path) -> tuple[Card, Sniffed]:
    """The draft, which must be a card that can be built."""
    found = sniff(root)
    card = parse_card(found.card, "the draft")
    layouts.check_card(card)
    return card, found


def only_set(found: Sniffed) -> dict[str, Any]:
    (labels,) = found.card["labels"]
    return labels


def told(found: Sniffed, *words: str) -> bool:
    """One line says all of these words."""
    return any(all(word in line for word in words) for line in found.unsure)


def said(root: Path, card: Card) -> Counter[tuple[str, ...]]:
    """Everything that the card's label sets say, as (image, kind, label, coordinates, question, text)."""
    patterns = [*card.images.globs, *(pattern for labels in card.labels for pattern in labels.files)]
    tree = Tree.scan(root, patterns)
    images = tree.match(card.images.globs)
    index = ImageIndex(images)
    return Counter(_statements(root, card, tree, images, index))


def _statements(
    root: Path, card: Card, tree: Tree, images: list[Entry], index: ImageIndex
) -> Iterator[tuple[str, ...]]:
    with Reader(root) as reader:
        for labels in card.labels:
            options = layouts.options_of(labels, card.id)
            context = Context(card, labels, options, tree, lambda entry: reader.read(entry.path, entry.member), images)
            for unit in layouts.layout_of(labels).scan(context):
                if not isinstance(unit, Record):
                    continue
                image = index.resolve(unit.image.name, unit.image.near)
                if isinstance(image, Entry):
                    for one in unit.annotations:
                        place = (str(one.coords), str(one.polygons), str(one.mask))
                        yield (
                            image.key,
                            one.kind,
                            str(one.label),
                            *place,
                            str(one.question),
                            str(one.text),
                            str(one.value),
                        )


@pytest.mark.parametrize("source", SOURCES)
def test_the_draft_of_a_real_source_says_what_its_card_says(source: str, test_data: Callable[[str], Path]) -> None:
    """The same statements about the same images, but for what no file tells, which the draft admits."""
    root = test_data(source)
    card, found = drafted(root)
    ours, theirs = said(root, load_card(ROOT / "catalogs" / f"{source}.yaml")), said(root, card)
    assert theirs
    if source == "chula-rbc-12-points":  # the names of the types stand in the prose of the README
        assert told(found, "points", "class", "names")
        assert theirs.total() == ours.total() + 1  # the card leaves the one uncategorised cell out
        assert {(key[0], key[3]) for key in ours} <= {(key[0], key[3]) for key in theirs}
    elif source == "dsb2018-nuclei":  # that the objects are nuclei stands in no file
        assert told(found, "masks", "names stand in no file")
        assert Counter((key[0], key[5]) for key in theirs.elements()) == Counter(
            (key[0], key[5]) for key in ours.elements()
        )
    elif source == "hannover-covid-cxr":  # units stand in the prose of the readme
        assert told(found, "crp_val", "unit")
        assert {key[:3] for key in theirs} == {key[:3] for key in ours if key[1] == "attribute"}
    else:
        assert theirs == ours


@pytest.mark.parametrize("source", SOURCES)
def test_a_draft_never_claims_what_files_cannot_tell(source: str, test_data: Callable[[str], Path]) -> None:
    card, found = drafted(test_data(source))
    assert {labels.world for labels in card.labels} == {"open"}
    assert not any(labels.exhaustive for labels in card.labels)
    assert card.terms.licence == "LicenseRef-unknown"
    assert card.terms.deidentified is None
    assert (card.modality, card.anatomy) == (None, None)
    for word in ("terms", "world", "exhaustive", "modality"):
        assert told(found, word)


def test_subjects_and_splits_of_real_sources_are_those_of_their_cards(test_data: Callable[[str], Path]) -> None:
    assert drafted(test_data("hannover-covid-cxr"))[0].subject.column == "patient_id"
    card, found = drafted(test_data("rbc-wbc-coco"))
    assert card.subject.pattern is not None
    assert told(found, "100 of 240 images")
    assert card.split is not None
    card, _ = drafted(test_data("bccd"))
    assert card.split is not None
    assert card.split.lists == "BCCD/ImageSets/Main/{split}.txt"
    assert card.subject.none is not None


def test_a_table_of_boxes_beside_voc_is_told_of_and_not_read_twice(test_data: Callable[[str], Path]) -> None:
    _, found = drafted(test_data("bccd"))
    assert [labels["layout"] for labels in found.card["labels"]] == ["voc"]
    assert told(found, "test.csv", "boxes")


def test_yolo_takes_its_names_from_the_data_file(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(3):
            picture(tmp_path / "images" / split / f"{split}{number}.png")
            write(
                tmp_path / "labels" / split / f"{split}{number}.txt", "0 0.5 0.5 0.25 0.25\n1 0.25 0.25 0.125 0.125\n"
            )
    write(tmp_path / "data.yaml", "names: [polyp, instrument]\n")
    card, found = drafted(tmp_path)
    assert only_set(found)["layout"] == "yolo"
    assert only_set(found)["names"] == "data.yaml"
    assert {key[2] for key in said(tmp_path, card)} == {"polyp", "instrument"}
    assert card.split is not None
    assert told(found, "yolo", "data.yaml")
    assert not told(found, "not understood")


def test_yolo_without_names_gets_none_invented(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "3 0.5 0.5 0.25 0.25\n")
    _, found = drafted(tmp_path)
    assert only_set(found)["names"] == {"3": "type 3"}
    assert told(found, "yolo", "names stand in no file")


def test_points_in_words_keep_their_words(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "img" / f"{number}.png")
        write(tmp_path / "pts" / f"{number}.txt", "3 4 mitosis\n5 2 tumour\n")
    card, found = drafted(tmp_path)
    assert only_set(found)["layout"] == "points"
    assert {key[2] for key in said(tmp_path, card)} == {"mitosis", "tumour"}
    assert told(found, "points", "counted from 0")


def test_a_mask_beside_its_image_is_no_image(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "scan" / f"case{number}.png")
        mask = Image.new("L", (8, 6))
        for value in range(1, 3 + number):
            mask.putpixel((value, 1), value)
        mask.save(tmp_path / "scan" / f"case{number}_mask.png")
    card, found = drafted(tmp_path)
    assert only_set(found)["layout"] == "masks"
    assert only_set(found)["per"] == "instance"
    assert {key[0] for key in said(tmp_path, card)} == {f"scan/case{number}.png" for number in range(3)}
    assert told(found, "masks", "per: value")


def test_masks_of_the_same_few_values_hold_classes_without_names(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = Image.new("L", (8, 6))
        mask.putpixel((1, 1), 1)
        mask.putpixel((2, 2), 2)
        mask.save(tmp_path / "masks" / f"{number}.png")
    card, found = drafted(tmp_path)
    assert (only_set(found)["per"], only_set(found)["values"]) == ("value", {1: "value 1", 2: "value 2"})
    assert told(found, "masks", "names stand in no file")
    assert {key[2] for key in said(tmp_path, card)} == {"value 1", "value 2"}


def test_voc_files_without_an_object_are_label_files_too(tmp_path: Path) -> None:
    """They say that the image was looked at."""
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax></bndbox>"
    for name, thing in (("a", f"<object><name>cell</name>{box}</object>"), ("b", "")):
        picture(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.xml", f"<annotation><filename>{name}.png</filename>{thing}</annotation>")
    _, found = drafted(tmp_path)
    assert only_set(found)["files"] == ["*.xml"]


def test_zero_among_voc_corners_shows_that_pixels_count_from_zero(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    box = "<bndbox><xmin>0</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax></bndbox>"
    write(
        tmp_path / "a.xml",
        f"<annotation><filename>a.png</filename><object><name>cell</name>{box}</object></annotation>",
    )
    _, found = drafted(tmp_path)
    assert only_set(found)["zero_based"] is True
    assert told(found, "voc", "begins at 0")


def test_a_semicolon_table_of_findings_keeps_zeros_undecided(tmp_path: Path) -> None:
    """0 may mean absent or not looked for: no draft may decide that."""
    for number in range(4):
        picture(tmp_path / "png" / f"x{number}.png")
    rows = "".join(f"P{number // 2};x{number}.png;{number % 2};L;train;AP\n" for number in range(4))
    write(tmp_path / "table.csv", f"PatientID;image;Pneumonia;side;split;ViewPosition\n{rows}")
    card, found = drafted(tmp_path)
    labels = only_set(found)
    assert labels["delimiter"] == ";"
    assert labels["image"] == "image"
    assert "Pneumonia" not in labels.get("columns", {})
    assert told(found, "Pneumonia", "states")
    assert (card.subject.column, card.split and card.split.column) == ("PatientID", "split")
    assert labels["fields"] == {"view": "ViewPosition"}


def test_several_findings_in_one_cell_are_many_labels(tmp_path: Path) -> None:
    findings = ["Effusion|Mass", "No Finding", "Mass", "Effusion", "No Finding", "Mass|Effusion"]
    for number in range(len(findings)):
        picture(tmp_path / f"x{number}.png")
    rows = "".join(f"x{number}.png,{finding}\n" for number, finding in enumerate(findings))
    write(tmp_path / "labels.csv", f"Image Index,Finding Labels\n{rows}")
    _, found = drafted(tmp_path)
    assert only_set(found)["columns"] == {"Finding Labels": {"kind": "multilabel", "separator": "|"}}
    assert told(found, "none")


def test_what_is_told_of_columns_holds_no_prose_about_a_patient(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"x{number}.png")
    comment = "Lotte, known asthma, seen by the same doctor as her brother"
    rows = "".join(f'x{number}.png,{"flu" if number else "cold"},"{comment}"\n' for number in range(4))
    write(tmp_path / "t.csv", f"file,diagnosis,Preconditions / comments\n{rows}{rows}")
    _, found = drafted(tmp_path)
    assert only_set(found)["columns"] == {"diagnosis": {"kind": "class"}}
    assert "Lotte" not in json.dumps(found.card) + " ".join(found.unsure)


def test_questions_about_images_that_are_not_here_name_their_files(test_data: Callable[[str], Path]) -> None:
    _, found = drafted(test_data("slake-bilingual-text"))
    labels = only_set(found)
    assert (labels["layout"], labels["image"], labels["language"]) == ("qa", "img_name", "q_lang")
    assert told(found, "no image", "img_name")


def test_a_column_of_sentences_names_no_classes(tmp_path: Path) -> None:
    rows = [f"{n}.png,{text}\n" for n, text in enumerate(["The lungs are clear.", "No effusion; heart is normal."] * 4)]
    for number in range(len(rows)):
        picture(tmp_path / f"images/{number}.png")
    write(tmp_path / "reports.csv", "image,findings\n" + "".join(rows))
    assert told(drafted(tmp_path)[1], "findings", "holds sentences", "kind: report")


def test_a_column_of_ones_and_zeros_is_told_with_the_states_that_it_may_have(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"images/{number}.png")
    write(tmp_path / "train.csv", "image,Glaucoma,AMD\n" + "".join(f"{n}.png,{n % 2},{n // 2}\n" for n in range(4)))
    assert told(drafted(tmp_path)[1], "Glaucoma, AMD", '{kind: multilabel, states: {"1": present, "0": absent}}')


def test_labelme_files_are_told_by_their_shapes(tmp_path: Path) -> None:
    shapes = [{"label": "mole", "points": [[1, 1], [4, 1], [4, 4]], "shape_type": "polygon"}]
    for number in range(3):
        picture(tmp_path / f"{number}.jpg")
        write(tmp_path / f"{number}.json", json.dumps({"shapes": shapes, "imagePath": f"{number}.jpg"}))
    card, found = drafted(tmp_path)
    assert only_set(found) == {"layout": "labelme", "files": ["*.json"]}
    assert told(found, "labelme", "'mole'")
    assert len(said(tmp_path, card)) == 3


def test_folders_of_dicom_series_are_no_classes(test_data: Callable[[str], Path]) -> None:
    assert [labels["layout"] for labels in drafted(test_data("rt-utils-rtstruct"))[1].card["labels"]] == ["rtstruct"]
    card, _ = drafted(test_data("totalsegmentator-tests"))
    assert {labels.layout for labels in card.labels} == {"masks"}


def test_records_within_a_document_and_an_archive_of_images(tmp_path: Path) -> None:
    picture(tmp_path / "one.png")
    picture(tmp_path / "two.png")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in ("one.png", "two.png"):
            archive.write(tmp_path / name, f"pictures/{name}")
            (tmp_path / name).unlink()
    records = [{"img": name, "question": "Is there a mass?", "answer": "No"} for name in ("one.png", "two.png")]
    write(tmp_path / "val_qa.json", json.dumps({"version": 1, "records": records}))
    card, found = drafted(tmp_path)
    assert card.images.globs == ("images.zip/pictures/*.png",)
    assert only_set(found)["records"] == "records"
    assert only_set(found)["splits"] == {"val_qa.json": "val"}
    assert len(said(tmp_path, card)) == 2


def test_embedded_images_of_parquet_keep_the_names_of_their_classes(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": {"names": ["benign", "malignant"], "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    (tmp_path / "data").mkdir()
    rows = [{"image": {"bytes": b"", "path": "a.png"}, "label": 1}]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "data" / "train-00000.parquet")
    card, found = drafted(tmp_path)
    assert card.images.column == "image"
    assert only_set(found)["image"] == "@row"
    assert only_set(found)["columns"]["label"]["values"] == {"0": "benign", "1": "malignant"}


def test_folders_of_patients_are_no_classes(tmp_path: Path) -> None:
    for patient in ("patient001", "patient002", "patient003"):
        for number in range(2):
            picture(tmp_path / patient / f"{patient}_{number}.png")
    card, found = drafted(tmp_path)
    assert found.card["labels"] == []
    assert told(found, "labels: none")
    assert card.subject.pattern is not None


def test_folders_of_splits_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("normal", "benign tumour"):
            for number in range(2):
                picture(tmp_path / split / label / f"{split}{number}.png")
    card, found = drafted(tmp_path)
    assert only_set(found)["layout"] == "folders"
    assert {key[2] for key in said(tmp_path, card)} == {"normal", "benign tumour"}
    assert card.split is not None


def test_dicom_without_an_extension_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 16)
    card, _ = drafted(tmp_path)
    assert card.images.globs == ("IM1",)
    assert card.subject.header == "PatientID"
    assert card.hides_paths


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "\x00\x01", "a,b\n", '{"images": 1, "annotations": 2}', "[" * 100_000]
)
def test_files_that_are_not_what_they_seem_are_told_of(text: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for name in ("a.json", "a.csv", "a.xml", "a.txt", "a.jsonl", "a.parquet"):
        write(tmp_path / name, text)
    _, found = drafted(tmp_path)
    assert found.card["labels"] == []
    assert told(found, "not understood")


def test_an_empty_folder_has_no_images_and_says_so(tmp_path: Path) -> None:
    _, found = drafted(tmp_path)
    assert told(found, "images: none")


def test_two_looks_at_a_folder_draft_the_same_card(test_data: Callable[[str], Path]) -> None:
    root = test_data("hannover-covid-cxr")
    assert sniff(root) == sniff(root)


def test_patterns_keep_clear_of_other_files() -> None:
    assert globs_of(["a/x.png", "b/y.png"], []) == ["*/*.png"]
    assert globs_of(["a/x.png", "b/y.png"], ["c/z.png"]) == ["a/x.png", "b/y.png"]
    assert globs_of(["1/images/x.png", "2/images/y.png"], ["1/masks/z.png"]) == ["*/images/*.png"]
    assert globs_of(["p[1]/x.png", "p[1]/y.png"], []) == ["p[[]1]/*.png"]
