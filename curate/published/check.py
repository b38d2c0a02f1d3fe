"""Read files of published records and say what is wrong with them."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate.errors import UsageError
from curate.published.digests import digest
from curate.published.documents import Container, Document, Raw, open_document, raw_rows
from curate.published.record import Record, as_record, nested
from curate.published.report import FileReport, Finding, Report, RuleDoc, Tally
from curate.published.rules import (
    answers,
    boxes,
    choices,
    clinical,
    conversation,
    files,
    manifests,
    media,
    preference,
    repeats,
    replies,
    tables,
    text,
)
from curate.published.rules.base import RowRule, Scope
from curate.published.rules.files import Profile, across_files, subject_in
from curate.published.rules.manifests import manifest_findings, registry_findings
from curate.published.rules.tables import Counts, Intervals, Splits, as_interval, interval_columns, key_column
from curate.published.shapes import LOOKED_FOR, Shaped, shape_of

__all__ = ["RULES", "check_records"]

_INVALID = RuleDoc("invalid_json", "error", "A file of JSON is JSON.", "RFC 8259; a strict parser reads nothing of it.")
_TABLE = RuleDoc("broken_table", "error", "Every row of a table has the cells of its header.", "RFC 4180.")
_ENCODING = RuleDoc("encoding", "error", "A file is UTF-8.", "RFC 8259, 8.1.")
_UNREADABLE = RuleDoc(
    "unreadable", "error", "A file can be read.", "The file system or the reader of its format refuses it."
)
_KEYS = RuleDoc(
    "repeated_key", "error", "A key stands once in a JSON object.", "RFC 8259, 4: readers keep any one of them."
)
_CONSTANT = RuleDoc("not_a_number", "error", "JSON has no NaN and no Infinity.", "RFC 8259, 6: strict readers stop.")
_MARK = RuleDoc(
    "byte_order_mark", "note", "A file does not begin with a byte order mark.", "It enters the first column's name."
)
_UNKNOWN = RuleDoc(
    "unrecognised", "note", "A file is of a shape that is known here.", "No rule about rows can speak of it."
)
_EMPTY = RuleDoc("no_rows", "warning", "A file holds rows.", "An empty file is a build that failed silently.")
_MIXED = RuleDoc("mixed_shapes", "warning", "All rows of a file have one shape.", "A loader is written for one.")

_DOCUMENT_RULES: Final = (_INVALID, _TABLE, _ENCODING, _UNREADABLE, _KEYS, _CONSTANT, _MARK, _UNKNOWN, _EMPTY, _MIXED)
_FAMILIES: Final = (
    conversation, media, preference, text, clinical, boxes, choices, answers, repeats, replies,
    manifests, tables, files,
)  # fmt: skip
RULES: Final = {
    doc.name: doc
    for doc in (*_DOCUMENT_RULES, *(doc for one in _FAMILIES for doc in vars(one).values() if isinstance(doc, RuleDoc)))
}
"""Every rule by its name: those about documents, then family by family."""

SUFFIXES: Final = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet"}
"""In a folder only these are looked at; a file that is named is always read."""
_PLAIN_SHAPES: Final = {"object", "list", "value"}


@dataclass(frozen=True, slots=True)
class _Told:
    """A file to read, its path as it is told, and that below the folder that was named."""

    path: Path
    file: str
    within: str


@dataclass(frozen=True, slots=True)
class _Read:
    report: FileReport
    findings: tuple[Finding, ...]
    profile: Profile | None


def check_records(paths: Sequence[Path], *, images: Path | None = None) -> Report:
    """What files of records, or all in folders, hold and what is wrong with them.

    Files are read in the order of their paths, one row at a time; what is kept of them are counts and digests. With
    `images`, the folder of the media, it is checked that they exist and have the size that the rows say. Raises
    `UsageError` for a path that does not exist.
    """
    if images is not None and not images.is_dir():
        raise UsageError(f"--images {images}: there is no such folder; name the folder of the images")
    told = [one for path in paths for one in _files(path)]
    if not told:
        raise UsageError(
            f"no file of records below {paths[0] if paths else '.'}; looked for {', '.join(sorted(SUFFIXES))}"
        )
    seen: dict[str, _Read] = {}
    for one in told:
        if one.file not in seen:
            seen[one.file] = _read(one, images)
    findings = [finding for one in seen.values() for finding in one.findings]
    profiles = [one.profile for one in seen.values() if one.profile is not None]
    findings += across_files(profiles, _rows_again)
    return Report(tuple(one.report for one in seen.values()), tuple(findings))


def _files(path: Path) -> Iterator[_Told]:
    if path.is_file():
        yield _Told(path, path.as_posix(), path.name)
        return
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such file or folder; name a file of records or a folder of them")
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [Path(folder, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    for one in sorted(found, key=lambda one: one.as_posix()):
        if one.is_file() and not one.name.startswith("."):
            yield _Told(one, one.as_posix(), one.relative_to(path).as_posix())


def _read(told: _Told, images: Path | None) -> _Read:
    scope = Scope(told.file, told.path, images)
    try:
        document = open_document(told.path)
        return _read_document(scope, document, told.within)
    except OSError as problem:
        found = Finding(_UNREADABLE.name, "error", told.file, 1, 1, (), f"cannot be read ({type(problem).__name__})")
        return _Read(FileReport(told.file, "unreadable", 0), (found,), None)


def _read_document(scope: Scope, document: Document, within: str) -> _Read:
    profile = Profile(document.path, scope.file, within, document.sha256)
    raw = raw_rows(document) if document.container != "binary" else Raw(iter(()))
    shaped: Shaped | None = None
    if raw.whole:
        shaped = shape_of(next(raw.rows, (0, None))[1])
    if shaped is not None and shaped.format in _DOCUMENTS:
        profile.format = shaped.format
        findings, rows, summary = _DOCUMENTS[shaped.format](scope, shaped, profile)
    else:
        findings, rows, summary = _check_rows(scope, document.container, raw, shaped, profile)
    told = [*_problems(scope, document, raw), *findings]
    if document.size and profile.format == "unrecognised":
        message = f"the file is of no shape that is known here; looked for {LOOKED_FOR}"
        told.append(Finding(_UNKNOWN.name, _UNKNOWN.severity, scope.file, 1, 1, (), message))
    elif not rows and not raw.problems:
        told.append(Finding(_EMPTY.name, _EMPTY.severity, scope.file, 1, 1, (), "the file holds no rows"))
    profile.rows = rows
    return _Read(FileReport(scope.file, profile.format, rows, summary), tuple(told), profile)


def _problems(scope: Scope, document: Document, raw: Raw) -> Iterator[Finding]:
    by_rule: dict[str, list[Any]] = {}
    for problem in (*document.problems, *raw.problems):
        by_rule.setdefault(problem.rule, []).append(problem)
    for name, held in by_rule.items():
        rows = tuple(dict.fromkeys(problem.locator for problem in held))[:5]
        yield Finding(name, RULES[name].severity, scope.file, len(held), len(held), rows, held[0].message)
    counted = (
        (_KEYS, raw.notes.repeated_keys, "objects have a key twice"),
        (_CONSTANT, raw.notes.constants, "values are NaN or Infinity"),
    )
    for doc, count, message in counted:
        if count:
            yield Finding(doc.name, doc.severity, scope.file, count, count, (), message)
    if document.marked:
        yield Finding(_MARK.name, _MARK.severity, scope.file, 1, 1, (), "the file begins with a byte order mark")


_Checked = tuple[list[Finding], int, str]


def _manifest(scope: Scope, shaped: Shaped, profile: Profile) -> _Checked:
    return list(manifest_findings(scope, shaped.entries, _count_rows)), len(shaped.entries), ""


def _registry(scope: Scope, shaped: Shaped, profile: Profile) -> _Checked:
    with_file = sum(isinstance(one.get("file_name"), str) for _, _, one in shaped.entries if isinstance(one, dict))
    found = list(registry_findings(scope, shaped.entries))
    return found, len(shaped.entries), f"{len(shaped.entries)} datasets, {with_file} with file_name"


def _timed(scope: Scope, shaped: Shaped, profile: Profile) -> _Checked:
    intervals = Intervals(scope)
    number = 0
    for locator, video, entry in shaped.entries:
        held = entry.get("annotations") if isinstance(entry, dict) else None
        for at, one in enumerate(held if isinstance(held, list) else [], 1):
            number += 1
            segment = one.get("segment", one.get("timestamp")) if isinstance(one, dict) else None
            cells = dict(enumerate(segment)) if isinstance(segment, list) else {}
            found = as_interval({"v": video, "s": cells.get(0), "e": cells.get(1)}, ("v", "s", "e"))
            if found is not None:
                intervals.add(*found, f"{locator}, interval {at}")
    profile.intervals = intervals
    summary = f"{len(shaped.entries)} videos, {number} intervals"
    return list(intervals.findings()), number, summary


def _nothing(scope: Scope, shaped: Shaped, profile: Profile) -> _Checked:
    return [], 0 if shaped.format == "unrecognised" else 1, ""


_DOCUMENTS: Final = {
    "mixture manifest": _manifest,
    "dataset registry": _registry,
    "annotated intervals": _timed,
    "Croissant metadata": _nothing,
    "unrecognised": _nothing,
}


def _row_rules(scope: Scope) -> list[RowRule]:
    return [
        conversation.Roles(scope), conversation.Calls(scope),
        media.Tokens(scope), media.Paths(scope), media.Files(scope),
        preference.Pairs(scope),
        text.MetaText(scope), text.Holes(scope), text.Identifiers(scope), text.Echo(scope), text.JsonAsked(scope),
        clinical.Classes(scope), clinical.Laterality(scope), clinical.Flow(scope), clinical.Claims(scope),
        boxes.AnswerBoxes(scope), boxes.FieldBoxes(scope), boxes.NumberWords(scope),
        answers.Conflicts(scope), choices.Options(scope), answers.Tree(scope), answers.Copies(scope),
        repeats.Repeats(scope), replies.Replies(scope),
    ]  # fmt: skip


def _check_rows(scope: Scope, container: Container, raw: Raw, shaped: Shaped | None, profile: Profile) -> _Checked:
    table = container in ("csv", "tsv", "parquet")
    rules = _row_rules(scope)
    types, splits, balance = repeats.KeyTypes(scope), Splits(scope), answers.Balance()
    counts, intervals = Counts(scope, raw.columns), Intervals(scope)
    columns = interval_columns(raw.columns)
    key = key_column(raw.columns)
    shapes: Counter[str] = Counter()
    first_of: dict[str, str] = {}
    for record, section in _records(raw, shaped):
        shapes[record.shape] += 1
        first_of.setdefault(record.shape, record.locator)
        for one in rules:
            one.see(record)
        splits.see(record, section if shaped is not None and shaped.format == "sections by split" else "")
        balance.see(record)
        if not table:
            types.see(record)
        _profile(profile, record)
        if columns is not None and (found := as_interval(record.fields, columns)):
            intervals.add(*found, record.locator)
        if raw.columns:
            counts.see(record)
            if key is not None and record.fields.get(key) is not None:
                profile.keys.add(str(record.fields[key]))
    rows = shapes.total()
    findings = [finding for one in rules for finding in one.findings()]
    findings += [*types.findings(), *splits.findings(), *counts.findings(), *intervals.findings()]
    profile.format = _format(shapes, shaped, table=table, timed=columns is not None, binary=container == "binary")
    profile.types, profile.balance, profile.columns, profile.key = types.types, balance, raw.columns, key
    if columns is not None:
        profile.intervals, profile.from_table = intervals, True
    findings += _mixed(scope, shapes, first_of)
    return findings, rows, _summary(shaped, counts, intervals, profile)


def _records(raw: Raw, shaped: Shaped | None) -> Iterator[tuple[Record, str]]:
    if shaped is not None:
        for number, (locator, section, value) in enumerate(shaped.entries, 1):
            yield from ((record, section) for record in _each(value, number, locator))
        return
    for number, value in raw.rows:
        yield from ((record, "") for record in _each(value, number, f"row {number}"))


def _each(value: Any, number: int, locator: str) -> Iterator[Record]:
    questions = nested(value)
    if not questions:
        yield as_record(value, number, locator)
    for where, question in questions:
        yield as_record(question, number, f"{locator}, {where}")


def _profile(profile: Profile, record: Record) -> None:
    for path in record.images:
        if path:
            profile.images.add(digest(path))
            subject = record.subject or subject_in(PurePosixPath(path).name)
            if subject:
                profile.subjects.add(digest(subject))
    if record.subject and not record.images:
        profile.subjects.add(digest(record.subject))


def _format(shapes: Counter[str], shaped: Shaped | None, *, table: bool, timed: bool, binary: bool) -> str:
    if shaped is not None and shaped.format != "records":
        return shaped.format
    if not shapes:
        return "unrecognised" if binary else "empty"
    most = shapes.most_common(1)[0][0]
    if most in _PLAIN_SHAPES:
        return "table of intervals" if timed else "table" if table else "unrecognised"
    return most


def _mixed(scope: Scope, shapes: Counter[str], first_of: dict[str, str]) -> Iterator[Finding]:
    if len(shapes) > 1:
        most = shapes.most_common(1)[0][0]
        tally = Tally(
            shapes.total() - shapes[most], shapes.total(), [first_of[name] for name in shapes if name != most]
        )
        shown = ", ".join(f"{name} {count}" for name, count in sorted(shapes.items()))
        yield from tally.finding(_MIXED, scope.file, f"rows are of several shapes: {shown}")


def _summary(shaped: Shaped | None, counts: Counts, intervals: Intervals, profile: Profile) -> str:
    if shaped is not None and shaped.summary:
        return shaped.summary
    if intervals.total:
        return f"{len(intervals.by_video)} videos, {intervals.total} intervals"
    if counts.summary:
        return counts.summary
    return f"{len(profile.keys)} values of {profile.key}" if profile.key and profile.keys else ""


def _rows_again(path: Path) -> Iterator[Any]:
    return (row for _, row in raw_rows(open_document(path)).rows)


def _count_rows(path: Path) -> int | None:
    try:
        document = open_document(path)
        raw = raw_rows(document)
        if raw.whole:
            return len(shape_of(next(raw.rows)[1]).entries) or None
        return sum(1 for _ in raw.rows)
    except OSError:
        return None
