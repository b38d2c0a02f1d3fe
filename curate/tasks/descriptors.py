"""What is told of a class in general, beside what the source says of the image: reviewed descriptors, never claims.

Serves UniMed, BiomedCoOp and DeViDe (a pool of sentences per class), Xplainer (descriptions whose class is affirmed or
denied) and MeDSLIP (a dictionary of explanations). The rules and their reasons:

*   Descriptors are data: `wordings/descriptors/`, a file per way of looking, each sign with the work that describes it.
    Published dictionaries of this kind were written by models and hold errors ("stable" explained as "no disease").
*   A descriptor says how something can be recognised in general. That an image labelled with a finding shows each of
    its signs is not known: no label says so. So every sentence speaks of the class, by a frame of `frames.yaml`.
*   It is told only of images made in the way of its file: what identifies an effusion on ultrasound is not what
    identifies it on a radiograph. Where the modality is not known, or the part of the body another, nothing is told.
*   In a caption only what is present is described; where the image shows several things, one of them is asked for.
*   A question may describe what is then found absent, where the source states the absence or a closed label set gives
    it: without such questions each description would mean yes. Organs that every such image shows are not asked about:
    of those each answer would be yes.
*   The sentence is filled in by code, word for word, whoever writes the rest; the verifier reads the files by itself.

The sentences of a class stay a list: a draft holds one, and `curate publish --format class-prompts` writes them all.
"""

import functools
import importlib.resources
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Literal

import msgspec
import yaml

from curate.rows import Asset, Draft, Subject
from curate.schema import Refusal, State
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.english import capitalised, speakable, verb
from curate.tasks.facts import Finding, findings, silent_absences
from curate.tasks.kin import normalised
from curate.tasks.picture import anatomy_phrase, modality_name, noun
from curate.tasks.statements import a_thing, bare, is_structure, reads_as_label, some_things, things
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Descriptor", "Descriptors", "descriptor_of", "descriptors"]

Style = Literal["caption", "question"]
_FRAMES: Final = "frames.yaml"


class Sign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A noun phrase that says what is seen, and the key of the work that describes it."""

    sign: str
    source: str


class _Concept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str  # as it stands within a sentence
    also: tuple[str, ...]
    signs: tuple[Sign, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`review`: by whom the file was read against its sources; `seen_by` and `anatomy`: of which images it speaks."""

    version: int
    review: Literal["author", "clinician"]
    seen_by: tuple[str, ...]
    anatomy: tuple[str, ...]
    sources: dict[str, str]
    concepts: tuple[_Concept, ...]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What can be told of a concept on images made in one way. `cited`: the work behind each sign, in their order."""

    name: str
    signs: tuple[str, ...]
    cited: tuple[str, ...]
    review: str

    def sentences(self, sign: str) -> tuple[str, ...]:
        """A sign in every frame."""
        return tuple(capitalised(frame.format(name=self.name, sign=sign)) for frame in _frames())

    @property
    def ensemble(self) -> tuple[str, ...]:
        """Every sentence about the class, sign after sign."""
        return tuple(itertools.chain.from_iterable(map(self.sentences, self.signs)))


@functools.cache
def _frames() -> tuple[str, ...]:
    return msgspec.convert(_yaml(_FRAMES), dict[str, tuple[str, ...]])["frames"]


@functools.cache
def descriptors() -> dict[str, _File]:
    """Every file by its name without the ending."""
    folder = importlib.resources.files(__package__).joinpath("wordings", "descriptors")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml") and entry.name != _FRAMES)
    return {name.removesuffix(".yaml"): msgspec.convert(_yaml(name), _File) for name in names}


def _yaml(name: str) -> Any:
    folder = importlib.resources.files(__package__).joinpath("wordings", "descriptors")
    return yaml.safe_load(folder.joinpath(name).read_text("utf-8"))


def descriptor_of(concept: str, asset: Asset) -> Descriptor | None:
    """What can be told of a concept on an image like this one; None where no file speaks of both."""
    modality, anatomy = modality_name(asset), anatomy_phrase(asset)
    if modality is None or not speakable(concept):
        return None
    return _descriptor(normalised(concept), modality.lower(), anatomy.lower() if anatomy else None)


@functools.lru_cache(maxsize=4096)
def _descriptor(concept: str, modality: str, anatomy: str | None) -> Descriptor | None:
    for file in descriptors().values():
        if modality not in map(str.lower, file.seen_by) or (file.anatomy and anatomy not in file.anatomy):
            continue
        for one in file.concepts:
            if concept in map(normalised, (one.name, *one.also)):
                cited = tuple(file.sources[sign.source] for sign in one.signs)
                return Descriptor(one.name, tuple(sign.sign for sign in one.signs), cited, file.review)
    return None


class DescriptorsOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`styles`: a caption that goes on with a descriptor, a question that begins with one.

    `signs`: how many descriptors of one finding are told, each in a draft of its own; which, a hash of the image
    chooses. `surplus_no`: how many more questions about an image may be answered no than yes.
    """

    styles: tuple[Style, ...] = ("caption", "question")
    signs: int = 1
    surplus_no: int = 1


