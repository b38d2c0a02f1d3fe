"""Sentences of classes and images as lists, and the split of a classification set."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from curate.build import build
from curate.phantom import write_phantoms
from curate.publish.base import Format, Release
from curate.publish.formats import make_format
from curate.publish.writing import Staging
from curate.tasks.descriptors import descriptors
from curate.testing.formats import FormatContract
from tests.publish.releases import release_of

_RECIPE = """
name: prompts
sources: [phantom-cxr-table, phantom-parquet]
tasks:
  - {name: descriptors, variants: 2, signs: 2}
  - label_strings
  - open_vqa
"""


class TestClassPrompts(FormatContract):
    """On a release whose captions describe no class."""

    @staticmethod
    def make() -> Format:
        return make_format("class-prompts", {})


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("described")
    write_phantoms(folder / "data", images=18, only=("phantom-cxr-table", "phantom-parquet"))
    (folder / "recipe.yaml").write_text(_RECIPE)
    build(folder / "recipe.yaml", folder / "corpus", folder / "data")
    return release_of(folder / "corpus")


@pytest.fixture(scope="module")
def written(described: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    told = make_format("class-prompts", {}).write(described, Staging(folder))
    asked = sum(row.task == "open_vqa" for row in described.rows())
    assert told.rows == sum(described.rows_in.values()) - asked
    assert [one.rows for one in told.left_out] == [asked]
    return folder / "class-prompts"


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _lines(folder: Path, pattern: str) -> list[Any]:
    return [json.loads(line) for path in sorted(folder.glob(pattern)) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_texts_stay_a_list_and_are_what_the_rows_say(described: Release, written: Path) -> None:
    said: dict[str, set[str]] = {}
    for row in described.rows():
        if row.constraints["ask"] == "caption":
            said.setdefault(row.media[0].path, set()).add(row.answer)
    images = [one for one in _lines(written, "*.jsonl") if "texts" in one]
    assert {one["image"]: set(one["texts"]) for one in images} == said
    assert all(len(one["texts"]) == len(set(one["texts"])) for one in images)


@pytest.mark.slow
def test_the_pool_of_a_class_holds_every_reviewed_sentence_and_no_other(written: Path) -> None:
    pools = _json(written / "class_prompts.json")
    signs = {one.name: [each.sign for each in one.signs] for one in descriptors()["chest_radiography"].concepts}
    assert {"consolidation", "cardiomegaly", "erythrocyte"} <= set(pools)
    told = pools["cardiomegaly"]
    assert len(told) == len(set(told)) == 4 * len(signs["cardiomegaly"])
    assert all(any(sign in sentence for sign in signs["cardiomegaly"]) for sentence in told)


@pytest.mark.slow
def test_each_sign_gives_a_pair_of_opposite_prompts(written: Path) -> None:
    for name, pairs in _json(written / "contrast_prompts.json").items():
        for pair in pairs:
            assert list(pair) == ["positive", "negative"], name
            assert pair["positive"].replace("are signs", "are no signs", 1) == pair["negative"]


@pytest.mark.slow
def test_a_denied_class_is_one_that_the_source_denies(described: Release, written: Path) -> None:
    known = {}
    for _, subjects in described.annotated():
        for one in subjects:
            known[one.asset.item_key.rpartition("/")[2]] = {a.concept: str(a.state) for a in one.annotations}
    keys = {row.media[0].path: row.media[0].item_key.rpartition("/")[2] for row in described.rows()}
    asked = [one for one in _lines(written, "*_contrast.jsonl") if "cxr" in one["image"]]
    assert {one["present"] for one in asked} == {True, False}
    for one in asked:
        assert known[keys[one["image"]]][one["class"]] == ("present" if one["present"] else "absent")
        assert bool(re.match(r"No |There is no ", one["prompt"])) == (not one["present"]), one["prompt"]


@pytest.mark.slow
def test_the_split_numbers_the_classes_of_images_that_have_one(described: Release, written: Path) -> None:
    split = _json(written / "split.json")
    assert list(split) == ["train", "val", "test"]
    assert split["train"]
    names = {number: name for rows in split.values() for _, number, name in rows}
    assert sorted(names) == list(range(len(names)))
    assert [names[number] for number in sorted(names)] == sorted(names.values())
    at = {row.media[0].path: row.split for row in described.rows()}
    for name, rows in split.items():
        assert {at[image] for image, _, _ in rows} <= {{"val": "validation"}.get(name, name)}


@pytest.mark.slow
def test_the_table_has_a_line_per_text(written: Path) -> None:
    with (written / "texts.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    images = [one for one in _lines(written, "*.jsonl") if "texts" in one]
    assert {(one["image"], one["text"]) for one in lines} == {(one["image"], t) for one in images for t in one["texts"]}
    strings = [one for one in lines if one["text"].startswith("Digital radiography chest")]
    assert strings
    assert all(one["text"].endswith(one["class"]) for one in strings)
