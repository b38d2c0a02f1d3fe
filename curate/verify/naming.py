"""What a text may name beside what its source was asked about: general words, the class instead, what is spoken of."""

import functools

from curate.schema import Kind, State
from curate.verify.bodily import places_within
from curate.verify.chinese_characters import is_open_in_chinese
from curate.verify.collective import denies_the_rest as denied_as_rest
from curate.verify.lexicon import CONCEPT, Mention, broader, concept_key
from curate.verify.reading import Part, Reading
from curate.verify.roots import root
from curate.verify.text import stem

__all__ = [
    "NAMED_BY_ANSWER",
    "ROMAN",
    "SCALES",
    "asked_keys",
    "covers",
    "denies_the_rest",
    "generic",
    "is_askable",
    "is_definite",
    "is_known",
    "is_open",
    "is_presupposed",
    "is_queried",
    "keeps_to",
    "names_no_other",
    "set_keys",
    "tells_true_class",
]

NAMED_BY_ANSWER = frozenset({"presence", "compare", "measure", "grade"})
"""Where the answer may name what a question only hints at: `are the bones intact? there is no fracture`."""
_ASKED_BY_NAME = frozenset({"presence", "locate", "count", "point", "grade", "measure", "compare"})
SCALES = frozenset(
    map(
        stem,
        (
            "grade",
            "grading",
            "score",
            "subscore",
            "scale",
            "category",
            "class",
            "classification",
            "stage",
            "staging",
            "type",
            "system",
            "index",
            "rating",
            "level",
            "severity",
        ),
    )
)
ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8}


@functools.cache
def generic() -> frozenset[str]:
    """The keys of words for findings of any kind."""
    words = ("lesion", "abnormality", "tumor", "mass", "disease", "finding", "opacity", "hemorrhage", "effusion")
    return frozenset(map(concept_key, words))


@functools.cache
def _rested() -> frozenset[str]:
    return frozenset(map(concept_key, ("abnormality", "finding", "disease", "lesion", "label")))


@functools.cache
def _bearers() -> frozenset[str]:
    """The keys of words for what a source may describe without naming it."""
    return frozenset(map(concept_key, ("lesion", "nodule", "mass", "tumor", "growth", "abnormality")))


def tells_true_class(reading: Reading, asked: str) -> bool:
    """True where what is asked about is not there, and the answer says no and which class it is instead."""
    if reading.ask != "presence" or reading.yes is not False or reading.facts.state(asked) is not State.ABSENT:
        return False
    named = reading.question.concepts
    return not any(reading.facts.state(key) is State.PRESENT for key in named) and any(
        is_class(key, reading) and reading.facts.state(key) is State.PRESENT for key in reading.answer.concepts
    )


def names_no_other(reading: Reading, asked: str) -> bool:
    """True where a question names nothing else that its source knows: `how wide is it`."""
    known = {*reading.facts.states, *reading.facts.grades, *(measure.key for measure in reading.facts.measures)}
    return reading.question.named.isdisjoint(known - {asked})


def asked_keys(reading: Reading) -> tuple[str, ...]:
    if reading.topic == "count_total":
        return tuple(concept_key(str(name)) for name in reading.asked.get("concepts", ()))
    concept = reading.asked.get("concept")
    return (concept_key(concept),) if reading.topic in _ASKED_BY_NAME and isinstance(concept, str) else ()


def denies_the_rest(reading: Reading) -> bool:
    """True where one statement denies all that is not named: `otherwise unremarkable`, `none of these is seen`."""
    return denied_as_rest(reading.prose[1])


def set_keys(reading: Reading) -> set[str]:
    return reading.facts.kinds.get(str(reading.asked.get("label_set")), set())


def is_known(reading: Reading, key: str) -> bool:
    """True for what the annotations say something of: a state, a grade, or a measure that the draft rests on."""
    if reading.facts.state(key) is not None or key in reading.facts.grades:
        return True
    if reading.ask == "compare" and key in reading.facts.states:
        return True
    measured = [measure.key for measure in reading.facts.measures]
    if any(f" {key} " in f" {name} " for name in (*reading.facts.grades, *measured)):
        return True  # `osteoarthritis`, where its grade is known
    return any(a.kind is Kind.MEASUREMENT and concept_key(a.concept or "") == key for a in reading.own)


def keeps_to(key: str, asked: set[str], part: Part, reading: Reading) -> bool:
    """True for what was asked, a general or special word for it, and what an answer adds that names it as well."""
    if key in asked or (not reading.facts.names(key) and covers(key, asked)):
        return True
    if is_class(key, reading) and any(covers(each, {key}) for each in asked):
        return True
    if any(f" {key} " in f" {each} " for each in asked) and reading.ask == "measure":
        return True
    if any(key == each.removeprefix("no ") for each in asked if each.startswith("no ")):
        return True
    if part is reading.question:
        return False
    if not asked.isdisjoint(part.concepts):
        return True
    if reading.ask in ("measure", "locate"):
        return not asked.isdisjoint(reading.question.named) or generic_named(reading)
    if reading.ask == "count" and is_class(key, reading):
        return True
    if reading.ask not in ("presence", "compare") or not says_no(reading):
        return False
    there = any(c.state is State.PRESENT and c.mention.key(CONCEPT) == key for c in part.claims)
    return is_class(key, reading) or (there and not asked.isdisjoint(reading.question.named))


