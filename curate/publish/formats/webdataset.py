"""WebDataset: tar files of samples, one per picture with all that is said of it, and an index beside them.

    webdataset/train-000000.tar         <asset id>.jpg, <asset id>.json, ...
    webdataset/train-index.parquet      where each member lies: key, member, shard, offset, bytes, sha256

A key is the id of the asset: lower-case hexadecimal, so no dot ends it early. The ending of a member comes from the
media type that its bytes were proved to have. Rows of several pictures share a sample with rows of the very same
ones, whose key is the digest of their ids and whose members are `<key>.0.jpg`, `<key>.1.jpg`, ... The JSON holds the
media and, under `conversations`, every row with its turns: bytes are written once however much is asked of them. With
`per: row` each row is a sample of its own, with its pair id as key.

Tars are USTAR with owner, group and times zero and members in the order of the release, so that the same rows give the
same bytes.
"""

import contextlib
import hashlib
import io
import itertools
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from curate.publish.base import FormatOptions, LeftOut, Medium, Release, Row, Writer, Written
from curate.publish.formats.embedding import MediaSource, messages_of
from curate.publish.formats.sheets import turns, unfit
from curate.schema import identity

__all__ = ["WebDataset"]

_ENDINGS: Final = {"image/jpeg": "jpg", "image/tiff": "tif", "image/svg+xml": "svg"}
_MODE: Final = 0o644
_INDEX: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("member", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # of the member's bytes in the tar
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)
_SHOWN: Final = (
    "asset_id", "path", "media_type", "sha256", "width", "height", "source", "licence", "item_key", "group_id",
    "modality", "anatomy", "view", "laterality", "exif_orientation", "duration_s", "frame_rate",
)  # fmt: skip
_SAID: Final = ("pair_id", "task", "language", "origin", "licence")
_AT_ONCE: Final = 4096


class WebDatasetOptions(FormatOptions, frozen=True):
    """`per`: what a sample is. A shard ends at `samples` samples or at `shard_bytes` bytes, whichever comes first."""

    per: Literal["image", "row"] = "image"
    samples: int = 2000
    shard_bytes: int = 10**9


@dataclass(frozen=True, slots=True)
class _Sample:
    key: str
    media: tuple[Medium, ...]
    rows: tuple[Row, ...]


class WebDataset:
    """Tars that `webdataset` streams and any tar reader opens."""

    name: ClassVar[str] = "webdataset"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = WebDatasetOptions

    def __init__(self, options: WebDatasetOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """Shards and an index per split."""
        left_out: Counter[str] = Counter()
        rows = 0
        for split in release.splits:
            source = MediaSource(release)
            samples = _samples(release.rows(split), self.options.per, left_out)
            sample = next(samples, None)
            if sample is None:
                continue
            with _Index(writer, f"{self.name}/{split}-index.parquet") as index:
                for number in itertools.count():
                    if sample is None:
                        break
                    path, held, size = f"{self.name}/{split}-{number:06d}.tar", 0, 0
                    with writer.create(path) as file, _Shard(file, path.rpartition("/")[2], index) as shard:
                        while sample is not None and held < self.options.samples and size < self.options.shard_bytes:
                            size += shard.add(sample, source.bytes_of(sample.media))
                            rows += len(sample.rows)
                            held += 1
                            sample = next(samples, None)
                    writer.count(path, held)
        return Written(format=self.name, rows=rows, left_out=LeftOut.of(left_out))


def _samples(rows: Iterable[Row], per: str, left_out: Counter[str]) -> Iterator[_Sample]:
    """The rows gathered into samples, in the order in which their media come first."""
    for _, near in itertools.groupby(rows, key=lambda row: row.media[0].asset_id if row.media else row.pair_id):
        together: dict[str, list[Row]] = {}
        for row in near:
            why_not = unfit(row)
            if why_not is not None:
                left_out[why_not] += 1
            else:
                together.setdefault(row.pair_id if per == "row" else _key(row), []).append(row)
        for key, found in together.items():
            yield _Sample(key, found[0].media, tuple(found))


def _key(row: Row) -> str:
    ids = [medium.asset_id for medium in row.media]
    return ids[0] if len(ids) == 1 else identity("sample", *ids) if ids else row.pair_id


class _Shard:
    """One tar, from its first member to its last."""

    def __init__(self, file: BinaryIO, name: str, index: "_Index") -> None:
        self._file = file
        self._name = name
        self._index = index
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def __enter__(self) -> "_Shard":
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: object) -> None:
        if kind is None:
            self._tar.close()

    def add(self, sample: _Sample, held: Mapping[str, bytes]) -> int:
        """Append a sample; its bytes."""
        several = len(sample.media) > 1
        before = self._tar.offset
        for number, medium in enumerate(sample.media):
            ending = _ending(medium)
            self._member(sample.key, f"{number}.{ending}" if several else ending, held[medium.asset_id])
        self._member(sample.key, "json", _told(sample))
        return self._tar.offset - before

    def _member(self, key: str, ending: str, data: bytes) -> None:
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        info.mode = _MODE
        self._tar.addfile(info, io.BytesIO(data))
        start = self._tar.offset - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self._index.add(
            {
                "key": key,
                "member": ending,
                "shard": self._name,
                "offset": start,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )


def _ending(medium: Medium) -> str:
    """The usual ending of a media type, as readers of WebDataset know it."""
    return _ENDINGS.get(medium.media_type) or medium.path.rpartition(".")[2]


def _told(sample: _Sample) -> bytes:
    """The JSON member: the media without nulls, and every row with its turns."""
    media = [
        {name: value for name in _SHOWN if (value := getattr(medium, name)) is not None} for medium in sample.media
    ]
    said = [
        {name: str(getattr(row, name)) for name in _SAID}
        | {"annotation_ids": list(row.annotation_ids), "messages": messages_of(turns(row))}
        for row in sample.rows
    ]
    first = sample.rows[0]
    told = {"key": sample.key, "split": first.split, "source": first.source, "media": media, "conversations": said}
    return json.dumps(told, ensure_ascii=False, allow_nan=False).encode()


class _Index:
    """The index of a split, written as its members come."""

    def __init__(self, writer: Writer, path: str) -> None:
        self._writer = writer
        self._path = path
        self._stack = contextlib.ExitStack()
        self._held: list[dict[str, Any]] = []
        self._rows = 0

    def __enter__(self) -> "_Index":
        file = self._stack.enter_context(self._writer.create(self._path))
        self._parquet = self._stack.enter_context(pq.ParquetWriter(file, _INDEX, compression="zstd"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._stack.__exit__(kind, problem, trace)
        if kind is None:
            self._writer.count(self._path, self._rows)

    def add(self, member: dict[str, Any]) -> None:
        """One member of a shard."""
        self._held.append(member)
        self._rows += 1
        if len(self._held) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._parquet.write_table(pa.Table.from_pylist(self._held, schema=_INDEX))
        self._held.clear()
