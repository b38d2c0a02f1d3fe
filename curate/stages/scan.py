"""scan: what lies in a source. Reads label files and headers, never pixels; writes a slice of inventory per bucket."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate import layouts
from curate.card import Card, LabelSet, Subject
from curate.corpus import ResolvedSource
from curate.dicom_names import side
from curate.images.dicom import Header, read_header
from curate.layouts.base import Context, ImageRef, RawAnnotation, RawMask, Record, Refused
from curate.layouts.tree import ArchiveError, Entry, ImageIndex, Reader, Tree
from curate.recipe import Parts
from curate.schema import FILES, INVENTORY, Kind, Reason, Refusal, Unit, Verdict, identity
from curate.stages.base import UNREADABLE, Beat, Run, digest_of, refusal_of, stage_fingerprint
from curate.store.commit import PartWriter
from curate.store.part import Part

__all__ = ["ScanStage", "bucket_count"]

MIN_BUCKET_BYTES: Final = 16 * 2**20
MAX_BUCKET_BYTES: Final = 256 * 2**20
BUCKETS_AIMED_AT: Final = 64

UNITS_A_BEAT: Final = 1000
"""How often a long label file says that it is still being read."""

FIELDS: Final = ("modality", "anatomy", "view", "laterality", "day_offset")

_NAMING_KINDS: Final = frozenset(
    {Kind.CLASS, Kind.MULTILABEL, Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT, Kind.COUNT}
)
"""Kinds whose concepts form a label set's vocabulary: what its silence is about."""


@dataclass(slots=True)
class _Item:
    """An image on its way into the inventory."""

    entry: Entry
    annotations: list[RawAnnotation] = field(default_factory=list)
    labelled_by: set[str] = field(default_factory=set)
    flawed: set[str] = field(default_factory=set)  # label sets of which something about this image was refused
    values: dict[str, set[str]] = field(default_factory=dict)  # column or @field -> the distinct values of its rows
    splits: set[str] = field(default_factory=set)
    header: Header | None = None


