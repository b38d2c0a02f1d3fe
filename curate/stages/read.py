"""read: one bucket of a source, from files to verified images and placed annotations. Every byte is read once."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy.typing as npt
import pyarrow as pa

from curate import images
from curate.corpus import ResolvedSource
from curate.images import masks, windows
from curate.images.dicom_seg import read_segmentation
from curate.images.label_maps import VolumeFile, read_label_map
from curate.images.rtstruct import read_structure_set
from curate.images.volume_data import VolumeLimits
from curate.layouts.base import RawAnnotation, RawMask
from curate.layouts.dicom_seg import FRACTION
from curate.layouts.tree import Reader
from curate.schema import (
    FILES,
    INVENTORY,
    Form,
    Reason,
    Refusal,
    Unit,
    Verdict,
    identity,
)
from curate.stages.base import (
    MEDIA_LIBRARIES,
    PIXEL_LIBRARIES,
    Beat,
    Run,
    bucket_parts,
    refusal_of,
    stage_fingerprint,
)
from curate.stages.conflicts import conflicts
from curate.stages.item_files import ItemFiles, digest_of_files, files_of, real_paths, rehash
from curate.stages.media import Made, Place, RefusedRegion, Request, medium_of
from curate.stages.outgoing import Outgoing
from curate.stages.placing import GEOMETRIC, Cut, Placer, Raster, Space, Target
from curate.stages.placing_volume import Structures, VolumeMasks
from curate.stages.voxel_values import add_means
from curate.store.commit import PartWriter
from curate.store.freshness import NEVER
from curate.store.parquet import read_table
from curate.store.part import Part

__all__ = ["ReadStage"]

_DELIVERY: Final = ("images", "renderings", "volumes", "slides", "videos")
"""The keys of a recipe that say what becomes of an item."""

HELD_ROWS: Final = 4096
"""Rows of one item that are held until what is said of it is placed."""

_LIST_OF_RAW: Final = msgspec.json.Decoder(list[RawAnnotation])


class ReadStage:
    """One part per bucket of a source."""

    name = "read"
    version = 5
    tables: tuple[str, ...] = ("images", "videos", "assets", "annotations", "files", "rejects")
    after: tuple[str, ...] = ("scan",)

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
            "limits.volumes": msgspec.to_builtins(VolumeLimits()),
            "windows": windows.table_text(),
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
        inputs = sliced | {"files": digest_of_files(now)}
        if built.inputs == inputs:
            real = real_paths(run, run.corpus.source(part.source))
            paths = {real.get(path, (path, member))[0] for path, member in now}
            run.freshness.confirm(part, root, {path: stats.get(path, NEVER) for path in paths}, inputs)
        return inputs

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Deliver the bucket's images and place their annotations."""
        source = run.corpus.source(part.source)
        scan = run.sidecars.need(Part("scan", part.source))
        sliced = [file for file in scan.of("inventory") if file.bucket == part.bucket]
        with Reader(Path(source.root), column=source.card.images.column) as reader:
            files = ItemFiles(source, reader, real_paths(run, source))
            bucket = _Bucket(run, source, writer, files, beat)
            for item in read_table(run.out, sliced, INVENTORY).to_pylist():
                beat(item["item_key"])
                bucket.read(item)
            beat("")
            bucket.out.close()
        writer.write("files", pa.Table.from_pylist(files.rows(), schema=FILES))
        inputs = {"inventory": scan.digest("inventory", part.bucket), "files": digest_of_files(files.read)}
        run.freshness.record(part, source.root, files.stats, inputs)
        return inputs


