"""Arrays on disk: one zarr v3 group with OME-Zarr 0.5 metadata, sharded, with a checksum on every part of it.

A chunk is one plane (rows by columns) and a shard a run of planes. Chunks are blosc (zstd, bitshuffle) with a crc32c
each, and the shard's index has its own. Metadata come from zarr itself; shards are put together here, plane by plane,
because that holds one plane instead of a shard in memory and is twice as fast (zarr v3 specification, codec
`sharding_indexed`, index at the end). Every plane is written, empty or not.

zarr reads what is missing as its fill value without a word. Therefore `open_volume` looks for every shard and every
chunk of the grid before it hands an array out, and the metadata carry a checksum of what they say.
"""

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.errors import StoreError
from curate.store.shards import ABSENT, Array, Layout, ShardWriter, with_crc

__all__ = ["attributes_of", "open_volume", "write_volume"]


OME_VERSION: Final = "0.5"
ARRAY: Final = "0"
"""The path of the one resolution level within the group."""

OWN: Final = "curate"
"""Our own attribute of the group: what OME-Zarr has no words for, such as the full affine."""


LEVEL: Final = 1
"""Of zstd: three times as fast as 3, and within 0.3 % of its size on CT after the bitshuffle."""

THREADS: Final = 2
PENDING: Final = 4
"""Planes on their way to the disk at any time."""


MAX_WHOLE: Final = 2**31
"""Whole numbers below it are digested as integers."""


_TYPES: Final = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def write_volume(
    folder: Path,
    slabs: Iterable[Array],
    *,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    axes: str,
    scale: Sequence[float] | None = None,
    translation: Sequence[float] | None = None,
    units: Mapping[str, str] | None = None,
    attributes: Mapping[str, Any] | None = None,
    rescale: tuple[float, float] = (1.0, 0.0),
) -> str:
    """Write an array that comes in pieces, and return its `voxels_sha256`.

    `folder` does not exist yet. `slabs` are whole indices of the first axis, in order; what was handed in must not
    change afterwards, as it is encoded while the next piece is asked for. `axes` is one of yx, yxc, zyx, zyxc, tzyx,
    tzyxc; `scale` and `translation` have a number per axis, of which those of colour are not used. `units` maps an axis
    to its unit as OME-Zarr spells it; an axis without one has a scale that means nothing but its index.

    OME-Zarr 0.5 wants channels before space: colour is stored as `czyx`, while digest and pieces have it last. The
    digest is sha256 over the shape and, plane by plane, the sha256 of its modality values (`rescale`: slope, intercept)
    in the smallest of int16, int32, float64 that holds them, little-endian, in C order: equal for one volume that came
    as integers with an intercept and as real numbers.

    Raises:
        ValueError: pieces that do not add up to `shape`, or another type than `dtype`.
        OSError: the disk is full or the folder cannot be written.
    """
    layout = Layout.of(tuple(int(length) for length in shape), np.dtype(dtype), axes)
    _create(folder, layout, scale, translation, units or {}, attributes or {})
    digest = hashlib.sha256(f"{list(layout.shape)}\n".encode())
    pending: deque[Future[tuple[bytes, bytes]]] = deque()
    shards = ShardWriter(folder / ARRAY, layout)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for plane in _planes(slabs, layout):
                pending.append(pool.submit(_encode, plane, layout.channels, rescale))
                if len(pending) >= PENDING:
                    encoded, values = pending.popleft().result()
                    shards.add(encoded)
                    digest.update(values)
            while pending:
                encoded, values = pending.popleft().result()
                shards.add(encoded)
                digest.update(values)
        shards.finish()
    finally:
        shards.close()
    return digest.hexdigest()


