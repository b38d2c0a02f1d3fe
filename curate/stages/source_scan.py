"""One pass over one source: which item is what, what is said of it, and what is refused."""

import re
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate import layouts
from curate.card import Card, LabelSet
from curate.corpus import ResolvedSource
from curate.dicom_names import side
from curate.errors import DataError
from curate.layouts.absent import Absent, Line, distinct, listed_names
from curate.layouts.base import ImageRef, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.stacks import UID_NAME
from curate.layouts.tree import Entry
from curate.recipe import Parts
from curate.schema import FILES, INVENTORY, Kind, Reason, Refusal, Unit, Verdict, identity
from curate.stages.base import UNREADABLE, Beat, Run, refusal_of
from curate.stages.inventory import Columns, InventoryRows, Item, Lost, from_first_day, in_order_of_items, union_splits
from curate.stages.source_files import SourceFiles
from curate.store.commit import PartWriter

__all__ = ["SourceScan", "bucket_count"]

MIN_BUCKET_BYTES: Final = 16 * 2**20
MAX_BUCKET_BYTES: Final = 256 * 2**20
BUCKETS_AIMED_AT: Final = 64

UNITS_A_BEAT: Final = 1000
"""How often a long label file says that it is still being read."""

_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
"""What a detail quotes: a name of the source, which may be a person's."""

_NAMING_KINDS: Final = frozenset(
    {Kind.CLASS, Kind.MULTILABEL, Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT, Kind.COUNT}
)
"""Kinds whose concepts form a label set's vocabulary: what its silence is about."""