class ScanStage:
    """One part per source."""

    name = "scan"
    version = 1
    tables: tuple[str, ...] = ("inventory", "files", "rejects")
    after: tuple[str, ...] = ()
    isolated = True

    def parts(self, run: Run) -> list[Part]:
        """One per source of the recipe."""
        return sorted(Part(self.name, source.id) for source in run.corpus.sources)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """What the card says about files and labels, the layouts' versions, the key behind tokens."""
        source = run.corpus.source(part.source)
        card = source.card
        said = ("id", "images", "labels", "subject", "study", "split", "ignores", "modality", "anatomy", "view")
        config: dict[str, Any] = {f"card.{key}": msgspec.to_builtins(getattr(card, key)) for key in said}
        config |= {f"layout.{labels.layout}": layouts.layout_of(labels).version for labels in card.labels}
        config |= {
            "card.hides_paths": card.hides_paths,
            "recipe.limit": source.limit,
            "recipe.parts": msgspec.to_builtins(run.corpus.recipe.parts),
            "key": run.key.fingerprint,
        }
        return stage_fingerprint(self, config, ("pyarrow", "pydicom") if card.reads_headers else ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The listing of the data root and the digest of every label file."""
        cached = run.freshness.inputs(part, run.stats(part.source), whole=True)
        if cached is not None:
            return cached
        source = run.corpus.source(part.source)
        with _Files(source) as files:
            for labels in source.card.labels:
                for entry in layouts.layout_of(labels).label_files(files.context(labels)):
                    files.try_read(entry)
            for entry, _ in files.split_lists():
                files.try_read(entry)
            if source.card.reads_headers:
                for entry in files.images:
                    files.try_read(entry)
            return files.inputs(run)

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Fill the inventory."""
        source = run.corpus.source(part.source)
        stats = run.stats(part.source)

        def touch(entry: Entry) -> None:
            """Name a file before its bytes are parsed, so that one that ends the process is known, then left out."""
            key = run.visible(source.id, entry.key)
            beat(key)
            if key in run.poisoned:
                raise ArchiveError(run.poisoned[key], "reading the file ended the process")

        with _Files(source, touch) as files:
            scan = _Scan(run, source, files, writer, beat)
            scan.read_headers()
            for labels in source.card.labels:
                scan.read_labels(labels)
            scan.read_split_lists()
            beat("")
            scan.account_for_files()
            scan.write(run.corpus.recipe.parts)
            inputs = files.inputs(run)
        run.freshness.record(part, stats, inputs)
        return inputs


class _Files:
    """The files of one source: their listing, and the digest of each that was read.

    `touch` is called with each entry before its bytes are read; what it raises is what the reader meets.
    """

    def __init__(self, source: ResolvedSource, touch: Callable[[Entry], None] = lambda _: None) -> None:
        self.touch = touch
        self.source = source
        self.card = source.card
        patterns = [
            *self.card.images.globs,
            *(pattern for labels in self.card.labels for pattern in labels.files),
            *self.card.ignores,
        ]
        if self.card.split is not None and self.card.split.lists is not None:
            patterns.append(self.card.split.lists.replace("{split}", "*"))
        self.tree = Tree.scan(Path(source.root), patterns)
        self.images: list[Entry]
        if self.card.images.column is None:
            self.images = self.tree.match(self.card.images.globs)
        else:
            self.tree, self.images = self.tree.with_embedded(self.card.images.globs, self.card.images.column)
        self.digests: dict[str, str] = {}
        self._reader = Reader(Path(source.root), column=self.card.images.column)
        mask_files = {entry.key for labels in self.card.labels for entry in self._mask_files(labels)}
        self.images = [entry for entry in self.images if entry.key not in mask_files]

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *problem: object) -> None:
        self._reader.close()

    def read(self, entry: Entry) -> bytes:
        """A file's bytes; their digest is remembered, or that they could not be had."""
        try:
            self.touch(entry)
            data = self._reader.read(entry.path, entry.member)
        except OSError:
            self.digests[entry.key] = UNREADABLE
            raise
        self.digests[entry.key] = sha256(data).hexdigest()
        return data

    def _mask_files(self, labels: LabelSet) -> list[Entry]:
        """What a layout knows to be masks: an image pattern that covers them too does not make them images."""
        find = getattr(layouts.layout_of(labels), "mask_files", None)
        return [] if find is None else find(self.context(labels))

    def try_read(self, entry: Entry) -> None:
        """Remember the digest of a file, or that it could not be read."""
        with contextlib.suppress(OSError):
            self.read(entry)

    def context(self, labels: LabelSet) -> Context:
        """What a layout may know."""
        options = layouts.options_of(labels, f"card {self.card.id}")
        return Context(
            card=self.card, labels=labels, options=options, tree=self.tree, images=self.images, read=self.read
        )

    def split_lists(self) -> list[tuple[Entry, str]]:
        """The files that list a split's images, with the split's name."""
        split = self.card.split
        if split is None or split.lists is None:
            return []
        return [(entry, found["split"]) for entry, found in self.tree.match_template(split.lists)]

    def inputs(self, run: Run) -> dict[str, str]:
        """The digest of the listing, and of each label file that was read."""
        entries = [*self.tree.entries, *(self.images if self.card.images.column is not None else ())]
        refused = [f"{key}\0{refusal.reason}" for key, refusal in self.tree.refusals]
        listing = digest_of([*(f"{entry.key}\0{entry.bytes}" for entry in entries), *refused])
        labels = {f"file {run.visible(self.card.id, key)}": digest for key, digest in sorted(self.digests.items())}
        if len(labels) > 100:  # a sidecar is read whole: many small files stand under one digest
            labels = {"label files": digest_of(f"{key}\0{digest}" for key, digest in labels.items())}
        return {"listing": f"{len(entries)} files, {listing}", **labels}


