"""The answer is one to its question, is whole, speaks of the image, and does not contradict itself."""

import functools
import re
from typing import ClassVar, Final

from curate.schema import Reason, State
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import CONCEPT
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Consistency"]

_REMAINS: Final = re.compile(
    r"^\s*(?:[>*+•]|-(?!\d)|#{1,6})\s|\banswer\W*\"\s*:|```|\*\*|^#{1,6}\s|</?\w+[^>]*>|\"\s*:\s*[\"\[{]|^\s*[{}]|[{}]\s*$|<\||\|>|\\n|\\u[0-9a-f]{4}|^\s*(?:user|assistant|system|human|question|answer|q|a)\s*[:：]"
    r"|[\u200b-\u200f\u202a-\u202e\u2060\ufeff\ufffd]|[\x00-\x08\x0b\x0c\x0e-\x1f]|\{\w+\}",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks of Markdown, HTML, JSON, chat templates and roles, and characters that nobody sees."""
_PAGE: Final = re.compile(r"^\s*(?:[>*+•]|-(?!\d)|#{1,6})\s|```|\*\*|<\w+>", re.MULTILINE)
_NUMBERED: Final = re.compile(r"\s*\d+[.)]\s+\S")
_HANGING: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "nor",
        "of",
        "in",
        "on",
        "at",
        "with",
        "without",
        "to",
        "for",
        "from",
        "by",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "has",
        "have",
        "that",
        "which",
        "this",
        "these",
        "no",
        "not",
        "as",
        "than",
        "if",
        "while",
        "because",
        "there",
        "it",
        "shows",
        "show",
        "showing",
        "including",
        "such",
        "due",
        "near",
        "between",
    ]
)
_WHOLE: Final = re.compile(r"[.!?。！？;；:：)\]）」”\"'…]\s*$")
_ELLIPSIS: Final = re.compile(r"(?:\.\.\.|…)\s*$")
_LONG: Final = 5
"""An answer of so many words is a sentence, which has an end."""


class Consistency(ReadingRule):
    """No remains of a prompt, no talk about the task, no broken end, no yes and no of one thing."""

    name: ClassVar[str] = "consistency"
    version: ClassVar[int] = 4

    def judge(self, reading: Reading) -> Verdict:
        """Applies to what a model wrote."""
        if reading.verbatim:
            return NOT_APPLICABLE
        for part, text in zip((reading.question, reading.answer), reading.prose, strict=True):
            if any(not _is_of_labels(part, span, asked=part is reading.question) for span in part.cued("meta")):
                return no(Reason.CONSISTENCY, "the text speaks of the task in place of the image")
            if _has_remains(part.text if reading.choice else text) or (
                reading.choice and part is reading.answer and _PAGE.search(text)
            ):
                return no(Reason.CONSISTENCY, "the text holds marks that are no text")
            if not (reading.chinese or reading.choice or _is_string(part, reading)) and _is_broken(part, text):
                return no(Reason.CONSISTENCY, "the text breaks off")
        whole = reading.choice is None and not _is_string(reading.answer, reading)
        if not whole and reading.answer.tokens and reading.answer.tokens[-1].low in _HANGING:
            return no(Reason.CONSISTENCY, "the answer breaks off")
        if _NUMBERED.match(reading.answer.text) and reading.choice is None:
            return no(Reason.CONSISTENCY, "the answer is an item of a list")
        if _ELLIPSIS.search(reading.prose[1]) or (reading.chinese and _breaks_off_in_chinese(reading)):
            return no(Reason.CONSISTENCY, "the answer breaks off")
        if "?" in reading.answer.text or "？" in reading.answer.text:
            return no(Reason.CONSISTENCY, "the answer asks")
        return _contradiction(reading)


@functools.lru_cache(maxsize=8192)
def _has_remains(text: str) -> bool:
    return _REMAINS.search(text) is not None


def _is_of_labels(part: Part, span: tuple[int, int], *, asked: bool) -> bool:
    """True for words with which a question may speak of what is marked: `how many nodules are annotated`, `what do the
    labels say`."""
    words = [token.low for token in part.tokens[span[0] : span[1]]]
    if not asked:
        return False
    return words[0].startswith("annotat") or words[0] in ("caption", "draft") or words[-2:] in (["labels", "say"],)


def _is_string(part: Part, reading: Reading) -> bool:
    """True for a label string, which is no sentence and so has no end: `radiography chest PA pneumonia`."""
    return part is reading.answer and reading.asked.get("form") == "string"


def _is_broken(part: Part, text: str) -> bool:
    stripped = text.rstrip()
    if not stripped or _WHOLE.search(stripped) or (part.lists and part.text.rstrip().endswith("]")):
        return False
    last = part.tokens[-1].low if part.tokens else ""
    if last in _HANGING or stripped.endswith((",", "-", "–", "(", "[")):
        return True
    return len(stripped.split()) >= _LONG or any(token.raw == "." for token in part.tokens)


_EMPTY_PREDICATE: Final = re.compile(r"(?:明确为|诊断为|表现为|定为|判为|归为|评为)\s*[，。；]")
"""Verbs whose object is missing."""
_OPEN_ENDS: Final = ("可见", "未见", "见有", "为", "是", "显示", "提示", "位于", "伴有", "伴", "未", "示")
"""Words with which no Chinese statement of several parts ends."""


def _breaks_off_in_chinese(reading: Reading) -> bool:
    stripped = reading.prose[1].rstrip()
    if reading.answer.lists and reading.answer.text.rstrip("。. \n").endswith("]"):
        return False
    if _EMPTY_PREDICATE.search(stripped):
        return True
    if stripped.endswith(_OPEN_ENDS) and "，" in stripped:
        return True
    if stripped.endswith(("，", "、", "（", ",", "的", "和", "及", "与", "或")):
        return True
    return bool(stripped) and not _WHOLE.search(stripped) and len(reading.answer.tokens) >= _LONG


def _contradiction(reading: Reading) -> Verdict:
    """Two statements about one finding, of which one says yes and the other no."""
    said: dict[tuple[str, int | None], State] = {}
    for claim in reading.answer.claims:
        key = claim.mention.key(CONCEPT)
        if key is None or key in reading.facts.sided:
            continue  # of what differs from side to side the rule of negation judges each
        if said.setdefault((key, claim.image), claim.state) is not claim.state:
            return no(Reason.CONSISTENCY, f"the answer says two things of {key!r}")
    return None
