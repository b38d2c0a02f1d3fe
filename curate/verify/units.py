"""Units: what a number with a unit says, whatever the unit it is written in."""

import functools
from collections.abc import Mapping
from typing import Final

import msgspec

from curate.verify.lexicon import read_yaml
from curate.verify.text import stem

__all__ = ["Quantity", "Unit", "equal", "unit_of", "unit_words", "units"]

_COARSE: Final = 0.05
"""How far a conversion to another unit may be off by its rounding: `1.2 cm` for 12.4 mm, but not `1 cm`."""


class Unit(msgspec.Struct, frozen=True):
    """A unit: `factor` of the first unit of its dimension."""

    name: str
    dimension: str
    factor: float
    visible: bool


class Quantity(msgspec.Struct, frozen=True):
    """A number with its unit in a text: the token of the number, and the key of the concept whose measure it is."""

    place: int
    value: float
    decimals: int
    unit: str
    key: str | None


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    factor: float
    terms: tuple[str, ...]
    visible: bool = True


@functools.cache
def _table() -> dict[str, dict[str, _Entry]]:
    return msgspec.convert(read_yaml("units.yaml"), dict[str, dict[str, _Entry]])


@functools.cache
def units() -> Mapping[str, Unit]:
    """Name: unit."""
    return {
        name: Unit(name, dimension, entry.factor, entry.visible)
        for dimension, group in _table().items()
        for name, entry in group.items()
    }


@functools.cache
def _terms() -> Mapping[str, str]:
    return {_normal(term): name for group in _table().values() for name, entry in group.items() for term in entry.terms}


@functools.cache
def unit_words() -> frozenset[str]:
    """Stems of the words that units consist of."""
    return frozenset(stem(word) for term in _terms() for word in term.replace("/", " ").split())


@functools.lru_cache(maxsize=1024)
def unit_of(term: str) -> str | None:
    """The name of the unit that a term means: `millimetres` is `mm`; None for what is no unit."""
    return _terms().get(_normal(term))


def _normal(term: str) -> str:
    """Spelling, plural and capitals aside; a sign is itself."""
    return " ".join(stem(word) if word.isalpha() else word.casefold() for word in term.split())


def equal(value: float, unit: str, decimals: int, truth: float, true_unit: str) -> bool:
    """True where a number as it is written is the true one, within its own rounding."""
    known = units()
    said, true = known.get(unit), known.get(true_unit)
    if said is None or true is None or said.dimension != true.dimension:
        return False
    converted = truth if unit == true_unit else truth * true.factor / said.factor
    off = abs(value - converted)
    if off <= 1e-9 * max(1.0, abs(converted)):
        return True
    if off > 0.5 * 10.0**-decimals * (1 + 1e-9) or value == 0:
        return False
    return unit == true_unit or off <= _COARSE * abs(converted)
