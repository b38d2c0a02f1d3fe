"""What scan knows of one image, and the row of the inventory that comes of it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from curate.card import Card, Subject
from curate.images.dicom import Header
from curate.layouts.base import ImageRef, RawAnnotation
from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal, Unit
from curate.stages.base import Run
from curate.terms import UNSTATED, row_licence, rows_state_licences

__all__ = ["Columns", "InventoryRows", "Item", "Lost", "from_first_day", "in_order_of_items", "union_splits"]

FIELDS: Final = ("modality", "anatomy", "view", "laterality", "day_offset")


@dataclass(slots=True)
class Item:
    """An image on its way into the inventory."""

    entry: Entry
    annotations: list[RawAnnotation] = field(default_factory=list)
    units: list[tuple[Unit, str, str]] = field(default_factory=list)  # unit, file, locator of what was said
    labelled_by: set[str] = field(default_factory=set)
    flawed: set[str] = field(default_factory=set)  # label sets of which something about this image was refused
    rowless: set[str] = field(
        default_factory=set
    )  # label sets of which a unit was refused before its columns were read
    spoken_by: set[tuple[str, str]] = field(default_factory=set)  # (label set, file)
    values: dict[str, set[str]] = field(default_factory=dict)  # column or @field -> the distinct values of its rows
    splits: set[str] = field(default_factory=set)
    header: Header | None = None
    files: tuple[Entry, ...] | None = None  # where it has several


def in_order_of_items(items: Iterable[Item]) -> list[Item]:
    """The items in the order of their entries."""
    return sorted(items, key=lambda item: item.entry.order)


class Columns:
    """The columns of tables that the card wants, and those that were met."""

    def __init__(self, card: Card) -> None:
        rules = {"subject": card.subject, "study": card.study, "split": card.split}
        self.wanted = {key: rule.column for key, rule in rules.items() if rule is not None and rule.column is not None}
        self._named = frozenset(self.wanted.values())
        self._met: set[tuple[str, str]] = set()

    def note(self, label_set: str, columns: Mapping[str, str]) -> None:
        """Remember which of the wanted columns a label set has."""
        self._met.update((label_set, column) for column in self._named if column in columns)

    def add(self, item: Item, columns: Mapping[str, str]) -> None:
        """Keep what a row says of an image's subject, study, split and fields."""
        for column, value in columns.items():
            if value and (column in self._named or column.startswith("@")):
                item.values.setdefault(column, set()).add(value)

    def are_lost(self, item: Item, column: str) -> bool:
        """True where a row that was refused would have said this column of the image."""
        return any((label_set, column) in self._met for label_set in item.rowless)

    def absent(self) -> tuple[str, str] | None:
        """The first key of the card, with its column, that no row has."""
        met = {column for _, column in self._met}
        return next(((key, column) for key, column in self.wanted.items() if column not in met), None)


class Lost:
    """Units that were refused before it was known of which image they speak."""

    def __init__(self) -> None:
        self._files: set[tuple[str, str]] = set()
        self._sets: set[str] = set()
        self._ambiguous: set[tuple[str, ImageRef]] = set()

    def somewhere(self, label_set: str, file: str, *, whole_set: bool) -> None:
        """One of the images of a label file, or of the whole set, lacks something that was said of it."""
        if whole_set:
            self._sets.add(label_set)
        else:
            self._files.add((label_set, file))

    def is_new(self, label_set: str, image: ImageRef) -> bool:
        """True at the first time that a label set uses this name."""
        known = (label_set, image) in self._ambiguous
        self._ambiguous.add((label_set, image))
        return not known

    def settle(self, items: Iterable[Item]) -> None:
        """Mark every image that a lost unit may have spoken of: its label set may not have said all."""
        if not self._files and not self._sets:
            return
        for item in items:
            item.flawed |= {label_set for label_set, _ in item.spoken_by & self._files}
            item.flawed |= item.labelled_by & self._sets


