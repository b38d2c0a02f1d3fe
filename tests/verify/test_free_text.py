"""What a model may write of images of which everything is known: sentences that are true, and their false twins."""

from typing import Any

import msgspec
import pytest

from curate.rows import Annotation, Asset, Draft, Message, Subject
from curate.schema import Kind, Origin, Reason, State, World
from curate.verify import verify
from curate.vocabulary import LabelNames, Vocabulary
from tests.tasks import subjects as s

CAPTION = {"ask": "caption", "attributes": []}


def _made(
    name: str,
    attributes: dict[str, Any],
    states: dict[str, str],
    sides: dict[str, str] | None = None,
    *,
    kind: Kind = Kind.MULTILABEL,
    world: World = World.COMPLETE,
    more: tuple[Any, ...] = (),
) -> Subject:
    """An image with findings in their states, and what else is said of it."""
    shown = s.asset(name, labelled_by=["f"], **attributes)
    said = [
        s.says(shown, kind, concept, "f", n, state=State(state), world=world, side=(sides or {}).get(concept))
        for n, (concept, state) in enumerate(states.items())
    ]
    said += [s.says(shown, kind, concept, "m", 100 + n, **more) for n, (kind, concept, more) in enumerate(more)]
    return Subject(shown, tuple(said))


def _vocabulary(subject: Subject) -> Vocabulary:
    names = {a.concept for a in subject.annotations if a.concept and a.label_set == "f"}
    world = next((a.world for a in subject.annotations if a.label_set == "f"), World.OPEN)
    return {"f": LabelNames(tuple(sorted(names)), world=world)}


def _judged(
    assets: tuple[Asset, ...],
    annotations: tuple[Annotation, ...],
    vocabulary: Vocabulary,
    *,
    question: str,
    answer: str,
    rests_on: tuple[str, ...],
    asked: dict[str, Any],
) -> Reason | None:
    draft = Draft(
        draft_id="d", source="hand", asset_ids=[asset.asset_id for asset in assets],
        annotation_ids=[a.annotation_id for a in annotations if a.concept in rests_on], task="t", variant=0,
        wording="by hand", language="en", origin=Origin.LLM,
        messages=[Message("user", "<image>\n" * len(assets) + question), Message("assistant", answer)],
        constraints=msgspec.json.encode(asked).decode(),
    )  # fmt: skip
    refusal = verify(draft, assets, annotations, vocabulary).refusal
    return refusal.reason if refusal else None


def _reason(
    subject: Subject, question: str, answer: str, rests_on: tuple[str, ...] = (), **asked: Any
) -> Reason | None:
    return _judged(
        (subject.asset,),
        subject.annotations,
        _vocabulary(subject),
        question=question,
        answer=answer,
        rests_on=rests_on,
        asked={"label_set": "f"} | asked,
    )


CHEST = _made(
    "chest",
    {"modality": "DX", "anatomy": "chest", "view": "PA"},
    {
        "pleural effusion": "present", "cardiomegaly": "present", "pulmonary edema": "present",
        "lung lesion": "present",
        "pneumothorax": "absent", "consolidation": "absent", "fracture": "absent", "emphysema": "absent",
        "atelectasis": "uncertain", "support devices": "present",
    },
    {"pleural effusion": "left", "lung lesion": "right"},
)  # fmt: skip


