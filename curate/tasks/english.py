"""English grammar for the words that labels bring along: case, number, article, lists.

A label is data: it may be `Pleural_Thickening`, `RBC`, `B-lines`, `normal` or `10`. These functions make it readable in
a sentence without changing what it names. The word lists are `wordings/english.yaml`.
"""

import functools
import importlib.resources
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

__all__ = [
    "capitalised",
    "grammar",
    "indefinite",
    "is_label",
    "is_numbered",
    "is_plural",
    "is_specimen",
    "is_unique",
    "joined",
    "phrase",
    "plural",
    "region_name",
    "singular",
    "speakable",
    "thing_name",
    "verb",
]

_PREPOSITION = re.compile(r" (?:of|with|in|on|at|from|due|without|for|by|to) ")
_SHORT_ACRONYM = 5
"""Longest word in capitals that is taken for an acronym where nothing else is known: `CHF`, `NSIP`, `COVID`."""
_VOWEL_SOUND = re.compile(r"^(?:[aeiou](?!ni(?!n|m)|se|ro|te|eu)|un(?!i)|uni[nm]|hour|honest|heir)", re.IGNORECASE)
_SPELT_WITH_VOWEL = frozenset("AEFHILMNORSX8")
_CODE_LENGTH = 3
_WORDS = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ'’ -]*[A-Za-zÀ-ÖØ-öø-ÿ]")
"""Names whose plural English knows."""
_NUMBERED = re.compile(r"(?P<before>[A-Z]?\d{1,2} )?(?P<name>[a-z ]+?)(?P<behind> [A-Z]?\d{1,2}[a-z]?)?")
"""Anatomy with its number before or behind it: `T12 vertebra`, `rib 8`."""


class ModalityWords(msgspec.Struct, frozen=True):
    """How a modality is named, and how its picture is called."""

    name: str
    noun: str
    whole: bool = False


class Grammar(msgspec.Struct, frozen=True):
    """The word lists."""

    irregular: dict[str, str]
    singular_s: frozenset[str]
    countable: frozenset[str]
    countable_suffixes: tuple[str, ...]
    mass_suffix_exceptions: frozenset[str]
    adjectives: frozenset[str]
    negating: frozenset[str]
    proper: frozenset[str]
    bare_anatomy: frozenset[str]
    unique_anatomy: frozenset[str]
    paired_anatomy: frozenset[str]
    numbered_anatomy: frozenset[str]
    modality: dict[str, ModalityWords]
    modality_contrasts: tuple[str, ...]
    view_contrasts: tuple[tuple[str, ...], ...]

    @functools.cached_property
    def singulars(self) -> dict[str, str]:
        """Irregular plural: singular."""
        return {many: one for one, many in self.irregular.items()}


class _Grammar(Grammar, frozen=True, dict=True):
    """`Grammar` with room for its cached property."""


@functools.cache
def grammar() -> Grammar:
    """The word lists of `wordings/english.yaml`."""
    text = importlib.resources.files(__package__).joinpath("wordings", "english.yaml").read_text("utf-8")
    raw: Any = yaml.safe_load(text)
    return msgspec.convert(raw, _Grammar)


@functools.lru_cache(maxsize=4096)
def phrase(name: str) -> str:
    """A label as it stands within a sentence.

    Spaces for underscores and for marks that would end or divide the sentence, small letters but for acronyms and
    proper names.
    """
    words = re.sub(r"[_\s,;:?!\"]+|\.(?!\d)", " ", name).strip().split()
    shouted = name.upper() == name and (len(words) > 1 or len(name) > _SHORT_ACRONYM)
    return " ".join(_in_sentence(word, shouted) for word in words)


def _in_sentence(word: str, shouted: bool) -> str:
    if "-" in word.strip("-") or "/" in word:
        return re.sub(r"[^-/]+", lambda part: _in_sentence(part[0], shouted), word)
    bare = word.strip("()[],.;:'\"")
    words = grammar()
    if bare.removesuffix("'s").removesuffix("’s") in words.proper:
        return word
    if bare[:1].isupper() and len(bare) > 1 and bare[1:].islower():
        return word.lower()
    if bare.isupper() and (bare.lower() in words.countable or (shouted and len(bare) > _SHORT_ACRONYM)):
        return word.lower()
    return word


def _head(text: str) -> tuple[str, str, str]:
    """A noun phrase as what precedes its head noun, the head, and what follows: `("white blood ", "cell", "")`."""
    found = _PREPOSITION.search(text)
    front, rest = (text[: found.start()], text[found.start() :]) if found else (text, "")
    cut = max(front.rfind(" "), front.rfind("-")) + 1
    return front[:cut], front[cut:], rest


@functools.lru_cache(maxsize=4096)
def is_plural(text: str) -> bool:
    """True where the head noun is a plural already: `B-lines`, `nuclei`, `support devices`."""
    head, words = _head(text)[1], grammar()
    if head in words.singulars:
        return True
    if not head.endswith("s") or len(head) <= _CODE_LENGTH or head in words.singular_s or head.isupper():
        return False
    return not head.endswith(("ss", "us", "is", "os", "'s", "as")) or head.endswith(("omas", "areas"))


@functools.lru_cache(maxsize=4096)
def plural(text: str) -> str:
    """Several of them: `erythrocytes`, `nuclei`, `foreign bodies in the airway`."""
    front, head, rest = _head(text)
    return text if is_plural(text) else front + _plural_word(head) + rest


