"""No text names a person, or what leads to one."""

import functools
import re
from typing import ClassVar, Final

import msgspec

from curate.schema import Reason
from curate.verify.base import NOT_APPLICABLE
from curate.verify.lexicon import read_yaml
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["Identifiers"]

_HINT: Final = re.compile(
    r"[\d@_*{<:]|[A-Z][a-z]+\.?\s+[A-Z]|(?i:hospital|clinic|universit|infirmary|institute|medical cent)"
    r"|(?i:www|xxx|\bname|\bdate)"
)
"""What any of the patterns needs: spares most texts all of them."""


class Identifiers(ReadingRule):
    """Names with titles, dates, numbers of persons, addresses, place holders of a de-identified report."""

    name: ClassVar[str] = "identifiers"

    def judge(self, reading: Reading) -> Verdict:
        """Applies to every text that a person did not write for publication."""
        if reading.verbatim:
            return NOT_APPLICABLE
        for part, text in zip((reading.question, reading.answer), reading.prose, strict=True):
            if part.cued("identifiers"):
                return no(Reason.IDENTIFIER, "the text speaks of what identifies a person")
            for what, found in _finds(text):
                if not _in_name(reading, found):
                    return no(Reason.IDENTIFIER, f"the text holds what looks like {what}")
        return None


class _Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    what: str
    pattern: str
    any_case: bool = False


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """`lexicons/identifiers.yaml`."""
    known = msgspec.convert(read_yaml("identifiers.yaml"), tuple[_Pattern, ...])
    return tuple((each.what, re.compile(each.pattern, re.IGNORECASE if each.any_case else 0)) for each in known)


@functools.lru_cache(maxsize=8192)
def _finds(text: str) -> tuple[tuple[str, str], ...]:
    """What in a text looks like an identifier: of which kind, and the find itself in small letters."""
    if _HINT.search(text) is None:
        return ()
    return tuple((what, found[0].lower().strip()) for what, pattern in _patterns() for found in pattern.finditer(text))


def _in_name(reading: Reading, found: str) -> bool:
    """True where a find is part of a concept's name: `case no. 3` may be a label, though a strange one."""
    return any(found in a.concept.lower() for a in reading.facts.annotations.values() if a.concept)
