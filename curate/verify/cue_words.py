"""Cues: words that turn, soften, widen or place a statement, as `lexicons/cues.yaml` lists them."""

import functools
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from curate.verify.lexicon import read_yaml
from curate.verify.text import STOP, Token, tokenise

__all__ = ["POLARITY", "Cues", "cues", "find_cues"]

POLARITY: Final = ("sure", "before", "around", "maybe", "maybe_after", "modal")
"""Kinds of which the longest cue at a place speaks alone: `cannot be excluded` denies nothing."""
_ADVERB: Final = "~"
_ADVERBS: Final = frozenset({"yet", "also", "quite", "so", "very", "more", "even", "at", "all"})


class Cues(msgspec.Struct, frozen=True):
    """Words that turn, soften, widen or number a statement."""

    before: tuple[str, ...]
    around: tuple[str, ...]
    maybe: tuple[str, ...]
    maybe_after: tuple[str, ...]
    modal: tuple[str, ...]
    sure: tuple[str, ...]
    contrast: tuple[str, ...]
    apart: tuple[str, ...]
    verbs: tuple[str, ...]
    quantities: tuple[str, ...]
    bounds: tuple[str, ...]
    complete: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    same: tuple[str, ...]
    more: tuple[str, ...]
    less: tuple[str, ...]
    compared: tuple[str, ...]
    earlier: tuple[str, ...]
    later: tuple[str, ...]
    invisible: tuple[str, ...]
    motion: tuple[str, ...]
    volumetric: tuple[str, ...]
    identifiers: tuple[str, ...]
    meta: tuple[str, ...]
    positions: tuple[str, ...]
    numbers: dict[str, int]
    auxiliaries: frozenset[str]
    actives: frozenset[str]
    predicates: frozenset[str]
    pronouns: frozenset[str]


@functools.cache
def cues() -> Cues:
    """`lexicons/cues.yaml`."""
    return msgspec.convert(read_yaml("cues.yaml"), Cues)


_OTHERS: Final = (
    "contrast",
    "apart",
    "verbs",
    "quantities",
    "bounds",
    "complete",
    "new",
    "gone",
    "same",
    "more",
    "less",
    "compared",
    "earlier",
    "later",
    "invisible",
    "motion",
    "volumetric",
    "identifiers",
    "meta",
    "positions",
)


@functools.cache
def _terms() -> Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]:
    """First word, in small letters: the cues that begin with it and their kinds, longest first."""
    result: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for kind in (*POLARITY, *_OTHERS):
        for term in getattr(cues(), kind):
            parts = tuple(part for word in term.split() for part in _parts(word))
            result.setdefault(parts[0], []).append((parts, kind))
    return {first: tuple(sorted(terms, key=lambda term: -len(term[0]))) for first, terms in result.items()}


def _parts(word: str) -> tuple[str, ...]:
    if word == _ADVERB:
        return (word,)
    return tuple(token.low for token in tokenise(word) if token.kind != STOP)


def find_cues(tokens: Sequence[Token], covered: frozenset[int]) -> dict[str, list[tuple[int, int]]]:
    """Where cues stand, by kind, as spans of tokens; a word within a mention begins none."""
    known = _terms()
    spans: dict[str, list[tuple[int, int]]] = {kind: [] for kind in (*POLARITY, *_OTHERS)}
    lows = [token.low for token in tokens]
    decided = 0
    for place, low in enumerate(lows):
        if low not in known or place in covered:
            continue
        best, best_kind = 0, ""
        for parts, kind in known[low]:
            end = _matched(lows, place, parts)
            if not end:
                continue
            if kind in POLARITY:
                if place >= decided and end > best:
                    best, best_kind = end, kind
            elif not spans[kind] or spans[kind][-1][1] <= place:
                spans[kind].append((place, end))
        if best:
            decided = best
            spans[best_kind].append((place, best))
    return spans


def _matched(lows: Sequence[str], place: int, parts: tuple[str, ...]) -> int:
    """The place after a cue that begins here; 0 where none does."""
    at = place
    for part in parts:
        if part == _ADVERB:
            if at < len(lows) and (lows[at].endswith("ly") or lows[at] in _ADVERBS):
                at += 1
        elif at < len(lows) and lows[at] == part:
            at += 1
        else:
            return 0
    return at
