"""One option is true, the others are proved false, and nothing but the image tells which."""

import itertools
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from curate.card import convert_strictly
from curate.cli import cli
from curate.errors import RecipeError
from curate.rows import Draft, Subject
from curate.schema import Kind, State, World
from curate.tasks.base import Task, Vocabulary
from curate.tasks.kin import akin
from curate.tasks.multiple_choice import MultipleChoice, MultipleChoiceOptions
from curate.tasks.tree import Role, role_of, task_of
from curate.testing.tasks import TaskContract
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

ROOT = Path(__file__).parents[2]
LUNG = ("COVID-19", "bacterial pneumonia", "normal lung", "viral pneumonia")
BLOOD = (
    "aplastic anemia",
    "hereditary elliptocytosis",
    "iron deficiency anemia",
    "malaria",
    "normal blood smear",
    "acute myeloid leukemia",
)
FINDINGS = ("cardiomegaly", "consolidation", "fracture", "lung opacity", "nodule", "pleural effusion", "pneumothorax")
NAMES: Vocabulary = {
    "lung": LabelNames(LUNG, World.EXCLUSIVE),
    "blood": LabelNames(BLOOD, World.EXCLUSIVE),
    "findings": LabelNames(FINDINGS),
}
STEPS = (0.0, 1.0, 2.0, 3.0, 4.0)


def classified(name: str, label_set: str, concept: str, world: World = World.EXCLUSIVE, **fields: Any) -> Subject:
    shown = s.asset(name, labelled_by=[label_set], **fields)
    return Subject(shown, (s.says(shown, Kind.CLASS, concept, label_set, 0, state=State.PRESENT, world=world),))


def drafted(*subjects: Subject, **options: Any) -> list[Draft]:
    task = MultipleChoice(MultipleChoiceOptions(**options), NAMES)
    return [one for subject in subjects for one in task.draft(subject) if isinstance(one, Draft)]


def asked(one: Draft) -> dict[str, Any]:
    return dict(msgspec.json.decode(one.constraints))


def options_of(*subjects: Subject, **options: Any) -> list[set[str]]:
    return [set(asked(one)["options"]) for one in drafted(*subjects, **options)]


class TestMultipleChoice(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return MultipleChoice

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return NAMES

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"variants": 30, "findings": 3, "scales": {"retinopathy grade": list(STEPS)}}

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        shown: dict[str, Any] = {"modality": "US", "anatomy": "lung"}
        return [
            *(classified(concept, "lung", concept, **shown) for concept in LUNG),
            *(classified(concept, "blood", concept, modality="SM", anatomy="peripheral blood") for concept in BLOOD),
            s.chest("c", World.COMPLETE, nodule="present", fracture="absent", cardiomegaly="uncertain"),
            s.chest("d", consolidation="present", fracture="absent", pneumothorax="absent"),
            *(s.graded(f"g{step}", step) for step in STEPS),
            classified("open", "lung", "COVID-19", World.OPEN),
        ]


def test_a_wrong_option_is_one_that_the_source_says_is_absent() -> None:
    chest = s.chest(
        "c",
        consolidation="present",
        fracture="absent",
        nodule="uncertain",
        pneumothorax="absent",
        cardiomegaly="not_stated",
    )
    assert options_of(chest, choices=5) == [{"consolidation", "fracture", "pneumothorax"}]


def test_the_silence_of_an_open_set_gives_no_option() -> None:
    assert drafted(classified("a", "lung", "COVID-19", World.OPEN)) == []
    assert drafted(s.chest("c", consolidation="present")) == []


def test_the_silence_of_a_complete_set_does() -> None:
    (offered,) = options_of(s.chest("c", World.COMPLETE, fracture="present"), choices=5)
    assert len(offered) == 5
    assert offered <= set(FINDINGS)


def test_what_is_a_kind_of_the_answer_or_of_another_option_is_not_offered() -> None:
    for offered in options_of(*(classified(concept, "lung", concept) for concept in LUNG), choices=5):
        assert not any(akin(one, other) for one, other in itertools.combinations(offered, 2))
    assert options_of(classified("a", "lung", "COVID-19"), choices=5) == [
        {"COVID-19", "bacterial pneumonia", "normal lung"}
    ]


def test_what_covers_another_finding_of_the_image_is_not_offered() -> None:
    chest = s.chest("c", lung__opacity="absent", fracture="absent", nodule="present", pneumothorax="present")
    offered = {frozenset(each) for each in options_of(chest, findings=9)}
    assert offered == {frozenset({"nodule", "fracture"}), frozenset({"pneumothorax", "fracture"})}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RBC", "erythrocytes"),
        ("pneumonia", "COVID-19"),
        ("Lung Opacity", "nodule"),
        ("anemia", "Thalassemia"),
        ("consolidation", "bacterial pneumonia"),
        ("lesion", "liver lesion"),
        ("mole", "nevus"),
    ],
)
def test_synonyms_and_broader_terms_are_akin_both_ways(one: str, other: str) -> None:
    assert akin(one, other)
    assert akin(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("left lung", "right lung"),
        ("COVID-19", "bacterial pneumonia"),
        ("melanoma", "nevus"),
        ("neutrophil", "lymphocyte"),
    ],
)
def test_contrasts_are_not_akin(one: str, other: str) -> None:
    assert not akin(one, other)


