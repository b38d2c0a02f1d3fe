"""What the text says is there is there, and what it says is not is not.

Cues and their scope follow NegEx and ConText, see `lexicons/cues.yaml`; two cues over one concept cancel out.
"""

import re
from typing import ClassVar

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.collective import denies_the_rest, is_of_the_rest
from curate.verify.common_words import plain_stems
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, PLACE, VALUE, concept_key, place_key
from curate.verify.reading import Claim, Part, Reading, is_closed_form
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.unreadable import unreadable

__all__ = ["Negation", "known_state", "told_of_asked"]

_CLOSED = ("presence", "attribute_is")
_ABSENCE = frozenset(
    {"absent", "excluded", "ruled out", "free of", "free from", "clear of", "rule out", "exclude", "negative for",
     "absence of", "missing",
     "devoid of", "lack of", "eliminated", "negative", "lacking"}
)  # fmt: skip
"""Cues with which a question asks whether something is absent, and whose yes says that it is."""
_EXCLUDING = frozenset({"exclude", "excluded", "rule", "ruled", "eliminated"})
_SOUND = frozenset({"intact", "normal", "clear", "healthy", "unremarkable"})
_SOUND_CLASSES = ("normal", "healthy", "no finding")
_AMBIGUOUS = frozenset(
    {"no", "not", "isn't", "aren't", "doesn't", "don't", "never", "none", "nothing", "wasn't", "weren't", "hasn't"}
)
"""In a question these leave open what its yes means."""
_NEAR = 4
_EXISTING = frozenset({"there", "shows", "show", "has", "have", "with", "demonstrates", "reveals"})
"""Words at most so many tokens before a finding that say that it is there."""
_FLIPPED = {State.PRESENT: State.ABSENT, State.ABSENT: State.PRESENT}
_OF_THE_CLAIM = re.compile(
    r"\s*(?:(?:yes|no)[,.;:]?\s+)?(?:that|it|this)(?: is|'s) (?:not )?"
    r"(?:true|correct|right|so|the case|wrong|false|incorrect)\b",
    re.IGNORECASE,
)
"""Beginnings of an answer that judge what its question puts forward, not what is asked about."""
_VERDICTS = {"positive": State.PRESENT, "negative": State.ABSENT}
"""Answers of one word that are neither yes nor no."""
_UNSURE = (State.UNCERTAIN, State.NOT_STATED)


