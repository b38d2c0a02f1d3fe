"""Draws the picture of the README: images of a built corpus with what their annotations say and one pair each.

python docs/picture.py build/quickstart docs/quickstart.png
"""

import io
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageFont

from curate.catalog import Catalog, open_catalog
from curate.geometry import decode_mask
from curate.rows import Rle

CELL_PX = 360
TEXT_PX = 120
COLUMNS = 4
COLOURS = ("#ff5252", "#40c4ff", "#ffd740", "#69f0ae", "#e040fb", "#ffab40")


def main(corpus: Path, target: Path) -> None:
    """One example of each of up to twelve sources, of those that are pictures."""
    catalog = open_catalog(corpus)
    drawn = pl.col("form").is_in(["image", "slice"]) & pl.col("volume").is_null()
    pictures = catalog.assets.filter(drawn & pl.col("plane").fill_null("axial").eq("axial"))
    pairs = catalog.pairs.filter(pl.col("task").is_in(["grounding", "count", "label_caption", "points", "source_qa"]))
    pairs = pairs.with_columns(pl.col("asset_ids").list.first().alias("asset_id")).join(
        pictures, on="asset_id", how="semi"
    )
    chosen = pairs.collect().sort("pair_id").unique("source", keep="first", maintain_order=True).sort("source")
    rows = chosen.rows(named=True)[: 3 * COLUMNS]
    height = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_PX, height * (CELL_PX + TEXT_PX)), "white")
    for place, pair in enumerate(rows):
        sheet.paste(_cell(catalog, pair), ((place % COLUMNS) * CELL_PX, (place // COLUMNS) * (CELL_PX + TEXT_PX)))
    sheet.quantize(256).save(target, optimize=True)


def _cell(catalog: Catalog, pair: dict[str, Any]) -> Image.Image:
    asset_id = pair["asset_ids"][0]
    stored = catalog.images.filter(pl.col("asset_id") == asset_id).collect()["image"][0]["bytes"]
    picture = Image.open(io.BytesIO(stored))
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(float)
        picture = Image.fromarray((255 * (values - values.min()) / max(np.ptp(values), 1)).astype(np.uint8))
    scale = CELL_PX / max(picture.size)
    picture = picture.convert("RGB").resize([max(1, round(side * scale)) for side in picture.size])
    said = catalog.annotations.filter(pl.col("asset_id") == asset_id).collect()
    concepts = sorted({row["concept"] for row in said.rows(named=True) if row["concept"]})
    colours = {concept: COLOURS[number % len(COLOURS)] for number, concept in enumerate(concepts)}
    for row in said.rows(named=True):
        picture = _drawn(picture, row, scale, colours.get(row["concept"], COLOURS[0]))
    cell = Image.new("RGB", (CELL_PX, CELL_PX + TEXT_PX), "white")
    cell.paste(picture, ((CELL_PX - picture.width) // 2, 0))
    messages = [message["content"].replace("<image>\n", "") for message in pair["messages"]]
    lines = [line for text in (f"{pair['source']} · {pair['task']}", *messages) for line in textwrap.wrap(text, 58)[:3]]
    ImageDraw.Draw(cell).multiline_text((8, CELL_PX + 6), "\n".join(lines[:8]), "black", ImageFont.load_default(12))
    return cell


def _drawn(picture: Image.Image, row: dict[str, Any], scale: float, colour: str) -> Image.Image:
    if row["mask"]:
        mask = Image.fromarray(decode_mask(Rle(**row["mask"]))).resize(picture.size)
        return Image.composite(
            Image.blend(picture, Image.new("RGB", picture.size, colour), 0.45), picture, mask.convert("L")
        )
    draw = ImageDraw.Draw(picture)
    if row["polygons"]:
        for ring in row["polygons"]:
            draw.polygon([value * scale for value in ring], outline=colour)
    elif row["box"]:
        draw.rectangle([value * scale for value in row["box"]], outline=colour, width=2)
    elif row["point"]:
        x, y = (value * scale for value in row["point"])
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], outline=colour, width=2)
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
