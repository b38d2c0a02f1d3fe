"""A named quantity is told as the mask measures it: its value, unit, digits and thing, on a view that shows it."""

from typing import Any

import pytest

from curate.rows import Subject
from curate.schema import Form, Kind, Reason
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s
from tests.verify.by_hand import about, reason_of

VOCABULARY = {
    "organs": LabelNames(("left kidney", "liver", "liver lesion", "right kidney"), exhaustive=True, regions=True)
}
AFFINE = [1.5, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1]
ORGANS: dict[str, dict[str, Any]] = {
    "liver": {"volume_mm3": 1_043_118.0, "extent_mm": [210.0, 180.25, 152.0], "mean_hu": 58.7},
    "right kidney": {"volume_mm3": 120_000.0, "extent_mm": [60.0, 55.0, 110.0], "mean_hu": -12.4},
    "left kidney": {"volume_mm3": 150_000.0, "extent_mm": [61.5, 57.0, 112.0], "mean_hu": 31.0},
}
VOLUME = {"quantity": "volume", "unit": "mL", "decimals": 0, "tolerance": 100.0, "concept": "liver"}
VOLUME_ASKED = "What is the volume of the liver in this CT scan, in millilitres?"


def _scan(**fields: Any) -> Subject:
    plain: dict[str, Any] = {
        "form": Form.VOLUME, "modality": "CT", "anatomy": "abdomen", "width": 200, "height": 200, "depth": 90,
        "spacing_mm": [2.0, 1.0, 1.5], "affine_lps": AFFINE, "rescale_unit": "HU", "labelled_by": ["organs"],
    }  # fmt: skip
    box = fields.pop("box", [10.0, 20.0, 5.0, 150.0, 180.0, 80.0])
    pieces = fields.pop("pieces", None)
    shown = s.asset("scan", **plain | fields)
    given: dict[str, Any] = {"frame": "volume", "box": box, "exhaustive": True, "flags": ["region"], "pieces": 1}
    said = [
        s.says(shown, Kind.MASK, name, "organs", n, **given | measured)
        for n, (name, measured) in enumerate(ORGANS.items())
    ]
    if pieces:
        said.append(s.says(shown, Kind.MASK, "liver lesion", "organs", 9, **given | {"pieces": pieces}))
    return Subject(shown, tuple(said))


SCAN = _scan()


def _reason(
    answer: str, asked: dict[str, Any], question: str = VOLUME_ASKED, *, subject: Subject = SCAN
) -> Reason | None:
    names = asked.get("concepts", [asked.get("concept")])
    return reason_of(
        subject,
        question,
        answer,
        {"ask": "measure", "label_set": "organs"} | asked,
        rests_on=about(subject, *names),
        vocabulary=VOCABULARY,
        task="measurement",
    )


@pytest.mark.parametrize(
    "answer", ["1043 mL.", "The liver has a volume of 1043 mL.", "The volume of the liver is 1043 millilitres."]
)
def test_a_volume_is_told_in_its_unit(answer: str) -> None:
    assert _reason(answer, VOLUME) is None


@pytest.mark.parametrize(
    "answer",
    [
        "1044 mL.",  # the last digit
        "1043.1 mL.",  # a digit that was not asked for
        "1043 mm.",
        "1043 mm³.",
        "1043.",
        "1.043 L.",
        "-1043 mL.",
        "104 mL.",
        "1043 mL or 1050 mL.",
        "At least 1043 mL.",
        "More than 1043 mL.",
        "The volume of the right kidney is 1043 mL.",
        "The volume of the liver lesion is 1043 mL.",
        "The transverse extent of the liver is 1043 mL.",
        "The diameter of the liver is 1043 mL.",
        "The mean attenuation of the liver is 1043 mL.",
        "It might be 1043 mL.",
        "The volume of the liver is not 1043 mL.",
        "It is large.",
    ],
)
def test_lies_about_a_volume_are_refused(answer: str) -> None:
    assert _reason(answer, VOLUME) is not None


@pytest.mark.parametrize(
    "question",
    [
        "What is the volume of the left kidney in this CT scan, in millilitres?",
        "What is the transverse extent of the liver in this CT scan?",
        "How large is the liver in this CT scan?",
        "1043 mL. What is the volume of the liver in this CT scan?",
    ],
)
def test_the_question_is_about_the_same_and_does_not_give_the_answer(question: str) -> None:
    assert _reason("1043 mL.", VOLUME, question) is not None


@pytest.mark.parametrize(
    ("quantity", "unit", "concept", "answer", "true"),
    [
        ("transverse extent", "mm", "liver", "210 mm.", True),
        ("transverse extent", "mm", "liver", "180 mm.", False),
        (
            "anteroposterior extent",
            "mm",
            "liver",
            "The liver measures 180 mm in the anteroposterior direction.",
            True,
        ),
        ("anteroposterior extent", "mm", "liver", "The liver measures 180 mm in the craniocaudal direction.", False),
        ("craniocaudal extent", "mm", "liver", "Its craniocaudal extent is 152 mm.", True),
        (
            "craniocaudal extent",
            "mm",
            "liver",
            "Its craniocaudal extent is 15.2 cm.",
            False,
        ),  # not the unit asked for
        ("mean attenuation", "HU", "right kidney", "-12 HU.", True),
        ("mean attenuation", "HU", "right kidney", "12 HU.", False),
        ("mean attenuation", "HU", "liver", "The mean attenuation of the liver is 59 HU.", True),
        ("mean attenuation", "HU", "liver", "The mean attenuation of the liver is 59 mm.", False),
    ],
)
def test_extents_and_attenuation(quantity: str, unit: str, concept: str, answer: str, true: bool) -> None:
    asked = {"quantity": quantity, "unit": unit, "decimals": 0, "tolerance": 5.0, "concept": concept}
    assert (_reason(answer, asked, f"What is the {quantity} of the {concept} in this CT scan?") is None) is true


