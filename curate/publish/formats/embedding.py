"""Parquet files that hold the bytes of media, as `datasets` reads them, each picture once per row group.

The cell of a medium is the struct `bytes`, `path` of the features Image and Video. Rows that show the same picture
stand together, and the bytes are a dictionary column whose dictionary is as large as a row group may be, so that ten
questions about one picture cost its bytes once. Pages end where their content says (content-defined chunking), and
neither the order nor the bytes of a picture depend on its neighbours: where one row is added, most of a file stays.
"""

import contextlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate.publish.base import Config, FormatOptions, LeftOut, Medium, Release, Row, Writer, Written
from curate.publish.formats.sheets import unfit, videos_of

__all__ = [
    "IMAGE",
    "MESSAGES",
    "STRING",
    "STRINGS",
    "VIDEO",
    "Column",
    "Embedded",
    "MediaSource",
    "ShardOptions",
    "Sizes",
    "messages_of",
    "not_pictures",
    "not_videos",
    "sizes_of",
    "write_pictures",
    "write_shards",
    "yaml_features",
]

GROUP_BYTES: Final = 64 * 2**20
"""A row group ends at so many bytes of distinct media, so that a reader needs no more memory than that."""
GROUP_ROWS: Final = 8192
SHARD_BYTES: Final = 500 * 10**6
"""About so many bytes of media lie in one file, unless a format asks for another size."""
_DICTIONARY_LIMIT: Final = 2**31 - 2
_CELL: Final = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_STORED: Final = pa.struct([pa.field("bytes", pa.dictionary(pa.int32(), pa.binary())), pa.field("path", pa.string())])

Sizes = Mapping[str, int]
"""The bytes of each medium, by asset id."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its type in Arrow and as a feature of `datasets`, in the form that its releases since 2.0 read."""

    name: str
    type: pa.DataType
    feature: Any

    @property
    def is_media(self) -> bool:
        """True where the cells are media with their bytes."""
        return bool(self.type == pa.list_(_CELL))


STRING: Final = (pa.string(), {"dtype": "string", "_type": "Value"})
STRINGS: Final = (pa.list_(pa.string()), {"feature": STRING[1], "_type": "Sequence"})
MESSAGES: Final = (
    pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])),
    [{"role": STRING[1], "content": STRING[1]}],
)
IMAGE: Final = (pa.list_(_CELL), {"feature": {"_type": "Image"}, "_type": "Sequence"})
VIDEO: Final = (pa.list_(_CELL), {"feature": {"_type": "Video"}, "_type": "Sequence"})


class ShardOptions(FormatOptions, frozen=True):
    """`shard_bytes`: about how many bytes of media lie in one file."""

    shard_bytes: int = SHARD_BYTES


@dataclass(frozen=True, slots=True)
class Embedded:
    """One table to write: the folder of its files, its columns, and why it cannot hold a row."""

    folder: str
    split: str
    columns: tuple[Column, ...]
    unfit: Callable[[Row], str | None]
    shard_bytes: int = SHARD_BYTES


def not_pictures(row: Row) -> str | None:
    """Why a row cannot stand in a table of pictures."""
    return unfit(row) or ("a video, which this form cannot show" if videos_of(row) else None)


def not_videos(row: Row) -> str | None:
    """Why a row cannot stand in a table of videos."""
    return unfit(row) or (None if videos_of(row) == list(row.media) != [] else "no video")


