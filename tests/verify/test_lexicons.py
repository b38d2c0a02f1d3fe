"""What the English lexicons say holds together: one meaning per term, places that exist, synonyms that add nothing."""

import itertools
import re

import msgspec
import pytest

from curate.verify.bodily import regions_of
from curate.verify.common_words import known_stems
from curate.verify.lexicon import (
    CONCEPT,
    PLACE,
    anatomy,
    attribute_key,
    broader,
    concept_key,
    general_index,
    place_key,
    read_yaml,
)
from curate.verify.text import stem, stems

SIDES = frozenset({"left", "right", "both", "bilateral", "unilateral"})
SEVERITIES = frozenset({"mild", "moderate", "severe", "slight", "marked", "massive", "extensive", "huge", "tiny"})
SHORT = 3
"""Terms of so many capitals are matched in capitals only."""
TIMES = frozenset({"acute", "subacute", "previous", "recent", "recurrent"})
NAMES_OF_ONE_SENSE = frozenset(
    {"severe acute respiratory syndrome", "left ventricular ejection fraction", "left ventricular assist device"}
)
"""Terms that are the whole name of what they mean."""


def _chapters() -> dict[str, list[list[str]]]:
    return msgspec.convert(read_yaml("findings.yaml"), dict[str, list[list[str]]])


def _groups() -> list[list[str]]:
    return [group for groups in _chapters().values() for group in groups]


def _words(term: str) -> set[str]:
    return set(re.findall(r"[a-z]+", term.lower()))


def _findings() -> set[tuple[str, ...]]:
    return {stems(term) for group in _groups() for term in group}


def _places() -> set[tuple[str, ...]]:
    return {stems(term) for group in anatomy().places for term in group}


def test_a_term_for_a_finding_has_one_meaning() -> None:
    owners: dict[tuple[str, ...], set[str]] = {}
    for group in _groups():
        for term in group:
            owners.setdefault(stems(term), set()).add(group[0])

    assert {term: owned for term, owned in owners.items() if len(owned) > 1} == {}
    assert () not in owners


def test_a_term_for_a_place_has_one_meaning() -> None:
    owners: dict[tuple[str, ...], set[str]] = {}
    for group in anatomy().places:
        for term in group:
            owners.setdefault(stems(term), set()).add(group[0])

    assert {term: owned for term, owned in owners.items() if len(owned) > 1} == {}


@pytest.mark.parametrize("kind", [SIDES, SEVERITIES, TIMES], ids=["side", "severity", "time"])
def test_a_synonym_adds_no_word_that_a_source_would_have_to_say(kind: frozenset[str]) -> None:
    added = {
        (group[0], term): more
        for group in _groups()
        for term in group[1:]
        if term not in NAMES_OF_ONE_SENSE and (more := (_words(term) & kind) - _words(group[0]))
    }

    assert added == {}


def test_a_place_with_a_side_in_its_name_is_no_half_of_a_pair() -> None:
    unpaired = {"ventric", "atrium", "atrial", "heart", "main", "coronary", "anterior", "circumflex", "upper", "lower"}
    sided = {
        term
        for group in anatomy().places
        for term in group
        if _words(term) & SIDES and not any(word.startswith(tuple(unpaired)) for word in _words(term))
    }

    # parts of an organ that has one of each: flexures of the colon, auricles
    assert sided <= {"right colic flexure", "left colic flexure", "left auricle", "right auricle"}


def test_no_term_of_capitals_catches_a_common_word() -> None:
    caught = {
        term
        for group in (*_groups(), *anatomy().places)
        for term in group
        if term.isupper() and term.isalpha() and len(term) > SHORT and stem(term) in known_stems()
    }

    assert caught == set()


def test_regions_are_places_and_none_lies_within_itself() -> None:
    places = _places()
    for inner, outer in anatomy().within.items():
        assert stems(inner) in places, inner
        assert stems(outer) in places, outer
        around = regions_of(place_key(inner))
        assert len(set(around)) == len(around)
        assert place_key(inner) not in around


def test_what_a_finding_or_a_modality_implies_are_places() -> None:
    places = _places()
    implied = itertools.chain(anatomy().finding.items(), anatomy().modality.items())

    assert [(name, place) for name, group in implied for place in group if stems(place) not in places] == []


def test_general_words_cover_findings_that_the_lexicon_has() -> None:
    known = {concept_key(term) for group in _groups() for term in group} | {"*"}

    assert {(name, kind) for name, kinds in broader().items() for kind in kinds if kind not in known} == set()
    assert {name for name, kinds in broader().items() if name in kinds} == set()


