"""Multiple choice about a box: the question's box is one annotation's, and no other option might lie in it."""

from typing import Any

import msgspec
import pytest

from curate.rows import Annotation, Draft, Subject
from curate.schema import Reason
from curate.tasks.multiple_choice import MultipleChoice, MultipleChoiceOptions
from curate.verify import verify
from tests.tasks import subjects as s
from tests.verify.by_hand import reason_of

SMEAR = s.smear("boxed choice", "eel")
RED, OTHER_RED, WHITE = SMEAR.annotations


def _box(annotation: Annotation) -> list[int]:
    x0, y0, x1, y1 = annotation.box or ()
    return [int(x0 // 1), int(y0 // 1), int(-(-x1 // 1)), int(-(-y1 // 1))]


def _reason(
    region: object,
    options: tuple[str, ...],
    answer: str,
    *,
    of: Annotation = RED,
    subject: Subject = SMEAR,
    question: str = "Which cell type does the box {region} mark?",
    **asked: Any,
) -> Reason | None:
    lines = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=False))
    put = f"{question.format(region=region)}\n{lines}"
    asked = {"ask": "choice", "of": "identify", "label_set": "cells", "options": list(options), "letters": True} | asked
    return reason_of(subject, put, answer, asked, rests_on=(of,), task="multiple_choice")


def test_the_class_of_a_box_is_told_by_letter_and_text() -> None:
    options = ("platelet", "erythrocyte")
    for answer in ("B. erythrocyte", "B", "The answer is B: erythrocyte.", "(B) red blood cell"):
        assert _reason(_box(RED), options, answer) is None, answer
    assert _reason(_box(WHITE), ("leukocyte", "platelet"), "A. leukocyte", of=WHITE) is None


@pytest.mark.parametrize(
    "region",
    [
        _box(OTHER_RED),  # the draft does not rest on it
        _box(WHITE),
        [_box(RED)[1], _box(RED)[0], _box(RED)[3], _box(RED)[2]],
        [_box(RED)[2], _box(RED)[3], _box(RED)[0], _box(RED)[1]],
        [edge + 700 for edge in _box(RED)],
        [_box(RED)[0] + 1, *_box(RED)[1:]],
        [_box(RED)[0] + 0.5, *_box(RED)[1:]],
        _box(RED)[:2],
        [*_box(RED), 1],
    ],
    ids=[
        "another of the kind",
        "another kind",
        "axes swapped",
        "inverted",
        "outside",
        "moved",
        "half",
        "point",
        "five",
    ],
)
def test_a_box_that_is_not_the_annotations_is_refused(region: list[float]) -> None:
    assert _reason(region, ("platelet", "erythrocyte"), "B. erythrocyte") in (Reason.BOX, Reason.NUMBER)


def test_a_question_without_its_box_and_one_with_two_are_refused() -> None:
    options = ("platelet", "erythrocyte")
    assert _reason("", options, "B", question="Which cell type is marked?") is Reason.BOX
    both = f"{_box(RED)} and {_box(OTHER_RED)}"
    assert _reason(both, options, "B. erythrocyte") is Reason.BOX


def test_an_answer_gives_no_box() -> None:
    assert _reason(_box(RED), ("platelet", "erythrocyte"), f"B. erythrocyte {_box(RED)}") is Reason.BOX


def test_a_wrong_option_is_not_taken() -> None:
    for answer in ("A. platelet", "A", "The answer is A: platelet.", "B. platelet", "C"):
        refused = _reason(_box(RED), ("platelet", "erythrocyte"), answer)
        assert refused in (Reason.OPTION, Reason.LABEL_INVENTED), answer


def test_what_else_is_marked_is_an_option_only_where_it_lies_apart() -> None:
    assert _reason(_box(RED), ("leukocyte", "erythrocyte"), "B. erythrocyte") is None
    over = s.smear("overlaid", "el")
    red, white = over.annotations
    laid = msgspec.structs.replace(white, box=[edge + 3 for edge in red.box or ()])
    crowded = Subject(over.asset, (red, laid))
    options = ("leukocyte", "erythrocyte")
    assert _reason(_box(red), options, "B. erythrocyte", of=red, subject=crowded) is Reason.OPTION
    open_set = s.smear("open", "el", exhaustive=False)
    red = open_set.annotations[0]
    assert _reason(_box(red), options, "B. erythrocyte", of=red, subject=open_set) is Reason.OPTION


def test_synonyms_and_broader_terms_of_what_a_box_holds_are_no_wrong_options() -> None:
    for other in ("red blood cell", "RBC", "blood cell", "cell"):
        options = (other, "erythrocyte")
        assert _reason(_box(RED), options, "B. erythrocyte") is Reason.OPTION, other


def test_boxes_of_our_own_are_accepted_as_they_are_asked() -> None:
    task = MultipleChoice(MultipleChoiceOptions(boxes=4, variants=20), s.VOCABULARY)
    drafts = [draft for draft in task.draft(SMEAR) if isinstance(draft, Draft)]
    assert len({draft.wording for draft in drafts}) > 10
    for draft in drafts:
        assert verify(draft, (SMEAR.asset,), SMEAR.annotations, s.VOCABULARY).refusal is None, draft.messages


def test_a_box_is_asked_about_without_being_told_to() -> None:
    """Granularity below the image is part of what is drawn from a source with boxes (GMAI-MMBench)."""
    assert MultipleChoiceOptions().boxes == 1
    task = MultipleChoice(MultipleChoiceOptions(), s.VOCABULARY)
    levels = {
        msgspec.json.decode(draft.constraints)["tree"]["granularity"]
        for draft in task.draft(SMEAR)
        if isinstance(draft, Draft)
    }
    assert levels == {"box"}
