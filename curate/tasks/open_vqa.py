"""Open questions about what the delivered image can show: class, findings, grade, view, modality, anatomy, side.

Laboratory values, age and sex are annotations too, but no image shows them: they are never asked about.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Laterality, Refusal, State, World
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import (
    bare_in_chinese,
    body_part_in_chinese,
    joined_in_chinese,
    picture_in_chinese,
    term,
    value_in_chinese,
)
from curate.tasks.english import indefinite, is_specimen, joined, phrase, verb
from curate.tasks.facts import Finding, findings, silence_of
from curate.tasks.picture import attributes, body_part, called, noun
from curate.tasks.statements import a_thing, bare, grade_value, reads_as_label
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["OpenVqa"]


class OpenVqaOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_attributes`: how many questions about the image itself (modality, anatomy, view, side) one asset is asked.

    Which, is chosen by a hash: within one source they mostly have one answer, which says little when it is repeated.
    """

    max_attributes: int = 1


class OpenVqa:
    """What class, which findings, which grade, and what kind of image."""

    name: ClassVar[str] = "open_vqa"
    version: ClassVar[int] = 3
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = OpenVqaOptions

    def __init__(self, options: OpenVqaOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Every open question that the asset's annotations answer."""
        asset = subject.asset
        attributes = sorted(_attributes(asset), key=lambda said: hash_of(asset.asset_id, said.aspect, "asked"))
        chosen = attributes[: self.options.max_attributes]
        for said in (*self._classes(subject), *self._findings(subject), *_grades(subject), *chosen):
            yield from drafts(self, subject.asset, said)

    def _classes(self, subject: Subject) -> Iterator[Said]:
        known = [f for f in findings(subject) if f.kind is Kind.CLASS]
        sets: dict[str, list[Finding]] = {}
        for finding in known:
            if finding.state is State.PRESENT:
                sets.setdefault(finding.label_set, []).append(finding)
        for label_set, held in sets.items():
            if len(held) != 1:
                continue
            finding = held[0]
            yield Said(
                aspect=f"{label_set}:class",
                exchange="class",
                words={"noun": _plain_noun(subject.asset, finding), "label": bare(finding)},
                annotations=finding.annotations,
                constraints={"ask": "class", "label_set": label_set},
                chinese=partial(_told_in_chinese, subject.asset, held),
            )

    def _findings(self, subject: Subject) -> Iterator[Said]:
        sets: dict[str, list[Finding]] = {}
        for finding in findings(subject):
            if finding.kind is Kind.MULTILABEL:
                sets.setdefault(finding.label_set, []).append(finding)
        for label_set, known in sets.items():
            present = [finding for finding in known if finding.state is State.PRESENT]
            if not present or any(reads_as_label(finding) for finding in present):
                continue
            silence = silence_of(label_set, subject, self.vocabulary)
            settled = all(f.state in (State.PRESENT, State.ABSENT) for f in known) and not _unsettled(
                subject, label_set
            )
            complete = silence is not None and silence.world is World.COMPLETE and settled
            names = [a_thing(finding) for finding in present]
            yield Said(
                aspect=f"{label_set}:findings",
                exchange="all_findings" if complete else "findings",
                words={
                    "noun": _plain_noun(subject.asset, *present),
                    "findings": joined(names),
                    "is": "are" if len(names) > 1 else verb(names[0]),
                },
                annotations=[a for finding in present for a in finding.annotations],
                constraints={"ask": "findings", "label_set": label_set, "all": complete},
                chinese=partial(_told_in_chinese, subject.asset, present),
            )


def _told_in_chinese(asset: Asset, told: Sequence[Finding]) -> dict[str, str]:
    names = [bare_in_chinese(finding) for finding in told]
    return {**_plain_picture(asset, names), "label": names[0], "findings": joined_in_chinese(names)}


def _plain_picture(asset: Asset, names: Sequence[str]) -> dict[str, str]:
    """The image's name in Chinese, reduced where it would give the answer away."""
    words = picture_in_chinese(asset)
    if any(name in words["noun"] for name in names):
        return picture_in_chinese(asset, without=frozenset({"view", "modality", "anatomy"}))
    return words


def _unsettled(subject: Subject, label_set: str) -> bool:
    """True where the set leaves something of this asset open, so that its list would not be all."""
    return any(
        annotation.label_set == label_set and annotation.state in (State.UNCERTAIN, State.NOT_STATED)
        for annotation in subject.annotations
    )


def _plain_noun(asset: Asset, *told: Finding) -> str:
    """The image's name, reduced to `image` where it would give the answer away."""
    name = noun(asset, without=frozenset({"view"}))
    words = f" {name.lower()} "
    return called(asset) if any(f" {phrase(finding.concept).lower()} " in words for finding in told) else name


def _grades(subject: Subject) -> Iterator[Said]:
    by_name: dict[str, list[Annotation]] = {}
    for annotation in subject.annotations:
        if annotation.kind is Kind.GRADE and annotation.concept and grade_value(annotation):
            by_name.setdefault(annotation.concept, []).append(annotation)
    for name, group in by_name.items():
        values = {grade_value(annotation) for annotation in group}
        value = values.pop()
        if values or value is None:
            continue
        yield Said(
            aspect=f"{name}:grade",
            exchange="grade",
            words={"noun": noun(subject.asset, without=frozenset({"view"})), "name": phrase(name), "value": value},
            annotations=group,
            constraints={"ask": "grade", "concept": name, "label_set": group[0].label_set},
            chinese=partial(_grade_in_chinese, subject.asset, group[0], value),
        )


def _grade_in_chinese(asset: Asset, grade: Annotation, value: str) -> dict[str, str]:
    told = value if grade.value is not None else term(value)
    return {**picture_in_chinese(asset), "name": term(grade.concept or ""), "value": told}


def _attributes(asset: Asset) -> Iterator[Said]:
    for name, value in attributes(asset):
        exchange = name
        if name == "laterality" and value == Laterality.BILATERAL:
            exchange = "laterality_both"
        elif name == "anatomy" and is_specimen(value):
            exchange = "specimen"
        yield Said(
            aspect=f"{name}:attribute",
            exchange=exchange,
            words={
                "value": value,
                "a_value": indefinite(value, thing=True),
                "part": body_part(asset) or "",
                "is": "are" if _is_several(value) else verb(value),
            },
            annotations=(),
            constraints={"ask": "attribute", "attribute": name},
            chinese=partial(_attribute_in_chinese, asset, name, value),
        )


def _is_several(part: str) -> bool:
    """True for parts of the body named together: `chest and abdomen`."""
    return " and " in part


def _attribute_in_chinese(asset: Asset, name: str, value: str) -> dict[str, str]:
    part = body_part_in_chinese(asset) if name == "anatomy" else None
    return {"value": value_in_chinese(name, value), "part": part or ""}