def open_volume(folder: Path) -> Any:
    """The array of a tree as a `zarr.Array`, once every part of it is known to be there.

    Its chunks are verified by their crc32c as they are read: zarr raises `ValueError` for one that is damaged.

    Raises:
        StoreError: what is missing, short or altered, by its name within the tree.
    """
    import zarr

    attributes = attributes_of(folder)
    try:
        array = zarr.open_array(folder / ARRAY, mode="r", zarr_format=3)
    except Exception as problem:
        raise _damaged(f"{ARRAY}/zarr.json", f"zarr does not open it ({type(problem).__name__})") from problem
    axes = attributes[OWN]["axes"]
    if len(axes) != array.ndim or array.shards is None or len(array.shards) != array.ndim:
        raise _damaged(f"{ARRAY}/zarr.json", "it states another layout than volumes have")
    counts = [-(-length // step) for length, step in zip(array.shape, array.shards, strict=True)]
    for place in itertools.product(*(range(count) for count in counts)):
        _check_shard(folder, place, array)
    return array


def attributes_of(folder: Path) -> dict[str, Any]:
    """The attributes of a tree's group: `ome` and our own `curate`.

    Raises:
        StoreError: they are missing, or are not what was written.
    """
    said = []
    for name in ("zarr.json", f"{ARRAY}/zarr.json"):
        try:
            said.append(json.loads((folder / name).read_bytes()))
        except FileNotFoundError:
            raise _damaged(name, "it is missing") from None
        except (OSError, ValueError) as problem:
            raise _damaged(name, f"it does not read ({type(problem).__name__})") from problem
    group, array = said
    try:
        attributes: dict[str, Any] = group["attributes"]
        stated = attributes[OWN].pop("metadata_sha256")
    except (KeyError, TypeError, AttributeError):
        raise _damaged("zarr.json", "it has no attributes of ours") from None
    if stated != _metadata_digest(group, array):
        raise _damaged("zarr.json", "the metadata are not those that were written")
    return attributes


def _planes(slabs: Iterable[Array], layout: Layout) -> Iterator[Array]:
    """Each plane, contiguous and little-endian.

    Raises:
        ValueError: a piece of another type or shape, or more of them than the shape holds.
    """
    if layout.axes[0] == "y":  # rows come in pieces, too; a plane is one chunk
        slabs = [np.concatenate([np.asarray(slab) for slab in slabs])[np.newaxis]]
    rest = ((1, *layout.shape) if layout.axes[0] == "y" else layout.shape)[1:]
    count = 0
    for slab in slabs:
        if slab.dtype.newbyteorder("<") != layout.dtype or slab.shape[1:] != rest:
            raise ValueError(f"a piece of {slab.dtype} {list(slab.shape)} does not fit {layout.dtype} {layout.shape}")
        for plane in slab.reshape(-1, *layout.plane_shape) if slab.flags.c_contiguous else _each(slab, layout):
            count += 1
            if count > layout.planes:
                raise ValueError(f"more planes came than the {layout.planes} of the shape")
            yield np.ascontiguousarray(plane, dtype=layout.dtype)


def _each(slab: Array, layout: Layout) -> Iterator[Array]:
    """The planes of a view one after the other, so that none but the one in hand is copied."""
    outer = slab.shape[: slab.ndim - len(layout.plane_shape)]
    return (slab[index] for index in np.ndindex(*outer))


def _encode(plane: Array, channels: bool, rescale: tuple[float, float]) -> tuple[bytes, bytes]:
    """A plane as a chunk, and the digest of its modality values."""
    import imagecodecs

    stored = np.moveaxis(plane, -1, 0) if channels else plane
    encoded = imagecodecs.blosc_encode(
        stored.tobytes(),
        level=LEVEL,
        compressor="zstd",
        shuffle=2,  # by bits
        typesize=stored.dtype.itemsize,
        numthreads=1,  # more of them put the blocks of a frame in the order in which they end
    )
    return with_crc(bytes(encoded)), _digest_of_values(plane, *rescale)


def _digest_of_values(plane: Array, slope: float, intercept: float) -> bytes:
    values = _whole_values(plane, slope, intercept)
    if values is None:
        real = plane * slope + intercept if (slope, intercept) != (1.0, 0.0) else plane.astype("<f8")
        values = _narrowest(real) if np.all(np.abs(real) < MAX_WHOLE) and np.all(real == np.rint(real)) else real + 0.0
    digest = hashlib.sha256(values.dtype.str.encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.digest()


def _whole_values(plane: Array, slope: float, intercept: float) -> Array | None:
    """Integers with an intercept as the integers that they stand for; null for whatever else."""
    if plane.dtype.kind not in "iu" or slope != 1 or not float(intercept).is_integer() or abs(intercept) >= MAX_WHOLE:
        return None
    low, high = int(plane.min()) + int(intercept), int(plane.max()) + int(intercept)
    if plane.dtype.itemsize == 2 and low >= -(2**15) and high < 2**15:  # a sum modulo 2**16 is the sum where that fits
        shifted: Array = (plane.view("<u2") + np.uint16(int(intercept) % 2**16)).view("<i2")
        return shifted
    return _narrowest(plane.astype("<i8") + int(intercept)) if low >= -MAX_WHOLE and high < MAX_WHOLE else None


def _narrowest(values: Array) -> Array:
    """Whole numbers below `MAX_WHOLE` in the smaller of two types."""
    return values.astype("<i2" if values.min() >= -(2**15) and values.max() < 2**15 else "<i4")


def _create(  # noqa: PLR0917
    folder: Path,
    layout: Layout,
    scale: Sequence[float] | None,
    translation: Sequence[float] | None,
    units: Mapping[str, str],
    attributes: Mapping[str, Any],
) -> None:
    """Group and array without a value: their metadata as zarr writes them, sealed by a digest."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    ome = _ome(layout, scale, translation, units)
    own = {"axes": layout.stored_axes, **attributes}
    group = zarr.open_group(folder, mode="w-", zarr_format=3, attributes={"ome": ome, OWN: own})
    group.create_array(
        ARRAY,
        shape=layout.stored_shape,
        dtype=layout.dtype,
        chunks=layout.chunk,
        shards=layout.shard,
        filters=None,
        compressors=[BloscCodec(cname="zstd", clevel=LEVEL, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=_fill_value(layout.dtype),
        dimension_names=list(layout.stored_axes),
        config={"write_empty_chunks": True},
    )
    said = [json.loads((folder / name).read_bytes()) for name in ("zarr.json", f"{ARRAY}/zarr.json")]
    group.update_attributes({OWN: own | {"metadata_sha256": _metadata_digest(*said)}})


def _ome(
    layout: Layout, scale: Sequence[float] | None, translation: Sequence[float] | None, units: Mapping[str, str]
) -> dict[str, Any]:
    """`ome` of OME-Zarr 0.5: axes with types and units, and one resolution with its scale and translation."""
    axes = [
        {"name": axis, "type": _TYPES[axis]} | ({"unit": units[axis]} if axis in units else {})
        for axis in layout.stored_axes
    ]

    def ordered(numbers: Sequence[float], neutral: float) -> list[float]:
        by_axis = dict(zip(layout.axes, numbers, strict=True)) | {"c": neutral}
        return [float(by_axis[axis]) + 0.0 for axis in layout.stored_axes]

    transformations: list[dict[str, Any]] = [
        {"type": "scale", "scale": ordered(scale or [1.0] * len(layout.axes), 1.0)}
    ]
    if translation is not None:
        transformations.append({"type": "translation", "translation": ordered(translation, 0.0)})
    dataset = {"path": ARRAY, "coordinateTransformations": transformations}
    return {"version": OME_VERSION, "multiscales": [{"axes": axes, "datasets": [dataset]}]}


def _fill_value(dtype: np.dtype[Any]) -> Any:
    """What a reader would see where nothing is: not a number, or the end of the range that data seldom reach."""
    if dtype.kind == "f":
        return float("nan")
    if dtype.kind == "b":
        return False
    limits = np.iinfo(dtype)
    return int(limits.min if dtype.kind == "i" else limits.max)


def _metadata_digest(group: Any, array: Any) -> str:
    text = json.dumps([group, array], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_shard(folder: Path, place: tuple[int, ...], array: Any) -> None:
    """A shard is there, its index is whole, and every chunk that lies within the array is in it.

    Raises:
        StoreError: otherwise.
    """
    name = "/".join((ARRAY, "c", *map(str, place)))
    per_axis = [length // step for length, step in zip(array.shards, array.chunks, strict=True)]
    size = 16 * int(np.prod(per_axis)) + 4
    try:
        with (folder / name).open("rb") as file:
            total = file.seek(0, 2)
            if total < size:
                raise _damaged(name, f"it has {total} bytes, its index alone needs {size}")
            file.seek(total - size)
            tail = file.read(size)
    except FileNotFoundError:
        raise _damaged(name, "it is missing") from None
    except OSError as problem:
        raise _damaged(name, f"it does not read ({type(problem).__name__})") from problem
    if with_crc(tail[:-4]) != tail:
        raise _damaged(name, "its index fails its checksum")
    index = np.frombuffer(tail[:-4], "<u8").reshape(*per_axis, 2)
    within = tuple(
        slice(min(step, -(-(length - at * span) // unit)))
        for length, at, span, step, unit in zip(array.shape, place, array.shards, per_axis, array.chunks, strict=True)
    )
    wanted = index[within].reshape(-1, 2)
    if np.any(wanted == ABSENT):
        raise _damaged(name, f"{int(np.count_nonzero(np.any(wanted == ABSENT, axis=1)))} of its chunks are missing")
    if int(wanted.sum(axis=1).max()) > total - size or int(wanted[:, 1].sum()) != total - size:
        raise _damaged(name, "its chunks do not fill it")


def _damaged(name: str, what: str) -> StoreError:
    return StoreError(f"a stored volume is damaged: {name}: {what}; build again, the part that holds it is made anew")
