"""A stored volume holds what was handed in, says where it lies, and never reads as zeros what is not there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.errors import StoreError
from curate.store import shards
from curate.store.trees import digest_of_tree, files_of
from curate.store.volumes import attributes_of, open_volume, write_volume

SHAPES = {
    "yx": (7, 9),
    "yxc": (7, 9, 3),
    "zyx": (5, 7, 9),
    "zyxc": (5, 7, 9, 3),
    "tzyx": (3, 5, 7, 9),
    "tzyxc": (3, 5, 7, 9, 3),
}
DTYPES = ["?", "u1", "i1", "<u2", "<i2", ">i2", "<u4", "<i4", "<u8", "<i8", "<f4", ">f4", "<f8"]


def sample(shape: tuple[int, ...], dtype: str = "<i2") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2 if dtype == "?" else 120, shape).astype(dtype)


def write(folder: Path, array: np.ndarray, axes: str, **more) -> str:
    slabs = (array[at : at + 1] for at in range(len(array)))
    return write_volume(folder, slabs, shape=array.shape, dtype=array.dtype, axes=axes, **more)


def as_stored(array: np.ndarray, axes: str) -> np.ndarray:
    """OME-Zarr has channels before space."""
    return np.moveaxis(array, -1, 1 if axes[0] == "t" else 0) if axes.endswith("c") else array


@pytest.mark.parametrize("axes", SHAPES)
def test_arrays_of_every_kind_come_back_as_they_went_in(tmp_path: Path, axes: str) -> None:
    array = sample(SHAPES[axes])
    write(tmp_path / "v", array, axes)
    stored = open_volume(tmp_path / "v")
    assert np.array_equal(stored[...], as_stored(array, axes))
    assert list(stored.metadata.dimension_names) == list(attributes_of(tmp_path / "v")["curate"]["axes"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_every_type_come_back_in_the_order_of_bytes_of_this_store(tmp_path: Path, dtype: str) -> None:
    array = sample((4, 6, 5), dtype)
    write(tmp_path / "v", array, "zyx")
    stored = open_volume(tmp_path / "v")
    assert np.array_equal(stored[...], array)
    assert stored.dtype == np.dtype(dtype).newbyteorder("<")


def test_a_digest_is_of_shape_and_values_whatever_the_pieces_and_the_type(tmp_path: Path) -> None:
    array = sample((6, 7, 9))
    ones = write(tmp_path / "a", array, "zyx")
    whole = write_volume(tmp_path / "b", [array], shape=array.shape, dtype=array.dtype, axes="zyx")
    big = write(tmp_path / "c", array.astype(">i2"), "zyx")
    view = write(tmp_path / "d", np.asfortranarray(array), "zyx")
    assert ones == whole == big == view
    assert ones == write(tmp_path / "e", array.astype("<f8"), "zyx")
    stored = write(tmp_path / "g", (array.astype("<i4") + 1024).astype("<u2"), "zyx", rescale=(1.0, -1024.0))
    assert ones == stored, "integers with an intercept are the values that they stand for"
    assert ones != write(tmp_path / "h", array, "zyx", rescale=(1.0, 1.0))
    assert ones != write(tmp_path / "f", array.reshape(6, 9, 7), "zyx")
    trees = {digest_of_tree(tmp_path / name) for name in "abcd"}
    assert len(trees) == 1, "the same volume is the same bytes"


def test_a_volume_of_several_shards_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 3 * 7 * 9 * 2)
    for axes, several in (("zyx", 2), ("tzyx", 6)):
        array = sample(SHAPES[axes])
        write(tmp_path / axes, array, axes)
        assert np.array_equal(open_volume(tmp_path / axes)[...], array)
        assert sum("/c/" in name for name, _ in files_of(tmp_path / axes)) == several
    array = sample((7, 1, 7, 9))
    write(tmp_path / "times", array, "tzyx")
    assert open_volume(tmp_path / "times").shards == (3, 1, 7, 9)
    assert np.array_equal(open_volume(tmp_path / "times")[...], array)


def test_the_metadata_are_those_of_ome_zarr(tmp_path: Path) -> None:
    write(
        tmp_path / "v",
        sample((2, 3, 4, 5)),
        "tzyx",
        scale=(1.5, 3.0, 2.0, 0.5),
        translation=(0.0, -10.0, 20.0, 30.0),
        units={"t": "second", "z": "millimeter", "y": "millimeter", "x": "millimeter"},
        attributes={"orientation": "RAS"},
    )
    group = json.loads((tmp_path / "v" / "zarr.json").read_text())
    assert group["zarr_format"] == 3
    assert group["attributes"]["ome"]["version"] == "0.5"
    (scales,) = group["attributes"]["ome"]["multiscales"]
    assert scales["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        *({"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"),
    ]
    (dataset,) = scales["datasets"]
    assert dataset == {
        "path": "0",
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.5, 3.0, 2.0, 0.5]},
            {"type": "translation", "translation": [0.0, -10.0, 20.0, 30.0]},
        ],
    }
    assert attributes_of(tmp_path / "v")["curate"]["orientation"] == "RAS"
    array = json.loads((tmp_path / "v" / "0" / "zarr.json").read_text())
    (sharding,) = array["codecs"]
    assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes", "blosc", "crc32c"]
    assert [codec["name"] for codec in sharding["configuration"]["index_codecs"]] == ["bytes", "crc32c"]


def test_a_scale_that_nobody_stated_has_no_unit(tmp_path: Path) -> None:
    write(tmp_path / "v", sample((2, 3, 4)), "zyx")
    (scales,) = attributes_of(tmp_path / "v")["ome"]["multiscales"]
    assert all("unit" not in axis for axis in scales["axes"])
    assert [one["type"] for one in scales["datasets"][0]["coordinateTransformations"]] == ["scale"]


def test_an_empty_plane_is_written_too(tmp_path: Path) -> None:
    array = np.full((3, 4, 5), np.iinfo("i2").min, "<i2")
    write(tmp_path / "v", array, "zyx")
    assert np.array_equal(open_volume(tmp_path / "v")[...], array)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * 7 * 9 * 2)
    array = sample((5, 7, 9))
    write(tmp_path / "v", array, "zyx", scale=(1.0, 2.0, 3.0))
    return tmp_path / "v", array


def outcome(folder: Path, wanted: np.ndarray) -> str:
    """`refused`, `same` or, what may never be, `silent`."""
    try:
        array = open_volume(folder)
        values = array[...]
        scale = attributes_of(folder)["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    except (StoreError, ValueError):
        return "refused"
    same = values.dtype == wanted.dtype and np.array_equal(values, wanted) and scale == [1.0, 2.0, 3.0]
    return "same" if same else "silent"


def test_a_missing_shard_is_named(stored: tuple[Path, np.ndarray]) -> None:
    folder, _ = stored
    (folder / "0/c/1/0/0").unlink()
    with pytest.raises(StoreError, match="0/c/1/0/0: it is missing"):
        open_volume(folder)


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json"])
def test_missing_metadata_are_named(stored: tuple[Path, np.ndarray], name: str) -> None:
    folder, _ = stored
    (folder / name).unlink()
    with pytest.raises(StoreError, match=f"{name}: it is missing"):
        open_volume(folder)


def damages() -> list[Callable[[bytes], bytes]]:
    return [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
    ]


def test_what_was_cut_or_blanked_is_never_read_in_silence(stored: tuple[Path, np.ndarray]) -> None:
    folder, array = stored
    for name, path in list(files_of(folder)):
        whole = path.read_bytes()
        for number, damage in enumerate(damages()):
            path.write_bytes(damage(whole))
            assert outcome(folder, array) == "refused", f"{name}, damage {number}"
        path.write_bytes(whole)
    assert outcome(folder, array) == "same"


def test_a_flipped_bit_is_never_read_in_silence(stored: tuple[Path, np.ndarray]) -> None:
    folder, array = stored
    for name, path in list(files_of(folder)):
        whole = bytearray(path.read_bytes())
        wanted = "refused" if "/c/" in name else None  # white space of JSON says nothing
        for at in range(0, len(whole), 1 if "/c/" not in name else 3):
            whole[at] ^= 1 << at % 8
            path.write_bytes(whole)
            found = outcome(folder, array)
            assert found != "silent" and wanted in (None, found), f"{name} byte {at}"
            whole[at] ^= 1 << at % 8
        path.write_bytes(whole)


def test_a_shard_in_the_place_of_another_is_refused_or_is_its_own(stored: tuple[Path, np.ndarray]) -> None:
    """A swap of two whole shards passes every checksum within: the digest of the tree is what tells it."""
    folder, _ = stored
    before = digest_of_tree(folder)
    first, second = folder / "0/c/0/0/0", folder / "0/c/1/0/0"
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert digest_of_tree(folder) != before


def test_pieces_that_do_not_add_up_are_an_error(tmp_path: Path) -> None:
    array = sample((4, 3, 3))
    with pytest.raises(ValueError, match="3 planes came, the shape has 4"):
        write_volume(tmp_path / "a", [array[:3]], shape=(4, 3, 3), dtype="<i2", axes="zyx")
    with pytest.raises(ValueError, match="more planes"):
        write_volume(tmp_path / "b", [array, array], shape=(4, 3, 3), dtype="<i2", axes="zyx")
    with pytest.raises(ValueError, match="does not fit"):
        write_volume(tmp_path / "c", [array.astype("<i4")], shape=(4, 3, 3), dtype="<i2", axes="zyx")
    with pytest.raises(ValueError, match="does not fit"):
        write_volume(tmp_path / "d", [array[:, :2]], shape=(4, 3, 3), dtype="<i2", axes="zyx")


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [((2, 2), "<c8", "yx"), ((2, 2), "<i2", "zyx"), ((0, 2, 2), "<i2", "zyx"), ((2, 2, 2), "<i2", "xyz")],
)
def test_what_cannot_be_stored_is_an_error(tmp_path: Path, shape: tuple[int, ...], dtype: str, axes: str) -> None:
    with pytest.raises(ValueError):
        write_volume(tmp_path / "v", [], shape=shape, dtype=dtype, axes=axes)
