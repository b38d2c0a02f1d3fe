"""Literal sentences about images of which everything is known: which are true, which are not, and by which rule."""

from typing import Any

import msgspec
import pytest

from curate.rows import Message, Subject
from curate.schema import RULES, Kind, Reason, World
from curate.verify import VERSIONS, Verifier, verify
from tests.tasks import subjects as s
from tests.verify.by_hand import about, reason_of

CHEST = s.chest(
    "rules",
    World.OPEN,
    sides=True,
    Pleural__Effusion="present",
    Nodule="absent",
    Pneumonia="uncertain",
    Edema="present",
)
SMEAR = s.smear("rules", "eeeel")


def _reason(
    subject: Subject, question: str, answer: str, rests_on: tuple[str, ...] = (), **asked: Any
) -> Reason | None:
    return reason_of(subject, question, answer, asked, rests_on=about(subject, *rests_on))


def _caption(answer: str) -> Reason | None:
    return _reason(CHEST, "Describe this image.", answer, ask="caption", attributes=[])


def test_checks_are_those_of_the_schema_in_its_order() -> None:
    draft = s.drafts_of(SMEAR, ("count",))[0]
    checked = Verifier(s.VOCABULARY).verify(draft, (SMEAR.asset,), SMEAR.annotations)
    assert tuple(checked.checks) == RULES == tuple(VERSIONS)
    assert checked.refusal is None
    assert checked.checks["counts"] == "pass"
    assert checked.checks["points"] == "not_applicable"


@pytest.mark.parametrize(
    "sentence",
    [
        "There is a left pleural effusion.",
        "Pleural effusion on the left; edema on the right.",
        "There is a pleural effusion but no nodule.",
        "No nodule is seen, and edema is present.",
        "A nodule is not seen.",
        "Pneumonia cannot be excluded.",
        "Possible pneumonia.",
        "Pleural effusion is not absent.",
        "The chest radiograph is without a right nodule.",
    ],
)
def test_true_sentences_pass(sentence: str) -> None:
    assert _caption(sentence) is None


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("There is no pleural effusion.", Reason.NEGATION),
        ("There is a nodule.", Reason.NEGATION),
        ("A nodule is not absent.", Reason.NEGATION),
        ("There is pneumonia.", Reason.UNCERTAINTY),
        ("There is possible edema.", Reason.UNCERTAINTY),
        ("The pleural effusion is ruled out.", Reason.NEGATION),
        ("Free of pleural effusion and edema.", Reason.NEGATION),
        ("There is a right pleural effusion.", Reason.LATERALITY),
        ("There are bilateral pleural effusions.", Reason.LATERALITY),
        ("There is a left pleural effusion and a pneumothorax.", Reason.LABEL_INVENTED),
        ("There is a left pleural effusion and sarcoidosis.", Reason.LABEL_INVENTED),
        ("This CT image shows a left pleural effusion.", Reason.LABEL_INVENTED),
        ("Lateral view with a left pleural effusion.", Reason.LABEL_INVENTED),
        ("The left pleural effusion is unchanged.", Reason.COMPARISON),
        ("A 64-year-old man with pleural effusion.", Reason.NUMBER),
        ("There are 2 pleural effusions.", Reason.NUMBER),
        ("There are several pleural effusions.", Reason.NUMBER),
        ("A pleural effusion of 12 mm.", Reason.NUMBER),
        ("Only a pleural effusion is present.", Reason.COUNT),
        ("Pleural effusion at [1, 2, 3, 4].", Reason.NUMBER),
    ],
)
def test_false_sentences_are_refused_for_the_right_reason(sentence: str, reason: Reason) -> None:
    assert _caption(sentence) is reason


@pytest.mark.parametrize(
    ("finding", "synonym"),
    [("diabetic retinopathy", "DR"), ("dementia", "dementia"), ("tumor", "tumor")],
)
def test_the_denial_of_a_finding_is_no_class_of_that_name(finding: str, synonym: str) -> None:
    """`no dementia` is a class of some datasets, and the lexicon knows it; elsewhere it denies dementia."""
    for state, reason in (("absent", None), ("present", Reason.NEGATION)):
        subject = s.chest("no", World.OPEN, **{finding.replace(" ", "__"): state})
        assert (
            _reason(subject, "Describe this image.", f"No {synonym} is seen.", ask="caption", attributes=[]) is reason
        )


def test_synonyms_and_spellings_name_the_same_finding() -> None:
    assert _caption("There is oedema on the right.") is None
    assert _reason(SMEAR, "How many red blood cells are there?", "There are 4 RBCs.",
                   ask="count", concept="erythrocyte", label_set="cells") is None  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("There are four erythrocytes.", None),
        ("4.", None),
        ("There are 5 erythrocytes.", Reason.NUMBER),
        ("There is 1 erythrocyte.", Reason.NUMBER),
        ("There are no erythrocytes.", Reason.NEGATION),
        ("There are many erythrocytes.", Reason.NUMBER),
        ("There are erythrocytes.", Reason.COUNT),
        ("There are 4 leukocytes.", Reason.LABEL_INVENTED),
    ],
)
def test_counts(answer: str, reason: Reason | None) -> None:
    asked = {"ask": "count", "concept": "erythrocyte", "label_set": "cells"}
    assert _reason(SMEAR, "How many erythrocytes are there?", answer, **asked) is reason


