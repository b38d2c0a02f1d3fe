"""Comparisons with an earlier image need one, and say what became of the finding."""

import re
from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec

from curate.schema import Kind, Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.changes import compares_with_the_later, end_of_change
from curate.verify.courses import aged_findings, claimed_now, told_of_images, with_split_cues
from curate.verify.lexicon import CONCEPT, concept_key
from curate.verify.measuring import measured_as
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import stem

__all__ = ["Comparison"]

_KINDS: Final = ("new", "gone", "same", "more", "less", "compared")
_NEAR: Final = 5
"""A value is of the image that is named at most so many tokens behind it."""
_OF_TISSUE: Final = ("plastic", "atory", "itic", "otic", "tic", "ative", "ous", "oid", "ular", "ural")
"""Endings of adjectives that say of what kind a change of tissue is."""
_ONE: Final = r"(?:first|second|earlier|later|previous|prior|current|initial|baseline|latest|follow-up)"
_ONE_ALONE: Final = re.compile(
    rf"\b(?:only|solely|exclusively) (?:(?:on|in|by) )?(?:the )?{_ONE}\b|\b{_ONE}(?: [\w-]+)? (?:only|alone)\b",
    re.IGNORECASE,
)
"""One of two images, and not the other."""
_OPPOSITE: Final = {State.PRESENT: State.ABSENT, State.ABSENT: State.PRESENT}
_CHANGED: Final = stem("changed")
_KINDS_SET: Final = frozenset(_KINDS)
_CHANGE: Final = {
    "new": (State.ABSENT, State.PRESENT),
    "gone": (State.PRESENT, State.ABSENT),
}


class Comparison(ReadingRule):
    """`New`, `resolved`, `unchanged`, `increased`: only of two images of one patient, and as their annotations say."""

    name: ClassVar[str] = "comparison"
    version: ClassVar[int] = 4

    def judge(self, reading: Reading) -> Verdict:
        """Applies where the text compares, or was asked to."""
        if reading.verbatim:
            return NOT_APPLICABLE
        told = any(
            not _KINDS_SET.isdisjoint(part.cues)
            and any(not _is_kind_of_change(part, span) for kind in _KINDS for span in part.cued(kind))
            for part in (reading.question, reading.answer)
        )
        if not told and reading.ask != "compare":
            return NOT_APPLICABLE
        if not reading.facts.has_prior:
            return no(Reason.COMPARISON, "the text compares, there is no earlier image of this patient")
        if reading.ask != "compare":
            return no(Reason.COMPARISON, "the text compares, nothing asks for it")
        if reading.chinese:
            return _compared(reading)
        parts = with_split_cues(reading.question), with_split_cues(reading.answer)
        return _timed(*parts) or _compared(msgspec.structs.replace(reading, question=parts[0], answer=parts[1]))


def _is_kind_of_change(part: Part, span: tuple[int, int]) -> bool:
    """True for a change of tissue, not of time: `any neoplastic change`."""
    start, end = span
    return (
        end - start == 1
        and start > 0
        and part.tokens[start].low in ("change", "changes")
        and part.tokens[start - 1].low.endswith(_OF_TISSUE)
    )


def _timed(question: Part, answer: Part) -> Verdict:
    """A change is told of the image that shows it."""
    for part in (question, answer):
        for kind, image in told_of_images(part):
            return no(Reason.COMPARISON, f"the text says {kind} of the {('first', 'second')[image]} image")
    if aged_findings(answer):
        return no(Reason.COMPARISON, "the text says how old a finding is, which two images do not tell")
    return None


