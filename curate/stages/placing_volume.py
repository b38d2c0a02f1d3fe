"""Placing in volumes: masks, segments and contours onto the voxels of an image, and from there onto its slices.

Nothing is resampled: a mask's voxels are voxels of the image, whatever the order and direction of its axes, or the mask
is refused. What lies outside the image is refused too, unless it is background.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.contours import filled
from curate.geometry_3d import Alignment, Grid, Shape3, aligned, extent_mm, turned
from curate.images.dicom_seg import Segmentation, SegmentPlane
from curate.images.label_maps import LabelMap
from curate.images.rtstruct import StructureSet
from curate.layouts.base import RawMask
from curate.schema import Reason, Refusal
from curate.voxel_runs import VoxelRuns, label_runs, mask_runs

__all__ = [
    "Marked",
    "ReadStructures",
    "Structures",
    "VolumeMasks",
    "pieces_of_plane",
    "slice_geometry",
    "space_columns",
]

Array = npt.NDArray[Any]

Structures = LabelMap | Segmentation | StructureSet
"""What a mask file of a volume may be."""

Blocks = dict[int, list[tuple[Alignment, Array]] | Refusal]
"""Segment -> where each of its planes lies, cut to what is marked."""

ReadStructures = Callable[[RawMask], Structures | Refusal]


@dataclass(frozen=True, slots=True)
class Marked:
    """One object on the voxels of its image. `suffix` tells objects of one statement apart in their locators."""

    suffix: str
    runs: VoxelRuns = field(repr=False)
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class VolumeMasks:
    """The masks of one item, each read and placed once, however many of its slices they are cut to.

    `token` hides a frame of reference's UID, as the targets have it. `beat` is called before each step that decodes.
    """

    read: ReadStructures
    token: Callable[[str], str]
    beat: Callable[[], None]
    _file: tuple[tuple[str, str | None], Structures | Refusal] | None = None  # the last one: statements come by file
    _runs: tuple[object, Mapping[int, VoxelRuns] | Refusal] | None = None  # of the last label map, on the last grid
    _labelled: tuple[object, Blocks | Refusal] | None = None  # of the last label map object, on the last grid
    _placed: dict[object, list[Marked] | Refusal] = field(default_factory=dict)

    def begin(self) -> None:
        """Forget the last item."""
        self._file = self._runs = self._labelled = None
        self._placed.clear()

    def marked(self, mask: RawMask, grid: Grid | None, frame_of_reference: str | None) -> list[Marked] | Refusal:
        """The objects that a mask marks in an image of that grid and frame of reference (a token)."""
        if grid is None:
            return Refusal(Reason.NO_GEOMETRY, "the image states no geometry, so nothing can be placed in it")
        key = (mask, grid, frame_of_reference)
        if key not in self._placed:
            try:
                self._placed[key] = self._place(mask, grid, frame_of_reference)
            except OverflowError as problem:
                self._placed[key] = Refusal(Reason.TOO_LARGE, f"the mask is too ragged: {problem}")
        return self._placed[key]

    def _place(self, mask: RawMask, grid: Grid, frame_of_reference: str | None) -> list[Marked] | Refusal:
        found = self._structures(mask)
        if isinstance(found, Refusal):
            return found
        if isinstance(found, StructureSet):
            placed = self._contours(found, mask, grid, frame_of_reference)
        else:
            refusal = self._elsewhere(found.frame_of_reference, frame_of_reference)
            if refusal is not None:
                return refusal
            if isinstance(found, Segmentation):
                placed = self._segment(found, mask, grid)
            else:
                placed = self._labels(found, mask, grid)
        if isinstance(placed, Refusal) or placed or mask.may_be_empty or mask.value is not None:
            return placed
        return Refusal(Reason.EMPTY_MASK, "the mask sets no voxel")

    def _structures(self, mask: RawMask) -> Structures | Refusal:
        key = (mask.path, mask.member)
        if self._file is None or self._file[0] != key:
            self._file = self._runs = self._labelled = None  # before the next one is read: two may not fit into memory
            self.beat()
            self._file = (key, self.read(mask))
            self.beat()
        return self._file[1]

    def _elsewhere(self, uid: str | None, frame_of_reference: str | None) -> Refusal | None:
        """A refusal where both name their patient space and it is not the same one."""
        if uid is None or frame_of_reference is None or self.token(uid) == frame_of_reference:
            return None
        return Refusal(Reason.FRAME_OF_REFERENCE, "it is drawn in another frame of reference than its image has")

    def _contours(
        self, structures: StructureSet, mask: RawMask, grid: Grid, frame_of_reference: str | None
    ) -> list[Marked] | Refusal:
        if mask.roi is None:
            return Refusal(Reason.GEOMETRY_MISMATCH, "a structure set has no voxels; name it by layout rtstruct")
        contours = structures.contours(mask.roi)
        if isinstance(contours, Refusal):
            return contours
        refusal = self._elsewhere(contours.frame_of_reference, frame_of_reference)
        if refusal is not None or not contours.points_mm:
            return refusal if refusal is not None else []
        self.beat()
        drawn = filled(contours.points_mm, grid)
        if isinstance(drawn, Refusal):
            return drawn
        runs = mask_runs(drawn.mask, grid.shape, drawn.origin)
        flags = (*(("clipped",) if drawn.clipped else ()), *(("gaps",) if drawn.gaps else ()))
        return [] if runs is None else [Marked("", runs, flags)]

    def _segment(self, segmentation: Segmentation, mask: RawMask, grid: Grid) -> list[Marked] | Refusal:
        if mask.segment is None:
            return Refusal(Reason.GEOMETRY_MISMATCH, "a segmentation names its segments; read it by layout dicom_seg")
        if segmentation.is_label_map:
            key = (mask.path, mask.member, grid)
            if self._labelled is None or self._labelled[0] != key:
                self._labelled = (key, _blocks(segmentation.labelled_planes(self.beat), grid))
            blocks = self._labelled[1]
        else:
            number = mask.segment
            numbered = (
                plane if isinstance(plane, Refusal) else (number, plane)
                for plane in segmentation.planes(number, self.beat)
            )
            blocks = _blocks(numbered, grid)
        if isinstance(blocks, Refusal):
            return blocks
        own = blocks.get(mask.segment)
        if own is None:
            return []
        if isinstance(own, Refusal):
            return own
        block, origin = _stacked(own)
        self.beat()
        runs = mask_runs(block, grid.shape, origin)
        return [] if runs is None else [Marked("", runs)]

    def _labels(self, label_map: LabelMap, mask: RawMask, grid: Grid) -> list[Marked] | Refusal:
        if mask.segment is not None or mask.roi is not None:
            return Refusal(Reason.GEOMETRY_MISMATCH, "a label map has values, and neither segments nor regions")
        whole = mask.value is None and not mask.per_instance
        key = (mask.path, mask.member, grid, mask.background, whole)
        if self._runs is None or self._runs[0] != key:
            self._runs = None
            self._runs = (key, _runs_of(label_map, mask.background, grid, whole=whole))
        runs = self._runs[1]
        if isinstance(runs, Refusal):
            return runs
        if mask.per_instance:
            return [Marked(f" value {value}", one) for value, one in runs.items()]
        one = runs.get(1 if mask.value is None else mask.value)
        return [] if one is None else [Marked("", one)]


def space_columns(runs: VoxelRuns, grid: Grid) -> dict[str, Any]:
    """The columns of `annotations` that measure a mask in its volume."""
    rle, box = runs.rle(), runs.box
    return {
        "frame": "volume",
        "mask": {"height": rle.height, "width": rle.width, "depth": rle.depth, "counts": rle.counts},
        "box": list(box),
        "volume_mm3": runs.voxels * grid.voxel_mm3,
        "extent_mm": list(extent_mm(box, grid)),
        "pieces": runs.pieces,
    }


def pieces_of_plane(pixels: Array) -> int:
    """How many parts of a mask touch each other nowhere on one plane, not even at a corner."""
    runs = mask_runs(pixels[None], (1, *pixels.shape))
    return 0 if runs is None else runs.pieces


def slice_geometry(grid: Grid, axis: int) -> tuple[tuple[int, int], tuple[float, float], float]:
    """Of a plane across an array axis: its height and width, its steps along column and row axis, and the area in mm2
    of one pixel, which is less than their product where the grid is sheared.
    """
    row_axis, column_axis = (other for other in range(3) if other != axis)
    steps = grid.matrix[:3, :3]
    down, right = steps[:, 2 - row_axis], steps[:, 2 - column_axis]
    lengths = (float(np.linalg.norm(down)), float(np.linalg.norm(right)))
    return (grid.shape[row_axis], grid.shape[column_axis]), lengths, float(np.linalg.norm(np.cross(right, down)))


_ANOTHER_GRID = "voxels of the mask are not voxels of the image: another origin, spacing, direction or shear"
_OUTSIDE = "the mask marks voxels outside the image"


def _runs_of(label_map: LabelMap, background: int, grid: Grid, *, whole: bool) -> Mapping[int, VoxelRuns] | Refusal:
    """The runs of each value on the image's voxels; of all that is not background, as value 1, where it is one mask."""
    lies = aligned(label_map.grid, grid)
    if lies is None:
        return Refusal(Reason.GEOMETRY_MISMATCH, _ANOTHER_GRID)
    values = turned(label_map.values, lies.how)
    if whole:
        values, background = values != background, 0
    inside, origin = _within(values.shape, lies.origin, grid.shape)
    part = values[inside]
    outside = part.size < values.size and np.count_nonzero(values != background) > np.count_nonzero(part != background)
    if outside:
        return Refusal(Reason.GEOMETRY_MISMATCH, _OUTSIDE)
    return label_runs(part, background, grid.shape, origin)


