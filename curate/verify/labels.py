"""Every concept in the text is in the annotations, and those that the draft rests on are in the text."""

from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Origin, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.facts import GEOMETRY, LABELS
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, VALUE, Mention, concept_key, plain_stems
from curate.verify.reading import Claim, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import NUMBER

__all__ = ["Labels"]

_TOLD_IN_ANSWER = frozenset({"caption", "class", "findings", "identify"})
_ASKED_BY_NAME = frozenset({"presence", "locate", "count", "point", "grade"})
_ANSWER_KEEPS_TO_IT = frozenset({"presence", "locate", "count", "point"})


class Labels(ReadingRule):
    """Nothing invented, nothing left out."""

    name: ClassVar[str] = "labels"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies to renderings, not to what a person wrote."""
        if reading.verbatim:
            return NOT_APPLICABLE
        problems = (
            self._missing(reading),
            self._invented(reading),
            self._attributes(reading),
            self._words(reading),
        )
        return next((problem for problem in problems if problem is not None), None)

    def _missing(self, reading: Reading) -> Verdict:
        asked = _asked_keys(reading)
        named = _all_keys(reading.question)
        for key in asked:
            if key not in named:
                return no(Reason.LABEL_MISSING, f"the question does not name {key!r}, which it asks about")
        if reading.ask in _TOLD_IN_ANSWER:
            told = _all_keys(reading.answer)
            required = _required(reading)
            if not required and reading.ask != "caption":
                return no(Reason.LABEL_MISSING, "the draft names no annotation that its answer could rest on")
            for key in sorted(required):
                if key not in told:
                    return no(Reason.LABEL_MISSING, f"the answer does not name {key!r}")
        return self._value_missing(reading) or self._attribute_missing(reading)

    def _value_missing(self, reading: Reading) -> Verdict:
        for annotation in reading.own:
            if annotation.kind is Kind.GRADE and not _tells_grade(reading.answer, annotation):
                return no(Reason.LABEL_MISSING, f"the answer does not give the value of {annotation.concept!r}")
        return None

    def _attribute_missing(self, reading: Reading) -> Verdict:
        told = {meaning.of for m in reading.answer.mentions for meaning in m.meanings if meaning.kind == ATTRIBUTE}
        wanted = reading.asked.get("attributes", ()) if reading.ask == "caption" else ()
        if reading.ask == "attribute":
            wanted = (reading.asked.get("attribute"),)
        for name in wanted:
            if name != "laterality" and name not in told:
                return no(Reason.LABEL_MISSING, f"the answer does not give the {name} of the image")
        return None

    def _invented(self, reading: Reading) -> Verdict:
        asked = set(_asked_keys(reading))
        for part in (reading.question, reading.answer):
            for mention in part.mentions:
                key = _claimed_key(mention, reading, asked)
                if key is None:
                    continue
                if reading.facts.state(key) is None and not _named_grade(reading, key):
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, of which the annotations say nothing")
                only_asked = part is reading.question or reading.ask in _ANSWER_KEEPS_TO_IT
                if asked and only_asked and key not in asked:
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, which was not asked about")
                if reading.ask == "identify" and part is reading.answer and key not in _required(reading):
                    return no(Reason.LABEL_INVENTED, f"the region does not hold {key!r}")
        return None

    def _attributes(self, reading: Reading) -> Verdict:
        suggested = reading.asked.get("attribute") if reading.ask == "attribute_is" else None
        for part in (reading.question, reading.answer):
            for claim in part.claims:
                if not _holds(claim, reading) and not (part is reading.question and _is_about(claim, suggested)):
                    return no(Reason.LABEL_INVENTED, "the text gives the image a modality, view or anatomy it has not")
        if suggested is None:
            return None
        if not any(_is_about(claim, suggested) for claim in reading.question.claims):
            return no(Reason.LABEL_MISSING, f"the question suggests no {suggested}")
        return None

    def _words(self, reading: Reading) -> Verdict:
        for part in (reading.question, reading.answer):
            if part.cues["invisible"]:
                return no(Reason.LABEL_INVENTED, "the text tells what no single image shows")
            if reading.draft.origin is not Origin.TEMPLATE or reading.draft.language != "en":
                continue
            for word in part.strange:
                return no(Reason.LABEL_INVENTED, f"the word {word!r} is in no annotation and not in plain.yaml")
        return None


def _asked_keys(reading: Reading) -> tuple[str, ...]:
    if reading.ask == "count_total":
        return tuple(concept_key(str(name)) for name in reading.asked.get("concepts", ()))
    concept = reading.asked.get("concept")
    return (concept_key(concept),) if reading.ask in _ASKED_BY_NAME and isinstance(concept, str) else ()


def _all_keys(part: Part) -> set[str]:
    """Concepts that the part names, also where the words are those of an attribute."""
    return {meaning.key for mention in part.mentions for meaning in mention.meanings}


def _required(reading: Reading) -> set[str]:
    required = {
        concept_key(a.concept)
        for a in reading.own
        if a.concept and (a.kind in LABELS or a.kind in GEOMETRY or a.kind is Kind.GRADE)
    }
    if reading.ask == "findings" and reading.asked.get("all"):
        required |= {key for key in _set_keys(reading) if reading.facts.state(key) is State.PRESENT}
    return required


def _set_keys(reading: Reading) -> set[str]:
    return reading.facts.kinds.get(str(reading.asked.get("label_set")), set())


def _claimed_key(mention: Mention, reading: Reading, asked: set[str]) -> str | None:
    """The concept that a mention claims; None where its words only describe the image or say nothing clinical."""
    key = mention.key(CONCEPT)
    if key is None or key in asked:
        return key
    described = any(
        meaning.kind == VALUE
        or (meaning.kind == ATTRIBUTE and meaning.key in reading.facts.attributes.get(meaning.of, ()))
        for meaning in mention.meanings
    )
    if described or (key not in _required(reading) and all(word in plain_stems() for word in key.split(" "))):
        return None
    return key


def _named_grade(reading: Reading, key: str) -> bool:
    return key in reading.facts.grades


def _tells_grade(answer: Part, annotation: Annotation) -> bool:
    if annotation.value is not None:
        return any(token.kind == NUMBER and float(token.raw) == annotation.value for token in answer.tokens)
    key = concept_key(annotation.concept or "")
    return any(m.kind == VALUE and m.of == key for mention in answer.mentions for m in mention.meanings)


def _is_about(claim: Claim, attribute: object) -> bool:
    return any(meaning.kind == ATTRIBUTE and meaning.of == attribute for meaning in claim.mention.meanings)


def _holds(claim: Claim, reading: Reading) -> bool:
    """True unless the claim is about the image's attributes alone and wrong."""
    meanings = claim.mention.meanings
    if any(meaning.kind != ATTRIBUTE for meaning in meanings):
        return True
    true = any(meaning.key in reading.facts.attributes.get(meaning.of, ()) for meaning in meanings)
    return true == (claim.state is not State.ABSENT)
