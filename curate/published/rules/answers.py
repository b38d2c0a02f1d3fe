"""Answers against each other, their options and the questions before them; and how they are balanced."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from curate.published.digests import digest
from curate.published.record import Record
from curate.published.report import Finding, RuleDoc, Tally
from curate.published.rules.base import Kinds, Scope, key_name, share
from curate.published.rules.choices import plain

__all__ = ["Balance", "Conflicts", "Copies", "Tree", "balance_findings"]

_CONFLICT = RuleDoc(
    "several_answers",
    "warning",
    "One question about one image has one answer.",
    "Keys of image and question with more than one distinct answer that is taught; white space at the ends aside.",
)
_PARENT = RuleDoc(
    "child_of_negative",
    "error",
    "A question is not asked below one that was answered no.",
    "Rad-ReStruct (Pellegrini et al. 2023, arXiv:2307.05766) asks children only of what is present.",
)
_BALANCE = RuleDoc(
    "label_balance",
    "note",
    "Which answers there are, and how often.",
    "A model that says the commonest answer scores its share; above 80 % of at least 50 that is a warning.",
)
_COPY = RuleDoc(
    "differs_from_field",
    "warning",
    "Where most answers are copies of a field, all are.",
    "The few that differ were edited on one side only.",
)
_YES: Final = re.compile(r"\s*(yes|no|true|false)\b|\s*(是|否|有|没有|正确|错误)\s*[。，,.]?\s*$", re.IGNORECASE)
_NORMAL: Final = {
    "yes": "yes", "no": "no", "true": "true", "false": "false", "是": "yes", "否": "no", "有": "yes", "没有": "no",
    "正确": "true", "错误": "false",
}  # fmt: skip
_LOPSIDED: Final = 0.8
_ENOUGH: Final = 50
_WORTH: Final = 20
_MAX_FIELDS: Final = 30


class Conflicts:
    """`several_answers`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._first: dict[int, int] = {}
        self._several: dict[int, set[int]] = {}
        self._tally = Tally()

    def see(self, record: Record) -> None:
        """Look at a row."""
        final = record.final
        rounds = sum(turn.role == "assistant" for turn in record.turns)
        if final is None or not record.images or rounds > 1 or not record.asked:
            return
        marked = (str(record.fields.get(name)) for name in ("bbox", "objects"))
        key = digest(*record.images, record.asked.strip(), *record.options, *marked)
        said = digest(final.strip())
        first = self._first.setdefault(key, said)
        if said != first:
            if key not in self._several:
                self._tally.hit(record.locator)
            self._several.setdefault(key, set()).add(said)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        self._tally.of = len(self._first)
        message = "keys of image and question have more than one distinct answer"
        yield from self._tally.finding(_CONFLICT, self._scope.file, message)


class Tree:
    """`child_of_negative`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(_PARENT, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape != "question tree":
            return
        self.kinds.of += 1
        if any(plain(answer) in ("no", "否") for _, answers in record.history for answer in answers):
            self.kinds.hit("child", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({"child": "a question is asked below one that was answered no"})


class Balance:
    """Counts for `label_balance`; a folder of files of one shape is judged as one."""

    def __init__(self) -> None:
        self.truth: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.label is not None:
            self.truth["true" if record.label else "false"] += 1
            return
        if record.shape == "question tree":
            if record.closed:
                self.closed[_closed(record.answers[0]) if len(record.answers) == 1 else "other"] += 1
            return
        final = record.final
        if final is not None and (record.asked or record.question):
            self.closed[_closed(final, sentence=True)] += 1


def _closed(answer: str, *, sentence: bool = False) -> str:
    if not sentence:
        return _NORMAL.get(plain(answer), "other")
    found = _YES.match(answer)
    return _NORMAL[(found[1] or found[2]).lower()] if found else "other"


def balance_findings(file: str, parts: "list[Balance]") -> Iterator[Finding]:
    """`label_balance`, over one or more files."""
    truth, closed = Counter[str](), Counter[str]()
    for part in parts:
        truth.update(part.truth)
        closed.update(part.closed)
    for counts, what in ((truth, "truth labels"), (closed, "closed answers")):
        known = {name: counts[name] for name in ("true", "false", "yes", "no") if counts[name]}
        decided = sum(known.values())
        if decided < (1 if what == "truth labels" else _WORTH) or len(known) == 0:
            continue
        most = max(known.values())
        shown = ", ".join(f"{name} {count}" for name, count in {**known, "other": counts["other"]}.items() if count)
        lopsided = decided >= _ENOUGH and most > _LOPSIDED * decided
        message = f"{what}: {shown}; the commonest is {share(most, decided)} of those decided"
        yield Finding(_BALANCE.name, "warning" if lopsided else "note", file, most, decided, (), message)


class Copies:
    """`differs_from_field`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._equal: Counter[str] = Counter()
        self._differs: dict[str, Tally] = {}

    def see(self, record: Record) -> None:
        """Look at a row."""
        final = record.final
        if final is None or not record.turns:
            return
        for key, value in list(record.fields.items())[:_MAX_FIELDS]:
            if isinstance(value, str) and len(value) >= _WORTH:
                if value == final:
                    self._equal[key] += 1
                else:
                    self._differs.setdefault(key, Tally()).hit(record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        for key, equal in self._equal.items():
            tally = self._differs.get(key)
            if tally and 10 * tally.count <= equal:
                tally.of = equal + tally.count
                yield from tally.finding(
                    _COPY, self._scope.file, f"the answer is not the row's {key_name(key)}, as it is in the others"
                )
