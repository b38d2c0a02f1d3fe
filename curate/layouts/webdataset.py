"""WebDataset: tars whose members are samples, those that share a name up to its first dot (webdataset.github.io).

`shard.tar/0001.jpg`, `shard.tar/0001.txt` and `shard.tar/0001.json` are one sample. `columns` says what a member means
by its extension, as `cells` describes: `txt` is the text of that member, `json.finding` a key of that JSON mapping. A
folder of plain files that keeps the convention reads the same. Names in `__` are the format's own and skipped.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, cast

from msgspec import field
from msgspec.structs import replace

from curate.layouts.base import Context, ImageRef, LayoutOptions, Record, Refused
from curate.layouts.cells import (
    ColumnSpec,
    FieldName,
    FieldSpec,
    FromColumn,
    annotate,
    columns_of,
    field_columns,
    missing_cells,
    read_fields,
    stated_cells,
)
from curate.layouts.objects import read_bytes
from curate.layouts.records import read_rows
from curate.layouts.row import Broken, Row
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit

__all__ = ["WebDataset", "WebDatasetOptions", "sample_of"]

SAMPLE: Final = "sample"

_COLUMN: Final = re.compile(r"(?P<extension>(?:[^.]+\.)*?json)\.(?P<key>.+)", re.DOTALL)
_BOM: Final = b"\xef\xbb\xbf"


class WebDatasetOptions(LayoutOptions, frozen=True):
    """What the members of a sample say. A sample without a member of `columns` is refused, unless it is `optional`."""

    columns: dict[str, ColumnSpec] = field(default_factory=dict)
    fields: dict[FieldName, FieldSpec] = field(default_factory=dict)
    missing: str | list[str] = ""
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns and not self.fields:
            raise ValueError("say in `columns` what a member means, such as {txt: {kind: caption}}")
        strangers = sorted({*self.optional} - {*self.extensions})
        if strangers:
            raise ValueError(f"optional names {strangers}, of which neither `columns` nor `fields` speaks")
        for column, spec in self.columns.items():
            beside = sorted({_split(one)[0] for one in columns_of({column: spec})} - {_split(column)[0]})
            if beside:
                raise ValueError(f"column {column} takes a unit or qualifier from another member ({beside[0]})")

    @property
    def extensions(self) -> list[str]:
        """Of the members that are read, sorted."""
        return sorted({_split(column)[0] for column in (*columns_of(self.columns), *field_columns(self.fields))})


@dataclass(frozen=True, slots=True)
class _Sample:
    """Where a sample lies, as the virtual path up to the first dot, and the images among its members."""

    stem: str
    images: tuple[Entry, ...]
    members: Mapping[str, Entry]  # by extension, those that are read


class WebDataset:
    """One sample speaks of its one image, member by member."""

    name: ClassVar[str] = "webdataset"
    version: ClassVar[int] = 1
    Options: ClassVar[type[LayoutOptions]] = WebDatasetOptions

    def label_files(self, context: Context) -> list[Entry]:
        """The members that `files` names and that `columns` or `fields` read."""
        wanted = {*cast(WebDatasetOptions, context.options).extensions}
        images = {image.key for image in context.images}
        found = []
        for entry in context.tree.match(context.labels.files):
            sample = sample_of(entry)
            if sample is not None and sample[1] in wanted and entry.key not in images:
                found.append(entry)
        return found

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """Each member that is read as one row, sorted; a member that a sample lacks is a row that is refused."""
        options = cast(WebDatasetOptions, context.options)
        for sample in self._samples(context):
            for extension in options.extensions:
                entry = sample.members.get(extension)
                if entry is not None:
                    yield _record(context, options, sample, extension, entry)
                elif sample.images and extension not in options.optional:
                    refusal = Refusal(Reason.MISSING_FILE, f"the sample has no member .{extension}")
                    image = ImageRef(sample.images[0].name) if len(sample.images) == 1 else None
                    yield Refused(Unit.ROW, sample.images[0].key, f"{SAMPLE}, .{extension}", refusal, image)

    def _samples(self, context: Context) -> list[_Sample]:
        images: dict[str, list[Entry]] = {}
        members: dict[str, dict[str, Entry]] = {}
        for entry in context.images:
            found = sample_of(entry)
            if found is not None:
                images.setdefault(found[0], []).append(entry)
        for entry in self.label_files(context):
            stem, extension = cast(tuple[str, str], sample_of(entry))
            members.setdefault(stem, {})[extension] = entry
        return [
            _Sample(stem, tuple(images.get(stem, ())), members.get(stem, {})) for stem in sorted({*images, *members})
        ]


def sample_of(entry: Entry) -> tuple[str, str] | None:
    """The sample that a file belongs to, by its virtual path, and its extension in lower case; None for no sample's."""
    folder, _, name = entry.name.rpartition("/")
    stem, dot, extension = name.partition(".")
    if not stem or not dot or not extension or (stem.startswith("__") and stem.endswith("__")):
        return None
    return f"{folder}/{stem}", extension.lower()


