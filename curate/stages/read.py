"""read: one bucket of a source, from files to verified images and placed annotations. Every byte is read once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy.typing as npt
import pyarrow as pa

from curate import images
from curate.corpus import ResolvedSource
from curate.images import masks
from curate.images.resize import resized
from curate.layouts.base import RawAnnotation, RawMask
from curate.layouts.tree import Reader, Tree
from curate.schema import ANNOTATIONS, ASSETS, FILES, IMAGES, INVENTORY, Kind, Reason, Refusal, Unit, Verdict, identity
from curate.stages.base import (
    PIXEL_LIBRARIES,
    UNREADABLE,
    Beat,
    RealPaths,
    Run,
    bucket_parts,
    digest_of,
    refusal_of,
    source_patterns,
    stage_fingerprint,
)
from curate.stages.conflicts import conflicts
from curate.stages.placing import Placer, Raster
from curate.store.commit import PartWriter
from curate.store.freshness import NEVER, FileStat, seen
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar

__all__ = ["ReadStage", "rehash"]

FLUSH_BYTES: Final = 16 * 2**20
FLUSH_ROWS: Final = 100
"""Image bytes, or images, held in Python before they go to their file: one row group of it."""

_GEOMETRIC: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})

_LIST_OF_RAW: Final = msgspec.json.Decoder(list[RawAnnotation])


class ReadStage:
    """One part per bucket of a source."""

    name = "read"
    version = 2
    tables: tuple[str, ...] = ("images", "assets", "annotations", "files", "rejects")
    after: tuple[str, ...] = ("scan",)
    isolated = True

    def parts(self, run: Run) -> list[Part]:
        """One per bucket that scan filled."""
        return bucket_parts(run, self.name)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """How images are delivered, what label sets mean, and the libraries that decode and write."""
        card = run.corpus.source(part.source).card
        meaning = {
            labels.name: [str(labels.world), labels.exhaustive, str(labels.annotator), labels.language]
            for labels in card.labels
        }
        config = {
            "card.images": msgspec.to_builtins(card.images),
            "card.labels.meaning": meaning,
            "limits": msgspec.to_builtins(images.Limits()),
            "recipe.images": msgspec.to_builtins(run.corpus.recipe.images),
        }
        return stage_fingerprint(self, config, PIXEL_LIBRARIES | {"pyarrow"})

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The slice of inventory, and the digest of every image and mask file in it."""
        sliced = {"inventory": run.sidecars.need(Part("scan", part.source)).digest("inventory", part.bucket)}
        root, stats = run.corpus.source(part.source).root, run.stats(part.source)
        cached = run.freshness.inputs(part, root, stats, whole=False)
        if cached is not None:
            return cached | sliced
        built = run.sidecars.get(part)
        if built is None:
            return sliced
        now = {(row["path"], row["member"]): (row["bytes"], digest, row["role"]) for row, digest in rehash(run, built)}
        inputs = sliced | {"files": _digest(now)}
        if built.inputs == inputs:
            real = _real_paths(run, run.corpus.source(part.source))
            paths = {real.get(path, (path, member))[0] for path, member in now}
            run.freshness.confirm(part, root, {path: stats.get(path, NEVER) for path in paths}, inputs)
        return inputs

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Deliver the bucket's images and place their annotations."""
        source = run.corpus.source(part.source)
        scan = run.sidecars.need(Part("scan", part.source))
        sliced = [file for file in scan.of("inventory") if file.bucket == part.bucket]
        with Reader(Path(source.root), column=source.card.images.column) as reader:
            bucket = _Bucket(run, source, writer, reader, _real_paths(run, source))
            for item in read_table(run.out, sliced, INVENTORY).to_pylist():
                beat(item["item_key"])
                bucket.read(item)
            beat("")
            bucket.close()
        inputs = {"inventory": scan.digest("inventory", part.bucket), "files": _digest(bucket.files)}
        run.freshness.record(part, source.root, bucket.stats, inputs)
        return inputs


def _digest(files: Mapping[tuple[str, str | None], tuple[int, str, str]]) -> str:
    return digest_of(
        f"{path}\0{member}\0{digest}" for (path, member), (_, digest, _) in sorted(files.items(), key=_by_name)
    )


def _by_name(item: tuple[tuple[str, str | None], object]) -> tuple[str, str]:
    return (item[0][0], item[0][1] or "")


def _real_paths(run: Run, source: ResolvedSource) -> RealPaths:
    """Token -> path and member, for a card that hides paths; empty where the inventory names them itself."""
    if not source.card.hides_paths:
        return {}
    if source.id not in run.real_paths:
        tree = Tree.scan(Path(source.root), source_patterns(source.card))
        column = source.card.images.column
        rows = [] if column is None else tree.embedded(source.card.images.globs, column)
        run.real_paths[source.id] = {
            run.visible(source.id, entry.key): (entry.path, entry.member) for entry in (*tree.entries, *rows)
        }
    return run.real_paths[source.id]