@pytest.mark.parametrize("name", ["aliases.yaml", "contents.yaml"])
def test_names_by_place_are_findings_that_the_lexicon_has(name: str) -> None:
    findings = _findings()
    raw = msgspec.convert(read_yaml(name), dict[str, dict[str, str]])
    named = [finding for pairs in raw.values() for finding in pairs.values()]
    if name == "aliases.yaml":
        named += [general for pairs in raw.values() for general in pairs]

    assert [finding for finding in named if stems(finding) not in findings] == []


def test_aliases_are_of_two_meanings() -> None:
    raw = msgspec.convert(read_yaml("aliases.yaml"), dict[str, dict[str, str]])
    same = {
        (place, general)
        for place, pairs in raw.items()
        for general, specific in pairs.items()
        if concept_key(general) == concept_key(specific)
    }

    assert same == set()


def test_a_kind_of_image_falls_under_names_that_are_known() -> None:
    raw = msgspec.convert(read_yaml("kinds_of_image.yaml"), dict[str, dict[str, list[str]]])
    values = msgspec.convert(read_yaml("attributes.yaml"), dict[str, dict[str, list[str]]])
    for attribute, group in raw.items():
        known = {attribute_key(attribute, name) for name in values[attribute]} | {
            attribute_key(attribute, name) for name in group
        }
        assert {name for names in group.values() for name in names if attribute_key(attribute, name) not in known} <= {
            "dental radiography"
        }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pneumothorax", "atelectasis"),
        ("microcalcification", "calcification"),
        ("pleural effusion", "pericardial effusion"),
        ("epidural hematoma", "subdural hematoma"),
        ("hard exudate", "soft exudate"),
        ("acl tear", "acl injury"),
        ("distal radius fracture", "radius fracture"),
        ("diabetic foot ulcer", "skin ulcer"),
        ("calcified granuloma", "granuloma"),
        ("left ventricular thrombus", "intracardiac thrombus"),
        ("benign keratosis", "seborrheic keratosis"),
        ("band neutrophil", "segmented neutrophil"),
    ],
)
def test_near_findings_keep_their_own_meaning(one: str, other: str) -> None:
    assert concept_key(one) != concept_key(other)


@pytest.mark.parametrize(
    ("term", "finding"),
    [
        ("effacement of the sulci", "effaced sulcus"),
        ("gastro-oesophageal reflux", "gastroesophageal reflux"),
        ("CBD stone", "choledocholithiasis"),
        ("leiomyomata", "fibroid"),
        ("haemopneumothorax", "hemopneumothorax"),
        ("C/D ratio", "cup-to-disc ratio"),
        ("LVEDV", "end-diastolic volume"),
        ("broken kneecap", "patella fracture"),
        ("Colles' fracture", "colles fracture"),
        ("cotton-wool spots", "soft exudate"),
        ("red blood cells", "erythrocyte"),
        ("naevi", "mole"),
        ("periapical rarefaction", "apical periodontitis"),
        ("wider-than-tall", "parallel orientation"),
    ],
)
def test_spellings_plurals_and_abbreviations_are_one_finding(term: str, finding: str) -> None:
    assert concept_key(term) == concept_key(finding)


@pytest.mark.parametrize(
    ("term", "place"),
    [
        ("windpipe", "trachea"),
        ("kneecap", "patella"),
        ("shoulder blade", "scapula"),
        ("SVC", "superior vena cava"),
        ("oesophagogastric junction", "gastroesophageal junction"),
        ("left atrial", "left atrium"),
        ("phalanges", "finger"),
    ],
)
def test_lay_names_adjectives_and_abbreviations_are_one_place(term: str, place: str) -> None:
    assert place_key(term) == place_key(place)


def test_a_part_lies_in_all_regions_around_it() -> None:
    assert regions_of(place_key("scaphoid")) == tuple(map(place_key, ("wrist", "upper extremity", "extremity")))
    assert place_key("chest") in regions_of(place_key("lingula"))
    assert place_key("head") in regions_of(place_key("hippocampus"))


def test_every_term_is_in_the_general_index() -> None:
    index = general_index()
    kinds = {(parts, meaning.kind) for parts, _, meaning in index.entries()}

    assert {(stems(term), CONCEPT) for group in _groups() for term in group} <= kinds
    assert {(stems(term), PLACE) for group in anatomy().places for term in group} <= kinds
