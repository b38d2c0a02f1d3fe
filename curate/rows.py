"""Rows of the tables in `schema` as frozen values, for code that reasons about one asset at a time."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from curate.schema import Annotator, Form, Kind, Laterality, Origin, State, World

__all__ = [
    "Annotation",
    "Asset",
    "Brief",
    "Draft",
    "Message",
    "Rle",
    "Subject",
    "Window",
    "Witness",
    "rows_of",
    "subjects",
    "to_table",
]

T = TypeVar("T", bound=msgspec.Struct)


class Rle(msgspec.Struct, frozen=True):
    """Run lengths in column-major order, zeros first (COCO's uncompressed RLE); slice after slice in a volume."""

    height: int
    width: int
    counts: list[int]
    depth: int | None = None


class Window(msgspec.Struct, frozen=True):
    """What maps modality values to grey, see `schema.WINDOW`."""

    center: float | None
    width: float | None
    function: str
    name: str


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `assets`."""

    asset_id: str
    form: Form = Form.IMAGE
    derived_from: str | None = None
    rendering_of: str | None = None
    source: str
    item_key: str
    frame: int | None = None
    content_sha256: str
    image_sha256: str
    voxels_sha256: str | None = None
    volume: str | None = None
    subject: str | None = None
    study: str | None = None
    series: str | None = None
    source_split: str | None = None
    day_offset: int | None = None
    modality: str | None = None
    anatomy: str | None = None
    view: str | None = None
    laterality: Laterality | None = None
    media_type: str
    width: int
    height: int
    depth: int | None = None
    timepoints: int | None = None
    channels: int
    bit_depth: int
    dtype: str | None = None
    exif_orientation: int | None = None
    spacing_mm: list[float] | None = None
    affine_lps: list[float] | None = None
    orientation: str | None = None
    frame_of_reference: str | None = None
    plane: str | None = None
    position: int | None = None
    region: list[int] | None = None
    mpp: list[float] | None = None
    time_s: float | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    window: Window | None = None
    photometric: str | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_unit: str | None = None
    changes: list[str] = []
    phash: int | None = None
    row_licence: str | None = None
    labelled_by: list[str] = []


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `annotations`."""

    annotation_id: str
    asset_id: str
    source: str
    label_set: str
    world: World
    exhaustive: bool
    kind: Kind
    label: str | None = None
    concept: str | None = None
    code: str | None = None
    code_system: str | None = None
    state: State | None = None
    side: str | None = None
    value: float | None = None
    unit: str | None = None
    question: str | None = None
    text: str | None = None
    language: str | None = None
    frame: str | None = None
    box: list[float] | None = None
    point: list[float] | None = None
    polygons: list[list[float]] | None = None
    mask: Rle | None = None
    area_px: float | None = None
    area_mm2: float | None = None
    volume_mm3: float | None = None
    extent_mm: list[float] | None = None
    pieces: int | None = None
    mean_hu: float | None = None
    flags: list[str] = []
    qualifiers: dict[str, str] = {}
    annotator: Annotator
    source_split: str | None = None
    file: str
    locator: str


class Message(msgspec.Struct, frozen=True):
    """One turn. The content of the first user turn begins with one `<image>` line per image."""

    role: str
    content: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `drafts`."""

    draft_id: str
    source: str
    asset_ids: list[str]
    annotation_ids: list[str]
    task: str
    variant: int
    wording: str
    language: str
    origin: Origin
    messages: list[Message]
    request_id: str | None = None
    constraints: str
    brief: str | None = None


class Brief(msgspec.Struct, frozen=True):
    """What a rewriter is told of a draft: its plainest wording with `{slots}`, and what stands in them.

    `fixed` names the slots that code fills in any mode, such as boxes: no model ever writes a coordinate.
    """

    question: str
    answer: str
    slots: dict[str, str] = {}
    fixed: tuple[str, ...] = ()
    zh: dict[str, str] = {}  # of the fixed slots, those whose words are other ones in Chinese


class Witness(msgspec.Struct, frozen=True):
    """One draft with its assets and all their annotations: what an answer is judged by. Masks and polygons left out."""

    draft: Draft
    assets: tuple[Asset, ...]
    annotations: tuple[Annotation, ...]


class Subject(msgspec.Struct, frozen=True):
    """One asset and all that its source says of it."""

    asset: Asset
    annotations: tuple[Annotation, ...]


def rows_of(table: pa.Table, model: type[T]) -> list[T]:
    """The rows of a table as frozen values of its model.

    Raises:
        msgspec.ValidationError: a value outside the model, such as a word that its closed enum does not hold.
    """
    maps = {field.name for field in table.schema if pa.types.is_map(field.type)}
    rows: list[dict[str, Any]] = table.to_pylist()
    for row, name in itertools.product(rows, sorted(maps)):
        row[name] = dict(row[name])
    return msgspec.convert(rows, list[model])  # type: ignore[valid-type]


def to_table(rows: Iterable[msgspec.Struct], schema: pa.Schema) -> pa.Table:
    """Frozen values as a table of `schema`; closed enums were checked when the values were made."""
    plain: list[dict[str, Any]] = msgspec.to_builtins(list(rows))
    for field in schema:
        if pa.types.is_map(field.type):
            for row in plain:
                row[field.name] = sorted(row[field.name].items())
    return pa.Table.from_pylist(plain, schema=schema)


def subjects(assets: pa.Table, annotations: pa.Table) -> Iterator[Subject]:
    """Each asset with its annotations, in the order of the assets; annotations keep theirs."""
    by_asset: dict[str, list[Annotation]] = {}
    for annotation in rows_of(annotations, Annotation):
        by_asset.setdefault(annotation.asset_id, []).append(annotation)
    for asset in rows_of(assets, Asset):
        yield Subject(asset, tuple(by_asset.get(asset.asset_id, ())))
