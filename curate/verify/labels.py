"""Every concept in the text is in the annotations, and those that the draft rests on are in the text."""

from collections.abc import Sequence
from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Origin, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.bodily import places_within
from curate.verify.collective import denies_listed, is_of_the_rest
from curate.verify.common_words import plain_stems
from curate.verify.facts import GEOMETRY, LABELS
from curate.verify.knowledge import check_told
from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    PLACE,
    VALUE,
    Mention,
    concept_key,
    place_key,
)
from curate.verify.measured import is_direction
from curate.verify.naming import (
    NAMED_BY_ANSWER,
    ROMAN,
    asked_keys,
    covers,
    denies_the_rest,
    generic,
    is_askable,
    is_definite,
    is_known,
    is_open,
    is_presupposed,
    is_queried,
    keeps_to,
    names_no_other,
    set_keys,
    tells_true_class,
)
from curate.verify.pictured import implies_modality, is_of_shown, places_implied
from curate.verify.reading import Claim, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.strange import strange_words
from curate.verify.text import NUMBER, normal

__all__ = ["Labels"]

_TOLD_IN_ANSWER = frozenset({"caption", "class", "findings", "identify"})
_ANSWER_KEEPS_TO_IT = frozenset({"presence", "locate", "count", "point", "measure", "compare"})

_OBJECTS = frozenset({"cells", "objects", "items", "things", "structures", "restorations", "lesions", "elements"})
"""Words with which a question counts several kinds at once."""


