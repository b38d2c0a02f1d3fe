"""Text as tokens: words with their stems, numbers, brackets and stops.

The stem only serves to compare: singular and plural, British and American spelling, capital and small letters of one
word have one stem. It is no dictionary form.
"""

import functools
import re
from typing import Final

import msgspec

__all__ = ["NUMBER", "STOP", "WORD", "Token", "american", "is_acronym", "normal", "stem", "stems", "tokenise"]

WORD: Final = "word"
NUMBER: Final = "number"
STOP: Final = "stop"  # ends a clause: . ? ! ; : and a new line
COMMA: Final = "comma"
OTHER: Final = "other"

_TOKEN: Final = re.compile(
    r"(?P<number>(?<![\w.])(?:(?<![^\s\[(,])-)?\d+(?:\.\d+)?(?![\w]|\.\d))"
    r"|(?P<word>[^\W_]+(?:['’][^\W\d_]+)?)"
    r"|(?P<stop>[.?!;:\n]+)"
    r"|(?P<comma>,)"
    r"|(?P<other>[^\s\w]|_)"
)
_SPELLINGS: Final = (
    ("haem", "hem"), ("oedem", "edem"), ("oesoph", "esoph"), ("anaem", "anem"), ("leuc", "leuk"), ("aemia", "emia"),
    ("tumour", "tumor"), ("paed", "ped"), ("ischaem", "ischem"), ("colour", "color"), ("fibre", "fiber"),
)  # fmt: skip
_SHORT: Final = 3
"""Words up to this length are their own stem."""


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of text; `low` is it in small letters, `stem` of a number is the number without useless zeros."""

    kind: str
    raw: str
    low: str
    stem: str
    start: int
    end: int


@functools.lru_cache(maxsize=16384)
def tokenise(text: str) -> tuple[Token, ...]:
    """The tokens of a text. Hyphens, slashes, parentheses and quotes separate words and leave no token."""
    tokens = []
    for found in _TOKEN.finditer(text):
        kind, raw = found.lastgroup or OTHER, found[0]
        if kind == OTHER and raw in '-/_–—()"“”':
            continue
        low = raw.lower().replace("’", "'")
        tokens.append(Token(kind, raw, low, _stem_of(kind, raw), found.start(), found.end()))
    return tuple(tokens)


def normal(text: str) -> str:
    """The words and numbers of a text in small letters, without marks."""
    return " ".join([found[0].lower() for found in _TOKEN.finditer(text) if found.lastgroup in (WORD, NUMBER)]).replace(
        "’", "'"
    )


def stems(text: str) -> tuple[str, ...]:
    """The stems of the words and numbers of a term."""
    return tuple(token.stem for token in tokenise(text) if token.kind in (WORD, NUMBER))


def _stem_of(kind: str, raw: str) -> str:
    if kind == NUMBER:
        return raw.rstrip("0").rstrip(".") if "." in raw else raw
    return stem(raw) if kind == WORD else raw


@functools.lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """What singular and plural of a word have in common."""
    low = (word[:-1] if is_acronym(word) else word).casefold().replace("’", "'")
    low = american(_irregular().get(low, low)).removesuffix("'s")
    if len(low) <= _SHORT or not low.isalpha():
        return low
    if low.endswith("ies"):
        return low[:-3] + "y"
    if low.endswith("es"):
        return low[:-2]
    if low.endswith("is"):
        return low[:-2]
    if low.endswith("s") and not low.endswith(("ss", "us")):
        low = low[:-1]
    return low.removesuffix("e")


def american(low: str) -> str:
    """A word in small letters in American spelling, as far as it tells British words apart."""
    for british, spelling in _SPELLINGS:
        low = low.replace(british, spelling)
    return low


def is_acronym(word: str) -> bool:
    """True for several of an acronym: `RBCs`."""
    return len(word) > 2 and word.endswith("s") and word[:-1].isupper()


def _irregular() -> dict[str, str]:
    from curate.verify.common_words import plain_words

    return plain_words().irregular
