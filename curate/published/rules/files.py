"""Rules about several files: equal bytes, shared images, versions of one table, two forms of one annotation."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate.published.report import Finding, RuleDoc, Tally
from curate.published.rules.answers import Balance, balance_findings
from curate.published.rules.base import key_name
from curate.published.rules.repeats import mixed_types
from curate.published.rules.tables import SPLIT_OVERLAP, Intervals
from curate.published.shapes import split_word

__all__ = ["Profile", "across_files", "subject_in"]

_IDENTICAL = RuleDoc(
    "identical_files",
    "note",
    "Files of different subjects differ.",
    "Equal texts of different images (all of them normal, say) are no duplicates of images: deduplicate by the image.",
)
_SHARED = RuleDoc(
    "shared_images", "note", "Files of one folder are about different images.", "Who merges them trains on these twice."
)
_VERSIONS = RuleDoc(
    "table_versions",
    "warning",
    "Two tables of the same columns and length say the same.",
    "They are versions of one annotation; which of them is right stands in neither.",
)
_FORMS = RuleDoc(
    "json_against_table",
    "error",
    "An annotation published as JSON and as a table is the same in both.",
    "Compared with the table of its videos whose number of intervals is nearest.",
)
_COVERAGE = RuleDoc(
    "key_coverage", "note", "Tables that share a key have rows for the same keys.", "An inner join loses the others."
)
_SPLIT_PART: Final = re.compile(r"[A-Za-z]+")
_SUBJECT: Final = re.compile(r"(?i)(?:patient|subject|subj|volunteer|case|pat|sub|pid)[ _-]?\d+")
_MANY_FILES: Final = 200
"""Of so many files of one folder each is compared with each."""
_FEW_FILES: Final = 8
_MOST: Final = 0.5
_SAME_TIME: Final = 1e-3


@dataclass(slots=True)
class Profile:
    """What is kept of a file for rules about several: digests of images and subjects, never texts."""

    path: Path
    file: str
    within: str  # `file` below the folder that was named: a split may be named by it
    sha256: str
    format: str = ""
    rows: int = 0
    images: set[int] = field(default_factory=set)
    subjects: set[int] = field(default_factory=set)
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    balance: Balance | None = None
    intervals: Intervals | None = None
    from_table: bool = False
    columns: tuple[str, ...] = ()
    key: str | None = None
    keys: set[str] = field(default_factory=set)


def subject_in(name: str) -> str | None:
    """The subject that a file name speaks of: `patient0001_2CH_ED.png`; null where it speaks of none."""
    found = _SUBJECT.search(name)
    return found[0].lower() if found else None


def across_files(profiles: list[Profile], rows: Callable[[Path], Iterator[Any]]) -> Iterator[Finding]:
    """All rules about several files; `rows` reads the rows of a table again."""
    yield from _identical(profiles)
    yield from _overlaps(profiles)
    for folder, held in _by_folder(profiles):
        if len(held) > 1:
            yield from _types(folder, held)
        yield from _balances(folder, held)
    yield from _table_versions(profiles, rows)
    yield from _coverage(profiles)
    yield from _forms(profiles)


def _by_folder(profiles: list[Profile]) -> Iterator[tuple[str, list[Profile]]]:
    """Files of one format in one folder."""
    groups: dict[tuple[str, str], list[Profile]] = defaultdict(list)
    for one in profiles:
        groups[_folder(one.file), one.format].append(one)
    for (folder, _), held in groups.items():
        yield folder, held


def _folder(file: str) -> str:
    return PurePosixPath(file).parent.as_posix()


def _common(files: Iterable[str]) -> str:
    parts = [PurePosixPath(file).parent.parts for file in files]
    shared = [one[0] for one in itertools.takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))]
    return PurePosixPath(*shared).as_posix() if shared else "."


def _identical(profiles: list[Profile]) -> Iterator[Finding]:
    groups: dict[str, list[Profile]] = defaultdict(list)
    for one in profiles:
        groups[one.sha256].append(one)
    by_folder: dict[str, list[list[Profile]]] = defaultdict(list)
    for held in groups.values():
        if len(held) > 1:
            by_folder[_common(one.file for one in held)].append(held)
    for folder, repeated in by_folder.items():
        again = [one.file for held in repeated for one in held[1:]]
        of = sum(folder in (".", one.file) or one.file.startswith(f"{folder}/") for one in profiles)
        largest = max(len(held) for held in repeated)
        message = f"files repeat an earlier one byte for byte; the largest group has {largest}"
        rows = tuple(PurePosixPath(file).name for file in again[:5])
        yield Finding(_IDENTICAL.name, _IDENTICAL.severity, folder, len(again), of, rows, message)


def _overlaps(profiles: list[Profile]) -> Iterator[Finding]:
    """Files whose paths differ in the word for their split; then files of one folder that are no such parts."""
    parts: dict[str, list[tuple[str, Profile]]] = defaultdict(list)
    for one in profiles:
        if one.images or one.subjects:
            name, split = _split_of(one)
            parts[name].append((split or "", one))
    alone: dict[tuple[str, str], list[Profile]] = defaultdict(list)
    for held in parts.values():
        if len(held) == 1:
            alone[_folder(held[0][1].file), held[0][1].format].append(held[0][1])
        for (split_a, a), (split_b, b) in itertools.combinations(held, 2):
            yield from _overlap(a, b, apart=split_a != split_b)
    for files in alone.values():
        for a, b in itertools.combinations(files[:_MANY_FILES], 2):
            yield from _overlap(a, b, apart=False)


def _split_of(one: Profile) -> tuple[str, str | None]:
    """A path with the word that names its split taken out, and that split: of the file's name, else of its folder."""
    path = PurePosixPath(one.within)
    for at in range(1, min(len(path.parts), 2) + 1):
        part = path.stem if at == 1 else path.parts[-at]
        for found in _SPLIT_PART.finditer(part):
            split = split_word(found[0])
            if split:
                rest = f"{part[: found.start()]}*{part[found.end() :]}"
                below = PurePosixPath(*path.parts[:-at], rest, *path.parts[len(path.parts) - at + 1 :])
                return one.file.removesuffix(one.within) + below.as_posix(), split
    return one.file, None


