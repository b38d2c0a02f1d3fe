"""Tables: intervals of videos, counts of strata, and splits within one file."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from curate.published.record import Record
from curate.published.report import Finding, RuleDoc, Tally
from curate.published.rules.base import Kinds, Scope
from curate.published.shapes import split_word

__all__ = ["SPLIT_OVERLAP", "Counts", "Intervals", "Splits", "as_interval", "interval_columns", "key_column"]

_OVERLAP = RuleDoc(
    "interval_overlap",
    "warning",
    "Intervals of one video follow each other.",
    "Consecutive ones by start and end; more than a microsecond counts. Phases exclude each other, tools may not.",
)
_INVERTED = RuleDoc(
    "interval_inverted", "error", "An interval ends after it starts.", "A clip of no frames cannot be cut."
)
SPLIT_OVERLAP = RuleDoc(
    "split_overlap",
    "error",
    "No image, video or subject is in several splits.",
    "What was trained on tests nothing (Cassidy et al. 2022, doi:10.1016/j.media.2021.102305, on ISIC).",
)
_SWALLOWED = RuleDoc(
    "benchmark_is_pool",
    "warning",
    "A benchmark leaves some of each stratum to train on.",
    "Where both counts are equal the whole stratum was drawn: nothing of its kind can be learned.",
)
_SMALL = RuleDoc(
    "small_stratum",
    "note",
    "A stratum of a benchmark has 50 rows or more.",
    "At 50 the 95 % interval of a share is 14 points wide to either side.",
)
_STARTS: Final = ("start", "start_time", "t_start", "begin", "onset", "start_s", "start_sec", "start_frame")
_ENDS: Final = ("end", "end_time", "t_end", "stop", "offset", "end_s", "end_sec", "end_frame")
_SUBJECTS: Final = ("video_id", "video", "vid", "case", "case_id", "clip_id", "recording", "patient_id", "id", "name")
_SMALL_BELOW: Final = 50
_TINY: Final = 1e-6
_DRAWN: Final = ("bench", "test", "eval", "sampled", "selected", "subset")
_POOL: Final = ("full", "pool", "total", "all", "dataset", "population")
_COUNTS: Final = ("n_", "num_", "count", "_n", "size", "total", "number", "rows", "samples")


def interval_columns(columns: "tuple[str, ...] | list[str]") -> tuple[str, str, str] | None:
    """The columns of video, start and end in a table of intervals; null where it is none."""
    low = {name.lower(): name for name in columns}
    pairs = zip(_STARTS, _ENDS, strict=True)
    start_end = next(((low[start], low[end]) for start, end in pairs if start in low and end in low), None)
    key = key_column(columns)
    return (key, *start_end) if start_end and key else None


def key_column(columns: "tuple[str, ...] | list[str]") -> str | None:
    """The column that names a video, case or subject."""
    low = {name.lower(): name for name in columns}
    return next((low[name] for name in _SUBJECTS if name in low), None)


def as_interval(cells: Mapping[str, Any], columns: tuple[str, str, str]) -> tuple[str, float, float] | None:
    """Video, start and end of a row; null where they are no numbers."""
    try:
        return str(cells[columns[0]]), float(cells[columns[1]]), float(cells[columns[2]])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


class Intervals:
    """`interval_overlap` and `interval_inverted`. `by_video` keeps the intervals, for comparison with other files."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.by_video: dict[str, list[tuple[float, float, str]]] = {}
        self.total = 0

    def add(self, video: str, start: float, end: float, locator: str) -> None:
        """An interval."""
        self.by_video.setdefault(video, []).append((start, end, locator))
        self.total += 1

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        overlap, inverted = Tally(of=self.total), Tally(of=self.total)
        for held in self.by_video.values():
            ordered = sorted(held, key=lambda one: one[:2])
            for before, after in itertools.pairwise(ordered):
                if before[1] > after[0] + _TINY:
                    overlap.hit(before[2])
            for start, end, locator in held:
                if end <= start:
                    inverted.hit(locator)
        message = "intervals reach beyond the start of the next one of their video"
        yield from overlap.finding(_OVERLAP, self._scope.file, message)
        yield from inverted.finding(_INVERTED, self._scope.file, "intervals do not end after they start")


class Splits:
    """`split_overlap` within one file that has a field for the split, or sections by split."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._kinds = scope, Kinds(SPLIT_OVERLAP, scope)
        self._split: dict[tuple[str, str], str] = {}

    def see(self, record: Record, section: str = "") -> None:
        """Look at a row; `section` is the part of the file that it stands in."""
        split = section or record.split
        if not split:
            return
        fields = record.fields
        video = next((fields[name] for name in ("video_id", "video") if isinstance(fields.get(name), str)), None)
        named = {"subject": record.subject, "video": video}
        entities = [(kind, name) for kind, name in named.items() if name]
        entities += [("image", path) for path in record.images if path and split_word(split)]
        for entity in entities:
            if self._split.setdefault(entity, split) != split:
                self._kinds.hit(entity[0], record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        for kind in ("image", "video", "subject"):
            of = sum(entity[0] == kind for entity in self._split)
            message = f"rows whose {kind} is in another split of this file too"
            yield from self._kinds.findings({kind: message}, of=of)


class Counts:
    """`benchmark_is_pool` and `small_stratum`, for tables whose rows are strata with counts."""

    def __init__(self, scope: Scope, columns: tuple[str, ...]) -> None:
        self._scope = scope
        counts = [name for name in columns if any(mark in name.lower() for mark in _COUNTS)]
        drawn = [name for name in counts if any(mark in name.lower() for mark in _DRAWN)]
        pool = [name for name in counts if any(mark in name.lower() for mark in _POOL) and name not in drawn]
        self.columns = (drawn[0], pool[0]) if len(drawn) == 1 and len(pool) == 1 else None
        self._rows: list[tuple[str, int, int]] = []
        self._whole = True

    def see(self, record: Record) -> None:
        """Look at a row."""
        if self.columns is None:
            return
        try:
            drawn, pool = (int(record.fields[name]) for name in self.columns)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._whole = False
            return
        self._rows.append((record.locator, drawn, pool))

    @property
    def summary(self) -> str:
        """The sums of both columns."""
        if self.columns is None or not self._rows or not self._whole:
            return ""
        sums = (sum(row[1] for row in self._rows), sum(row[2] for row in self._rows))
        return ", ".join(f"{name} {total}" for name, total in zip(self.columns, sums, strict=True))

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        if not self.summary or self.columns is None:
            return
        swallowed, small = Tally(of=len(self._rows)), Tally(of=len(self._rows))
        for locator, drawn, pool in self._rows:
            if 0 < drawn == pool:
                swallowed.hit(locator)
            if drawn < _SMALL_BELOW:
                small.hit(locator)
        said = (
            f"{self.columns[0]} equals {self.columns[1]}: the whole stratum is in the benchmark; sums: {self.summary}"
        )
        yield from swallowed.finding(_SWALLOWED, self._scope.file, said)
        yield from small.finding(
            _SMALL, self._scope.file, f"strata with fewer than {_SMALL_BELOW} in {self.columns[0]}"
        )
