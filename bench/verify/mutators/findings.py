"""A finding left out, invented, or taken for its neighbour."""

import itertools
import re
from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.invented import is_invented, outside, spoken, vocabulary_terms
from bench.verify.mutators import Change, Make
from bench.verify.rows import Draw, Row
from bench.verify.texts import (
    before,
    capital,
    concepts,
    has_negation,
    mentions,
    phrases,
    plural,
    sentences,
    spans,
    surface,
)
from curate.schema import State

__all__ = ["KINDS"]


def _joined(row: Row, term: str, draw: Draw, what: object) -> Iterator[str]:
    """The answer with a finding more: as a sentence of its own, and within the last one."""
    answer = row.answer.rstrip()
    stop = answer[-1] if answer[-1] in ".。！!" else ""
    ended = answer if stop else answer + ("。" if row.language == "zh" else ".")
    yield ended + draw.pick(("own", what), phrases("added", row.language, term))
    if row.answer[-1:] not in "]}" and not has_negation(sentences(answer, row.language)[-1], row.language):
        yield (
            answer[: len(answer) - len(stop)]
            + draw.pick(("in", what), phrases("added_within", row.language, term))
            + stop
        )


def added_from_vocabulary(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A finding that the source could have named and did not."""
    if row.asks["ask"] in ("source", "choice", "compare"):
        return
    for concept in draw.some("concept", vocabulary_terms(facts), 2):
        name = spoken(concept, row.language)
        if name is None or mentions(row.answer, concept, row.language):
            continue
        for answer in _joined(row, name, draw, concept):
            yield Change(f"the source does not say that {concept} is there", answer=answer)


def added_from_outside(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A finding that stands in no vocabulary of the source."""
    free = (
        term
        for term in draw.walk("term", outside(row.language))
        if is_invented(term, facts, (row.answer, row.question))
    )
    for term in itertools.islice(free, 2):
        for answer in draw.some(term.name, list(_joined(row, term.name, draw, term.name)), 1):
            yield Change(f"nothing that the source says means {term.name}", answer=answer)


def presence_of_another(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The finding asked about exchanged for one that the source does not know, in question and answer alike."""
    concept = str(row.asks.get("concept"))
    if row.asks["ask"] != "presence" or facts.states.get(concept) is not State.PRESENT:
        return
    term = next(term for term in draw.walk("term", outside(row.language)) if is_invented(term, facts))
    text = re.sub(r"^an? ", "", term.name)
    asked, claimed = (phrases(kind, row.language, text)[0] for kind in ("another_asked", "another_claimed"))
    yield Change(f"nothing is said of {text}", question=asked, answer=claimed)


def dropped(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One of several findings that a caption or a whole list must tell, taken out of the text."""
    asks = row.asks
    if not (asks["ask"] == "caption" or (asks["ask"] == "findings" and asks["all"])):
        return
    rests = set(row.draft.annotation_ids)
    told = {each.concept for each in row.annotations if each.annotation_id in rests and each.concept}
    present = [concept for concept in facts.having(State.PRESENT) if concept in told]
    named = [concept for concept in present if mentions(row.answer, concept, row.language)]
    if len(named) < 2:
        return
    for concept in named:
        answer = _without(row.answer, concept, row.language)
        if answer is not None and not mentions(answer, concept, row.language):
            yield Change(f"{concept} is present and must be told", answer=answer)


def _without(text: str, concept: str, language: str) -> str | None:
    """The text with one member of a list gone, or with the sentence that tells nothing else."""
    names = "|".join(map(re.escape, surface(concept, language)))
    if language == "zh":
        counted = "(?:[一二两三四五六七八九十\\d]+[个枚处颗])?"
        changed, times = re.subn(
            rf"(?:[、和及与以并]|并有)(?:{names})|{counted}(?:{names})[、和及与]",
            "",
            text,
            count=1,
        )
        return changed if times else None
    member = rf"(?:an? |the |some )?(?:{names})"
    for pattern, other in (
        (rf"({member})\b, (?=[^.]* and )", ""),
        (rf", {member}\b(?= and )", ""),
        (rf"\b{member} and ", ""),
        (rf",? and {member}\b", ""),
    ):
        changed, times = re.subn(pattern, other, text, count=1, flags=re.IGNORECASE)
        if times:
            if re.search(r"^[^,]*,[^,.]*\.?$", changed) and " and " in text:
                changed = re.sub(r", (?!but|whereas|while|with|no )(?=[^,]*$)", " and ", changed)
            return re.sub(r"(^|[.!?] )([a-z])", lambda found: found[1] + found[2].upper(), changed)
    parts = sentences(text, language)
    kept = [part for part in parts if not mentions(part, concept, language)]
    return "".join(kept).strip() if 0 < len(kept) < len(parts) else None


def taken_for_neighbour(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A finding's name exchanged for one that is near it and means something else."""
    if row.asks["ask"] in ("choice", "compare"):
        return
    for concept in facts.having(State.PRESENT):
        near = [other for other in concepts().get(concept, {}).get("near", [])
                if other not in facts.possible and _means_other(other, concept, facts)]  # fmt: skip
        found = list(spans(row.answer, concept, row.language))
        if not near or not found or has_negation(row.answer, row.language):
            continue
        for other in draw.some(concept, near, 2):
            name = spoken(other, row.language)
            if name is None:
                continue
            answer = row.answer
            for start, end in reversed(found):
                was = answer[start:end]
                many = row.language == "en" and was.endswith("s") and not concept.endswith("s")
                now = plural(name) if many else name
                now = capital(now) if was[:1].isupper() and not was.isupper() else now
                head = before(answer[:start], now)
                answer = head + now + answer[end:]
            yield Change(f"{other} is not {concept}, and nothing is said of it", answer=answer)


def _means_other(other: str, concept: str, facts: Facts) -> bool:
    if facts.states.get(other) is State.ABSENT:
        return True
    # A neighbour of one stated finding may be another stated finding by another name.
    return not any(
        mentions(each, other, "en") or mentions(other, each, "en") for each in facts.possible if each != concept
    )


def class_replaced(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The class, or what a box holds, exchanged for another one that the source could have named."""
    if row.asks["ask"] not in ("class", "identify") or len(facts.having(State.PRESENT)) == 0:
        return
    held = [concept for concept in facts.having(State.PRESENT) if mentions(row.answer, concept, row.language)]
    names = row.vocabulary.get(row.asks["label_set"])
    if len(held) != 1 or names is None:
        return
    drawn = row.asks["ask"] == "identify"
    for other in draw.some(
        "other", [each for each in names.concepts if each != held[0] and not each.startswith("no ")], 2
    ):
        name = spoken(other, row.language)
        if name is None or (not drawn and other in facts.possible):
            continue
        if _holds(other, held[0]):
            continue
        answer = row.answer
        for start, end in reversed(list(spans(answer, held[0], row.language))):
            head = before(answer[:start], name)
            answer = head + name + answer[end:]
        why = f"the box marks {held[0]}" if drawn else f"the class is {held[0]}"
        yield Change(why, answer=capital(answer))


def _holds(one: str, other: str) -> bool:
    """True where one name holds the other, so that it may be true too."""
    return set(one.split()) <= set(other.split()) or set(other.split()) <= set(one.split())


def one_too_many_class(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """A second class beside the only one that holds."""
    if row.asks["ask"] != "class" or has_negation(row.answer, row.language):
        return
    absent = [concept for concept in facts.vocabulary if concept not in facts.possible]
    for other in draw.some("other", absent, 1):
        name = spoken(other, row.language)
        if name is None:
            continue
        answer = row.answer.rstrip(".。 ") + (f" and {name}." if row.language == "en" else f"和{name}。")
        if not any(_holds(other, each) for each in facts.possible):
            yield Change(f"the source does not say that {other} holds", answer=answer)


KINDS: Mapping[str, Make] = {
    "finding_added_from_vocabulary": added_from_vocabulary,
    "finding_added_from_outside": added_from_outside,
    "finding_of_another_kind_asked": presence_of_another,
    "finding_dropped": dropped,
    "finding_taken_for_neighbour": taken_for_neighbour,
    "class_replaced": class_replaced,
    "class_added": one_too_many_class,
}
