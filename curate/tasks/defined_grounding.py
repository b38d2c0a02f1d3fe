"""Grounding by definition: locate a concept, of which the question says what it means.

Seeds: K2Sight, AG-KD (boxes, class -> `locate <class>, which means <definition>` -> boxes). There a language model
wrote one visual definition per class. Here definitions are reviewed data with a source each
(`wordings/definitions.yaml`), since dictionaries of knowledge are sometimes wrong.

Rules and their reasons. A definition belongs to the labels that it names and to no narrower or wider one, so that it is
true of what is located; a concept without a definition is not asked about. It says what a word means and never what
this picture shows, and no rewriter changes it: the verifier accepts it word for word alone. Where all boxes are asked
for, every object is marked (see `grounding`). Coordinates are pixels of the picture; publishing renders `<loc_>`.
"""

import functools
import importlib.resources
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec
import yaml

from curate.rows import Draft, Subject
from curate.schema import Kind, Refusal
from curate.tasks.base import Scope, TaskOptions, Vocabulary
from curate.tasks.english import capitalised, indefinite, phrase, singular, thing_name
from curate.tasks.facts import Objects, objects
from curate.tasks.grounding import Grounding, GroundingOptions, undisputed
from curate.tasks.wording import Said, drafts

__all__ = ["DefinedGrounding", "definition_of"]

_KINDS: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})


class _Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: tuple[str, ...]
    source: str
    definition: str


class _Definitions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    sources: dict[str, str]
    concepts: tuple[_Definition, ...]


@functools.cache
def _known() -> Mapping[str, str]:
    text = importlib.resources.files(__package__).joinpath("wordings", "definitions.yaml").read_text("utf-8")
    read = msgspec.convert(yaml.safe_load(text), _Definitions)
    return {_plain(name): one.definition for one in read.concepts for name in one.names}


def _plain(name: str) -> str:
    """A label in small letters and the singular; its synonyms are those that the file lists, no looser ones."""
    return singular(phrase(name).lower())


def definition_of(concept: str) -> str | None:
    """The reviewed definition of a label, as a noun phrase; None where none is known."""
    return _known().get(_plain(concept))


class DefinedGroundingOptions(TaskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_objects`: more boxes than these are not asked for at once. `min_side_px`: see `grounding`."""

    max_objects: int = 20
    min_side_px: int = 4


class DefinedGrounding:
    """One question per concept that has a definition and boxes."""

    name: ClassVar[str] = "defined_grounding"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = DefinedGroundingOptions

    def __init__(self, options: DefinedGroundingOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary
        self._grounding = Grounding(
            GroundingOptions(max_objects=options.max_objects, min_side_px=options.min_side_px), vocabulary
        )

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Locating questions with their definitions."""
        for group in undisputed(subject.asset, objects(subject, _KINDS)):
            definition = definition_of(group.concept)
            located = None if definition is None else self._grounding.locate(subject.asset, group)
            if definition is not None and located is not None:
                said = _defined(group, located, definition)
                yield from drafts(self, subject.asset, said)


def _defined(group: Objects, located: Said, definition: str) -> Said:
    name = thing_name(group.concept)
    named = f"the {name}" if group.unique else indefinite(name, thing=not group.region)
    return Said(
        aspect=f"{group.label_set}:{group.concept}:defined",
        exchange=located.exchange.replace("locate", "defined"),
        words={**located.words, "named": capitalised(named), "definition": definition},
        annotations=located.annotations,
        constraints={**located.constraints, "defined": True},
    )
