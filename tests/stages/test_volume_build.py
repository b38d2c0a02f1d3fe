"""A build of volumes: stored is what was in the file, and pictures show the patient as radiologists expect."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.build import build
from curate.check import check
from curate.errors import CurateError
from curate.execute import Executing
from curate.geometry_3d import Grid, flat
from curate.stages.volume_planes import evenly_spread, picture_of_plane, slice_affine
from curate.store.volumes import attributes_of, open_volume

nibabel = pytest.importorskip("nibabel")

CARD = """
id: heads
title: Heads
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here}
images: {glob: "*.nii*", form: volume%s}
subject: {none: "drawn for a test"}
expected_rejects: {corrupt_image: 9, truncated_image: 9, no_geometry: 9}
"""
RECIPE = """
name: try
sources: [{card: heads.yaml, data: data}]
tasks: [label_caption]
%s
"""
CANARY = b"DOE^JANE"
SHAPE_XYZ = (20, 24, 16)
SPACING = (1.0, 1.5, 3.0)
SPOT_LPS = (-6.0, -12.0, 18.0)
"""A bright voxel on the patient's right, in front, above."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "heads.yaml").write_text(CARD % "")
    return tmp_path


def affine_ras(letters: str = "RAS") -> np.ndarray:
    """Of a grid that is centred in the patient, its axes growing towards these sides."""
    steps = np.zeros((4, 4))
    steps[3, 3] = 1
    for axis, letter in enumerate(letters):
        patient = next(n for n, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        steps[patient, axis] = SPACING[patient] * (1 if letter in "RAS" else -1)
    shape = np.array(shape_of(letters))
    steps[:3, 3] = -steps[:3, :3] @ ((shape - shape % 2) / 2)
    return steps


def shape_of(letters: str) -> tuple[int, ...]:
    return tuple(
        SHAPE_XYZ[next(n for n, pair in enumerate(("LR", "PA", "IS")) if letter in pair)] for letter in letters
    )


def head(path: Path, letters: str = "RAS", dtype: str = "i2", frames: int = 0) -> Path:
    """A ramp with one bright voxel, however its axes lie."""
    affine = affine_ras(letters)
    values = np.zeros(shape_of(letters), dtype)
    i, j, k = np.rint(np.linalg.inv(affine) @ np.array([-SPOT_LPS[0], -SPOT_LPS[1], SPOT_LPS[2], 1]))[:3].astype(int)
    values[i, j, k] = 1000
    if frames:
        values = np.stack([values] * frames, axis=3)
        values[..., 1:] = 7
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = CANARY
    image.header["db_name"] = CANARY
    image.header["aux_file"] = CANARY
    image.header["intent_name"] = CANARY
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", CANARY))
    nibabel.save(image, path)
    return path


def built(folder: Path, more: str = "", out: str = "out") -> dict[str, list[dict]]:
    (folder / f"{out}.yaml").write_text(RECIPE % more)
    build(folder / f"{out}.yaml", folder / out, executing=Executing(workers=1))
    tables = {}
    for name in ("assets", "images", "rejects", "files"):
        files = sorted((folder / out / name).rglob("*.parquet"))
        tables[name] = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []
    return tables


def of_form(tables: dict[str, list[dict]], form: str) -> list[dict]:
    return [row for row in tables["assets"] if row["form"] == form]


def picture(tables: dict[str, list[dict]], asset: dict) -> np.ndarray:
    (data,) = [row["image"]["bytes"] for row in tables["images"] if row["asset_id"] == asset["asset_id"]]
    return np.asarray(Image.open(io.BytesIO(data)))


SLICES = "volumes: {planes: [axial, coronal, sagittal], slices: 100, windows: [auto]}"


def test_the_bright_spot_is_where_a_radiologist_looks_for_it(folder: Path) -> None:
    """However the axes of the file lie: the patient's right is on the left, front and head are above or to the left."""
    for letters in ("LPS", "RAS", "ASL", "IPR"):
        head(folder / "data" / f"{letters}.nii.gz", letters)
    tables = built(folder, SLICES)
    width, height, depth = SHAPE_XYZ
    shows: dict[tuple[str, str], tuple[int, int]] = {}
    for asset in of_form(tables, "slice"):
        shown = picture(tables, asset)
        if shown.max() == 0:
            continue
        row, column = (int(at) for at in np.unravel_index(int(np.argmax(shown)), shown.shape))
        which = (asset["item_key"], asset["plane"])
        assert which not in shows, "one voxel lies in one slice of each plane"
        shows[which] = (row, column)
        affine = np.array(asset["affine_lps"]).reshape(4, 4)
        assert np.allclose(affine @ [column, row, 0, 1], [*SPOT_LPS, 1], atol=1e-4)
        spacing = np.linalg.norm(affine[:3, :2], axis=0)[::-1]
        assert asset["spacing_mm"] == pytest.approx(list(spacing))
        down, across = {
            "axial": (height, width),
            "coronal": (depth, width),
            "sagittal": (depth, height),
        }[asset["plane"]]
        assert row < down / 2
        assert column < across / 2
    assert len(shows) == 12


def test_a_volume_is_stored_with_its_place_and_values(folder: Path) -> None:
    path = head(folder / "data" / "a.nii", "RAS")
    tables = built(folder)
    (asset,) = tables["assets"]
    assert (asset["form"], asset["media_type"], asset["dtype"]) == ("volume", "application/zarr", "int16")
    assert (asset["width"], asset["height"], asset["depth"], asset["channels"]) == (*SHAPE_XYZ, 1)
    assert asset["spacing_mm"] == pytest.approx([3.0, 1.5, 1.0])
    assert asset["orientation"] == "RAS"
    assert asset["changes"] == ["reoriented:from=RAS"]
    assert asset["bit_depth"] == 16
    tree = folder / "out" / asset["volume"]
    values = np.asarray(nibabel.load(path).dataobj)
    assert np.array_equal(open_volume(tree)[...], values.T[:, ::-1, ::-1])
    said = attributes_of(tree)
    assert said["curate"]["affine_lps"] == asset["affine_lps"]
    (scales,) = said["ome"]["multiscales"]
    steps, origin = scales["datasets"][0]["coordinateTransformations"]
    assert steps["scale"] == asset["spacing_mm"]
    assert origin["translation"] == [asset["affine_lps"][at] for at in (11, 7, 3)]
    assert tables["files"][0]["role"] == "image"
    assert check(folder / "out").findings == ()


def test_the_same_volume_is_the_same_bytes_and_an_altered_one_is_found(folder: Path) -> None:
    head(folder / "data" / "a.nii.gz")
    (first,) = built(folder)["assets"]
    (second,) = built(folder, out="again")["assets"]
    assert first == second
    shard = next((folder / "out" / first["volume"] / "0" / "c").rglob("0"))
    while shard.is_dir():
        shard = shard / "0"
    data = bytearray(shard.read_bytes())
    data[5] ^= 1
    shard.write_bytes(data)
    assert check(folder / "out").findings
    with pytest.raises(ValueError):
        open_volume(folder / "out" / first["volume"])[...]


def test_text_of_a_header_reaches_no_output(folder: Path) -> None:
    head(folder / "data" / "a.nii")
    tables = built(folder, SLICES)
    assert CANARY in (folder / "data" / "a.nii").read_bytes()
    assert CANARY.decode() not in json.dumps(tables, default=str)
    for path in (folder / "out").rglob("*"):
        assert not path.is_file() or CANARY not in path.read_bytes(), path


def test_each_window_but_the_first_is_a_rendering_of_the_first(folder: Path) -> None:
    (folder / "heads.yaml").write_text(CARD % ", rescale_unit: HU")
    head(folder / "data" / "a.nii")
    tables = built(folder, "volumes: {slices: 2, windows: [lung, bone, auto]}")
    slices = of_form(tables, "slice")
    assert [(asset["position"], asset["window"]["name"]) for asset in slices] == [
        (position, name) for position in (4, 12) for name in ("lung", "bone", "percentile")
    ]
    (volume,) = of_form(tables, "volume")
    assert volume["rescale_unit"] == "HU"
    for asset in slices:
        first = next(one for one in slices if one["position"] == asset["position"])
        assert asset["rendering_of"] == (None if asset is first else first["asset_id"])
        assert asset["derived_from"] == volume["asset_id"]
    assert not tables["rejects"]


def test_a_window_in_hounsfield_units_needs_values_that_are(folder: Path) -> None:
    head(folder / "data" / "a.nii")
    tables = built(folder, "volumes: {slices: 1, windows: [lung, auto]}")
    assert [asset["window"]["name"] for asset in of_form(tables, "slice")] == ["percentile"]
    (row,) = tables["rejects"]
    assert (row["unit"], row["verdict"], row["reason"]) == ("region", "filtered", "no_unit")


def test_a_window_that_nobody_knows_stops_the_build(folder: Path) -> None:
    head(folder / "data" / "a.nii")
    with pytest.raises(CurateError, match="did you mean 'lung'"):
        built(folder, "volumes: {slices: 1, windows: [lungs]}")


def test_a_volume_that_states_no_orientation_has_no_planes(folder: Path) -> None:
    path = head(folder / "data" / "a.nii")
    data = bytearray(path.read_bytes())
    data[252:256] = bytes(4)
    path.write_bytes(data)
    tables = built(folder, SLICES)
    (volume,) = tables["assets"]
    assert volume["spacing_mm"] is None
    assert volume["affine_lps"] is None
    assert volume["orientation"] is None
    assert [row["reason"] for row in tables["rejects"]] == ["no_geometry"]
    (scales,) = attributes_of(folder / "out" / volume["volume"])["ome"]["multiscales"]
    assert all("unit" not in axis for axis in scales["axes"])


def test_slices_shrink_with_their_geometry(folder: Path) -> None:
    head(folder / "data" / "a.nii")
    whole = built(folder, "volumes: {planes: [sagittal], slices: 1}")
    small = built(folder, "volumes: {planes: [sagittal], slices: 1}\nimages: {longest_side: 12}", out="small")
    (before,), (after,) = of_form(whole, "slice"), of_form(small, "slice")
    assert (before["width"], before["height"]) == (24, 16)
    assert (after["width"], after["height"]) == (12, 8)
    assert after["spacing_mm"] == pytest.approx([6.0, 3.0])
    assert "resized:24x16->12x8" in after["changes"]
    one, other = (np.array(asset["affine_lps"]).reshape(4, 4) for asset in (before, after))
    assert np.allclose(one @ [-0.5, -0.5, 0, 1], other @ [-0.5, -0.5, 0, 1]), "the outer corner stays"
    assert np.allclose(one @ [23.5, 15.5, 0, 1], other @ [11.5, 7.5, 0, 1])


def test_pictures_of_a_row_of_volumes_are_of_the_first(folder: Path) -> None:
    head(folder / "data" / "a.nii.gz", frames=3)
    tables = built(folder, "volumes: {slices: 1}")
    (volume,), (asset,) = of_form(tables, "volume"), of_form(tables, "slice")
    assert volume["timepoints"] == 3
    assert asset["changes"] == ["timepoint:0 of 3"]


def test_an_oblique_plane_says_so(folder: Path) -> None:
    angle = np.radians(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), "i2"), turn), folder / "data" / "a.nii")
    tables = built(folder, "volumes: {planes: [axial, coronal], slices: 1}")
    axial, coronal = of_form(tables, "slice")
    assert axial["changes"] == []
    assert coronal["changes"] == ["oblique:degrees=20.0"]


