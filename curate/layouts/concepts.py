"""From a source's label to the name that its card gives it."""

import re
from collections.abc import Container

from curate.card import Concept, LabelSet
from curate.schema import Reason, Refusal, Verdict

__all__ = ["key_of", "name_label", "shown"]

_SHOWN_CHARACTERS = 40
_WHOLE = re.compile(r"-?[0-9]+")


def name_label(label: str, label_set: LabelSet) -> Concept | Refusal:
    """The concept of a label: its name, and its code and code system where the card knows them.

    Without `concepts` each label is its own concept. A label that the card maps to null is filtered as
    `ignored_class`, one that it does not list is refused as `unknown_class`.
    """
    if label_set.concepts is None:
        return Concept(name=label)
    key = key_of(label, label_set.concepts)
    if key not in label_set.concepts:
        return Refusal(Reason.UNKNOWN_CLASS, f"label {shown(label)} is not in the card's concepts")
    concept = label_set.concepts[key]
    if concept is None:
        return Refusal(Reason.IGNORED_CLASS, f"the card leaves label {shown(label)} out", Verdict.FILTERED)
    return concept


def key_of(cell: str, keys: Container[str]) -> str:
    """The key of a card that a cell means: itself, or `1.0` for a whole number that is written `1`."""
    return f"{cell}.0" if cell not in keys and _WHOLE.fullmatch(cell) else cell


def shown(label: str) -> str:
    """A label as a detail may show it: a class name is what must be fixed, a longer text may be a patient's."""
    if len(label) > _SHOWN_CHARACTERS or not label.isprintable():
        return f"of {len(label)} characters"
    return repr(label)