class SourceScan:
    """One pass over one source."""

    def __init__(self, run: Run, source: ResolvedSource, files: SourceFiles, writer: PartWriter, beat: Beat) -> None:
        self.run = run
        self.card: Card = source.card
        self.hides_paths = source.card.hides_paths
        self.limit = source.limit
        self.files = files
        self.writer = writer
        self.beat = beat
        self.index = files.index or ImageIndex(files.images)
        self.items = {
            entry.key: Item(entry, files=files.stacks[entry.key].members if entry.key in files.stacks else None)
            for entry in files.images
        }
        self.claimed: set[str] = {
            member.path if self.card.images.column is not None else member.key
            for entry in files.images
            for member in files.members(entry)
        }
        self.image_keys = frozenset(self.claimed)
        self.refused_files: set[str] = set()
        self.missing: dict[Absent, tuple[str, str]] = {}  # absent image -> the first file and place that name it
        self.vocabulary: dict[str, set[str]] = {labels.name: set() for labels in self.card.labels}
        self.columns = Columns(self.card)
        self.lost = Lost()
        self.rows = InventoryRows(run, self.card, self.columns)
        self._mask_keys: dict[str, frozenset[str]] = {}

    def show(self, key: str) -> str:
        """A key as outputs may show it."""
        if key.startswith(UID_NAME):
            return self.run.key.token("uid", self.card.id, key)
        return self.run.visible(self.card.id, key) if self.hides_paths else key

    def refuse(
        self, unit: Unit, key: str, refusal: Refusal, file: str | None = None, locator: str | None = None
    ) -> None:
        """One row in `rejects`, with nothing in it that the card hides."""
        if self.hides_paths:
            refusal = replace(refusal, detail=_QUOTED.sub("'...'", refusal.detail))
        file = None if file is None else self.show(file)
        self.writer.refuse(unit, self.show(key), refusal, file=file, locator=locator)

    def read_headers(self) -> None:
        """DICOM headers of all images, where the card wants them."""
        if not self.card.reads_headers and self.card.images.form != "volume":
            return
        with ThreadPoolExecutor(1) as beside:
            self._read_headers(beside)

    def _read_headers(self, beside: Executor) -> None:
        for key in list(self.items):
            if self.card.images.form == "volume" and key not in self.files.headers:
                continue  # no DICOM file
            header = self.files.header(self.items[key].entry, beside)
            if isinstance(header, Refusal):
                self._drop(key, header)
                continue
            item = self.items[key]
            item.header = header
            for column, keyword in self.card.images.header.items():
                value = header.values.get(keyword)
                if value and column == "laterality":
                    value = side(value)
                if value:
                    item.values.setdefault(f"@{column}", set()).add(value)

    def _drop(self, key: str, refusal: Refusal) -> None:
        self.items.pop(key)
        self.writer.saw(Unit.IMAGE)
        self.refuse(Unit.IMAGE, key, refusal)

    def read_labels(self, labels: LabelSet) -> None:
        """Every unit of one label set, attached to its image or refused."""
        layout = layouts.layout_of(labels)
        context = self.files.context(labels)
        self.claimed.update(entry.key for entry in layout.label_files(context))
        for number, unit in enumerate(layout.scan(context)):
            if number % UNITS_A_BEAT == 0:
                self.beat(self.show(unit.file))
            self.claimed.add(unit.file)
            self.columns.note(labels.name, unit.columns)
            if unit.unit is not Unit.FILE:
                self.writer.saw(unit.unit)
            if isinstance(unit, Refused):
                self._refuse_unit(unit, labels)
            else:
                self._attach(unit, labels)

    def _refuse_unit(self, unit: Refused, labels: LabelSet) -> None:
        """Count a unit as refused, and keep what it still says of its image: whose it is, and that a label is lost."""
        found = None if unit.image is None else self.index.candidates(unit.image.name, unit.image.near)
        images = found if isinstance(found, list) else []
        item = self.items.get(images[0].key) if len(images) == 1 else None
        if item is not None:
            self.columns.add(item, unit.columns)
            if not unit.columns:
                item.rowless.add(labels.name)
        if unit.refusal.verdict is Verdict.REJECTED and unit.unit is not Unit.FILE and unit.image is None:
            self.lost.somewhere(labels.name, unit.file, whole_set=self._is_mask(unit.file, labels))
        elif unit.refusal.verdict is Verdict.REJECTED:
            self._flaw(images, labels)
        if unit.unit is Unit.FILE:
            if unit.file in self.refused_files or (
                item is None and unit.file in self.image_keys and unit.file not in self.items
            ):
                return  # one file, one row: another label set reads it too, or it is an image that was refused as such
            self.writer.saw(Unit.FILE)
            self.refused_files.add(unit.file)
        named = unit.file if unit.image is None else unit.image.name
        self.refuse(unit.unit, images[0].key if len(images) == 1 else named, unit.refusal, unit.file, unit.locator)

    def _is_mask(self, file: str, labels: LabelSet) -> bool:
        """A mask file is a label file of one object: whose it is cannot be told from its neighbours."""
        if labels.name not in self._mask_keys:
            self._mask_keys[labels.name] = frozenset(entry.key for entry in self.files.mask_files(labels))
        return file in self._mask_keys[labels.name]

    def _flaw(self, images: list[Entry], labels: LabelSet) -> None:
        for entry in images:
            if entry.key in self.items:
                self.items[entry.key].flawed.add(labels.name)

    def _attach(self, record: Record, labels: LabelSet) -> None:
        found = self.index.resolve(record.image.name, record.image.near)
        item = self.items.get(found.key) if isinstance(found, Entry) else None
        if item is None:
            self._refuse_record(record, labels, found)
            return
        if record.unit is not Unit.FILE:
            item.units.append((record.unit, record.file, record.locator))
        if record.covers:
            item.labelled_by.add(labels.name)
        item.spoken_by.add((labels.name, record.file))
        self.columns.add(item, record.columns)
        for annotation in record.annotations:
            item.annotations.append(msgspec.structs.replace(annotation, label_set=labels.name, file=record.file))
            if annotation.kind in _NAMING_KINDS and annotation.concept is not None:
                self.vocabulary[labels.name].add(annotation.concept)

    def _refuse_record(self, record: Record, labels: LabelSet, found: Entry | Refusal) -> None:
        """Count a unit whose image is absent, refused, or one of several: then none of these is labelled in full."""
        key = record.image.name
        if isinstance(found, Entry):
            key, why = found.key, Refusal(Reason.IMAGE_UNAVAILABLE, "the image was refused")
        elif found.reason is Reason.MISSING_FILE:
            self.missing.setdefault(Absent.of(record.image, labels.name), (record.file, record.locator))
            why = Refusal(Reason.IMAGE_UNAVAILABLE, "the image is not there")
        else:
            why = found
        if why.reason is Reason.AMBIGUOUS_IMAGE and self.lost.is_new(labels.name, record.image):
            several = self.index.candidates(record.image.name, record.image.near)
            self._flaw(several if isinstance(several, list) else [], labels)
        if record.unit is not Unit.FILE:
            self.refuse(record.unit, key, why, record.file, record.locator)

    def check_columns(self) -> None:
        """The columns that the card's subject, study and split name stand in some row.

        Raises:
            DataError: one that does not, unless a label file was refused, which may have held it.
        """
        absent = None if self.refused_files else self.columns.absent()
        if absent is not None:
            raise DataError(
                f"{self.card.id}, {absent[0]}: no row of a label file has a column {absent[1]!r}; correct the name, or "
                "name the table that holds it under `labels`"
            )

    def read_split_lists(self) -> None:
        """The source's own split, from files that list images."""
        for entry, split in self.files.split_lists():
            self.claimed.add(entry.key)
            try:
                text = self.files.read(entry).decode("utf-8-sig", errors="replace")
            except OSError as problem:
                if entry.key not in self.refused_files:
                    self.refused_files.add(entry.key)
                    self.writer.saw(Unit.FILE)
                    self.refuse(Unit.FILE, entry.key, refusal_of(problem), entry.key)
                continue
            for line in listed_names(text):
                self._list(line, entry, split)

    def _list(self, line: Line, entry: Entry, split: str) -> None:
        answers = [self.index.resolve(name, entry.folder) for name in line.names]
        found = next((answer for answer in answers if isinstance(answer, Entry)), None)
        locator = f"line {line.number}"
        if found is not None:
            if found.key in self.items:
                self.items[found.key].splits.add(split)
            return
        refused = [answer for answer in answers if isinstance(answer, Refusal)]
        why = next((answer for answer in refused if answer.reason is not Reason.MISSING_FILE), None)
        if why is None:
            self.missing.setdefault(Absent.of(ImageRef(line.told, entry.folder)), (entry.key, locator))
        else:
            self.writer.saw(Unit.ROW)
            self.refuse(Unit.ROW, line.told, why, entry.key, locator)

    def account_for_files(self) -> None:
        """Every file below the root is used, refused or filtered."""
        ignored = {entry.key for entry in self.files.tree.match(self.card.ignores)}
        masks = {one.mask.key for item in self.items.values() for one in item.annotations if one.mask is not None}
        for entry in self.files.tree.entries:
            if entry.key in self.refused_files:
                continue
            self.writer.saw(Unit.FILE)
            if entry.key in self.claimed or entry.key in masks or entry.key in self.files.tree.archives:
                self.writer.used(Unit.FILE)
            else:
                reason = Reason.IGNORED_FILE if entry.key in ignored else Reason.UNCLAIMED_FILE
                detail = "a DICOM object that is no picture" if entry.key in self.files.objects else ""
                self.refuse(Unit.FILE, entry.key, Refusal(reason, detail, Verdict.FILTERED))
        for key, refusal in self.files.tree.refusals:
            self.writer.saw(Unit.FILE)
            self.refuse(Unit.FILE, key, refusal)

    def write(self, parts: Parts) -> None:
        """Images named and not there, the limit, and one slice of inventory per bucket."""
        for absent in sorted(distinct(self.missing)):
            self.writer.saw(Unit.IMAGE)
            why = Refusal(Reason.MISSING_FILE, "named, but not in the data folder")
            self.refuse(Unit.IMAGE, absent.name, why, *self.missing[absent])
        rows = from_first_day(list(self._kept()))
        total = sum(row["bytes"] for row in rows)
        buckets = bucket_count(total, len(rows), parts)
        dealt: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            dealt.setdefault(_bucket(row["subject"] or row["item_key"], buckets), []).append(row)
        for bucket in sorted(dealt):
            self.writer.write("inventory", pa.Table.from_pylist(dealt[bucket], schema=INVENTORY), bucket)
            self.writer.finish("inventory", bucket)
        self.writer.write("files", pa.Table.from_pylist(self._label_files(), schema=FILES))
        self.writer.statistics = {
            "buckets": sorted(dealt),
            "bucket_count": buckets,
            "bytes": total,
            "with_subject": sum(row["subject"] is not None for row in rows),
            "vocabulary": {name: sorted(self._vocabulary_of(name)) for name in sorted(self.vocabulary)},
        }

    def _label_files(self) -> list[dict[str, Any]]:
        """The rows of `files`: every label file, list and header that was read, with its digest."""
        by_key = {entry.key: entry for entry in (*self.files.tree.entries, *self.files.images)}
        read = [(by_key[key], digest) for key, digest in self.files.digests.items() if digest != UNREADABLE]
        hidden = self.card.hides_paths
        rows = [
            {
                "path": self.show(entry.key) if hidden else entry.path,
                "member": None if hidden else entry.member,
                "bytes": entry.bytes,
                "sha256": digest,
                "role": "label",
            }
            for entry, digest in read
        ]
        return sorted(rows, key=lambda row: (str(row["path"]), str(row["member"] or "")))

    def _vocabulary_of(self, name: str) -> set[str]:
        labels = next(labels for labels in self.card.labels if labels.name == name)
        said = {concept.name for concept in (labels.concepts or {}).values() if concept is not None}
        return said | self.vocabulary[name]

    def _kept(self) -> Iterator[dict[str, Any]]:
        """The row of each image that goes on; what was said of one that does not is counted as refused with it."""
        self.lost.settle(self.items.values())
        identified = {}
        for item in in_order_of_items(self.items.values()):
            subject = self.rows.subject(item)
            self.writer.saw(Unit.IMAGE)
            if isinstance(subject, Refusal):
                self._leave_out(item, subject, Refusal(Reason.IMAGE_UNAVAILABLE, "the image was refused"))
            else:
                identified[item.entry.key] = subject
        chosen = self._chosen(list(identified))
        unions = union_splits([self.items[key].splits for key in identified])
        for key, subject in identified.items():
            item = self.items[key]
            if key in chosen:
                self.writer.used(Unit.IMAGE)
                for unit, _, _ in item.units:
                    self.writer.used(unit)
                yield self.rows.row(item, subject, unions)
            else:
                over = Refusal(Reason.OVER_LIMIT, f"the recipe takes {self.limit}", Verdict.FILTERED)
                self._leave_out(item, over, over)

    def _chosen(self, keys: list[str]) -> set[str]:
        """The keys that the recipe's limit keeps."""
        if self.limit is None or len(keys) <= self.limit:
            return set(keys)
        return set(sorted(keys, key=lambda key: identity("limit", self.show(key)))[: self.limit])

    def _leave_out(self, item: Item, why: Refusal, of_units: Refusal) -> None:
        key = item.entry.key
        self.refuse(Unit.IMAGE, key, why)
        for unit, file, locator in item.units:
            self.refuse(unit, key, of_units, file, locator)


def bucket_count(total_bytes: int, items: int, parts: Parts) -> int:
    """How many buckets a source is dealt into: a power of two, so that growth splits buckets and never reshuffles."""
    target = parts.bytes or min(max(total_bytes // BUCKETS_AIMED_AT, MIN_BUCKET_BYTES), MAX_BUCKET_BYTES)
    wanted = max(total_bytes / target, items / parts.items, 1)
    count = 1
    while count < wanted:
        count *= 2
    return count


def _bucket(key: str, buckets: int) -> int:
    return int(identity("bucket", key)[:8], 16) % buckets
