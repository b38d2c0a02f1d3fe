"""Words that say nothing clinical: of templates, of ordinary English, and of questions and measures alone."""

import functools
from collections.abc import Iterator

import msgspec

from curate.verify.lexicon import read_yaml
from curate.verify.text import stem

__all__ = [
    "asking_stems",
    "known_stems",
    "measuring_stems",
    "ordinary_words",
    "plain_stems",
    "plain_words",
    "severe_words",
    "telling_adverbs",
]


class OrdinaryWords(msgspec.Struct, frozen=True):
    """Ordinary English: verbs that are inflected by rule, and words as they are."""

    verbs: str
    doubling: str
    words: str
    severe_before_a_finding: tuple[str, ...]
    telling_adverbs: str
    asking: str
    measuring: str


class PlainWords(msgspec.Struct, frozen=True):
    """Words without clinical content, and plurals that no rule gives."""

    words: str
    irregular: dict[str, str]

    def stems(self) -> frozenset[str]:
        """The words' stems."""
        return frozenset(stem(word) for word in self.words.split())


@functools.cache
def plain_words() -> PlainWords:
    """`lexicons/plain.yaml`."""
    return msgspec.convert(read_yaml("plain.yaml"), PlainWords)


@functools.cache
def plain_stems() -> frozenset[str]:
    """Stems of words that a template may use freely."""
    return plain_words().stems()


@functools.cache
def ordinary_words() -> OrdinaryWords:
    """`lexicons/ordinary.yaml`."""
    return msgspec.convert(read_yaml("ordinary.yaml"), OrdinaryWords)


@functools.cache
def known_stems() -> frozenset[str]:
    """Stems of all words that say nothing clinical: what a model may use freely."""
    ordinary = ordinary_words()
    inflected = {form for verb in ordinary.verbs.split() for form in _inflected(verb, "")}
    inflected |= {form for verb in ordinary.doubling.split() for form in _inflected(verb, verb[-1])}
    return plain_stems() | {stem(word) for word in (*ordinary.words.split(), *inflected)}


@functools.cache
def telling_adverbs() -> frozenset[str]:
    """Adverbs that say how much, where or when something is, so that an annotation has to give them."""
    return frozenset(ordinary_words().telling_adverbs.split())


@functools.cache
def asking_stems() -> frozenset[str]:
    """Stems of the words that only a question may use."""
    return frozenset(stem(word) for word in ordinary_words().asking.split())


@functools.cache
def measuring_stems() -> frozenset[str]:
    """Stems of the words that only a text with a measure may use."""
    return frozenset(stem(word) for word in ordinary_words().measuring.split())


def _inflected(verb: str, doubled: str) -> Iterator[str]:
    """The regular forms of an English verb."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        yield from (verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing")
    elif verb.endswith("e"):
        yield from (verb, verb + "s", verb + "d", verb[:-1] + "ing")
    else:
        hissing = "es" if verb.endswith(("s", "x", "z", "ch", "sh")) else "s"
        yield from (verb, verb + hissing, f"{verb}{doubled}ed", f"{verb}{doubled}ing")


@functools.cache
def severe_words() -> frozenset[str]:
    """Words that speak of severity where a finding follows."""
    return frozenset(ordinary_words().severe_before_a_finding)
