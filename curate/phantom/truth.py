"""What is true of phantoms: the geometry they were drawn from, and how many of everything there are.

Coordinates are canonical: float xyxy edges on the stored raster, 0-based, so that pixel i covers [i, i+1); a point
names the centre of its pixel, i + 0.5. In a volume they are x, y, z (boxes x0, y0, z0, x1, y1, z1) along column, row
and slice of the array nearest to LPS. All of it is exact, because it is taken from the very masks that were drawn.
"""

import msgspec

from curate.rows import Rle
from curate.schema import Kind, Reason, State

__all__ = ["DatasetTruth", "ImageTruth", "ObjectTruth", "QuestionTruth", "Truth"]


class ObjectTruth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object that can be seen. What its dataset does not say of it is null here."""

    kind: Kind  # as the dataset states it: box, polygon, mask or point
    label: str  # as the dataset writes it
    concept: str  # as the card names it
    box: tuple[float, ...]  # of the visible part, also where the dataset states only a point
    point: tuple[float, ...]
    area_px: int | None = None  # of a raster
    voxels: int | None = None  # of a volume
    volume_mm3: float | None = None
    truncated: bool = False  # cut by the border of the image
    polygon: tuple[float, ...] | None = None  # x, y, x, y, ... along the edges of the pixels
    mask: Rle | None = None


class QuestionTruth(msgspec.Struct, frozen=True):
    """One question and its answer."""

    question: str
    answer: str
    answer_type: str  # CLOSED | OPEN


class ImageTruth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image, and all that its dataset says of it."""

    path: str  # below the dataset's folder
    member: str | None = None  # within an archive
    row: int | None = None  # within a Parquet file, 0-based
    width: int
    height: int
    depth: int | None = None  # slices of a volume, pictures of a clip
    bit_depth: int = 8
    spacing_mm: tuple[float, float, float] | None = None  # slice, row, column of a volume nearest to LPS
    affine_lps: tuple[float, ...] | None = None  # of that array, 16 numbers row by row
    orientation: str | None = None  # of the array in its file: the sides towards which column, row and slice grow
    mpp: tuple[float, float] | None = None  # micrometres between two columns and two rows of a slide
    tissue_share: float | None = None  # of a slide's area
    times_s: tuple[float, ...] | None = None  # when each picture of a clip is shown
    centres: tuple[tuple[float, float], ...] | None = None  # of the disc in each picture of a clip
    subject: str | None = None
    split: str | None = None
    day_offset: int | None = None
    view: str | None = None
    label: str | None = None  # the class, where the image has one
    objects: tuple[ObjectTruth, ...] = ()
    counts: dict[str, int] = {}  # concept -> how many; zeros too
    states: dict[str, State] = {}  # finding -> what the dataset states
    attributes: dict[str, str] = {}
    measurements: dict[str, float] = {}  # as written, with the digits that were written
    questions: tuple[QuestionTruth, ...] = ()


class DatasetTruth(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset with its totals."""

    id: str
    images: int
    named: int  # images that are present or only named
    rows: int  # of tables, and question-answer records
    objects: int  # what the dataset marks in its images: a label map of three organs holds three
    files: int  # on disk; an archive is one
    expected_rejects: dict[Reason, int]  # causes, as the card states them
    expected_filtered: dict[Reason, int]
    items: tuple[ImageTruth, ...]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """All that `write_phantoms` wrote, as it stands in `truth.json`."""

    seed: str
    images: int
    rows: int
    objects: int
    datasets: dict[str, DatasetTruth]
