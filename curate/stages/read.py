"""read: one bucket of a source, from files to verified images and placed annotations. Every byte is read once."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy.typing as npt
import pyarrow as pa

from curate import images
from curate.corpus import ResolvedSource
from curate.images import masks
from curate.layouts.base import RawAnnotation, RawMask
from curate.layouts.tree import Reader, Tree
from curate.schema import (
    ANNOTATIONS,
    ASSETS,
    FILES,
    IMAGES,
    INVENTORY,
    VIDEOS,
    Form,
    Kind,
    Reason,
    Refusal,
    Unit,
    Verdict,
    identity,
    item_key,
)
from curate.stages.base import (
    MEDIA_LIBRARIES,
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
from curate.stages.media import Made, Place, RefusedRegion, Request, SourceFile, medium_of
from curate.stages.placing import Placer, Raster, Target
from curate.store.commit import PartWriter
from curate.store.freshness import NEVER, FileStat, seen
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecar

__all__ = ["ReadStage", "rehash"]

FLUSH_BYTES: Final = 16 * 2**20
FLUSH_ROWS: Final = 100
"""Image bytes, or images, held in Python before they go to their file: one row group of it."""

FLUSH_ASSETS: Final = 50_000
"""Rows about images held before they go to theirs."""

_GEOMETRIC: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})

_DELIVERY: Final = ("images", "renderings", "volumes", "slides", "videos")
"""The keys of a recipe that say what becomes of an item."""

_LIST_OF_RAW: Final = msgspec.json.Decoder(list[RawAnnotation])


class ReadStage:
    """One part per bucket of a source."""

    name = "read"
    version = 3
    tables: tuple[str, ...] = ("images", "videos", "assets", "annotations", "files", "rejects")
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
            **{f"recipe.{key}": msgspec.to_builtins(getattr(run.corpus.recipe, key)) for key in _DELIVERY},
        }
        return stage_fingerprint(self, config, PIXEL_LIBRARIES | MEDIA_LIBRARIES | {"pyarrow"})

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
            bucket = _Bucket(run, source, writer, reader, _real_paths(run, source), beat)
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


@dataclass(slots=True)
class _Bucket:
    """The rows of one bucket while they come together."""

    run: Run
    source: ResolvedSource
    writer: PartWriter
    reader: Reader
    real: RealPaths
    beat: Beat
    files: dict[tuple[str, str | None], tuple[int, str, str]] = field(default_factory=dict)
    stats: dict[str, FileStat] = field(default_factory=dict)
    placer: Placer = field(init=False)
    _bytes: dict[str, list[tuple[str, bytes, str]]] = field(default_factory=lambda: {"images": [], "videos": []})
    _held: int = 0
    _assets: list[dict[str, Any]] = field(default_factory=list)
    _annotations: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        labels = {labels.name: labels for labels in self.source.card.labels}
        self.placer = Placer(labels, self._read_mask)

    def read(self, item: dict[str, Any]) -> None:
        """One item: it becomes assets, or it is refused with everything said about it."""
        self.writer.saw(Unit.ITEM)
        raws = _LIST_OF_RAW.decode(item["annotations"])
        self.writer.saw(Unit.ANNOTATION, len(raws))
        made = self._made(item)
        first = made if isinstance(made, Refusal) else next(made, Refusal(Reason.NO_PIXELS, "nothing was found in it"))
        if isinstance(made, Refusal) or isinstance(first, Refusal):
            assert isinstance(first, Refusal)
            self.writer.refuse(Unit.ITEM, item["item_key"], first)
            gone = Refusal(Reason.IMAGE_UNAVAILABLE, f"the image was refused: {first.reason}")
            for raw in raws:
                self.writer.refuse(Unit.ANNOTATION, item["item_key"], gone, file=raw.file, locator=raw.locator)
            return
        self.writer.used(Unit.ITEM)
        content = self._content(item)
        targets: list[tuple[dict[str, Any], Target]] = []
        for one in itertools.chain((first,), made):
            if isinstance(one, Refusal):
                raise TypeError("an item is refused before its first asset, or not at all")
            if isinstance(one, RefusedRegion):
                self.writer.saw(Unit.REGION)
                self.writer.refuse(Unit.REGION, item["item_key"], one.refusal, locator=one.locator)
                continue
            row = self._add(item, one, content)
            if one.target is not None:
                targets.append((row, replace(one.target, asset_id=row["asset_id"], source=self.source.id)))
        flaws = self._place(item, raws, [target for _, target in targets])
        for (row, _), flawed in zip(targets, flaws, strict=True):
            row["labelled_by"] = [name for name in item["labelled_by"] if name not in flawed]
        self._flush_rows(FLUSH_ASSETS)

    def _made(self, item: dict[str, Any]) -> "Iterator[Made | RefusedRegion | Refusal] | Refusal":
        """What the item's medium makes of it; an error of reading or memory before the first asset refuses it."""
        poison = self.run.poisoned.get(item["item_key"])
        if poison is not None:
            return Refusal(poison, "reading the image ended the process")
        request = Request(
            files=tuple(self._source_file(*place) for place in _files_of(item)),
            images=self.source.card.images,
            recipe=self.run.corpus.recipe,
            modality=item["modality"],
            token=lambda what, identifier: self.run.key.token(what, self.source.id, identifier),
            beat=lambda: self.beat(item["item_key"]),
            tree=lambda: self.writer.tree("volumes", ".zarr"),
        )
        return self._guarded(request)

    def _guarded(self, request: Request) -> "Iterator[Made | RefusedRegion | Refusal]":
        begun = False
        try:
            made = medium_of(request)(request)
            if isinstance(made, Refusal):
                yield made
                return
            for one in made:
                begun = True
                yield one
        except (OSError, MemoryError) as problem:
            why = (
                refusal_of(problem)
                if isinstance(problem, OSError)
                else Refusal(Reason.MEMORY_LIMIT, "decoding needs more memory than one item may take")
            )
            yield RefusedRegion("the rest", why) if begun else why

    def _source_file(self, path: str, member: str | None, size: int) -> SourceFile:
        real = self.real.get(path, (path, member))
        return SourceFile(
            key=item_key(path, member),
            name=real[0] if real[1] is None else f"{real[0]}/{real[1]}",
            size=size,
            read=lambda: self._open(path, member, "image"),
            local=lambda: self._local(path, member),
            head=lambda count: self.reader.head(*real, count),
        )

    def _content(self, item: dict[str, Any]) -> str:
        """The digest of the item's bytes; of its files' digests where there are several."""
        digests = [self.files[path, member][1] for path, member, _ in _files_of(item)]
        return digests[0] if len(digests) == 1 else digest_of(digests)

    def _stat(self, real: str) -> None:
        if real not in self.stats:
            before = os.stat(f"{self.source.root}/{real}")  # noqa: PTH116  (once per image: a Path costs ten times more)
            self.stats[real] = seen(before)

    def _open(self, path: str, member: str | None, role: str) -> bytes:
        real = self.real.get(path, (path, member))
        try:
            self._stat(real[0])
            data = self.reader.read(*real)
        except OSError:
            self.stats[real[0]] = NEVER
            self.files[path, member] = (0, UNREADABLE, role)
            raise
        if self.files.get((path, member), ("", ""))[1] in ("", UNREADABLE):
            self.files[path, member] = (len(data), sha256(data).hexdigest(), role)
        return data

    @contextmanager
    def _local(self, path: str, member: str | None) -> Iterator[Path]:
        """Where a file lies on disk, a member unpacked for as long as it is needed; its digest is taken here."""
        real = self.real.get(path, (path, member))
        try:
            self._stat(real[0])
            with self.reader.local(*real) as place:
                digest, size = sha256(), 0
                with place.open("rb") as file:
                    while chunk := file.read(2**20):
                        digest.update(chunk)
                        size += len(chunk)
                self.files[path, member] = (size, digest.hexdigest(), "image")
                yield place
        except OSError:
            if (path, member) not in self.files:
                self.stats[real[0]] = NEVER
                self.files[path, member] = (0, UNREADABLE, "image")
            raise

    def _read_mask(self, mask: RawMask) -> npt.NDArray[Any] | Refusal:
        try:
            data = self._open(mask.path, mask.member, "mask")
        except OSError as problem:
            return refusal_of(problem)
        return masks.read_mask(data, images.Limits()) if data else Refusal(Reason.EMPTY_FILE, "0 bytes")

    def _add(self, item: dict[str, Any], one: Made, content: str) -> dict[str, Any]:
        def id_of(place: Place) -> str:
            return identity(self.source.id, item["path"], item["member"], *place)

        asset_id = id_of(one.place)
        row = {
            **{name: item[name] for name in _ITEM_COLUMNS},
            "row_licence": item["licence"],
            "labelled_by": [],
            **one.columns,
            "asset_id": asset_id,
            "form": str(one.form),
            "derived_from": None if one.derived_from is None else id_of(one.derived_from),
            "rendering_of": None if one.rendering_of is None else id_of(one.rendering_of),
            "source": self.source.id,
            "content_sha256": content,
        }
        self._assets.append(row)
        if one.tree is not None:
            row |= {"volume": one.tree.name, "image_sha256": one.tree.sha256}
        elif one.data is not None:
            unchanged = one.form in (Form.IMAGE, Form.VIDEO) and not one.columns["changes"]
            row["image_sha256"] = content if unchanged else sha256(one.data).hexdigest()
            kind, _, suffix = one.columns["media_type"].partition("/")
            table = "videos" if kind == "video" else "images"
            self._bytes[table].append((asset_id, one.data, f"{asset_id}.{_SUFFIXES.get(suffix, suffix)}"))
            self._held += len(one.data)
            if self._held >= FLUSH_BYTES or len(self._bytes[table]) >= FLUSH_ROWS:
                self._flush()
        return row

    def _place(self, item: dict[str, Any], raws: list[RawAnnotation], targets: list[Target]) -> Iterator[set[str]]:
        """Place every statement on every target; yields, one by one, the label sets that lost something there.

        A set that lost an object no longer marks every object, and its silence about this image means nothing.
        """
        frames = sum(isinstance(target, Raster) for target in targets)
        for number, target in enumerate(targets):
            rows: list[dict[str, Any]] = []
            flawed: set[str] = set()
            for raw, placed in zip(raws, self._placed(raws, target, frames), strict=True):
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

    def _placed(self, raws: list[RawAnnotation], target: Target, frames: int) -> list[list[dict[str, Any]] | Refusal]:
        """What each statement yields on one target; statements of one set that refute each other yield nothing."""
        self.placer.begin()
        found: list[list[dict[str, Any]] | Refusal] = []
        for raw in raws:
            if raw.kind in _GEOMETRIC and frames > 1:
                found.append(Refusal(Reason.AMBIGUOUS_IMAGE, f"the label names no frame, the file has {frames}"))
            else:
                found.append(self.placer.place(raw, target))
        refuted = conflicts(
            (row for rows in found if not isinstance(rows, Refusal) for row in rows), self.placer.labels
        )
        return [
            refuted.get(rows[0]["annotation_id"], rows) if not isinstance(rows, Refusal) and rows else rows
            for rows in found
        ]

    def _flush(self) -> None:
        for table, schema in (("images", IMAGES), ("videos", VIDEOS)):
            if not self._bytes[table]:
                continue
            ids, data, paths = zip(*self._bytes[table], strict=True)
            cells = pa.StructArray.from_arrays(
                [pa.array(data, pa.binary()), pa.array(paths, pa.string())], ["bytes", "path"]
            )
            self.writer.write(table, pa.Table.from_arrays([pa.array(ids, pa.string()), cells], schema=schema))
            self._bytes[table].clear()
        self._held = 0

    def _flush_rows(self, at_least: int) -> None:
        """Hand rows on between items: those of the last one are complete."""
        if len(self._assets) + len(self._annotations) > at_least:
            self.writer.write("assets", pa.Table.from_pylist(self._assets, schema=ASSETS))
            self.writer.write("annotations", pa.Table.from_pylist(self._annotations, schema=ANNOTATIONS))
            self._assets.clear()
            self._annotations.clear()

    def close(self) -> None:
        """Write what is still held."""
        self._flush()
        self._flush_rows(0)
        rows = [
            {"path": path, "member": member, "bytes": size, "sha256": digest, "role": role}
            for (path, member), (size, digest, role) in sorted(self.files.items(), key=_by_name)
        ]
        self.writer.write("files", pa.Table.from_pylist(rows, schema=FILES))


def _files_of(item: dict[str, Any]) -> list[tuple[str, str | None, int]]:
    """Path, member and size of each of an item's files."""
    several = item["files"]
    if several is None:
        return [(item["path"], item["member"], item["bytes"])]
    return [(file["path"], file["member"], file["bytes"]) for file in several]


_SUFFIXES: Final = {"quicktime": "mov", "x-matroska": "mkv", "mp2t": "ts", "x-msvideo": "avi"}

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
)
