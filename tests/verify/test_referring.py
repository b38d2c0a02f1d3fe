"""Expressions are judged by the geometry of the annotations: a lie about size, place, shape or number is refused."""

import json
from typing import Any

import msgspec
import pytest

from curate.rows import Annotation, Draft, Message, Subject
from curate.schema import Kind, Origin, Reason
from curate.tasks import make_task
from curate.verify import verify
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

VOCABULARY = {"cells": LabelNames(s.CELLS, exhaustive=True)}
FORM = "Answer with a JSON list of boxes [x0, y0, x1, y1] in pixels; the image is 640 pixels wide and 480 pixels high."
FRAME = "Coordinates are [x0, y0, x1, y1] in pixels of this 640 x 480 image."

SHOWN = s.asset("field", modality="light microscopy", labelled_by=["cells"])


def cell(number: int, corner: tuple[int, int], size: tuple[int, int], filled: float = 0.785) -> Annotation:
    """A cell whose mask fills so much of its box."""
    box = [float(edge) for edge in (*corner, corner[0] + size[0], corner[1] + size[1])]
    area = size[0] * size[1] * filled
    return s.says(SHOWN, Kind.MASK, "erythrocyte", "cells", number, box=box, area_px=area, exhaustive=True)


ROUND, LONG, LARGE = cell(0, (20, 20), (50, 52)), cell(1, (240, 180), (90, 30)), cell(2, (500, 330), (120, 130))
SUBJECT = Subject(SHOWN, (ROUND, LONG, LARGE))
BOXES = {"round": [20, 20, 70, 72], "long": [240, 180, 330, 210], "large": [500, 330, 620, 460]}


def judged(ask: str, question: str, answer: str, about: Subject = SUBJECT, **changed: Any) -> Reason | None:
    """Why a text about the three cells is refused."""
    asked = {"ask": ask, "concept": "erythrocyte", "label_set": "cells"} | changed.pop("asked", {})
    draft = Draft(
        draft_id="d", source="hand", asset_ids=[SHOWN.asset_id], task="referring", variant=0, wording="x",
        annotation_ids=changed.pop("own", [one.annotation_id for one in about.annotations]), language="en",
        origin=Origin.TEMPLATE, constraints=json.dumps(asked),
        messages=[Message("user", f"<image>\n{question}"), Message("assistant", answer)],
    )  # fmt: skip
    refusal = verify(msgspec.structs.replace(draft, **changed), (about.asset,), about.annotations, VOCABULARY).refusal
    return None if refusal is None else refusal.reason


def located(expression: str, box: list[int], about: Subject = SUBJECT, **changed: Any) -> Reason | None:
    return judged("refer", f"Locate {expression}. {FORM}", json.dumps([box]), about, **changed)


def described(expression: str, box: list[int]) -> Reason | None:
    own = [one.annotation_id for one in SUBJECT.annotations if one.box and [int(edge) for edge in one.box] == box]
    question = f"Write an expression that singles out what the box {box} in this light microscopy image marks. {FRAME}"
    return judged("describe", question, f"It is {expression}.", own=own)


TRUE = [
    ("the largest erythrocyte in this image", "large"),
    ("the biggest erythrocyte in this image", "large"),
    ("the leftmost erythrocyte in this image", "round"),
    ("the topmost erythrocyte in this image", "round"),
    ("the lowest erythrocyte in this image", "large"),
    ("the round erythrocyte in the upper left of the image", "round"),
    ("the elongated erythrocyte in this image", "long"),
    ("the erythrocyte in the center of the image", "long"),
    ("the erythrocyte in the lower right corner of the image", "large"),
    ("the erythrocyte on the right-hand side of the picture", "large"),
    ("the round erythrocyte in the upper left part of this image", "round"),
]


@pytest.mark.parametrize(("expression", "which"), TRUE)
def test_a_true_expression_stands_with_its_box_and_with_no_other(expression: str, which: str) -> None:
    assert located(expression, BOXES[which]) is None
    for other in BOXES.keys() - {which}:
        assert located(expression, BOXES[other]) is not None


@pytest.mark.parametrize(("expression", "which"), TRUE)
def test_a_true_description_stands_and_one_of_another_object_does_not(expression: str, which: str) -> None:
    words = expression.replace("in this image", "in the image")
    assert described(words, BOXES[which]) is None
    for other in BOXES.keys() - {which}:
        assert described(words, BOXES[other]) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "the smallest erythrocyte in this image",  # ROUND has 1.0 times the area of LONG
        "the erythrocyte in this image",
        "the only erythrocyte in this image",
        "the erythrocyte at the top of the image",  # LONG lies at 0.41 of the height
        "the round erythrocyte in this image",  # LARGE is round too
        "the second largest erythrocyte in this image",
        "the smaller erythrocyte in this image",
        "the oval erythrocyte in this image",
        "the left erythrocyte in this image",  # a bare side is the patient's
        "the erythrocyte on the left",
        "the erythrocyte on the left side of the patient",
        "the erythrocyte not in the lower right of the image",
        "the upper erythrocyte in this image",
        "the large erythrocyte in this image",  # by the picture's area it is small
        "the erythrocyte at the top and at the left of the image",
        "the two erythrocytes in this image",
        "the leftmost leukocyte in this image",
    ],
)
def test_what_is_ambiguous_false_or_cannot_be_proved_is_refused(expression: str) -> None:
    assert all(located(expression, box) is not None for box in BOXES.values())