def _compared(reading: Reading) -> Verdict:
    key = concept_key(str(reading.asked.get("concept")))
    states = [reading.facts.of(asset).state(key) for asset in reading.facts.assets]
    measured = _change(reading, key) is not None
    if len(states) != 2 or (not measured and any(state in (None, State.NOT_STATED) for state in states)):
        return no(Reason.COMPARISON, "the state of the finding is not known of both images")
    right = (states[0], states[1])
    told = 0
    if compares_with_the_later(reading.answer):
        return no(Reason.COMPARISON, "the text tells what is new beside the later image, not beside the earlier one")
    for kind in filter(reading.answer.cued, _KINDS[:-1]):
        told += 1
        improves = kind == "less" and _improves(reading)
        if not improves and not _holds(reading, reading.answer, kind, key, right):
            return no(Reason.COMPARISON, f"the text says {kind}, the annotations do not")
    for image, said in _said_of_images(reading, key):
        told += 1
        if said is not right[image]:
            return no(Reason.COMPARISON, "the text says of one image what its annotations do not")
    if State.UNCERTAIN not in right and _doubts(reading, key):
        return no(Reason.COMPARISON, "the answer doubts what its source is sure of")
    if _out_of_order(reading, key):
        return no(Reason.COMPARISON, "the values of the two images stand in the wrong order")
    if not told and len(reading.answer.quantities) > 1:
        told = 1  # the rule of numbers judges the values themselves
    if reading.yes is not None:
        wanted = _wanted(reading, key, right)
        problem = _closed(reading, key, right, wanted)
        if problem:
            return no(Reason.COMPARISON, problem)
        told += wanted is not None
    if not told:
        return no(Reason.COMPARISON, "the answer does not compare")
    return None


def _closed(reading: Reading, key: str, right: tuple[State | None, State | None], wanted: bool | None) -> str:
    """What is wrong with a yes or no to a question about a change; empty where nothing is."""
    if not reading.chinese and any(state is not right[1] for state in claimed_now(reading.answer, key)):
        return "the text says of the finding what the later image does not show"
    if wanted is None:
        return "" if reading.answer.quantities else "what the question asks of the change is not understood"
    if State.UNCERTAIN in right and not _doubts(reading, key):
        return "the answer is sure of a change of which its source is not"
    return "" if reading.yes is wanted else "the answer says yes where it is no, or no where it is yes"


def _doubts(reading: Reading, key: str) -> bool:
    return any(claim.state is State.UNCERTAIN and claim.mention.key(CONCEPT) == key for claim in reading.answer.claims)


def _improves(reading: Reading) -> bool:
    """True where nothing but an improvement is told, of values that stand beside it: more may be better."""
    words = {reading.answer.tokens[start].low for start, _ in reading.answer.cued("less")}
    return bool(words) and all(word.startswith("improv") for word in words) and len(reading.answer.quantities) > 1


def _wanted(reading: Reading, key: str, right: tuple[State | None, State | None]) -> bool | None:
    """What a closed question about a change is to be answered with; None where it is not understood."""
    kinds = [kind for kind in _KINDS[:-1] if reading.question.cued(kind)]
    better = {reading.question.tokens[start].low for start, _ in reading.question.cued("less")}
    if kinds == ["less"] and all(word.startswith("improv") for word in better) and len(reading.answer.quantities) > 1:
        return None
    if len(kinds) == 1:
        return _holds(reading, reading.question, kinds[0], key, right)
    if kinds:
        return None
    if any(token.stem == _CHANGED for token in reading.question.tokens):
        return right[0] is not right[1] or _change(reading, key) not in (None, 0.0)
    said = {(image, state) for image, named, state in reading.question.statements if named in (key, None)}
    if len(said) == 1:
        image, state = said.pop()
        return right[image] is state
    return None


def _holds(reading: Reading, part: Part, kind: str, key: str, right: tuple[State | None, State | None]) -> bool:
    """True where a text that says `new`, `gone`, ... is right; `no new effusion` says that it is not so."""
    denied = (
        _denied_here(part, kind, key)
        if part.clauses
        else any(
            claim.state is State.ABSENT
            and claim.image is None
            and claim.mention.key(CONCEPT) == key
            and key not in {k for _, k, _ in part.statements}
            for claim in part.claims
        )
        or State.ABSENT in (*part.bare, *part.stray)
    )
    if kind == "new" and denied:
        return right != _CHANGE["new"]
    if kind == "gone" and _negated_here(part, kind):
        return right == (State.PRESENT, State.PRESENT)
    if kind in _CHANGE:
        return right == _CHANGE[kind]
    if kind == "same":
        return right[0] is right[1] and (right[0] is State.ABSENT) == denied and _change(reading, key) in (None, 0.0)
    if not denied and right in (_CHANGE["gone"], _CHANGE["new"]):
        return (kind == "less") == (right == _CHANGE["gone"])
    change = _change(reading, key)
    return change is not None and not denied and (change > 0 if kind == "more" else change < 0)


