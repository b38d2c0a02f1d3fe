"""Answers that are chosen among options: in a field, in columns by letter, or lettered within the question."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from curate.published.keys import LETTERS
from curate.published.record import Record
from curate.published.report import Finding, RuleDoc, Severity
from curate.published.rules.base import Kinds, Scope, share

__all__ = ["Options", "lettered", "plain"]

_OPTION = RuleDoc(
    "answer_not_an_option", "error", "An answer is one of its options.", "It can never be scored as right."
)
_TWICE = RuleDoc(
    "option_twice",
    "error",
    "Options of one question differ.",
    "Two equal ones cannot be told apart, and one of them is keyed false.",
)
_MISMATCH = RuleDoc(
    "letter_against_text",
    "error",
    "Where an answer gives a letter and a text, they are of the same option.",
    "One of them is false.",
)
_KEYED = RuleDoc(
    "answer_letters",
    "note",
    "The right option stands at every letter alike.",
    "A model learns the commonest letter; a warning where it has twice its share of at least 50.",
)
_LETTER: Final = re.compile(r"\s*\(?([A-J])(?:\)\.?|[.:、．：])?(?:\s+|$)(.*)", re.DOTALL)
_GLUED: Final = re.compile(r"\s*\(?([A-J])(?:\)\.?|[.:、．：])(.*)", re.DOTALL)
_LINE: Final = re.compile(r"(?m)^\s*\(?([A-J])(?:\)\.?|[.:、．：])\s*(\S.*?)\s*$")
_INLINE: Final = re.compile(
    r"(?:^|\s)\(?([A-J])(?:\)\.?|[.:])\s*(\S.*?)(?=[\s,;]+\(?[A-J](?:\)\.?|[.:])\s|$)", re.DOTALL
)
_ENOUGH: Final = 50


def plain(text: str) -> str:
    """A short answer without case, ends and full stop."""
    return text.strip().lower().rstrip(".。")


def lettered(asked: str) -> dict[str, str]:
    """The options that a question lists by letter, from A on without a gap; empty where it lists none."""
    if "A" not in asked or "B" not in asked:
        return {}
    for pattern in (_LINE, _INLINE):
        found = dict(reversed([(one[1], one[2]) for one in pattern.finditer(asked)]))
        if len(found) > 1 and sorted(found) == list(LETTERS[: len(found)]):
            return dict(sorted(found.items()))
    return {}


class Options:
    """`answer_not_an_option`, `option_twice`, `letter_against_text` and `answer_letters`."""

    def __init__(self, scope: Scope) -> None:
        self.outside, self.twice = Kinds(_OPTION, scope), Kinds(_TWICE, scope)
        self.mismatch, self._scope = Kinds(_MISMATCH, scope), scope
        self._letters: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()

    def see(self, record: Record) -> None:
        """Look at a row."""
        options = dict(zip((one.upper() for one in record.option_letters), record.options, strict=False))
        rounds = sum(turn.role == "assistant" for turn in record.turns)
        if not options and rounds < 2:
            options = lettered(record.asked)
        if len(options) < 2:
            return
        self.twice.of += 1
        if len({plain(one) for one in options.values()}) < len(options):
            self.twice.hit("twice", record.locator)
        answers = record.answers or ((record.final,) if record.final else ())
        if not answers:
            return
        self.outside.of += 1
        texts = {plain(one): letter for letter, one in options.items()}
        kinds = [self._judge(answer, options, texts, keyed=bool(record.options)) for answer in answers]
        if "outside" in kinds:
            self.outside.hit("outside", record.locator)
        if "mismatch" in kinds:
            self.mismatch.hit("mismatch", record.locator)

    def _judge(self, answer: str, options: dict[str, str], texts: dict[str, str], *, keyed: bool) -> str | None:
        """What is wrong with an answer. Prose is judged only where the row has a field of options."""
        if plain(answer) in texts:
            self._count(texts[plain(answer)], options)
            return None
        found = _LETTER.fullmatch(answer) or _GLUED.fullmatch(answer)
        letter, rest = (found[1], plain(found[2])) if found else (answer.strip().upper(), "")
        if letter not in options or (found and found[1] == "A" and not _GLUED.match(answer) and rest):
            return "outside" if keyed or len(answer.strip()) == 1 else None
        self._count(letter, options)
        self.mismatch.of += 1
        return "mismatch" if texts.get(rest, letter) != letter else None

    def _count(self, letter: str, options: dict[str, str]) -> None:
        self._letters[letter] += 1
        self._sizes[len(options)] += 1

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.outside.findings({"outside": "an answer is none of its options"})
        yield from self.twice.findings({"twice": "two options of one question are the same text"})
        yield from self.mismatch.findings({"mismatch": "the letter of an answer is not that of its text"})
        total = self._letters.total()
        if total >= _ENOUGH and max(self._sizes) > 2:
            letter, most = max(sorted(self._letters.items()), key=lambda one: one[1])
            size = self._sizes.most_common(1)[0][0]
            shown = ", ".join(f"{name} {count}" for name, count in sorted(self._letters.items()))
            message = f"right answers by letter: {shown}; {letter} has {share(most, total)} of them"
            severity: Severity = "warning" if most * size >= 2 * total else "note"
            yield Finding(_KEYED.name, severity, self._scope.file, most, total, (), message)