def test_an_expression_needs_all_objects_marked_and_one_still_picture() -> None:
    words, box = "the largest erythrocyte in this image", BOXES["large"]
    some = [msgspec.structs.replace(one, exhaustive=False) for one in SUBJECT.annotations]
    assert located(words, box, Subject(SHOWN, tuple(some))) is Reason.BOX
    turned = Subject(msgspec.structs.replace(SHOWN, exif_orientation=6), SUBJECT.annotations)
    assert located(words, box, turned) is Reason.BOX
    crowd = msgspec.structs.replace(LONG, flags=["crowd"])
    assert located(words, box, Subject(SHOWN, (ROUND, crowd, LARGE))) is Reason.BOX


def test_boxes_alone_prove_no_roundness_and_need_a_wider_margin_of_size() -> None:
    cells = (cell(0, (20, 20), (50, 50)), cell(1, (400, 300), (58, 58)))
    first, second = (msgspec.structs.replace(one, kind=Kind.BOX, area_px=None) for one in cells)
    pair = Subject(SHOWN, (first, second))
    assert located("the largest erythrocyte in this image", [400, 300, 458, 358], pair) is Reason.BOX
    wider = Subject(SHOWN, (first, msgspec.structs.replace(second, box=[400.0, 300.0, 470.0, 370.0])))
    assert located("the largest erythrocyte in this image", [400, 300, 470, 370], wider) is None
    assert located("the round erythrocyte in the upper left of the image", [20, 20, 70, 70], wider) is Reason.BOX


def test_what_another_language_says_is_not_read_and_so_refused() -> None:
    assert located("the largest erythrocyte in this image", BOXES["large"], language="zh") is not None


PROMPTS = [
    "Erythrocytes in the light microscopy image.",
    "Three erythrocytes in the light microscopy image.",
    "Three small erythrocytes in the light microscopy image.",
    "Three small erythrocytes in the light microscopy image, at the top left, center and bottom right of the image.",
]
QUESTION = "Write prompts for segmenting the erythrocytes in this light microscopy image, one per line."


def prompted(lines: list[str], levels: list[int] | None = None) -> Reason | None:
    return judged("prompts", QUESTION, "\n".join(lines), asked={"levels": levels or [0, 0, 1, 2, 3, 3]})


def test_prompts_are_true_of_all_objects() -> None:
    assert prompted(PROMPTS) is None


@pytest.mark.parametrize(
    ("word", "lie"),
    [
        ("Three", "Two"),
        ("Three", "Four"),
        ("Three", "4"),
        ("small", "large"),
        ("small", "tiny"),
        ("small", "small round"),
        ("top left", "top right"),
        ("center and ", ""),
        ("center", "center, left"),
        ("Erythrocytes", "Leukocytes"),
        ("Erythrocytes", "Largest erythrocytes"),
        ("light microscopy", "CT"),
    ],
)
def test_a_lie_in_any_prompt_is_refused(word: str, lie: str) -> None:
    assert any(word in line for line in PROMPTS)
    assert prompted([line.replace(word, lie) for line in PROMPTS]) is not None


def test_prompts_go_from_general_to_specific_and_their_levels_are_their_lines() -> None:
    assert prompted([PROMPTS[1], PROMPTS[0], *PROMPTS[2:]]) is Reason.BOX
    assert prompted(PROMPTS, [0, 0, 1, 2, 2, 2]) is Reason.BOX
    assert prompted(PROMPTS, [1, 0, 1, 2, 3, 3]) is Reason.BOX


def defined(question: str) -> Reason | None:
    shown = s.smear("d", "l")
    asked = {"ask": "locate", "concept": "leukocyte", "label_set": "cells", "all": True, "defined": True}
    (draft,) = (
        one for one in make_task("defined_grounding", {}, VOCABULARY).draft(shown)  # type: ignore[arg-type]
        if isinstance(one, Draft)
    )  # fmt: skip
    (answer,) = [message.content for message in draft.messages if message.role == "assistant"]
    text = f"<image>\n{question} {FORM}"
    lie = msgspec.structs.replace(
        draft, messages=[Message("user", text), Message("assistant", answer)], constraints=json.dumps(asked)
    )
    refusal = verify(lie, (shown.asset,), shown.annotations, VOCABULARY).refusal
    return None if refusal is None else refusal.reason


def test_a_definition_is_the_reviewed_one_of_what_is_asked_about_word_for_word() -> None:
    true = "a nucleated blood cell that takes part in immune defense"
    assert defined(f"Locate the leukocyte, which means {true}, in this light microscopy image.") is None
    for lie in (
        true.replace("nucleated", "large"),
        true.replace("takes part", "takes no part"),
        "a small fragment of a megakaryocyte that takes part in clotting",
        f"{true} and shows pneumonia",
    ):
        assert defined(f"Locate the leukocyte, which means {lie}, in this light microscopy image.") is not None
    assert defined("Locate the leukocyte in this light microscopy image.") is not None