class Labels(ReadingRule):
    """Nothing invented, nothing left out."""

    name: ClassVar[str] = "labels"
    version: ClassVar[int] = 7

    def judge(self, reading: Reading) -> Verdict:
        """Applies to renderings, not to what a person wrote."""
        if reading.verbatim:
            return NOT_APPLICABLE
        problems = (
            self._in_general(reading),
            self._missing(reading),
            self._invented(reading),
            self._attributes(reading),
            self._soundness(reading),
            self._rest(reading),
            self._words(reading),
        )
        return next((problem for problem in problems if problem is not None), None)

    def _in_general(self, reading: Reading) -> Verdict:
        told = reading.told_in_general
        if told is None:
            return None
        asked = str(reading.asked.get("concept", ""))
        return check_told(told, reading.ask, asked, reading.facts, " ".join(reading.prose))

    def _missing(self, reading: Reading) -> Verdict:
        asked = asked_keys(reading)
        named = reading.question.named
        told = reading.answer.named
        if (
            reading.topic == "count_total"
            and told.issuperset(asked)
            and len(named.intersection(asked)) <= 1
            and (named.isdisjoint(asked) or any(token.low in _OBJECTS for token in reading.question.tokens))
        ):
            asked = ()  # `how many cells are there`, which the answer counts by their kinds
        for key in () if reading.choice is not None else asked:
            if (
                key not in named
                and not (key in told and reading.ask in NAMED_BY_ANSWER)
                and not tells_true_class(reading, key)
                and not (reading.topic in ("grade", "measure") and names_no_other(reading, key))
                and not any(covers(general, {key}) for general in named if not reading.facts.names(general))
            ):
                return no(Reason.LABEL_MISSING, f"neither question nor answer names {key!r}, which is asked about")
        if reading.ask in _TOLD_IN_ANSWER:
            required = _required(reading)
            if (
                not required
                and reading.ask != "caption"
                and not any(map(reading.facts.state, told))
                and not (reading.answer.quantities and any(a.kind is Kind.MEASUREMENT for a in reading.own))
                and not denies_the_rest(reading)
            ):
                return no(Reason.LABEL_MISSING, "the draft names no annotation that its answer could rest on")
            missing = [
                key for key in sorted(required) if key not in told and not _is_told_otherwise(reading, key, told)
            ]
            if (
                reading.ask == "findings"
                and not reading.chinese
                and not reading.asked.get("all")
                and len(missing) < len(required)
            ):
                missing = []  # not all were asked for
            for key in missing:
                if reading.facts.state(key) is not State.ABSENT or not denies_the_rest(reading):
                    return no(Reason.LABEL_MISSING, f"the answer does not name {key!r}")
        return self._value_missing(reading) or self._attribute_missing(reading)

    def _value_missing(self, reading: Reading) -> Verdict:
        if reading.choice is not None:
            return None
        for annotation in reading.own:
            if annotation.kind is Kind.GRADE and not _tells_grade(reading.answer, annotation):
                return no(Reason.LABEL_MISSING, f"the answer does not give the value of {annotation.concept!r}")
        return None

    def _attribute_missing(self, reading: Reading) -> Verdict:
        meanings = [meaning for mention in reading.answer.mentions for meaning in mention.meanings]
        told = {meaning.of for meaning in meanings if meaning.kind == ATTRIBUTE}
        parts = reading.facts.attributes.get("anatomy", set())
        places = {meaning.key for meaning in meanings if meaning.kind == PLACE}
        if places & set(map(place_key, parts)) or any(
            places >= within for part in parts if (within := places_within(part))
        ):
            told.add("anatomy")
        if places_within(reading.answer.text) & set(map(place_key, parts)) or not places_implied(meanings).isdisjoint(
            map(place_key, parts)
        ):
            told.add("anatomy")
        wanted = reading.asked.get("attributes", ()) if reading.ask == "caption" else ()
        if reading.ask == "attribute":
            wanted = (reading.asked.get("attribute"),)
        told |= {str(name) for name in wanted if _tells_value(reading, str(name))}
        if implies_modality(reading):
            told.add("modality")
        for name in wanted:
            if name != "laterality" and name not in told:
                return no(Reason.LABEL_MISSING, f"the answer does not give the {name} of the image")
        return None

    def _invented(self, reading: Reading) -> Verdict:
        asked = set(asked_keys(reading))
        for part in (reading.question, reading.answer):
            known_end = -1
            for mention, named in part.keyed:
                key = None if mention.implied else _claimed_key(mention, named, reading, asked)
                if key is None:
                    continue
                if known_end == mention.start and key in generic():
                    continue  # `malignant lesion`, where malignant is the class
                known_end = mention.end if is_known(reading, key) and mention.key(PLACE) is None else -1
                if part is reading.question and not reading.facts.names(key) and is_askable(key, asked, reading):
                    continue
                if part is reading.question and is_open(reading) and not is_definite(mention, part):
                    continue  # what an open question mentions it does not say to be there
                if is_presupposed(mention, key, part, reading) or (
                    part is reading.question and is_queried(mention, key, reading)
                ):
                    continue
                denied = any(c.mention is mention and c.state is State.ABSENT for c in part.claims)
                rest = is_of_the_rest(part.tokens, mention.start)
                if denied and (key in generic() or rest) and denies_the_rest(reading):
                    continue
                if not is_known(reading, key):
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, of which the annotations say nothing")
                only_asked = part is reading.question or reading.ask in _ANSWER_KEEPS_TO_IT
                if asked and only_asked and not keeps_to(key, asked, part, reading):
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, which was not asked about")
                if (
                    reading.ask == "identify"
                    and part is reading.answer
                    and key not in _required(reading)
                    and not denied
                ):
                    return no(Reason.LABEL_INVENTED, f"the region does not hold {key!r}")
        return None

    def _soundness(self, reading: Reading) -> Verdict:
        """What is said to be sound has no finding, and one at least is known not to be there; where nothing was asked
        about it, all that the source can tell of it."""
        said: dict[int, list[State | None]] = {}
        for mention, key in reading.answer.keyed:
            if mention.implied:
                said.setdefault(mention.start, []).append(reading.facts.state(key))
        asked = reading.ask in _ANSWER_KEEPS_TO_IT
        for states in said.values():
            if not any(states) or (not asked and None in states):
                return no(Reason.LABEL_INVENTED, "the text calls sound what the annotations do not")
        return None

    def _rest(self, reading: Reading) -> Verdict:
        """What is said of all that is not named is true of all that the source can name."""
        if not denies_the_rest(reading):
            return None
        facts = reading.facts
        asked = reading.asked.get("label_set")
        sets = {str(asked)} if asked is not None else set(facts.kinds)
        keys = {key for label_set in sets for key in facts.kinds.get(label_set, ())}
        if not sets <= facts.closed and not denies_listed(reading.prose[1]):
            return no(
                Reason.LABEL_INVENTED, "the text denies all that it does not name, and silence means nothing here"
            )
        named = reading.answer.named
        spoken = {key for mention, key in reading.answer.keyed if is_of_the_rest(reading.answer.tokens, mention.start)}
        keys |= {key for key in facts.states if any(covers(each, {key}) for each in spoken)}
        if any(key not in named and facts.state(key) is not State.ABSENT for key in keys):
            return no(Reason.LABEL_INVENTED, "the text denies all that it does not name, the annotations do not")
        return None

    def _attributes(self, reading: Reading) -> Verdict:
        suggested = reading.asked.get("attribute") if reading.ask == "attribute_is" else None
        for part in (reading.question, reading.answer):
            for claim in part.described:
                if (reading.ask == "compare" and _is_of_both(claim, part)) or is_direction(reading, part, claim):
                    continue
                offered = suggested or (reading.asked.get("attribute") if reading.ask == "attribute" else None)
                if not _holds(claim, reading) and not (part is reading.question and _is_about(claim, offered)):
                    return no(Reason.LABEL_INVENTED, "the text gives the image a modality, view or anatomy it has not")
        if suggested is None or suggested == "laterality":
            return None
        places = suggested == "anatomy" and any(mention.key(PLACE) for mention in reading.question.mentions)
        if not places and not any(_is_about(claim, suggested) for claim in reading.question.claims):
            return no(Reason.LABEL_MISSING, f"the question suggests no {suggested}")
        return None

    def _words(self, reading: Reading) -> Verdict:
        for part in (reading.question, reading.answer):
            for word in strange_words(part, reading):
                if reading.draft.origin is Origin.TEMPLATE:
                    return no(Reason.LABEL_INVENTED, f"the word {word!r} is in no annotation and in no list of words")
                return no(Reason.LABEL_INVENTED, "a word is in no annotation and in no list of ordinary words")
        return None


