"""A question does not give its answer away."""

import re
from typing import ClassVar, Final

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, plain_stems
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import normal

__all__ = ["AnswerInQuestion"]

_HINT: Final = re.compile(r"\b(?:the )?(?:correct )?answer(?: is|:| =)", re.IGNORECASE)
_CHOICE: Final = re.compile(r"\bor\b|\bvs\b|\bversus\b|/|还是|或", re.IGNORECASE)
_CLOSED: Final = re.compile(r"^\W*(?:yes|no|true|false|是|否|不是|没有|有|不)\b", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d+")
_OPEN: Final = frozenset({"caption", "class", "findings", "identify"})
_WHOLE: Final = 3
"""From so many words an answer is a statement, which no question may repeat even where yes or no is its beginning."""


class AnswerInQuestion(ReadingRule):
    """The answer, or the concept that it tells, does not stand in the question. Choices and yes-no are exempt."""

    name: ClassVar[str] = "answer_in_question"

    def judge(self, reading: Reading) -> Verdict:
        """Applies to open questions; a statement that is repeated whole is refused in any."""
        question, answer = reading.question.normal, reading.answer.normal
        if reading.verbatim:
            return self._verbatim(reading, question, answer)
        if _HINT.search(reading.question.text):
            return no(Reason.ANSWER_IN_QUESTION, "the question states the answer")
        if _stands_whole(reading.answer, reading.question):
            return no(Reason.ANSWER_IN_QUESTION, "the whole answer stands in the question")
        if reading.ask in ("presence", "attribute_is"):
            return self._closed(reading)
        return self._attribute(reading) if reading.ask == "attribute" else self._open(reading)

    def _closed(self, reading: Reading) -> Verdict:
        question = reading.question
        free = {token.low for place, token in enumerate(question.tokens) if place not in question.covered}
        given = free & {"yes", "no"}
        if given and "yes or no" not in question.text.lower():
            return no(Reason.ANSWER_IN_QUESTION, "the question says yes or no itself")
        return NOT_APPLICABLE

    def _open(self, reading: Reading) -> Verdict:
        told = reading.answer.concepts - _described(reading)
        if reading.ask in _OPEN and told & reading.question.concepts:
            return no(Reason.ANSWER_IN_QUESTION, "the question names what its answer tells")
        return None

    def _attribute(self, reading: Reading) -> Verdict:
        name = reading.asked.get("attribute")
        named = {m.of for mention in reading.question.mentions for m in mention.meanings if m.kind == ATTRIBUTE}
        if name in named:
            return no(Reason.ANSWER_IN_QUESTION, f"the question names the {name} itself")
        return None

    def _verbatim(self, reading: Reading, question: str, answer: str) -> Verdict:
        if _CLOSED.match(reading.draft.messages[-1].content.strip()) or _CHOICE.search(reading.question.text):
            return NOT_APPLICABLE
        if answer and f" {answer} " in f" {question} ":
            return no(Reason.ANSWER_IN_QUESTION, "the answer stands in the question")
        return None


def _described(reading: Reading) -> set[str]:
    """Keys of terms that only describe the image, or are too plain to be a finding that nobody annotated."""
    plain = {key for key in reading.answer.concepts if all(word in plain_stems() for word in key.split(" "))}
    return (plain - reading.own_keys) | {
        key
        for mention in reading.answer.mentions
        if (key := mention.key(CONCEPT)) is not None
        and any(m.kind == ATTRIBUTE and m.key in reading.facts.attributes.get(m.of, ()) for m in mention.meanings)
    }


def _stands_whole(answer: Part, question: Part) -> bool:
    """True where a statement stands in the question with all of its words, and with its coordinates."""
    if answer.lists and (first := _DIGITS.search(answer.text)) and first[0] not in question.text:
        return False  # spares long lists of coordinates the comparison
    spoken = normal(answer.text) if answer.lists else answer.normal
    asked = normal(question.text) if question.lists else question.normal
    return len(spoken.split()) >= _WHOLE and f" {spoken} " in f" {asked} "
