"""Placing: what a source says, in its own words and coordinates, onto the raster of one asset, or into its volume."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate import geometry, run_lengths
from curate.card import LabelSet
from curate.geometry_3d import Grid
from curate.layouts.base import RawAnnotation, RawMask
from curate.rows import Rle
from curate.schema import Kind, Reason, Refusal, Verdict, identity
from curate.stages.placing_volume import VolumeMasks, pieces_of_plane, slice_geometry, space_columns
from curate.stages.voxel_values import Hounsfield

__all__ = ["GEOMETRIC", "Cut", "Placer", "Raster", "Space", "Target"]

GEOMETRIC: Final = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
"""What says where something is, so that a plane of a volume can be asked for it."""

_PLACED: Final = (
    "box", "point", "polygons", "mask", "area_px", "area_mm2", "volume_mm3", "extent_mm", "pieces",
)  # fmt: skip
"""Columns of `annotations` that what was placed fills."""

ReadMask = Callable[[RawMask], npt.NDArray[Any] | Refusal]

LONG_LIST: Final = 64
"""Numbers up to which a list is compared by itself; a longer one by its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A picture that annotations are placed on: first on the raster as it came, then they follow its shrinking."""

    width: int
    height: int
    labelled_orientation: int | None = None  # EXIF orientation that the labels were drawn after; null: as stored
    delivered: tuple[int, int] | None = None  # width, height after shrinking; null: delivered as it came
    spacing_mm: tuple[float, float] | None = None  # row, column, of the raster as it came
    asset_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A volume that annotations are placed on. `values`: its voxels, where they are proved to be Hounsfield units.

    A video, too, is a target without a raster: then `grid` is null, and only statements without geometry can be placed.
    """

    grid: Grid | None
    frame_of_reference: str | None = None  # a token
    values: Hounsfield | None = None
    asset_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One plane of a volume, that what was marked in the volume is cut to: `axis` 0, 1, 2 is slice, row, column.

    The raster has the two other axes in the order of the array: an axial slice is row by column. Across the two other
    axes the slices of the volume are its rows, and the last one, which lies highest in the patient, is the first row.
    """

    space: Space
    axis: int
    index: int
    delivered: tuple[int, int] | None = None  # width, height after shrinking
    asset_id: str = ""
    source: str = ""


Target = Raster | Space | Cut


@dataclass(slots=True)
class Placer:
    """Places the annotations of one asset after another and remembers what each has already said."""

    labels: Mapping[str, LabelSet]
    read_mask: ReadMask
    volumes: VolumeMasks | None = None  # null: nothing can be placed in a volume
    lost: set[str] = field(default_factory=set)  # label sets of which an object vanished in this asset, see `place`
    _said: dict[tuple[object, ...], str] = field(default_factory=dict)
    _maps: dict[tuple[str, str | None], npt.NDArray[Any] | Refusal] = field(default_factory=dict)

    def begin_item(self) -> None:
        """Forget the last item; its assets share the masks that are placed in a volume."""
        if self.volumes is not None:
            self.volumes.begin()

    def begin(self) -> None:
        """Forget the last asset."""
        self.lost.clear()
        self._said.clear()
        self._maps.clear()

    def place(self, raw: RawAnnotation, target: Target) -> list[dict[str, Any]] | Refusal:
        """The rows of `annotations` that one statement yields on a target, or why it yields none.

        A label map whose values are instances yields one row each; a named value that a map does not hold yields no
        row and no refusal: that its label set has looked at the image stands in `labelled_by`. Nor does a mask that
        does not reach a plane of its volume; what has no place in the volume says nothing of one plane. Objects that
        vanish when the image is shrunk, or that lie on both sides of a plane without a contour, are `lost`.
        """
        geometries: list[tuple[str, dict[str, Any]]] | Refusal
        raster: Raster | None = None
        if isinstance(target, Raster):
            geometries, raster = self._geometries(raw, target), target
        elif raw.kind in GEOMETRIC:
            geometries, raster = self._in_volume(raw, target), _raster_of(target)
        else:
            geometries = [] if isinstance(target, Cut) else [("", {})]
        return geometries if isinstance(geometries, Refusal) else self._rows(raw, target, geometries, raster)

    def _rows(
        self, raw: RawAnnotation, target: Target, geometries: list[tuple[str, dict[str, Any]]], raster: Raster | None
    ) -> list[dict[str, Any]] | Refusal:
        """The rows of one statement; `raster` is the picture that they follow when it is shrunk."""
        rows = []
        for suffix, placed in geometries:
            row = self._row(raw, target, raw.locator + suffix, placed)
            content = _content(row)
            if content in self._said:
                if len(geometries) == 1:
                    return Refusal(Reason.REPEATED, f"says what {self._said[content]} says", Verdict.FILTERED)
                continue
            self._said[content] = row["locator"]
            if raster is not None and raster.delivered is not None:
                shrunk = _shrunk(row, raster, raster.delivered)
                if shrunk is None:
                    self.lost.add(raw.label_set)
                    continue
                row = shrunk
            rows.append(row)
        if geometries and not rows and raw.label_set in self.lost:
            return Refusal(Reason.EMPTY_MASK, "the mask vanishes when the image is shrunk")
        return rows

    def _in_volume(self, raw: RawAnnotation, target: "Space | Cut") -> list[tuple[str, dict[str, Any]]] | Refusal:
        """(locator suffix, geometry columns) of each object that a statement marks in a volume, or on a plane of it."""
        space = target.space if isinstance(target, Cut) else target
        if raw.mask is None:
            return Refusal(Reason.AMBIGUOUS_IMAGE, "coordinates of a picture name no slice of the volume")
        if self.volumes is None:
            return Refusal(Reason.GEOMETRY_MISMATCH, "masks of volumes are not read here")
        marked = self.volumes.marked(raw.mask, space.grid, space.frame_of_reference)
        if isinstance(marked, Refusal):
            return marked
        assert space.grid is not None
        found = []
        for one in marked:
            if isinstance(target, Cut):
                pixels = one.runs.plane(target.axis, target.index)
                if not pixels.any():
                    if "gaps" in one.flags and one.runs.spans(target.axis, target.index):
                        self.lost.add(raw.label_set)  # it is there as likely as not: no contour was drawn on this plane
                    continue
                seen = pixels if target.axis == 0 else pixels[::-1]
                _, steps, pixel_mm2 = slice_geometry(space.grid, target.axis)
                columns = _measured(_mask_columns(run_lengths.encode_mask(seen)), steps, pixel_mm2)
                columns["pieces"] = pieces_of_plane(seen)
            else:
                columns = space_columns(one.runs, space.grid)
            found.append((one.suffix, columns | {"flags": list(one.flags)}))
        return found

    def _geometries(self, raw: RawAnnotation, raster: Raster) -> list[tuple[str, dict[str, Any]]] | Refusal:
        """(locator suffix, geometry columns) of each object, in millimetres too where the raster's spacing is known."""
        found = self._on_raster(raw, raster)
        if isinstance(found, Refusal) or raster.spacing_mm is None:
            return found
        pixel_mm2 = raster.spacing_mm[0] * raster.spacing_mm[1]
        return [(suffix, _measured(placed, raster.spacing_mm, pixel_mm2)) for suffix, placed in found]

    def _on_raster(self, raw: RawAnnotation, raster: Raster) -> list[tuple[str, dict[str, Any]]] | Refusal:
        width, height = geometry.displayed_size(raster.labelled_orientation or 1, raster.width, raster.height)
        if raw.size is not None and raw.size != (width, height):
            return Refusal(
                Reason.SIZE_MISMATCH,
                f"the label file states {raw.size[0]} x {raw.size[1]}, the image has {width} x {height}",
            )
        if raw.mask is not None:
            return self._from_mask_file(raw, raw.mask, raster, (height, width))
        if raw.rle is not None:
            return _single(_stored(geometry.place_mask(raw.rle, raw.size or (width, height), width, height), raster))
        if raw.polygons:
            convention = raw.convention or geometry.Convention.CONTINUOUS
            return _single(_stored(geometry.place_polygons(raw.polygons, convention, width, height), raster))
        if raw.kind is Kind.BOX:
            if raw.convention is None:
                return Refusal(Reason.INVALID_GEOMETRY, "a box without coordinates")
            return _single(_stored(geometry.place_box(raw.coords, raw.convention, width, height), raster))
        if raw.kind is Kind.POINT:
            if raw.convention is None:
                return Refusal(Reason.INVALID_GEOMETRY, "a point without coordinates")
            return _single(_stored(geometry.place_point(raw.coords, raw.convention, width, height), raster))
        return [("", {})]

    def _from_mask_file(
        self, raw: RawAnnotation, mask: RawMask, raster: Raster, shape: tuple[int, int]
    ) -> list[tuple[str, dict[str, Any]]] | Refusal:
        if mask.segment is not None or mask.roi is not None:
            return Refusal(
                Reason.NO_GEOMETRY, "it is drawn in the patient, and the image is a picture; make it a volume by `form`"
            )
        key = (mask.path, mask.member)
        if key not in self._maps:
            self._maps[key] = self.read_mask(mask)
        label_map = self._maps[key]
        if isinstance(label_map, Refusal):
            return label_map
        if label_map.shape != shape:
            found = (
                f"the mask has {label_map.shape[1]} x {label_map.shape[0]} pixels, the image {shape[1]} x {shape[0]}"
            )
            return Refusal(Reason.SIZE_MISMATCH, found)
        label_map = geometry.exif_mask_to_stored(label_map, raster.labelled_orientation or 1)
        if mask.per_instance:
            objects = run_lengths.mask_objects(label_map, mask.background)
            return [(f" value {value}", _mask_columns(rle)) for value, rle in objects]
        chosen = label_map != mask.background if mask.value is None else label_map == mask.value
        if not np.any(chosen):
            nothing = mask.value is not None or mask.may_be_empty
            return [] if nothing else Refusal(Reason.EMPTY_MASK, "the mask sets no pixel")
        return [("", _mask_columns(run_lengths.encode_mask(chosen)))]

    def _row(self, raw: RawAnnotation, target: Target, locator: str, placed: dict[str, Any]) -> dict[str, Any]:
        labels = self.labels[raw.label_set]
        flags = sorted({*raw.flags, *placed.get("flags", ())})
        return {
            "annotation_id": identity(target.asset_id, raw.label_set, raw.kind, raw.file, locator, raw.concept),
            "asset_id": target.asset_id,
            "source": target.source,
            "label_set": raw.label_set,
            "world": str(labels.world),
            "exhaustive": labels.exhaustive,
            "kind": str(raw.kind),
            "label": raw.label,
            "concept": raw.concept,
            "code": raw.code,
            "code_system": raw.code_system,
            "state": None if raw.state is None else str(raw.state),
            "side": raw.side,
            "value": raw.value,
            "unit": raw.unit,
            "question": raw.question,
            "text": raw.text,
            "language": raw.language or (labels.language if raw.text is not None else None),
            "frame": placed.get("frame", "raster") if placed else None,
            **{name: placed.get(name) for name in _PLACED},
            "flags": flags,
            "qualifiers": sorted(raw.qualifiers.items()),
            "annotator": str(raw.annotator or labels.annotator),
            "source_split": raw.source_split,
            "file": raw.file,
            "locator": locator,
        }


