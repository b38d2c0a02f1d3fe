"""Every concept in the text is in the annotations, and those that the draft rests on are in the text."""

from collections.abc import Sequence
from typing import ClassVar

from curate.rows import Annotation
from curate.schema import Kind, Origin, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.bodily import places_within
from curate.verify.common_words import asking_stems, plain_stems
from curate.verify.facts import GEOMETRY, LABELS
from curate.verify.lexicon import (
    ATTRIBUTE,
    CONCEPT,
    PLACE,
    VALUE,
    Meaning,
    Mention,
    anatomy,
    attribute_key,
    broader,
    concept_key,
    place_key,
)
from curate.verify.reading import Claim, Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import NUMBER, stem

__all__ = ["Labels"]

_TOLD_IN_ANSWER = frozenset({"caption", "class", "findings", "identify"})
_ASKED_BY_NAME = frozenset({"presence", "locate", "count", "point", "grade", "measure", "compare"})
_ANSWER_KEEPS_TO_IT = frozenset({"presence", "locate", "count", "point", "measure", "compare"})


_NAMED_BY_ANSWER = frozenset({"presence", "compare", "measure", "grade"})
"""Where the answer may name what a question only hints at: `are the bones intact? there is no fracture`."""
_FEW = 2
"""So many words that nobody knows may stand in a question: it does not say that they are so."""
_DISEASES = (
    "oma", "itis", "iti", "osis", "osi", "asis", "emia", "aemia", "uria", "pathy", "penia", "philia", "cyte",
    "cytosis", "trophy", "plasia", "ectasis",
    "megaly", "rrhage", "rrhagia", "rrhoea", "rrhea", "lith", "cele", "algia", "plegia", "sclerosis", "stenosis",
    "edema", "oedema", "thorax", "ptosis", "malacia",
    "cancer", "tumor", "tumour", "ism", "pnea", "phagia", "rrhexis", "lysis", "ia", "cyst", "virus", "bacter",
    "coccus", "fungu", "syndrome", "disease", "ure",
)  # fmt: skip
"""Endings of words for diseases, from Greek and Latin."""
_ROOT = 5
"""Letters that two words of one root share at least."""
_GENERIC = frozenset(
    map(
        concept_key,
        ("lesion", "abnormality", "tumor", "mass", "disease", "finding", "opacity", "hemorrhage", "effusion"),
    )
)
"""Words for findings of any kind."""


class Labels(ReadingRule):
    """Nothing invented, nothing left out."""

    name: ClassVar[str] = "labels"
    version: ClassVar[int] = 3

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
        named = reading.question.named
        told = reading.answer.named
        if reading.topic == "count_total" and named.isdisjoint(asked) and told.issuperset(asked):
            asked = ()  # `how many cells are there`, which the answer counts by their kinds
        for key in () if reading.choice is not None else asked:
            if (
                key not in named
                and not (key in told and reading.ask in _NAMED_BY_ANSWER)
                and not any(_covers(general, {key}) for general in named if not reading.facts.names(general))
            ):
                return no(Reason.LABEL_MISSING, f"neither question nor answer names {key!r}, which is asked about")
        if reading.ask in _TOLD_IN_ANSWER:
            required = _required(reading)
            if not required and reading.ask != "caption" and not any(map(reading.facts.state, told)):
                return no(Reason.LABEL_MISSING, "the draft names no annotation that its answer could rest on")
            for key in sorted(required):
                if key not in told and not _is_told_otherwise(reading, key, told):
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
        if {meaning.key for meaning in meanings if meaning.kind == PLACE} & set(map(place_key, parts)):
            told.add("anatomy")
        if places_within(reading.answer.text) & set(map(place_key, parts)) or _is_implied(meanings, parts):
            told.add("anatomy")
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
            known_end = -1
            for mention, named in part.keyed:
                key = _claimed_key(mention, named, reading, asked)
                if key is None:
                    continue
                if known_end == mention.start and key in _GENERIC:
                    continue  # `malignant lesion`, where malignant is the class
                known_end = mention.end if _is_known(reading, key) else -1
                if part is reading.question and not reading.facts.names(key) and _is_askable(key, asked, reading):
                    continue
                if not _is_known(reading, key):
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, of which the annotations say nothing")
                only_asked = part is reading.question or reading.ask in _ANSWER_KEEPS_TO_IT
                if asked and only_asked and not _keeps_to(key, asked, part, reading):
                    return no(Reason.LABEL_INVENTED, f"the text names {key!r}, which was not asked about")
                if reading.ask == "identify" and part is reading.answer and key not in _required(reading):
                    return no(Reason.LABEL_INVENTED, f"the region does not hold {key!r}")
        return None

    def _attributes(self, reading: Reading) -> Verdict:
        suggested = reading.asked.get("attribute") if reading.ask == "attribute_is" else None
        for part in (reading.question, reading.answer):
            for claim in part.described:
                if not _holds(claim, reading) and not (part is reading.question and _is_about(claim, suggested)):
                    return no(Reason.LABEL_INVENTED, "the text gives the image a modality, view or anatomy it has not")
        if suggested is None or suggested == "laterality":
            return None
        if not any(_is_about(claim, suggested) for claim in reading.question.claims):
            return no(Reason.LABEL_MISSING, f"the question suggests no {suggested}")
        return None

    def _words(self, reading: Reading) -> Verdict:
        for part in (reading.question, reading.answer):
            for word in _strange(part, reading):
                if reading.draft.origin is Origin.TEMPLATE:
                    return no(Reason.LABEL_INVENTED, f"the word {word!r} is in no annotation and in no list of words")
                return no(Reason.LABEL_INVENTED, "a word is in no annotation and in no list of ordinary words")
        return None


