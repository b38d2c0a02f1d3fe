"""Words of a text that no term, cue or list explains; which of them a question may use all the same."""

from curate.schema import Kind, State
from curate.verify.chinese_characters import could_be_clinical, is_chinese
from curate.verify.common_words import asking_stems
from curate.verify.lexicon import CONCEPT
from curate.verify.measured import says_quantity
from curate.verify.naming import NAMED_BY_ANSWER, ROMAN, SCALES, asked_keys, covers, denies_the_rest
from curate.verify.reading import Part, Reading
from curate.verify.roots import root
from curate.verify.text import STOP, stem

__all__ = ["strange_words"]

_FEW = 3
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
_WELL = frozenset({"normal", "unremarkable", "negative"})
_SCALE_WORDS = SCALES | {stem("pattern"), stem("rated"), stem("points"), stem("point")}
_CODE = 3
"""Words of so few letters may be codes."""
_ROOT = 5
"""Letters that two words of one root share at least."""


def strange_words(part: Part, reading: Reading) -> list[str]:
    """Words that nothing explains; a question may use some that assert nothing there."""
    if not part.strange or all(says_quantity(reading, word) for word in part.strange):
        return []
    if part is not reading.question:
        return [
            word
            for word in part.strange
            if not (
                _is_of_set(word, reading)
                or _is_of_measure(word, reading)
                or _is_of_scale(word, reading)
                or _is_of_asked(word, reading)
            )
        ]
    name = str(reading.asked.get("concept", "")).replace("_", " ").replace("-", " ")
    own = {part for key in asked_keys(reading) for part in key.split(" ")} | {stem(part) for part in name.split()}
    strange = [word for word in part.strange if stem(word) not in own]
    strange = [word for word in strange if stem(word) not in asking_stems() or _qualifies(part, word, reading)]
    strange = [word for word in strange if not _is_akin(word, reading) or _qualifies(part, word, reading)]
    if len(strange) > _FEW or any(
        _could_be_a_finding(word, part) or _qualifies(part, word, reading) for word in strange
    ):
        return strange
    return [] if _names_its_subject(reading) else strange


def _is_of_measure(word: str, reading: Reading) -> bool:
    """True for a word in the name of what is measured, beside a measure: `the wall is 17 mm thick`."""
    if not reading.answer.quantities:
        return False
    names = [name for a in reading.own if a.kind is Kind.MEASUREMENT for name in (a.concept, a.label) if name]
    return any(root(word) == root(part) for name in names for part in name.replace("_", " ").replace("-", " ").split())


def _is_of_set(word: str, reading: Reading) -> bool:
    """True for the noun that a set of labels is named by: `no such device`; and for what the rest is said to be."""
    if reading.chinese:
        return False
    if word.lower() in _WELL and denies_the_rest(reading):
        return True
    shown = [value for name in ("modality", "view") for value in reading.facts.attributes.get(name, ())]
    names = (str(reading.asked.get("label_set", "")).replace("_", " "), *shown)
    return root(word) in {root(part) for name in names for part in name.split()}


def _is_of_scale(word: str, reading: Reading) -> bool:
    """True for the name of a scale where a grade is told, and for its value in Roman numerals: `type V`."""
    if reading.topic != "grade" or reading.chinese:
        return False
    values = {annotation.value for annotation in reading.own if annotation.kind is Kind.GRADE}
    return stem(word) in _SCALE_WORDS or ROMAN.get(word) in values


def _is_of_asked(word: str, reading: Reading) -> bool:
    """True for a word of the name of what is counted, where the question gives the whole of it: `three are solid`."""
    asked = asked_keys(reading)
    if reading.chinese or not asked:
        return False
    if reading.ask not in ("count", "locate", "point"):
        return f"the {word.lower()} " in f"{reading.answer.normal} " and any(
            stem(word) == key.rpartition(" ")[2] for key in asked if " " in key
        )
    named = not reading.question.named.isdisjoint(asked)
    return named and any(stem(word) in key.split(" ")[:-1] for key in asked)


def _names_its_subject(reading: Reading) -> bool:
    """True where a question names what it asks about, or asks about nothing by name."""
    asked = set(asked_keys(reading))
    named = reading.question.named
    if reading.ask in NAMED_BY_ANSWER and not asked.isdisjoint(reading.answer.named):
        return True
    return not asked or not asked.isdisjoint(named) or any(covers(key, asked) for key in named)


def _could_be_a_finding(word: str, part: Part) -> bool:
    """True for a name, a code, and a word formed like those for diseases; not for the name of a scale."""
    if is_chinese(word):
        return could_be_clinical(word)
    place = next((n for n, token in enumerate(part.tokens) if token.raw == word), 0)
    if word.isalpha() and any(token.stem in SCALES for token in part.tokens[place + 1 : place + 3]):
        return False
    if _begins_sentence(part, place) and word.istitle() and len(word) > _CODE:
        word = word.lower()
    if [token.low for token in part.tokens[max(0, place - 2) : place]] in (
        ["on", "this"],
        ["in", "this"],
        ["of", "this"],
    ):
        return False  # what the image is called
    return not word.isalpha() or not word.islower() or word.rstrip("s").endswith(_DISEASES)


def _begins_sentence(part: Part, place: int) -> bool:
    return place == 0 or part.tokens[place - 1].kind == STOP


def _is_akin(word: str, reading: Reading) -> bool:
    """True for a word of one root with what the source knows: `does the patient aspirate`, for aspiration."""
    root = stem(word)[:_ROOT]
    if len(root) < _ROOT or (not reading.chinese and not (word.islower() or word.istitle())):
        return False
    names = (*reading.facts.states, *reading.facts.grades, *(measure.key for measure in reading.facts.measures))
    return any(part.startswith(root) for name in names for part in name.split(" "))


def _qualifies(part: Part, word: str, reading: Reading) -> bool:
    """True for a word directly before a finding, of which it would presuppose something: `the large nodule`.

    Of a finding that is not there it presupposes nothing.
    """
    starts = {
        mention.start
        for mention in part.mentions
        if (key := mention.key(CONCEPT)) is not None and reading.facts.state(key) is not State.ABSENT
    }
    return any(token.raw == word and place + 1 in starts for place, token in enumerate(part.tokens))
