"""Texts of our own templates on made-up facts, for what the corpora at hand never state: sides, grades, many absences,
visits whose findings and measured values change.

What is stated follows from a hash; no image stands behind it, and none is needed to judge a text by its annotations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bench.verify.rows import Draw, Row
from curate.rows import Annotation, Asset, Subject
from curate.schema import Annotator, Kind, Laterality, Refusal, State, World, identity
from curate.tasks import make_task
from curate.tasks.base import Language
from curate.vocabulary import LabelNames

__all__ = ["LANGUAGES", "MADE", "MADE_ZH", "made_rows"]

MADE = "own templates, made facts"
MADE_ZH = "own templates, made facts, Chinese"
TASKS = ("label_caption", "closed_vqa", "open_vqa", "multiple_choice")
LANGUAGES: tuple[Language, ...] = ("en", "zh")
SUBJECTS = 40
"""Subjects of each examination."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What may be stated of one kind of image.

    `sided`: findings that have a side; `eye`: the image has one; `grade`: a concept with its words.
    """

    modality: str
    anatomy: str
    view: str | None
    findings: tuple[str, ...]
    world: World = World.OPEN
    sided: tuple[str, ...] = ()
    eye: bool = False
    grade: tuple[str, tuple[str, ...]] | None = None


EXAMINATIONS = (
    Examination(
        "digital radiography", "chest", "PA",
        ("pleural effusion", "pneumothorax", "cardiomegaly", "consolidation", "atelectasis", "pulmonary edema",
         "rib fracture"),
        sided=("pleural effusion", "pneumothorax", "consolidation", "rib fracture"),
    ),
    Examination(
        "CT", "abdomen", None,
        ("hydronephrosis", "kidney stone", "ascites", "splenomegaly", "renal cyst", "appendicitis"),
        sided=("hydronephrosis", "kidney stone", "renal cyst"),
    ),
    Examination(
        "fundus photography", "retina", None,
        ("microaneurysms", "hard exudates", "cotton wool spots", "retinal hemorrhage", "drusen"),
        world=World.COMPLETE, eye=True,
        grade=("diabetic retinopathy", ("none", "mild", "moderate", "severe", "proliferative")),
    ),
    Examination(
        "mammography", "breast", "MLO", ("mass", "calcification", "skin thickening", "axillary lymphadenopathy"),
        eye=True,
    ),
    Examination(
        "dermoscopy", "skin", None,
        ("melanoma", "melanocytic nevus", "basal cell carcinoma", "dermatofibroma", "actinic keratosis"),
        world=World.EXCLUSIVE,
    ),
)  # fmt: skip


VISITED = EXAMINATIONS[0]
"""What is made up of patients who come again."""
MEASURED = (("cardiothoracic ratio", None, (0.43, 0.47, 0.52, 0.58)), ("nodule diameter", "mm", (6.0, 8.5, 8.5, 13.0)))
"""What is measured on each visit, its unit and the values."""
VISITS = 3


def made_rows(language: Language = "en") -> Iterator[Row]:
    """Captions and questions about every made-up subject, and comparisons of the visits of some patients."""
    group = MADE if language == "en" else MADE_ZH
    yield from _subject_rows(group, language)
    yield from _visit_rows(group, language)


def _subject_rows(group: str, language: Language) -> Iterator[Row]:
    for number, examination in enumerate(EXAMINATIONS):
        source = f"made-{number}"
        vocabulary = {"findings": LabelNames(tuple(sorted(examination.findings)), examination.world)}
        grades = {} if examination.grade is None else {"scales": {examination.grade[0]: list(examination.grade[1])}}
        settings = {"multiple_choice": {"findings": 2, **grades}}
        spoken = {"languages": [language]}
        tasks = [make_task(name, settings.get(name, {}) | spoken, vocabulary) for name in TASKS]
        for place in range(SUBJECTS):
            subject = _subject(source, examination, place)
            for task in tasks:
                for draft in task.draft(subject):
                    if not isinstance(draft, Refusal):
                        about = (subject.asset,)
                        yield Row(draft.draft_id, group, draft.task, draft, about, subject.annotations, vocabulary)


def _visit_rows(group: str, language: Language) -> Iterator[Row]:
    """Questions about consecutive visits: every finding that is known of both, and every value."""
    names = tuple(sorted(VISITED.findings))
    vocabulary = {"findings": LabelNames(names, VISITED.world)}
    measured = {concept: 0.02 if unit is None else 1.0 for concept, unit, _ in MEASURED}
    settings = {"unchanged": 3, "variants": 2, "measurements": measured, "languages": [language]}
    task = make_task("temporal", settings, vocabulary)
    for place in range(SUBJECTS):
        history = [_visit(place, visit) for visit in range(VISITS)]
        by_id = {subject.asset.asset_id: subject for subject in history}
        for draft in task.draft(history):
            if not isinstance(draft, Refusal):
                about = [by_id[asset_id] for asset_id in draft.asset_ids]
                yield Row(
                    draft.draft_id,
                    group,
                    draft.task,
                    draft,
                    tuple(subject.asset for subject in about),
                    tuple(each for subject in about for each in subject.annotations),
                    vocabulary,
                    prior=True,
                )


def _visit(place: int, visit: int) -> Subject:
    draw = Draw("visit", place, visit)
    made = _subject("made-visits", VISITED, VISITS * place + visit)
    asset = msgspec.structs.replace(
        made.asset, subject=f"{place}", study=f"{place}-{visit}", day_offset=7 * visit + draw.below("day", 6)
    )
    values = tuple(
        Annotation(
            annotation_id=identity(asset.asset_id, concept),
            asset_id=asset.asset_id,
            source=asset.source,
            label_set="measured",
            world=World.OPEN,
            exhaustive=False,
            kind=Kind.MEASUREMENT,
            label=concept,
            concept=concept,
            value=draw.pick(concept, told),
            unit=unit,
            annotator=Annotator.HUMAN,
            file="made",
            locator=concept,
        )
        for concept, unit, told in MEASURED
    )
    return Subject(asset, (*made.annotations, *values))


def _subject(source: str, examination: Examination, place: int) -> Subject:
    draw = Draw(source, place)
    asset_id = identity("made", source, place)
    asset = Asset(
        asset_id=asset_id,
        source=source,
        item_key=f"{place}.png",
        content_sha256=asset_id,
        image_sha256=asset_id,
        modality=examination.modality,
        anatomy=examination.anatomy,
        view=examination.view,
        laterality=draw.pick("eye", (Laterality.LEFT, Laterality.RIGHT)) if examination.eye else None,
        media_type="image/png",
        width=512,
        height=512,
        channels=1,
        bit_depth=8,
        labelled_by=["findings"],
    )
    return Subject(asset, tuple(_annotation(asset, examination, said) for said in _stated(examination, draw)))


@dataclass(frozen=True, slots=True)
class Said:
    """One statement; `words` are those of a grade."""

    kind: Kind
    concept: str
    state: State | None = None
    side: Laterality | None = None
    words: str | None = None


def _stated(examination: Examination, draw: Draw) -> Iterator[Said]:
    if examination.world is World.EXCLUSIVE:
        yield Said(Kind.CLASS, draw.pick("class", examination.findings), State.PRESENT)
        return
    states: Sequence[State | None] = (State.PRESENT, State.PRESENT, State.ABSENT, State.UNCERTAIN, None)
    if examination.world is World.COMPLETE:
        states = (State.PRESENT, None)
    for concept in examination.findings:
        state = draw.pick(concept, states)
        side = draw.pick((concept, "side"), (*Laterality, None)) if concept in examination.sided else None
        if state is not None:
            yield Said(Kind.MULTILABEL, concept, state, side if state is State.PRESENT else None)
    if examination.grade is not None:
        concept, words = examination.grade
        yield Said(Kind.GRADE, concept, words=draw.pick(concept, words))


def _annotation(asset: Asset, examination: Examination, said: Said) -> Annotation:
    graded = examination.grade[1].index(said.words) if examination.grade and said.words else None
    return Annotation(
        annotation_id=identity(asset.asset_id, said.kind, said.concept),
        asset_id=asset.asset_id,
        source=asset.source,
        label_set="findings",
        world=examination.world,
        exhaustive=False,
        kind=said.kind,
        label=said.concept,
        concept=said.concept,
        state=said.state,
        side=said.side,
        value=None if graded is None else float(graded),
        text=said.words,
        language="en" if said.words else None,
        annotator=Annotator.HUMAN,
        file="made",
        locator=said.concept,
    )
