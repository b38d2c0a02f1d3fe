"""The ledger of seven real sources against counts by the standard library alone, and what a clinician would ask."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from curate import open_catalog
from curate.build import build
from curate.card import load_card
from curate.execute import Executing
from tests import raw_counts
from tests.conftest import ROOT
from tests.raw_counts import COUNTERS, RawCounts, same_text

SOURCES = tuple(COUNTERS)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def raw(test_data: Callable[[str], Path]) -> dict[str, RawCounts]:
    """What the standard library counts in each source."""
    return {source: count(test_data(source)) for source, count in COUNTERS.items()}


@pytest.fixture(scope="session")
def tables(data_root: Path, raw: dict[str, RawCounts], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """The catalog of one build of all seven."""
    out = tmp_path_factory.mktemp("seven")
    build(ROOT / "pipelines" / "seven-sources.yaml", out, data_root, executing=Executing(workers=2))
    catalog = open_catalog(out)
    return {
        name: getattr(catalog, name).collect().to_dicts()
        for name in ("parts", "rejects", "assets", "annotations", "pairs", "groups")
    }


def of(rows: Rows, **wanted: object) -> Rows:
    """The rows with these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def ledger(tables: dict[str, Rows], stage: str, source: str, unit: str) -> tuple[int, int, int, int]:
    """What came in, was used, rejected and filtered, over all parts."""
    rows = of(tables["parts"], stage=stage, source=source, unit=unit)
    columns = ("n_in", "n_used", "n_rejected", "n_filtered")
    n_in, used, rejected, filtered = (sum(row[column] for row in rows) for column in columns)
    return n_in, used, rejected, filtered


def reasons(tables: dict[str, Rows], source: str, **wanted: object) -> Counter[str]:
    """How often each reason stands in the rejects of a source."""
    return Counter(row["reason"] for row in of(tables["rejects"], source=source, **wanted))


def texts(pairs: Rows) -> str:
    """Every word of these pairs."""
    return "\n".join(message["content"] for pair in pairs for message in pair["messages"])


def ids(rows: Iterable[dict[str, Any]]) -> set[str]:
    return {row["asset_id"] for row in rows}


# The counts themselves, and the cards.


def test_the_standard_library_counts_what_the_sources_are_known_to_hold(raw: dict[str, RawCounts]) -> None:
    """Numbers that stand in the sources' own descriptions."""
    assert (raw["bccd"].present, raw["bccd"].images, raw["bccd"].missing) == (180, 364, 184)
    assert (raw["rbc-wbc-coco"].present, raw["rbc-wbc-coco"].objects, raw["rbc-wbc-coco"].subjects) == (240, 5638, 100)
    assert raw["chula-rbc-12-points"].unlabelled == ("104", "108", "109")
    assert (raw["dsb2018-nuclei"].images, raw["dsb2018-nuclei"].objects) == (25, 592)
    assert (raw["hannover-covid-cxr"].present, raw["hannover-covid-cxr"].subjects) == (66, 25)
    assert (raw["vqa-rad"].present, raw["vqa-rad"].rows, raw["vqa-rad"].repeats) == (315, 3515, 483)
    assert raw["vqa-rad"].images_by_split["test+train"] == 203


@pytest.mark.parametrize("source", SOURCES)
def test_a_card_expects_what_the_standard_library_counts(source: str, raw: dict[str, RawCounts]) -> None:
    card = load_card(ROOT / "catalogs" / f"{source}.yaml")
    counted = {"images": raw[source].images, "rows": raw[source].rows, "objects": raw[source].objects}
    assert card.expects == {unit: counted[unit] for unit in card.expects}
    assert card.expects["images"] == raw[source].images
    assert card.expected_rejects.get("missing_file", 0) == raw[source].missing


@pytest.mark.parametrize("source", SOURCES)
def test_a_card_quotes_terms_that_its_source_holds(source: str, test_data: Callable[[str], Path]) -> None:
    """The quote is in a file of the source, where that file came along with the data."""
    card = load_card(ROOT / "catalogs" / f"{source}.yaml")
    files = [path for path in test_data(source).iterdir() if path.name.upper().startswith(("LICENSE", "README"))]
    named = [path for path in files if path.name in card.terms.read_at.split(";")[0]]
    words = [" ".join(path.read_text(encoding="utf-8").split()) for path in named]
    if not words:
        pytest.skip(f"the file that holds the terms of {source} did not come along with its data")
    assert any(" ".join(card.terms.quote.split()) in text for text in words)


def test_the_csv_of_bccd_repeats_the_boxes_of_the_xml(test_data: Callable[[str], Path]) -> None:
    """Why the card leaves it out."""
    assert raw_counts.bccd_csv_boxes(test_data("bccd")) == (4888, 364, 0)


