"""Chinese noun phrases for what annotations say: concepts, findings with their side, counts, and how images are called.

Names come from `wordings/zh/terms.yaml` and `pictures.yaml`, which cite their sources, and from nowhere else: a concept
that they do not name is never spelt in English within a Chinese sentence (`NoTermError`). A concept that its source
names in Chinese stands as it is. Chinese has neither articles nor plurals; what is counted takes a measure word.
"""

import functools
import importlib.resources
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec
import yaml

from curate.rows import Asset
from curate.schema import Laterality
from curate.tasks.english import is_numbered, is_unique, phrase, singular
from curate.tasks.facts import Finding, Objects
from curate.tasks.kin import normalised
from curate.tasks.picture import anatomy_phrase, called, modality_name, view_name

__all__ = [
    "NoTermError",
    "bare_in_chinese",
    "body_part_in_chinese",
    "called_in_chinese",
    "choice_in_chinese",
    "counted_in_chinese",
    "cue_in_chinese",
    "joined_in_chinese",
    "marked_in_chinese",
    "measure_of",
    "measured_in_chinese",
    "noun_in_chinese",
    "picture_in_chinese",
    "term",
    "value_in_chinese",
]

_HAN_ALONE: Final = re.compile(r"[㐀-䶿一-鿿0-9、（）-]*[㐀-䶿一-鿿][㐀-䶿一-鿿0-9、（）-]*")
_SHOWN: Final = 60
"""A longer name in a message might be a sentence about a patient."""
_ACRONYM: Final = 3
"""A name of so few letters may be short for many things: it has to stand among the terms itself."""
_STRUCTURE_SIDES: Final = {"left": "左", "right": "右", "bilateral": "双侧"}
_FINDING_SIDES: Final = {"left": "左侧", "right": "右侧", "bilateral": "双侧"}
_VERTEBRA: Final = re.compile(
    r"(?P<region>[ctls])(?P<number>\d{1,2}) vertebra|vertebra (?P<after>[ctls])(?P<behind>\d{1,2})"
)
_RIB: Final = re.compile(r"(?:rib (?P<behind>\d{1,2})|(?P<before>\d{1,2}) rib)")
_REGIONS: Final = {"c": "颈椎", "t": "胸椎", "l": "腰椎", "s": "骶椎"}
_MEASURE: Final = "个"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?: ?[^\W\d_%/]{1,4}|%)?", re.ASCII)
"""What a step of a scale is where it is a number, with its unit."""


class NoTermError(LookupError):
    """A name for which no Chinese one is reviewed."""

    def __init__(self, name: str) -> None:
        short = len(name) <= _SHOWN and name.isprintable()
        super().__init__(repr(name) if short else f"a name of {len(name)} characters")


class _Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    measure: str


class _Modality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    noun: str


class _Pictures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    things: dict[str, _Thing]
    modality: dict[str, _Modality]
    same: dict[str, str]
    view: dict[str, str]
    part: dict[str, str]
    laterality: dict[str, str]
    cue: dict[str, str]


def _read(name: str) -> Any:
    folder = importlib.resources.files(__package__).joinpath("wordings", "zh")
    return yaml.safe_load(folder.joinpath(f"{name}.yaml").read_text("utf-8"))


@functools.cache
def _pictures() -> _Pictures:
    return msgspec.convert(_read("pictures"), _Pictures)


@functools.cache
def _terms() -> Mapping[str, _Thing]:
    """English name in small letters: its Chinese name, and the measure word it is counted by."""
    groups = msgspec.convert(_read("terms"), dict[str, dict[str, str | tuple[str, str]]])
    return {
        english: _Thing(said, _MEASURE) if isinstance(said, str) else _Thing(*said)
        for group in groups.values()
        for english, said in group.items()
    }


@functools.cache
def _by_normalised() -> Mapping[str, _Thing]:
    found: dict[str, _Thing] = {}
    for english, said in _terms().items():
        found.setdefault(normalised(english), said)
    return found