@pytest.mark.parametrize(
    "sentence",
    [
        "The heart is enlarged, and there is a left-sided pleural effusion.",
        "No pneumothorax, consolidation or fracture is identified.",
        "There is no radiographic evidence of pneumothorax; atelectasis cannot be ruled out.",
        "Neither pneumothorax nor emphysema is seen, but the cardiac silhouette is enlarged.",
        "Atelectasis is suspected, whereas a fracture is not seen.",
        "Fluid is present in the left pleural space.",
        "The right lung contains a lesion, and pulmonary oedema is noted without pneumothorax.",
        "The film is negative for pneumothorax and fracture.",
        "Pneumothorax: absent. Cardiomegaly: present.",
        "Pneumothorax is absent, and so is consolidation.",
        "The chest x-ray does not reveal a pneumothorax, nor does it show a fracture.",
        "Edema is there, but a pneumothorax isn't.",
        "Fracture, emphysema and pneumothorax are all absent.",
        "There is no doubt that pulmonary edema is present.",
        "Support devices are in place.",
    ],
)
def test_true_captions_pass(sentence: str) -> None:
    assert _reason(CHEST, "Describe this image.", sentence, **CAPTION) is None


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The heart is not enlarged.", Reason.NEGATION),
        ("There is no doubt that pneumothorax is present.", Reason.NEGATION),
        ("Not only edema but also a fracture is present.", Reason.NEGATION),
        ("Pneumothorax is present, and cardiomegaly is not.", Reason.NEGATION),
        ("Atelectasis is seen.", Reason.UNCERTAINTY),
        ("No atelectasis is seen.", Reason.UNCERTAINTY),
        ("Cardiomegaly may be present.", Reason.UNCERTAINTY),
        ("Pulmonary edema is unlikely.", Reason.UNCERTAINTY),
        ("Fluid is present in the right pleural space.", Reason.LATERALITY),
        ("There are bilateral pleural effusions.", Reason.LATERALITY),
        ("A lesion is seen in the left lung.", Reason.LATERALITY),
        ("Severe pulmonary edema.", Reason.LABEL_INVENTED),
        ("Marked cardiomegaly.", Reason.LABEL_INVENTED),
        ("There is sarcoidosis.", Reason.LABEL_INVENTED),
        ("There is blorbosis.", Reason.LABEL_INVENTED),
        ("The lungs are clear.", Reason.LABEL_INVENTED),
        ("There is edema of the liver.", Reason.ANATOMY),
        ("Edema is seen in the corner of the image.", Reason.ANATOMY),
        ("The pleural effusion has increased.", Reason.COMPARISON),
        ("The patient has edema and fever.", Reason.UNANSWERABLE),
        ("Edema due to heart failure.", Reason.LABEL_INVENTED),
        ("Edema is seen; biopsy is recommended.", Reason.UNANSWERABLE),
        ("Blood flow is seen within the lesion.", Reason.LABEL_INVENTED),
        ("Edema was seen on 12/03/2019.", Reason.IDENTIFIER),
        ("According to the annotation, edema is present.", Reason.CONSISTENCY),
        ("**Edema** is present.", Reason.CONSISTENCY),
        ("There is edema, cardiomegaly and a", Reason.CONSISTENCY),
        ("There are two pleural effusions.", Reason.NUMBER),
        ("Only cardiomegaly is present.", Reason.COUNT),
    ],
)
def test_false_captions_are_refused_for_the_right_reason(sentence: str, reason: Reason) -> None:
    found = _reason(CHEST, "Describe this image.", sentence, **CAPTION)
    assert found is not None
    if reason is not Reason.LABEL_INVENTED:  # a word that nobody knows is found first
        assert found in (reason, Reason.LABEL_INVENTED, Reason.NUMBER), found


