"""A rejected answer is false of its picture, and for no other reason refused."""

from collections import Counter
from pathlib import Path

import pytest

from curate.publish.base import Release, Row
from curate.publish.contrast import Contrast, Contraster, Seen, contrasts, survey
from curate.publish.otherwise import contrary
from curate.rows import Message, Subject
from curate.schema import Origin
from curate.tasks import make_task
from curate.verify import verify


@pytest.fixture(scope="session")
def made(release: Release) -> list[tuple[Row, Contrast | None]]:
    """Every row with its false answer."""
    seen = survey(release)
    return [found for split in release.splits for found in contrasts(release, split, seen)]


def test_every_kind_of_question_with_a_provable_answer_has_contrasts(
    made: list[tuple[Row, Contrast | None]],
) -> None:
    found = Counter(str(row.constraints["ask"]) for row, contrast in made if contrast is not None)
    assert {"presence", "attribute_is", "count", "count_total", "locate", "point", "source", "class"} <= set(found)


def test_the_verifier_refuses_each_and_accepts_the_true_answer(release: Release) -> None:
    from curate.publish.contrast import _draft  # the row as the verifier reads it

    maker = Contraster({source: release.vocabulary(source) for source in release.cards}, survey(release))
    judged = 0
    for row, subjects in release.annotated():
        contrast = maker.contrast(row, subjects)
        if contrast is None:
            continue
        facts = (tuple(one.asset for one in subjects), tuple(a for one in subjects for a in one.annotations))
        vocabulary = release.vocabulary(row.source)
        assert verify(_draft(row, row.answer), *facts, vocabulary).refusal is None
        refusal = verify(_draft(row, contrast.text), *facts, vocabulary).refusal
        assert refusal is not None
        assert refusal.reason is contrast.refused_by
        judged += 1
        if judged == 150:
            break
    assert judged == 150


def test_a_false_answer_differs_and_is_of_like_length(made: list[tuple[Row, Contrast | None]]) -> None:
    for row, contrast in made:
        if contrast is not None:
            assert contrast.text.strip().lower() != row.answer.strip().lower()
            assert contrast.true != contrast.false
            assert len(contrast.text.split()) <= 2 * len(row.answer.split()) + 3


def test_yes_turns_into_no_and_no_into_yes(made: list[tuple[Row, Contrast | None]]) -> None:
    polar = [(row, found) for row, found in made if found is not None and row.constraints["ask"] == "presence"]
    assert polar
    for row, found in polar:
        assert {row.answer.split(",")[0].strip("."), found.text.split(",")[0].strip(".")} == {"Yes", "No"}


def test_what_the_source_leaves_open_has_no_false_answer(made: list[tuple[Row, Contrast | None]]) -> None:
    """One object of a set that is not exhaustive: another may be anywhere."""
    loose = [
        found for row, found in made if row.constraints.get("all") is False and row.task in ("grounding", "points")
    ]
    assert all(found is None for found in loose)


def test_a_model_is_contrasted_with_its_own_words(release: Release) -> None:
    """Rows of a model get what it said of another picture, so that no style gives the false answer away."""
    polar = [
        (row, subjects) for row, subjects in release.annotated("train") if row.constraints.get("ask") == "presence"
    ]
    said = {"Yes": "Yes, one can make out {}.", "No": "No, one cannot make out {}."}

    def by_a_model(row: Row) -> Row:
        import msgspec

        concept = str(row.constraints["concept"]).replace("_", " ")
        text = said[row.answer.split(",")[0].strip(".")].format(concept)
        messages = (row.messages[0], Message("assistant", text))
        return msgspec.structs.replace(row, origin=Origin.LLM, messages=messages)

    from curate.publish.contrast import _question_key

    rewritten: list[tuple[Row, tuple[Subject, ...]]] = [(by_a_model(row), subjects) for row, subjects in polar]
    answers: dict[tuple[str, ...], set[str]] = {}
    for row, _ in rewritten:
        answers.setdefault(_question_key(row), set()).add(row.answer)
    seen = Seen(answers={key: tuple(sorted(texts)) for key, texts in answers.items()})
    maker = Contraster({source: release.vocabulary(source) for source in release.cards}, seen)
    without = Contraster({source: release.vocabulary(source) for source in release.cards})
    found = [(row, maker.contrast(row, subjects)) for row, subjects in rewritten]
    assert any(contrast is not None for _, contrast in found)
    for row, contrast in found:
        if contrast is not None:
            assert contrast.text in answers[_question_key(row)]
            assert contrast.text != row.answer
    assert all(without.contrast(row, subjects) is None for row, subjects in rewritten)


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        ("yes", "no"),
        ("No.", "Yes."),
        ("YES", "NO"),
        ("是", "否"),
        ("没有", "有"),
        ("both", None),
        ("Left", None),
        ("", None),
    ],
)
def test_only_an_answer_that_leaves_one_other_is_turned(answer: str, other: str | None) -> None:
    assert contrary(answer) == other


def test_the_tasks_that_draft_can_be_asked_again(release: Release, corpus: Path) -> None:
    del corpus
    for row in release.rows():
        assert make_task(row.task, {}, release.vocabulary(row.source))
