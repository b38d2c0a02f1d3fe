"""What the text says is there is there, and what it says is not is not.

Cues and their scope follow NegEx and ConText, see `lexicons/cues.yaml`; two cues over one concept cancel out.
"""

from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.common_words import plain_stems
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, VALUE, concept_key
from curate.verify.reading import Claim, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Negation", "known_state", "told_of_asked"]

_CLOSED = ("presence", "attribute_is")
_ABSENCE = frozenset(
    {"absent", "excluded", "ruled out", "free of", "free from", "clear of", "rule out", "exclude", "negative for",
     "absence of", "missing",
     "devoid of", "lack of", "eliminated", "negative", "lacking"}
)  # fmt: skip
"""Cues with which a question asks whether something is absent, and whose yes says that it is."""
_SOUND = frozenset({"intact", "normal", "clear", "healthy", "unremarkable"})
_NEAR = 4
_EXISTING = frozenset({"there", "shows", "show", "has", "have", "with", "demonstrates", "reveals"})
"""Words at most so many tokens before a finding that say that it is there."""
_UNSURE = (State.UNCERTAIN, State.NOT_STATED)


class Negation(ReadingRule):
    """Polarity agrees with the annotations."""

    name: ClassVar[str] = "negation"
    version: ClassVar[int] = 3

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text makes a claim about a concept or answers yes or no."""
        if reading.verbatim:
            return NOT_APPLICABLE
        problem = _question_problem(reading)
        if problem is not None:
            return problem
        if reading.ask in _CLOSED:
            problem = self._closed(reading)
            if problem is not None:
                return problem
        elif (
            reading.ask != "compare"
            and State.ABSENT
            in (
                *reading.answer.bare,
                *reading.answer.stray,
                *reading.answer.ellipses,
            )
            and reading.ask not in ("count", "count_total")
        ):
            return no(Reason.NEGATION, "the answer denies something without naming it")
        applies = reading.yes is not None
        for claim in reading.answer.claims:
            if any(m.kind == VALUE for m in claim.mention.meanings) and claim.state is not State.PRESENT:
                return no(Reason.NEGATION, "the answer denies or doubts a value")
            if reading.ask in ("grade", "measure") and claim.state in _UNSURE and _is_asked(reading, claim):
                return no(Reason.UNCERTAINTY, "the answer doubts what its source gives a value of")
            known = known_state(reading, claim)
            if known is None:
                continue
            applies = True
            if claim.mention.key(CONCEPT) in reading.facts.grades and not _exists(reading, claim):
                continue  # `the retinopathy is 0` gives its value
            if claim.state is State.NOT_STATED or (claim.state is not known and not {claim.state, known} & {*_UNSURE}):
                key = claim.mention.key(CONCEPT)
                return no(Reason.NEGATION, f"the text says {key!r} is {claim.state}, the annotations say {known}")
        return None if applies else NOT_APPLICABLE

    def _closed(self, reading: Reading) -> Verdict:
        if reading.ask == "presence":
            state = reading.facts.state(concept_key(str(reading.asked.get("concept"))))
            told = told_of_asked(reading)
            if told is None:
                return no(Reason.NEGATION, "a closed question is not answered")
            if {told} != {state}:
                return no(Reason.NEGATION, f"the answer is {told}, the state is {state}")
            if any(said is not state for said in (*reading.answer.bare, *reading.answer.stray)) or _wavers(reading):
                return no(Reason.NEGATION, "the answer says yes and no")
            return None
        if reading.yes is None:
            return no(Reason.NEGATION, "a closed question is not answered with yes or no")
        name = str(reading.asked.get("attribute"))
        suggested = {
            m.key for x in reading.question.mentions for m in x.meanings if m.kind == ATTRIBUTE and m.of == name
        }
        true = reading.facts.attributes.get(name, set())
        if name == "laterality":
            return None  # the rule of that name judges it
        if not true or reading.yes != bool(suggested & true) or len(suggested) != 1:
            return no(Reason.NEGATION, f"the answer does not fit the {name} of the image")
        wanted = State.PRESENT if reading.yes else State.ABSENT
        if any(said is not wanted for said in (*reading.answer.bare, *reading.answer.stray)) or _wavers(reading):
            return no(Reason.NEGATION, "the answer says yes and no")
        return None


def _question_problem(reading: Reading) -> Verdict:
    """A question that denies has an answer that denies, or asks for absence in words that leave no doubt of it."""
    question = reading.question
    if not question.turned:
        return None
    if reading.ask == "presence" and (_inverted(question) or _doubts(reading)):
        return None
    open_ended = reading.ask in ("findings", "caption", "class") and not reading.chinese and not question.cued("modal")
    if open_ended and any(claim.state is State.ABSENT for claim in reading.answer.claims):
        return None
    return no(Reason.NEGATION, "the question is negated or hedged")


def _inverted(question: Part) -> bool:
    """True where a question asks whether something is absent: `is it absent`, `free of`, `can it be excluded`."""
    kinds = {kind for kind in ("before", "around", "maybe", "maybe_after", "modal") if question.cued(kind)}
    spans = [span for kind in kinds for span in question.cued(kind)]
    if len(spans) != 1:
        return False
    start, end = spans[0]
    return " ".join(token.low for token in question.tokens[start:end]) in _ABSENCE


def _doubts(reading: Reading) -> bool:
    """True where a question asks whether something is doubtful, and the answer names it and says so or not."""
    question = reading.question
    if any(question.cued(kind) for kind in ("before", "around", "modal")):
        return False
    asked = concept_key(str(reading.asked.get("concept")))
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == asked}
    return len(said) == 1 and (reading.yes is None or reading.yes == (said == {State.UNCERTAIN}))


def _wavers(reading: Reading) -> bool:
    """True where the answer says both yes and no to its question."""
    return any((state is State.PRESENT) != reading.yes for state in reading.answer.ellipses)


def told_of_asked(reading: Reading) -> State | None:
    """What a closed answer says of what was asked: by its yes or no, else by its statement."""
    asked = concept_key(str(reading.asked.get("concept")))
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == asked}
    if reading.yes is not None and not (reading.question.turned and not _inverted(reading.question)):
        return (
            State.PRESENT if reading.yes != (_inverted(reading.question) or _asks_soundness(reading)) else State.ABSENT
        )
    said = said or set(reading.answer.bare) or set(reading.answer.stray)
    if not said and reading.answer.sides:
        return State.PRESENT  # `on the left`: the rule of laterality judges the side
    return next(iter(said)) if len(said) == 1 else None


def _asks_soundness(reading: Reading) -> bool:
    """True where a question asks for what the finding is not: `is the bone intact`."""
    asked = concept_key(str(reading.asked.get("concept")))
    if asked in reading.question.concepts:
        return False
    return any(token.low in _SOUND for token in reading.question.tokens)


def _exists(reading: Reading, claim: Claim) -> bool:
    """True where a text says of what is graded that it is there, or denies it."""
    before = reading.answer.tokens[max(0, claim.mention.start - _NEAR) : claim.mention.start]
    return claim.state is not State.PRESENT or any(token.low in _EXISTING for token in before)


def _is_asked(reading: Reading, claim: Claim) -> bool:
    return claim.mention.key(CONCEPT) == concept_key(str(reading.asked.get("concept")))


def known_state(reading: Reading, claim: Claim) -> State | None:
    """The state of what a claim is about; None where it only describes the image, or nothing is known."""
    key = claim.mention.key(CONCEPT)
    if key is None or _only_described(reading, claim, key) or reading.ask == "compare":
        return None
    return reading.facts.state(key)


def _only_described(reading: Reading, claim: Claim, key: str) -> bool:
    """True where the words only describe the image, or are too plain to be a finding."""
    if key in reading.own_keys or key == concept_key(str(reading.asked.get("concept", ""))):
        return False
    described = any(
        meaning.kind == ATTRIBUTE and meaning.key in reading.facts.attributes.get(meaning.of, ())
        for meaning in claim.mention.meanings
    )
    return described or all(word in plain_stems() for word in key.split(" "))
