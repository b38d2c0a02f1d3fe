"""Another modality, body part or view than the source states, or one where it states none; a place it does not give."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import capital, has_negation, load, phrases, sentences, spans
from curate.schema import Kind, State

__all__ = ["KINDS"]

SOURCE_WORDS = frozenset({Kind.QA, Kind.CAPTION, Kind.REPORT, Kind.SENTENCE})


@cache
def _words() -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = load("picture")
    return table


def _value(attribute: str, facts: Facts) -> str | None:
    return {"modality": facts.asset.modality, "anatomy": facts.asset.anatomy, "view": facts.asset.view}[attribute]


def _families(attribute: str, text: str) -> list[str]:
    return [name for name, family in _words()[attribute].items() if re.search(family["match"], text.lower())]


def _pattern(names: list[str], language: str) -> re.Pattern[str]:
    ordered = sorted(names, key=lambda name: (-len(name), name))
    bounds = r"\b" if language == "en" else ""
    return re.compile(
        bounds + "(" + "|".join(map(re.escape, ordered)) + ")" + bounds, re.IGNORECASE if language == "en" else 0
    )


def _swap(attribute: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        value = _value(attribute, facts)
        if value is None or (any(each.kind in SOURCE_WORDS for each in row.annotations) and attribute != "anatomy"):
            return
        held = _families(attribute, value)
        if len(held) != 1 or row.asks["ask"] in ("source", "choice"):
            return
        # A "No, this is X" denies another one in the question: the answer alone is changed, and X is affirmed in it.
        pattern = _pattern(_words()[attribute][held[0]][row.language], row.language)
        parts = sentences(row.answer, row.language)
        for place, part in enumerate(parts):
            body = re.sub(r"^(no|不是|否)[,，]\s*", "", part, flags=re.IGNORECASE)
            if not _own(pattern, part, facts, row.language) or has_negation(body, row.language):
                continue
            known = facts.told
            far = [name for name in _words()[attribute][held[0]]["far"]
                   if not any(each.lower() in known for each in _words()[attribute][name]["en"])]  # fmt: skip
            for other in draw.some(place, far, 2):
                word = _words()[attribute][other][row.language][0]
                changed = _replaced(pattern, part, word, facts, row.language)
                changed = re.sub(r" ?\(\s*(?:PA|AP|LL)\s*\)", "", changed)
                yield Change(
                    f"the {attribute} is {value}", answer="".join([*parts[:place], changed, *parts[place + 1 :]])
                )
            return

    make.__doc__ = f"Another {attribute} than the one that is stated."
    return make


def _own(pattern: re.Pattern[str], text: str, facts: Facts, language: str) -> list[re.Match[str]]:
    """Where the words stand by themselves, not within the name of a finding or of another thing."""
    taken = [span for concept in facts.vocabulary for span in spans(text, concept, language)]
    return [
        found
        for found in pattern.finditer(text)
        if not any(start < found.end() and found.start() < end for start, end in taken)
        and not text[found.end() :].startswith(("镜", "病变", "腔"))
    ]


def _replaced(pattern: re.Pattern[str], text: str, word: str, facts: Facts, language: str) -> str:
    for found in reversed(_own(pattern, text, facts, language)):
        now = capital(word) if found.start() == 0 and found.group()[0].isupper() else word
        text = text[: found.start()] + now + text[found.end() :]
    return re.sub(rf"({re.escape(word)})(?:\s*\1)+", r"\1", text)


def attribute_denied_or_claimed(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A question about modality, anatomy or view answered with another one outright."""
    attribute = row.asks.get("attribute")
    if row.asks["ask"] not in ("attribute", "attribute_is") or attribute not in _words():
        return
    value = _value(str(attribute), facts)
    held = _families(str(attribute), value) if value else []
    if len(held) != 1:
        return
    for other in draw.some("other", _words()[str(attribute)][held[0]]["far"], 2):
        word = _words()[str(attribute)][other][row.language][0]
        pool = phrases("attribute_is", row.language, word, attribute=attribute)
        yield Change(f"the {attribute} is {value}", answer=draw.pick(("words", other), pool))