def _split(column: str) -> tuple[str, str | None]:
    """The extension that a column speaks of, and the key within, where that is JSON."""
    found = _COLUMN.fullmatch(column)
    return (found["extension"].lower(), found["key"]) if found else (column.lower(), None)


def _record(
    context: Context, options: WebDatasetOptions, sample: _Sample, extension: str, entry: Entry
) -> Record | Refused:
    missing = missing_cells(options.missing)
    image: ImageRef | None = None
    columns: dict[str, str] = {}
    try:
        image = _image(sample)
        row = _row(context, extension, entry)
        columns = stated_cells(row.cells, missing)
        specs = {
            column: _named(column, spec) for column, spec in options.columns.items() if _split(column)[0] == extension
        }
        fields = {name: spec for name, spec in options.fields.items() if _split(_column(spec))[0] == extension}
        columns |= read_fields(row, fields, missing)
        said = annotate(row, specs, context.labels, missing)
    except Broken as problem:
        return Refused(Unit.ROW, entry.key, SAMPLE, problem.refusal, image, columns)
    if said.ignored is not None and not said.annotations:
        return Refused(Unit.ROW, entry.key, SAMPLE, said.ignored, image, columns)
    return Record(Unit.ROW, entry.key, SAMPLE, image, said.annotations, columns, said.covers)


def _named(column: str, spec: ColumnSpec) -> ColumnSpec:
    """A key of a mapping speaks of what it is called, unless the card says otherwise."""
    key = _split(column)[1]
    names_concepts = spec.kind in (Kind.CLASS, Kind.MULTILABEL) and spec.states is None
    return spec if key is None or spec.concept is not None or names_concepts else replace(spec, concept=key)


def _column(spec: FieldSpec) -> str:
    return spec.column if isinstance(spec, FromColumn) else spec


def _image(sample: _Sample) -> ImageRef:
    if not sample.images:
        raise Broken(Reason.MISSING_FILE, "the sample has no member that is an image")
    if len(sample.images) > 1:
        raise Broken(Reason.AMBIGUOUS_IMAGE, f"the sample has {len(sample.images)} images; which one is meant?")
    return ImageRef(sample.images[0].name)


def _row(context: Context, extension: str, entry: Entry) -> Row:
    """A member as a row: its text under its extension, or the keys of its mapping behind it."""
    data = read_bytes(context, entry)
    if isinstance(data, Refusal):
        raise Broken(data.reason, data.detail)
    data = data.removeprefix(_BOM)
    if not data.strip():
        raise Broken(Reason.EMPTY_FILE, "the member has no text")
    if extension.rpartition(".")[2] == "json":
        return _json_row(data, extension)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Broken(Reason.BAD_ENCODING, f"byte {problem.start} is not UTF-8") from None
    if "\0" in text:
        raise Broken(Reason.INVALID_ROW, "the text holds a NUL character")
    return Row(0, {extension: text}, place=SAMPLE)


def _json_row(data: bytes, extension: str) -> Row:
    reading = read_rows(b"[" + data + b"]", "json", needed=())
    if isinstance(reading, Refusal):
        raise Broken(reading.reason, reading.detail)
    if len(reading.rows) != 1:
        raise Broken(Reason.INVALID_JSON, "the member is not one JSON mapping")
    row = reading.rows[0]
    if not isinstance(row, Row):
        raise Broken(row.refusal.reason, row.refusal.detail)
    return Row(
        0,
        {f"{extension}.{key}": cell for key, cell in row.cells.items()},
        {f"{extension}.{key}": cells for key, cells in row.lists.items()},
        frozenset(f"{extension}.{key}" for key in row.nested),
        SAMPLE,
    )