def test_a_view_that_does_not_show_a_quantity_is_not_asked_for_it() -> None:
    for subject in (
        _scan(form=Form.SLICE),
        _scan(box=[0.0, 20.0, 5.0, 150.0, 180.0, 80.0]),
        _scan(box=[10.0, 20.0, 5.0, 150.0, 180.0, 90.0]),
    ):
        assert _reason("1043 mL.", VOLUME, subject=subject) is Reason.UNANSWERABLE
    cut = _scan(box=[0.0, 20.0, 5.0, 150.0, 180.0, 80.0])
    assert _reason("1043 mL.", VOLUME | {"cut_off": True}, subject=cut) is None


def test_attenuation_needs_proved_hounsfield_units() -> None:
    asked = {"quantity": "mean attenuation", "unit": "HU", "decimals": 0, "tolerance": 10.0, "concept": "liver"}
    question = "What is the mean attenuation of the liver in this CT scan?"
    assert _reason("59 HU.", asked, question) is None
    assert _reason("59 HU.", asked, question, subject=_scan(rescale_unit=None)) is not None


def test_an_oblique_scan_has_no_extent_along_the_patient() -> None:
    tilted = [1.2, -0.6, 0, 0, 0.9, 0.8, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1]
    asked = {"quantity": "transverse extent", "unit": "mm", "decimals": 0, "tolerance": 5.0, "concept": "liver"}
    question = "What is the transverse extent of the liver in this CT scan?"
    assert _reason("210 mm.", asked, question, subject=_scan(affine_lps=tilted)) is Reason.NUMBER


@pytest.mark.parametrize(("answer", "true"), [("1.25.", True), ("0.80.", False), ("1.3.", False), ("1.25 mm.", False)])
def test_a_ratio_is_of_the_first_to_the_second(answer: str, true: bool) -> None:
    asked = {
        "quantity": "volume ratio", "unit": "", "decimals": 2, "tolerance": 0.1,
        "concepts": ["left kidney", "right kidney"],
    }  # fmt: skip
    question = "What is the ratio of the volume of the left kidney to that of the right kidney in this CT scan?"
    assert (_reason(answer, asked, question) is None) is true


@pytest.mark.parametrize(
    ("options", "letter", "true"),
    [
        (("802 mL", "1043 mL", "1356 mL"), "B", True),
        (("802 mL", "1043 mL", "1356 mL"), "A", False),
        (("802 mL", "1100 mL", "1356 mL"), "B", False),  # none is true
        (("1040 mL", "1043 mL", "1356 mL"), "B", False),  # one is within the tolerance
        (("802 mL", "1043 mL", "1356 mm³"), "B", False),  # another unit
    ],
)
def test_a_choice_of_values_has_one_that_is_true_and_none_that_nearly_is(
    options: tuple[str, ...], letter: str, true: bool
) -> None:
    lines = "\n".join(f"{mark}. {option}" for mark, option in zip("ABC", options, strict=True))
    asked = VOLUME | {"ask": "choice", "of": "measure", "options": list(options), "letters": True, "letter": letter}
    question = f"What is the volume of the liver in this CT scan?\n{lines}"
    assert (_reason(letter, asked, question) is None) is true
    assert _reason(f"{letter}. 999 mL", asked, question) is not None


@pytest.mark.parametrize("wrapped", ["", "region of class "])
@pytest.mark.parametrize(("letter", "true"), [("A", True), ("B", False)])
def test_the_larger_of_two_is_that_of_the_larger_volume(letter: str, true: bool, wrapped: str) -> None:
    """A label that is no name of a thing by itself is told as a region of that class."""
    asked = {
        "ask": "choice", "of": "measure", "quantity": "larger volume", "concepts": ["right kidney", "left kidney"],
        "options": [f"{wrapped}left kidney", f"{wrapped}right kidney"], "letters": True,
    }  # fmt: skip
    question = f"By volume, which one is larger in this CT scan?\nA. {wrapped}left kidney\nB. {wrapped}right kidney"
    assert (_reason(letter, asked, question) is None) is true


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("There are 3 distinct liver lesions.", True),
        ("3 distinct liver lesions.", True),
        ("There are 2 distinct liver lesions.", False),
        ("There are no liver lesions.", False),
        ("There are at least 3 distinct liver lesions.", False),
    ],
)
def test_lesions_that_do_not_touch_are_counted(answer: str, true: bool) -> None:
    asked = {"quantity": "pieces", "unit": "", "decimals": 0, "tolerance": 0.0, "concept": "liver lesion"}
    question = "How many distinct liver lesions are there in this CT scan?"
    assert (_reason(answer, asked, question, subject=_scan(pieces=3)) is None) is true
    assert (_reason("There are no liver lesions.", asked, question) is None) is True
    assert _reason("There is 1 distinct liver lesion.", asked, question) is not None
