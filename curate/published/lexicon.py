"""The words that rules look for: phrases by class, sides, and classes that contradict each other. See `lexicons/`."""

import functools
import importlib.resources
import re
from dataclasses import dataclass
from typing import Final

import msgspec
import yaml

__all__ = ["CLASSES", "ClassStatement", "Phrases", "class_lexicon", "name_words", "phrases", "sides"]

_NAME_WORD: Final = re.compile(r"[a-z]+|[\u4e00-\u9fff]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
CLASSES: Final = "classes"
_NO_CLASS: Final[frozenset[str]] = frozenset()


class _Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stem: str
    find: str | None = None


class _Sides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    one_side: dict[str, str]
    organ: dict[str, str]
    both: dict[str, str]
    fields: tuple[str, ...]
    values: tuple[str, ...]
    stems: tuple[str, ...]
    chinese_values: str


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    language: str
    find: str
    cues: str | None = None
    gap: int = 0
    unless: str | None = None
    not_after: str | None = None


class _Classes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: dict[str, tuple[str, ...]]
    contradicted_by: dict[str, tuple[str, ...]]
    opposites: dict[str, tuple[str, ...]]
    statements: dict[str, tuple[_Statement, ...]]
    negation: dict[str, str]
    denied_after: dict[str, str]
    clauses: str


def _yaml(name: str) -> object:
    text = importlib.resources.files("curate.published").joinpath("lexicons", f"{name}.yaml").read_text("utf-8")
    found: object = yaml.safe_load(text)
    return found


@dataclass(frozen=True, slots=True)
class Phrases:
    """A class of phrases: pairs of a literal that every match holds, and what is searched where it occurs.

    `latin` are those that a text of ASCII can hold.
    """

    pairs: tuple[tuple[str, "re.Pattern[str] | None"], ...]
    latin: tuple[tuple[str, "re.Pattern[str] | None"], ...]

    def found(self, low: str) -> str | None:
        """The stem of the first phrase in a text of small letters."""
        for stem, pattern in self.latin if low.isascii() else self.pairs:
            if stem in low and (pattern is None or pattern.search(low)):
                return stem
        return None

    def count(self, low: str) -> int:
        """How often phrases occur."""
        held = [pair for pair in self.pairs if pair[0] in low]
        return sum(low.count(stem) if pattern is None else len(pattern.findall(low)) for stem, pattern in held)


@functools.cache
def _phrase_classes() -> dict[str, tuple[_Phrase, ...]]:
    return msgspec.convert(_yaml("phrases"), dict[str, tuple[_Phrase, ...]])


@functools.cache
def phrases(name: str) -> Phrases:
    """A class of phrases by its name."""
    found = _phrase_classes()[name]
    pairs = tuple((one.stem, re.compile(one.find) if one.find else None) for one in found)
    return Phrases(pairs, tuple(pair for pair in pairs if pair[0].isascii()))


@dataclass(frozen=True, slots=True)
class SideWords:
    """How texts and fields say a side."""

    by_kind: "tuple[tuple[str, re.Pattern[str]], ...]"
    fields: frozenset[str]
    value: "re.Pattern[str]"
    stems: tuple[str, ...]

    def kinds(self, low: str) -> tuple[str, ...]:
        """The kinds of sides that a text of small letters states."""
        if not any(stem in low for stem in self.stems):
            return ()
        return tuple(kind for kind, pattern in self.by_kind if pattern.search(low))

    def named_in(self, value: str) -> bool:
        """True where a value, path or identifier gives a side."""
        return self.value.search(value.lower()) is not None


@functools.cache
def sides() -> SideWords:
    """The words of `lexicons/sides.yaml`."""
    found = msgspec.convert(_yaml("sides"), _Sides)
    kinds = {"one_side": found.one_side, "organ": found.organ, "both": found.both}
    compiled = tuple((name, re.compile("|".join(by_language.values()))) for name, by_language in kinds.items())
    value = re.compile(f"(?<![a-z0-9])(?:{'|'.join(found.values)})(?![a-z0-9])|{found.chinese_values}")
    return SideWords(compiled, frozenset(found.fields), value, found.stems)


@dataclass(frozen=True, slots=True)
class ClassStatement:
    """One way to say a class."""

    find: "re.Pattern[str]"
    unless: "re.Pattern[str] | None"
    not_after: "re.Pattern[str] | None"
    denied_after: "re.Pattern[str]"
    clauses: "re.Pattern[str]"

    def says(self, low: str) -> bool:
        """True where a text of small letters says the class, and does not deny or weigh it."""
        if self.find.search(low) is None or (self.unless is not None and self.unless.search(low)):
            return False
        if self.not_after is None:
            return True
        for clause in self.clauses.split(low):
            for found in self.find.finditer(clause):
                led = self.not_after.search(clause, 0, found.start())
                if led is None and self.denied_after.search(clause[found.end() :]) is None:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class ClassLexicon:
    """Which class a word of a name gives, and which statements contradict a class."""

    by_word: dict[str, str]
    any_word: "re.Pattern[str]"
    contradicted_by: dict[str, tuple[str, ...]]
    opposites: dict[str, tuple[str, ...]]
    statements: dict[str, tuple[ClassStatement, ...]]

    def named(self, names: tuple[str, ...]) -> frozenset[str]:
        """The classes that names give."""
        held = [name for name in names if self.any_word.search(name.lower())]
        if not held:
            return _NO_CLASS
        words = (word for name in held for word in name_words(name))
        return frozenset(self.by_word[word] for word in words if word in self.by_word)

    def says(self, statement: str, low: str) -> bool:
        """True where a text of small letters makes a statement in any language."""
        return any(one.says(low) for one in self.statements[statement])


@functools.cache
def class_lexicon() -> ClassLexicon:
    """The classes of `lexicons/classes.yaml`."""
    found = msgspec.convert(_yaml(CLASSES), _Classes)
    clauses = re.compile(found.clauses)

    def compiled(one: _Statement) -> ClassStatement:
        led = f"(?:{one.cues})[^。；，]{{0,{one.gap}}}(?:{one.find})" if one.cues else one.find
        negation = re.compile(found.negation[one.language]) if one.not_after else None
        unless = re.compile(one.unless) if one.unless else None
        return ClassStatement(re.compile(led), unless, negation, re.compile(found.denied_after[one.language]), clauses)

    by_word = {word: name for name, words in found.names.items() for word in words}
    statements = {name: tuple(compiled(one) for one in ways) for name, ways in found.statements.items()}
    any_word = re.compile("|".join(map(re.escape, by_word)))
    return ClassLexicon(by_word, any_word, found.contradicted_by, found.opposites, statements)


@functools.lru_cache(maxsize=8192)
def name_words(name: str) -> tuple[str, ...]:
    """The words of an identifier or path: `BUSI/Benign (1).png` is busi, benign, png."""
    low = name.lower()
    return tuple(_NAME_WORD.findall(low if low == name else _CAMEL.sub(" ", name).lower()))