def test_grades_stand_with_the_other_grades_of_their_scale() -> None:
    eye = s.graded("g", 2.0)
    (offered,) = options_of(eye, choices=5, scales={"retinopathy grade": STEPS})
    assert offered == {"0", "1", "2", "3", "4"}
    assert drafted(eye) == [], "without its scale nobody knows what other grades there are"
    assert drafted(s.graded("h", 7.0), scales={"retinopathy grade": STEPS}) == [], "a grade outside of its scale"


def test_the_tree_tells_what_is_known_and_null_for_the_rest() -> None:
    known = classified("a", "lung", "COVID-19", modality="US", anatomy="lung")
    unknown = classified("b", "lung", "COVID-19")
    paths = [asked(one)["tree"] for one in drafted(known, unknown)]
    assert paths[0] == {
        "task": "disease diagnosis",
        "department": "pulmonary medicine",
        "modality": "ultrasound",
        "anatomy": "lung",
        "granularity": "image",
    }
    assert (paths[1]["modality"], paths[1]["anatomy"], paths[1]["department"]) == (None, None, None)
    assert len(drafted(known, unknown, needs=("modality",))) == 1


@pytest.mark.parametrize(
    ("concepts", "task"),
    [
        (("neutrophil", "Lymphocytes", "platelet"), "cell recognition"),
        (("heart", "left lung"), "organ recognition"),
        (("normal", "pneumonia"), "disease diagnosis"),
        (("TypeX", "pneumonia"), None),
        (("normal",), None),
    ],
)
def test_a_label_set_is_of_the_task_of_all_its_concepts(concepts: tuple[str, ...], task: str | None) -> None:
    assert task_of(concepts) == task


def test_the_letter_of_the_constraints_is_that_of_the_answer() -> None:
    for one in drafted(*(classified(c, "blood", c) for c in BLOOD), variants=30):
        told, said = asked(one), one.messages[1].content
        option = told["options"][string.ascii_uppercase.index(told["letter"])]
        assert f"\n{told['letter']}. {option}" in one.messages[0].content
        assert told["letter"] in said.removeprefix("The").removeprefix("Answer")
        assert option in said or said == told["letter"]


@pytest.fixture(scope="module")
def thousands() -> list[dict[str, Any]]:
    """6,000 questions with four options, whose true class is each of six equally often."""
    return [
        asked(one)
        for n in range(1000)
        for concept in BLOOD
        for one in drafted(classified(f"{n} {concept}", "blood", concept))
    ]


def test_the_position_tells_nothing(thousands: list[dict[str, Any]]) -> None:
    four = [one for one in thousands if len(one["options"]) == 4]
    counts = Counter(one["letter"] for one in four)
    expected = len(four) / 4
    chi_square = sum((counts[letter] - expected) ** 2 / expected for letter in "ABCD")
    assert len(four) > 5000
    assert chi_square < 16.27, f"beyond the 99.9th percentile at 3 degrees of freedom: {counts}"


@pytest.mark.parametrize("pick", [min, max])
def test_the_length_tells_nothing(
    thousands: list[dict[str, Any]], pick: Callable[..., str]
) -> None:  # a guesser of the longest or of the shortest
    hits = [pick(one["options"], key=len) == one["options"]["ABCDE".index(one["letter"])] for one in thousands]
    chance = sum(1 / len(one["options"]) for one in thousands) / len(thousands)
    assert abs(sum(hits) / len(hits) - chance) < 0.03


def test_each_wrong_option_is_drawn_about_as_often(thousands: list[dict[str, Any]]) -> None:
    drawn = Counter(
        option
        for one in thousands
        for option in one["options"]
        if option != one["options"]["ABCDE".index(one["letter"])]
    )
    assert max(drawn.values()) < 1.15 * min(drawn.values())


@pytest.mark.parametrize(
    "settings", [{"choices": 1}, {"choices": 6}, {"needs": ["colour"]}, {"tasks": {"lung": "guessing"}}]
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        convert_strictly(settings, MultipleChoice.Options, "test", RecipeError)


def test_the_role_of_a_triple_leaves_no_overlap_with_the_target() -> None:
    target = ("CT", "lung", "disease diagnosis")
    assert role_of(target, target) is Role.TARGET
    assert role_of(("CT", "brain", "disease diagnosis"), target) is Role.RELATED
    assert role_of(("ultrasound", "heart", "organ recognition"), target) is Role.UNRELATED
    assert role_of(("CT", None, "disease diagnosis"), target) is Role.UNKNOWN


def _run(*words: object) -> str:
    answer = CliRunner().invoke(cli, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    return answer.output


@pytest.mark.slow
def test_the_recipe_of_med_mat_builds_and_checks(tmp_path: Path) -> None:
    _run("phantom", tmp_path / "phantoms")
    out = tmp_path / "out"
    recipe = ROOT / "pipelines" / "med-mat.yaml"
    _run("build", recipe, "--data", tmp_path / "phantoms", "--out", out, "--limit", 4)
    assert "is what it says" in _run("check", out)


@pytest.mark.slow
def test_the_recipe_of_gmai_mmbench_builds_and_checks(tmp_path: Path, test_data: Callable[[str], Path]) -> None:
    data = test_data("pocus-lung-ultrasound").parent
    _run("build", ROOT / "pipelines" / "gmai-mmbench.yaml", "--data", data, "--out", tmp_path / "out", "--limit", 6)
    assert "is what it says" in _run("check", tmp_path / "out")
