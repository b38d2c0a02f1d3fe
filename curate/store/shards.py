"""How an array is cut into chunks and shards, and the shards on disk, put together plane by plane."""

import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

__all__ = ["ABSENT", "MAX_PLANE_BYTES", "SHARD_BYTES", "Array", "Layout", "ShardWriter", "with_crc"]

Array = npt.NDArray[Any]

SHARD_BYTES: Final = 64 * 2**20
"""Of decoded planes in one shard: a few files per volume, whatever its size."""

MAX_PLANE_BYTES: Final = 2**31 - 64
"""What one blosc frame may hold."""

ABSENT: Final = 2**64 - 1
"""Offset and length of a chunk that a shard does not hold."""

_AXES: Final = ("yx", "yxc", "zyx", "zyxc", "tzyx", "tzyxc")


class Layout:
    """How an array is cut: the order it has on disk, its chunks (planes) and its shards (runs of planes)."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("<")
        self.axes = axes
        self.channels = axes.endswith("c")
        outer = axes.rstrip("c")[:-2]
        self.planes = int(np.prod(shape[: len(outer)], dtype=np.int64))
        self.plane_shape = shape[len(outer) :]
        self.plane_bytes = int(np.prod(self.plane_shape, dtype=np.int64)) * dtype.itemsize
        self.stored_axes = ("t" * ("t" in axes)) + ("c" * self.channels) + axes.replace("t", "").replace("c", "")
        sizes = dict(zip(axes, shape, strict=True))
        self.stored_shape = tuple(sizes[axis] for axis in self.stored_axes)
        run = max(1, SHARD_BYTES // max(1, self.plane_bytes))
        slices = min(run, sizes.get("z", 1))
        times = min(max(1, run // slices), sizes.get("t", 1)) if slices == sizes.get("z", 1) else 1
        chunk = sizes | {"t": 1, "z": 1}
        shard = sizes | {"t": times, "z": slices}
        self.chunk = tuple(chunk[axis] for axis in self.stored_axes)
        self.shard = tuple(shard[axis] for axis in self.stored_axes)
        self.planes_per_shard = slices * times
        self.slices, self.times, self.depth = slices, times, sizes.get("z", 1)

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str) -> "Layout":
        """Raises ValueError where an array of this kind cannot be stored."""
        if axes not in _AXES or len(axes) != len(shape):
            raise ValueError(f"axes are one of {', '.join(_AXES)}, one letter per length of the shape; got {axes!r}")
        if dtype.kind not in "biuf":
            raise ValueError(f"an array of whole or real numbers is wanted, got {dtype}")
        if any(length < 1 for length in shape):
            raise ValueError(f"no length may be below 1, got {list(shape)}")
        layout = cls(shape, dtype, axes)
        if layout.plane_bytes > MAX_PLANE_BYTES:
            raise ValueError(f"a plane has {layout.plane_bytes} bytes, the limit is {MAX_PLANE_BYTES}")
        return layout

    def shard_of(self, plane: int) -> tuple[tuple[int, ...], int]:
        """Where a plane lies: the shard's place in the grid, and the plane's number among the shard's chunks."""
        time, height = divmod(plane, self.depth)
        places = {"t": time // self.times, "z": height // self.slices}
        within = (time % self.times) * self.slices + height % self.slices
        return tuple(places.get(axis, 0) for axis in self.stored_axes), within


class ShardWriter:
    """Appends encoded planes, in order, to the shards that they belong to."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._count = 0
        self._place: tuple[int, ...] | None = None
        self._file: BinaryIO | None = None
        self._offset = 0
        self._index: Array = np.empty(0, np.uint64)

    def add(self, encoded: bytes) -> None:
        """The next plane, encoded."""
        place, within = self._layout.shard_of(self._count)
        if place != self._place:
            self._end()
            path = self._folder.joinpath("c", *map(str, place))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._place, self._offset = place, 0
            self._index = np.full((self._layout.planes_per_shard, 2), ABSENT, dtype="<u8")
        assert self._file is not None
        self._file.write(encoded)
        self._index[within] = (self._offset, len(encoded))
        self._offset += len(encoded)
        self._count += 1

    def finish(self) -> None:
        """Close the last shard.

        Raises:
            ValueError: planes are missing.
        """
        if self._count != self._layout.planes:
            raise ValueError(f"{self._count} planes came, the shape has {self._layout.planes}")
        self._end()

    def close(self) -> None:
        """Let go of the file that is open, if any."""
        if self._file is not None:
            self._file.close()

    def _end(self) -> None:
        if self._file is not None:
            self._file.write(with_crc(self._index.tobytes()))
            self._file.close()
            self._file = None


def with_crc(data: bytes) -> bytes:
    """Bytes with their crc32c behind them, little-endian."""
    import google_crc32c

    return data + struct.pack("<I", google_crc32c.value(data))
