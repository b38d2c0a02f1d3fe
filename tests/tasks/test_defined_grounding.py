"""A concept is located by what it means: a reviewed definition of that very concept, word for word."""

import json
import re
from collections.abc import Mapping, Sequence

import pytest
import yaml

from curate.rows import Draft, Subject
from curate.tasks.base import Task, Vocabulary
from curate.tasks.defined_grounding import DefinedGrounding, DefinedGroundingOptions, definition_of
from curate.tasks.kin import akin, normalised
from curate.testing.tasks import TaskContract
from curate.verify.lexicon import concept_key
from tests.conftest import ROOT
from tests.tasks import subjects as s

DEFINITIONS = yaml.safe_load((ROOT / "curate/tasks/wordings/definitions.yaml").read_text("utf-8"))
VINDR = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst",
    "Mediastinal shift", "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis", "Rib fracture",
)  # fmt: skip


class TestDefinedGroundingContract(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return DefinedGrounding

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"max_objects": 4}

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        return [s.smear("s1", "e"), s.smear("s3", "eel"), s.organs("o"), s.lesions("l", "edema"), s.graded("g", 2.0)]

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return s.VOCABULARY


def drafted(subject: Subject) -> list[Draft]:
    task = DefinedGrounding(DefinedGroundingOptions(), s.VOCABULARY)
    return [draft for draft in task.draft(subject) if isinstance(draft, Draft)]


def test_the_question_holds_the_definition_of_what_it_asks_about_and_of_nothing_else() -> None:
    every = {entry["definition"] for entry in DEFINITIONS["concepts"]}
    drafts = [draft for subject in (s.smear("x", "eelp"), s.organs("o")) for draft in drafted(subject)]
    assert len(drafts) == 6
    for draft in drafts:
        concept = json.loads(draft.constraints)["concept"]
        held = {definition for definition in every if definition in draft.messages[0].content}
        assert held == {definition_of(concept)}


def test_what_has_no_definition_is_not_asked_about() -> None:
    assert definition_of("enhancing tumor") is None
    assert drafted(s.lesions("l", "enhancing tumor")) == []


def test_a_wider_word_takes_no_definition_of_a_narrower_one() -> None:
    assert definition_of("edema") is None
    assert definition_of("effusion") is None
    assert definition_of("Pleural_Effusion") == "fluid between the two layers of the pleura"


@pytest.mark.parametrize("name", VINDR)
def test_the_findings_of_vindr_are_defined(name: str) -> None:
    assert definition_of(name)


def test_every_definition_is_a_phrase_with_a_source_and_no_name_is_in_two() -> None:
    keys = [key for entry in DEFINITIONS["concepts"] for key in {concept_key(name) for name in entry["names"]}]
    assert len(keys) == len(set(keys))
    for entry in DEFINITIONS["concepts"]:
        assert entry["source"] in DEFINITIONS["sources"]
        assert re.fullmatch(r"[a-z][A-Za-z' ,-]{10,}[a-z]", entry["definition"]), entry["definition"]


def test_no_definition_denies_or_compares_with_other_findings() -> None:
    others = {normalised(name) for entry in DEFINITIONS["concepts"] for name in entry["names"]}
    for entry in DEFINITIONS["concepts"]:
        words = f" {entry['definition']} "
        assert not re.search(r" (?:no|not|never|stable|unchanged|without) ", words), entry["names"]
        own = {normalised(name) for name in entry["names"]}
        named = {other for other in others - own if f" {other} " in words}
        assert not any(akin(one, other) for one in own for other in named), entry["names"]