class Negation(ReadingRule):
    """Polarity agrees with the annotations."""

    name: ClassVar[str] = "negation"
    version: ClassVar[int] = 7

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text makes a claim about a concept or answers yes or no."""
        if reading.verbatim:
            return NOT_APPLICABLE
        if reading.free and (kind := unreadable(reading.prose[1], chinese=reading.chinese)) is not None:
            return no(Reason.NEGATION, f"{kind}: no rule reads surely what the answer means")
        problem = _question_problem(reading)
        if problem is not None:
            return problem
        problem = self._closed(reading) if reading.ask in _CLOSED else _open_problem(reading)
        if problem is not None:
            return problem
        applies = reading.yes is not None
        for claim in reading.answer.claims:
            if any(m.kind == VALUE for m in claim.mention.meanings) and claim.state is not State.PRESENT:
                return no(Reason.NEGATION, "the answer denies or doubts a value")
            if reading.ask in ("grade", "measure") and claim.state in _UNSURE and _is_asked(reading, claim):
                return no(Reason.UNCERTAINTY, "the answer doubts what its source gives a value of")
            known = known_state(reading, claim)
            if known is None:
                continue
            if _is_another(reading, claim) or _is_the_rest(reading, claim):
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
        true = set(reading.facts.attributes.get(name, set()))
        if name == "anatomy" and not suggested:
            suggested = {key for mention in reading.question.mentions if (key := mention.key(PLACE)) is not None}
            true = set(map(place_key, true))
        if name == "laterality":
            return None  # the rule of that name judges it
        if not true or reading.yes != bool(suggested & true) or len(suggested) != 1:
            return no(Reason.NEGATION, f"the answer does not fit the {name} of the image")
        wanted = State.PRESENT if reading.yes else State.ABSENT
        if any(said is not wanted for said in (*reading.answer.bare, *reading.answer.stray)) or _wavers(reading):
            return no(Reason.NEGATION, "the answer says yes and no")
        return None


def _misfits(reading: Reading) -> bool:
    """True where the yes or no of an answer does not fit what its question supposes; a yes has to be proved."""
    if not is_closed_form(reading.question.text):
        return False
    states = [
        reading.facts.state(key) is claim.state
        for claim in reading.question.claims
        if (key := claim.mention.key(CONCEPT)) is not None and reading.facts.state(key) is not None
    ]
    if not states and any(token.low in _SOUND for token in reading.question.tokens):
        sound = [key for key in reading.facts.states if key.split(" ")[0] in ("normal", "healthy")]
        states = [
            reading.facts.state(key) is State.PRESENT
            for key in (*map(concept_key, _SOUND_CLASSES), *sound)
            if reading.facts.names(key)
        ]
    if (
        not states
        and any(token.low in _SOUND for token in reading.question.tokens)
        and denies_the_rest(reading.prose[1])
    ):
        named = reading.facts.kinds.get(str(reading.asked.get("label_set")), ())
        states = [all(reading.facts.state(key) is State.ABSENT for key in named)]
    if not states:
        return bool(reading.yes)
    offered = len(states) > 1 and any(token.low == "or" for token in reading.question.tokens)
    return reading.yes != (any(states) if offered else all(states))


def _question_problem(reading: Reading) -> Verdict:
    """A question that denies has an answer that denies, or asks for absence in words that leave no doubt of it."""
    question = reading.question
    if not question.turned:
        return None
    if reading.ask == "presence" and (
        _inverted(question) or _doubts(reading) or _said_outright(reading) or _is_answered(reading)
    ):
        return None
    open_ended = reading.ask in ("findings", "caption", "class") and not reading.chinese
    if open_ended and any(claim.state in (State.ABSENT, State.UNCERTAIN) for claim in reading.answer.claims):
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


def _is_answered(reading: Reading) -> bool:
    """True where yes or no answers a question that plainly asks whether something is not there."""
    asked = concept_key(str(reading.asked.get("concept")))
    return reading.yes is not None and not reading.chinese and _asks_absence(reading, asked)


def _said_outright(reading: Reading) -> bool:
    """True where the answer itself says what the state of the finding is, whatever its yes or no is an answer to; where
    the question plainly asks for the absence, yes or no has to fit."""
    asked = concept_key(str(reading.asked.get("concept")))
    if reading.chinese:
        return _told_in_chinese(reading, asked) is not None
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == asked}
    said = said or {*reading.answer.bare}
    if len(said) != 1:
        return False
    plainly = _asks_absence(reading, asked) or (
        _OF_THE_CLAIM.match(reading.prose[1]) and _claims_absence(reading, asked)
    )
    return reading.yes is None or not plainly or reading.yes == (said == {State.ABSENT})


def _claims_absence(reading: Reading, asked: str) -> bool:
    """True for a question that puts forward that something is not there: `there is no nodule, is that right`."""
    states = {claim.state for claim in reading.question.claims if claim.mention.key(CONCEPT) == asked}
    words = {token.low for token in reading.question.tokens}
    return states == {State.ABSENT} and not words & {"wrong", "incorrect", "false", "untrue", "mistaken"}


def _told_in_chinese(reading: Reading, asked: str) -> State | None:
    """What an answer to a Chinese question that denies says: its `是的` and `不是` speak of the question as it stands,
    and agree with whatever else it says."""
    from curate.verify.chinese import agreement

    suggested = {claim.state for claim in reading.question.claims if claim.mention.key(CONCEPT) == asked}
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == asked}
    said = said or {*reading.answer.bare}
    agrees = agreement(reading.prose[1])
    if len(suggested) == 1 and agrees is not None and suggested <= _FLIPPED.keys():
        meant = suggested if agrees else {_FLIPPED[state] for state in suggested}
        said = said or meant
        if said != meant:
            return None
    return next(iter(said)) if len(said) == 1 else None


def _asks_absence(reading: Reading, asked: str) -> bool:
    """True for a question whose yes can only mean that something is absent: not for `is there no nodule`."""
    question = reading.question
    states = {claim.state for claim in question.claims if claim.mention.key(CONCEPT) == asked}
    return states == {State.ABSENT} and not any(token.low in _AMBIGUOUS for token in question.tokens)


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
    return reading.yes is not None and any((state is State.PRESENT) != reading.yes for state in reading.answer.ellipses)


def told_of_asked(reading: Reading) -> State | None:
    """What a closed answer says of what was asked: by its yes or no, else by its statement."""
    asked = concept_key(str(reading.asked.get("concept")))
    said = {claim.state for claim in reading.answer.claims if claim.mention.key(CONCEPT) == asked}
    if reading.chinese and reading.question.turned and not _inverted(reading.question):
        return _told_in_chinese(reading, asked)
    if _asks_absence(reading, asked) and reading.yes is not None and not reading.chinese:
        return State.ABSENT if reading.yes else State.PRESENT
    if reading.yes is False and _asks_exclusion(reading.question) and said in ({State.UNCERTAIN}, {State.PRESENT}):
        return next(iter(said))
    if reading.yes is not None and not (reading.question.turned and not _inverted(reading.question)):
        return (
            State.PRESENT if reading.yes != (_inverted(reading.question) or _asks_soundness(reading)) else State.ABSENT
        )
    said = said or set(reading.answer.bare) or set(reading.answer.stray) or set(reading.answer.ellipses)
    if not said and reading.answer.normal in _VERDICTS:
        return _VERDICTS[reading.answer.normal]
    if not said and reading.answer.sides:
        return State.PRESENT  # `on the left`: the rule of laterality judges the side
    return next(iter(said)) if len(said) == 1 else None


def _asks_exclusion(question: Part) -> bool:
    """True where a question asks whether something can be excluded, whose no may leave it open."""
    return _inverted(question) and not _EXCLUDING.isdisjoint(token.low for token in question.tokens)


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


def _is_another(reading: Reading, claim: Claim) -> bool:
    """True for what a region is said not to hold: one that holds a leukocyte is no platelet."""
    return (
        reading.ask == "identify" and claim.state is State.ABSENT and claim.mention.key(CONCEPT) not in reading.own_keys
    )


def _is_the_rest(reading: Reading, claim: Claim) -> bool:
    """True for what is said of all that the text does not name, which the rule of labels judges."""
    return (
        claim.state is State.ABSENT
        and not reading.chinese
        and is_of_the_rest(reading.answer.tokens, claim.mention.start)
        and denies_the_rest(reading.prose[1])
    )


def _open_problem(reading: Reading) -> Verdict:
    if reading.yes is not None and reading.ask in ("class", "findings") and _misfits(reading):
        return no(Reason.NEGATION, "the answer says yes where it is no, or no where it is yes")
    if _denies_idly(reading):
        return no(Reason.NEGATION, "the answer denies something without naming it")
    return None


def _denies_idly(reading: Reading) -> bool:
    """True where an open answer denies something that it does not name."""
    answer = reading.answer
    idle = State.ABSENT in (*answer.bare, *answer.stray, *answer.ellipses)
    if reading.ask in ("locate", "point") and not reading.own and not answer.lists:
        return False  # the rules of places judge what is said of something that is not there
    return idle and reading.ask not in ("compare", "count", "count_total") and not denies_the_rest(reading.prose[1])


def _is_asked(reading: Reading, claim: Claim) -> bool:
    return claim.mention.key(CONCEPT) == concept_key(str(reading.asked.get("concept")))


def known_state(reading: Reading, claim: Claim) -> State | None:
    """The state of what a claim is about; None where it only describes the image, or nothing is known."""
    key = claim.mention.key(CONCEPT)
    if key is None or _only_described(reading, claim, key) or reading.ask == "compare":
        return None
    sided = reading.facts.sided.get(key)
    if sided is not None:
        for part in (reading.answer, reading.question):
            sides = {side for place, side in part.sides if part.clause_of(place) == part.clause_of(claim.mention.start)}
            if any(claim is each for each in part.claims) and len(sides) == 1 and (side := sides.pop()) in sided:
                return sided[side]
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
