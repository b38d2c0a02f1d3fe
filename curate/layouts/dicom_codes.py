"""Coded concepts of DICOM objects (PS3.3 8.8), and the free text beside them, as names that may leave a header.

A code's meaning is text that the writer of the file chose, so it is taken over only where the dictionary of PS3.16
that pydicom ships has it for that code; else the dictionary's plainest one holds. Free text (a segment's label, a
region's name) is only compared with what the card lists.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from curate.card import LabelSet
from curate.layouts.base import RawAnnotation
from curate.layouts.objects import labelled
from curate.schema import Annotator, Laterality, Reason, Refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Coded", "annotator_of", "coded_in", "items_of", "named", "side_of", "text_of", "whole_number"]

SCHEMES: Final = frozenset(
    {"SCT", "SRT", "SNM3", "DCM", "FMA", "UMLS", "RADLEX", "NCIt", "LN", "MSH", "NEU", "IBSI", "I10", "I9", "I11"}
)
"""Coding schemes of PS3.16, 8, whose codes are published; a scheme that begins with 99 is the writer's own."""

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,31}")

_SEMANTIC_TAG: Final = re.compile(r" \((?:[a-z]+ )*(?:structure|abnormality|value|entity|finding|disorder|object)\)$")
"""What SNOMED CT appends to a fully specified name: its place in the hierarchy, no part of what it is called."""

_SIDES: Final = {
    "7771000": Laterality.LEFT,
    "G-A101": Laterality.LEFT,
    "24028007": Laterality.RIGHT,
    "G-A100": Laterality.RIGHT,
    "51440002": Laterality.BILATERAL,
    "G-A102": Laterality.BILATERAL,
}
"""Context group 244 (Laterality) in SNOMED CT, and as it was coded before."""

_ANNOTATORS: Final = {
    "AUTOMATIC": Annotator.MODEL,
    "SEMIAUTOMATIC": Annotator.HUMAN,
    "MANUAL": Annotator.HUMAN,
}
"""PS3.3 C.8.20.2: a semi-automatic segment was calculated with the assistance of a user, who answers for it."""


@dataclass(frozen=True, slots=True)
class Coded:
    """One code of a published scheme. `meaning` is the dictionary's, never the file's; null where it has none."""

    code: str
    system: str
    meaning: str | None

    @property
    def keys(self) -> tuple[str, ...]:
        """How a card may list it: `SCT:10200004`, or by what it means."""
        current = _current(self.code, self.system)
        keys = [f"{self.system}:{self.code}", f"{current[1]}:{current[0]}"]
        return tuple(dict.fromkeys([*keys, *([self.meaning] if self.meaning else [])]))


def items_of(dataset: "Dataset", keyword: str) -> "list[Dataset]":
    """The items of a sequence; none where it is absent or no sequence."""
    try:
        found: Any = dataset.get(keyword)
        return list(found) if found is not None and not isinstance(found, str | bytes) else []
    except Exception:  # (conversion of a damaged value raises whatever it meets)
        return []


def text_of(dataset: "Dataset", keyword: str) -> str | None:
    """The text of an element, stripped; null where it is absent, empty or cannot be converted."""
    try:
        found = dataset.get(keyword)
        return None if found is None else str(found).strip() or None
    except Exception:  # (as above)
        return None


def whole_number(dataset: "Dataset", keyword: str) -> int | None:
    """The number of an element; null where it is absent or no whole number."""
    text = text_of(dataset, keyword)
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


def coded_in(dataset: "Dataset", keyword: str) -> Coded | None:
    """The first code of a code sequence, where its scheme is a published one."""
    return next(_codes(dataset, keyword), None)


def side_of(segment: "Dataset") -> Laterality | None:
    """The patient's side that the modifiers of what was segmented, or of the region that it lies in, state."""
    places = (
        ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
        ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    )
    stated = {
        _SIDES[modifier.code]
        for outer, inner in places
        for item in items_of(segment, outer)
        for modifier in _codes(item, inner)
        if modifier.code in _SIDES
    }
    return next(iter(stated)) if len(stated) == 1 else None


