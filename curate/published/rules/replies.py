"""Replies of a language model that were kept as they came, to be taken apart by a text parser."""

import json
import re
from collections.abc import Iterator
from typing import Final

from curate.published.lexicon import phrases
from curate.published.record import Record
from curate.published.report import Finding, RuleDoc, Tally
from curate.published.rules.base import Kinds, Scope
from curate.published.rules.text import PLACEHOLDER

__all__ = ["Replies"]

_PARSER = RuleDoc(
    "reply_needs_parser",
    "warning",
    "A stored reply is JSON as a whole.",
    "What is not must be recovered by a text parser, which loses lines when the model's manner changes.",
)
_NUMBERED: Final = re.compile(r"^\s*\d+[.)、]\s*", re.MULTILINE)
_ANSWER_LINE: Final = re.compile(r"^\s*(?:A|Answer|答|回答)\s*[:：]\s", re.MULTILINE)


class Replies:
    """`reply_needs_parser`, and `placeholder` by numbered line."""

    def __init__(self, scope: Scope) -> None:
        self.kinds, self._scope = Kinds(_PARSER, scope), scope
        self._lines = self._answers = 0
        self._holes, self._template = Tally(), phrases("template")

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape != "reply" or record.answer is None:
            return
        self.kinds.of += 1
        if not _is_json(record.answer):
            self.kinds.hit("prose", record.locator)
        self._answers += len(_ANSWER_LINE.findall(record.answer))
        for line in record.answer.split("\n"):
            numbered = _NUMBERED.match(line) is not None
            self._lines += numbered
            if self._template.found(line.lower()):
                self._holes.hit(record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        message = (
            f"replies are not JSON as a whole: {self._lines} numbered lines, {self._answers} lines that begin with 'A:'"
        )
        yield from self.kinds.findings({"prose": message})
        self._holes.of = self._lines
        self._holes.rows = list(dict.fromkeys(self._holes.rows))
        yield from self._holes.finding(PLACEHOLDER, self._scope.file, "lines of replies with an unfilled hole")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
