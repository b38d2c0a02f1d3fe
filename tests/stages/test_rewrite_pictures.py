"""What a model sees: the picture that a person would see of the very thing that it is asked about, or none."""

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from curate.errors import RecipeError
from curate.images import decode
from curate.recipe import load_recipe
from curate.schema import Form
from curate.stages.asking import pictures_of
from curate.testing.scripted import ScriptedServer, well
from tests.crash.small import curate, draw, write_csv, write_yaml
from tests.images import made_videos
from tests.stages.rewriting import built_here
from tests.tasks.subjects import asset

TERMS = {"licence": "MIT", "quote": "MIT", "read_at": "nowhere", "deidentified": True}
LABELS = {
    "layout": "table",
    "files": "labels.csv",
    "image": "name",
    "world": "complete",
    "columns": {"finding": {"kind": "multilabel"}},
}
CARD: dict[str, Any] = {
    "id": "mixed",
    "title": "Whatever a ward has",
    "source": {"home": "nowhere"},
    "terms": TERMS,
    "modality": "computed tomography",
    "images": {"glob": "files/*"},
    "labels": [LABELS],
    "subject": {"none": "a test"},
    "paths_identify": False,
}
DICOM = ("CT_small.dcm", "examples_rgb_color.dcm")


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with built_here():
        yield


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def made(folder: Path, **recipe: Any) -> tuple[Path, list[dict[str, Any]]]:
    """A corpus of two DICOM files, a PNG, a 16-bit PNG and a video, and what its model was asked."""
    files = folder / "data" / "files"
    files.mkdir(parents=True)
    for name in DICOM:
        (files / name).write_bytes(Path(str(get_testdata_file(name, download=False))).read_bytes())
    draw(files / "plain.png", 1)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16).save(files / "deep.png")
    (files / "clip.mp4").write_bytes(made_videos.video(number=12))
    names = sorted(path.name for path in files.iterdir())
    write_csv(
        folder / "data" / "labels.csv", ["name", "finding"], [[f"files/{name}", "pleural effusion"] for name in names]
    )
    write_yaml(folder / "mixed.yaml", CARD)
    with ScriptedServer(well) as server:
        rewrite = {"model": "m", "completer": {"name": "openai", "url": server.url}, "see_image": True, "variants": 1}
        plain = {"name": "mixed", "sources": [{"card": "mixed.yaml", "data": "data"}], "tasks": ["label_caption"]}
        write_yaml(folder / "recipe.yaml", plain | recipe | {"rewrite": rewrite | recipe.get("rewrite", {})})
        said = curate("build", folder / "recipe.yaml", "--out", folder / "out")
        assert said.code == 0, said.text
        return folder / "out", server.bodies


