"""Multiple choice over a lexical tree: class, finding, grade, or what a box holds, with options that are proved false.

Seeds: GMAI-MMBench (questions state modality, task and granularity; a tree of task, department, modality, anatomy and
granularity), Med-MAT (at most four options out of the labels of the same set; modality, area and task per row).

Rules, and why:

- A wrong option is a label of the same label set that its source says is absent here: stated, or by the silence of an
  exclusive or complete set. What is open, uncertain or not stated might be true.
- Of a box, a wrong option is also what an exhaustive set marks, but without a pixel in common with the box: to tell a
  box from the rest of the image is what this granularity is for.
- One granularity: classes stand with classes, findings with findings, objects with objects, grades with grades of one
  scale; otherwise the odd one out gives itself away.
- No option is a synonym, a broader or a narrower term of another (`kin`), and no wrong one covers anything else that is
  there or is uncertain: two of them could be true.
- Which wrong options stand, and in which order, is decided by a hash of asset and option alone: neither position nor
  length tells the answer. Sides and articles are left out of options, for only what is there has a side.
- Fewer wrong options than asked for: fewer options, down to two; without any, no question.
- The question names modality and anatomy where they are known, unless that would name an option.
"""

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import msgspec

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Refusal, State
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import choice_in_chinese
from curate.tasks.english import phrase, region_name, singular, speakable, thing_name
from curate.tasks.facts import GEOMETRY, Finding, findings, objects, silence_of, silent_absences, sole
from curate.tasks.kin import akin, covers, normalised
from curate.tasks.picture import called, noun
from curate.tasks.places import pixel_box, sized
from curate.tasks.statements import grade_value, is_structure, number_text, reads_as_label
from curate.tasks.tree import Granularity, cue_of, path_of, task_of, task_words
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["MultipleChoice"]

_MOST = 5
_LEVELS = frozenset({"task", "department", "modality", "anatomy"})
_BOXED = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})


class MultipleChoiceOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`choices`: how many options there are at most, 2 to 5. `findings`, `boxes`: how many questions of each are put.

    `scales`: the grades that there are, by the name of the grade: what they exclude each other. `needs`: levels of the
    tree without which nothing is asked. `tasks`: label set -> clinical task, where its names do not tell.
    `min_side_px`: a box with a shorter side is not asked about.
    """

    choices: int = 4
    findings: int = 1
    boxes: int = 1
    min_side_px: int = 8
    scales: dict[str, tuple[float | str, ...]] = {}
    needs: tuple[str, ...] = ()
    tasks: dict[str, str] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.choices <= _MOST:
            raise ValueError(f"`choices` is 2 to {_MOST}, got {self.choices}")
        if unknown := sorted(set(self.needs) - _LEVELS):
            raise ValueError(f"`needs` names {unknown[0]!r}; levels are {', '.join(sorted(_LEVELS))}")
        if unknown := sorted(set(self.tasks.values()) - set(task_words())):
            raise ValueError(f"`tasks` names {unknown[0]!r}; known are {', '.join(task_words())}")


@dataclass(frozen=True, slots=True)
class _Question:
    """A question before its options have letters. `asked` is what its constraints say beyond those of every choice."""

    exchange: str
    of: str
    label_set: str
    concept: str
    answer: str
    others: tuple[str, ...]
    annotations: Sequence[Annotation]
    task: str | None
    asked: Mapping[str, Any]
    words: Mapping[str, str]
    granularity: Granularity = Granularity.IMAGE
    key: str = ""
    in_chinese: Mapping[str, str] = field(default_factory=dict)


class MultipleChoice:
    """One question each per exclusive class and grade, and some about findings and boxes."""

    name: ClassVar[str] = "multiple_choice"
    version: ClassVar[int] = 3
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = MultipleChoiceOptions

    def __init__(self, options: MultipleChoiceOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Classes, findings, boxes, grades: whatever has a wrong option that is proved."""
        for question in (*self._labelled(subject), *self._boxed(subject), *self._graded(subject)):
            said = self._said(subject.asset, question)
            if said is not None:
                yield from drafts(self, subject.asset, said)

    def _labelled(self, subject: Subject) -> Iterator[_Question]:
        known = [*findings(subject), *silent_absences(subject, self.vocabulary)]
        doubted = _doubted(subject)
        for label_set in sorted({finding.label_set for finding in known}):
            own = [finding for finding in known if finding.label_set == label_set]
            present = [finding for finding in own if finding.state is State.PRESENT]
            classes = [finding for finding in present if finding.kind is Kind.CLASS]
            ranked = _ranked(subject.asset, present, "finding")
            if classes:
                ranked = classes if len(classes) == 1 else []
            asked = 0
            for finding in ranked:
                question = self._about(subject.asset, finding, own, doubted)
                if question is not None and asked < max(self.options.findings, len(classes)):
                    asked += 1
                    yield question

    def _about(
        self, asset: Asset, finding: Finding, own: Sequence[Finding], doubted: frozenset[str]
    ) -> _Question | None:
        others = _contrasts(finding, own, doubted)
        if not others:
            return None
        is_class = finding.kind is Kind.CLASS
        return _Question(
            exchange="class" if is_class else "finding",
            of="class" if is_class else "findings",
            label_set=finding.label_set,
            concept=finding.concept,
            answer=_option(finding),
            others=others,
            annotations=finding.annotations,
            task=self._task(finding.label_set),
            asked={"label_set": finding.label_set} | ({} if is_class else {"all": False}),
            words={},
            key="" if is_class else finding.concept,
        )

    def _task(self, label_set: str) -> str | None:
        names = self.vocabulary.get(label_set)
        return self.options.tasks.get(label_set) or (task_of(names.concepts) if names else None)

    def _boxed(self, subject: Subject) -> Iterator[_Question]:
        """What one box holds, where other classes of its set are known to be nowhere in the image."""
        asset = subject.asset
        known = [*findings(subject), *silent_absences(subject, self.vocabulary)]
        doubted = _doubted(subject)
        things = {finding.concept: finding for finding in known if finding.thing and finding.state is State.PRESENT}
        placed = [
            (things[group.concept], annotation, box)
            for group in objects(subject, _BOXED)
            if group.concept in things and not group.region
            for annotation in sole(group.annotations)
            if (box := pixel_box(annotation, asset))
            and min(box[2] - box[0], box[3] - box[1]) >= self.options.min_side_px
        ]
        asked = 0
        for finding, annotation, box in sorted(placed, key=lambda one: hash_of(one[1].annotation_id, "choice")):
            own = [one for one in known if one.label_set == finding.label_set]
            others = _contrasts(finding, own, doubted) + self._elsewhere(subject, finding, box)
            if not others or asked == self.options.boxes:
                continue
            asked += 1
            yield _Question(
                exchange="box",
                of="identify",
                label_set=finding.label_set,
                concept=finding.concept,
                answer=_option(finding),
                others=others,
                annotations=[annotation],
                task=self._task(finding.label_set),
                asked={"label_set": finding.label_set},
                words={
                    "region": str(list(box)),
                    "frame": sized("grounding", "frame", asset, annotation.annotation_id),
                },
                in_chinese={
                    "region": str(list(box)),
                    "frame": sized("grounding", "frame", asset, annotation.annotation_id, language="zh"),
                },
                granularity=Granularity.BOX,
                key=annotation.annotation_id,
            )

    def _elsewhere(self, subject: Subject, finding: Finding, box: Sequence[int]) -> tuple[str, ...]:
        """The names of what an exhaustive set marks, were it there, and marks nowhere near a box."""
        silence = silence_of(finding.label_set, subject, self.vocabulary)
        names = self.vocabulary.get(finding.label_set)
        if silence is None or not silence.exhaustive or names is None or names.regions:
            return ()
        near = [
            annotation.concept
            for annotation in subject.annotations
            if annotation.concept and _may_hold(annotation) and not _apart(pixel_box(annotation, subject.asset), box)
        ]
        return tuple(
            singular(thing_name(concept))
            for concept in names.concepts
            if speakable(concept)
            and not akin(concept, finding.concept)
            and not any(covers(concept, one) for one in near)
        )

    def _graded(self, subject: Subject) -> Iterator[_Question]:
        by_name: dict[str, list[Annotation]] = {}
        for annotation in subject.annotations:
            if annotation.kind is Kind.GRADE and annotation.concept and grade_value(annotation):
                by_name.setdefault(annotation.concept, []).append(annotation)
        for name, group in by_name.items():
            values = {grade_value(annotation) for annotation in group}
            scale = [_on_scale(step, group[0].unit) for step in self.options.scales.get(name, ())]
            value = values.pop()
            if values or value is None or value not in scale:
                continue
            yield _Question(
                exchange="grade",
                of="grade",
                label_set=group[0].label_set,
                concept=name,
                answer=value,
                others=tuple(step for step in scale if step != value),
                annotations=group,
                task="severity grading",
                asked={"concept": name, "label_set": group[0].label_set},
                words={"name": phrase(name)},
                in_chinese={"name": name},
            )

    def _said(self, asset: Asset, question: _Question) -> Said | None:
        path = path_of(asset, question.task, question.concept, question.granularity)
        if any(getattr(path, level) is None for level in self.options.needs):
            return None
        aspect = f"{question.label_set}:{question.exchange}:{question.key or question.concept}"
        offered = _offered(asset, aspect, question, self.options.choices)
        picture = _noun(asset, offered)
        if len(offered) < 2 or picture is None:
            return None
        letters = string.ascii_uppercase[: len(offered)]
        letter = letters[offered.index(question.answer)]
        cue = cue_of(question.task, finding=question.exchange == "finding")
        return Said(
            aspect=aspect,
            exchange=question.exchange,
            words={
                "noun": picture,
                "cue": cue.cue,
                "cues": cue.cues,
                "options": "\n".join(f"{mark}. {option}" for mark, option in zip(letters, offered, strict=True)),
                "letter": letter,
                "option": question.answer,
                **question.words,
            },
            annotations=question.annotations,
            constraints={
                "ask": "choice",
                "of": question.of,
                **question.asked,
                "options": list(offered),
                "letters": True,
                "letter": letter,
                "tree": msgspec.to_builtins(path),
            },
            chinese=partial(choice_in_chinese, asset, offered, question.answer, cue.cue, question.in_chinese),
        )