@dataclass(slots=True)
class _Bucket:
    """The rows of one bucket while they come together."""

    run: Run
    source: ResolvedSource
    writer: PartWriter
    files: ItemFiles
    beat: Beat
    placer: Placer = field(init=False)
    out: Outgoing = field(init=False)
    _at: str = ""  # the key of the item that is being placed

    def __post_init__(self) -> None:
        labels = {labels.name: labels for labels in self.source.card.labels}
        space = lambda uid: self.run.key.token("frame_of_reference", self.source.id, uid)  # noqa: E731
        volumes = VolumeMasks(self._read_structures, space, lambda: self.beat(self._at))
        self.placer = Placer(labels, self._read_mask, volumes)
        self.out = Outgoing(self.writer)

    def read(self, item: dict[str, Any]) -> None:
        """One item: it becomes assets, or it is refused with everything said about it."""
        with contextlib.ExitStack() as trees:
            self._read(item, trees)

    def _read(self, item: dict[str, Any], trees: contextlib.ExitStack) -> None:
        """A volume's tree stays at hand until all that is drawn in it was placed and measured."""
        self.writer.saw(Unit.ITEM)
        raws = _LIST_OF_RAW.decode(item["annotations"])
        self.writer.saw(Unit.ANNOTATION, len(raws))
        made = self._made(item, trees)
        first = made if isinstance(made, Refusal) else next(made, Refusal(Reason.NO_PIXELS, "nothing was found in it"))
        if isinstance(made, Refusal) or isinstance(first, Refusal):
            assert isinstance(first, Refusal)
            self.writer.refuse(Unit.ITEM, item["item_key"], first)
            gone = Refusal(Reason.IMAGE_UNAVAILABLE, f"the image was refused: {first.reason}")
            for raw in raws:
                self.writer.refuse(Unit.ANNOTATION, item["item_key"], gone, file=raw.file, locator=raw.locator)
            return
        self.writer.used(Unit.ITEM)
        content = self.files.content(item)
        rows: list[dict[str, Any]] = []
        targets: list[tuple[dict[str, Any], Target]] = []
        for one in itertools.chain((first,), made):
            if isinstance(one, Refusal):
                raise TypeError("an item is refused before its first asset, or not at all")
            if isinstance(one, RefusedRegion):
                self.writer.saw(Unit.REGION)
                self.writer.refuse(Unit.REGION, item["item_key"], one.refusal, locator=one.locator)
                continue
            row = self._add(item, one, content)
            rows.append(row)
            if one.target is not None:
                targets.append((row, replace(one.target, asset_id=row["asset_id"], source=self.source.id)))
            elif len(rows) >= HELD_ROWS:  # the tiles of a slide: nothing is placed on them, so they need not wait
                waiting = {id(target) for target, _ in targets}
                self.out.assets(row for row in rows if id(row) not in waiting)
                rows = [target for target, _ in targets]
        several = any(isinstance(target, Raster) and row.get("frame") is not None for row, target in targets)
        flaws = self._place(item, raws, [target for _, target in targets], several)
        for (row, _), flawed in zip(targets, flaws, strict=True):
            row["labelled_by"] = [name for name in item["labelled_by"] if name not in flawed]
        self.out.assets(rows)

    def _made(
        self, item: dict[str, Any], trees: contextlib.ExitStack
    ) -> "Iterator[Made | RefusedRegion | Refusal] | Refusal":
        """What the item's medium makes of it; an error of reading or memory before the first asset refuses it."""
        poison = self.run.poisoned.get(item["item_key"])
        if poison is not None:
            return Refusal(poison, "reading the image ended the process")
        request = Request(
            files=tuple(self.files.file(*place) for place in files_of(item)),
            images=self.source.card.images,
            recipe=self.run.corpus.recipe,
            modality=item["modality"],
            token=lambda what, identifier: self.run.key.token(what, self.source.id, identifier),
            beat=lambda: self.beat(item["item_key"]),
            tree=lambda: contextlib.nullcontext(trees.enter_context(self.writer.tree("volumes", ".zarr"))),
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

    def _read_mask(self, mask: RawMask) -> npt.NDArray[Any] | Refusal:
        try:
            data = self.files.open(mask.path, mask.member, "mask")
        except OSError as problem:
            return refusal_of(problem)
        return masks.read_mask(data, images.Limits()) if data else Refusal(Reason.EMPTY_FILE, "0 bytes")

    def _read_structures(self, mask: RawMask) -> Structures | Refusal:
        """What a mask file of a volume holds."""
        try:
            if mask.segment is None and mask.roi is None:
                # Its digest is taken here, since its reader may not need all of its bytes.
                size = len(self.files.open(mask.path, mask.member, "mask"))
                one = self.files.file(mask.path, mask.member, size, "mask")
                file = VolumeFile(one.name, one.size, one.head, one.read, one.local)
                return read_label_map([file], lambda: self.beat(self._at))
            data = self.files.open(mask.path, mask.member, "mask")
        except OSError as problem:
            return refusal_of(problem)
        if not data:
            return Refusal(Reason.EMPTY_FILE, "0 bytes")
        return read_structure_set(data) if mask.roi is not None else read_segmentation(data, FRACTION)

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
        if one.tree is not None:
            row |= {"volume": one.tree.name, "image_sha256": one.tree.sha256}
        elif one.data is not None:
            unchanged = one.form in (Form.IMAGE, Form.VIDEO) and not one.columns["changes"]
            row["image_sha256"] = content if unchanged else sha256(one.data).hexdigest()
            self.out.picture(asset_id, one.data, one.columns["media_type"])
        return row

    def _place(
        self, item: dict[str, Any], raws: list[RawAnnotation], targets: list[Target], several: bool
    ) -> Iterator[set[str]]:
        """Place every statement on every target; yields, one by one, the label sets that lost something there.

        A set that lost an object no longer marks every object, and its silence about this image means nothing.
        `several`: the file has further frames, even where this one alone could be delivered.
        """
        self._at = item["item_key"]
        self.placer.begin_item()
        placeless = {raw.label_set for raw in raws if raw.kind not in GEOMETRIC}
        for number, target in enumerate(targets):
            rows: list[dict[str, Any]] = []
            flawed: set[str] = set()
            for raw, placed in zip(raws, self._placed(raws, target, several), strict=True):
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
            if isinstance(target, Space) and target.values is not None:
                add_means(rows, target.values, lambda: self.beat(self._at))
            flawed |= self.placer.lost
            if isinstance(target, Cut):
                flawed |= placeless  # what is said of a whole volume says nothing of one plane
            whole = set(item["labelled_by"]) - flawed
            self.out.annotations(
                [{**row, "exhaustive": row["exhaustive"] and row["label_set"] in whole} for row in rows]
            )
            yield flawed

    def _placed(self, raws: list[RawAnnotation], target: Target, several: bool) -> list[list[dict[str, Any]] | Refusal]:
        """What each statement yields on one target; statements of one set that refute each other yield nothing."""
        self.placer.begin()
        found: list[list[dict[str, Any]] | Refusal] = []
        for raw in raws:
            if raw.kind in GEOMETRIC and several:
                found.append(Refusal(Reason.AMBIGUOUS_IMAGE, "the label names no frame, and the file has several"))
            else:
                found.append(self.placer.place(raw, target))
        refuted = conflicts(
            (row for rows in found if not isinstance(rows, Refusal) for row in rows), self.placer.labels
        )
        return [
            refuted.get(rows[0]["annotation_id"], rows) if not isinstance(rows, Refusal) and rows else rows
            for rows in found
        ]


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
