"""Counting, where every object is marked, or where the source states a count itself. Zero counts too.

What two label sets count is asked once, and not at all where their numbers differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Refusal, State
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import counted_in_chinese, joined_in_chinese, measure_of, picture_in_chinese, term
from curate.tasks.english import is_unique, joined, phrase, plural, singular, speakable, thing_name
from curate.tasks.facts import GEOMETRY, objects, silence_of
from curate.tasks.picture import noun
from curate.tasks.wording import Said, drafts

__all__ = ["Count"]

_SIDED = frozenset({"left", "right"})


class CountOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_kinds`: the total over a label set is asked for where it names two kinds up to this many."""

    max_kinds: int = 6


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are of one concept, and what says so."""

    concept: str
    label_set: str
    number: int
    annotations: tuple[Annotation, ...]

    def text(self) -> str:
        """`12 erythrocytes`, `1 platelet`, `no nuclei`."""
        name = thing_name(self.concept)
        if self.number == 0:
            return f"no {plural(name)}"
        return f"{self.number} {singular(name) if self.number == 1 else plural(name)}"


class Count:
    """How many of each kind, and how many of all kinds of one label set."""

    name: ClassVar[str] = "count"
    version: ClassVar[int] = 3
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = CountOptions

    def __init__(self, options: CountOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Counts by kind, then totals."""
        marked = _marked(subject, self.vocabulary)
        every = [*marked, *_stated(subject)]
        first = {counted.concept: counted for counted in reversed(every)}
        disputed = {one.concept for one in every if one.number != first[one.concept].number}
        agreed = [one for one in every if one is first[one.concept] and one.concept not in disputed]
        for counted in agreed:
            yield from drafts(self, subject.asset, _of_kind(subject.asset, counted))
        sets: dict[str, list[Counted]] = {}
        for counted in (one for one in marked if one in agreed):
            sets.setdefault(counted.label_set, []).append(counted)
        for label_set, kinds in sets.items():
            named = set(_named(label_set, self.vocabulary))
            total = sum(counted.number for counted in kinds)
            known = {counted.concept for counted in kinds}
            if named <= known and 2 <= len(kinds) <= self.options.max_kinds and total > 1:
                said = _in_total(subject.asset, label_set, kinds, total)
                yield from drafts(self, subject.asset, said)


def _marked(subject: Subject, vocabulary: Vocabulary) -> list[Counted]:
    """Numbers of marked objects in exhaustive sets; a kind that the set can name and has not marked is zero."""
    found = objects(subject)
    result = [
        Counted(group.concept, group.label_set, len(group.annotations), group.annotations)
        for group in found
        if group.countable and _can_be_several(group.concept)
    ]
    for label_set in sorted(set(subject.asset.labelled_by)):
        silence = silence_of(label_set, subject, vocabulary)
        own = [a for a in subject.annotations if a.label_set == label_set]
        if silence is None or not silence.exhaustive or any(a.kind not in GEOMETRY for a in own):
            continue
        if any(group.region for group in found if group.label_set == label_set) or _of_regions(label_set, vocabulary):
            continue
        spoken = {annotation.concept for annotation in own}
        for concept in _named(label_set, vocabulary):
            if concept not in spoken and speakable(concept) and _can_be_several(concept):
                result.append(Counted(concept, label_set, 0, ()))
    return result


def _named(label_set: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    names = vocabulary.get(label_set)
    return names.concepts if names is not None else ()


def _of_regions(label_set: str, vocabulary: Vocabulary) -> bool:
    names = vocabulary.get(label_set)
    return names is not None and names.regions


def _can_be_several(concept: str) -> bool:
    """False for anatomy that a body has once, and once per side: nobody counts hearts or left lungs."""
    return not is_unique(thing_name(concept)) and _SIDED.isdisjoint(phrase(concept).split(" "))


def _stated(subject: Subject) -> Iterator[Counted]:
    """Counts that the source writes down."""
    by_concept: dict[tuple[str, str], list[Annotation]] = {}
    for a in subject.annotations:
        if (
            a.kind is Kind.COUNT
            and a.concept
            and speakable(a.concept)
            and _can_be_several(a.concept)
            and a.value is not None
            and a.state in (None, State.PRESENT)
        ):
            by_concept.setdefault((a.label_set, a.concept), []).append(a)
    for (label_set, concept), group in by_concept.items():
        values = {annotation.value for annotation in group}
        value = values.pop()
        if not values and value is not None and value >= 0 and value.is_integer():
            yield Counted(concept, label_set, int(value), tuple(group))


def _of_kind(asset: Asset, counted: Counted) -> Said:
    name = thing_name(counted.concept)
    return Said(
        aspect=f"{counted.label_set}:{counted.concept}:count",
        exchange="some" if counted.number else "none",
        words={
            "noun": noun(asset, without=frozenset({"view"})),
            "things": plural(name),
            "n_things": counted.text(),
            "are": "is" if counted.number == 1 else "are",
        },
        annotations=counted.annotations,
        constraints={"ask": "count", "concept": counted.concept, "label_set": counted.label_set},
        chinese=partial(_of_kind_in_chinese, asset, counted),
    )


def _of_kind_in_chinese(asset: Asset, counted: Counted) -> dict[str, str]:
    return {
        **picture_in_chinese(asset),
        "thing": term(counted.concept),
        "measure": measure_of(counted.concept),
        "n_things": counted_in_chinese(counted.concept, counted.number),
    }


def _in_total(asset: Asset, label_set: str, kinds: Sequence[Counted], total: int) -> Said:
    ordered = sorted(kinds, key=lambda counted: counted.concept)
    return Said(
        aspect=f"{label_set}:total",
        exchange="total",
        words={
            "noun": noun(asset, without=frozenset({"view"})),
            "kinds": joined([plural(thing_name(counted.concept)) for counted in ordered]),
            "n": str(total),
            "parts": joined([counted.text() for counted in ordered]),
        },
        annotations=[annotation for counted in ordered for annotation in counted.annotations],
        constraints={
            "ask": "count_total",
            "label_set": label_set,
            "concepts": [counted.concept for counted in ordered],
        },
        chinese=partial(_in_total_in_chinese, asset, ordered, total),
    )


def _in_total_in_chinese(asset: Asset, ordered: Sequence[Counted], total: int) -> dict[str, str]:
    return {
        **picture_in_chinese(asset),
        "kinds": joined_in_chinese([term(counted.concept) for counted in ordered]),
        "n": str(total),
        "parts": joined_in_chinese([counted_in_chinese(counted.concept, counted.number) for counted in ordered], "、"),
    }
