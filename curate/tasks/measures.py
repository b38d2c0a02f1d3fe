"""What masks of one asset measure, with unit, digits and tolerance; the rules are those of `measurement`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from curate.rows import Annotation, Asset, Subject
from curate.schema import Form, Kind, State
from curate.tasks.base import Vocabulary
from curate.tasks.english import phrase, singular, speakable
from curate.tasks.facts import Finding, silence_of
from curate.tasks.statements import bare

__all__ = ["Marked", "Pieces", "Value", "marked_in", "pieces_of", "ratio_of", "values_of"]

_ALIGNED: Final = 0.98
"""Least cosine between an array axis and the patient's axis that names it: 11 degrees cost 2 % of a length."""
_SHARE: Final = 0.1
"""Tolerance of volumes, areas and ratios: two readers' masks of one organ differ by as much."""
_LENGTH_SHARE: Final = 0.05
_HU: Final = 10.0
"""Tolerance of mean attenuation: what changes it between two scanners at one tube voltage."""
_LEAST_VOXELS: Final = 30
"""A mask of fewer measures the grid, not what it marks."""
_LEAST_STEPS: Final = 4
_LARGE: Final = 100.0
_CM2: Final = 100.0
_ML: Final = 1000.0
_UNCLEAR: Final = frozenset({"clipped", "gaps", "crowd", "truncated"})
_OTHER: Final = {"left": "right", "right": "left"}
_DIRECTIONS: Final = ("transverse", "anteroposterior", "craniocaudal")
"""Along x, y and z of the patient (LPS)."""
_UNIT_WORDS: Final = {
    "mL": "millilitres", "mm³": "cubic millimetres", "mm": "millimetres", "cm²": "square centimetres",
    "mm²": "square millimetres", "HU": "Hounsfield units", "": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """One measured value in the unit in which it is told."""

    quantity: str
    value: float
    unit: str
    decimals: int
    tolerance: float
    grid: float = 0.0  # what a mask can measure is a multiple of this: one voxel; 0: whatever

    def told(self, value: float) -> str:
        """A value as this one is told: `1,043 mL` never, `1043 mL`."""
        return f"{value:.{self.decimals}f} {self.unit}".strip()

    @property
    def text(self) -> str:
        """As it stands in a text."""
        return self.told(self.value)

    @property
    def unit_words(self) -> str:
        """The unit, written out."""
        return _UNIT_WORDS[self.unit]


@dataclass(frozen=True, slots=True)
class Pieces:
    """How many parts of a lesion touch each other nowhere, and what says so."""

    name: str
    number: int
    annotations: tuple[Annotation, ...]
    label_set: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The one mask of a concept on an asset."""

    concept: str
    name: str
    annotation: Annotation
    cut_off: bool

    @property
    def aspect(self) -> str:
        """Tells questions about it apart."""
        return f"{self.annotation.label_set}:{self.name}"

    @property
    def added_side(self) -> str | None:
        """The patient's side, where the source gives it beside the concept."""
        side = self.annotation.side
        return side if side in _OTHER and side not in phrase(self.concept).split(" ") else None

    def is_other_side_of(self, other: "Marked") -> bool:
        """True for the left and the right one of a pair."""
        swapped = " ".join(_OTHER.get(word, word) for word in self.name.split(" "))
        return swapped == other.name != self.name


def marked_in(subject: Subject, label_sets: Sequence[str]) -> list[Marked]:
    """The concepts that one whole, clear mask marks, in the order of the source."""
    by_name: dict[str, list[Annotation]] = {}
    for annotation in subject.annotations:
        wanted = not label_sets or annotation.label_set in label_sets
        if wanted and annotation.kind is Kind.MASK and annotation.state in (None, State.PRESENT) and _named(annotation):
            by_name.setdefault(_name(annotation), []).append(annotation)
    alone = {name: group[0] for name, group in by_name.items() if len(group) == 1}
    return [
        Marked(str(one.concept), name, one, _reaches_edge(one, subject.asset))
        for name, one in alone.items()
        if _UNCLEAR.isdisjoint(one.flags) and not _lacks_a_part(name, by_name)
    ]


def _named(annotation: Annotation) -> bool:
    return annotation.concept is not None and speakable(annotation.concept)


def _name(annotation: Annotation) -> str:
    concept = str(annotation.concept)
    return bare(Finding(concept, annotation.label_set, State.PRESENT, Kind.MASK, (annotation,), annotation.side))


def _lacks_a_part(name: str, by_name: dict[str, list[Annotation]]) -> bool:
    """True where another mask marks something in it: the voxels of a `liver lesion` may be none of the `liver`."""
    words = set(name.split(" "))
    return any(words < set(other.split(" ")) for other in by_name)


def _reaches_edge(annotation: Annotation, asset: Asset) -> bool:
    """True where the mask touches the edge of what was scanned, so that the rest may lie outside."""
    if annotation.box is None:
        return True
    sizes = (asset.width, asset.height, asset.depth)[: len(annotation.box) // 2]
    lower, upper = annotation.box[: len(sizes)], annotation.box[len(sizes) :]
    return any(low <= 0 or size is None or high >= size for low, high, size in zip(lower, upper, sizes, strict=True))


def values_of(asset: Asset, one: Marked) -> Iterator[Value]:
    """What can be asked of one mask on this asset."""
    annotation, steps = one.annotation, asset.spacing_mm
    voxel = math.prod(steps) if steps is not None else 0.0
    if annotation.frame == "volume" and annotation.volume_mm3 and annotation.volume_mm3 >= _LEAST_VOXELS * voxel:
        yield _told("volume", annotation.volume_mm3, ("mm³", "mL"), _ML, voxel)
        if annotation.mean_hu is not None and round(annotation.mean_hu):
            yield Value("mean attenuation", annotation.mean_hu, "HU", 0, _HU)
    elif annotation.frame != "volume" and annotation.area_mm2 and annotation.area_mm2 >= _LEAST_VOXELS * voxel:
        yield _told("area", annotation.area_mm2, ("mm²", "cm²"), _CM2, voxel)
    if annotation.pieces == 1:
        yield from _extents(asset, annotation)


def _told(quantity: str, measured: float, units: tuple[str, str], factor: float, voxel: float) -> Value:
    """In the larger unit, where it is at least one of it."""
    if measured < factor:
        return Value(quantity, measured, units[0], 0, _SHARE * measured, voxel)
    value = measured / factor
    return Value(quantity, value, units[1], 0 if value >= _LARGE else 1, _SHARE * value, voxel / factor)


def _extents(asset: Asset, annotation: Annotation) -> Iterator[Value]:
    """Along the patient's axes, where the array lies along them; in whole millimetres unless the voxels are finer."""
    if annotation.extent_mm is None or asset.affine_lps is None or asset.spacing_mm is None:
        return
    steps = list(reversed(asset.spacing_mm))
    for axis, (extent, step) in enumerate(zip(annotation.extent_mm, steps, strict=True)):
        direction = _direction(asset.affine_lps, axis)
        if direction is not None and extent >= _LEAST_STEPS * step:
            decimals = 0 if step >= 1 or extent >= _LARGE else 1
            yield Value(f"{direction} extent", extent, "mm", decimals, max(step, _LENGTH_SHARE * extent), step)


def _direction(affine: Sequence[float], axis: int) -> str | None:
    """The patient's axis that an array axis (0: column) runs along; None where it is oblique."""
    column = [affine[4 * row + axis] for row in range(3)]
    length = math.sqrt(sum(part * part for part in column))
    for name, part in zip(_DIRECTIONS, column, strict=True):
        if length > 0 and abs(part) >= _ALIGNED * length:
            return name
    return None


def ratio_of(first: Marked, second: Marked) -> Value:
    """The volume of the first as a multiple of the second's."""
    assert first.annotation.volume_mm3 is not None
    assert second.annotation.volume_mm3 is not None
    ratio = first.annotation.volume_mm3 / second.annotation.volume_mm3
    return Value("volume ratio", ratio, "", 2, _SHARE * ratio)


def pieces_of(subject: Subject, concept: str, vocabulary: Vocabulary, label_sets: Sequence[str]) -> Pieces | None:
    """Name, number and proof of the separate parts of a lesion in a volume; none only where an exhaustive set says so.

    None where nothing is known, or where instances are told apart, which `count` counts.
    """
    if subject.asset.form is not Form.VOLUME:
        return None
    own = [
        one for one in subject.annotations if one.concept == concept and (not label_sets or one.label_set in label_sets)
    ]
    if len(own) == 1 and own[0].pieces is not None and own[0].state in (None, State.PRESENT):
        if "region" not in own[0].flags or not _UNCLEAR.isdisjoint(own[0].flags):
            return None
        return Pieces(singular(_name(own[0])), own[0].pieces, (own[0],), own[0].label_set)
    for label_set in sorted(set(subject.asset.labelled_by)):
        names = vocabulary.get(label_set)
        silence = silence_of(label_set, subject, vocabulary)
        wanted = not label_sets or label_set in label_sets
        if (
            not own
            and wanted
            and names
            and concept in names.concepts
            and names.regions
            and silence
            and silence.exhaustive
        ):
            finding = Finding(concept, label_set, State.ABSENT, Kind.MASK, ())
            return Pieces(singular(bare(finding)), 0, (), label_set)
    return None