def annotator_of(dataset: "Dataset", keyword: str) -> tuple[Annotator | None, dict[str, str]]:
    """Who drew it by the kind of algorithm, and that kind as a qualifier; nothing where it is not stated."""
    kind = text_of(dataset, keyword)
    return (_ANNOTATORS[kind], {"algorithm_type": kind}) if kind in _ANNOTATORS else (None, {})


def named(
    annotation: RawAnnotation, coded: Coded | None, text: str | None, labels: LabelSet, what: str
) -> RawAnnotation | Refusal:
    """The annotation with its label, concept and code.

    The card's concepts are asked for the code, for its meaning, and for the free text, in this order. Without concepts
    the dictionary's meaning is the label. What neither knows is refused: free text may name a patient.
    """
    if labels.concepts is None:
        if coded is None or coded.meaning is None:
            return Refusal(Reason.UNKNOWN_CLASS, f"{what} {_unknown(coded)}; name it in the card's `concepts`")
        label = coded.meaning
        placed = labelled(annotation, label, labels)
        if not isinstance(placed, Refusal):
            placed = msgspec.structs.replace(placed, concept=_in_small_letters(label))
    else:
        keys = [*(coded.keys if coded is not None else ()), *([text] if text is not None else [])]
        key = next((key for key in keys if key in labels.concepts), None)
        if key is None:
            return Refusal(
                Reason.UNKNOWN_CLASS, f"{what} {_unknown(coded)}, and its name is not in the card's concepts"
            )
        placed = labelled(annotation, key, labels)
    if coded is not None and not isinstance(placed, Refusal) and placed.code is None:
        placed = msgspec.structs.replace(placed, code=coded.code, code_system=coded.system)
    return placed


def _unknown(coded: Coded | None) -> str:
    if coded is None:
        return "has no code of a published scheme"
    return f"has the code {coded.system}:{coded.code}" + ("" if coded.meaning else ", which the dictionary lacks")


def _codes(dataset: "Dataset", keyword: str) -> Iterator[Coded]:
    for item in items_of(dataset, keyword):
        code = text_of(item, "CodeValue") or text_of(item, "LongCodeValue")
        system = text_of(item, "CodingSchemeDesignator")
        if code is not None and system in SCHEMES and _CODE.fullmatch(code):
            yield Coded(
                code, system, _meaning(_meanings().get(_current(code, system), ()), text_of(item, "CodeMeaning"))
            )


def _meaning(known: tuple[str, ...], written: str | None) -> str | None:
    """The meaning that the file chose among those of the dictionary, else the plainest."""
    chosen = [meaning for meaning in known if written is not None and meaning.casefold() == written.casefold()]
    return next(iter((*chosen, *known)), None)


def _current(code: str, system: str) -> tuple[str, str]:
    """A code of the retired SNOMED RT as SNOMED CT has it (PS3.16 O); any other as it is."""
    from pydicom.sr._snomed_dict import mapping

    if system in ("SRT", "SNM3"):
        found = mapping["SRT"].get(code)
        return (code, system) if found is None else (found, "SCT")
    return code, system


@functools.cache
def _meanings() -> dict[tuple[str, str], tuple[str, ...]]:
    """Code and scheme -> meanings, of every code that PS3.16 holds; the shortest first, which is the plainest."""
    from pydicom.sr import _concepts_dict

    concepts: Any = _concepts_dict.concepts
    found: dict[tuple[str, str], set[str]] = {}
    for system in sorted(concepts):
        for keyword in sorted(concepts[system]):
            for code, (meaning, *_) in concepts[system][keyword].items():
                found.setdefault((code, system), set()).add(_SEMANTIC_TAG.sub("", meaning))
    return {key: tuple(sorted(meanings, key=lambda one: (len(one), one))) for key, meanings in found.items()}


def _in_small_letters(meaning: str) -> str:
    """A meaning as it stands within a sentence: words with a capital only at their beginning lose it."""
    words = (word.lower() if word[1:] == word[1:].lower() and len(word) > 1 else word for word in meaning.split())
    return " ".join(words)
