"""What clauses of an English text say without naming a finding, and what they say of which of two images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from curate.schema import State
from curate.verify.clauses import Clauses
from curate.verify.cue_words import cues
from curate.verify.lexicon import CONCEPT, VALUE, Mention
from curate.verify.part import Claim
from curate.verify.text import COMMA, NUMBER, STOP, Token, stem

__all__ = ["IMAGES", "IMAGE_STEMS", "NOT", "Text", "bare", "bare_and_stray", "is_said", "statements_of"]

NOT: Final = frozenset(
    {
        "not",
        "cannot",
        "never",
        "isn't",
        "aren't",
        "doesn't",
        "don't",
        "wasn't",
        "weren't",
        "can't",
        "couldn't",
        "didn't",
        "hasn't",
        "haven't",
        "won't",
        "hardly",
        "scarcely",
        "barely",
    }
)
_SHORT: Final = 4
"""So many tokens before the name of an image, a word may say that it is what another is compared with."""
_LEADING: Final = frozenset({"and", "but", "however", "still", "yet", "indeed", "so", "although", "while"})
_SUBJECTS: Final = frozenset({"not", "no", "the", "of", "finding", "here", "i", "we"})
_TAILS: Final = frozenset(
    {"there", "here", "any", "so", "indeed", "none", "either", "in", "this", "image", "it", "them", "one", "evidence"}
)
_AGAINST: Final = frozenset(
    {"compared", "comparison", "since", "than", "unlike", "versus", "from", "against", "relative"}
)
"""Before these, an image is what another is compared with."""
_OF_BOTH: Final = frozenset({"both", "either", "neither", "each", "two", "all"})
_CHANGES: Final = ("new", "gone", "same", "more", "less")
IMAGES: Final = (("earlier", 0), ("later", 1))
IMAGE_STEMS: Final = frozenset(
    map(
        stem,
        (
            "image",
            "radiograph",
            "film",
            "scan",
            "study",
            "examination",
            "picture",
            "exam",
            "visit",
            "x-ray",
            "ct",
            "smear",
            "field",
        ),
    )
)


class Text(msgspec.Struct, frozen=True):
    tokens: Sequence[Token]
    found: Sequence[Mention]
    spans: Mapping[str, Sequence[tuple[int, int]]]
    clauses: Clauses
    starts: frozenset[int]  # where a cue that denies what follows begins

    def clause(self, place: int) -> int:
        return self.clauses.numbers[place]


def is_said(mention: Mention) -> bool:
    """True for a mention of a finding or a value, of which something is claimed."""
    return any(meaning.kind in (CONCEPT, VALUE) for meaning in mention.meanings)


def statements_of(
    text: Text, claims: Sequence[Claim], stray: Sequence[tuple[int, State]]
) -> Iterator[tuple[int, str | None, State]]:
    """What each clause says of which of two images: the image, the finding where it is named, its state."""
    spans = text.spans
    named: dict[int, set[int]] = {}
    for kind, number in IMAGES:
        for start, _ in spans[kind]:
            if not any(token.low in _AGAINST for token in text.tokens[max(0, start - _SHORT) : start]):
                named.setdefault(text.clause(start), set()).add(number)
    for place, token in enumerate(text.tokens):
        if token.low in _OF_BOTH and any(t.stem in IMAGE_STEMS for t in text.tokens[place + 1 : place + 3]):
            named.setdefault(text.clause(place), set()).update((0, 1))
    changing = {text.clause(start) for kind in _CHANGES for start, _ in spans[kind]}
    for clause in sorted(named.keys() - changing):
        said: set[tuple[str | None, State]] = {
            (key, c.state) for c in claims if text.clause(c.mention.start) == clause and (key := c.mention.key(CONCEPT))
        }
        idle = [state for place, state in stray if text.clause(place) == clause]
        if not said and State.UNCERTAIN in idle:
            said = {(None, State.UNCERTAIN)}
        elif not said:
            said = {(None, State.ABSENT if len(idle) % 2 else State.PRESENT)}
        for number in sorted(named[clause]):
            for key, state in sorted(said, key=str):
                yield number, key, state


def bare_and_stray(
    text: Text, stray: Sequence[tuple[int, State]]
) -> tuple[tuple[State, ...], tuple[State, ...], tuple[State, ...]]:
    """What clauses that name no concept say is there, what they say yes or no to, and what is left of idle cues."""
    turned: dict[int, int] = {}
    doubted: dict[int, bool] = {}
    for place, state in stray:
        clause = text.clause(place)
        if state is State.UNCERTAIN:
            doubted[clause] = True
        else:
            turned[clause] = turned.get(clause, 0) + 1
    told = {clause for clause, _ in _bare_clauses(text)}
    return *bare(text, turned, doubted), tuple(state for place, state in stray if text.clause(place) not in told)


def bare(
    text: Text, turned: Mapping[int, int], doubted: Mapping[int, bool]
) -> tuple[tuple[State, ...], tuple[State, ...]]:
    states: dict[bool, list[State]] = {False: [], True: []}
    for clause, elliptic in _bare_clauses(text):
        state = State.ABSENT if turned.get(clause, 0) % 2 else State.PRESENT
        states[elliptic].append(State.UNCERTAIN if doubted.get(clause) else state)
    return tuple(states[False]), tuple(states[True])


def _bare_clauses(text: Text) -> list[tuple[int, bool]]:
    """The clauses that name no concept and yet say that something is there; True where they only say yes or no."""
    named = {text.clause(mention.start) for mention in text.found if is_said(mention)}
    described = {text.clause(mention.start) for mention in text.found if not is_said(mention)}
    members: dict[int, list[Token]] = {}
    for place, token in enumerate(text.tokens):
        if token.kind not in (STOP, COMMA):
            members.setdefault(text.clause(place), []).append(token)
    result = []
    for clause, tokens in members.items():
        says = None if clause in named else _says_presence(tokens, clause in described)
        if says is not None:
            result.append((clause, says))
    return result


def _says_presence(tokens: Sequence[Token], described: bool) -> bool | None:
    """None where a clause does not say of something unnamed that it is there; True where it only says `it is`."""
    words = cues()
    lows = [token.low for token in tokens]
    while lows and (lows[0] in _LEADING or lows[0].endswith("ly")):
        lows = lows[1:]
    if not lows or any(token.kind == NUMBER for token in tokens):
        return None
    subject = next((n for n, low in enumerate(lows) if low in words.auxiliaries or low in words.actives), len(lows))
    if not all(low in words.pronouns or low in _SUBJECTS for low in lows[:subject]):
        return None
    if "there" in lows[:subject] or any(low in words.predicates for low in lows):
        return not (described or any(low in words.predicates and low != "there" for low in lows))
    rest = [low for low in lows[subject:] if low not in words.auxiliaries and low not in NOT and low not in _TAILS]
    return True if subject < len(lows) and not rest and not described else None