def _strange(part: Part, reading: Reading) -> list[str]:
    """Words that nothing explains; a question may use some that assert nothing there."""
    if part is not reading.question or not part.strange:
        return list(part.strange)
    strange = [word for word in part.strange if stem(word) not in asking_stems() or _qualifies(part, word)]
    strange = [word for word in strange if not _is_akin(word, reading) or _qualifies(part, word)]
    if len(strange) > _FEW or any(_could_be_a_finding(word) or _qualifies(part, word) for word in strange):
        return strange
    return [] if _names_its_subject(reading) else strange


def _names_its_subject(reading: Reading) -> bool:
    """True where a question names what it asks about, or asks about nothing by name."""
    asked = set(_asked_keys(reading))
    named = reading.question.named
    return not asked or not asked.isdisjoint(named) or any(_covers(key, asked) for key in named)


def _could_be_a_finding(word: str) -> bool:
    """True for a name, a code, and a word formed like those for diseases."""
    return not word.isalpha() or not word.islower() or word.rstrip("s").endswith(_DISEASES)


def _is_akin(word: str, reading: Reading) -> bool:
    """True for a word of one root with what the source knows: `does the patient aspirate`, for aspiration."""
    root = stem(word)[:_ROOT]
    if len(root) < _ROOT or (not reading.chinese and not word.islower()):
        return False
    names = (*reading.facts.states, *reading.facts.grades, *(measure.key for measure in reading.facts.measures))
    return any(part.startswith(root) for name in names for part in name.split(" "))


def _qualifies(part: Part, word: str) -> bool:
    """True for a word directly before a finding, of which it would presuppose something: `the large nodule`."""
    starts = {mention.start for mention in part.mentions if mention.key(CONCEPT) is not None}
    return any(token.raw == word and place + 1 in starts for place, token in enumerate(part.tokens))


def _asked_keys(reading: Reading) -> tuple[str, ...]:
    if reading.topic == "count_total":
        return tuple(concept_key(str(name)) for name in reading.asked.get("concepts", ()))
    concept = reading.asked.get("concept")
    return (concept_key(concept),) if reading.topic in _ASKED_BY_NAME and isinstance(concept, str) else ()


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
        required |= {key for key in _set_keys(reading) if reading.facts.state(key) is State.PRESENT}
    return required


def _is_implied(meanings: Sequence[Meaning], parts: set[str]) -> bool:
    """True where the name of the modality says what it shows: a mammogram shows a breast."""
    said = {meaning.key for meaning in meanings if meaning.kind == ATTRIBUTE and meaning.of == "modality"}
    shown = {
        place_key(place)
        for kind, places in anatomy().modality.items()
        if attribute_key("modality", kind) in said
        for place in places
    }
    return not shown.isdisjoint(map(place_key, parts))


def _is_told_otherwise(reading: Reading, key: str, told: frozenset[str]) -> bool:
    """True for a value, a kind of the same thing (`benign lesion` for `breast lesion`), `no tumor` by a denial."""
    if any(m.kind == VALUE and m.of == key for mention in reading.answer.mentions for m in mention.meanings):
        return True
    head = key.rpartition(" ")[2]
    if head in _GENERIC and any(each.rpartition(" ")[2] == head for each in told):
        return True
    if not key.startswith("no "):
        return False
    absent = concept_key(key.removeprefix("no "))
    return any(
        claim.state is State.ABSENT and (spoken == absent or _covers(absent, {spoken}) or spoken.endswith(f" {absent}"))
        for claim in reading.answer.claims
        if (spoken := claim.mention.key(CONCEPT)) is not None
    )