def _unnamed(name: str) -> NoReturn:
    raise NoTermError(name)


@functools.lru_cache(maxsize=4096)
def _entry(name: str) -> _Thing | None:
    plain = phrase(name).lower()
    for key in (plain, singular(plain)):
        if key in _terms():
            return _terms()[key]
    found = _by_normalised().get(normalised(name)) if len(plain) > _ACRONYM else None
    if found is not None:
        return found
    return _Thing(name, _MEASURE) if _HAN_ALONE.fullmatch(name) else None


@functools.lru_cache(maxsize=4096)
def _numbered(plain: str) -> _Thing | None:
    """`T12 vertebra` is 第12胸椎, `rib 8` is 第8肋骨."""
    if found := _VERTEBRA.fullmatch(plain):
        region, number = found["region"] or found["after"], found["number"] or found["behind"]
        return _Thing(f"第{number}{_REGIONS[region]}", _MEASURE)
    if found := _RIB.fullmatch(plain):
        return _Thing(f"第{found['behind'] or found['before']}肋骨", "根")
    return None


@functools.lru_cache(maxsize=4096)
def _named(name: str) -> _Thing | None:
    found = _entry(name)
    if found is not None:
        return found
    plain = phrase(name).lower()
    side, _, part = plain.partition(" ")
    sided = side in ("left", "right")
    if not sided:
        return _numbered(plain)
    part_named = _entry(part) or _numbered(part)
    if part_named is None:
        return None
    near = is_unique(plain) and not is_numbered(plain)
    return _Thing((_STRUCTURE_SIDES if near else _FINDING_SIDES)[side] + part_named.name, part_named.measure)


def term(name: str) -> str:
    """The Chinese name of a concept, its side included.

    Raises:
        NoTermError: none is reviewed.
    """
    return (_named(name) or _unnamed(name)).name


def measure_of(name: str) -> str:
    """The measure word by which a concept is counted.

    Raises:
        NoTermError: no Chinese name of the concept is reviewed.
    """
    return (_named(name) or _unnamed(name)).measure


def bare_in_chinese(finding: Finding) -> str:
    """The finding with its side: 左侧胸腔积液."""
    name = term(finding.concept)
    side = _FINDING_SIDES.get(finding.side or "")
    if side is None or name.startswith(("左", "右", "双侧")):
        return name
    return (_STRUCTURE_SIDES[finding.side or ""] if is_unique(f"left {phrase(finding.concept)}") else side) + name


def counted_in_chinese(concept: str, number: int) -> str:
    """`12个红细胞`, `0个血小板`."""
    return f"{number}{measure_of(concept)}{term(concept)}"


def joined_in_chinese(items: Sequence[str], word: str = "和") -> str:
    """A list as it is read out: `甲、乙和丙`."""
    return items[0] if len(items) == 1 else f"{'、'.join(items[:-1])}{word}{items[-1]}"


def called_in_chinese(thing: str) -> str:
    """What templates call an asset where they say 图像; `thing` is its English word."""
    return _pictures().things[thing].name


def cue_in_chinese(cue: str) -> str:
    """What a question of the lexical tree asks for."""
    return _pictures().cue.get(cue) or _unnamed(cue)


def _modality_of(asset: Asset) -> _Modality | None:
    english = modality_name(asset)
    if english is None:
        return None
    key = english.lower()
    found = _pictures().modality.get(_pictures().same.get(key, key))
    return found or _unnamed(english)


def value_in_chinese(attribute: str, value: str) -> str:
    """The value of an attribute of an image, which `picture.attributes` gives in English.

    Raises:
        NoTermError: no Chinese name of it is reviewed.
    """
    key = value.lower()
    if attribute == "modality":
        found = _pictures().modality.get(_pictures().same.get(key, key))
        return found.name if found else _unnamed(value)
    if attribute == "anatomy":
        return _part(value)
    known = _pictures().view if attribute == "view" else _pictures().laterality
    return known.get(key) or _unnamed(value)