def says_no(reading: Reading) -> bool:
    """True for an answer that says no, also by its verb alone: `可以排除，`."""
    return reading.yes is False or (reading.chinese and reading.yes is None and reading.answer.bare == (State.ABSENT,))


def is_askable(key: str, asked: set[str], reading: Reading) -> bool:
    """True for a general word in a question, which may be answered by a special one or by a denial."""
    if (is_generic(key) or key.rpartition(" ")[2] in _bearers()) and (not asked or covers(key, asked)):
        return True
    return not broader().get(key, frozenset()).isdisjoint(reading.facts.states)


def is_open(reading: Reading) -> bool:
    """True for a question about all that an image shows; what its source tells apart it must not mention by the way."""
    if reading.chinese:
        return reading.ask in ("findings", "class") and is_open_in_chinese(reading.prose[0])
    return reading.ask in ("findings", "class") and "?" in reading.prose[0]


_INDEFINITE = frozenset({"a", "an", "any", "some", "evidence", "sign", "signs", "of"})
_QUERYING = frozenset(
    {"this", "that", "it", "there", "these", "be", "or", "have", "show", "suggest", "indicate", "reveal", "represent",
     "mean", "contain", "demonstrate"}
)  # fmt: skip
"""Words behind which a question asks whether something is there."""
_ASKING_VERBS = frozenset({"is", "are", "was", "were", "isn't", "aren't"})


def is_definite(mention: Mention, part: Part) -> bool:
    before = [token.low for token in part.tokens[max(0, mention.start - 2) : mention.start]]
    if before[:1] and before[0] in _ASKING_VERBS and before[-1] in ("this", "that", "these", "those"):
        return False  # `is this cholecystitis`
    return before[-1:] != [] and before[-1] in ("the", "this", "that", "these", "those")


def is_queried(mention: Mention, key: str, reading: Reading) -> bool:
    """True for a finding that a question mentions beside what it asks after, and that its source cannot name: `is there
    pneumonia or another consolidation`. The answer has to name what was asked."""
    part = reading.question
    if reading.chinese or reading.facts.names(key) or not part.text.rstrip().endswith("?"):
        return False
    told = {*asked_keys(reading)}
    if not told or not told <= reading.answer.concepts or not told <= part.concepts:
        return False
    at = mention.start - 1
    while at >= 0 and part.tokens[at].low in _INDEFINITE:
        at -= 1
    return at >= 0 and part.tokens[at].low in _QUERYING


def is_presupposed(mention: Mention, key: str, part: Part, reading: Reading) -> bool:
    """True for the thing whose features and grades a source gives, without giving a name to it: `the nodule`; and for
    what a grade or a set of labels is named after."""
    if is_known(reading, key) or reading.facts.names(key):
        return False
    said = key.split(" ") if reading.chinese else [token.raw for token in part.tokens[mention.start : mention.end]]
    words = set(map(root, said))
    if key in _rested() and denied_as_rest(reading.prose[1]) and part is reading.answer:
        return True  # what is said of all that is not named is judged as that
    if reading.topic == "grade" and key in SCALES:
        return True
    if reading.topic == "measure" and words <= {root(word) for name in asked_names(reading) for word in name.split()}:
        return True
    if reading.topic == "grade" and not SCALES.isdisjoint(key.split(" ")):
        named = concept_key(str(reading.asked.get("concept"))).split(" ")
        if part is reading.question or key in reading.question.concepts or not set(named).isdisjoint(key.split(" ")):
            return True
    sets = {str(reading.asked.get("label_set", "")), *asked_names(reading)}
    if part is reading.question and any(
        words <= {root(word) for word in name.replace("_", " ").split()} for name in sets
    ):
        return True
    if key not in _bearers():
        return False
    before = [token.low for token in part.tokens[max(0, mention.start - 1) : mention.start]]
    definite = bool(set(before) & {"the", "this", "that", "these", "those", "its"})
    definite = definite or (reading.chinese and part is reading.question)  # Chinese has no articles
    described = bool(reading.facts.grades) or reading.ask in ("grade", "measure", "findings", "presence")
    if part is reading.question:
        return definite and described and key not in asked_keys(reading)
    return definite and described and (key in reading.question.concepts or reading.ask in ("grade", "findings"))


def asked_names(reading: Reading) -> tuple[str, ...]:
    concept = reading.asked.get("concept")
    return (concept,) if isinstance(concept, str) and reading.topic in ("grade", "measure") else ()


def is_generic(key: str) -> bool:
    """True for a word for findings of any kind, also with the place that it lies in."""
    front, _, head = key.rpartition(" ")
    return key in generic() or (head in generic() and bool(front) and bool(places_within(front)))


def is_class(key: str, reading: Reading) -> bool:
    """True for one of several that exclude each other, which may stand in the place of what was asked about."""
    return any(a.kind is Kind.CLASS and concept_key(a.concept or "") == key for a in reading.facts.annotations.values())


def generic_named(reading: Reading) -> bool:
    return not generic().isdisjoint(reading.question.concepts)


def covers(key: str, asked: set[str]) -> bool:
    """True for a general word for what was asked about."""
    front, _, head = key.rpartition(" ")
    if front and head in generic() | _bearers() and key not in broader() and places_within(front):
        return key in asked or covers(head, asked)
    narrower = broader().get(key, frozenset())
    return "*" in narrower or not asked.isdisjoint(narrower) or any(each.endswith(f" {key}") for each in asked)
