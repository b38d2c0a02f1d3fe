"""What the source is sure of is told without a hedge, what it is not with one."""

from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import CONCEPT
from curate.verify.negation import known_state
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Uncertainty"]


class Uncertainty(ReadingRule):
    """Certainty agrees with the annotations."""

    name: ClassVar[str] = "uncertainty"
    version: ClassVar[int] = 3

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text or the source doubts something."""
        if reading.verbatim:
            return NOT_APPLICABLE
        applies = False
        for claim in reading.answer.claims:
            known = known_state(reading, claim)
            if known is None or (claim.state is State.UNCERTAIN) == (known is State.UNCERTAIN):
                applies = applies or known is State.UNCERTAIN
                continue
            key = claim.mention.key(CONCEPT)
            return no(Reason.UNCERTAINTY, f"the text says {key!r} is {claim.state}, the annotations say {known}")
        if State.UNCERTAIN in (*reading.answer.bare, *reading.answer.stray, *reading.answer.ellipses):
            applies = True
            if not any(_is_doubted(reading, key) for key in _spoken_of(reading)):
                return no(Reason.UNCERTAINTY, "the answer doubts what its source is sure of")
        return None if applies else NOT_APPLICABLE


def _is_doubted(reading: Reading, key: str) -> bool:
    """True for what the source doubts, of one of two images at least where they are compared."""
    if reading.ask == "compare":
        return State.UNCERTAIN in reading.facts.states.get(key, ())
    return reading.facts.state(key) is State.UNCERTAIN


def _spoken_of(reading: Reading) -> frozenset[str]:
    return reading.own_keys | reading.answer.concepts | reading.question.concepts
