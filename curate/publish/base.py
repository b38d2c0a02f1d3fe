"""What publishing hands to a format, and what a format is.

A **release** is a folder. Rows that may go were chosen before any format sees them (`selection`), so a format is a pure
rendering: the same rows give the same bytes, in the same files, whatever the machine.

    images/<source>/<aa>/<asset_id>.<suffix>    media as files, once for all formats that name files; so videos/...
    <format>/...                                what one format writes; nothing outside its folder
    README.md, croissant.json, ...              what describes the release
    MANIFEST.json                               every file with its sha256; written last: without it nothing is whole
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Protocol

import msgspec

from curate.card import Card, Struct
from curate.rows import Message, Subject
from curate.schema import Form, Origin
from curate.store.place import Place
from curate.vocabulary import Vocabulary

__all__ = [
    "IMAGE_TOKEN",
    "MANIFEST",
    "MEDIA_FOLDERS",
    "Config",
    "File",
    "Format",
    "FormatOptions",
    "LeftOut",
    "Medium",
    "Reader",
    "Release",
    "Row",
    "Writer",
    "Written",
]

MANIFEST: Final = "MANIFEST.json"
IMAGE_TOKEN: Final = "<image>"  # noqa: S105
"""What stands in a user turn for a picture; the text of a pair holds it nowhere else."""

MEDIA_FOLDERS: Final = ("images", "videos", "volumes")


class Medium(msgspec.Struct, frozen=True, kw_only=True):
    """A picture or video that rows show, as a file of the release.

    `path` is relative to the release, with slashes; its name has no dot but that before the suffix, because WebDataset
    ends a key at the first. `width` and `height` are those of the stored raster, in pixels. Unknown is null.

    Of an image that no viewer shows as it is stored (more than 8 bits, a rare format), the medium is its rendering: the
    same raster in 8 bits. `rendering_of` is then the asset that rows and annotations speak of.
    """

    asset_id: str
    path: str
    media_type: str
    sha256: str  # of the bytes in the file
    form: Form
    width: int
    height: int
    source: str
    licence: str
    item_key: str
    group_id: str
    modality: str | None = None
    anatomy: str | None = None
    view: str | None = None
    laterality: str | None = None
    exif_orientation: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    rendering_of: str | None = None

    @property
    def shows(self) -> str:
        """The asset that rows and annotations speak of."""
        return self.rendering_of or self.asset_id

    @property
    def is_video(self) -> bool:
        """True for what a trainer calls a video."""
        return self.media_type.startswith("video/")

    @property
    def is_volume(self) -> bool:
        """True for an array in a zarr tree: `path` is then a folder, and `sha256` the digest of the tree."""
        return self.form is Form.VOLUME


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One pair that may go. The first user turn begins with one `<image>` line per medium, in the order of `media`.

    `constraints` say what was asked (`ask`, `concept`, ...). `slots` are the words that fill the template, and `fixed`
    names those of them that code alone writes, in any mode: boxes, points, the sentence on the form of coordinates.
    They stand in `messages` word for word.
    """

    pair_id: str
    source: str
    task: str
    variant: int
    split: str
    source_split: str | None = None
    language: str
    origin: Origin
    wording: str
    licence: str
    annotation_ids: tuple[str, ...]
    response_id: str | None = None
    messages: tuple[Message, ...]
    media: tuple[Medium, ...]
    constraints: Mapping[str, Any]
    slots: Mapping[str, str] = {}
    fixed: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """The first user turn without its image lines."""
        return self.messages[0].content.removeprefix(f"{IMAGE_TOKEN}\n" * len(self.media))

    @property
    def answer(self) -> str:
        """The last turn."""
        return self.messages[-1].content


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a release. `rows` where it holds rows."""

    path: str
    sha256: str
    bytes: int
    rows: int | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows something could not take, and why, in words for the card of the release."""

    reason: str
    rows: int

    @classmethod
    def of(cls, reasons: Mapping[str, int]) -> "tuple[LeftOut, ...]":
        """Reason -> rows, as it is told: by reason."""
        return tuple(cls(reason=reason, rows=rows) for reason, rows in sorted(reasons.items()))


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a format made of a release: `rows + sum(left_out) == the rows it was given`."""

    format: str
    rows: int
    left_out: tuple[LeftOut, ...] = ()
    configs: tuple["Config", ...] = ()  # how the card of a Hub repository names its files


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as `datasets` reads it from a card: files per split, and features where the files state none."""

    name: str
    data_files: Mapping[str, str]  # split -> path or glob, relative to the release
    features: tuple[Mapping[str, Any], ...] = ()  # `dataset_info.features` in YAML form
    default: bool = False