@pytest.mark.parametrize("told", ["0 platelets", "0 objects of class platelet", "no objects of class platelet"])
def test_a_zero_denies_also_where_a_label_is_told_as_a_class(told: str) -> None:
    asked = {"ask": "count", "concept": "platelet", "label_set": "cells"}
    question = "How many platelets are there?"
    assert _reason(SMEAR, question, f"There are {told}.", **asked) is None
    assert _reason(s.smear("p", "eep"), question, f"There are {told}.", **asked) is Reason.NEGATION


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("In total 3, namely 3 erythrocytes, no leukocytes and no platelets.", None),
        ("There are 3 in total: 3 erythrocytes, 0 leukocytes and 0 platelets.", None),
        ("3 erythrocytes and neither leukocytes nor platelets, 3 in total.", None),
        ("In total 3, namely 3 erythrocytes, no leukocytes and platelets.", None),
        ("In total 3, namely 3 erythrocytes, no leukocytes and a platelet.", Reason.NEGATION),
        ("In total 3, namely no erythrocytes, no leukocytes and no platelets.", Reason.NEGATION),
    ],
)
def test_each_denial_of_a_list_denies_once(answer: str, reason: Reason | None) -> None:
    asked = {"ask": "count_total", "label_set": "cells", "concepts": list(s.CELLS), "rests_on": ("erythrocyte",)}
    question = "How many erythrocytes, leukocytes and platelets are there in total?"
    assert _reason(s.smear("zeros", "eee"), question, answer, **asked) is reason


def test_neither_nor_denies_both_and_a_double_negation_does_not() -> None:
    shown = s.chest("neither", World.OPEN, Nodule="absent", Pneumonia="absent", Edema="present")
    for sentence, reason in (
        ("Neither a nodule nor pneumonia is seen.", None),
        ("There is no nodule, no pneumonia, but edema.", None),
        ("Neither a nodule nor edema is seen.", Reason.NEGATION),
        ("No nodule and no edema.", Reason.NEGATION),
        ("No lack of pneumonia.", Reason.NEGATION),
    ):
        assert _reason(shown, "Describe this image.", sentence, ask="caption", attributes=[]) is reason, sentence


def test_regions_of_a_label_map_are_not_counted() -> None:
    subject = s.lesions("regions", "edema")
    asked = {"ask": "count", "concept": "edema", "label_set": "lesions", "rests_on": ("edema",)}
    assert _reason(subject, "How many areas of edema are there?", "1.", **asked) is Reason.NUMBER
    asked |= {"concept": "necrosis", "rests_on": ()}
    assert _reason(subject, "How many areas of necrosis are there?", "0.", **asked) is Reason.NUMBER
    none = s.lesions("no regions")
    assert _reason(none, "How many areas of necrosis are there?", "0.", **asked) is Reason.NUMBER


def test_a_code_without_words_is_no_modality() -> None:
    other = s.lettered("other", modality="OT")
    asked = {"ask": "attribute", "attribute": "modality"}
    assert _reason(other, "Which modality was used?", "OT was used.", **asked) is Reason.LABEL_MISSING
    spine = s.lettered("spine", modality="CR", anatomy="CSPINE")
    assert _reason(spine, "Which modality was used?", "Radiography was used.", **asked) is None
    asked["attribute"] = "anatomy"
    assert _reason(spine, "What part of the body is this?", "The cervical spine.", **asked) is None


def test_a_count_needs_an_exhaustive_set() -> None:
    some = s.smear("inexhaustive", "eeee", exhaustive=False)
    asked = {"ask": "count", "concept": "erythrocyte", "label_set": "cells"}
    assert _reason(some, "How many erythrocytes are there?", "There are 4 erythrocytes.", **asked) is not None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("[[131, 11, 156, 42]]", None),
        ("[[132, 11, 156, 42]]", Reason.NUMBER),
        ("[[156, 11, 131, 42]]", Reason.BOX),
        ("[[131, 11, 156, 42], [131, 11, 156, 42]]", Reason.BOX),
        ("[]", Reason.BOX),
        ("It is at the top.", Reason.BOX),
    ],
)
def test_boxes(answer: str, reason: Reason | None) -> None:
    asked = {"ask": "locate", "concept": "leukocyte", "label_set": "cells", "all": True, "rests_on": ("leukocyte",)}
    assert _reason(SMEAR, "Locate the leukocyte.", answer, **asked) is reason


def test_the_box_of_another_kind_is_refused() -> None:
    asked = {"ask": "locate", "concept": "leukocyte", "label_set": "cells", "all": True, "rests_on": ("erythrocyte",)}
    assert _reason(SMEAR, "Locate the leukocyte.", "[[7, 11, 32, 42]]", **asked) is Reason.BOX