def _spoken_of(reading: Reading) -> Sequence[Annotation]:
    """The annotations that the draft rests on; of a region in the question, those that it is the box of."""
    if reading.ask != "identify" or len(reading.question.lists) != 1:
        return reading.own
    region = tuple(map(int, reading.question.lists[0]))
    return [a for a in reading.own if reading.facts.box(a) == region] or reading.own


def _required(reading: Reading) -> set[str]:
    required = {
        concept_key(a.concept)
        for a in _spoken_of(reading)
        if a.concept and (a.kind in LABELS or a.kind in GEOMETRY or a.kind is Kind.GRADE)
    }
    if reading.ask == "findings" and reading.asked.get("all"):
        required |= {key for key in set_keys(reading) if reading.facts.state(key) is State.PRESENT}
    return required


def _is_told_otherwise(reading: Reading, key: str, told: frozenset[str]) -> bool:
    """True for a value, a kind of the same thing (`benign lesion` for `breast lesion`), `no tumor` by a denial."""
    if any(m.kind == VALUE and m.of == key for mention in reading.answer.mentions for m in mention.meanings):
        return True
    head = key.rpartition(" ")[2]
    if head in generic() and any(
        each.rpartition(" ")[2] == head and each not in _others(reading, key) for each in told
    ):
        return True
    if not key.startswith("no "):
        return False
    absent = key.removeprefix("no ")
    return any(
        claim.state is State.ABSENT and (spoken == absent or covers(absent, {spoken}) or spoken.endswith(f" {absent}"))
        for claim in reading.answer.claims
        for spoken in (m.key for m in claim.mention.meanings if m.kind == CONCEPT)
    )


def _others(reading: Reading, key: str) -> set[str]:
    """The findings that the same set of labels tells apart from one: one hemorrhage does not stand for another."""
    return {each for keys in reading.facts.kinds.values() if key in keys for each in keys}


def _claimed_key(mention: Mention, key: str, reading: Reading, asked: set[str]) -> str | None:
    """The concept that a mention claims; None where its words only describe the image or say nothing clinical."""
    if key in asked or (len(mention.meanings) == 1 and key in reading.own_keys):
        return key
    described = any(
        meaning.kind == VALUE
        or (meaning.kind == ATTRIBUTE and meaning.key in reading.facts.attributes.get(meaning.of, ()))
        for meaning in mention.meanings
    )
    if mention.key(PLACE) is not None and not is_known(reading, key):
        return None  # the rule of anatomy judges it
    if described or (key not in _required(reading) and all(word in plain_stems() for word in key.split(" "))):
        return None
    return key


def _is_of_both(claim: Claim, part: Part) -> bool:
    """True for an image of two: `neither CT shows a shift` denies no CT."""
    before = part.tokens[claim.mention.start - 1].low if claim.mention.start else ""
    return before in ("neither", "either", "both", "no")


def _tells_value(reading: Reading, name: str) -> bool:
    """True where an answer gives the value of an attribute that the source tells in words."""
    values = [a.text for a in reading.own if a.kind is Kind.ATTRIBUTE and a.concept == name and a.text]
    return any(f" {normal(value)} " in f" {reading.answer.normal} " for value in values)


def _tells_grade(answer: Part, annotation: Annotation) -> bool:
    key = concept_key(annotation.concept or "")
    if any(m.kind == VALUE and m.of == key for mention in answer.mentions for m in mention.meanings):
        return True
    if annotation.value is None:
        return False
    numbers = {float(token.raw) for token in answer.tokens if token.kind == NUMBER} | {n for _, n in answer.numbers}
    numbers |= {float(ROMAN[token.raw]) for token in answer.tokens if token.raw in ROMAN}
    if annotation.value in numbers:
        return True
    denied = any(claim.state is State.ABSENT and claim.mention.key(CONCEPT) == key for claim in answer.claims)
    return annotation.value == 0 and denied


def _is_about(claim: Claim, attribute: object) -> bool:
    return any(meaning.kind == ATTRIBUTE and meaning.of == attribute for meaning in claim.mention.meanings)


def _holds(claim: Claim, reading: Reading) -> bool:
    """True unless a claim about the image's attributes is wrong."""
    meanings = [meaning for meaning in claim.mention.meanings if meaning.kind == ATTRIBUTE]
    true = any(
        meaning.key in reading.facts.attributes.get(meaning.of, ()) or is_of_shown(meaning, reading)
        for meaning in meanings
    )
    return true == (claim.state is not State.ABSENT)