class InventoryRows:
    """Rows of the inventory, from items and the card's rules."""

    def __init__(self, run: Run, card: Card, columns: Columns) -> None:
        self._run = run
        self._card = card
        self._columns = columns
        self._rows_state_licences = rows_state_licences(card)

    def subject(self, item: Item) -> str | Refusal | None:
        """The token of the item's subject; null where it stands alone."""
        return self._identifier(item, self._card.subject, "subject")

    def row(self, item: Item, subject: str | None, unions: set[str]) -> dict[str, Any]:
        """The item as a row, whose subject is known; `unions` are splits that only gather others."""
        card, entry = self._card, item.entry
        study = self._identifier(item, card.study, "study", subject) if card.study is not None else None
        hidden = card.hides_paths
        return {
            "item_key": self._show(entry.key),
            "path": self._show(entry.key) if hidden else entry.path,
            "member": None if hidden else entry.member,
            "bytes": entry.bytes,
            "files": None if item.files is None else [self._file(file) for file in item.files],
            "form": card.images.form,
            "licence": self._licence(item),
            "subject": subject,
            "study": None if isinstance(study, Refusal) else study,
            "series": self._series(item),
            "source_split": self._split(item, unions),
            **{name: self._field(item, name) for name in FIELDS},
            "labelled_by": sorted(item.labelled_by - item.flawed),
            "annotations": msgspec.json.encode([self._shown(annotation) for annotation in item.annotations]).decode(),
        }

    def _file(self, file: Entry) -> dict[str, Any]:
        if self._card.hides_paths:
            return {"path": self._show(file.key), "member": None, "bytes": file.bytes}
        return {"path": file.path, "member": file.member, "bytes": file.bytes}

    def _show(self, key: str) -> str:
        return self._run.visible(self._card.id, key) if self._card.hides_paths else key

    def _shown(self, annotation: RawAnnotation) -> RawAnnotation:
        """An annotation as the inventory keeps it: paths hidden where the card hides them."""
        if not self._card.hides_paths:
            return annotation
        mask = annotation.mask
        if mask is not None:
            mask = msgspec.structs.replace(mask, path=self._show(mask.key), member=None)
        return msgspec.structs.replace(annotation, file=self._show(annotation.file), mask=mask)

    def _identifier(self, item: Item, rule: Subject, what: str, within: str | None = None) -> str | Refusal | None:
        """The token of an item's subject or study; null where the card knows none.

        A study is one of its subject, `within`: the first visits of two patients are two studies.
        """
        raw = _stated(item, rule, what)
        if raw is None:
            return None
        if len(raw) > 1:
            return Refusal(Reason.CONFLICTING_SUBJECT, f"{len(raw)} different values")
        if raw:
            return self._run.key.token(what, self._card.id, next(iter(raw)), within)
        if rule.column is not None and self._columns.are_lost(item, rule.column):
            return Refusal(Reason.NO_SUBJECT, "the row that would name it was refused")
        return None if rule.missing == "alone" else Refusal(Reason.NO_SUBJECT, "the card's subject rule finds nothing")

    def _series(self, item: Item) -> str | None:
        uid = item.header.identifiers.get("SeriesInstanceUID") if item.header is not None else None
        return self._run.key.token("series", self._card.id, uid) if uid else None

    def _split(self, item: Item, unions: set[str]) -> str | None:
        split = self._card.split
        names: Iterable[str] = ()
        if split is not None and split.pattern is not None:
            names = _in_paths(item, split.pattern, "split")
        elif split is not None and split.column is not None:
            names = item.values.get(split.column, ())
        elif split is not None:
            names = item.splits - unions or item.splits
        return "+".join(sorted(names)) or None

    def _licence(self, item: Item) -> str | None:
        """The licence that the item's rows state; null where the card speaks for all, `UNSTATED` where no row does."""
        if not self._rows_state_licences:
            return None
        values = item.values.get("@licence", set())
        return row_licence(next(iter(values))) if len(values) == 1 else UNSTATED

    def _field(self, item: Item, name: str) -> str | int | None:
        values = item.values.get(f"@{name}", set())
        if len(values) > 1:
            return None  # rows that contradict each other leave it unknown
        if values:
            value = next(iter(values))
            return int(value) if name == "day_offset" else value
        return getattr(self._card, name, None)


def _in_paths(item: Item, pattern: str, group: str) -> set[str]:
    """What the group of a pattern finds in the item's path; where it has several files, in theirs."""
    found = (re.search(pattern, file.name) for file in item.files or (item.entry,))
    return {match[group] for match in found if match and match[group]}


def _stated(item: Item, rule: Subject, what: str) -> set[str] | None:
    """The distinct values that the rule finds; null where the card has none."""
    if rule.column is not None:
        return item.values.get(rule.column, set())
    if rule.pattern is not None:
        return _in_paths(item, rule.pattern, what)
    if rule.header is not None:
        value = item.header.identifiers.get(rule.header) if item.header is not None else None
        return {value} if value else set()
    return None


def from_first_day(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Day offsets counted from the subject's first dated image; without a subject no day means anything."""
    first: dict[str, int] = {}
    for row in rows:
        if row["subject"] is not None and row["day_offset"] is not None:
            first[row["subject"]] = min(first.get(row["subject"], row["day_offset"]), row["day_offset"])
    return [
        {
            **row,
            "day_offset": row["day_offset"] - first[row["subject"]]
            if row["subject"] in first and row["day_offset"] is not None
            else None,
        }
        for row in rows
    ]


def union_splits(splits_of_items: list[set[str]]) -> set[str]:
    """Splits that only gather smaller ones, as trainval gathers train and val."""
    members: dict[str, set[int]] = {}
    for number, splits in enumerate(splits_of_items):
        for split in splits:
            members.setdefault(split, set()).add(number)
    return {
        split
        for split, whole in members.items()
        if whole == set().union(*(smaller for smaller in members.values() if smaller < whole))
    }