class Writer(Protocol):
    """Where the files of a release are put. A file appears whole or not at all."""

    def create(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A file of the release to write, as bytes, from its beginning; the path is relative, with slashes.

        Raises:
            ValueError: the path is not plain, or was written before.
        """
        ...

    def count(self, path: str, rows: int) -> None:
        """How many rows a file that was created holds."""
        ...

    def local(self, path: str) -> Path:
        """Where a file that was created lies on this machine, for those who read what they wrote."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """What goes: rows in a fixed order, their media, and the terms they go under. See `rows.open_release`."""

    name: str  # the recipe's, as a file name
    splits: tuple[str, ...]
    rows_in: Mapping[str, int]  # split -> rows
    cards: Mapping[str, Card]  # of the sources that have rows here
    withheld: Mapping[str, Mapping[str, int]]  # source -> why -> rows
    licence: str  # one SPDX expression under which the whole may go
    reader: "Reader" = field(repr=False)
    where: str | None = None  # the query by which whoever publishes chose among them

    def rows(self, split: str | None = None) -> Iterator[Row]:
        """The rows of a split, or of all, as their first asset lies in the corpus, then by pair id.

        The order is the same on every machine, and rows that show the same picture stand together.
        """
        return self.reader.rows(split)

    def media(self) -> Iterator[Medium]:
        """Each picture, video and volume that a row shows, once, in the order in which they lie in the corpus."""
        return self.reader.media()

    def medium_bytes(self, media: Iterable[Medium]) -> Iterator[tuple[Medium, bytes]]:
        """The bytes of media, one after the other; cheap where they come in the order of `media` or of `rows`.

        Raises:
            StoreError: the corpus does not hold them, or other bytes than it says.
            ValueError: a volume, which is a tree of files (`volume_files`).
        """
        return self.reader.medium_bytes(media)

    def volume_files(self, medium: Medium) -> Iterator[tuple[str, Place]]:
        """The files of a volume: the path of each in the release, and where it lies."""
        return self.reader.volume_files(medium)

    def annotated(self, split: str | None = None) -> Iterator[tuple[Row, tuple[Subject, ...]]]:
        """The rows with what their sources say of their assets, in the order of `media`."""
        return self.reader.annotated(split)

    def vocabulary(self, source: str) -> Vocabulary:
        """What each label set of a source can name: with it `verify` reads what the source's silence means."""
        return self.reader.vocabulary(source)


class Reader(Protocol):
    """What `Release` reads from."""

    def rows(self, split: str | None) -> Iterator[Row]: ...

    def media(self) -> Iterator[Medium]: ...

    def medium_bytes(self, media: Iterable[Medium]) -> Iterator[tuple[Medium, bytes]]: ...

    def volume_files(self, medium: Medium) -> Iterator[tuple[str, Place]]: ...

    def annotated(self, split: str | None) -> Iterator[tuple[Row, tuple[Subject, ...]]]: ...

    def vocabulary(self, source: str) -> Vocabulary: ...


class FormatOptions(Struct, frozen=True):
    """Base of a format's own settings."""


class Format(Protocol):
    """One form in which trainers read rows; entry point group `curate.formats`.

    `names_files`: rows name media by their path, so the release holds them as files; else the format holds the bytes
    itself, or none.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    names_files: ClassVar[bool]
    Options: ClassVar[type[FormatOptions]]

    def __init__(self, options: Any) -> None: ...

    def write(self, release: Release, writer: Writer) -> Written:
        """Render every row into files below `<name>/`."""
        ...