def messages_of(turned: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Turns as cells of `MESSAGES`."""
    return [{"role": role, "content": text} for role, text in turned]


def sizes_of(release: Release) -> Sizes:
    """How many bytes each medium has, read from their bytes once; volumes are left out."""
    files = (medium for medium in release.media() if not medium.is_volume)
    return {medium.asset_id: len(data) for medium, data in release.medium_bytes(files)}


def _shards_of(release: Release, table: Embedded, sizes: Sizes) -> tuple[int, int]:
    """Into how many files a table goes, and the bytes of media that the rows which it may hold show."""
    total = sum(
        cost for _, cost in _costs((row for row in release.rows(table.split) if table.unfit(row) is None), sizes)
    )
    return max(1, -(-total // table.shard_bytes)), total


def write_shards(
    release: Release,
    writer: Writer,
    table: Embedded,
    sizes: Sizes,
    rows: Iterable[tuple[Row, Mapping[str, Any] | None]],
) -> tuple[str, ...]:
    """Write the rows of a table into `<folder>/<split>-<n>-of-<N>.parquet`; the paths of the files.

    `rows`: every row of the split that fits, in the order of the release, with the cells of its columns but the media;
    None leaves a row out. Which file a row lies in only depends on the rows that fit, so that what is left out moves
    none of the others.
    """
    number, total = _shards_of(release, table, sizes)
    paths = tuple(f"{table.folder}/{table.split}-{n:05d}-of-{number:05d}.parquet" for n in range(number))
    taken = _placed(rows, sizes, number, total)
    held = next(taken, None)
    source = MediaSource(release)
    for n, path in enumerate(paths):
        written = 0
        with writer.create(path) as file, _parquet(file, table.columns) as parquet:
            while held is not None and held[0] == n:
                group = _Group()
                while held is not None and held[0] == n and group.takes(held[1], sizes):
                    group.add(held[1], held[2], sizes)
                    held = next(taken, None)
                parquet.write_table(_table(group.rows, table.columns, source.bytes_of(list(group.media.values()))))
                written += len(group.rows)
        writer.count(path, written)
    return paths


def write_pictures(
    release: Release,
    writer: Writer,
    name: str,
    columns: tuple[Column, ...],
    rendered: Callable[[str, Counter[str]], Iterable[tuple[Row, Mapping[str, Any] | None]]],
    *,
    shard_bytes: int,
) -> Written:
    """Write a format that is one table of pictures, `name`, with one set of files per split.

    `rendered`: the rows of a split as `write_shards` takes them; it counts those that it leaves out, by why.
    """
    sizes = sizes_of(release)
    left_out: Counter[str] = Counter()
    for split in release.splits:
        table = Embedded(name, split, columns, not_pictures, shard_bytes)
        write_shards(release, writer, table, sizes, rendered(split, left_out))
    config = Config(
        name=name,
        data_files={split: f"{name}/{split}-*.parquet" for split in release.splits},
        features=yaml_features(columns),
    )
    return Written(
        format=name,
        rows=sum(release.rows_in.values()) - left_out.total(),
        left_out=LeftOut.of(left_out),
        configs=(config,),
    )


def yaml_features(columns: Sequence[Column]) -> tuple[Mapping[str, Any], ...]:
    """The columns as `dataset_info.features` in the YAML of a dataset card."""
    return tuple({"name": column.name, **_in_yaml(column.feature)} for column in columns)


def _in_yaml(feature: Any) -> dict[str, Any]:
    if isinstance(feature, list):
        return {"list": [{"name": name, **_in_yaml(inner)} for name, inner in feature[0].items()]}
    if "_type" not in feature:
        return {"struct": [{"name": name, **_in_yaml(inner)} for name, inner in feature.items()]}
    if feature["_type"] == "Sequence":
        inner = _in_yaml(feature["feature"])
        return {"sequence": inner["dtype"] if set(inner) == {"dtype"} else inner}
    return {"dtype": feature["dtype"] if feature["_type"] == "Value" else feature["_type"].lower()}


def _costs(rows: Iterable[Row], sizes: Sizes) -> Iterator[tuple[Row, int]]:
    """Each row with the bytes of those media that the row before did not show."""
    before: frozenset[str] = frozenset()
    for row in rows:
        shown = frozenset(medium.asset_id for medium in row.media)
        yield row, sum(sizes[asset_id] for asset_id in shown - before)
        before = shown


def _placed(
    rows: Iterable[tuple[Row, Mapping[str, Any] | None]], sizes: Sizes, number: int, total: int
) -> Iterator[tuple[int, Row, Mapping[str, Any]]]:
    before: frozenset[str] = frozenset()
    done, place = 0, 0
    for row, cells in rows:
        shown = frozenset(medium.asset_id for medium in row.media)
        if not shown <= before:
            place = min(number - 1, done * number // total) if total else 0
        done += sum(sizes[asset_id] for asset_id in shown - before)
        before = shown
        if cells is not None:
            yield place, row, cells


class _Group:
    """The rows of one row group, and the media that they show."""

    def __init__(self) -> None:
        self.rows: list[tuple[Row, Mapping[str, Any]]] = []
        self.media: dict[str, Medium] = {}
        self._size = 0

    def takes(self, row: Row, sizes: Sizes) -> bool:
        """True while there is room for a row; the first has it in any case."""
        new = sum(sizes[asset_id] for asset_id in {medium.asset_id for medium in row.media} - self.media.keys())
        return not self.rows or (len(self.rows) < GROUP_ROWS and (not new or self._size + new <= GROUP_BYTES))

    def add(self, row: Row, cells: Mapping[str, Any], sizes: Sizes) -> None:
        """Take a row in."""
        self.rows.append((row, cells))
        for medium in row.media:
            if medium.asset_id not in self.media:
                self.media[medium.asset_id] = medium
                self._size += sizes[medium.asset_id]


class MediaSource:
    """The bytes of media, asked for in the order of rows through one reader."""

    def __init__(self, release: Release) -> None:
        self._wanted: deque[Medium] = deque()
        self._read = release.medium_bytes(self._next())

    def _next(self) -> Iterator[Medium]:
        while self._wanted:
            yield self._wanted.popleft()

    def bytes_of(self, media: Sequence[Medium]) -> Mapping[str, bytes]:
        """Those of some media, by asset id."""
        self._wanted.extend(media)
        found = (next(self._read) for _ in media)
        return {medium.asset_id: data for medium, data in found}


def _table(
    group: Sequence[tuple[Row, Mapping[str, Any]]], columns: Sequence[Column], held: Mapping[str, bytes]
) -> pa.Table:
    arrays = [
        _media([row.media for row, _ in group], held)
        if column.is_media
        else pa.array([cells[column.name] for _, cells in group], column.type)
        for column in columns
    ]
    return pa.Table.from_arrays(arrays, schema=_schema(columns))


def _media(shown: Sequence[tuple[Medium, ...]], held: Mapping[str, bytes]) -> pa.ListArray:
    """Lists of media, with the bytes of each once and an index to them in every cell.

    A dictionary whose values repeat would be written out in full: assets of equal bytes share one.
    """
    distinct = {medium.sha256: held[medium.asset_id] for media in shown for medium in media}
    place = {sha256: n for n, sha256 in enumerate(distinct)}
    offsets = [0]
    for media in shown:
        offsets.append(offsets[-1] + len(media))
    flat = [medium for media in shown for medium in media]
    cells = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(
                pa.array([place[medium.sha256] for medium in flat], pa.int32()),
                pa.array(list(distinct.values()), pa.binary()),
            ),
            pa.array([medium.path.rpartition("/")[2] for medium in flat], pa.string()),
        ],
        fields=list(_STORED),
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), cells)


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema(
        [pa.field(column.name, pa.list_(_STORED) if column.is_media else column.type) for column in columns]
    )


@contextlib.contextmanager
def _parquet(file: Any, columns: Sequence[Column]) -> Iterator[pq.ParquetWriter]:
    leaves = [leaf for column in columns for leaf in _leaves(column.name, column.type)]
    raw = {f"{column.name}.list.element.bytes" for column in columns if column.is_media}
    features = json.dumps({"info": {"features": {column.name: column.feature for column in columns}}})
    with pq.ParquetWriter(
        file,
        _schema(columns),
        compression={leaf: "none" if leaf in raw else "zstd" for leaf in leaves},
        use_dictionary=leaves,
        dictionary_pagesize_limit=_DICTIONARY_LIMIT,
        write_statistics=[leaf for leaf in leaves if leaf not in raw],
        store_schema=False,
        use_content_defined_chunking=True,
    ) as writer:
        writer.add_key_value_metadata({"huggingface": features})
        yield writer


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """The leaf columns of a type, as Parquet calls them."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path
