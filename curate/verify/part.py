"""What a reading of one text gives: its words, what it mentions, claims, counts and measures, in any language."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from curate.schema import State
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, PLACE, QUANTITY, VALUE, Mention
from curate.verify.text import Token
from curate.verify.units import Quantity

__all__ = ["SIDES", "Claim", "Part", "Size", "with_derived"]

SIDES: Final = {
    "left": "left", "leftsided": "left", "lefthand": "left", "sinistral": "left",
    "right": "right", "rightsided": "right", "righthand": "right", "dextral": "right",
    "bilateral": "bilateral", "bilaterally": "bilateral", "unilateral": "unilateral", "unilaterally": "unilateral",
    "contralateral": "contralateral", "ipsilateral": "ipsilateral",
}  # fmt: skip
"""Words for sides: the side that they name."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A mention and what the text says of it; `image` is 0 where it speaks of the earlier of two, 1 of the later."""

    mention: Mention
    state: State
    image: int | None = None


class Size(msgspec.Struct, frozen=True, gc=False):
    """The size of an image as a text states it, and where."""

    start: int
    end: int
    width: int
    height: int


class Part(msgspec.Struct, frozen=True, gc=False):
    """A question or an answer: its tokens without coordinates, its mentions, claims and lists of numbers.

    All but `text` and `lists` depend on the words and the known terms alone, and so does what the rules ask of every
    text: it is worked out once where texts repeat.
    """

    text: str
    tokens: tuple[Token, ...]
    mentions: tuple[Mention, ...]
    claims: tuple[Claim, ...]
    covered: frozenset[int]
    cues: Mapping[str, Sequence[tuple[int, int]]]
    lists: tuple[tuple[float, ...], ...]
    concepts: frozenset[str]  # keys of the concepts that it mentions
    numbers: tuple[tuple[int, float], ...]  # in digits or words and no part of a name, with the place of their token
    sizes: tuple[Size, ...]
    sides: tuple[tuple[int, str], ...]  # side words that are no part of a name, with the place of their token
    strange: tuple[str, ...]  # words that are in no term, no cue and not ordinary
    normal: str  # words and numbers in small letters, without marks
    quantities: tuple[Quantity, ...] = ()  # the numbers that have a unit
    counted: tuple[tuple[str | None, float], ...] = ()  # the other numbers, with the key of what they count; none is 0
    bare: tuple[State, ...] = ()  # what clauses say that name no concept: `it is not seen`
    ellipses: tuple[State, ...] = ()  # `it does`, `there is not`: a yes or no to the question
    stray: tuple[State, ...] = ()  # denials and hedges that govern nothing
    statements: tuple[tuple[int, str | None, State], ...] = ()  # of two images: which, the finding if named, its state
    clauses: tuple[int, ...] = ()  # the clause of each token; empty where the language does not tell them apart
    turned: bool = False  # as a question, it denies or doubts what it asks about

    named: frozenset[str] = frozenset()  # keys of all that it mentions but places, see `with_derived`
    keyed: tuple[tuple[Mention, str], ...] = ()  # the mentions of concepts, with their keys
    described: tuple[Claim, ...] = ()  # the claims about attributes of the image alone
    situated: tuple[Mention, ...] = ()  # the mentions of places that are no attribute and no value

    def clause_of(self, place: int) -> int | None:
        """The clause of a token."""
        return self.clauses[place] if place < len(self.clauses) else None

    def denied_at(self, place: int) -> bool:
        """True in a clause that names findings and says of all that they are not there."""
        clause = self.clause_of(place)
        said = {
            claim.state
            for claim in self.claims
            if claim.mention.key(CONCEPT) is not None and self.clause_of(claim.mention.start) == clause
        }
        return clause is not None and said == {State.ABSENT}

    def cued(self, kind: str) -> Sequence[tuple[int, int]]:
        """Where cues of a kind stand."""
        return self.cues.get(kind, ())


def with_derived(part: Part) -> Part:
    """A part with what the rules ask of every text, worked out once per text."""
    return msgspec.structs.replace(
        part,
        named=frozenset(m.key for mention in part.mentions for m in mention.meanings if m.kind != PLACE),
        keyed=tuple(
            (mention, key)
            for mention in part.mentions
            if (key := mention.key(CONCEPT)) is not None and mention.key(QUANTITY) is None
        ),
        described=tuple(
            claim
            for claim in part.claims
            if claim.mention.key(ATTRIBUTE) is not None
            and not any(m.kind in (CONCEPT, VALUE) for m in claim.mention.meanings)
        ),
        situated=tuple(
            mention
            for mention in part.mentions
            if mention.key(PLACE) is not None and mention.key(ATTRIBUTE) is None and mention.key(VALUE) is None
        ),
    )