def _overlap(a: Profile, b: Profile, *, apart: bool) -> Iterator[Finding]:
    if a.sha256 == b.sha256:
        return
    doc = SPLIT_OVERLAP if apart else _SHARED
    folder = _common((a.file, b.file))
    names = PurePosixPath(a.file).name, PurePosixPath(b.file).name
    if names[0] == names[1]:
        names = PurePosixPath(a.file).as_posix(), PurePosixPath(b.file).as_posix()
    for what, left, right in (("images", a.images, b.images), ("subjects", a.subjects, b.subjects)):
        shared = len(left & right)
        if not shared or (what == "subjects" and not apart):
            continue
        message = f"{what} of {names[0]} ({len(left)}) are in {names[1]} ({len(right)}) too"
        yield Finding(doc.name, doc.severity, folder, shared, min(len(left), len(right)), names, message)


def _types(folder: str, held: list[Profile]) -> Iterator[Finding]:
    merged: dict[str, dict[str, int]] = {}
    for one in held:
        for key, kinds in one.types.items():
            total = merged.setdefault(key, {})
            for kind, count in kinds.items():
                total[kind] = total.get(kind, 0) + count
    mixed = {key for key, kinds in merged.items() if len(kinds) > 1}
    alone = [{key for key, kinds in one.types.items() if len(kinds) > 1} for one in held]
    if mixed and mixed not in alone:
        yield from mixed_types(folder, merged, {})