@pytest.mark.parametrize(
    ("question", "answer", "concept", "true"),
    [
        ("Is the heart enlarged?", "Yes, the cardiac silhouette is enlarged.", "cardiomegaly", True),
        ("Is the heart enlarged?", "No.", "cardiomegaly", False),
        ("Is there a pneumothorax?", "No pneumothorax is seen.", "pneumothorax", True),
        ("Is there a pneumothorax?", "There is none.", "pneumothorax", True),
        ("Is there a pneumothorax?", "No, it can be seen.", "pneumothorax", False),
        ("Is there a pneumothorax?", "Yes, there is none.", "pneumothorax", False),
        ("Is pneumothorax absent?", "Yes.", "pneumothorax", True),
        ("Is pneumothorax absent?", "No.", "pneumothorax", False),
        ("Can a pneumothorax be excluded?", "Yes, a pneumothorax can be excluded.", "pneumothorax", True),
        ("Is the bony thorax intact?", "Yes, there is no fracture.", "fracture", True),
        ("Is the bony thorax intact?", "No, there is no fracture.", "fracture", False),
        ("Are the lungs free from emphysema?", "They are.", "emphysema", True),
        ("Is there no fracture?", "No.", "fracture", False),
        ("Is there atelectasis?", "Possibly.", "atelectasis", True),
        ("Is there atelectasis?", "It cannot be ruled out.", "atelectasis", True),
        ("Is there atelectasis?", "Yes, possibly.", "atelectasis", False),
        ("Is there a pleural effusion, and if so, on which side?", "Yes, on the left.", "pleural effusion", True),
        ("Is there a pleural effusion, and if so, on which side?", "Yes, on the right.", "pleural effusion", False),
        ("Is there a pneumothorax?", "No, there is no fracture.", "pneumothorax", False),
        ("Is there a large pleural effusion?", "Yes.", "pleural effusion", False),
    ],
)
def test_closed_questions(question: str, answer: str, concept: str, true: bool) -> None:
    assert (_reason(CHEST, question, answer, ask="presence", concept=concept) is None) is true


def test_findings_that_share_their_noun_are_told_apart() -> None:
    head = _made(
        "head",
        {"modality": "CT", "anatomy": "head"},
        {"subdural hemorrhage": "absent", "epidural hemorrhage": "absent", "intraparenchymal hemorrhage": "present"},
    )
    told = "Intraparenchymal haemorrhage; no subdural or epidural haemorrhage."
    assert _reason(head, "Describe this scan.", told, **CAPTION) is None
    assert _reason(head, "Describe this scan.", "Subdural haemorrhage is seen.", **CAPTION) is Reason.NEGATION


MEASURED = _made(
    "measured",
    {"modality": "CT", "anatomy": "abdomen"},
    {"liver lesion": "present", "kidney cyst": "present"},
    more=(
        (Kind.MEASUREMENT, "liver lesion", {"value": 12.4, "unit": "mm", "label": "diameter"}),
        (Kind.MEASUREMENT, "kidney cyst", {"value": 35.0, "unit": "mm", "label": "diameter"}),
        (Kind.MEASUREMENT, "C-reactive protein", {"value": 11.0, "unit": "mg/L"}),
    ),
)


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("12.4 mm.", True),
        ("The liver lesion measures 1.24 cm in diameter.", True),
        ("About 12 mm.", True),
        ("12.4mm", True),
        ("12.4 cm.", False),
        ("1 cm", False),
        ("12.4", False),
        ("35 mm", False),
        ("The kidney cyst measures 12.4 mm.", False),
        ("The liver lesion has a radius of 12.4 mm.", False),
        ("More than 12.4 mm.", False),
        ("It might be 12.4 mm.", False),
        ("It has no diameter of 12.4 mm.", False),
        ("12.4 HU", False),
    ],
)
def test_measures_and_their_units(answer: str, true: bool) -> None:
    asked = {"ask": "measure", "concept": "liver lesion", "label_set": "m", "rests_on": ("liver lesion",)}
    assert (_reason(MEASURED, "What is the diameter of the liver lesion?", answer, **asked) is None) is true


def test_no_picture_shows_a_laboratory_value() -> None:
    asked = {"ask": "measure", "concept": "C-reactive protein", "label_set": "m", "rests_on": ("C-reactive protein",)}
    assert _reason(MEASURED, "How high is the C-reactive protein?", "11 mg/L", **asked) is not None


