"""What the text says is there is there, what it says is not is not, and what is uncertain stays so.

Cues and their scope follow NegEx and ConText, see `lexicons/cues.yaml`; two cues over one concept cancel out.
"""

from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, concept_key, plain_stems
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Negation"]


class Negation(ReadingRule):
    """Polarity and certainty agree with the annotations."""

    name: ClassVar[str] = "negation"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text makes a claim about a concept or answers yes or no."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if _turned(reading.question):
            return no(Reason.NEGATION, "the question is negated or hedged")
        if reading.ask in ("presence", "attribute_is"):
            problem = self._closed(reading)
            if problem is not None:
                return problem
        if reading.ask == "attribute" and _turned(reading.answer):
            return no(Reason.NEGATION, "the answer denies or doubts what the image is")
        applies = reading.yes is not None
        for claim in reading.answer.claims:
            key = claim.mention.key(CONCEPT)
            if key is None or _only_described(reading, claim.mention.meanings, key):
                continue
            known = reading.facts.state(key)
            if known is None:
                continue
            applies = True
            said = State.ABSENT if _zero_before(reading.answer, claim.mention.start) else claim.state
            if said is not known:
                return no(Reason.NEGATION, f"the text says {key!r} is {said}, the annotations say {known}")
        return None if applies else NOT_APPLICABLE

    def _closed(self, reading: Reading) -> Verdict:
        if reading.yes is None:
            return no(Reason.NEGATION, "a closed question is not answered with yes or no")
        if reading.ask == "presence":
            state = reading.facts.state(concept_key(str(reading.asked.get("concept"))))
            if state is not (State.PRESENT if reading.yes else State.ABSENT):
                return no(Reason.NEGATION, f"the answer is {'yes' if reading.yes else 'no'}, the state is {state}")
            return None
        name = str(reading.asked.get("attribute"))
        suggested = {
            m.key for x in reading.question.mentions for m in x.meanings if m.kind == ATTRIBUTE and m.of == name
        }
        true = reading.facts.attributes.get(name, set())
        if not true or reading.yes != bool(suggested & true) or len(suggested) != 1:
            return no(Reason.NEGATION, f"the answer does not fit the {name} of the image")
        return None


def _turned(question: Part) -> bool:
    """True where a question denies or doubts what it asks about; `yes or no` is no denial."""
    for start, _ in question.cues["before"]:
        if [token.low for token in question.tokens[max(0, start - 2) : start]] != ["yes", "or"]:
            return True
    return any(question.cues[kind] for kind in ("around", "hedges"))


def _only_described(reading: Reading, meanings: tuple[object, ...], key: str) -> bool:
    """True where the words only describe the image, or are too plain to be a finding."""
    if key in reading.own_keys or key == concept_key(str(reading.asked.get("concept", ""))):
        return False
    described = any(
        getattr(meaning, "kind", "") == ATTRIBUTE
        and getattr(meaning, "key", "") in reading.facts.attributes.get(getattr(meaning, "of", ""), ())
        for meaning in meanings
    )
    return described or all(word in plain_stems() for word in key.split(" "))


def _zero_before(part: Part, place: int) -> bool:
    return place > 0 and part.tokens[place - 1].raw in ("0", "zero")