def _balances(folder: str, held: list[Profile]) -> Iterator[Finding]:
    """The balance of each file, and of all together; of many small files only the latter."""
    parts = [(one.file, one.balance) for one in held if one.balance is not None]
    if len(parts) <= _FEW_FILES:
        for file, balance in parts:
            yield from balance_findings(file, [balance])
    if len(parts) > 1:
        yield from balance_findings(folder, [balance for _, balance in parts])


def _table_versions(profiles: list[Profile], rows: Callable[[Path], Iterator[Any]]) -> Iterator[Finding]:
    alike: dict[tuple[str, tuple[str, ...], int], list[Profile]] = defaultdict(list)
    for one in profiles:
        if one.columns and one.rows:
            alike[_folder(one.file), one.columns, one.rows].append(one)
    few = (held for held in alike.values() if len(held) <= _FEW_FILES)
    for a, b in itertools.chain.from_iterable(itertools.combinations(held, 2) for held in few):
        if a.sha256 == b.sha256:
            continue
        tally, by_column = Tally(of=a.rows), Counter[str]()
        for number, (left, right) in enumerate(zip(rows(a.path), rows(b.path), strict=False), 1):
            differing = [name for name in a.columns if left.get(name) != right.get(name)]
            by_column.update(differing)
            if differing:
                tally.hit(f"row {number}")
        if 2 * tally.count > a.rows:
            continue  # two tables of one kind, not two versions of one
        shown = ", ".join(f"{key_name(name)} {by_column[name]}" for name in a.columns if by_column[name])
        names = f"{PurePosixPath(a.file).name} and {PurePosixPath(b.file).name}"
        yield from tally.finding(_VERSIONS, _folder(a.file), f"rows of {names} differ, by column: {shown}")


def _coverage(profiles: list[Profile]) -> Iterator[Finding]:
    keyed = [one for one in profiles if one.key and one.keys][:_MANY_FILES]
    for a, b in itertools.permutations(keyed, 2):
        if _folder(a.file) != _folder(b.file) or a.key != b.key or a.columns == b.columns:
            continue
        shared = len(a.keys & b.keys)
        missing = len(a.keys) - shared
        if missing and 2 * shared >= min(len(a.keys), len(b.keys)):
            names = PurePosixPath(a.file).name, PurePosixPath(b.file).name
            message = f"{key_name(a.key or '')} values of {names[0]} have no row in {names[1]} ({shared} have)"
            yield Finding(_COVERAGE.name, _COVERAGE.severity, a.file, missing, len(a.keys), (), message)


def _forms(profiles: list[Profile]) -> Iterator[Finding]:
    timed = [one for one in profiles if one.intervals is not None and one.intervals.total]
    tables = [one for one in timed if one.from_table]
    for one in timed:
        if one.from_table or one.intervals is None:
            continue
        videos = one.intervals.by_video.keys()
        shared = [t for t in tables if t.intervals and len(t.intervals.by_video.keys() & videos) >= _MOST * len(videos)]
        if shared:
            total = one.intervals.total
            nearest = min(shared, key=lambda t: (abs((t.intervals.total if t.intervals else 0) - total), t.file))
            yield from _compared(one, nearest)


def _compared(one: Profile, table: Profile) -> Iterator[Finding]:
    if one.intervals is None or table.intervals is None:
        return
    left, right = one.intervals.by_video, table.intervals.by_video
    tally = Tally(of=len(left.keys() | right.keys()))
    for video in sorted(left.keys() | right.keys()):
        times = [sorted(held[:2] for held in side.get(video, [])) for side in (left, right)]
        same = len(times[0]) == len(times[1]) and all(
            abs(x - y) <= _SAME_TIME for a, b in zip(*times, strict=True) for x, y in zip(a, b, strict=True)
        )
        if not same:
            first = left.get(video) or right[video]
            tally.hit(first[0][2])
    totals = f"{len(left)} videos and {one.intervals.total} intervals against {len(right)} and {table.intervals.total}"
    message = f"videos differ from {PurePosixPath(table.file).name}: {totals}"
    yield from tally.finding(_FORMS, one.file, message)
