"""How a report states what a source says: as marked, as the rest, by a noun that is left out, in a numbered list."""

from typing import Any

import msgspec
import pytest

from curate.rows import Draft, Message
from curate.schema import Kind, Origin, State, World
from curate.verify import verify
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

CHEST = {"modality": "DX", "anatomy": "chest"}
PRESENT, ABSENT, UNCERTAIN = "present", "absent", "uncertain"


def _accepted(
    answer: str,
    said: dict[str, str],
    *,
    question: str = "What does the image show?",
    world: World = World.OPEN,
    also: tuple[str, ...] = (),
    language: str = "en",
    asked: dict[str, Any] | None = None,
) -> bool:
    asset = s.asset("w", labelled_by=["f"], **CHEST)
    annotations = tuple(
        s.says(asset, Kind.MULTILABEL, concept, "f", n, state=State(state), world=world, side=None)
        for n, (concept, state) in enumerate(said.items())
    )
    draft = Draft(
        draft_id="d", source="hand", asset_ids=[asset.asset_id],
        annotation_ids=[a.annotation_id for a in annotations],
        task="t", variant=0, wording="by hand", language=language, origin=Origin.LLM,
        messages=[Message("user", f"<image>\n{question}"), Message("assistant", answer)],
        constraints=msgspec.json.encode({"label_set": "f"} | (asked or {"ask": "findings", "all": True})).decode(),
    )  # fmt: skip
    vocabulary = {"f": LabelNames(tuple(sorted({*said, *also})), world=world)}
    return verify(draft, (asset,), annotations, vocabulary).refusal is None


@pytest.mark.parametrize("state", [PRESENT, ABSENT, UNCERTAIN])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("Pneumothorax is marked as absent.", ABSENT),
        ("Pneumothorax has been labelled absent.", ABSENT),
        ("Pneumothorax was looked for and not found.", ABSENT),
        ("No sign of pneumothorax, no.", ABSENT),
        ("Pneumothorax was rejected.", ABSENT),
        ("Pneumothorax is recorded as uncertain.", UNCERTAIN),
        ("Pneumothorax is flagged as doubtful.", UNCERTAIN),
        ("Pneumothorax could not be established.", UNCERTAIN),
        ("One cannot be sure. Pneumothorax is conceivable.", UNCERTAIN),
        ("Pneumothorax is marked as present.", PRESENT),
    ],
)
def test_a_reported_state_is_the_state_that_is_told(answer: str, told: str, state: str) -> None:
    assert _accepted(answer, {"pneumothorax": state}) == (told == state)


@pytest.mark.parametrize(
    ("answer", "others", "true"),
    [
        ("Atelectasis was excluded, and so were edema and hernia.", ABSENT, True),
        ("Atelectasis was excluded, and so were edema and hernia.", PRESENT, False),
        ("Neither atelectasis nor edema nor hernia is seen.", ABSENT, True),
        ("Neither atelectasis nor edema nor hernia is seen.", PRESENT, False),
    ],
)
def test_and_so_were_speaks_of_all_that_it_joins(answer: str, others: str, true: bool) -> None:
    assert _accepted(answer, {"atelectasis": ABSENT, "edema": others, "hernia": others}) == true


@pytest.mark.parametrize("world", [World.COMPLETE, World.OPEN])
@pytest.mark.parametrize(
    "answer",
    [
        "A hernia; every other item on the list is negative.",
        "A hernia is present. None of the other listed findings applies, and all others are absent.",
    ],
)
def test_what_is_said_of_the_rest_needs_a_source_whose_silence_means_absence(answer: str, world: World) -> None:
    told = _accepted(answer, {"hernia": PRESENT}, world=world, also=("mass", "edema"))
    assert told == (world is World.COMPLETE)


def test_the_rest_is_never_said_to_be_present() -> None:
    said = {"hernia": ABSENT, "mass": PRESENT}
    assert not _accepted("No hernia; the other findings of the list are present.", said, world=World.COMPLETE)


@pytest.mark.parametrize(("answer", "true"), [("It is viral.", True), ("It is bacterial.", False)])
def test_an_adjective_alone_names_the_class_that_it_tells_apart(answer: str, true: bool) -> None:
    said = {"viral pneumonia": PRESENT, "bacterial pneumonia": ABSENT}
    assert _accepted(answer, said, asked={"ask": "findings", "all": False}) == true


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("(1) mass; (2) hernia.", True),
        ("(1) mass; (3) hernia.", False),
        ("(1) mass; (2) edema.", False),
        ("There are 2 masses and a hernia.", False),
    ],
)
def test_numbers_of_a_list_count_nothing(answer: str, true: bool) -> None:
    assert _accepted(answer, {"mass": PRESENT, "hernia": PRESENT}, also=("edema",)) == true


@pytest.mark.parametrize(("answer", "true"), [("1. 肿块；2. 疝。", True), ("1. 肿块；3. 疝。", False)])
def test_numbers_of_a_chinese_list_count_nothing(answer: str, true: bool) -> None:
    told = _accepted(answer, {"mass": PRESENT, "hernia": PRESENT}, language="zh", question="请列出阳性发现。")
    assert told == true


@pytest.mark.parametrize("state", [PRESENT, ABSENT])
@pytest.mark.parametrize(
    ("question", "answer", "told"),
    [
        ("Is it true that there is no hernia?", "That is true. There is no hernia.", ABSENT),
        ("Is it true that there is no hernia?", "That is not true. A hernia is present.", PRESENT),
        ("Is there a hernia?", "Positive.", PRESENT),
        ("Is there a hernia?", "Negative.", ABSENT),
    ],
)
def test_an_answer_may_judge_what_its_question_puts_forward(question: str, answer: str, told: str, state: str) -> None:
    asked = {"ask": "presence", "concept": "hernia"}
    assert _accepted(answer, {"hernia": state}, question=question, asked=asked) == (told == state)


def test_true_is_no_answer_to_a_denial_that_is_false() -> None:
    asked = {"ask": "presence", "concept": "hernia"}
    question = "There is no hernia, is that true?"
    assert not _accepted("That is true. A hernia is present.", {"hernia": PRESENT}, question=question, asked=asked)


def test_a_question_may_mention_what_its_source_cannot_name_but_not_presuppose_it() -> None:
    asked = {"ask": "presence", "concept": "hernia"}
    said, answer = {"hernia": ABSENT}, "No, there is no hernia."
    assert _accepted(answer, said, question="Is there a hernia or an abscess?", asked=asked)
    assert not _accepted(answer, said, question="Besides the abscess, is there a hernia?", asked=asked)