def _doubted(subject: Subject) -> frozenset[str]:
    """What is there or may be: no wrong option covers it."""
    return frozenset(
        annotation.concept for annotation in subject.annotations if annotation.concept and _may_hold(annotation)
    )


def _may_hold(annotation: Annotation) -> bool:
    labels = annotation.kind in (Kind.CLASS, Kind.MULTILABEL) or annotation.kind in GEOMETRY
    return labels and annotation.state in (None, State.PRESENT, State.UNCERTAIN)


def _apart(one: Sequence[int] | None, other: Sequence[int]) -> bool:
    """True for boxes without a pixel in common; what has no box may be anywhere."""
    if one is None:
        return False
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def _ranked(asset: Asset, known: Sequence[Finding], what: str) -> list[Finding]:
    return sorted(known, key=lambda finding: (hash_of(asset.asset_id, finding.concept, what), finding.concept))


def _level(finding: Finding) -> tuple[bool, bool, bool, bool]:
    """Findings of one granularity have one level."""
    marked = finding.kind in GEOMETRY
    return finding.kind is Kind.CLASS, reads_as_label(finding), marked, is_structure(finding)


def _contrasts(finding: Finding, own: Sequence[Finding], doubted: frozenset[str]) -> tuple[str, ...]:
    """The names of what might be asked in place of a finding and is absent."""
    level = _level(finding)
    return tuple(
        _option(other)
        for other in own
        if other.state is State.ABSENT
        and _level(other) == level
        and not akin(other.concept, finding.concept)
        and not any(covers(other.concept, one) for one in doubted)
    )


def _option(finding: Finding) -> str:
    """A finding as it stands among options, without side or article."""
    if finding.kind not in GEOMETRY:
        return phrase(finding.concept)
    return singular(thing_name(finding.concept)) if finding.thing else region_name(finding.concept)


def _on_scale(step: float | str, unit: str | None) -> str:
    if isinstance(step, str):
        return phrase(step)
    return " ".join(filter(None, (number_text(float(step)), unit)))


def _offered(asset: Asset, aspect: str, question: _Question, most: int) -> list[str]:
    """The true option and some wrong ones, in the order of a hash of each."""

    def place(option: str) -> tuple[int, str]:
        return hash_of(asset.asset_id, aspect, option, "option"), option

    chosen: list[str] = []
    grades = question.exchange == "grade"
    for option in sorted(set(question.others), key=lambda one: hash_of(asset.asset_id, aspect, one, "wrong")):
        alike = any(option == one if grades else akin(option, one) for one in (question.answer, *chosen))
        if len(chosen) < most - 1 and speakable(option) and not alike:
            chosen.append(option)
    return sorted((question.answer, *chosen), key=place) if chosen else []


def _noun(asset: Asset, offered: Sequence[str]) -> str | None:
    """The image's name, without its anatomy where that would name an option; None where the modality does."""
    for without in (frozenset({"view"}), frozenset({"view", "anatomy"})):
        name = noun(asset, without=without)
        if not any(f" {normalised(option)} " in f" {name.lower()} " for option in offered):
            return name
    name = called(asset)
    return None if any(option == name for option in offered) else name
