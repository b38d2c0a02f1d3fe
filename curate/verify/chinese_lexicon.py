"""The Chinese words that rules know, each with the English term that it stands for.

They stand in `lexicons/zh_*.yaml`. What a word means is looked up in the English indexes by its gloss: the stems of its
English term, one form for words that differ in English alone (`pulmonary` and `lung`), in any order. So a concept that
a card names in English is found in a Chinese text that composes it: 右 + 肾 + 囊肿 is `right kidney cyst`.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    PLACE,
    Index,
    Meaning,
    anatomy,
    concept_key,
    place_key,
    read_yaml,
)
from curate.verify.text import stem, stems

__all__ = [
    "LONGEST",
    "MEASURE",
    "PATTERN",
    "PLAIN",
    "SIDES",
    "SKIPPED",
    "UNIT",
    "Word",
    "gloss_of",
    "index_words",
    "known_keys",
    "known_stems",
    "openings",
    "patterns",
    "phrases",
    "predicates",
    "several",
    "sound_forms",
    "sound_words",
    "splits",
    "words_of",
]

_FUNCTION_WORDS: Final = frozenset({"of", "the", "in", "and", "to"})
"""English words of a term that its Chinese has no word for."""
_SHORT_ADVERB: Final = 5
LONGEST: Final = 6
"""A term is composed of at most so many Chinese words."""
PLAIN: Final = "plain"
UNIT: Final = "unit"
MEASURE: Final = "measure"
SKIPPED: Final = "skipped"
PATTERN: Final = "pattern"
SIDES: Final = "sides"
_REGIONS: Final = (("c", "颈", 7), ("t", "胸", 12), ("l", "腰", 5), ("s", "骶", 5))
_NONE: Final = frozenset({"无", "没有", "未见", "未见明显", "无明显", "非"})
"""Denials that names of classes begin with: `no tumor`, `no DR`."""
_BOTH, _BOTH_SIDES = ("两", "双"), "双侧"
_ON, _ENDS = "on", ("", "为", "是", "约", "约为", "约是", "等于")
"""`直径约为` is the noun with its verb; prepositions have none."""
_END: Final = re.compile(r"[^内外上下部区影旁前后周性壁][一-鿿]{1,3}")
_DIGITS: Final = "零一二三四五六七八九十"


@dataclass(frozen=True, slots=True)
class Word:
    """A Chinese word: the English it stands for, what that means by itself, and the roles that it may have."""

    text: str
    low: str
    glosses: tuple[tuple[str, ...], ...] = ()
    meanings: tuple[Meaning, ...] = ()
    roles: frozenset[str] = frozenset()


class _Composed(msgspec.Struct, frozen=True):
    """Cues that are put together from parts: one of each list, in their order."""

    kind: str
    gloss: str
    parts: tuple[tuple[str, ...], ...]


class _Pattern(msgspec.Struct, frozen=True):
    kind: str
    pattern: str


class Openings(msgspec.Struct, frozen=True):
    """How a closed answer begins: words that stand before a stop, and verbs that say as much without one."""

    yes: tuple[str, ...]
    no: tuple[str, ...]
    yes_verb: tuple[str, ...]
    no_verb: tuple[str, ...]
    agree: tuple[str, ...]
    disagree: tuple[str, ...]


class _Cues(msgspec.Struct, frozen=True):
    cues: dict[str, dict[str, tuple[str, ...]]]
    composed: tuple[_Composed, ...]
    patterns: tuple[_Pattern, ...]
    predicates: tuple[str, ...]
    sound: dict[str, tuple[str, ...]]
    sound_in: dict[str, tuple[str, ...]]
    openings: Openings


class _Anatomy(msgspec.Struct, frozen=True):
    places: dict[str, tuple[str, ...]]
    paired: tuple[str, ...]
    same: dict[str, tuple[str, ...]]
    several: dict[str, tuple[str, ...]]


class _Attributes(msgspec.Struct, frozen=True):
    values: dict[str, dict[str, tuple[str, ...]]]
    splits: dict[str, dict[str, str]]


class _Units(msgspec.Struct, frozen=True):
    units: dict[str, tuple[str, ...]]
    measure: str


class _Plain(msgspec.Struct, frozen=True):
    english: dict[str, tuple[str, ...]]
    words: str
    skipped: str


def _read(name: str) -> Any:
    return read_yaml(f"zh_{name}.yaml")


@functools.cache
def _anatomy() -> _Anatomy:
    return msgspec.convert(_read("anatomy"), _Anatomy)


@functools.cache
def _same() -> dict[str, str]:
    """Stem: the stem that stands for it and its like; `pulmonary` is `lung`, as in the English lexicon of places."""
    places = {
        stem(word): stem(group[0])
        for group in anatomy().places
        for word in group
        if not {" ", "-"} & {*word, *group[0]}
    }
    return places | {stem(word): stem(one) for one, words in _anatomy().same.items() for word in (one, *words)}


@functools.cache
def several() -> Mapping[str, tuple[str, ...]]:
    """Stem of an acronym or compound: the stems that it stands for."""
    return {stem(word): tuple(map(stem, parts)) for word, parts in _anatomy().several.items()}


@functools.lru_cache(maxsize=16384)
def gloss_of(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The stems of an English term in one form and order."""
    same, apart = _same(), several()
    spread = itertools.chain.from_iterable(apart.get(part, (part,)) for part in parts)
    plain = (_without_adverb(part) for part in spread if part not in _FUNCTION_WORDS)
    return tuple(sorted(same.get(part, part) for part in plain))