def test_a_volume_that_breaks_off_leaves_no_tree_behind(folder: Path) -> None:
    path = head(folder / "data" / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-20])
    tables = built(folder)
    assert not tables["assets"]
    assert [row["reason"] for row in tables["rejects"]] == ["truncated_image"]
    assert len(tables["files"]) == 1, "what is refused is known by its bytes too"
    assert not list((folder / "out" / "volumes").rglob("*.zarr"))
    assert not list((folder / "out").rglob(".tmp-*"))


def test_slices_are_spread_evenly() -> None:
    assert evenly_spread(1, 10) == [5]
    assert evenly_spread(2, 10) == [2, 7]
    assert evenly_spread(10, 10) == evenly_spread(99, 10) == list(range(10))
    for count in range(1, 40):
        chosen = evenly_spread(count, 37)
        assert len(set(chosen)) == min(count, 37)
        assert set(chosen) <= set(range(37))


def test_a_picture_and_its_affine_agree_for_every_plane() -> None:
    """Also where the grid is sheared: the place of each pixel is that of the voxel that it shows."""
    matrix = np.array([[1.0, 0.1, 0.2, 5], [-0.1, 1.5, 0.6, 6], [0, 0.1, 3, 7], [0, 0, 0, 1]])
    grid = Grid((3, 4, 5), flat(matrix))
    z, y, x = np.indices(grid.shape)
    places = np.moveaxis(np.tensordot(matrix, np.stack([x, y, z, np.ones_like(x)]), 1), 0, -1)
    for axis in range(3):
        for index in range(grid.shape[axis]):
            affine = slice_affine(grid, axis, index)
            shown = picture_of_plane(np.take(places, index, axis=axis), axis)
            for row, column in np.ndindex(*shown.shape[:2]):
                assert np.allclose(affine @ [column, row, 0, 1], shown[row, column])


def test_the_real_files_of_nibabel_build_as_their_card_says(test_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = test_data("nibabel-formats")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"name: try\nsources: [{{card: nibabel-formats, data: {data}}}]\ntasks: [label_caption]\n"
        "volumes: {planes: [axial, coronal, sagittal], slices: 1}\n"
    )
    done = build(recipe, tmp_path / "out", executing=Executing(workers=1))
    assert done.shortfalls == ()
    assert check(tmp_path / "out").findings == ()