_Placed = geometry.PlacedBox | geometry.PlacedPoint | geometry.PlacedPolygons | geometry.PlacedMask


def _stored(placed: _Placed | Refusal, raster: Raster) -> _Placed | Refusal:
    """What was placed on the picture that the annotator saw, on the raster as it is stored."""
    turn = raster.labelled_orientation
    if turn in (None, 1) or isinstance(placed, Refusal):
        return placed
    width, height = raster.width, raster.height
    match placed:
        case geometry.PlacedBox(box, clipped):
            return geometry.PlacedBox(geometry.exif_box_to_stored(box, turn, width, height), clipped)
        case geometry.PlacedPoint(point, clipped):
            x, y = geometry.exif_to_stored(point, turn, width, height)
            return geometry.PlacedPoint((x, y), clipped)
        case geometry.PlacedPolygons(polygons, box, area_px, clipped):
            rings = tuple(geometry.exif_to_stored(ring, turn, width, height) for ring in polygons)
            return geometry.PlacedPolygons(
                rings, geometry.exif_box_to_stored(box, turn, width, height), area_px, clipped
            )
        case geometry.PlacedMask(mask, box, area_px):
            turned = run_lengths.encode_mask(geometry.exif_mask_to_stored(run_lengths.decode_mask(mask), turn))
            return geometry.PlacedMask(turned, geometry.exif_box_to_stored(box, turn, width, height), area_px)