def _without_adverb(part: str) -> str:
    """`moderately suspicious` is `中度可疑`, which knows no adverbs."""
    return stem(part.removesuffix("ly")) if part.endswith("ly") and len(part) > _SHORT_ADVERB else part


@functools.lru_cache(maxsize=2048)
def phrases(index: Index) -> Mapping[tuple[str, ...], list[tuple[tuple[str, ...], bool, Meaning]]]:
    """The terms of an index by their gloss: their stems, whether they are matched in capitals only, their meaning."""
    result: dict[tuple[str, ...], list[tuple[tuple[str, ...], bool, Meaning]]] = {}
    for parts, cased, meaning in index.entries():
        result.setdefault(gloss_of(parts), []).append((parts, cased, meaning))
    return result


@functools.lru_cache(maxsize=256)
def known_keys(indexes: tuple[Index, ...]) -> frozenset[str]:
    """The keys of the concepts in some indexes."""
    entries = itertools.chain.from_iterable(index.entries() for index in indexes)
    return frozenset(meaning.key for _, _, meaning in entries if meaning.kind == CONCEPT)


@functools.lru_cache(maxsize=256)
def known_stems(indexes: tuple[Index, ...]) -> frozenset[str]:
    """The stems of all terms in some indexes: English words that the assets and their source use themselves."""
    entries = itertools.chain.from_iterable(index.entries() for index in indexes)
    return frozenset(itertools.chain.from_iterable(parts for parts, _, _ in entries))


@functools.cache
def words_of() -> Mapping[str, Word]:
    """Every word of the lexicons."""
    known: dict[str, Word] = {}
    for text, english, meaning in itertools.chain(_findings(), _attributes()):
        _put(known, text, english, meaning=meaning)
    for english, texts in itertools.chain(_anatomy().places.items(), _vertebrae()):
        for text in texts:
            _put(known, text, english, meaning=Meaning(PLACE, place_key(english)))
    for english, texts in _read("descriptions").items():
        for text in texts:
            _put(known, text, english)
    _put_cues(known)
    units = msgspec.convert(_read("units"), _Units)
    for english, texts in units.units.items():
        for text in texts:
            _put(known, text, english, role=UNIT, gloss=False)
    plain = msgspec.convert(_read("plain"), _Plain)
    for english, texts in plain.english.items():
        for text, end in itertools.product(texts, ("",) if english == _ON else _ENDS):
            _put(known, text + end, english, role=PLAIN, gloss=english != _ON, lead=True)
    for role, texts in ((MEASURE, units.measure), (PLAIN, plain.words), (SKIPPED, plain.skipped)):
        for text in texts.split():
            _put(known, text, text, role=role, gloss=False)
    for text in (*splits(), *sound_words(), *sound_forms(), *_ends(known)):
        known.setdefault(text, Word(text, text))
    return known


def _ends(known: Mapping[str, Word]) -> Iterator[str]:
    """Parts of the names of findings that may stand apart, as `积水` of `肾积水` does in `肾未见积水`.

    Such are what is behind their place, and what is before an end that says something of it: `根分叉` of `根分叉受累`.
    By themselves they say nothing that a rule knows.
    """
    places = {text for texts in _anatomy().places.values() for text in texts}
    for text, _, _ in _findings():
        place = next((text[:length] for length in range(len(text) - 2, 0, -1) if text[:length] in places), text)
        end = text.removeprefix(place)
        if end not in known and _END.fullmatch(end):
            yield end
        front = next((text.removesuffix(end) for end in predicates() if text.endswith(end)), "")
        if place == text and front not in known and len(front) > 1:
            yield front


@functools.cache
def patterns() -> tuple[tuple[re.Pattern[str], Word], ...]:
    """Cues that are known by their form: dates, ages, names before a title."""
    return tuple(
        (re.compile(entry.pattern), Word(entry.kind, entry.kind, roles=frozenset({entry.kind, PATTERN})))
        for entry in _cue_data().patterns
    )