def _denied_here(part: Part, kind: str, key: str) -> bool:
    """True where the clause that tells a change denies it: `no new effusion`; another may say what there was before."""
    clauses = {part.clause_of(start) for start, _ in part.cued(kind)}
    if any(
        claim.state is State.ABSENT
        and claim.mention.key(CONCEPT) == key
        and part.clause_of(claim.mention.start) in clauses
        for claim in part.claims
    ):
        return True
    return _negated_here(part, kind)


def _negated_here(part: Part, kind: str) -> bool:
    """True where the clause that tells a change holds a denial beside it: `has not cleared`."""
    clauses = {part.clause_of(start) for start, _ in part.cued(kind)}
    negations = [span for group in ("before", "around") for span in part.cued(group)]
    taken = {place for start, end in part.cued(kind) for place in range(start, end)}
    return any(part.clause_of(start) in clauses and start not in taken for start, _ in negations)


def _change(reading: Reading, key: str) -> float | None:
    """By how much the one number of each image that the source gives of a finding grew; None where it gives none."""
    numbers = []
    for asset in reading.facts.assets:
        values = {
            annotation.value
            for annotation in reading.own
            if annotation.asset_id == asset.asset_id
            and annotation.kind in (Kind.COUNT, Kind.MEASUREMENT, Kind.GRADE)
            and concept_key(annotation.concept or "") == key
            and annotation.value is not None
        }
        if len(values) != 1:
            return None
        numbers.append(values.pop())
    return numbers[1] - numbers[0] if len(numbers) == 2 else None


def _out_of_order(reading: Reading, key: str) -> bool:
    """True where a value is told of the image that it is not of: `from 4 mm to 9 mm`, `9 mm now`."""
    part = reading.answer
    for quantity in part.quantities:
        near = {
            number
            for kind, number in (("earlier", 0), ("later", 1))
            for start, _ in part.cued(kind)
            if 0 < start - quantity.place <= _NEAR
        }
        end = end_of_change(part, quantity.place)
        image = end if end is not None else near.pop() if len(near) == 1 else None
        if image is None or len(reading.facts.assets) != 2:
            continue
        of_image = reading.facts.assets[image].asset_id
        measures = [
            m
            for m in reading.facts.measures
            if m.key == key and reading.facts.annotations[m.annotation_id].asset_id == of_image
        ]
        if measures and not any(measured_as(part, quantity, measure) for measure in measures):
            return True
    return _bare_out_of_order(reading, key)


def _bare_out_of_order(reading: Reading, key: str) -> bool:
    """The same of values without a unit: a ratio."""
    part = reading.answer
    quantities = {quantity.place for quantity in part.quantities}
    for place, number in part.numbers:
        image = end_of_change(part, place)
        if place in quantities or image is None or len(reading.facts.assets) != 2:
            continue
        of_image = reading.facts.assets[image].asset_id
        values = {
            measure.value
            for measure in reading.facts.measures
            if measure.key == key and reading.facts.annotations[measure.annotation_id].asset_id == of_image
        }
        if values and number not in values:
            return True
    return False


def _said_of_images(reading: Reading, key: str) -> Iterator[tuple[int, State]]:
    """What the answer says of each image by itself; what it says of one alone, it denies of the other."""
    said = {(image, state) for image, named, state in reading.answer.statements if named in (key, None)}
    yield from sorted(said)
    if len(said) == 1 and _ONE_ALONE.search(reading.prose[1]):
        image, state = said.pop()
        if state in _OPPOSITE:
            yield 1 - image, _OPPOSITE[state]
    if reading.chinese:
        for claim in reading.answer.claims:
            if claim.mention.key(CONCEPT) == key and claim.image is not None:
                yield claim.image, claim.state