def _single(placed: _Placed | Refusal) -> list[tuple[str, dict[str, Any]]] | Refusal:
    return placed if isinstance(placed, Refusal) else [("", _columns(placed))]


def _columns(placed: _Placed) -> dict[str, Any]:
    match placed:
        case geometry.PlacedBox(box, clipped):
            area = (box[2] - box[0]) * (box[3] - box[1])
            return {"box": list(box), "area_px": area, "flags": ["clipped"] if clipped else []}
        case geometry.PlacedPoint(point, clipped):
            return {"point": list(point), "flags": ["clipped"] if clipped else []}
        case geometry.PlacedPolygons(polygons, box, area_px, clipped):
            rings = [list(ring) for ring in polygons]
            return {"polygons": rings, "box": list(box), "area_px": area_px, "flags": ["clipped"] if clipped else []}
        case geometry.PlacedMask(mask, box, area_px):
            rle = {"height": mask.height, "width": mask.width, "counts": mask.counts}
            return {"mask": rle, "box": list(box), "area_px": area_px}


def _mask_columns(rle: Rle) -> dict[str, Any]:
    box = run_lengths.mask_box(rle)
    if box is None:
        raise ValueError("a mask without pixels has no box")
    return _columns(geometry.PlacedMask(rle, box, float(run_lengths.mask_area(rle))))