@functools.cache
def splits() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Words that say two things, such as both sides in `两肺`: their parts, each with the word that it stands for."""
    data = msgspec.convert(_read("attributes"), _Attributes)
    pairs = {both + organ: ((both, _BOTH_SIDES), (organ, organ)) for both in _BOTH for organ in _anatomy().paired}
    return pairs | {text: tuple(parts.items()) for text, parts in data.splits.items()}


def predicates() -> tuple[str, ...]:
    """Ends of terms that are a statement by themselves: `心影增大`."""
    return _cue_data().predicates


@functools.cache
def sound_words() -> Mapping[str, str]:
    """Words by which a text calls an organ sound, with the English word of that sense."""
    return {text: english for english, texts in _cue_data().sound.items() for text in texts}


@functools.cache
def sound_forms() -> Mapping[str, str]:
    """Words for that in which an organ is sound, with the English word of that sense."""
    return {text: english for english, texts in _cue_data().sound_in.items() for text in texts}


def openings() -> Openings:
    """How closed answers begin."""
    return _cue_data().openings


@functools.lru_cache(maxsize=256)
def index_words(indexes: tuple[Index, ...]) -> Mapping[str, Word]:
    """The Chinese terms that cards and annotations bring along, such as the concepts of a Chinese source."""
    found: dict[str, Word] = {}
    for parts, _, _ in itertools.chain.from_iterable(index.entries() for index in indexes):
        text = "".join(parts)
        if any("一" <= character <= "鿿" for character in text):
            found[text] = Word(text, text, glosses=(gloss_of(parts),))
    return found


def _findings() -> Iterator[tuple[str, str, Meaning]]:
    for chapter in _read("findings").values():
        for english, texts in chapter.items():
            for text in texts:
                yield text, english, Meaning(CONCEPT, concept_key(english))


def _attributes() -> Iterator[tuple[str, str, Meaning]]:
    for attribute, values in msgspec.convert(_read("attributes"), _Attributes).values.items():
        for standard, texts in values.items():
            for text in texts:
                yield text, standard, Meaning(ATTRIBUTE, standard, attribute)
                for place in _places_within(text):
                    yield text, standard, Meaning(PLACE, place_key(place))


def _places_within(text: str) -> list[str]:
    """The place in the body that an attribute's word begins with: `乳腺X线摄影` shows the breast."""
    return [
        english
        for english, texts in _anatomy().places.items()
        if any(text != place and text.startswith(place) and len(place) > 1 for place in texts)
    ][:1]


def _vertebrae() -> Iterator[tuple[str, list[str]]]:
    for letter, region, count in _REGIONS:
        for number in range(1, count + 1):
            numeral = _numeral(number)
            texts = [f"第{n}{region}椎{end}" for n in (number, numeral) for end in ("", "体")]
            texts += [f"{region}椎{number}", f"{region}{number}椎体", f"{region}{numeral}椎体"]
            yield f"{letter}{number} vertebra", texts
    for number in range(1, 13):
        yield (
            f"rib {number}",
            [f"第{n}{end}" for n in (number, _numeral(number)) for end in ("肋", "肋骨", "前肋", "后肋")],
        )


def _numeral(number: int) -> str:
    return _DIGITS[number] if number <= 10 else "十" + _DIGITS[number - 10]


@functools.cache
def _cue_data() -> _Cues:
    return msgspec.convert(_read("cues"), _Cues)


def _put_cues(known: dict[str, Word]) -> None:
    data = _cue_data()
    for kind, groups in data.cues.items():
        for english, texts in groups.items():
            for text in texts:
                _put(known, text, english, role=kind, gloss=kind == SIDES or text in _NONE, lead=True)
    for composed in data.composed:
        for parts in itertools.product(*composed.parts):
            _put(known, "".join(parts), composed.gloss, role=composed.kind, gloss=False, lead=True)


def _put(
    known: dict[str, Word],
    text: str,
    english: str,
    *,
    meaning: Meaning | None = None,
    role: str | None = None,
    gloss: bool = True,
    lead: bool = False,
) -> None:
    """Add what a word stands for; what is there stays, but the first cue (`lead`) gives its English to `low`."""
    word = known.get(text) or Word(text, english)
    parts = gloss_of(stems(english)) if gloss else ()
    known[text] = Word(
        text,
        english if lead and not word.roles else word.low,
        (*word.glosses, parts) if parts and parts not in word.glosses else word.glosses,
        (*word.meanings, meaning) if meaning is not None and meaning not in word.meanings else word.meanings,
        word.roles if role is None else word.roles | {role},
    )
