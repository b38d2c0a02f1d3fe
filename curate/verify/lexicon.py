"""The words that rules know: clinical terms with synonyms, what images are called, cues, and words that say nothing.

They stand in `lexicons/`, which is written independently of the wordings of tasks.
"""

import functools
import importlib.resources
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import yaml

from curate.dicom_names import table_text
from curate.schema import identity
from curate.verify.text import NUMBER, STOP, WORD, Token, is_acronym, stem, stems, tokenise

__all__ = [
    "ATTRIBUTE",
    "CONCEPT",
    "VALUE",
    "Cues",
    "Index",
    "Meaning",
    "Mention",
    "attribute_key",
    "concept_key",
    "cues",
    "index_of",
    "lexicons_digest",
    "plain_words",
    "vocabulary_index",
]

CONCEPT: Final = "concept"
ATTRIBUTE: Final = "attribute"
VALUE: Final = "value"

_CASED_LENGTH: Final = 3
"""A term in capitals of up to so many letters is matched in capitals only: `US`, `HE`, `PA` are words otherwise."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a term stands for. `key` compares; `of` is the attribute's name, or the concept whose value it is."""

    kind: str
    key: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """A term in a text: its first token, the token after its last, and all that it may mean."""

    start: int
    end: int
    meanings: tuple[Meaning, ...]

    def key(self, kind: str) -> str | None:
        """The key of its meaning of a kind."""
        return next((meaning.key for meaning in self.meanings if meaning.kind == kind), None)


class PlainWords(msgspec.Struct, frozen=True):
    """Words without clinical content, and plurals that no rule gives."""

    words: str
    irregular: dict[str, str]

    def stems(self) -> frozenset[str]:
        """The words' stems."""
        return frozenset(stem(word) for word in self.words.split())


class Cues(msgspec.Struct, frozen=True):
    """Words that turn, soften, widen or number a statement."""

    before: tuple[str, ...]
    around: tuple[str, ...]
    hedges: tuple[str, ...]
    contrast: tuple[str, ...]
    verbs: tuple[str, ...]
    quantities: tuple[str, ...]
    complete: tuple[str, ...]
    invisible: tuple[str, ...]
    numbers: dict[str, int]
    units: tuple[str, ...]


@functools.cache
def lexicons_digest() -> str:
    """One digest over every lexicon: part of the fingerprint of whatever verifies."""
    folder = importlib.resources.files(__package__).joinpath("lexicons")
    files = sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yaml"))
    return identity(*itertools.chain.from_iterable(files), table_text())


def _yaml(name: str) -> Any:
    return yaml.safe_load(importlib.resources.files(__package__).joinpath("lexicons", name).read_text("utf-8"))


@functools.cache
def plain_words() -> PlainWords:
    """`lexicons/plain.yaml`."""
    return msgspec.convert(_yaml("plain.yaml"), PlainWords)


@functools.cache
def plain_stems() -> frozenset[str]:
    """Stems of words that a template may use freely."""
    return plain_words().stems()


@functools.cache
def cues() -> Cues:
    """`lexicons/cues.yaml`."""
    return msgspec.convert(_yaml("cues.yaml"), Cues)


@functools.cache
def _attributes() -> dict[str, dict[str, tuple[str, ...]]]:
    return msgspec.convert(_yaml("attributes.yaml"), dict[str, dict[str, tuple[str, ...]]])


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
    chapters = msgspec.convert(_yaml("findings.yaml"), dict[str, tuple[tuple[str, ...], ...]])
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

    def add(self, term: str, meaning: Meaning) -> None:
        """Let a term stand for a meaning."""
        parts = stems(term)
        if not parts:
            return
        bare = term.strip()
        entry = (parts, bare.isupper() and bare.isalpha() and len(bare) <= _CASED_LENGTH, meaning)
        group = self._terms.setdefault(parts[0], [])
        if entry not in group:
            group.append(entry)
            group.sort(key=lambda known: -len(known[0]))

    def found(self, tokens: Sequence[Token], words: tuple[str, ...]) -> Iterator[tuple[int, int, Meaning]]:
        """The terms in a text: first token, the token after the last, meaning. `words` are the stems of its tokens."""
        terms = self._terms
        for place, word in enumerate(words):
            for parts, cased, meaning in terms.get(word, ()):
                end = place + len(parts)
                if words[place:end] == parts and not (cased and not _in_capitals(tokens[place].raw)):
                    yield place, end, meaning


def _in_capitals(word: str) -> bool:
    return word.isupper() or is_acronym(word)


@functools.cache
def _general_index() -> Index:
    index = Index()
    for term, key in _synonyms().items():
        index.add(term, Meaning(CONCEPT, key))
    for attribute, values in _attributes().items():
        for standard, known in values.items():
            for term in known:
                index.add(term, Meaning(ATTRIBUTE, standard, attribute))
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
    candidates: dict[tuple[int, int], tuple[int, list[Meaning]]] = {}
    for rank, index in enumerate((_general_index(), *indexes)):
        for start, end, meaning in index.found(tokens, words):
            known = candidates.get((start, end), (rank, []))[1]
            candidates[start, end] = (rank, known if meaning in known else [*known, meaning])
    if not candidates:
        return ()
    taken: set[int] = set()
    found = []
    for (start, end), (_, meanings) in sorted(candidates.items(), key=_preference):
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            found.append(Mention(start, end, tuple(meanings)))
    return tuple(sorted(found, key=lambda mention: mention.start))


def _preference(candidate: tuple[tuple[int, int], tuple[int, list[Meaning]]]) -> tuple[int, int, int]:
    (start, end), (rank, _) = candidate
    return start - end, -rank, start


_CUE_KINDS: Final = ("before", "around", "hedges", "contrast", "verbs", "quantities", "complete", "invisible")


@functools.cache
def _cue_terms() -> Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]:
    """First word, in small letters: the cues that begin with it and their kinds, longest first."""
    result: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for kind in _CUE_KINDS:
        for term in getattr(cues(), kind):
            parts = tuple(token.low for token in tokenise(term) if token.kind != STOP)
            result.setdefault(parts[0], []).append((parts, kind))
    return {first: tuple(sorted(terms, key=lambda term: -len(term[0]))) for first, terms in result.items()}


def find_cues(tokens: Sequence[Token], covered: frozenset[int]) -> dict[str, list[tuple[int, int]]]:
    """Where cues stand, by kind, as spans of tokens; words within a mention are none."""
    known = _cue_terms()
    spans: dict[str, list[tuple[int, int]]] = {kind: [] for kind in _CUE_KINDS}
    for place, token in enumerate(tokens):
        if token.low not in known or place in covered:
            continue
        for parts, kind in known[token.low]:
            free = not spans[kind] or spans[kind][-1][1] <= place
            if free and (len(parts) == 1 or tuple(t.low for t in tokens[place : place + len(parts)]) == parts):
                spans[kind].append((place, place + len(parts)))
    return spans
