"""What stands twice: identifiers, rows, long answers, questions of a pool; and keys whose values change their type."""

from collections.abc import Iterator
from typing import Any, Final

from curate.published.digests import digest
from curate.published.record import Record
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope, key_name
from curate.published.rules.preference import words

__all__ = ["KeyTypes", "Repeats"]

_ID = RuleDoc("repeated_id", "error", "An identifier stands once.", "Joins and resumes by it lose rows.")
_ROW = RuleDoc("repeated_row", "warning", "No row repeats an earlier one.", "Repeats weigh double in training.")
_ANSWER = RuleDoc(
    "repeated_answer",
    "warning",
    "A long text is not the answer of several images.",
    "Free descriptions of different images differ; equal ones were copied. Compared from eight words on.",
)
_POOL = RuleDoc("repeated_question", "warning", "A pool of texts holds each once.", "Repeats are drawn more often.")
_TYPES = RuleDoc(
    "mixed_types",
    "error",
    "The values of one key have one type.",
    "Arrow and the Hugging Face viewer refuse a column that is a text here and a list there.",
)
_LONG_WORDS: Final = 8
_CONTENT_FIELDS: Final = ("path", "mask_name", "objects", "bbox")
_MAX_KEYS: Final = 500


class Repeats:
    """`repeated_id`, `repeated_row`, `repeated_answer`, `repeated_question`."""

    def __init__(self, scope: Scope) -> None:
        self.ids, self.rows = Kinds(_ID, scope), Kinds(_ROW, scope)
        self.answers, self.pool = Kinds(_ANSWER, scope), Kinds(_POOL, scope)
        self._ids: set[int] = set()
        self._rows: set[int] = set()
        self._answers: set[int] = set()
        self._texts: set[str] = set()

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape == "text":
            self.pool.of += 1
            _note(self._texts, (record.question or "").strip(), self.pool, record.locator)
            return
        if record.id is not None:
            self.ids.of += 1
            _note(self._ids, digest(record.id), self.ids, record.locator)
        if record.question is None and not record.turns and record.rejected is None and record.answer is None:
            return
        self.rows.of += 1
        _note(self._rows, _content(record), self.rows, record.locator)
        final = record.final
        if final is not None and record.media and _is_long(final):
            self.answers.of += 1
            _note(self._answers, digest(final), self.answers, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.ids.findings({"again": "an identifier of an earlier row"})
        yield from self.rows.findings({"again": "rows that repeat an earlier one: media, question and answers"})
        yield from self.answers.findings({"again": "long answers that repeat the one of an earlier row exactly"})
        yield from self.pool.findings({"again": "texts that stand earlier in the same pool"})


def _is_long(text: str) -> bool:
    return len(text.split(None, _LONG_WORDS)) >= _LONG_WORDS or (not text.isascii() and words(text) >= _LONG_WORDS)


def _note(seen: "set[Any]", key: Any, kinds: Kinds, locator: str) -> None:
    if key in seen:
        kinds.hit("again", locator)
    seen.add(key)


def _content(record: Record) -> int:
    media = [path for kind in sorted(record.media) for path in record.media[kind]]
    history = [f"{question}={answers}" for question, answers in record.history]
    extra = [str(record.fields[name]) for name in _CONTENT_FIELDS if name in record.fields]
    return digest(record.words, *record.answers, *media, *history, *record.options, *extra, str(record.label))


class KeyTypes:
    """`mixed_types`: text against list, list against object, at the top of a row and one step below.

    Null counts as no value, and numbers of any kind are one type.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.types: dict[str, dict[str, int]] = {}
        self._first: dict[tuple[str, str], str] = {}
        self._rows = 0

    def see(self, record: Record) -> None:
        """Look at a row."""
        self._rows += 1
        for key, value in record.fields.items():
            self._add(str(key), value, record.locator)
            if isinstance(value, dict):
                for inner, held in value.items():
                    self._add(f"{key}.{inner}", held, record.locator)

    def _add(self, key: str, value: Any, locator: str) -> None:
        if value is None or (len(self.types) >= _MAX_KEYS and key not in self.types):
            return
        kind = _kind(value)
        by_kind = self.types.setdefault(key, {})
        by_kind[kind] = by_kind.get(kind, 0) + 1
        self._first.setdefault((key, kind), locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from mixed_types(self._scope.file, self.types, self._first)


def mixed_types(file: str, types: dict[str, dict[str, int]], first: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """One finding for all keys of mixed type; it counts keys."""
    mixed = {key: kinds for key, kinds in types.items() if len(kinds) > 1}
    if mixed:
        shown = ", ".join(f"{key_name(key)} ({_spoken(kinds)})" for key, kinds in list(mixed.items())[:12])
        rarest = [min(kinds, key=lambda kind: (kinds[kind], kind)) for kinds in mixed.values()]
        rows = tuple(
            dict.fromkeys(first[key, kind] for key, kind in zip(mixed, rarest, strict=True) if (key, kind) in first)
        )
        yield Finding(
            _TYPES.name, _TYPES.severity, file, len(mixed), len(types), rows[:5], f"keys of mixed type: {shown}"
        )


def _spoken(kinds: dict[str, int]) -> str:
    return ", ".join(f"{kind} in {count}" for kind, count in sorted(kinds.items()))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"