def _set_keys(reading: Reading) -> set[str]:
    return reading.facts.kinds.get(str(reading.asked.get("label_set")), set())


def _claimed_key(mention: Mention, key: str, reading: Reading, asked: set[str]) -> str | None:
    """The concept that a mention claims; None where its words only describe the image or say nothing clinical."""
    if key in asked or (len(mention.meanings) == 1 and key in reading.own_keys):
        return key
    described = any(
        meaning.kind == VALUE
        or (meaning.kind == ATTRIBUTE and meaning.key in reading.facts.attributes.get(meaning.of, ()))
        for meaning in mention.meanings
    )
    if mention.key(PLACE) is not None and not _is_known(reading, key):
        return None  # the rule of anatomy judges it
    if described or (key not in _required(reading) and all(word in plain_stems() for word in key.split(" "))):
        return None
    return key


def _is_known(reading: Reading, key: str) -> bool:
    """True for what the annotations say something of: a state, a grade, or a measure that the draft rests on."""
    if reading.facts.state(key) is not None or key in reading.facts.grades:
        return True
    if reading.ask == "compare" and key in reading.facts.states:
        return True
    if any(f" {key} " in f" {grade} " for grade in reading.facts.grades):
        return True  # `osteoarthritis`, where its grade is known
    return any(a.kind is Kind.MEASUREMENT and concept_key(a.concept or "") == key for a in reading.own)


def _keeps_to(key: str, asked: set[str], part: Part, reading: Reading) -> bool:
    """True for what was asked, a general or special word for it, and what an answer adds that names it as well."""
    if key in asked or (not reading.facts.names(key) and _covers(key, asked)):
        return True
    if _is_class(key, reading) and any(_covers(each, {key}) for each in asked):
        return True
    if part is reading.question:
        return False
    if reading.ask in ("measure", "locate"):
        return not asked.isdisjoint(reading.question.named) or _generic_named(reading)
    if reading.ask not in ("presence", "compare"):
        return False
    return not asked.isdisjoint(part.concepts) or (reading.yes is False and _is_class(key, reading))


def _is_askable(key: str, asked: set[str], reading: Reading) -> bool:
    """True for a general word in a question, which may be answered by a special one or by a denial."""
    if _is_generic(key) and (not asked or _covers(key, asked)):
        return True
    return not broader().get(key, frozenset()).isdisjoint(reading.facts.states)


def _is_generic(key: str) -> bool:
    """True for a word for findings of any kind, also with the place that it lies in."""
    front, _, head = key.rpartition(" ")
    return key in _GENERIC or (head in _GENERIC and bool(front) and bool(places_within(front)))


def _is_class(key: str, reading: Reading) -> bool:
    """True for one of several that exclude each other, which may stand in the place of what was asked about."""
    return any(a.kind is Kind.CLASS and concept_key(a.concept or "") == key for a in reading.facts.annotations.values())


def _generic_named(reading: Reading) -> bool:
    return not _GENERIC.isdisjoint(reading.question.concepts)


def _covers(key: str, asked: set[str]) -> bool:
    """True for a general word for what was asked about."""
    front, _, head = key.rpartition(" ")
    if front and head in _GENERIC and key not in broader() and places_within(front):
        return key in asked or _covers(head, asked)
    narrower = broader().get(key, frozenset())
    return "*" in narrower or not asked.isdisjoint(narrower) or any(each.endswith(f" {key}") for each in asked)


def _tells_grade(answer: Part, annotation: Annotation) -> bool:
    key = concept_key(annotation.concept or "")
    if any(m.kind == VALUE and m.of == key for mention in answer.mentions for m in mention.meanings):
        return True
    if annotation.value is None:
        return False
    numbers = {float(token.raw) for token in answer.tokens if token.kind == NUMBER} | {n for _, n in answer.numbers}
    if annotation.value in numbers:
        return True
    denied = any(claim.state is State.ABSENT and claim.mention.key(CONCEPT) == key for claim in answer.claims)
    return annotation.value == 0 and denied


def _is_about(claim: Claim, attribute: object) -> bool:
    return any(meaning.kind == ATTRIBUTE and meaning.of == attribute for meaning in claim.mention.meanings)


def _holds(claim: Claim, reading: Reading) -> bool:
    """True unless a claim about the image's attributes is wrong."""
    meanings = [meaning for meaning in claim.mention.meanings if meaning.kind == ATTRIBUTE]
    true = any(meaning.key in reading.facts.attributes.get(meaning.of, ()) for meaning in meanings)
    return true == (claim.state is not State.ABSENT)
