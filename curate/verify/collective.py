"""Statements about all findings that a text does not name: `none of these is seen`, `otherwise unremarkable`."""

import functools
import re
from collections.abc import Sequence
from typing import Final

from curate.verify.text import Token

__all__ = ["denies_listed", "denies_the_rest", "is_of_the_rest"]

_SENTENCE: Final = re.compile(r"[.;!\n。；！]")
_COLLECTIVE: Final = re.compile(
    r"\b(?:no|none of the|without|nor any|nor|or any) "
    r"(?:other|further|additional|remaining|rest of the|listed|labelled|labeled|named|mentioned)\b"
    r"|\b(?:no|any|the) other (?:type|kind|form|sort|variety|class|compartment|instrument|tool|device)s?\b"
    r".{0,40}\b(?:absent|negative|not|no)\b"
    r"|\bnone of (?:these|those|them"
    r"|the (?:other|above|findings|abnormalities|conditions|labels|listed|labelled|rest))\b"
    r"|\bnothing (?:\w+ |of note )?(?:that is |which is )?(?:(?:on|from|in) (?:the|this) list|listed)\b"
    r"|\b(?:no|zero) (?:\w+ ){0,2}(?:on|from|in|of) (?:the|this) list\b"
    r"|\bnegative for (?:all|each|every one|any) (?:of )?(?:the |these |those )?"
    r"(?:other|remaining|listed|labelled|labeled|named|mentioned)\b"
    r"|\b(?:every|each|all) (?:of the )?(?:items?|labels?|findings?|entry|entries|abnormalit(?:y|ies)|conditions?) "
    r"(?:on|of|in|from) the list\b.{0,20}\b(?:absent|negative)\b"
    r"|\bothers (?:are|is) (?:not|absent)\b"
    r"|\band (?:there (?:is|are) )?(?:no|none of the) others\b(?=\s*[,.;]|\s*$)"
    r"|\b(?:everything|anything|all) (?:else|the (?:other|rest|remaining)|other|others|remaining)\b.{0,60}"
    r"\b(?:absent|negative|normal|unremarkable)\b"
    r"|\bnothing (?:else|further|more)\b|\botherwise (?:normal|negative|unremarkable|clear|no)\b"
    r"|\b(?:the )?(?:remainder|rest|remaining|others?)\b.{0,40}"
    r"\b(?:absent|negative|normal|unremarkable|not (?:seen|present|visible|found|identified))\b"
    r"|(?:其他|其它|其余|别的|余|余下|剩余)[^，,。；]{0,12}?(?:均|都|皆|也|亦)?(?:为阴性|阴性|无特殊|无殊|未见|没有|无|不存在|正常|未发现|未检出)"
    r"|(?:未见|无|没有|未发现|未检出|未显示|不存在)(?:任何|明显|明确|确切)?(?:其他|其它|其余|别的|上述|以上|所列|列出的|这些)"
    r"|(?:以上|上述|所列|列出的|所问|这些|各项|全部|所有)[^，,。；]{0,12}?(?:均|都|皆|全)(?:未|没有|无|不|为阴性|阴性|正常)"
)
"""Statements about all findings that a text does not name."""


_LISTED: Final = re.compile(r"\b(?:these|those|them|the above|listed|list|labelled|labeled|named|mentioned)\b")
"""Words that limit such a statement to what a source has been asked about."""


_OTHERS: Final = frozenset({"other", "further", "additional", "remaining"})
_SORTS: Final = frozenset({"type", "kind", "form", "sort", "variety", "class", "pattern", "sign", "evidence"})


def is_of_the_rest(tokens: Sequence[Token], start: int) -> bool:
    """True for a word at a place that stands for what is not named: `no other hemorrhage`, `other types of bleed`."""
    at = start - 1
    while at >= 0 and (tokens[at].low == "of" or tokens[at].low.rstrip("s") in _SORTS):
        at -= 1
    return at >= 0 and tokens[at].low in _OTHERS


@functools.lru_cache(maxsize=8192)
def denies_the_rest(text: str) -> bool:
    """True where one statement denies all that a text does not name."""
    return any(_COLLECTIVE.search(sentence) for sentence in _SENTENCE.split(text.lower()))


@functools.lru_cache(maxsize=8192)
def denies_listed(text: str) -> bool:
    """True where each such statement is of what is listed somewhere, not of all that there may be."""
    said = [found[0] for sentence in _SENTENCE.split(text.lower()) if (found := _COLLECTIVE.search(sentence))]
    return bool(said) and all(_LISTED.search(each) for each in said)
