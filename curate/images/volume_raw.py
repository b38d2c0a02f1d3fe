"""Voxels in a file as most volume formats keep them: one block of numbers at an offset, plain or compressed."""

import bz2
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_lib

from curate.geometry_3d import Affine
from curate.images.volume_data import VolumeLimits
from curate.schema import Reason, Refusal

__all__ = [
    "Block",
    "Parsed",
    "VolumeFile",
    "block_refusal",
    "is_gzip",
    "mapped_array",
    "opening",
    "whole_array",
]

Array = npt.NDArray[Any]

Compression = Literal["none", "gzip", "zlib", "bzip2"]

READ_BYTES: Final = 4 * 2**20
"""Decoded between two beats."""

MAX_OFFSET: Final = 64 * 2**20
"""Of the voxels in a compressed file: what stands before them must be inflated too. Extensions stay far below."""

MAX_TRAILING_BYTES: Final = 2**20
"""Behind the voxels of a compressed file; it is read so that the checksum at its end speaks. Footers are smaller."""

FREE_BYTES: Final = 512 * 2**20
"""Decoded size up to which no ratio is suspicious: empty label maps compress a thousandfold and cost little."""

MAX_RATIO: Final = 200
"""Decoded over encoded bytes above that: measured volumes stay below 100 even where most of them is background."""


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """One file of a volume. `name` serves for its suffix and to compare with what a header names; it is never shown."""

    name: str
    size: int
    head: Callable[[int], bytes] = field(repr=False)
    read: Callable[[], bytes] = field(repr=False)
    local: Callable[[], AbstractContextManager[Path]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Where the numbers of an array stand: from `offset` of the (inflated) file on; null: they end where the file ends.

    `axes` names the axes of `shape` from the slowest to the fastest, and so does `shape`: C order. A compressed stream
    begins at byte `start` of its file.
    """

    file: VolumeFile
    compression: Compression
    offset: int | None
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]  # with its byte order
    start: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return _product(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a header says of a volume.

    `affine_lps` maps indices along x, y, z as the array has them. `loaded` gives the array where the numbers do not
    stand in one block; then `block` only describes it.
    """

    block: Block
    affine_lps: Affine | None
    loaded: Callable[[Callable[[], None]], Array | Refusal] | None = None
    slope: float | None = None
    intercept: float | None = None
    timepoint_s: float | None = None
    changes: tuple[str, ...] = ()


class Stream(Protocol):
    """Bytes in order; fewer than asked for at the end alone."""

    def read(self, count: int, /) -> bytes:
        """The next bytes."""
        ...


def is_gzip(head: bytes) -> bool:
    """Whether a file begins as gzip does (RFC 1952)."""
    return head[:3] == b"\x1f\x8b\x08"


def block_refusal(block: Block, limits: VolumeLimits) -> Refusal | None:
    """Why voxels are not read, from what the header claims and from the size of the file."""
    if any(length < 1 for length in block.shape):
        return Refusal(Reason.CORRUPT_IMAGE, f"the header states an array of {_times(block.shape)}")
    if block.size > limits.max_streamed_bytes:
        return Refusal(Reason.TOO_LARGE, f"{block.size} bytes when decoded, the limit is {limits.max_streamed_bytes}")
    if block.offset is not None and block.offset < 0:
        return Refusal(Reason.CORRUPT_IMAGE, "the header places the voxels before the file")
    if block.compression == "none":
        if (block.offset or 0) + block.size > block.file.size:
            return Refusal(
                Reason.TRUNCATED_IMAGE,
                f"the header states {_times(block.shape)} voxels, {block.size} bytes, and the file has "
                f"{max(0, block.file.size - (block.offset or 0))} for them",
            )
        return None
    if block.start >= block.file.size:
        return Refusal(Reason.TRUNCATED_IMAGE, "the file ends where the voxels should begin")
    if (block.offset or 0) > MAX_OFFSET:
        return Refusal(Reason.CORRUPT_IMAGE, f"the voxels begin at byte {block.offset}, the limit is {MAX_OFFSET}")
    ratio = min(MAX_RATIO, limits.max_ratio)
    if block.size > FREE_BYTES and block.size > ratio * block.file.size:
        return Refusal(
            Reason.TOO_LARGE,
            f"{block.file.size} bytes claim to decode to {block.size}, the limit is {ratio} to 1",
        )
    return None


@contextmanager
def opening(block: Block) -> Iterator["_Reader"]:
    """Read a block from its begin, piece by piece."""
    with block.file.local() as path, path.open("rb") as file:
        if block.compression == "none":
            reader = _Reader(file, block, file)
            reader.go_to(0)
            yield reader
        else:
            file.seek(block.start)
            reader = _Reader(_inflated(file, block.compression), block)
            reader.skip(block.offset or 0)
            yield reader


class _Reader:
    """The numbers of a block in order."""

    def __init__(self, stream: Stream, block: Block, plain: BinaryIO | None = None) -> None:
        self._stream = stream
        self._block = block
        self._plain = plain
        self._problem: Refusal | None = None

    def go_to(self, index: int) -> None:
        """Go to an index of the slowest axis; of an uncompressed block alone."""
        assert self._plain is not None
        block = self._block
        first = block.file.size - block.size if block.offset is None else block.offset
        self._plain.seek(first + index * (block.size // block.shape[0]))

    def skip(self, count: int) -> None:
        """Go on by so many bytes; what is wrong with them is told when numbers are asked for."""
        try:
            while count > 0 and (got := self._stream.read(min(count, READ_BYTES))):
                count -= len(got)
        except _DAMAGE as problem:
            self._problem = _damaged(problem)

    def array(self, shape: Sequence[int], beat: Callable[[], None]) -> Array | Refusal:
        """The next numbers; a refusal where the file ends before them or is damaged."""
        wanted = _product(shape) * self._block.dtype.itemsize
        if self._problem is not None:
            return self._problem
        data, at = np.empty(wanted, np.uint8), 0
        try:
            while at < wanted:
                beat()
                piece = self._stream.read(min(READ_BYTES, wanted - at))
                if not piece:
                    return Refusal(
                        Reason.TRUNCATED_IMAGE, f"{wanted - at} bytes of a piece of {wanted} are missing at the end"
                    )
                data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
                at += len(piece)
        except _DAMAGE as problem:
            return _damaged(problem)
        return data.view(self._block.dtype).reshape(tuple(shape))

    def end(self) -> Refusal | None:
        """Read what follows, so that a checksum at the end of the file is verified."""
        if self._plain is not None:
            return None
        left = MAX_TRAILING_BYTES
        try:
            while piece := self._stream.read(min(left + 1, READ_BYTES)):
                left -= len(piece)
                if left < 0:
                    return Refusal(
                        Reason.CORRUPT_IMAGE, f"more than {MAX_TRAILING_BYTES} bytes follow the voxels in the file"
                    )
        except _DAMAGE as problem:
            return _damaged(problem)
        return None


def whole_array(block: Block, beat: Callable[[], None]) -> Array | Refusal:
    """The array of a block, in memory."""
    with opening(block) as reader:
        array = reader.array(block.shape, beat)
        return array if isinstance(array, Refusal) else reader.end() or array


@contextmanager
def mapped_array(block: Block) -> Iterator[Array]:
    """The array of an uncompressed block, mapped from the file: nothing is read before it is used."""
    with block.file.local() as path:
        offset = block.file.size - block.size if block.offset is None else block.offset
        yield np.memmap(path, block.dtype, "r", offset, block.shape)


def _inflated(file: BinaryIO, compression: Compression) -> Stream:
    match compression:
        case "gzip":
            stream: Stream = igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]
            return stream
        case "bzip2":
            return bz2.BZ2File(file)
        case _:
            return _Zlib(file)


class _Zlib:
    """A stream of RFC 1950 as MetaImage writes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()

    def read(self, count: int, /) -> bytes:
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._file.read(2**18)
            if not data:
                return b""
            piece = self._inflate.decompress(data, count)
            if piece:
                return piece
        return b""


_DAMAGE: Final[tuple[type[Exception], ...]] = (EOFError, zlib.error, igzip_lib.error, OSError)  # type: ignore[assignment]


def _damaged(problem: Exception) -> Refusal:
    """A refusal of what does not inflate; an error of the operating system stays one."""
    if isinstance(problem, OSError) and problem.errno is not None:
        raise problem
    if isinstance(problem, EOFError):
        return Refusal(Reason.TRUNCATED_IMAGE, "the compressed data break off")
    return Refusal(Reason.CORRUPT_IMAGE, f"the compressed data are damaged ({type(problem).__name__})")


def _product(shape: Sequence[int]) -> int:
    total = 1
    for length in shape:
        total *= int(length)
    return total


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
