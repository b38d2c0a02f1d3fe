"""The words that rules know: clinical terms with synonyms, what images are called, cues, and words that say nothing.

They stand in `lexicons/`, which is written independently of the wordings of tasks.
"""

import functools
import importlib.resources
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from curate.dicom_names import table_text
from curate.schema import identity
from curate.verify.reviewed import descriptor_texts
from curate.verify.text import NUMBER, WORD, Token, is_acronym, stems

__all__ = [
    "ATTRIBUTE",
    "CONCEPT",
    "PLACE",
    "QUANTITY",
    "VALUE",
    "Index",
    "Meaning",
    "Mention",
    "adjectives_of",
    "aliases",
    "anatomy",
    "attribute_key",
    "attribute_keys",
    "broader",
    "concept_key",
    "contents",
    "definitions_text",
    "general_index",
    "index_of",
    "lexicons_digest",
    "mentions",
    "place_key",
    "place_terms",
    "predicates",
    "read_yaml",
    "terms_of",
    "vocabulary_index",
]

CONCEPT: Final = "concept"
ATTRIBUTE: Final = "attribute"
VALUE: Final = "value"
PLACE: Final = "place"
QUANTITY: Final = "quantity"

_SIDES: Final = frozenset({"left", "right", "both", "either"})
_NO: Final = "no"
_CASED_LENGTH: Final = 3
"""A term in capitals of up to so many letters is matched in capitals only: `US`, `HE`, `PA` are words otherwise."""


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What a term stands for. `key` compares; `of` is the attribute's name, or the concept whose value it is."""

    kind: str
    key: str
    of: str = ""


class Mention(msgspec.Struct, frozen=True, gc=False):
    """A term in a text: its first token, the token after its last, and all that it may mean.

    `denies`: it names a finding by saying that it is not there, as `the heart is of normal size` does. `implied`: it is
    one of all that such a statement may deny, so that it says nothing where nothing is known of it. `split`: a side
    stands within it that is no part of its name.
    """

    start: int
    end: int
    meanings: tuple[Meaning, ...]
    denies: bool = False
    implied: bool = False
    split: bool = False

    def key(self, kind: str) -> str | None:
        """The key of its meaning of a kind."""
        for meaning in self.meanings:
            if meaning.kind == kind:
                return meaning.key
        return None


class Anatomy(msgspec.Struct, frozen=True):
    """Places in the body, and which of them a modality or a finding names by its nature."""

    places: tuple[tuple[str, ...], ...]
    within: dict[str, str]
    modality: dict[str, tuple[str, ...]]
    finding: dict[str, tuple[str, ...]]


@functools.cache
def lexicons_digest() -> str:
    """One digest over every lexicon: part of the fingerprint of whatever verifies."""
    folder = importlib.resources.files(__package__).joinpath("lexicons")
    files = sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yaml"))
    return identity(*itertools.chain.from_iterable([*files, *descriptor_texts()]), definitions_text(), table_text())


def definitions_text() -> str:
    """The reviewed definitions that questions may hold: data of the tasks, read here on their own."""
    return importlib.resources.files("curate").joinpath("tasks", "wordings", "definitions.yaml").read_text("utf-8")


