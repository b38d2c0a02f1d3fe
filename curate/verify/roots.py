"""What words of one family have in common: `thickened`, `thickening` and `thick`, `stenotic` and `stenosis`.

A root only serves to compare the words of a text with those of its own source. It is no morpheme: endings of English
and of its Greek and Latin terms are taken off while enough is left, the longest first.
"""

import functools
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from curate.verify.common_words import ordinary_words, plain_words, severe_words
from curate.verify.lexicon import anatomy, general_index, read_yaml
from curate.verify.text import american, stem, tokenise

__all__ = ["bare_root", "form_roots", "is_word", "root", "stand_alone", "unlike_roots"]

_LONG: Final = 4
"""So many letters at least are left of a word."""
_SHORT: Final = 3
"""Of a word with one of the endings of Greek, so many."""
_GREEK: Final = re.compile(r"(?:osis|oses|otic|osed|ized|ised)$")
_ENDINGS: Final = re.compile(
    r"(?:ifications?|ified|ifies|ify|ifying|izations?|isations?|izing|ising|atous|ations?|ated|ating|ate|ements?"
    r"||ments?|ened|ening|edly|ed|ing|ions?|ious|ives?|osity|ous|ness|ities|ity|ogenicity|ogenic|oic|ically|ally|ly"
    r"|ancy|ancies|ant|ency|ent|asis|ases|atic|esis|eses|etic|emia|emic|ia|ical|ic|ied|ies|ian|oidal|oid|ial|al|ary|ar|is|y|es|e|s|a)$"
)
_OF_ADJECTIVES: Final = frozenset({"ity", "ities", "ly", "ness"})
_ADJECTIVE: Final = re.compile(r"(?:al|ar|ic|ed|iv|e)$")
"""Before endings that follow an adjective, the ending of that goes too: `irregularity`."""
_DOUBLE: Final = re.compile(r"([bdfglmnprt])\1$")


class Families(msgspec.Struct, frozen=True):
    """`lexicons/families.yaml`: words of one family that no ending tells; words that say too little for a name;
    words that look as if they were of a family and are of none; words for the form that an organ has taken on."""

    families: tuple[tuple[str, ...], ...]
    apart: tuple[str, ...]
    alone: tuple[str, ...]
    forms: tuple[str, ...]


@functools.cache
def _families() -> Families:
    return msgspec.convert(read_yaml("families.yaml"), Families)


@functools.cache
def _irregular() -> Mapping[str, str]:
    return {bare_root(word): bare_root(family[0]) for family in _families().families for word in family}


@functools.cache
def unlike_roots() -> frozenset[str]:
    """Roots that say too little to stand for a name: `tissue`, `type`, `normal`."""
    return frozenset(root(word) for word in _families().apart)


@functools.cache
def form_roots() -> frozenset[str]:
    """Roots of words for the size and form that an organ has taken on."""
    return frozenset(root(word) for word in _families().forms)


@functools.cache
def stand_alone() -> frozenset[str]:
    """Words, in small letters, that have no root with others: `massive` is no mass."""
    return frozenset(_families().alone) | severe_words()


@functools.lru_cache(maxsize=16384)
def root(word: str) -> str:
    """What a word shares with its family."""
    bare = bare_root(word)
    return _irregular().get(bare, bare)


@functools.lru_cache(maxsize=16384)
def is_word(low: str) -> bool:
    """True for a word of the lexicons, told from the beginning of a longer one."""
    return low in _words()


@functools.cache
def _words() -> frozenset[str]:
    """All words of the lexicons as they stand there, in small letters."""
    ordinary = ordinary_words()
    groups = [ordinary.words, ordinary.verbs, ordinary.asking, ordinary.measuring, plain_words().words]
    terms = [term for names in general_index().names.values() for term in names]
    terms += [term for group in anatomy().places for term in group]
    terms += [word for family in _families().families for word in family]
    return frozenset(token.low for text in (*groups, *terms) for token in tokenise(text))


@functools.lru_cache(maxsize=16384)
def bare_root(word: str) -> str:
    """A word without its ending."""
    low = stem(word)
    plain = american(word.casefold()).removesuffix("'s")
    found = _GREEK.search(plain)
    if found is not None and found.start() >= _SHORT:
        return plain[: found.start()]
    for form in (plain, low):
        for ending in _candidates(form):
            left = form[: len(form) - len(ending)]
            if len(left) >= _LONG:
                more = _ADJECTIVE.sub("", left) if ending in _OF_ADJECTIVES else left
                return _DOUBLE.sub(r"\1", more if len(more) >= _LONG else left)
    return _DOUBLE.sub(r"\1", low)


def _candidates(form: str) -> list[str]:
    """The endings of a word, longest first."""
    return [form[at:] for at in range(len(form)) if _ENDINGS.fullmatch(form[at:])]
