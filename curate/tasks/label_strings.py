"""Label strings: modality, part of the body, view and what is found, in that order, with no sentence around them.

Serves MedImageInsight, whose contrastive training pairs an image with strings such as `x-ray chest anteroposterior
pneumonia`. The rules and their reasons:

*   One string per class or finding that is present: the image belongs to each of them, to no mixture. Where there are
    several, the request is for one of them, since the image by itself does not tell for which.
*   What is not known is left out; a string is never filled up with a default.
*   Absent and uncertain findings give no string, because a string has no words to say so.
*   Where a finding has a side it stands before its name; a side of the image stands before the part of the body.
*   A finding whose words stand in the string already (a mask of the chest on a chest radiograph) adds nothing to learn.
"""

from collections.abc import Iterator
from typing import ClassVar

from curate.rows import Asset, Draft, Subject
from curate.schema import Laterality, Refusal, State
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.english import is_specimen, joined
from curate.tasks.facts import Finding, findings
from curate.tasks.picture import anatomy_phrase, attributes, modality_name, view_name
from curate.tasks.statements import bare, reads_as_label
from curate.tasks.wording import Said, drafts

__all__ = ["LabelStrings"]


class LabelStringsOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """None but `variants`, which word the request anew: the string of a finding is one."""


class LabelStrings:
    """One string per class or finding that is present."""

    name: ClassVar[str] = "label_strings"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = LabelStringsOptions

    def __init__(self, options: LabelStringsOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """The strings in the order of the findings."""
        asset = subject.asset
        given = _attributes(asset)
        told = [
            finding
            for finding in findings(subject)
            if finding.state is State.PRESENT and f" {bare(finding).lower()} " not in f" {given.lower()} "
        ]
        classes = sum(map(reads_as_label, told))
        for finding in told:
            alone = classes == 1 if reads_as_label(finding) else len(told) == 1
            exchange = "string" if alone else "one_of_several"
            yield from drafts(self, asset, _said(asset, finding, f"{given} {bare(finding)}".strip(), exchange))


def _attributes(asset: Asset) -> str:
    anatomy, side = anatomy_phrase(asset), asset.laterality
    if anatomy and side in (Laterality.LEFT, Laterality.RIGHT) and side not in anatomy.split(" "):
        anatomy = f"{side} {anatomy}"
    view = (view_name(asset) or "").partition(" (")[0]
    return " ".join(part for part in (modality_name(asset), anatomy, view) if part)


def _said(asset: Asset, finding: Finding, string: str, exchange: str) -> Said:
    values = dict(attributes(asset))
    told = [name for name in values if name != "laterality"]
    named = {"anatomy": "specimen" if is_specimen(values.get("anatomy", "")) else "body part"}
    parts = [*(named.get(name, name) for name in told), "class" if reads_as_label(finding) else "finding"]
    return Said(
        aspect=f"{finding.concept}:string",
        exchange=exchange,
        words={"string": string, "parts": joined(parts)},
        annotations=finding.annotations,
        constraints={"ask": "caption", "attributes": told, "concept": finding.concept, "form": "string"},
    )