def read_yaml(name: str) -> Any:
    """A file of `lexicons/`."""
    text = importlib.resources.files(__package__).joinpath("lexicons", name).read_text("utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


@functools.cache
def anatomy() -> Anatomy:
    """`lexicons/anatomy.yaml`."""
    return msgspec.convert(read_yaml("anatomy.yaml"), Anatomy)


@functools.cache
def _place_stems() -> dict[tuple[str, ...], str]:
    return {stems(term): " ".join(stems(group[0])) for group in anatomy().places for term in group}


@functools.lru_cache(maxsize=4096)
def place_key(term: str) -> str:
    """What synonyms of a place have in common: `lung`, `pulmonary` and `lung fields` have one key."""
    parts = stems(term)
    return _place_stems().get(parts, " ".join(parts))


@functools.lru_cache(maxsize=4096)
def place_terms(name: str) -> tuple[str, ...]:
    """The synonyms of a concept that is a place in the body; none of another."""
    parts = stems(name)
    key = _place_stems().get(parts)
    return () if key is None else next(group for group in anatomy().places if " ".join(stems(group[0])) == key)


_ADJECTIVES: Final = (
    ("osis", "otic"), ("esis", "etic"), ("asis", "atic"), ("trophy", "trophied"), ("trophy", "trophic"),
    ("ation", "ated"), ("ema", "ematous"), ("oma", "omatous"), ("ure", "ured"), ("ement", "ed"), ("ment", "ed"),
    ("ening", "ened"), ("owing", "owed"), ("emia", "emic"), ("plasia", "plastic"),
    ("itis", "itic"), ("cy", "t"), ("sion", "sed"), ("ction", "cted"), ("ation", "ating"), ("y", "ied"),
)  # fmt: skip
"""Endings of nouns for findings, and of the words that say the same of an organ: `stenosis`, `stenotic`."""


@functools.lru_cache(maxsize=4096)
def adjectives_of(name: str) -> tuple[str, ...]:
    """The adjectives of a finding that is one word."""
    low = name.strip().lower()
    if not low.isalpha():
        return ()
    return tuple(low.removesuffix(noun) + adjective for noun, adjective in _ADJECTIVES if low.endswith(noun))


@functools.cache
def broader() -> Mapping[str, frozenset[str]]:
    """Keys of general words: the keys of the findings that they cover; `*` covers all."""
    raw = msgspec.convert(read_yaml("broader.yaml"), dict[str, tuple[str, ...]])
    return {
        concept_key(name): frozenset(kind if kind == "*" else concept_key(kind) for kind in kinds)
        for name, kinds in raw.items()
    }


@functools.cache
def _kinds_of_image() -> Mapping[tuple[str, str], frozenset[str]]:
    raw = msgspec.convert(read_yaml("kinds_of_image.yaml"), dict[str, dict[str, tuple[str, ...]]])
    return {
        (attribute, attribute_key(attribute, name)): frozenset(attribute_key(attribute, n) for n in names)
        for attribute, group in raw.items()
        for name, names in group.items()
    }


def attribute_keys(attribute: str, value: str) -> frozenset[str]:
    """The key of an attribute's value, and those of the words that it falls under: light microscopy is microscopy."""
    key = attribute_key(attribute, value)
    parts = stems(value)
    heads = (_attribute_stems().get((attribute, parts[n:])) for n in range(1, len(parts)))
    kind = next((head for head in heads if head is not None), None) if attribute == "modality" else None
    return frozenset({key} if kind is None else {key, kind}) | _kinds_of_image().get((attribute, key), frozenset())


@functools.cache
def contents() -> Mapping[str, Mapping[str, str]]:
    """Word, in small letters: the key of the place in which it is a finding, and the key of that."""
    raw = msgspec.convert(read_yaml("contents.yaml"), dict[str, dict[str, str]])
    return {
        word: {place_key(place): concept_key(finding) for place, finding in pairs.items()}
        for word, pairs in raw.items()
    }


@functools.cache
def aliases() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Key of a place: pairs of keys that name one finding where nothing but that place is shown."""
    raw = msgspec.convert(read_yaml("aliases.yaml"), dict[str, dict[str, str]])
    return {
        place_key(place): tuple((concept_key(general), concept_key(specific)) for general, specific in pairs.items())
        for place, pairs in raw.items()
    }


@functools.cache
def terms_of(key: str) -> tuple[str, ...]:
    """The synonyms of a finding."""
    return tuple(term for term, known in _synonyms().items() if known == key)


@functools.cache
def predicates() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Word, in small letters: the place of which it tells a finding, and the finding: heart, cardiomegaly."""
    raw = msgspec.convert(read_yaml("predicates.yaml"), dict[str, dict[str, tuple[str, ...]]])
    result: dict[str, list[tuple[str, str]]] = {}
    for finding, places in raw.items():
        for place, words in places.items():
            for word in words:
                result.setdefault(word, []).append((place_key(place), concept_key(finding)))
    return {word: tuple(pairs) for word, pairs in result.items()}


@functools.cache
def _attributes() -> dict[str, dict[str, tuple[str, ...]]]:
    return msgspec.convert(read_yaml("attributes.yaml"), dict[str, dict[str, tuple[str, ...]]])


@functools.cache
def _attribute_stems() -> dict[tuple[str, tuple[str, ...]], str]:
    return {
        (attribute, stems(term)): standard
        for attribute, values in _attributes().items()
        for standard, terms in values.items()
        for term in (standard, *terms)
    }


@functools.cache
def _synonyms() -> dict[str, str]:
    """Every clinical term: the key of its meaning."""
    chapters = msgspec.convert(read_yaml("findings.yaml"), dict[str, tuple[tuple[str, ...], ...]])
    return {term: " ".join(stems(group[0])) for groups in chapters.values() for group in groups for term in group}


@functools.cache
def _synonym_stems() -> dict[tuple[str, ...], str]:
    return {stems(term): key for term, key in _synonyms().items()}


@functools.lru_cache(maxsize=16384)
def concept_key(name: str) -> str:
    """What synonyms have in common: `RBC`, `Red_Blood_Cells` and `erythrocyte` have one key."""
    parts = stems(name)
    return _synonym_stems().get(parts, " ".join(parts))


@functools.lru_cache(maxsize=4096)
def attribute_key(attribute: str, value: str) -> str:
    """The standard name of an attribute's value in words; an unknown value is its own."""
    parts = stems(value)
    return _attribute_stems().get((attribute, parts), " ".join(parts))


class Index:
    """Terms by their first stem, longest first."""

    def __init__(self) -> None:
        self._terms: dict[str, list[tuple[tuple[str, ...], bool, Meaning]]] = {}
        self.names: dict[str, list[str]] = {}
        """The terms of each finding as they were added, by its key."""

    def add(self, term: str, meaning: Meaning) -> None:
        """Let a term stand for a meaning."""
        parts = stems(term)
        if not parts:
            return
        if meaning.kind == CONCEPT:
            self.names.setdefault(meaning.key, []).append(term)
        bare = term.strip()
        entry = (parts, bare.isupper() and bare.isalpha() and len(bare) <= _CASED_LENGTH, meaning)
        group = self._terms.setdefault(parts[0], [])
        if entry not in group:
            group.append(entry)
            group.sort(key=lambda known: -len(known[0]))

    def entries(self) -> Iterator[tuple[tuple[str, ...], bool, Meaning]]:
        """Every term: its stems, whether it is matched in capitals only, its meaning."""
        for group in self._terms.values():
            yield from group

    def meaning_of(self, parts: tuple[str, ...]) -> Meaning | None:
        """The first meaning of a term, by its stems."""
        return next((meaning for known, _, meaning in self._terms.get(parts[0], ()) if known == parts), None)

    def found(self, tokens: Sequence[Token], words: tuple[str, ...]) -> Iterator[tuple[int, int, Meaning]]:
        """The terms in a text: first token, the token after the last, meaning. `words` are the stems of its tokens."""
        terms = self._terms
        for place, word in enumerate(words):
            for parts, cased, meaning in terms.get(word, ()):
                end = place + len(parts)
                raw = tokens[place].raw
                if words[place:end] == parts and (not cased or raw.isupper() or is_acronym(raw)):
                    yield place, end, meaning


@functools.cache
def general_index() -> Index:
    """The terms of the lexicons: findings, modalities and views, places."""
    index = Index()
    for term, key in _synonyms().items():
        index.add(term, Meaning(CONCEPT, key))
    for attribute, values in _attributes().items():
        for standard, known in values.items():
            for term in known:
                index.add(term, Meaning(ATTRIBUTE, standard, attribute))
    for group in anatomy().places:
        for term in group:
            index.add(term, Meaning(PLACE, place_key(term)))
    return index


@functools.lru_cache(maxsize=1024)
def index_of(terms: frozenset[tuple[str, Meaning]]) -> Index:
    """The index of some terms; of equal terms the same one, so that texts read with it can be remembered."""
    index = Index()
    for term, meaning in sorted(terms, key=lambda entry: (entry[0], entry[1].kind, entry[1].key, entry[1].of)):
        index.add(term, meaning)
    return index


@functools.lru_cache(maxsize=64)
def vocabulary_index(names: frozenset[str]) -> Index:
    """The terms of a vocabulary."""
    return index_of(frozenset((name, Meaning(CONCEPT, concept_key(name))) for name in names))


def mentions(tokens: Sequence[Token], indexes: Sequence[Index]) -> tuple[Mention, ...]:
    """The terms in a text, from left to right, without overlap.

    The longest win; of two equally long that overlap, the one from the later index: what the assets themselves name
    goes before the vocabulary of their source, and that before the general terms.
    """
    words = tuple(token.stem if token.kind in (WORD, NUMBER) else "\0" for token in tokens)
    kept = [
        place
        for place, token in enumerate(tokens)
        if token.low not in _SIDES and not (token.low == "sided" and place and tokens[place - 1].low in _SIDES)
    ]
    candidates: dict[tuple[int, int], tuple[int, list[Meaning]]] = {}
    whole: set[tuple[int, int]] = set()
    for rank, index in enumerate((general_index(), *indexes)):
        spans = list(index.found(tokens, words))
        if len(kept) < len(tokens):
            whole.update((start, end) for start, end, _ in spans)
            spans += _across_sides(index, tokens, words, kept)
        for start, end, meaning in spans:
            known = candidates.get((start, end), (rank, []))[1]
            candidates[start, end] = (rank, known if meaning in known else [meaning, *known])
    own = {key for index in indexes for key in index.names}
    taken: set[int] = set()
    found = []
    for (start, end), (_, meanings) in sorted(candidates.items(), key=_preference):
        if words[start] == _NO and own.isdisjoint(m.key for m in meanings) and own & _denial(candidates, (start, end)):
            continue  # a finding of the source is denied, and `no glaucoma` is no class of it
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            split = len(kept) < len(tokens) and (start, end) not in whole
            found.append(Mention(start, end, tuple(meanings), split=split))
    return tuple(sorted(found, key=lambda mention: mention.start))


def _denial(candidates: Mapping[tuple[int, int], tuple[int, list[Meaning]]], span: tuple[int, int]) -> frozenset[str]:
    """What a term that begins with `no` denies: glaucoma, of `no glaucoma`."""
    return frozenset(meaning.key for meaning in candidates.get((span[0] + 1, span[1]), (0, []))[1])


def _across_sides(
    index: Index, tokens: Sequence[Token], words: tuple[str, ...], kept: Sequence[int]
) -> Iterator[tuple[int, int, Meaning]]:
    """Terms with a side within them: `fluid in the left pleural space`; the side is no part of the name."""
    fewer = tuple(words[place] for place in kept)
    for start, end, meaning in index.found([tokens[place] for place in kept], fewer):
        first, last = kept[start], kept[end - 1]
        if last - first > end - 1 - start:
            yield first, last + 1, meaning


def _preference(candidate: tuple[tuple[int, int], tuple[int, list[Meaning]]]) -> tuple[int, int, int]:
    (start, end), (rank, _) = candidate
    return start - end, -rank, start
