"""Names that are no contrast to each other: synonyms, and what is a kind or a part of what.

Data: `wordings/kin.yaml`, which cites its sources. Beyond it, a name that holds all words of another is taken for a
kind of it: `bacterial pneumonia` and `pneumonia`, `iron deficiency anemia` and `anemia`.
"""

import functools
import importlib.resources
import re
from typing import Any

import msgspec
import yaml

from curate.tasks.english import phrase, singular

__all__ = ["akin", "covers", "normalised"]

_LITTLE = frozenset({"a", "an", "the", "of", "in", "with", "and", "or", "to"})


class _Kin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    synonyms: tuple[tuple[str, ...], ...]
    kinds: dict[str, tuple[str, ...]]


@functools.cache
def _first_names() -> dict[str, str]:
    return {name: names[0] for names in _read().synonyms for name in names}


@functools.cache
def _read() -> _Kin:
    text = importlib.resources.files(__package__).joinpath("wordings", "kin.yaml").read_text("utf-8")
    raw: Any = yaml.safe_load(text)
    return msgspec.convert(raw, _Kin)


@functools.lru_cache(maxsize=4096)
def normalised(name: str) -> str:
    """A label in small letters and the singular, without marks and little words, by the first of its synonyms."""
    text = singular(phrase(name).lower())
    words = [word for word in re.findall(r"[\w-]+", text) if word not in _LITTLE]
    plain = " ".join(words) or text
    return _first_names().get(plain, plain)


@functools.lru_cache(maxsize=4096)
def _above(name: str) -> frozenset[str]:
    """Every name of which this one is a kind."""
    names = _first_names()
    found: set[str] = set()
    open_ = {name}
    while open_:
        open_ = {
            names.get(wide, wide)
            for wide, narrow in _read().kinds.items()
            if any(names.get(one, one) in open_ for one in narrow)
        } - found
        found |= open_
    return frozenset(found)


@functools.lru_cache(maxsize=65536)
def covers(wide: str, narrow: str) -> bool:
    """True where what is called by the narrow name is called by the wide one too: a synonym, or a broader term."""
    first, second = normalised(wide), normalised(narrow)
    return frozenset(first.split()) <= frozenset(second.split()) or first in _above(second)


def akin(one: str, other: str) -> bool:
    """True where two labels might be said of one thing."""
    return covers(one, other) or covers(other, one)
