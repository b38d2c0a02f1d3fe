"""What a writer may invent, and what follows from what a source says so that it is no invention."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from bench.verify.facts import Facts
from bench.verify.texts import concepts, load, tokens_of
from curate.schema import State

__all__ = ["Term", "is_invented", "kinds_of", "outside", "vocabulary_terms"]

FINDINGS_OF_PS3_16 = (3704, 3711, 6031, 6032, 6033, 6054, 6055, 6101, 6104, 6105, 6201)
"""Context groups of DICOM PS3.16 whose members are findings: their meanings, as pydicom carries them."""

VAGUE = re.compile(
    r"normal|finding|other|unknown|image|anatom|no |not |quality|artifact|view|position|^non-|geometry|^nipple$|"
    r"haustra|valve$|feces|selected|^density$|lymph node$|contrast|problem|^breast pain$|elsewhere",
    re.IGNORECASE,
)
"""Members of those groups that name no finding."""

STRUCTURE = re.compile(
    r"^(?:no|normal) |^(?:left |right |common |abdominal |central )?(?:liver|spleen|heart|kidneys?|aorta|lungs?|brain|"
    r"bladder|prostate|thyroid|pancreas|gallbladder|stomach|colon|appendix|optic disc|fovea|retina|macula|skin|"
    r"ventricles?|atrium|femur|tooth|teeth|jaw|breast|bones?|vertebrae?|bowel|esophagus|trachea|uterus|ovar(?:y|ies)|background)$"
)
"""Concepts that may be on an image though nobody marked them: parts of any body, and the absence of findings."""

BROADER = {
    "lung opacity": "consol|pneumon|edema|atelect|lesion|nodul|mass|infiltr|effus|ground|tuberc|fibros|tumor|infar",
    "lung lesion": "nodul|mass|tumor|cavit|cancer|tubercul|consolid",
    "enlarged cardiomediastinum": "cardiomeg|aort|mediast|lymph|effusion",
    "support devices": "tube|catheter|pacemaker|device|line|wire|valve|stent",
    "infiltration": "pneumon|consolid|opacity|tubercul",
    "consolidation": "pneumon|opacity",
    "pneumonia": "consolid|covid|infect",
    "COPD": "emphys|bronch",
    "pulmonary edema": "congest|failure|opacity",
    "interstitial lung disease": "fibros|honeycomb|pneumon|covid",
}
"""Concepts that a source may hold true at once by what they mean; their own words and `kinds` are looked at too."""


@dataclass(frozen=True, slots=True)
class Term:
    """A finding by its name in one language, with the kinds of things that it is one of."""

    name: str
    kinds: frozenset[str]


@cache
def _kinds() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in load("outside")["kinds"].items()}


@cache
def kinds_of(name: str) -> frozenset[str]:
    """The kinds into which an English name falls."""
    return frozenset(kind for kind, pattern in _kinds().items() if pattern.search(name.lower()))


@cache
def outside(language: str) -> tuple[Term, ...]:
    """Every term that is not from a source's vocabulary, in a fixed order."""
    lists = load("outside")
    terms = [Term(name, frozenset(kinds) | (kinds_of(name) if language == "en" else frozenset()))
             for name, *kinds in lists[language]]  # fmt: skip
    if language == "en":
        terms += [Term(_lowered(title), kinds_of(title)) for title in load("icd10cm").values()]
        terms += [Term(name, kinds_of(name)) for name in _meanings()]
    return tuple(terms)


def _lowered(title: str) -> str:
    first, _, rest = title.partition(" ")
    eponym = first.endswith("'s") or not first[1:].islower() or "-" in first
    return title if eponym else first.lower() + (f" {rest}" if rest else "")


def _meanings() -> list[str]:
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr.codedict import codes

    found: set[str] = set()
    for cid in FINDINGS_OF_PS3_16:
        for scheme, names in cid_concepts[cid].items():
            found |= {getattr(getattr(codes, scheme), name).meaning for name in names}
    plain = re.compile(r"^[A-Za-z][a-z' -]{4,40}$")
    return sorted(_lowered(name) for name in found if plain.match(name) and not VAGUE.search(name))


def _told(facts: Facts) -> list[str]:
    """What may be true of the image, in English: present, uncertain or said in a way that has no state."""
    return [
        *facts.possible,
        *(each.text or "" for each in facts.row.annotations),
        *(a.anatomy or "" for a in facts.row.assets),
    ]


def is_invented(term: Term, facts: Facts, texts: Iterable[str] = ()) -> bool:
    """True where nothing that the source says, nor any of the texts, could mean this."""
    told = [*_told(facts), *texts]
    if any(tokens_of(term.name) & tokens_of(each) for each in told):
        return False
    if any(re.search(BROADER[concept], term.name.lower()) for concept in facts.possible if concept in BROADER):
        return False
    return all(term.kinds.isdisjoint(kinds_of(each)) for each in facts.possible)


def vocabulary_terms(facts: Facts) -> list[str]:
    """Concepts that the source could have named and of which it does not say that they are there.

    A concept that is stated absent is one; one of which nothing is said is one where no stated concept implies it.
    """
    present = [tokens_of(concept) for concept in facts.possible]
    found = []
    for concept in facts.vocabulary:
        if concept in facts.possible or STRUCTURE.search(concept):
            continue
        stated = facts.states.get(concept) is State.ABSENT
        own = tokens_of(concept)
        implied = any(own <= other or other <= own for other in present) or any(
            re.search(pattern, concept) for broad, pattern in BROADER.items() if broad in facts.possible
        ) or any(re.search(BROADER[concept], other) for other in facts.possible if concept in BROADER)  # fmt: skip
        loose = (
            {"growth", "shadow"} & kinds_of(concept) & frozenset().union(*map(kinds_of, facts.possible), frozenset())
        )
        if stated or not (implied or loose):
            found.append(concept)
    return found


def spoken(concept: str, language: str) -> str | None:
    """The name by which a text of one language calls a concept; null where none is known."""
    if language == "en":
        return concept
    names = concepts().get(concept, {}).get("zh", [])
    return names[0] if names else None