def _measured(placed: dict[str, Any], spacing_mm: tuple[float, float], pixel_mm2: float) -> dict[str, Any]:
    """Geometry columns with what they measure: `spacing_mm` is that of rows and columns, of the raster as it came.

    What is measured stays when the picture is shrunk: the source drew it at that size.
    """
    measures: dict[str, Any] = {}
    if placed.get("area_px") is not None:
        measures["area_mm2"] = placed["area_px"] * pixel_mm2
    if placed.get("box") is not None:
        x0, y0, x1, y1 = placed["box"]
        measures["extent_mm"] = [(x1 - x0) * spacing_mm[1], (y1 - y0) * spacing_mm[0]]
    return placed | measures


def _raster_of(target: "Space | Cut") -> Raster | None:
    """The picture that a plane of a volume is."""
    if isinstance(target, Space) or target.space.grid is None:
        return None
    (height, width), steps, _ = slice_geometry(target.space.grid, target.axis)
    return Raster(width=width, height=height, delivered=target.delivered, spacing_mm=steps)


def _shrunk(row: dict[str, Any], raster: Raster, size: tuple[int, int]) -> dict[str, Any] | None:
    """A row whose geometry follows its image to another size; null where a mask keeps no pixel.

    Coordinates scale exactly. A mask takes, for each new pixel, the value of the old one under its centre.
    """
    if row["frame"] is None:
        return row
    if row["mask"] is not None:
        rle = Rle(row["mask"]["height"], row["mask"]["width"], row["mask"]["counts"])
        sampled = run_lengths.encode_mask(_sampled(run_lengths.decode_mask(rle), *size))
        if run_lengths.mask_box(sampled) is None:
            return None
        return row | _mask_columns(sampled) | {"flags": sorted({*row["flags"], "resampled"})}

    def scaled(xy: list[float] | None) -> list[float] | None:
        # The product first: an edge of the old raster falls on the edge of the new one, to the last bit.
        return (
            None
            if xy is None
            else [
                number * size[axis % 2] / (raster.height if axis % 2 else raster.width)
                for axis, number in enumerate(xy)
            ]
        )

    area = row["area_px"]
    return row | {
        "box": scaled(row["box"]),
        "point": scaled(row["point"]),
        "polygons": None if row["polygons"] is None else [scaled(ring) for ring in row["polygons"]],
        "area_px": None if area is None else area * (size[0] * size[1]) / (raster.width * raster.height),
    }


def _sampled(mask: npt.NDArray[np.bool_], width: int, height: int) -> npt.NDArray[np.bool_]:
    """The mask at another size by nearest neighbour: the pixel that holds each new centre, in whole numbers."""
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    return mask[np.ix_(rows, columns)]


def _content(row: dict[str, Any]) -> tuple[object, ...]:
    """What a statement says, apart from where it stands: two rows of equal content repeat each other."""
    words = tuple(
        None if row[name] is None else " ".join(row[name].casefold().split()) for name in ("question", "text")
    )
    plain = tuple(row[name] for name in ("label_set", "kind", "label", "concept", "state", "side", "value", "unit"))
    shape = tuple(_frozen(row[name]) for name in ("box", "point", "polygons", "mask"))
    named = tuple(row["qualifiers"]) if row["kind"] in (Kind.MEASUREMENT, Kind.ATTRIBUTE) else ()
    return (*plain, *words, *shape, *named)


def _frozen(value: Any) -> object:
    if isinstance(value, dict):
        return tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list):
        if len(value) > LONG_LIST and isinstance(value[0], int):
            return hashlib.sha256(np.asarray(value, dtype=np.int64).tobytes()).digest()
        return tuple(_frozen(item) for item in value)
    return value