def attribute_unproved(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A modality or view where the source states none."""
    if any(each.kind in SOURCE_WORDS for each in row.annotations) and row.asks["ask"] == "source":
        return
    stop = "" if re.search(r"[.。!\]]\s*$", row.answer) else ("." if row.language == "en" else "。")
    for attribute, pool in (
        ("modality", ({"en": ("CT", "MRI", "ultrasound", "PET"), "zh": ("CT", "磁共振", "超声")})),
        ("view", ({"en": ("lateral", "oblique", "posteroanterior", "coronal"), "zh": ("侧位", "斜位", "冠状面")})),
    ):
        if _value(attribute, facts) is not None or row.asks["ask"] in ("choice", "attribute_is"):
            continue
        word = draw.pick(attribute, pool[row.language])
        if word.lower() in f"{facts.told} {row.answer} {row.question}".lower():
            continue
        words = {"a": "an" if word[0] in "aeioM" else "a", "attribute": "view" if attribute == "view" else "scan"}
        tail = phrases("attribute_unproved", row.language, word, **words)[0]
        yield Change(f"no {attribute} is stated", answer=row.answer.rstrip() + stop + tail)


def place_in_the_body_added(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A finding put into a part of the body that the source does not name."""
    if any(each.kind in SOURCE_WORDS for each in row.annotations) or row.asks["ask"] in (
        "choice",
        "attribute",
        "attribute_is",
    ):
        return
    held = _families("anatomy", facts.asset.anatomy or "")
    family = next((name for name in held if name in _words()["places"]), "other")
    told = f"{facts.told} {row.answer} {row.question}".lower()
    pool = [place for place in _words()["places"][family][row.language] if not _is_told(place, told)]
    parts = sentences(row.answer, row.language)
    for concept in facts.having(State.PRESENT):
        for index, part in enumerate(parts):
            if next(spans(part, concept, row.language), None) is None or has_negation(part, row.language) or not pool:
                continue
            place = draw.pick(concept, pool)
            body = re.sub(r"[.。]?\s*$", "", part)
            changed = f"{body} {place}. " if row.language == "en" else f"{body}，{place}。"
            whole = "".join([*parts[:index], changed, *parts[index + 1 :]]).strip()
            yield Change(f"no place of {concept} is given", answer=whole)
            return


def _is_told(place: str, told: str) -> bool:
    """True where the source, or the text, says any part of a place already."""
    return any(word in told for word in re.findall(r"[a-z]{5,}", place)) or place.removeprefix("位于") in told


def organ_swapped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The organ of a sentence exchanged for another, where the source names the one and not the other."""
    if row.asks["ask"] in ("source", "choice", "attribute", "attribute_is") or any(
        each.kind in SOURCE_WORDS for each in row.annotations
    ):
        return
    for name in ("liver", "spleen", "kidney", "heart", "prostate", "thyroid", "breast", "knee", "colon", "skin"):
        family = _words()["anatomy"][name]
        pattern = _pattern(family[row.language], row.language)
        if not re.search(family["match"], facts.told) or not _own(pattern, row.answer, facts, row.language):
            continue
        far = [other for other in family["far"] if not re.search(_words()["anatomy"][other]["match"], facts.told)]
        for other in draw.some(name, far, 1):
            word = _words()["anatomy"][other][row.language][0]
            changed = _replaced(pattern, row.answer, word, facts, row.language)
            if has_negation(row.answer, row.language):
                continue
            yield Change(f"the source speaks of {name} and not of {other}", answer=changed)


KINDS: Mapping[str, Make] = {
    "modality_swapped": _swap("modality"),
    "anatomy_swapped": _swap("anatomy"),
    "view_swapped": _swap("view"),
    "attribute_answered_falsely": attribute_denied_or_claimed,
    "attribute_unproved": attribute_unproved,
    "place_in_the_body_added": place_in_the_body_added,
    "organ_swapped": organ_swapped,
}