DISEASED = _made(
    "diseased",
    {"modality": "light microscopy", "anatomy": "peripheral blood"},
    {"thalassemia": "present", "iron deficiency anemia": "absent", "normal": "absent"},
    kind=Kind.CLASS,
    world=World.EXCLUSIVE,
)
OFFER = "Which class does this blood smear belong to?\nA. iron deficiency anemia\nB. thalassemia\nC. normal"


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("B", True),
        ("B. thalassemia", True),
        ("The correct answer is B, thalassemia.", True),
        ("Thalassemia (B).", True),
        ("A", False),
        ("B. normal", False),
        ("E", False),
        ("B or C", False),
        ("B, possibly.", False),
        ("Not B", False),
        ("Thalassemia and normal", False),
    ],
)
def test_choices(answer: str, true: bool) -> None:
    asked = {"ask": "choice", "of": "class", "letters": True, "rests_on": ("thalassemia",),
             "options": ["iron deficiency anemia", "thalassemia", "normal"]}  # fmt: skip
    assert (_reason(DISEASED, OFFER, answer, **asked) is None) is true


def test_options_must_be_known_unique_and_offered() -> None:
    asked = {"ask": "choice", "of": "class", "letters": True, "rests_on": ("thalassemia",)}
    for question, options in (
        (OFFER, ["iron deficiency anemia", "thalassemia", "sarcoidosis"]),
        (OFFER.replace("C. normal", "C. Thalassemia"), ["iron deficiency anemia", "thalassemia", "Thalassemia"]),
        (OFFER.replace("C. normal", "C. malaria"), ["iron deficiency anemia", "thalassemia", "malaria"]),
    ):
        assert _reason(DISEASED, question, "B", options=options, **asked) in (Reason.OPTION, Reason.LABEL_INVENTED)


@pytest.mark.parametrize(
    ("sentence", "before", "after"),
    [
        ("The pleural effusion is new.", "absent", "present"),
        ("The effusion has resolved.", "present", "absent"),
        ("The pleural effusion persists.", "present", "present"),
        ("Pleural effusion is present on the second image but not on the first.", "absent", "present"),
        ("Neither image shows a pleural effusion.", "absent", "absent"),
        ("The current film shows a pleural effusion, the previous film shows none.", "absent", "present"),
    ],
)
def test_comparisons_say_what_became_of_the_finding(sentence: str, before: str, after: str) -> None:
    def said(first: str, second: str, **fields: Any) -> Reason | None:
        assets = tuple(
            s.asset(
                f"at {day}", modality="CR", anatomy="chest", study=str(day), day_offset=day, labelled_by=["f"], **fields
            )
            for day in (0, 20)
        )
        states = zip(assets, (first, second), strict=True)
        told = tuple(
            s.says(asset, Kind.MULTILABEL, "pleural effusion", "f", n, state=State(state))
            for n, (asset, state) in enumerate(states)
        )
        asked = {"ask": "compare", "concept": "pleural effusion", "label_set": "f"}
        question = "Compare the two radiographs with regard to pleural effusion."
        vocabulary = {"f": LabelNames(("pleural effusion",))}
        rests_on = ("pleural effusion",)
        return _judged(assets, told, vocabulary, question=question, answer=sentence, rests_on=rests_on, asked=asked)

    states = ("present", "absent")
    for first in states:
        for second in states:
            assert (said(first, second, subject="one") is None) is ((first, second) == (before, after))
    assert said(before, after) is Reason.COMPARISON  # of whom, nobody knows


LUNGS = _made(
    "lungs",
    {"modality": "DX", "anatomy": "chest", "view": "PA"},
    {"consolidation": "present", "fracture": "present", "nodule": "absent"},
    {"consolidation": "right"},
)


