"""Where one statement of an English sentence ends and the next begins.

Two verbs make two statements. Between them the division is a word of contrast, else a comma with its conjunction, else
a conjunction or a comma: which, depends on whether the second verb speaks of one thing or of several.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from curate.verify.cue_words import cues
from curate.verify.lexicon import Mention
from curate.verify.text import COMMA, STOP, WORD, Token

__all__ = ["Clauses", "clauses_of"]

_WITHIN: Final = frozenset(
    {
        "not",
        "also",
        "never",
        "be",
        "been",
        "being",
        "still",
        "both",
        "all",
        "yet",
        "only",
        "rather",
        "clearly",
        "likewise",
        "too",
        "altogether",
        "indeed",
        "either",
        "neither",
        "again",
        "quite",
        "very",
        "even",
        "simply",
        "just",
        "thus",
        "well",
        "perhaps",
        "then",
        "now",
        "always",
        "often",
    }
)
_AS: Final = frozenset({"as", "being", "to", "be", "still"})
_REPORTED: Final = frozenset(
    {
        "marked", "recorded", "labelled", "labeled", "flagged", "read", "given", "noted", "annotated", "reported",
        "rated", "classed", "classified", "coded", "scored", "listed", "described", "registered", "entered", "tagged",
        "documented", "stated", "judged", "considered", "deemed", "thought", "held", "believed", "assessed",
        "regarded", "interpreted", "graded", "designated", "declared", "called", "taken", "set", "put", "down",
        "categorised", "categorized", "logged", "ticked", "presented", "indicated", "treated", "counted", "viewed",
    }
)  # fmt: skip
"""Verbs with which somebody reports a state: `A is marked as absent`."""
_BEING: Final = frozenset({"is", "are", "was", "were", "be", "been", "being", "isn't", "aren't", "wasn't", "weren't"})
_CONJUNCTIONS: Final = frozenset({"and", "or", "nor"})
_SUBORDINATE: Final = frozenset(
    {"that", "which", "who", "whose", "where", "because", "since", "so", "thus", "therefore", "when"}
)
_BEFORE_INVERSION: Final = frozenset(
    {"nor", "neither", "and", "so", "what", "which", "where", "how", "or", "why", "when", "many", ","}
)
_SINGULAR: Final = frozenset({"is", "was", "has", "does", "isn't", "wasn't", "doesn't", "hasn't"})
_AFTER_PREDICATE: Final = frozenset(
    {
        "in",
        "on",
        "at",
        "by",
        "within",
        "here",
        "and",
        "or",
        "nor",
        "but",
        "with",
        "from",
        "to",
        "as",
        "for",
        "of",
        "throughout",
        "upon",
        "when",
        "while",
        "where",
        "either",
    }
)


class Clauses(msgspec.Struct, frozen=True):
    """`numbers`: the clause of each token; `verbs`: the verb groups as spans, by their order."""

    numbers: tuple[int, ...]
    verbs: tuple[tuple[int, int], ...]

    def is_verb(self, place: int) -> bool:
        """True within a verb group."""
        return any(start <= place < end for start, end in self.verbs)

    def group_of(self, place: int) -> tuple[int, int] | None:
        """The verb group of a token."""
        return next((group for group in self.verbs if group[0] <= place < group[1]), None)


def clauses_of(
    tokens: Sequence[Token], spans: Mapping[str, Sequence[tuple[int, int]]], found: Sequence[Mention]
) -> Clauses:
    """The clauses of a text."""
    covered = frozenset(place for mention in found for place in range(mention.start, mention.end))
    starts = frozenset(mention.start for mention in found)
    groups = _verb_groups(tokens, covered, starts, spans)
    contrasts = {start for kind in ("contrast", "apart") for start, _ in spans[kind] if start not in covered}
    borders = {place for place, token in enumerate(tokens) if _is_stop(token)}
    borders |= contrasts
    for first, second in itertools.pairwise(groups):
        between = range(first[1], second[0])
        if not any(place in borders for place in between) and not _inverted(tokens, first, second):
            borders.add(_division(tokens, first, second, covered))
    numbers, clause = [], 0
    for place in range(len(tokens)):
        if place in borders:
            clause += 1
        numbers.append(clause)
    return Clauses(tuple(numbers), tuple(groups))


def _inverted(tokens: Sequence[Token], first: tuple[int, int], second: tuple[int, int]) -> bool:
    """True for one verb around its subject: `does this image show`, `nor is it seen`."""
    words = cues()
    if any(token.low not in words.auxiliaries for token in tokens[first[0] : first[1]]):
        return False
    if tokens[second[0]].low in words.auxiliaries and tokens[second[0]].low not in ("be", "been"):
        return False
    return not any(
        token.kind == COMMA or token.low in _CONJUNCTIONS or token.low in _SUBORDINATE
        for token in tokens[first[1] : second[0]]
    ) and (first[0] == 0 or tokens[first[0] - 1].low in _BEFORE_INVERSION or tokens[first[0] - 1].kind == STOP)


def _is_stop(token: Token) -> bool:
    return token.kind == STOP and token.raw != ":"


def _verb_groups(
    tokens: Sequence[Token],
    covered: frozenset[int],
    starts: frozenset[int],
    spans: Mapping[str, Sequence[tuple[int, int]]],
) -> list[tuple[int, int]]:
    words = cues()
    governing = {
        place for kind in ("maybe_after", "around") for start, end in spans[kind] for place in range(start, end)
    }
    groups: list[tuple[int, int]] = []
    place = 0
    while place < len(tokens):
        low = tokens[place].low
        if place in covered or not (low in words.auxiliaries or low in words.actives or low in words.predicates):
            place += 1
            continue
        end, finite = place, False
        while (
            end < len(tokens)
            and end not in covered
            and (_continues(tokens[end], end in governing) or (end + 1 not in starts and _reports(tokens, end, place)))
        ):
            finite = finite or tokens[end].low in words.auxiliaries or tokens[end].low in words.actives
            end += 1
        if place and tokens[place - 1].low == "to":
            finite = False
        if finite or _stands_as_verb(tokens, end, starts):
            groups.append((place, end))
        place = max(end, place + 1)
    return groups


def _reports(tokens: Sequence[Token], at: int, start: int) -> bool:
    """True for a verb of reporting within a group, and for what joins the state to it: `is marked as absent`."""
    if at == start:
        return False
    before = at - 1
    while before > start and tokens[before].low.endswith("ly"):
        before -= 1
    if tokens[at].low in _REPORTED:
        return tokens[before].low in _BEING
    return tokens[at].low in _AS and tokens[before].low in _REPORTED


def _continues(token: Token, governing: bool) -> bool:
    words = cues()
    if token.kind != WORD:
        return False
    low = token.low
    return (
        governing
        or low in words.auxiliaries
        or low in words.actives
        or low in words.predicates
        or low in _WITHIN
        or low.endswith("ly")
    )


def _stands_as_verb(tokens: Sequence[Token], end: int, starts: frozenset[int]) -> bool:
    """True for a participle that ends its phrase: `pneumonia noted on the left`, not `the visible nodule`."""
    if end >= len(tokens):
        return True
    return end not in starts and (tokens[end].kind != WORD or tokens[end].low in _AFTER_PREDICATE)


def _division(tokens: Sequence[Token], first: tuple[int, int], second: tuple[int, int], covered: frozenset[int]) -> int:
    """The token with which the statement of the second verb begins."""
    between = [place for place in range(first[1], second[0]) if place not in covered]
    colons = [place for place in between if tokens[place].raw == ":"]
    if colons:
        return colons[-1]
    commas = [place for place in between if tokens[place].kind == COMMA]
    conjunctions = [place for place in between if tokens[place].low in _CONJUNCTIONS]
    both = [place for place in commas if place + 1 in conjunctions]
    subordinate = [place for place in between if tokens[place].low in _SUBORDINATE]
    if both:
        return both[-1]
    if subordinate:
        return subordinate[0]
    ands = [place for place in conjunctions if tokens[place].low == "and"]
    if ands:
        return ands[-1] if tokens[second[0]].low in _SINGULAR else ands[0]
    if commas:
        return commas[-1]
    return conjunctions[-1] if conjunctions else first[1]