def _within(shape: tuple[int, ...], origin: Shape3, whole: Shape3) -> tuple[tuple[slice, ...], Shape3]:
    """The part of an array at `origin` that lies within `whole`, and where that part begins there."""
    inside = tuple(
        slice(min(max(-start, 0), size), max(min(limit - start, size), 0))
        for start, size, limit in zip(origin, shape, whole, strict=True)
    )
    z, y, x = (max(start, 0) for start in origin)
    return inside, (z, y, x)


def _blocks(planes: Iterable[tuple[int, SegmentPlane] | Refusal], grid: Grid) -> Blocks | Refusal:
    """The blocks of each segment on the image's voxels; why not, of a segment that has pixels elsewhere."""
    found: Blocks = {}
    for one in planes:
        if isinstance(one, Refusal):
            return one
        number, plane = one
        before = found.setdefault(number, [])
        if not isinstance(before, Refusal):
            lies = _lies(plane, grid)
            if isinstance(lies, Refusal):
                found[number] = lies
            else:
                before.append(lies)
    return found


def _lies(plane: SegmentPlane, grid: Grid) -> tuple[Alignment, Array] | Refusal:
    """Where a plane lies, cut to what it marks, which must lie within the image."""
    rows, columns = (np.flatnonzero(plane.mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    lies = aligned(plane.grid, grid)
    if lies is None:
        return Refusal(Reason.GEOMETRY_MISMATCH, _ANOTHER_GRID)
    marked = plane.mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    block = turned(marked[None].copy(), lies.how)  # a view would hold the whole plane
    z, y, x = lies.origin
    bottom_gap, right_gap = plane.mask.shape[0] - 1 - int(rows[-1]), plane.mask.shape[1] - 1 - int(columns[-1])
    before, after = (0, top, left), (0, bottom_gap, right_gap)  # what was cut off along slice, row and column
    shift = [after[old] if flip else before[old] for old, flip in zip(lies.how.order, lies.how.flips, strict=True)]
    origin = (z + shift[0], y + shift[1], x + shift[2])
    if any(
        start < 0 or start + size > limit for start, size, limit in zip(origin, block.shape, grid.shape, strict=True)
    ):
        return Refusal(Reason.GEOMETRY_MISMATCH, _OUTSIDE)
    return Alignment(lies.how, origin), block


def _stacked(planes: list[tuple[Alignment, Array]]) -> tuple[Array, Shape3]:
    """Blocks of voxels put together in the smallest block that holds them all, and where that begins."""
    starts = np.array([lies.origin for lies, _ in planes])
    stops = starts + np.array([block.shape for _, block in planes])
    low, high = starts.min(axis=0), stops.max(axis=0)
    whole = np.zeros(tuple((high - low).tolist()), dtype=bool)
    for (_, block), start, stop in zip(planes, starts - low, stops - low, strict=True):
        whole[tuple(slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))] |= block
    z, y, x = low.tolist()
    return whole, (z, y, x)
