"""The text is in the language that was asked for."""

import functools
import re
from typing import ClassVar, Final

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.reading import Part, Reading
from curate.verify.rules import ReadingRule, Verdict, no
from curate.verify.text import WORD
from curate.verify.units import unit_of

__all__ = ["Language"]

_HAN: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_OTHER_SCRIPTS: Final = re.compile(
    r"[\u0400-\u052f\u0530-\u058f\u0590-\u05ff\u0600-\u06ff\u0700-\u074f\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u10a0-\u10ff"
    r"\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\uac00-\ud7af\U00020000-\U0002ffff]"
)
"""Unicode blocks of Cyrillic, Armenian, Hebrew, Arabic, Indic, Thai, Georgian, Khmer, Japanese, Korean and others."""
_GREEK: Final = re.compile(r"[\u0370-\u03ff]{2,}")
_LATIN: Final = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ]+")
_FOREIGN: Final = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ein",
        "eine",
        "kein",
        "keine",
        "mit",
        "auf",
        "von",
        "im",
        "zu",
        "den",
        "dem",
        "es",
        "wird",
        "sind",
        "auch",
        "bei",
        "nach",
        "le",
        "la",
        "les",
        "des",
        "du",
        "et",
        "est",
        "une",
        "un",
        "pas",
        "dans",
        "avec",
        "sur",
        "pour",
        "il",
        "elle",
        "ne",
        "aucun",
        "aucune",
        "cette",
        "ce",
        "qui",
        "que",
        "sont",
        "el",
        "los",
        "las",
        "y",
        "es",
        "un",
        "una",
        "no",
        "con",
        "en",
        "por",
        "para",
        "del",
        "se",
        "hay",
        "ningun",
        "ninguna",
        "esta",
        "este",
        "que",
        "muestra",
        "il",
        "lo",
        "gli",
        "della",
        "di",
        "che",
        "non",
        "con",
        "per",
        "nel",
        "nella",
        "si",
        "sono",
        "è",
        "het",
        "een",
        "van",
        "niet",
        "geen",
        "met",
        "op",
        "is",
        "de",
        "voor",
        "wordt",
        "o",
        "os",
        "um",
        "uma",
        "não",
        "com",
        "em",
        "na",
        "no",
        "da",
        "do",
        "está",
        "och",
        "är",
        "ett",
        "inte",
        "med",
        "på",
        "för",
        "det",
    ]
)
_ENGLISH: Final = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "was",
        "of",
        "in",
        "on",
        "no",
        "not",
        "with",
        "this",
        "that",
        "there",
        "it",
        "and",
        "or",
        "for",
        "to",
        "at",
        "by",
        "as",
        "from",
        "do",
        "does",
        "has",
        "can",
        "be",
        "seen",
        "image",
        "shows",
        "show",
        "what",
        "which",
        "how",
    ]
)
_SENTENCE: Final = re.compile(r"[.!?;\n]+")
_MANY: Final = 3
_RUN: Final = 4
"""So many Latin words in a row are a sentence of another language within Chinese text."""


class Language(ReadingRule):
    """Script and function words are those of the language of the draft, in each of its sentences."""

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies to drafts in English and Chinese."""
        if reading.verbatim or reading.draft.language not in ("en", "zh"):
            return NOT_APPLICABLE
        for part, text in zip((reading.question, reading.answer), reading.prose, strict=True):
            if not text.isascii() and (_OTHER_SCRIPTS.search(text) or _GREEK.search(text)):
                return no(Reason.LANGUAGE, "the text holds letters of another script")
            problem = _chinese_problem(part, text) if reading.chinese else _english_problem(text)
            if problem:
                return no(Reason.LANGUAGE, problem)
        return None


@functools.lru_cache(maxsize=8192)
def _english_problem(text: str) -> str:
    if not text.isascii() and _HAN.search(text):
        return "an English text holds Chinese characters"
    for sentence in _SENTENCE.split(text):
        words = [word.lower() for word in _LATIN.findall(sentence)]
        foreign = sum(word in _FOREIGN and word not in _ENGLISH for word in words)
        if foreign >= 2 and foreign > sum(word in _ENGLISH for word in words):
            return "a sentence is in another language"
    return ""


def _chinese_problem(part: Part, text: str) -> str:
    from curate.verify import chinese

    if chinese.traditional(text):
        return "the text is in traditional characters"
    latin = [word for word in _LATIN.findall(text) if len(word) > 1 and unit_of(word.lower()) is None]
    han = len(_HAN.findall(text))
    if latin and not han and not _all_covered(part):
        return "a Chinese text without Chinese characters"
    if len(latin) > _MANY and len(latin) > han:
        return "most of the text is in another language"
    run = 0
    for place, token in enumerate(part.tokens):
        is_latin = token.kind == WORD and bool(_LATIN.fullmatch(token.raw))
        run = run + 1 if is_latin and place not in part.covered else 0
        if run >= _RUN:
            return "a sentence is in another language"
    return ""


def _all_covered(part: Part) -> bool:
    return all(place in part.covered for place, token in enumerate(part.tokens) if token.kind == WORD)
