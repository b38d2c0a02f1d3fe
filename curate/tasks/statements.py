"""Findings as noun phrases: with their side, in the right number, as a thing or as the name of a class."""

from curate.rows import Annotation
from curate.schema import Kind, Laterality, State
from curate.tasks.english import (
    indefinite,
    is_label,
    is_unique,
    phrase,
    plural,
    region_name,
    singular,
    speakable,
    thing_name,
)
from curate.tasks.facts import GEOMETRY, Finding

__all__ = ["a_thing", "bare", "grade_value", "is_structure", "number_text", "reads_as_label", "some_things", "things"]

_SIDES = frozenset(side.value for side in Laterality)


def _name(finding: Finding) -> str:
    """The finding as its concept calls it, without its side."""
    if finding.kind in GEOMETRY:
        return thing_name(finding.concept) if finding.thing else region_name(finding.concept)
    return phrase(finding.concept)


def bare(finding: Finding) -> str:
    """The finding without an article: `left pleural effusion`; of paired anatomy on both sides, or on none, `lungs`."""
    name = _name(finding)
    both = finding.side == Laterality.BILATERAL or (finding.side is None and finding.state is State.ABSENT)
    if both and is_unique(plural(name)) and not reads_as_label(finding):
        return plural(name)
    if finding.side in _SIDES and _SIDES.isdisjoint(name.split(" ")):
        return f"{finding.side} {name}"
    return name


def a_thing(finding: Finding) -> str:
    """The finding as one would report it: `a nodule`, `pneumonia`, `the left lung`, `bilateral pleural effusions`."""
    text = bare(finding)
    if is_structure(finding):
        return f"the {text}"
    reported = indefinite(text, thing=finding.thing)
    return plural(text) if reported != text and text.startswith(f"{Laterality.BILATERAL} ") else reported


def things(finding: Finding) -> str:
    """Several of them."""
    return plural(bare(finding))


def some_things(finding: Finding) -> str:
    """At least as many as are marked: `erythrocytes`, or `an erythrocyte` where one is."""
    if is_structure(finding):
        return a_thing(finding)
    if len(finding.annotations) > 1:
        return things(finding)
    return indefinite(singular(bare(finding)), thing=True)


def reads_as_label(finding: Finding) -> bool:
    """True where the finding is what the source calls the image, not something in it that can be seen.

    So is every class (the diagnosis of the patient whose smear it is, the kind of a tile), and a finding whose name is
    no noun (`normal`).
    """
    return finding.kind is Kind.CLASS or (finding.kind not in GEOMETRY and is_label(phrase(finding.concept)))


def is_structure(finding: Finding) -> bool:
    """True where the finding is anatomy that a body has once, so that it is shown or not, never found."""
    return is_unique(bare(finding)) and not reads_as_label(finding)


def number_text(value: float) -> str:
    """A number as the source gave it, without a trailing `.0`."""
    return str(int(value)) if value.is_integer() else repr(value)


def grade_value(annotation: Annotation) -> str | None:
    """What a grade says: its number, or its word. None where it says neither, or only its own name again."""
    if not speakable(annotation.concept):
        return None
    if annotation.value is not None:
        return " ".join(filter(None, (number_text(annotation.value), annotation.unit)))
    for word in (annotation.text, annotation.label):
        if word and speakable(word) and word != annotation.concept:
            return phrase(word)
    return None