def _part(english: str) -> str:
    """A part of the body as what is imaged: 肺部 rather than 肺."""
    return _pictures().part.get(english.lower()) or term(english)


def body_part_in_chinese(asset: Asset) -> str | None:
    """The part of the body that is imaged, with the patient's side: 左侧乳腺."""
    part = anatomy_phrase(asset)
    side = asset.laterality if asset.laterality in (Laterality.LEFT, Laterality.RIGHT) else None
    if part is None:
        return None if side is None else _FINDING_SIDES[side]
    name = _part(part)
    return name if side is None or name.startswith(("左", "右")) else _FINDING_SIDES[side] + name


def noun_in_chinese(asset: Asset, *, without: frozenset[str] = frozenset()) -> str:
    """The image as a noun phrase: 胸部后前位X线片; `without` leaves out what a question asks about.

    Raises:
        NoTermError: the part of the body, the modality or the view has no reviewed name.
    """
    part = None if "anatomy" in without else body_part_in_chinese(asset)
    modality = None if "modality" in without else _modality_of(asset)
    english = None if "view" in without else view_name(asset)
    view = None if english is None else value_in_chinese("view", english)
    thing = _pictures().things[called(asset)].name
    name = modality.noun.format(thing=thing) if modality else thing
    return "".join(filter(None, (part, view, name)))


def picture_in_chinese(asset: Asset, *, without: frozenset[str] = frozenset({"view"})) -> dict[str, str]:
    """The words for the image: `noun`, `this` (这张胸部X线片), `a_noun` (一张胸部X线片)."""
    name = noun_in_chinese(asset, without=without)
    measure = _pictures().things[called(asset)].measure
    return {"noun": name, "this": f"这{measure}{name}", "a_noun": f"一{measure}{name}"}


def measured_in_chinese(asset: Asset) -> str:
    """The measure word between 这 and what the asset is called: 张, 份, 段."""
    return _pictures().things[called(asset)].measure


def choice_in_chinese(
    asset: Asset, offered: Sequence[str], answer: str, cue: str, given: Mapping[str, str]
) -> dict[str, str]:
    """The words of a choice: its options in their order, each with its letter, beside those that are given.

    `given` may hold the English `name` of a grade, whose numbers stand among the options as they are.

    Raises:
        NoTermError: one of the options has no reviewed name, so that the choice could not be offered whole.
    """
    named = [option if _NUMBER.fullmatch(option) else term(option) for option in offered]
    if len(set(named)) < len(named):
        raise NoTermError(next(one for one, name in zip(offered, named, strict=True) if named.count(name) > 1))
    letters = string.ascii_uppercase
    place = list(offered).index(answer)
    words = picture_in_chinese(asset)
    if any(name in words["noun"] for name in named):
        words = picture_in_chinese(asset, without=frozenset({"view", "modality", "anatomy"}))
    name = {"name": term(given["name"])} if "name" in given else {}
    return {
        **words,
        **given,
        **name,
        "cue": cue_in_chinese(cue),
        "options": "\n".join(f"{mark}. {option}" for mark, option in zip(letters, named, strict=False)),
        "letter": letters[place],
        "option": named[place],
    }


def marked_in_chinese(asset: Asset, group: Objects, given: Mapping[str, str], *, hides: bool = False) -> dict[str, str]:
    """The words for marked objects of one concept, beside those that are given: coordinates and their form.

    `hides`: the concept is what the question asks for, so that the image's name must not tell it.
    """
    name, measure = term(group.concept), measure_of(group.concept)
    words = picture_in_chinese(asset)
    if hides and name in words["noun"]:
        words = picture_in_chinese(asset, without=frozenset({"view", "modality", "anatomy"}))
    one = name if group.unique else f"任一{name}"
    return {**words, **given, "thing": name, "measure": measure, "a_thing": one}
