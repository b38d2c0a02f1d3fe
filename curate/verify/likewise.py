"""What repeats or joins what was said: `A is absent, as is B`, `no sign of A, no`, `the number of A is zero`."""

from collections.abc import Sequence

from curate.schema import State
from curate.verify.cue_words import cues
from curate.verify.part import Claim
from curate.verify.statements import Text
from curate.verify.text import COMMA, STOP

__all__ = ["is_number_of", "likewise", "only_repeats"]


def likewise(text: Text, claims: Sequence[Claim]) -> list[Claim]:
    """The claims, with `and so is B`, `as is B` saying of B what the statement before says."""
    result: list[Claim] = []
    again = False
    for claim in claims:
        start = claim.mention.start
        led = start > 1 and text.tokens[start - 1].low in ("a", "an", "the", "any")
        verb = start - 2 if led else start - 1
        same = (
            verb > 0
            and result
            and text.tokens[verb].low in cues().auxiliaries
            and text.tokens[verb - 1].low in ("so", "as", "likewise")
            and claim.state is State.PRESENT
        )
        again = again and bool(result) and text.clause(start) == text.clause(result[-1].mention.start)
        again = again and claim.state is State.PRESENT and _joined_to(text, result[-1].mention.end, start)
        again = bool(same) or again
        result.append(Claim(claim.mention, result[-1].state, claim.image) if again else claim)
    return result


def _joined_to(text: Text, end: int, start: int) -> bool:
    """True where nothing but `and`, a comma or an article stands between two tokens."""
    return all(token.kind == COMMA or token.low in ("and", "or", "a", "an", "the") for token in text.tokens[end:start])


def only_repeats(text: Text, place: int) -> bool:
    """True for a `no` behind the last comma of a denial: `no sign of A, no`."""
    tokens = text.tokens
    if tokens[place].low != "no" or place == 0 or tokens[place - 1].kind != COMMA:
        return False
    if place + 1 < len(tokens) and tokens[place + 1].kind != STOP:
        return False
    return any(at in text.starts and text.clause(at) == text.clause(place) for at in range(place))


def is_number_of(text: Text, place: int) -> bool:
    """True for a zero that is what a number is said to be: `the number of A is zero`."""
    return text.tokens[place].low in ("zero", "nil") and place > 0 and text.clauses.is_verb(place - 1)
