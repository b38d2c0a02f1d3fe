"""Captions from labels: what the image is, what it shows, what is possible, and what its source says is absent.

Where a source has nothing to tell but what kind of image it is (modality, anatomy, view, side), there is no caption: as
a description it would teach to leave out all that can be seen. Questions about the kind of image are `open_vqa`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Laterality, Refusal, State
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese_caption import caption_in_chinese
from curate.tasks.english import indefinite, joined, phrase, speakable, verb
from curate.tasks.facts import Finding, findings
from curate.tasks.picture import attributes, called, noun
from curate.tasks.statements import a_thing, bare, grade_value, is_structure, reads_as_label, some_things
from curate.tasks.wording import Said, drafts, filled, hash_of, sentences_of

__all__ = ["LabelCaption"]


class LabelCaptionOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_absent`: how many of the stated absences one caption names; which, is chosen by a hash."""

    max_absent: int = 5


class LabelCaption:
    """One caption per asset that has something of its own to tell. Silence is never told as absence."""

    name: ClassVar[str] = "label_caption"
    version: ClassVar[int] = 4
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = LabelCaptionOptions

    def __init__(self, options: LabelCaptionOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """One caption per variant, or nothing."""
        asset = subject.asset
        known = findings(subject)
        present = [finding for finding in known if finding.state is State.PRESENT]
        uncertain = [finding for finding in known if finding.state is State.UNCERTAIN]
        absent = self._some_absent(asset.asset_id, [f for f in known if f.state is State.ABSENT])
        grades = [a for a in subject.annotations if a.kind is Kind.GRADE and speakable(a.concept) and grade_value(a)]
        if not (present or uncertain or absent or grades):
            return
        told, plain = (
            " ".join(self._sentences(speaker, present, uncertain, absent, grades))
            for speaker in (_Speaker(asset, chosen=True), _Speaker(asset, chosen=False))
        )
        rests_on = [a for finding in (*present, *uncertain, *absent) for a in finding.annotations]
        name = noun(asset)
        said = Said(
            aspect="caption",
            exchange="unnamed" if name == called(asset) else "caption",
            words={"a_noun": indefinite(name, thing=True), "findings": told},
            plain={"findings": plain},
            annotations=[*rests_on, *grades],
            constraints={
                "ask": "caption",
                "attributes": [name for name, value in attributes(asset) if value != Laterality.BILATERAL],
            },
            chinese=partial(caption_in_chinese, asset, present, uncertain, absent, grades),
        )
        yield from drafts(self, asset, said)

    def _sentences(
        self,
        speaker: "_Speaker",
        present: Sequence[Finding],
        uncertain: Sequence[Finding],
        absent: Sequence[Finding],
        grades: Sequence[Annotation],
    ) -> Iterator[str]:
        yield from self._present(speaker, present)
        yield from self._listed(speaker, "uncertain", uncertain, [a_thing(f) for f in uncertain], "and")
        unseen = [finding for finding in absent if is_structure(finding)]
        missing = [finding for finding in absent if not is_structure(finding)]
        yield from self._listed(speaker, "unseen", unseen, [a_thing(f) for f in unseen], "and")
        yield from self._listed(speaker, "absent", missing, [bare(f) for f in missing], "or")
        for grade in grades:
            words = {"name": phrase(grade.concept or ""), "value": grade_value(grade) or ""}
            yield speaker.sentence("grade", words)

    def _some_absent(self, asset_id: str, absent: list[Finding]) -> list[Finding]:
        ranked = sorted(absent, key=lambda finding: (hash_of(asset_id, finding.concept), finding.concept))
        chosen = {finding.concept for finding in ranked[: self.options.max_absent]}
        return [f for f in absent if f.concept in chosen and not reads_as_label(f)]

    def _present(self, speaker: "_Speaker", present: Sequence[Finding]) -> Iterator[str]:
        labels = [finding for finding in present if reads_as_label(finding)]
        others = [finding for finding in present if not reads_as_label(finding)]
        yield from self._listed(speaker, "label", labels, [bare(f) for f in labels], "and")
        named = [some_things(f) if f.thing else a_thing(f) for f in others]
        yield from self._listed(speaker, "present", others, named, "and")

    def _listed(
        self, speaker: "_Speaker", sentence: str, group: Sequence[Finding], names: Sequence[str], word: str
    ) -> list[str]:
        if not group:
            return []
        several = len(names) > 1 and word == "and"
        words = {"things": joined(names, word), "is": "are" if several else verb(names[-1])}
        return [speaker.sentence(sentence, words)]


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Words the sentences about one asset: by a hash of it, or always in the first way."""

    asset: Asset
    chosen: bool

    def sentence(self, kind: str, words: dict[str, str]) -> str:
        pool = sentences_of(kind)
        which = hash_of(self.asset.asset_id, kind) % len(pool) if self.chosen else 0
        return filled(pool[which], words, called(self.asset))