def _plural_word(word: str) -> str:
    words = grammar()
    for one, many in words.irregular.items():
        if word == one or (len(one) > _CODE_LENGTH and word.endswith(one)):
            return word.removesuffix(one) + many
    if word.isupper() or not word[-1:].isalpha():
        return word + "s"
    if word.endswith("is") and len(word) > _CODE_LENGTH:
        return word[:-2] + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


@functools.lru_cache(maxsize=4096)
def singular(text: str) -> str:
    """One of them; a plural label is taken back: `platelet`, `nucleus`."""
    if not is_plural(text):
        return text
    front, head, rest = _head(text)
    words = grammar()
    if head in words.singulars:
        one = words.singulars[head]
    elif head.endswith("ies") and len(head) > _CODE_LENGTH + 1:
        one = head[:-3] + "y"
    elif head.endswith(("sses", "xes", "ches", "shes", "zes")):
        one = head[:-2]
    else:
        one = head[:-1]
    return front + one + rest


@functools.lru_cache(maxsize=4096)
def indefinite(text: str, *, thing: bool = False) -> str:
    """The phrase with its article where English wants one: `a nodule`, `an infiltrate`, but `pneumonia`, `B-lines`.

    `thing`: it is known to be an object that can be counted, because the source marks its place.
    """
    if is_plural(text) or not (thing or _is_countable(text)):
        return text
    return f"{_article(text)} {text}"


def _article(text: str) -> str:
    first = text.split(" ", 1)[0]
    if first.isupper() or (not first.isalpha() and first[:1].isupper()):
        return "an" if first[0] in _SPELT_WITH_VOWEL else "a"
    if first[:1].isdigit():
        return "an" if first.startswith(("8", "11", "18")) else "a"
    return "an" if _VOWEL_SOUND.match(first) else "a"


def _is_countable(text: str) -> bool:
    head, words = _head(text)[1], grammar()
    if head in words.mass_suffix_exceptions:
        return False
    return head in words.countable or head in words.irregular or head.endswith(words.countable_suffixes)


@functools.lru_cache(maxsize=4096)
def is_label(text: str) -> bool:
    """True where the phrase names a class rather than a thing: `normal`, `HE`, `10`, `no finding`."""
    words, parts = grammar(), text.split(" ")
    lowered = [part.lower() for part in parts]
    if lowered[-1] in words.adjectives or not words.negating.isdisjoint(lowered) or "-" in (text[0], text[-1]):
        return True
    if any(part[:1].isdigit() for part in parts):
        return not is_numbered(text)
    if len(text) < _CODE_LENGTH:
        return True
    return len(parts) == 1 and ((len(text) <= _CODE_LENGTH and text.isupper()) or not any(map(str.isalpha, text)))


@functools.lru_cache(maxsize=4096)
def is_unique(text: str) -> bool:
    """True for anatomy that there is once: `heart`, `left lung`, `lungs`. It takes `the` and is never counted."""
    words, low = grammar(), text.lower()
    if is_numbered(text):
        return True
    for side in ("left ", "right "):
        if low.startswith(side):
            part = low.removeprefix(side)
            return part in words.paired_anatomy or part in words.unique_anatomy
    return low in words.unique_anatomy or (is_plural(text) and singular(low) in words.paired_anatomy)


@functools.lru_cache(maxsize=4096)
def is_numbered(text: str) -> bool:
    """True for anatomy of which its number says which one it is: `T12 vertebra`, `left rib 8`."""
    found = _NUMBERED.fullmatch(text.removeprefix("left ").removeprefix("right "))
    if not found or bool(found["before"]) == bool(found["behind"]):
        return False
    return found["name"] in grammar().numbered_anatomy


def is_specimen(anatomy: str) -> bool:
    """True for what was taken from a body rather than a part of it: `peripheral blood`, `bone marrow`."""
    return anatomy.rsplit(" ", maxsplit=1)[-1] in grammar().bare_anatomy


def speakable(name: str | None) -> bool:
    """True where a label can stand in a sentence: it has a letter or a digit, and no marks of code."""
    return bool(name) and any(map(str.isalnum, name or "")) and not any(mark in (name or "") for mark in "<>{}[]\\")


@functools.lru_cache(maxsize=4096)
def thing_name(name: str) -> str:
    """What one marked object of a label is called: `erythrocyte`, `RBC`, but `object of class 10`."""
    text = phrase(name)
    if is_numbered(text):
        return text
    parts = [part.lower() for part in text.split(" ")]
    words = grammar()
    unnamed = parts[-1] in words.adjectives or not words.negating.isdisjoint(parts)
    unnamed = unnamed or (len(text) < _CODE_LENGTH and not text.isupper())
    return f"object of class {text}" if unnamed or not _WORDS.fullmatch(text) else text


def region_name(name: str) -> str:
    """What the pixels of a label are called: `tumor`, `edema`, but `region of class 10`."""
    named = thing_name(name)
    return f"region of {named.removeprefix('object of ')}" if named.startswith("object of class ") else named


def verb(text: str, one: str = "is", many: str = "are") -> str:
    """The verb in the number of its subject."""
    return many if is_plural(text) else one


def joined(items: Sequence[str], word: str = "and") -> str:
    """A list as it is read out: `a, b and c`."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def capitalised(text: str) -> str:
    """The text with a capital at its beginning, unless its first word has its own way of writing (`pH`, `mRNA`)."""
    first = text.split(" ", 1)[0]
    if not first[1:].islower() and any(map(str.isupper, first[1:])):
        return text
    return text[:1].upper() + text[1:]