def rehash(run: Run, built: Sidecar) -> Iterator[tuple[dict[str, Any], str]]:
    """Each row of a built part's `files`, with the digest that the source file has now."""
    source = run.corpus.source(built.source)
    real = _real_paths(run, source)
    with Reader(Path(source.root), column=source.card.images.column) as reader:
        for row in read_table(run.out, built.of("files"), FILES).to_pylist():
            try:
                yield row, sha256(reader.read(*real.get(row["path"], (row["path"], row["member"])))).hexdigest()
            except OSError:
                yield row, UNREADABLE


class _Frame(NamedTuple):
    """One image of an item."""

    number: int | None  # null: the file's only one
    came: tuple[int, int]  # width, height before any shrinking
    image: images.Delivered


@dataclass(slots=True)
class _Bucket:
    """The rows of one bucket while they come together."""

    run: Run
    source: ResolvedSource
    writer: PartWriter
    reader: Reader
    real: RealPaths
    files: dict[tuple[str, str | None], tuple[int, str, str]] = field(default_factory=dict)
    stats: dict[str, FileStat] = field(default_factory=dict)
    placer: Placer = field(init=False)
    _images: list[tuple[str, bytes, str]] = field(default_factory=list)
    _image_bytes: int = 0
    _assets: list[dict[str, Any]] = field(default_factory=list)
    _annotations: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        labels = {labels.name: labels for labels in self.source.card.labels}
        self.placer = Placer(labels, self._read_mask)

    def read(self, item: dict[str, Any]) -> None:
        """One item: its frames become assets, or it is refused with everything said about it."""
        self.writer.saw(Unit.ITEM)
        raws = _LIST_OF_RAW.decode(item["annotations"])
        self.writer.saw(Unit.ANNOTATION, len(raws))
        delivered = self._deliver(item)
        if isinstance(delivered, Refusal):
            self.writer.refuse(Unit.ITEM, item["item_key"], delivered)
            gone = Refusal(Reason.IMAGE_UNAVAILABLE, f"the image was refused: {delivered.reason}")
            for raw in raws:
                self.writer.refuse(Unit.ANNOTATION, item["item_key"], gone, file=raw.file, locator=raw.locator)
            return
        self.writer.used(Unit.ITEM)
        content, frames = delivered
        first = len(self._assets)
        rasters = [self._add(item, frame, content) for frame in frames]
        for number, flawed in enumerate(self._place(item, raws, rasters)):
            asset = self._assets[first + number]
            asset["labelled_by"] = [name for name in asset["labelled_by"] if name not in flawed]

    def _deliver(self, item: dict[str, Any]) -> "tuple[str, list[_Frame]] | Refusal":
        """The digest of the item's bytes and each of its frames; one bad frame refuses the item."""
        poison = self.run.poisoned.get(item["item_key"])
        if poison is not None:
            return Refusal(poison, "reading the image ended the process")
        try:
            data = self._open(item["path"], item["member"], "image")
        except OSError as problem:
            return refusal_of(problem)
        if not data:
            return Refusal(Reason.EMPTY_FILE, "0 bytes")
        try:
            return self._frames(data, item["path"], item["member"])
        except MemoryError:
            return Refusal(Reason.MEMORY_LIMIT, "decoding needs more memory than one item may take")

    def _frames(self, data: bytes, path: str, member: str | None) -> "tuple[str, list[_Frame]] | Refusal":
        count = images.frames_of(data)
        if isinstance(count, Refusal):
            return count
        if count < 1:
            return Refusal(Reason.NO_PIXELS, "the file holds no frame")
        resize = self.run.corpus.recipe.images
        delivered: list[_Frame] = []
        for frame in [None] if count == 1 else range(count):
            one = images.deliver(data, frame=frame, keep_metadata=self.source.card.images.keep_metadata)
            if isinstance(one, Refusal):
                return one
            came = (one.width, one.height)
            delivered.append(_Frame(frame, came, one if resize is None else resized(one, resize)))
        return self.files[path, member][1], delivered

    def _open(self, path: str, member: str | None, role: str) -> bytes:
        real = self.real.get(path, (path, member))
        try:
            if real[0] not in self.stats:
                before = os.stat(f"{self.source.root}/{real[0]}")  # noqa: PTH116  (once per image: a Path costs ten times more)
                self.stats[real[0]] = seen(before)
            data = self.reader.read(*real)
        except OSError:
            self.stats[real[0]] = NEVER
            self.files[path, member] = (0, UNREADABLE, role)
            raise
        self.files[path, member] = (len(data), sha256(data).hexdigest(), role)
        return data

    def _read_mask(self, mask: RawMask) -> npt.NDArray[Any] | Refusal:
        try:
            data = self._open(mask.path, mask.member, "mask")
        except OSError as problem:
            return refusal_of(problem)
        return masks.read_mask(data, images.Limits()) if data else Refusal(Reason.EMPTY_FILE, "0 bytes")

    def _add(self, item: dict[str, Any], found: "_Frame", content: str) -> Raster:
        frame, came, one = found
        asset_id = identity(self.source.id, item["path"], item["member"], frame)
        self._images.append((asset_id, one.data, f"{asset_id}.{one.media_type.removeprefix('image/')}"))
        self._image_bytes += len(one.data)
        self._assets.append(
            {
                **{name: item[name] for name in _ITEM_COLUMNS},
                **{name: getattr(one, name) for name in _DELIVERED_COLUMNS},
                "asset_id": asset_id,
                "source": self.source.id,
                "frame": frame,
                "content_sha256": content,
                "image_sha256": content if not one.changes else sha256(one.data).hexdigest(),
                "changes": list(one.changes),
            }
        )
        if self._image_bytes >= FLUSH_BYTES or len(self._images) >= FLUSH_ROWS:
            self._flush()
        labelled = one.exif_orientation if self.source.card.images.exif_rotated else None
        shrunk = (one.width, one.height)
        return Raster(asset_id, self.source.id, *came, labelled, shrunk if shrunk != came else None)

    def _place(self, item: dict[str, Any], raws: list[RawAnnotation], rasters: list[Raster]) -> Iterator[set[str]]:
        """Place every statement on every raster; yields, raster by raster, the label sets that lost something there.

        A set that lost an object no longer marks every object, and its silence about this image means nothing.
        """
        for number, raster in enumerate(rasters):
            rows: list[dict[str, Any]] = []
            flawed: set[str] = set()
            for raw, placed in zip(raws, self._placed(raws, raster, len(rasters)), strict=True):
                if not isinstance(placed, Refusal):
                    rows += placed
                elif placed.verdict is Verdict.REJECTED:
                    flawed.add(raw.label_set)
                if number:
                    continue  # a statement is counted once, whatever the number of frames that it speaks of
                if isinstance(placed, Refusal):
                    self.writer.refuse(Unit.ANNOTATION, item["item_key"], placed, file=raw.file, locator=raw.locator)
                else:
                    self.writer.used(Unit.ANNOTATION)
            flawed |= self.placer.lost
            whole = set(item["labelled_by"]) - flawed
            self._annotations += [
                {**row, "exhaustive": row["exhaustive"] and row["label_set"] in whole} for row in rows
            ]
            yield flawed

    def _placed(self, raws: list[RawAnnotation], raster: Raster, frames: int) -> list[list[dict[str, Any]] | Refusal]:
        """What each statement yields on one raster; statements of one set that refute each other yield nothing."""
        self.placer.begin()
        found: list[list[dict[str, Any]] | Refusal] = []
        for raw in raws:
            if raw.kind in _GEOMETRIC and frames > 1:
                found.append(Refusal(Reason.AMBIGUOUS_IMAGE, f"the label names no frame, the file has {frames}"))
            else:
                found.append(self.placer.place(raw, raster))
        refuted = conflicts(
            (row for rows in found if not isinstance(rows, Refusal) for row in rows), self.placer.labels
        )
        return [
            refuted.get(rows[0]["annotation_id"], rows) if not isinstance(rows, Refusal) and rows else rows
            for rows in found
        ]

    def _flush(self) -> None:
        if not self._images:
            return
        ids, data, paths = zip(*self._images, strict=True)
        image = pa.StructArray.from_arrays(
            [pa.array(data, pa.binary()), pa.array(paths, pa.string())], ["bytes", "path"]
        )
        self.writer.write("images", pa.Table.from_arrays([pa.array(ids, pa.string()), image], schema=IMAGES))
        self._images, self._image_bytes = [], 0

    def close(self) -> None:
        """Write what is still held."""
        self._flush()
        self.writer.write("assets", pa.Table.from_pylist(self._assets, schema=ASSETS))
        self.writer.write("annotations", pa.Table.from_pylist(self._annotations, schema=ANNOTATIONS))
        rows = [
            {"path": path, "member": member, "bytes": size, "sha256": digest, "role": role}
            for (path, member), (size, digest, role) in sorted(self.files.items(), key=_by_name)
        ]
        self.writer.write("files", pa.Table.from_pylist(rows, schema=FILES))


_DELIVERED_COLUMNS: Final = (
    "media_type",
    "width",
    "height",
    "channels",
    "bit_depth",
    "exif_orientation",
    "spacing_mm",
    "photometric",
    "rescale_slope",
    "rescale_intercept",
    "rescale_unit",
    "phash",
)

_ITEM_COLUMNS: Final = (
    "item_key",
    "subject",
    "study",
    "series",
    "source_split",
    "day_offset",
    "modality",
    "anatomy",
    "view",
    "laterality",
    "labelled_by",
)