# The ledger, exactly.


@pytest.mark.parametrize("source", SOURCES)
def test_every_file_is_used_or_filtered(source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    files, unused = raw[source].files, raw[source].unused_files
    assert ledger(tables, "scan", source, "file") == (files, files - unused, 0, unused)
    assert reasons(tables, source, unit="file") == Counter({"ignored_file": unused})


@pytest.mark.parametrize("source", SOURCES)
def test_every_image_is_used_or_missing(source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    counts = raw[source]
    assert ledger(tables, "scan", source, "image") == (counts.images, counts.present, counts.missing, 0)
    assert reasons(tables, source, unit="image") == Counter({"missing_file": counts.missing} if counts.missing else {})


@pytest.mark.parametrize("source", SOURCES)
def test_every_image_that_is_there_becomes_one_asset(
    source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    assert ledger(tables, "read", source, "item") == (raw[source].present, raw[source].present, 0, 0)
    assert len(of(tables["assets"], source=source)) == raw[source].present


@pytest.mark.parametrize("source", ["rbc-wbc-coco", "hannover-covid-cxr", "vqa-rad"])
def test_every_row_speaks_of_an_image_that_is_there_or_is_refused(
    source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    counts = raw[source]
    assert ledger(tables, "scan", source, "row") == (
        counts.rows,
        counts.rows - counts.rows_without_image,
        counts.rows_without_image,
        0,
    )
    assert reasons(tables, source, unit="row")["image_unavailable"] == counts.rows_without_image


@pytest.mark.parametrize("source", ["bccd", "rbc-wbc-coco", "chula-rbc-12-points", "dsb2018-nuclei"])
def test_every_object_is_used_or_of_a_class_that_the_card_ignores(
    source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    counts = raw[source]
    wanted = (counts.objects, counts.objects - counts.ignored_objects, 0, counts.ignored_objects)
    assert ledger(tables, "scan", source, "object") == wanted


ANNOTATED = {
    "bccd": lambda counts: counts.objects,
    "rbc-wbc-coco": lambda counts: counts.objects,
    "chula-rbc-diseases": lambda counts: counts.images_by_label.total(),
    "chula-rbc-12-points": lambda counts: counts.objects - counts.ignored_objects,
    "dsb2018-nuclei": lambda counts: counts.objects,
    "hannover-covid-cxr": lambda counts: sum(
        cells for column, cells in counts.cells.items() if column in LAB_COLUMNS or column == "sex"
    ),
    "vqa-rad": lambda counts: counts.rows,
}
LAB_COLUMNS = ("crp_val", "d-dimer_val", "ldh_val", "lymphocytes_val", "neutrophils_val", "pco2_val", "po2_val")


@pytest.mark.parametrize("source", SOURCES)
def test_every_statement_is_kept_once(source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    """Statements less the repeats; outside and degenerate boxes there are none in these sources, by count."""
    counts = raw[source]
    assert (counts.outside, counts.degenerate) == (0, 0)
    said = ANNOTATED[source](counts)
    assert ledger(tables, "read", source, "annotation") == (said, said - counts.repeats, 0, counts.repeats)
    assert len(of(tables["annotations"], source=source)) == said - counts.repeats
    assert reasons(tables, source, unit="annotation") == Counter({"repeated": counts.repeats} if counts.repeats else {})


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_refused_that_the_counts_do_not_explain(
    source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    counts = raw[source]
    refused = reasons(tables, source, verdict="rejected")
    explained = Counter({"missing_file": counts.missing, "image_unavailable": counts.rows_without_image})
    if source == "vqa-rad":
        del refused["answer_in_question"]  # see below
    assert refused == +explained


def test_only_questions_that_hold_their_answer_are_refused(
    tables: dict[str, Rows], test_data: Callable[[str], Path]
) -> None:
    telling = raw_counts.vqa_rad_answered_by_their_question(test_data("vqa-rad"))
    paired = {one for pair in of(tables["pairs"], source="vqa-rad", task="source_qa") for one in pair["annotation_ids"]}
    name = {row["asset_id"]: Path(row["item_key"]).name for row in of(tables["assets"], source="vqa-rad")}
    left_out = {
        (name[row["asset_id"]], same_text(row["question"]), same_text(row["text"]))
        for row in of(tables["annotations"], source="vqa-rad")
        if row["annotation_id"] not in paired
    }
    assert left_out <= telling
    assert len(left_out) == reasons(tables, "vqa-rad", stage="verify")["answer_in_question"]


@pytest.mark.parametrize("source", ["bccd", "rbc-wbc-coco"])
def test_boxes_per_label_are_those_of_the_source(
    source: str, tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    kept = Counter(row["label"] for row in of(tables["annotations"], source=source, kind="box"))
    assert kept == raw[source].objects_by_label


def test_points_per_type_are_those_of_the_source(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    names = load_card(ROOT / "catalogs" / "chula-rbc-12-points.yaml").labels[0].options["names"]
    wanted = Counter({names[label]: n for label, n in raw["chula-rbc-12-points"].objects_by_label.items()})
    del wanted["uncategorised"]
    assert Counter(row["label"] for row in of(tables["annotations"], source="chula-rbc-12-points")) == wanted


def test_diseases_are_those_of_the_folders(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    kept = Counter(row["label"] for row in of(tables["annotations"], source="chula-rbc-diseases"))
    assert kept == raw["chula-rbc-diseases"].images_by_label


# What a clinician would ask.


def test_silence_never_becomes_absence(tables: dict[str, Rows]) -> None:
    """No source here states an absence, and each world is open."""
    assert {row["world"] for row in tables["annotations"]} == {"open"}
    assert not of(tables["annotations"], state="absent")


def test_a_closed_question_is_answered_no_only_where_a_header_or_column_says_otherwise(tables: dict[str, Rows]) -> None:
    """The worlds are open: that a finding is absent cannot be said, that a view or modality is another one can."""
    for pair in of(tables["pairs"], task="closed_vqa"):
        answer = pair["messages"][-1]["content"]
        if answer.casefold().startswith("no"):
            assert pair["source"] == "hannover-covid-cxr"
            words = {"AP", "PA", "view", "projection", "modality", "made", "CT", "MRI", "ultrasound", "radiography"}
            assert words & set(re.findall(r"[A-Za-z]+", texts([pair]))), texts([pair])


@pytest.mark.parametrize(
    "source", ["bccd", "chula-rbc-12-points", "chula-rbc-diseases", "hannover-covid-cxr", "vqa-rad"]
)
def test_a_source_that_does_not_mark_every_object_yields_no_count(source: str, tables: dict[str, Rows]) -> None:
    assert not of(tables["pairs"], source=source, task="count")


def test_augmented_copies_are_never_counted(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    assets = of(tables["assets"], source="rbc-wbc-coco")
    augmented = ids(row for row in assets if "augmented" in row["labelled_by"])
    counted = {
        asset for pair in of(tables["pairs"], source="rbc-wbc-coco", task="count") for asset in pair["asset_ids"]
    }
    assert len(augmented) == raw["rbc-wbc-coco"].images_by_split["train"]
    assert counted
    assert not counted & augmented


def test_an_image_without_a_label_file_is_not_looked_at(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    """Images 104, 108 and 109: unknown is not zero."""
    counts = raw["chula-rbc-12-points"]
    assets = of(tables["assets"], source="chula-rbc-12-points")
    unlabelled = [row for row in assets if Path(row["item_key"]).stem in counts.unlabelled]
    assert len(unlabelled) == 3
    assert all(row["labelled_by"] == [] for row in unlabelled)
    assert all(row["labelled_by"] for row in assets if row not in unlabelled)
    words = texts([pair for pair in tables["pairs"] if set(pair["asset_ids"]) & ids(unlabelled)]).casefold()
    concepts = load_card(ROOT / "catalogs" / "chula-rbc-12-points.yaml").labels[0].concepts or {}
    assert not [concept.name for concept in concepts.values() if concept is not None and concept.name in words]
    assert " no " not in words


def test_counted_nuclei_are_the_mask_files(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    image_of = {row["asset_id"]: Path(row["item_key"]).stem for row in of(tables["assets"], source="dsb2018-nuclei")}
    pairs = of(tables["pairs"], source="dsb2018-nuclei", task="count")
    assert {image_of[pair["asset_ids"][0]] for pair in pairs} == set(raw["dsb2018-nuclei"].objects_by_image)
    for pair in pairs:
        masks = raw["dsb2018-nuclei"].objects_by_image[image_of[pair["asset_ids"][0]]]
        assert len(pair["annotation_ids"]) == masks


def test_boxes_lie_on_their_image(tables: dict[str, Rows]) -> None:
    size = {row["asset_id"]: (row["width"], row["height"]) for row in tables["assets"]}
    for row in tables["annotations"]:
        if row["box"] is not None:
            x0, y0, x1, y1 = row["box"]
            width, height = size[row["asset_id"]]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height


def test_a_subject_is_in_one_split(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for row in tables["assets"]:
        if row["subject"] is not None:
            splits.setdefault((row["source"], row["subject"]), set()).add(row["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert Counter(source for source, _ in splits) == {
        source: raw[source].subjects for source in ("rbc-wbc-coco", "hannover-covid-cxr")
    }


def test_a_pair_does_not_straddle_splits(tables: dict[str, Rows]) -> None:
    split = {row["asset_id"]: row["split"] for row in tables["assets"]}
    assert all({split[asset] for asset in pair["asset_ids"]} == {pair["split"]} for pair in tables["pairs"])


def test_records_keep_the_source_split_that_they_came_from(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    """203 images are in VQA-RAD's training and test records; our split is made anew, theirs stays with each record."""
    theirs: dict[str, set[str]] = {}
    for row in of(tables["annotations"], source="vqa-rad"):
        theirs.setdefault(row["asset_id"], set()).add(row["source_split"])
    assert Counter("+".join(sorted(names)) for names in theirs.values()) == raw["vqa-rad"].images_by_split


def test_a_lists_split_is_kept_as_the_sources_own(tables: dict[str, Rows], raw: dict[str, RawCounts]) -> None:
    """BCCD's trainval only gathers train and val, so it says nothing of its own."""
    kept = Counter(row["source_split"] for row in of(tables["assets"], source="bccd"))
    wanted = {
        split.replace("+trainval", "").replace("trainval+", ""): n for split, n in raw["bccd"].images_by_split.items()
    }
    assert kept == wanted
    kept = Counter(row["source_split"] for row in of(tables["assets"], source="rbc-wbc-coco"))
    assert kept == raw["rbc-wbc-coco"].images_by_split


def test_no_radiograph_is_said_to_show_what_the_table_does_not_say(tables: dict[str, Rows]) -> None:
    """That a patient has COVID-19 is not that each image shows it; blood values and sex cannot be seen."""
    words = texts(of(tables["pairs"], source="hannover-covid-cxr")).casefold()
    assert words
    for claim in ("covid", "pneumonia", "opacity", "reactive protein", "d-dimer", "lymphocyte", "female"):
        assert claim not in words


def test_projections_and_laboratory_values_come_with_their_units(
    tables: dict[str, Rows], raw: dict[str, RawCounts], test_data: Callable[[str], Path]
) -> None:
    counts = raw["hannover-covid-cxr"]
    views = Counter(row["view"] for row in of(tables["assets"], source="hannover-covid-cxr"))
    assert views == {"AP": counts.images_by_label["projection=ap"], "PA": counts.images_by_label["projection=pa"]}
    protein = of(tables["annotations"], source="hannover-covid-cxr", concept="C-reactive protein")
    assert len(protein) == counts.cells["crp_val"]
    assert {row["unit"] for row in protein} == {"mg/L"}
    assert all("days_from_exam" in dict(row["qualifiers"]) for row in protein)
    beyond = raw_counts.hannover_beyond_detection(test_data("hannover-covid-cxr"))
    dimer = of(tables["annotations"], source="hannover-covid-cxr", concept="D-dimer")
    assert sum(row["value"] is None for row in dimer) == beyond["d-dimer_val"]


def test_the_organ_of_a_question_is_the_anatomy_of_its_image(
    tables: dict[str, Rows], raw: dict[str, RawCounts]
) -> None:
    organs = raw["vqa-rad"].images_by_label
    kept = Counter(row["anatomy"] for row in of(tables["assets"], source="vqa-rad"))
    assert kept == {
        "head": organs["HEAD"],
        "chest": organs["CHEST"],
        "abdomen": organs["ABD"],
        None: raw["vqa-rad"].unnamed,
    }
    assert {row["modality"] for row in of(tables["assets"], source="vqa-rad")} == {None}


def test_a_question_and_its_answer_stand_as_the_clinician_wrote_them(
    tables: dict[str, Rows], test_data: Callable[[str], Path]
) -> None:
    records = raw_counts.vqa_rad_records(test_data("vqa-rad"))
    written = {(str(record["question"]).strip(), str(record["answer"]).strip()) for _, record in records}
    kept = {(row["question"], row["text"]) for row in of(tables["annotations"], source="vqa-rad")}
    assert kept <= written
    types = {dict(row["qualifiers"])["answer_type"] for row in of(tables["annotations"], source="vqa-rad")}
    assert types == {"OPEN", "CLOSED"}


def test_no_reject_holds_what_a_source_says_of_a_patient(tables: dict[str, Rows]) -> None:
    """Details name columns, numbers and reasons; questions and answers stay out of them."""
    details = " ".join(json.dumps(row["detail"]) for row in of(tables["rejects"], source="vqa-rad"))
    assert "?" not in details