@pytest.mark.parametrize(
    "words",
    [
        "An area of consolidation in the {} lung.",
        "There are areas of consolidation in the {} lung.",
        "Consolidation within the {} lung.",
        "The {} lung holds an area of consolidation.",
    ],
)
def test_a_side_in_the_midst_of_a_name_is_a_side_all_the_same(words: str) -> None:
    asked = {"ask": "presence", "concept": "consolidation"}
    question = "Is there any consolidation?"
    assert _reason(LUNGS, question, words.format("right"), ("consolidation",), **asked) is None
    assert _reason(LUNGS, question, words.format("left"), ("consolidation",), **asked) is Reason.LATERALITY


@pytest.mark.parametrize("fracture", ["A marked fracture", "An advanced fracture", "A notable fracture"])
def test_a_word_of_severity_behind_an_article_is_no_verb(fracture: str) -> None:
    asked = {"ask": "presence", "concept": "fracture"}
    for said, reason in (("A fracture", None), (fracture, Reason.LABEL_INVENTED)):
        assert _reason(LUNGS, "Is there a fracture?", f"{said} is evident.", ("fracture",), **asked) is reason


@pytest.mark.parametrize("answer", ["Yes.", "The picture is a radiograph.", "A chest radiograph."])
def test_where_nothing_is_to_be_located_the_answer_says_so(answer: str) -> None:
    marked = Subject(
        LUNGS.asset,
        tuple(msgspec.structs.replace(one, exhaustive=True) for one in LUNGS.annotations),
    )

    def said(text: str) -> Reason | None:
        return _judged(
            (marked.asset,),
            marked.annotations,
            {"f": LabelNames(("consolidation", "fracture", "nodule"), world=World.COMPLETE, exhaustive=True)},
            question="Outline every nodule.",
            answer=text,
            rests_on=(),
            asked={"ask": "locate", "concept": "nodule", "label_set": "f", "all": True},
        )

    for true in ("There are no nodules.", "None.", "[]"):
        assert said(true) is None
    assert said(answer) is Reason.BOX


def test_a_yes_to_a_change_that_is_not_understood_is_not_believed() -> None:
    visits = tuple(
        s.asset(f"at {day}", modality="CR", anatomy="chest", study=str(day), day_offset=day, subject="one")
        for day in (0, 20)
    )
    told = tuple(
        s.says(visit, Kind.MULTILABEL, "support devices", "f", n, state=state, world=World.COMPLETE)
        for n, (visit, state) in enumerate(zip(visits, (State.ABSENT, State.PRESENT), strict=True))
    )
    now = "a support device is now present that was not there before."

    def said(question: str, answer: str) -> Reason | None:
        asked = {"ask": "compare", "concept": "support devices", "label_set": "f"}
        names = {"f": LabelNames(("support devices",), world=World.COMPLETE)}
        rests_on = ("support devices",)
        return _judged(visits, told, names, question=question, answer=answer, rests_on=rests_on, asked=asked)

    assert said("Are there new support devices?", f"Yes, {now}") is None
    assert said("Are there new support devices?", f"No, {now}") is Reason.COMPARISON
    for word in ("Yes", "No"):
        assert said("Were support devices put in between the two films?", f"{word}, {now}") is Reason.COMPARISON


TORSO = _made(
    "torso",
    {"modality": "CT", "anatomy": "chest and abdomen"},
    {"liver": "present", "lung": "present", "liver lesion": "present", "ascites": "present", "kidney stone": "present"},
    {"kidney stone": "right"},
)


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("CT of the chest and abdomen with a liver lesion.", "CT of the chest and abdomen with a lung lesion."),
        (
            "This is a CT of the abdomen. It shows a right kidney stone, ascites and a liver lesion.",
            "This is a CT of the abdomen. It shows a right kidney stone, pleural effusion and a liver lesion.",
        ),
    ],
)
def test_a_finding_of_another_organ_is_another_finding(true: str, false: str) -> None:
    assert _reason(TORSO, "Describe this image.", true, ("liver lesion",), **CAPTION) is None
    assert _reason(TORSO, "Describe this image.", false, ("liver lesion",), **CAPTION) is not None