class _Scan:
    """One pass over one source."""

    def __init__(self, run: Run, source: ResolvedSource, files: _Files, writer: PartWriter, beat: Beat) -> None:
        self.run = run
        self.card: Card = source.card
        self.hides_paths = source.card.hides_paths
        self.limit = source.limit
        self.files = files
        self.writer = writer
        self.beat = beat
        self.index = ImageIndex(files.images)
        self.items = {entry.key: _Item(entry) for entry in files.images}
        self.claimed: set[str] = {
            entry.path if self.card.images.column is not None else entry.key for entry in files.images
        }
        self.image_keys = frozenset(self.claimed)
        self.refused_files: set[str] = set()
        self.missing: dict[str, tuple[str, str]] = {}  # absent image -> the first file and place that name it
        self.vocabulary: dict[str, set[str]] = {labels.name: set() for labels in self.card.labels}

    def show(self, key: str) -> str:
        """A key as outputs may show it."""
        return self.run.visible(self.card.id, key) if self.hides_paths else key

    def read_headers(self) -> None:
        """DICOM headers of all images, where the card wants them."""
        if not self.card.reads_headers:
            return
        for key in list(self.items):
            header = self._header(self.items[key].entry)
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

    def _header(self, entry: Entry) -> Header | Refusal:
        try:
            data = self.files.read(entry)
            return read_header(data) if data else Refusal(Reason.EMPTY_FILE, "0 bytes")
        except OSError as problem:
            return refusal_of(problem)

    def _drop(self, key: str, refusal: Refusal) -> None:
        self.items.pop(key)
        self.writer.saw(Unit.IMAGE)
        self.writer.refuse(Unit.IMAGE, self.show(key), refusal)

    def read_labels(self, labels: LabelSet) -> None:
        """Every unit of one label set, attached to its image or refused."""
        layout = layouts.layout_of(labels)
        context = self.files.context(labels)
        self.claimed.update(entry.key for entry in layout.label_files(context))
        for number, unit in enumerate(layout.scan(context)):
            if number % UNITS_A_BEAT == 0:
                self.beat(self.show(unit.file))
            self.claimed.add(unit.file)
            if unit.unit is not Unit.FILE:
                self.writer.saw(unit.unit)
            if isinstance(unit, Refused):
                self._refuse_unit(unit, labels)
            else:
                self._attach(unit, labels)

    def _refuse_unit(self, unit: Refused, labels: LabelSet) -> None:
        if unit.unit is Unit.FILE:
            if unit.file in self.refused_files or (unit.file in self.image_keys and unit.file not in self.items):
                return  # one file, one row: another label set reads it too, or it is an image that was refused as such
            self.writer.saw(Unit.FILE)
            self.refused_files.add(unit.file)
        key = self.show(unit.file)
        if unit.image is not None:
            found = self.index.resolve(unit.image.name, unit.image.near)
            key = self.show(found.key if isinstance(found, Entry) else unit.image.name)
            if isinstance(found, Entry) and found.key in self.items and unit.refusal.verdict is Verdict.REJECTED:
                self.items[found.key].flawed.add(labels.name)
        self.writer.refuse(unit.unit, key, unit.refusal, file=self.show(unit.file), locator=unit.locator)

    def _attach(self, record: Record, labels: LabelSet) -> None:
        found = self.index.resolve(record.image.name, record.image.near)
        if isinstance(found, Refusal):
            if found.reason is Reason.MISSING_FILE:
                self._note_missing(record.image, record.file, record.locator)
                found = Refusal(Reason.IMAGE_UNAVAILABLE, "the image is not there")
            if record.unit is not Unit.FILE:
                self.writer.refuse(
                    record.unit,
                    self.show(record.image.name),
                    found,
                    file=self.show(record.file),
                    locator=record.locator,
                )
            return
        item = self.items.get(found.key)
        if item is None:
            if record.unit is not Unit.FILE:
                gone = Refusal(Reason.IMAGE_UNAVAILABLE, "the image was refused")
                self.writer.refuse(
                    record.unit, self.show(found.key), gone, file=self.show(record.file), locator=record.locator
                )
            return
        if record.unit is not Unit.FILE:
            self.writer.used(record.unit)
        if record.covers:
            item.labelled_by.add(labels.name)
        for column, value in record.columns.items():
            item.values.setdefault(column, set()).add(value)
        for annotation in record.annotations:
            item.annotations.append(msgspec.structs.replace(annotation, label_set=labels.name, file=record.file))
            if annotation.kind in _NAMING_KINDS and annotation.concept is not None:
                self.vocabulary[labels.name].add(annotation.concept)

    def _note_missing(self, image: ImageRef, file: str, locator: str) -> None:
        self.missing.setdefault(image.name.replace("\\", "/"), (file, locator))

    def read_split_lists(self) -> None:
        """The source's own split, from files that list images."""
        for entry, split in self.files.split_lists():
            self.claimed.add(entry.key)
            try:
                text = self.files.read(entry).decode("utf-8-sig", errors="replace")
            except OSError:
                continue
            near = entry.name.rpartition("/")[0]
            for number, line in enumerate(text.splitlines(), start=1):
                words = line.split()
                if not words:
                    continue
                # VOC's class lists append a flag, other names hold spaces: the whole line first, then its first word.
                found = self.index.resolve(line.strip(), near)
                if isinstance(found, Refusal) and len(words) > 1:
                    found = self.index.resolve(words[0], near)
                if isinstance(found, Entry):
                    if found.key in self.items:
                        self.items[found.key].splits.add(split)
                elif found.reason is Reason.MISSING_FILE:
                    self._note_missing(ImageRef(line.strip(), near), entry.key, f"line {number}")

    def account_for_files(self) -> None:
        """Every file below the root is used, refused or filtered."""
        ignored = {entry.key for entry in self.files.tree.match(self.card.ignores)}
        masks = {
            annotation.mask.path
            if annotation.mask.member is None
            else f"{annotation.mask.path}!{annotation.mask.member}"
            for item in self.items.values()
            for annotation in item.annotations
            if annotation.mask is not None
        }
        for entry in self.files.tree.entries:
            if entry.key in self.refused_files:
                continue
            self.writer.saw(Unit.FILE)
            if entry.key in self.claimed or entry.key in masks or entry.key in self.files.tree.archives:
                self.writer.used(Unit.FILE)
            else:
                reason = Reason.IGNORED_FILE if entry.key in ignored else Reason.UNCLAIMED_FILE
                self.writer.refuse(Unit.FILE, self.show(entry.key), Refusal(reason, verdict=Verdict.FILTERED))
        for key, refusal in self.files.tree.refusals:
            self.writer.saw(Unit.FILE)
            self.writer.refuse(Unit.FILE, self.show(key), refusal)

    def write(self, parts: Parts) -> None:
        """Images named and not there, the limit, and one slice of inventory per bucket."""
        for name, (file, locator) in sorted(_distinct(self.missing).items()):
            self.writer.saw(Unit.IMAGE)
            absent = Refusal(Reason.MISSING_FILE, "named, but not in the data folder")
            self.writer.refuse(Unit.IMAGE, self.show(name), absent, file=self.show(file), locator=locator)
        rows = self._limited(_from_first_day(list(self._rows())))
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

    def _limited(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = rows
        if self.limit is not None and len(rows) > self.limit:
            chosen = {
                row["item_key"]
                for row in sorted(rows, key=lambda row: identity("limit", row["item_key"]))[: self.limit]
            }
            kept = [row for row in rows if row["item_key"] in chosen]
            for row in rows:
                if row["item_key"] not in chosen:
                    over = Refusal(Reason.OVER_LIMIT, f"the recipe takes {self.limit}", Verdict.FILTERED)
                    self.writer.refuse(Unit.IMAGE, row["item_key"], over)
        self.writer.saw(Unit.IMAGE, len(rows))
        self.writer.used(Unit.IMAGE, len(kept))
        return kept

    def _rows(self) -> Iterator[dict[str, Any]]:
        unions = _union_splits([item.splits for item in self.items.values()])
        for item in sorted(self.items.values(), key=lambda item: item.entry):
            key = item.entry.key
            subject = self._identifier(item, self.card.subject, "subject")
            if isinstance(subject, Refusal):
                self.writer.saw(Unit.IMAGE)
                self.writer.refuse(Unit.IMAGE, self.show(key), subject)
                continue
            study = self._identifier(item, self.card.study, "study") if self.card.study is not None else None
            entry = item.entry
            hidden = self.hides_paths
            yield {
                "item_key": self.show(key),
                "path": self.show(key) if hidden else entry.path,
                "member": None if hidden else entry.member,
                "bytes": entry.bytes,
                "subject": subject,
                "study": None if isinstance(study, Refusal) else study,
                "series": self._series(item),
                "source_split": self._split(item, unions),
                **{name: self._field(item, name) for name in FIELDS},
                "labelled_by": sorted(item.labelled_by - item.flawed),
                "annotations": msgspec.json.encode(
                    [self._shown(annotation) for annotation in item.annotations]
                ).decode(),
            }

    def _shown(self, annotation: RawAnnotation) -> RawAnnotation:
        """An annotation as the inventory keeps it: paths hidden where the card hides them."""
        if not self.hides_paths:
            return annotation
        mask = annotation.mask
        if mask is not None:
            key = mask.path if mask.member is None else f"{mask.path}!{mask.member}"
            mask = RawMask(path=self.show(key), value=mask.value)
        return msgspec.structs.replace(annotation, file=self.show(annotation.file), mask=mask)

    def _identifier(self, item: _Item, rule: Subject, what: str) -> str | Refusal | None:
        """The token of an item's subject or study; null where the card knows none."""
        raw: set[str]
        if rule.column is not None:
            raw = {value for value in item.values.get(rule.column, ()) if value}
        elif rule.pattern is not None:
            found = re.search(rule.pattern, item.entry.name)
            raw = {found[what]} if found and found[what] else set()
        elif rule.header is not None:
            value = item.header.identifiers.get(rule.header) if item.header is not None else None
            raw = {value} if value else set()
        else:
            return None
        if len(raw) > 1:
            return Refusal(Reason.CONFLICTING_SUBJECT, f"{len(raw)} different values")
        if not raw:
            return (
                None if rule.missing == "alone" else Refusal(Reason.NO_SUBJECT, "the card's subject rule finds nothing")
            )
        return self.run.key.token(what, self.card.id, next(iter(raw)))

    def _series(self, item: _Item) -> str | None:
        uid = item.header.identifiers.get("SeriesInstanceUID") if item.header is not None else None
        return self.run.key.token("series", self.card.id, uid) if uid else None

    def _split(self, item: _Item, unions: set[str]) -> str | None:
        split = self.card.split
        names: Iterable[str] = ()
        if split is not None and split.pattern is not None:
            found = re.search(split.pattern, item.entry.name)
            names = [found["split"]] if found else []
        elif split is not None and split.column is not None:
            names = [value for value in item.values.get(split.column, ()) if value]
        elif split is not None:
            narrow = item.splits - unions
            names = narrow or item.splits
        return "+".join(sorted(names)) or None

    def _field(self, item: _Item, name: str) -> str | int | None:
        values = {value for value in item.values.get(f"@{name}", ()) if value}
        if len(values) > 1:
            return None  # rows that contradict each other leave it unknown
        if values:
            value = next(iter(values))
            return int(value) if name == "day_offset" else value
        return getattr(self.card, name, None)


def _from_first_day(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def _distinct(missing: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """One name per absent image: a bare name or stem gives way to a fuller one that it could mean."""
    stems: dict[str, list[str]] = {}
    for name in missing:
        stems.setdefault(_stem(name), []).append(name)
    kept = {}
    for names in stems.values():
        in_folders = [name for name in names if "/" in name]
        with_suffix = [name for name in names if "." in name.rpartition("/")[2]]
        for name in in_folders or with_suffix or names:
            kept[name] = missing[name]
    return kept


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0] or name.rpartition("/")[2]


def _union_splits(splits_of_items: list[set[str]]) -> set[str]:
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
