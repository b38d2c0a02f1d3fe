"""Images with one class each: in a folder per class, and as rows of Parquet."""

import io
from typing import Any, Final

import msgspec

from curate.phantom.cells import ERYTHROCYTE, LEUKOCYTE, PLATELET, SmearStyle, smear
from curate.phantom.encode import jpeg
from curate.phantom.folder import Folder
from curate.phantom.shapes import generator
from curate.phantom.truth import ImageTruth

__all__ = ["write_classes", "write_parquet"]

CLASSES: Final = {
    "Normal smear": SmearStyle(leukocytes=(0, 1)),
    "Iron deficiency anemia": SmearStyle(radius_px=(16, 24), pallor=(0.8, 0.92), pallor_depth=0.8, leukocytes=(0, 0)),
    "Hereditary spherocytosis": SmearStyle(
        radius_px=(18, 22), stretch=(1.0, 1.04), pallor_depth=0.0, leukocytes=(0, 0)
    ),
    "Hereditary elliptocytosis": SmearStyle(radius_px=(20, 24), stretch=(1.7, 2.3), leukocytes=(0, 0)),
}
"""Folder name of each class, and how its erythrocytes look."""


def write_classes(folder: Folder, images: int) -> list[ImageTruth]:
    """`<class>/smear0001.JPG`: the class is the name of the folder, with its spaces."""
    items: list[ImageTruth] = []
    for index in range(images):
        label = tuple(CLASSES)[index % len(CLASSES)]
        pixels, _ = smear(generator(folder.seed, folder.id, index), CLASSES[label])
        path = f"{label}/smear{index + 1:04d}.JPG"
        folder.write(path, jpeg(pixels))
        items.append(ImageTruth(path=path, width=pixels.shape[1], height=pixels.shape[0], label=label))
    return items


ALONE: Final = {
    ERYTHROCYTE: SmearStyle(erythrocytes=(1, 1), leukocytes=(0, 0), platelets=(0, 0), border=1.3),
    LEUKOCYTE: SmearStyle(erythrocytes=(0, 0), leukocytes=(1, 1), platelets=(0, 0), leukocyte_px=(26, 34), border=1.2),
    PLATELET: SmearStyle(erythrocytes=(0, 0), leukocytes=(0, 0), platelets=(1, 1), border=4.0),
}
"""How a picture of a single cell is drawn."""

CELL_PX: Final = 96
SHARD_ROWS: Final = 512
SLIDE_ROWS: Final = 6
"""Cells of one slide, which is the subject of this dataset."""


def write_parquet(folder: Folder, images: int) -> list[ImageTruth]:
    """`data/<split>-00000-of-00001.parquet` with `image: {bytes, path}`, `label` and `slide_id`."""
    rows: dict[str, list[dict[str, Any]]] = {}
    places: list[tuple[str, int, str]] = []  # split, row within the split, label
    for index in range(images):
        slide = index // SLIDE_ROWS
        split = "test" if slide % 4 == 3 else "train"
        label = tuple(ALONE)[(index + slide) % len(ALONE)]
        pixels, _ = smear(generator(folder.seed, folder.id, index), ALONE[label], CELL_PX, CELL_PX)
        own = rows.setdefault(split, [])
        places.append((split, len(own), label))
        image = {"bytes": jpeg(pixels, quality=92), "path": f"cell{index:06d}.jpg"}
        own.append({"image": image, "label": label, "slide_id": _slide(slide)})
    shards = {split: (len(own) + SHARD_ROWS - 1) // SHARD_ROWS for split, own in rows.items()}
    for split, own in sorted(rows.items()):
        for shard in range(shards[split]):
            part = own[shard * SHARD_ROWS : (shard + 1) * SHARD_ROWS]
            folder.write(_shard(split, shard, shards[split]), _parquet(part))
    return [
        ImageTruth(
            path=_shard(split, row // SHARD_ROWS, shards[split]),
            row=row % SHARD_ROWS,
            width=CELL_PX,
            height=CELL_PX,
            subject=_slide(index // SLIDE_ROWS),
            split=split,
            label=label,
        )
        for index, (split, row, label) in enumerate(places)
    ]


def _slide(number: int) -> str:
    return f"slide-{number:04d}"


def _shard(split: str, number: int, count: int) -> str:
    return f"data/{split}-{number:05d}-of-{count:05d}.parquet"


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {
        "image": {"_type": "Image"},
        **{name: {"dtype": "string", "_type": "Value"} for name in ("label", "slide_id")},
    }
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.string()),
            ("slide_id", pa.string()),
        ],
        metadata={"huggingface": msgspec.json.encode({"info": {"features": features}})},
    )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="snappy", row_group_size=128)
    return buffer.getvalue()
