"""Texts of our own templates on made-up facts, for what the corpora at hand never state: sides, grades, many absences.

What is stated follows from a hash; no image stands behind it, and none is needed to judge a text by its annotations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.verify.rows import Draw, Row
from curate.rows import Annotation, Asset, Subject
from curate.schema import Annotator, Kind, Laterality, Refusal, State, World, identity
from curate.tasks import make_task
from curate.vocabulary import LabelNames

__all__ = ["MADE", "made_rows"]

MADE = "own templates, made facts"
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


def made_rows() -> Iterator[Row]:
    """Captions and questions about every made-up subject."""
    for number, examination in enumerate(EXAMINATIONS):
        source = f"made-{number}"
        vocabulary = {"findings": LabelNames(tuple(sorted(examination.findings)), examination.world)}
        tasks = [make_task(name, {}, vocabulary) for name in ("label_caption", "closed_vqa", "open_vqa")]
        for place in range(SUBJECTS):
            subject = _subject(source, examination, place)
            for task in tasks:
                for draft in task.draft(subject):
                    if not isinstance(draft, Refusal):
                        about = (subject.asset,)
                        yield Row(draft.draft_id, MADE, draft.task, draft, about, subject.annotations, vocabulary)


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