def picture(body: dict[str, Any]) -> bytes | None:
    """The picture that goes along with a request."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return None
    (url,) = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    head, _, data = url.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    found = base64.b64decode(data)
    assert Image.open(io.BytesIO(found)).get_format_mimetype() == head.removeprefix("data:").removesuffix(";base64")
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | None]:
    """File name -> the picture that went along when its caption was asked for."""
    with built_here():
        out, bodies = made(tmp_path_factory.mktemp("seen"))
    items = {row["asset_id"]: row["item_key"] for row in rows(out, "assets")}
    stored = {row["asset_id"]: row["image"]["bytes"] for row in rows(out, "images")}
    asked = {row["request_id"]: row for row in rows(out, "requests")}
    found: dict[str, bytes | None] = {}
    for pair in rows(out, "pairs"):
        row = asked[pair["request_id"]]
        shown = None if row["image_asset_id"] is None else stored[row["image_asset_id"]]
        assert shown is None or row["image_sha256"] == hashlib.sha256(shown).hexdigest()
        assert shown in {picture(body) for body in bodies}
        found[Path(items[pair["asset_ids"][0]]).name] = shown
    return found


def test_a_picture_that_anybody_can_show_goes_along_as_its_own_bytes(seen: dict[str, Any], tmp_path: Path) -> None:
    draw(tmp_path / "plain.png", 1)
    assert seen["plain.png"] == (tmp_path / "plain.png").read_bytes()


def test_of_sixteen_bits_the_eight_that_a_person_would_see_go_along(seen: dict[str, Any]) -> None:
    pixels = decode(seen["CT_small.dcm"])
    assert pixels.dtype == np.uint8
    assert pixels.min() < 64
    assert pixels.max() > 192


def test_a_colour_dicom_file_goes_along_in_colour(seen: dict[str, Any]) -> None:
    pixels = decode(seen["examples_rgb_color.dcm"])
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


@pytest.mark.parametrize("name", ["clip.mp4", "deep.png"])
def test_what_no_picture_shows_is_asked_about_in_words_alone(seen: dict[str, Any], name: str) -> None:
    """Of a video no single picture tells, and nothing says through which window sixteen bits of a PNG are seen."""
    assert seen[name] is None


def test_equal_facts_about_two_pictures_are_two_requests(seen: dict[str, Any], tmp_path: Path) -> None:
    pictures = [shown for shown in seen.values() if shown is not None]
    assert len(set(pictures)) == len(pictures) == 3
    out, bodies = made(tmp_path, rewrite={"see_image": False})
    assert len(bodies) == len({row["request_id"] for row in rows(out, "pairs")}) < len(seen)
    assert all(picture(body) is None for body in bodies)


def test_a_slice_is_seen_through_its_own_window_and_a_rendering_stands_for_what_it_shows() -> None:
    png: dict[str, Any] = {"media_type": "image/png"}
    first = asset("first", form=Form.SLICE, **png)
    bone = asset("bone", form=Form.SLICE, rendering_of=first.asset_id, **png)
    deep = asset("deep", bit_depth=16, **png)
    shown = asset("shown", form=Form.RENDERING, rendering_of=deep.asset_id, **png)
    others = [
        asset("volume", form=Form.VOLUME, media_type="application/zarr", bit_depth=16),
        asset("video", form=Form.VIDEO, media_type="video/mp4"),
        asset("unshown", bit_depth=16, **png),
        asset("tiff", media_type="image/tiff"),
    ]
    for order in ([first, bone, deep, shown, *others], [*others, shown, deep, bone, first]):
        found = pictures_of(order)
        assert found[first.asset_id] is first
        assert found[deep.asset_id] is shown
        assert not {each.asset_id for each in others} & found.keys()


@pytest.mark.parametrize("change", [{"see_image": True}, {"language": "zh"}])
def test_what_slots_mode_cannot_do_is_refused_where_the_recipe_is_read(tmp_path: Path, change: dict[str, Any]) -> None:
    rewrite = {"model": "m", "completer": "replay", "mode": "slots"} | change
    write_yaml(tmp_path / "recipe.yaml", {"name": "r", "sources": ["x"], "tasks": ["count"], "rewrite": rewrite})
    with pytest.raises(RecipeError, match=r"slots mode .* say `mode: free`"):
        load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": " "}, "`model` is empty"),
        ({"variants": 0}, "variants is at least 1"),
        ({"max_tokens": 0}, "max_tokens is at least 1"),
        ({"temperature": -0.1}, "temperature is at least 0"),
        ({"temperature": float("nan")}, "temperature is at least 0"),
        ({"temperature": float("inf")}, "temperature is at least 0"),
        ({"top_p": 0}, "top_p lies above 0"),
        ({"top_p": 1.5}, "top_p lies above 0"),
        ({"mode": "poetry"}, "mode"),
        ({"language": "de"}, "language"),
        ({"completer": None}, "completer"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_rewriter_without_sense_is_refused_where_the_recipe_is_read(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    rewrite = {"model": "m", "completer": "replay"} | change
    write_yaml(tmp_path / "recipe.yaml", {"name": "r", "sources": ["x"], "tasks": ["count"], "rewrite": rewrite})
    with pytest.raises(RecipeError, match=told):
        load_recipe(tmp_path / "recipe.yaml")
