"""English and Chinese from one annotation: built, verified, told where a name is missing, never asked of a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.build import build
from curate.check import check
from curate.execute import Executing
from curate.language.packs import load_pack
from curate.recipe import Rewrite
from curate.rows import Draft
from curate.stages.asking import Asking
from curate.tasks import make_task
from tests.tasks import subjects as s

CARD = """
id: films
title: Films
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here, deidentified: true}
modality: digital radiography
anatomy: chest
images: {glob: "*/*.png"}
labels:
  - {layout: folders, pattern: '^(?P<label>[^/]+)/', kind: class, world: exclusive}
subject: {none: "drawn for a test"}
"""
RECIPE = """
name: two-languages
sources: [{card: card.yaml, data: data}]
tasks:
  - {name: closed_vqa, languages: [en, zh], max_attributes: 0, surplus_no: 3}
  - {name: open_vqa, languages: [en, zh], max_attributes: 0}
"""
CLASSES = ("pneumonia", "pneumothorax", "Quux syndrome")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    drawn = np.random.default_rng(7)
    for name in CLASSES:
        (folder / "data" / name).mkdir(parents=True)
        for number in range(3):
            picture = drawn.integers(0, 255, (64, 64), np.uint8)
            Image.fromarray(picture).save(folder / "data" / name / f"{number}.png")
    (folder / "card.yaml").write_text(CARD)
    (folder / "recipe.yaml").write_text(RECIPE)
    build(folder / "recipe.yaml", folder / "out", executing=Executing(workers=1))
    return folder / "out"


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    files = sorted((out / table).rglob("*.parquet"))
    found: list[dict[str, Any]] = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    return found


@pytest.mark.slow
def test_both_languages_are_verified_and_the_corpus_checks(built: Path) -> None:
    pairs = rows(built, "pairs")
    assert {pair["language"] for pair in pairs} == {"en", "zh"}
    assert check(built).ok


@pytest.mark.slow
def test_a_chinese_draft_has_its_english_one_by_annotations_and_constraints(built: Path) -> None:
    drafts = rows(built, "drafts")

    def of(language: str) -> set[tuple[str, ...]]:
        return {
            (one["task"], one["constraints"], *one["annotation_ids"], *one["asset_ids"])
            for one in drafts
            if one["language"] == language
        }

    assert of("zh")
    assert of("zh") < of("en")
    assert len({one["draft_id"] for one in drafts}) == len(drafts)


@pytest.mark.slow
def test_a_missing_name_is_told_once_per_task_and_leaves_the_english(built: Path) -> None:
    told = [row for row in rows(built, "rejects") if row["reason"] == "no_term"]
    assert sorted((row["locator"], row["unit"], row["verdict"], row["detail"]) for row in told) == [
        (task, "draft", "filtered", "no zh name is reviewed for 'Quux syndrome'") for task in ("closed_vqa", "open_vqa")
    ]
    english = [one for one in rows(built, "drafts") if "Quux" in one["constraints"] or "quux" in str(one["messages"])]
    assert english
    assert {one["language"] for one in english} == {"en"}


def test_a_chinese_draft_is_asked_of_no_model() -> None:
    subject = s.chest("asked", sides=False, Pneumonia="present")
    task: Any = make_task("closed_vqa", {"languages": ["en", "zh"], "max_attributes": 0}, s.VOCABULARY)
    english, chinese = (one for one in task.draft(subject) if isinstance(one, Draft))
    asking = Asking(Rewrite(model="m", language="zh"), load_pack("clinical", "zh", "."), {})
    assert asking.ask(chinese, [subject]) == chinese
    assert asking.ask(english, [subject]).request_id is not None
    assert sum(table.num_rows for table in asking.tables()) == 1


def test_the_coordinates_of_a_chinese_draft_are_told_to_publishers() -> None:
    task: Any = make_task("grounding", {"languages": ["zh"]}, s.VOCABULARY)
    drafts = [one for one in task.draft(s.smear("placed", "eel")) if isinstance(one, Draft)]
    assert drafts
    for draft in drafts:
        brief = json.loads(draft.brief or "")
        slot, sentence = ("region", "frame") if "frame" in brief["fixed"] else ("boxes", "form")
        text = "".join(message.content for message in draft.messages)
        assert text.count(brief["slots"][slot]) == text.count(brief["slots"][sentence]) == 1