class Descriptors:
    """Findings and classes with what is known of them in general."""

    name: ClassVar[str] = "descriptors"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = DescriptorsOptions

    def __init__(self, options: DescriptorsOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Captions of what is present, then questions of which about as many are answered no as yes."""
        asset = subject.asset
        known = [f for f in findings(subject) if descriptor_of(f.concept, asset)]
        present = [finding for finding in known if finding.state is State.PRESENT]
        absent = [f for f in known if f.state is State.ABSENT]
        absent += [f for f in silent_absences(subject, self.vocabulary) if descriptor_of(f.concept, asset)]
        absent = sorted(
            (f for f in absent if not is_structure(f)), key=lambda f: hash_of(asset.asset_id, f.concept, "no")
        )
        said: list[Said] = []
        if "caption" in self.options.styles:
            caption = partial(_caption, exchange="one_of_several") if _are_several(subject) else _caption
            said += itertools.chain.from_iterable(self._said(asset, finding, caption) for finding in present)
        if "question" in self.options.styles:
            shown = [finding for finding in present if not is_structure(finding)]
            asked = [*shown, *absent[: len(shown) + self.options.surplus_no]]
            said += itertools.chain.from_iterable(self._said(asset, finding, _question) for finding in asked)
        for one in said:
            yield from drafts(self, asset, one)

    def _said(self, asset: Asset, finding: Finding, make: "_Make") -> Iterator[Said]:
        known = descriptor_of(finding.concept, asset)
        assert known is not None
        ranked = sorted(known.signs, key=lambda sign: hash_of(asset.asset_id, finding.concept, sign))
        for sign in ranked[: self.options.signs]:
            frames = known.sentences(sign)
            yield make(asset, finding, frames[hash_of(asset.asset_id, sign, "frame") % len(frames)])


_Make = Callable[[Asset, Finding, str], Said]


def _are_several(subject: Subject) -> bool:
    """True where the image is known to show more than one thing, described or not."""
    return sum(one.state is State.PRESENT and not reads_as_label(one) for one in findings(subject)) > 1


def _caption(asset: Asset, finding: Finding, sentence: str, *, exchange: str = "shown") -> Said:
    label = reads_as_label(finding)
    shown = some_things(finding) if finding.thing else a_thing(finding)
    return Said(
        aspect=f"{finding.concept}:caption:{sentence}",
        exchange="labelled" if label else exchange,
        words={"shown": bare(finding) if label else shown, "knowledge": sentence},
        annotations=finding.annotations,
        constraints={"ask": "caption", "attributes": [], "knowledge": [finding.concept]},
    )


def _question(asset: Asset, finding: Finding, sentence: str) -> Said:
    absent = finding.state is State.ABSENT
    words = {"noun": noun(asset, without=frozenset({"view"})), "knowledge": sentence}
    if reads_as_label(finding):
        style = "label"
        words["label"] = bare(finding)
    else:
        style = "finding"
        name = things(finding) if finding.thing else bare(finding)
        shown = some_things(finding) if finding.thing and not absent else name if finding.thing else a_thing(finding)
        words |= {"name": name, "shown": shown, "is": verb(shown), "Is": verb(shown).capitalize()}
    return Said(
        aspect=f"{finding.concept}:question:{sentence}",
        exchange=f"{style}_{'absent' if absent else 'present'}",
        words=words,
        annotations=finding.annotations,
        constraints={
            "ask": "presence",
            "concept": finding.concept,
            "label_set": finding.label_set,
            "knowledge": [finding.concept],
        },
    )