def test_points_are_pixels_of_the_annotations() -> None:
    dots = s.smear("dots", "el", kind=Kind.POINT)
    asked = {"ask": "point", "concept": "erythrocyte", "label_set": "cells", "all": True, "rests_on": ("erythrocyte",)}
    assert _reason(dots, "Point to each erythrocyte.", "[[7, 11]]", **asked) is None
    assert _reason(dots, "Point to each erythrocyte.", "[[11, 7]]", **asked) is Reason.POINT
    assert _reason(dots, "Point to each leukocyte.", "[[7, 11]]", **asked) is Reason.LABEL_MISSING


def test_closed_questions_are_answered_as_the_state_says() -> None:
    asked = {"ask": "presence", "concept": "Nodule", "label_set": "findings"}
    assert _reason(CHEST, "Is there a nodule?", "No, no nodule is seen.", **asked) is None
    assert _reason(CHEST, "Is there a nodule?", "Yes.", **asked) is Reason.NEGATION
    assert _reason(CHEST, "Is there a nodule?", "No, there is a nodule.", **asked) is Reason.NEGATION
    assert _reason(CHEST, "Is there no nodule?", "No.", **asked) is Reason.NEGATION
    assert _reason(CHEST, "Is there a nodule?", "Perhaps.", **asked) is Reason.NEGATION
    assert _reason(CHEST, "Is there edema?", "No.", **asked) is Reason.LABEL_MISSING


def test_silence_of_an_open_set_is_no_absence() -> None:
    asked = {"ask": "presence", "concept": "Fracture", "label_set": "findings"}
    assert _reason(CHEST, "Is there a fracture?", "No.", **asked) is not None


def test_open_questions_do_not_hold_their_answer() -> None:
    asked = {"ask": "findings", "label_set": "findings", "all": False, "rests_on": ("Edema",)}
    assert _reason(CHEST, "Which findings are present?", "Edema.", **asked) is None
    assert _reason(CHEST, "Which findings beside edema are present?", "Edema.", **asked) is Reason.ANSWER_IN_QUESTION


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What organ system is imaged?", "Chest", None),
        ("Is this a CT or an MRI?", "CT", None),
        ("Is the lung collapsed?", "Yes", None),
        ("What lobe of the liver is affected?", "liver", Reason.ANSWER_IN_QUESTION),
    ],
)
def test_questions_of_a_source_are_held_to_form_alone(question: str, answer: str, reason: Reason | None) -> None:
    subject = s.asked("rule" + question, question, answer)
    draft = s.drafts_of(subject, ("source_qa",))[0]
    checked = verify(draft, (subject.asset,), subject.annotations, {})
    assert (checked.refusal.reason if checked.refusal else None) is reason
    assert checked.checks["source_text"] == "pass"
    assert checked.checks["labels"] == "not_applicable"


def test_turns_and_image_tokens() -> None:
    draft = s.drafts_of(SMEAR, ("count",))[0]
    user, assistant = draft.messages
    for messages, reason in (
        ([user], Reason.EMPTY_TEXT),
        ([assistant, user], Reason.EMPTY_TEXT),
        ([user, Message("assistant", "  ")], Reason.EMPTY_TEXT),
        ([Message("user", user.content.removeprefix("<image>\n")), assistant], Reason.IMAGE_TOKENS),
        ([Message("user", user.content.replace("<image>\n", "") + "\n<image>"), assistant], Reason.IMAGE_TOKENS),
    ):
        broken = msgspec.structs.replace(draft, messages=messages)
        refusal = verify(broken, (SMEAR.asset,), SMEAR.annotations, s.VOCABULARY).refusal
        assert refusal is not None
        assert refusal.reason is reason


def test_a_template_may_use_no_word_that_is_not_plain() -> None:
    draft = s.drafts_of(CHEST, ("label_caption",))[0]
    spoken = Message("assistant", draft.messages[1].content + " Blorbosis is seen.")
    strange = msgspec.structs.replace(draft, messages=[draft.messages[0], spoken])
    refusal = verify(strange, (CHEST.asset,), CHEST.annotations, s.VOCABULARY).refusal
    assert refusal is not None
    assert refusal.reason is Reason.LABEL_INVENTED


def test_every_wording_of_every_task_passes() -> None:
    for subject in s.hand_built()[:27]:
        verifier = Verifier(s.VOCABULARY)
        for draft in s.drafts_of(subject, variants=99):
            checked = verifier.verify(draft, (subject.asset,), subject.annotations)
            assert checked.refusal is None, (draft.messages, checked.refusal)


def test_broken_constraints_do_not_crash() -> None:
    draft = s.drafts_of(SMEAR, ("count",))[0]
    for constraints in ("", "[]", "{", '{"ask": 3}', '{"ask": "count"}', '{"ask": "count_total", "concepts": []}'):
        verify(msgspec.structs.replace(draft, constraints=constraints), (SMEAR.asset,), SMEAR.annotations, s.VOCABULARY)
