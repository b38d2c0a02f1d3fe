"""What annotations measure: lengths, areas, volumes and other quantities with their units."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from curate.rows import Annotation
from curate.schema import Kind, State
from curate.verify.lexicon import concept_key
from curate.verify.text import stems
from curate.verify.units import unit_of, units

__all__ = ["Measure", "agree", "kinds_named", "measures_of"]

_QUANTITIES: Final = {
    "diameter": "diameter", "radius": "radius", "width": "width", "height": "height", "length": "length", "depth":
    "depth",
    "thickness": "thickness", "area": "area", "volume": "volume", "distance": "distance", "angle": "angle",
    "circumference": "circumference", "perimeter": "perimeter", "attenuation": "attenuation", "density": "attenuation",
    "wide": "width", "high": "height", "tall": "height", "long": "length", "deep": "depth", "thick": "thickness",
    "uptake": "uptake", "percentage": "fraction", "fraction": "fraction", "ratio": "fraction",
}  # fmt: skip
"""Words for what is measured, as texts and labels use them."""
_AXES: Final = ("width", "height", "depth")


class Measure(msgspec.Struct, frozen=True):
    """One measured value; `kinds` are the words for what it measures, empty where the source does not say."""

    annotation_id: str
    key: str
    value: float
    unit: str | None  # a name of `units`, or the source's own word where that is none, or None
    kinds: frozenset[str]
    visible: bool


def kinds_named(words: Iterable[str]) -> frozenset[str]:
    """What is measured by these words, in small letters."""
    return frozenset(_QUANTITIES[word] for word in words if word in _QUANTITIES)


def measures_of(annotations: Iterable[Annotation]) -> Iterator[Measure]:
    """Every measured value: of measurements, and of the geometry of what is marked, where a spacing proves it."""
    for annotation in annotations:
        key = concept_key(annotation.concept) if annotation.concept else ""
        if annotation.kind is Kind.MEASUREMENT and annotation.value is not None:
            unit = unit_of(annotation.unit) if annotation.unit else None
            shown = units()[unit].visible if unit else not annotation.unit
            kinds = kinds_named(stem for word in (annotation.label, annotation.concept) for stem in _words(word))
            yield Measure(annotation.annotation_id, key, annotation.value, unit or annotation.unit, kinds, shown)
        elif annotation.state in (None, State.PRESENT):
            yield from _of_geometry(annotation, key)


def _of_geometry(annotation: Annotation, key: str) -> Iterator[Measure]:
    for value, unit, kind in (
        (annotation.area_mm2, "mm2", "area"),
        (annotation.volume_mm3, "mm3", "volume"),
        (annotation.area_px, "px", "area"),
    ):
        if value is not None:
            yield Measure(annotation.annotation_id, key, value, unit, frozenset({kind}), True)
    for axis, extent in zip(_AXES, annotation.extent_mm or (), strict=False):
        yield Measure(annotation.annotation_id, key, extent, "mm", frozenset({axis}), True)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.lower() for word in (text or "").replace("_", " ").split()) + (stems(text) if text else ())


def agree(said: frozenset[str], true: frozenset[str]) -> bool:
    """True unless text and source name different things: a radius is no diameter."""
    return not said or not true or bool(said & true)
