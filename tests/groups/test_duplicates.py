"""The same picture in two datasets, in other bytes, stays in one split."""

import io

import polars as pl
import pytest
from PIL import Image, PngImagePlugin

import curate
from curate.build import build
from curate.execute import Executing
from curate.phantom import write_phantoms

CARD = """
id: {id}
title: Smears
source: {{home: example.org}}
terms: {{licence: CC0-1.0, quote: "public domain", read_at: README}}
modality: light microscopy
images: {{glob: "**/*.*"}}
labels: [{{layout: folders, world: exclusive}}]
subject: {subject}
"""


def png(picture: Image.Image, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **settings)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """One source of JPEG files; another with copies of three of them and a picture of its own."""
    root = tmp_path_factory.mktemp("duplicates")
    write_phantoms(root / "phantoms", images=6, only=["phantom-cells-voc"])
    jpegs = sorted((root / "phantoms").rglob("*.jpg"))
    first, second = root / "data" / "first" / "smear", root / "data" / "second" / "smear"
    first.mkdir(parents=True)
    second.mkdir(parents=True)
    for number, path in enumerate(jpegs):
        (first / f"patient{number}_1.jpg").write_bytes(path.read_bytes())
    decoded = [Image.open(path).convert("RGB") for path in jpegs]
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "exported")
    (second / "bytes.jpg").write_bytes(jpegs[0].read_bytes())
    (second / "pixels.png").write_bytes(png(decoded[1]))
    (second / "pixels-and-text.png").write_bytes(png(decoded[2], pnginfo=text, compress_level=1))
    nearly = decoded[3].copy()
    nearly.putpixel((10, 10), (1, 2, 3))
    (second / "one-pixel-off.png").write_bytes(png(nearly))
    (root / "first.yaml").write_text(CARD.format(id="first", subject='{pattern: "(?P<subject>patient[0-9]+)_"}'))
    (root / "second.yaml").write_text(CARD.format(id="second", subject="{none: not published}"))
    (root / "both.yaml").write_text("name: both\nsources: [first.yaml, second.yaml]\ntasks: [label_caption]\n")
    build(root / "both.yaml", root / "out", root / "data", executing=Executing(workers=1))
    catalog = curate.open_catalog(root / "out")
    keys = catalog.assets.select("asset_id", "item_key", "image_sha256")
    return catalog.groups.join(keys, on="asset_id").collect()


def row(groups: pl.DataFrame, name: str) -> dict[str, object]:
    return groups.filter(pl.col("item_key") == f"smear/{name}").row(0, named=True)


@pytest.mark.parametrize(
    ("copy", "original", "kind"),
    [
        ("bytes.jpg", "patient0_1.jpg", "bytes"),
        ("pixels.png", "patient1_1.jpg", "pixels"),
        ("pixels-and-text.png", "patient2_1.jpg", "pixels"),
    ],
)
def test_a_copy_is_found_across_sources_and_shares_the_split(
    groups: pl.DataFrame, copy: str, original: str, kind: str
) -> None:
    one, other = row(groups, copy), row(groups, original)
    assert one["group_id"] == other["group_id"]
    assert one["split"] == other["split"]
    assert one["duplicate_kind"] == other["duplicate_kind"] == kind
    assert {one["duplicate_of"], other["duplicate_of"]} == {None, min(str(one["asset_id"]), str(other["asset_id"]))}


def test_one_other_pixel_makes_another_picture(groups: pl.DataFrame) -> None:
    nearly, original = row(groups, "one-pixel-off.png"), row(groups, "patient3_1.jpg")
    assert nearly["pixel_sha256"] != original["pixel_sha256"]
    assert nearly["duplicate_kind"] is None
    assert nearly["group_id"] != original["group_id"]


def test_pixels_are_only_decoded_again_where_the_cheap_hash_collides(groups: pl.DataFrame) -> None:
    assert row(groups, "patient5_1.jpg")["pixel_sha256"] is None
    assert row(groups, "patient1_1.jpg")["pixel_sha256"] is not None
