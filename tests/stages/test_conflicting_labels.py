"""A source that says two things that cannot both hold of one image is believed in neither."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.build import build
from curate.card import parse_card
from curate.catalog import Catalog, open_catalog
from curate.execute import Executing
from curate.stages.conflicts import conflicts
from tests.crash.small import CARD, age, draw, write_csv, write_yaml

COLUMNS = {
    "dx": {"kind": "class"},
    "pneumonia": {
        "kind": "multilabel",
        "states": {"1": "present", "0": "absent", "?": "uncertain", "": "not_stated"},
    },
}


def corpus(folder: Path, rows: list[list[str]], world: str = "exclusive") -> Catalog:
    """Images 0 to 2 and a table of diagnoses."""
    for number in range(3):
        draw(folder / "data/cells" / f"{number}.png", number)
    write_csv(folder / "data/cells/labels.csv", ["image", "dx", "pneumonia"], rows)
    age(folder / "data")
    labels: list[dict[str, Any]] = [
        {
            "layout": "table",
            "name": name,
            "files": "labels.csv",
            "image": "image",
            "world": kind,
            "columns": {name: say},
        }
        for (name, say), kind in zip(COLUMNS.items(), (world, "open"), strict=True)
    ]
    card = CARD | {"images": {"glob": "*.png"}, "labels": labels, "subject": {"none": "drawn"}}
    write_yaml(folder / "cells.yaml", card)
    built = build(folder / "cells.yaml", folder / "out", folder / "data", executing=Executing(workers=1))
    assert all(line.n_in == line.n_used + line.n_rejected + line.n_filtered for line in built.ledger.lines)
    return open_catalog(folder / "out")


def said(catalog: Catalog, image: str) -> list[tuple[str, str]]:
    """Concept and state of what is still said about an image."""
    of = catalog.assets.filter(pl.col("item_key") == image).select("asset_id")
    rows = catalog.annotations.join(of, on="asset_id").select("label", "concept", "state").collect().rows()
    return sorted((concept or label, state) for label, concept, state in rows)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Two rows about image 0 that contradict each other, two about image 1 that repeat, one about image 2."""
    rows = [["0.png", "flu", "1"], ["0.png", "tbc", "0"], ["1.png", "flu", "1"], ["1.png", "flu", ""]]
    return corpus(tmp_path_factory.mktemp("conflicts"), [*rows, ["2.png", "tbc", "?"]])


def test_two_classes_of_an_exclusive_set_are_both_refused(catalog: Catalog) -> None:
    refused = catalog.rejects.filter(pl.col("reason") == "conflicting_labels").collect()
    assert sorted(refused["detail"]) == [
        *["an exclusive label set states 2 classes"] * 2,
        *["one finding is stated absent and present"] * 2,
    ]
    assert set(refused["item_key"]) == {"0.png"}
    assert set(refused["unit"]) == {"annotation"}
    assert said(catalog, "0.png") == []


def test_a_set_that_contradicts_itself_has_not_spoken_of_the_image(catalog: Catalog) -> None:
    labelled = dict(catalog.assets.select("item_key", "labelled_by").collect().rows())
    assert labelled == {"0.png": [], "1.png": ["dx", "pneumonia"], "2.png": ["dx", "pneumonia"]}


def test_what_repeats_or_is_not_stated_contradicts_nothing(catalog: Catalog) -> None:
    assert ("flu", "present") in said(catalog, "1.png")
    assert ("pneumonia", "present") in said(catalog, "1.png")
    assert ("pneumonia", "uncertain") in said(catalog, "2.png")


def test_no_text_says_both(catalog: Catalog) -> None:
    texts = [turns[-1]["content"] for turns in catalog.pairs.select("messages").collect()["messages"].to_list()]
    assert texts
    assert not [text for text in texts if "flu and tbc" in text]


def test_findings_of_an_open_world_stand_beside_each_other(tmp_path: Path) -> None:
    catalog = corpus(tmp_path, [["0.png", "flu", "1"], ["0.png", "tbc", "1"]], world="open")
    assert said(catalog, "0.png") == [("flu", "present"), ("pneumonia", "present"), ("tbc", "present")]


def test_a_finding_may_be_present_on_one_side_and_absent_on_the_other() -> None:
    rows = [
        {
            "annotation_id": str(number),
            "label_set": "sides",
            "kind": "multilabel",
            "label": None,
            "concept": "pleural effusion",
            "state": state,
            "side": side,
        }
        for number, (state, side) in enumerate([("present", "left"), ("absent", "right")])
    ]
    labels = {each.name: each for each in parse_card(CARD, "card").labels}
    assert conflicts(rows, {"sides": labels["boxes"]}) == {}
    rows[1]["side"] = "left"
    assert sorted(conflicts(rows, {"sides": labels["boxes"]})) == ["0", "1"]
