"""A question does not give its answer away."""

import itertools
import re
from typing import ClassVar, Final

from curate.dicom_names import spoken
from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.common_words import plain_stems
from curate.verify.lexicon import ATTRIBUTE, CONCEPT, attribute_key
from curate.verify.reading import Part, Reading, is_closed_form
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import normal

__all__ = ["AnswerInQuestion"]

_HINT: Final = re.compile(r"\b(?:the )?(?:correct )?answer(?: is|:| =)|\bhint\b|提示[：:]|已知答案", re.IGNORECASE)
_LETTER_GIVEN: Final = re.compile(
    r"\b[Aa]nswer(?: is)?\s*[:：=]?\s*\W?[A-H]\b(?![.)])|答案(?:是|为)?\s*[:：]?\s*[A-H]\b"
)
"""The letter of an option, told as the answer."""
_CHOICE: Final = re.compile(r"\bor\b|\bvs\b|\bversus\b|/|还是|或", re.IGNORECASE)
_CLOSED: Final = re.compile(r"^\W*(?:yes|no|true|false|是|否|不是|没有|有|不)\b", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d+")
_OPEN: Final = frozenset({"caption", "class", "findings", "identify"})
_SENTENCES: Final = re.compile(r"([.?!:;\n。？！：；])")
_MARKS: Final = " .,!;:\"'“”‘’。，！；：、\n"
_WHOLE: Final = 3
"""From so many words an answer is a statement, which no question may repeat even where yes or no is its beginning."""


class AnswerInQuestion(ReadingRule):
    """The answer, or the concept that it tells, does not stand in the question. Choices and yes-no are exempt."""

    name: ClassVar[str] = "answer_in_question"
    version: ClassVar[int] = 5

    def judge(self, reading: Reading) -> Verdict:
        """Applies to open questions; a statement that is repeated whole is refused in any."""
        question, answer = reading.question.normal, reading.answer.normal
        if reading.choice is not None:
            if _LETTER_GIVEN.search(reading.prose[0]):
                return no(Reason.ANSWER_IN_QUESTION, "the question gives the letter of the answer")
            return NOT_APPLICABLE
        if reading.verbatim:
            return self._verbatim(reading, question, answer)
        if _HINT.search(reading.question.text):
            return no(Reason.ANSWER_IN_QUESTION, "the question states the answer")
        if _is_a_sentence_of(reading.prose[1], reading.prose[0]):
            return no(Reason.ANSWER_IN_QUESTION, "the answer stands in the question as a sentence")
        closed = reading.ask in ("presence", "attribute_is")
        offered = not _asserts(reading) and any(token.low == "or" for token in reading.question.tokens)
        if (
            not (closed and (reading.chinese or reading.yes is not None))
            and not offered
            and _stands_whole(reading.answer, reading.question)
        ):
            return no(Reason.ANSWER_IN_QUESTION, "the whole answer stands in the question")
        if reading.ask in ("presence", "attribute_is"):
            return self._closed(reading)
        return self._attribute(reading) if reading.ask == "attribute" else self._open(reading)

    def _closed(self, reading: Reading) -> Verdict:
        question = reading.question
        asking = {
            place for kind in ("sure", "before") for start, end in question.cued(kind) for place in range(start, end)
        } | question.covered
        free = {token.low for place, token in enumerate(question.tokens) if place not in asking}
        if free & {"yes", "no"}:
            return no(Reason.ANSWER_IN_QUESTION, "the question says yes or no itself")
        return NOT_APPLICABLE

    def _open(self, reading: Reading) -> Verdict:
        said = {c.mention.key(CONCEPT) for c in reading.answer.claims if c.state is not State.ABSENT}
        told = (reading.answer.concepts & reading.own_keys & said) - _described(reading)
        closed = reading.yes is not None or (
            is_closed_form(reading.prose[0]) and (reading.chinese or _doubts_all(reading))
        )
        if closed and reading.ask in ("class", "findings"):
            return None  # the rule of negation judges it
        told = told - reading.facts.grades.keys()  # of what is graded, the answer tells the grade
        leaks = told & reading.question.concepts if _asserts(reading) else told <= reading.question.concepts and told
        if reading.ask in _OPEN and leaks and (_asserts(reading) or not _offers(reading)):
            return no(Reason.ANSWER_IN_QUESTION, "the question names what its answer tells")
        return None

    def _attribute(self, reading: Reading) -> Verdict:
        name = reading.asked.get("attribute")
        exact = (
            {attribute_key(name, value) for value in _values(reading, str(name))} if isinstance(name, str) else set()
        )
        named = {
            m.key
            for mention in reading.question.mentions
            for m in mention.meanings
            if m.kind == ATTRIBUTE and m.of == name
        }
        if named & exact and (not named - exact or _asserts(reading)):
            return no(Reason.ANSWER_IN_QUESTION, f"the question names the {name} itself")
        return None

    def _verbatim(self, reading: Reading, question: str, answer: str) -> Verdict:
        if _CLOSED.match(reading.draft.messages[-1].content.strip()) or _CHOICE.search(reading.question.text):
            return NOT_APPLICABLE
        if answer and f" {answer} " in f" {question} ":
            return no(Reason.ANSWER_IN_QUESTION, "the answer stands in the question")
        return None


def _doubts_all(reading: Reading) -> bool:
    """True where a question that yes or no would answer is about what is neither: `could this be a melanoma`."""
    known = [reading.facts.state(key) for key in reading.question.concepts]
    return State.UNCERTAIN in known and State.PRESENT not in known


def _asserts(reading: Reading) -> bool:
    """True for a question of several sentences, one of which may say what is so."""
    return any(mark in reading.prose[0].strip().rstrip(".?!。？！ ") for mark in ".!;\n。！；")


def _offers(reading: Reading) -> bool:
    """True for a question that names what does not hold as well: `is it benign or malignant`."""
    question = reading.question
    if any(reading.facts.state(key) is State.ABSENT for key in question.concepts):
        return True
    return any(
        token.low == "or"
        and any(mention.end == place for mention, _ in question.keyed)
        and any(mention.start - place in (1, 2) and key not in reading.own_keys for mention, key in question.keyed)
        for place, token in enumerate(question.tokens)
    )


def _values(reading: Reading, name: str) -> list[str]:
    words = [spoken(name, getattr(asset, name, None) or "") for asset in reading.facts.assets]
    return [word for word in words if word]


def _described(reading: Reading) -> set[str]:
    """Keys of terms that only describe the image, or are too plain to be a finding that nobody annotated."""
    plain = {key for key in reading.answer.concepts if all(word in plain_stems() for word in key.split(" "))}
    return (plain - reading.own_keys) | {
        key
        for mention in reading.answer.mentions
        if (key := mention.key(CONCEPT)) is not None
        and any(m.kind == ATTRIBUTE and m.key in reading.facts.attributes.get(m.of, ()) for m in mention.meanings)
    }


def _is_a_sentence_of(answer: str, question: str) -> bool:
    """True where the question holds the answer as a sentence that is no question."""
    said = answer.strip().strip(_MARKS)
    if not said:
        return False
    return any(
        part.strip().strip(_MARKS).casefold() == said.casefold()
        for part, stop in itertools.zip_longest(*[iter(_SENTENCES.split(question))] * 2, fillvalue="")
        if stop not in ("?", "？") and (stop or part is not question)
    )


def _stands_whole(answer: Part, question: Part) -> bool:
    """True where a statement stands in the question with all of its words, and with its coordinates."""
    if answer.lists and (first := _DIGITS.search(answer.text)) and first[0] not in question.text:
        return False  # spares long lists of coordinates the comparison
    spoken = normal(answer.text) if answer.lists else answer.normal
    asked = normal(question.text) if question.lists else question.normal
    return len(spoken.split()) >= _WHOLE and f" {spoken} " in f" {asked} "
