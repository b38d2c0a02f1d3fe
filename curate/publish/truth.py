"""The answer of a row in a form that a program can check, from what its source says.

A text may tell a fact in many words; a reward or an exact-match score needs the fact alone. Only questions that have
one right answer have one here: yes or no, one of several options or classes, a number, a grade, boxes, points.
"""

import string
from enum import StrEnum
from typing import Final

import msgspec

from curate.publish.base import Row
from curate.publish.otherwise import contrary
from curate.rows import Subject
from curate.schema import Origin, State
from curate.verify.chinese import closed_answer
from curate.verify.choices import choice_of
from curate.verify.english import opening
from curate.verify.facts import Facts, collect
from curate.verify.lexicon import concept_key
from curate.vocabulary import Vocabulary

__all__ = ["AnswerForm", "Truth", "truth"]


class AnswerForm(StrEnum):
    """What kind of answer a question has."""

    CLOSED = "closed"  # `yes` or `no`
    CHOICE = "choice"  # a letter
    CLASS = "class"  # the name of one class of an exclusive set
    COUNT = "count"
    GRADE = "grade"
    BOXES = "boxes"  # a JSON list of [x0, y0, x1, y1]
    POINTS = "points"  # a JSON list of [x, y]


_IN_SLOTS: Final = {
    "class": (AnswerForm.CLASS, "label"),
    "grade": (AnswerForm.GRADE, "value"),
    "locate": (AnswerForm.BOXES, "boxes"),
    "point": (AnswerForm.POINTS, "points"),
    "refer": (AnswerForm.BOXES, "boxes"),
}
"""Questions whose answer is a word of the template: the form of the answer, and the slot in which it stands."""
_SAID: Final = {State.PRESENT: "yes", State.ABSENT: "no"}
_YES: Final = ("yes", "是", "有")


class Truth(msgspec.Struct, frozen=True):
    """The right answer. `options`: what a choice offers, by its letters' order; or the classes that there are."""

    form: AnswerForm
    value: str
    options: tuple[str, ...] = ()


def truth(row: Row, subjects: tuple[Subject, ...], vocabulary: Vocabulary) -> Truth | None:
    """The right answer to the question of a row, or None where no program could tell it from a wrong one."""
    if len(row.messages) != 2:
        return None
    asked = row.constraints
    ask = asked.get("ask")
    if ask in ("attribute_is", "source"):
        return _closed(row)
    if ask == "choice":
        return _choice(row)
    if ask in _IN_SLOTS:
        form, slot = _IN_SLOTS[str(ask)]
        word = _told(row, slot)
        if word is None or (ask in ("locate", "point") and not (asked.get("all") and slot in row.fixed)):
            return None
        names = vocabulary.get(str(asked["label_set"])) if ask == "class" else None
        return Truth(form, word, () if names is None else names.concepts)
    if ask not in ("presence", "count", "count_total"):
        return None
    annotations = tuple(a for subject in subjects for a in subject.annotations)
    facts = collect(tuple(subject.asset for subject in subjects), annotations, vocabulary)
    if ask == "presence":
        said = _SAID.get(facts.state(concept_key(str(asked["concept"]))) or State.NOT_STATED)
        return None if said is None else Truth(AnswerForm.CLOSED, said)
    return _number(facts, row, [str(asked["concept"])] if ask == "count" else [str(one) for one in asked["concepts"]])


def _closed(row: Row) -> Truth | None:
    """What a closed answer begins with; of a source's own answers only those that say nothing else."""
    if row.origin is Origin.SOURCE:
        said = None if contrary(row.answer) is None else row.answer.strip().lower().startswith(_YES)
    else:
        said, _ = closed_answer(row.answer) if row.language == "zh" else opening(row.answer)
    return None if said is None else Truth(AnswerForm.CLOSED, "yes" if said else "no")


def _told(row: Row, slot: str) -> str | None:
    """The word of a slot, where the answer says that very word: a translation or synonym is not checked by string."""
    word = row.slots.get(slot)
    return word if word is not None and word.lower() in row.answer.lower() else None


def _number(facts: Facts, row: Row, concepts: list[str]) -> Truth | None:
    numbers = [facts.count(str(row.constraints["label_set"]), concept_key(concept)) for concept in concepts]
    known = [number for number in numbers if number is not None]
    return Truth(AnswerForm.COUNT, str(sum(known))) if known and len(known) == len(numbers) else None


def _choice(row: Row) -> Truth | None:
    choice = choice_of(row.constraints, row.question, row.answer, translated=row.language == "zh")
    if choice.picked is None or choice.problem:
        return None
    options = choice.offered or choice.options
    return Truth(AnswerForm.CHOICE, string.ascii_uppercase[choice.picked], options)
