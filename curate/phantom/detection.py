"""Blood smears in the layouts of detection: Pascal VOC, COCO, YOLO and lines of points."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from curate.phantom.cells import ERYTHROCYTE, LEUKOCYTE, PLATELET, Cell, SmearStyle, smear
from curate.phantom.encode import coco_string, jpeg
from curate.phantom.folder import SPLITS, Folder, counts_of, object_of, split_of
from curate.phantom.shapes import Bytes, generator
from curate.phantom.truth import ImageTruth, ObjectTruth
from curate.schema import Kind

__all__ = ["write_coco", "write_points", "write_voc", "write_yolo"]

WIDTH, HEIGHT = 640, 480

CONCEPTS: Final = (ERYTHROCYTE, LEUKOCYTE, PLATELET)

EMPTY: Final = SmearStyle(erythrocytes=(0, 0), leukocytes=(0, 0), platelets=(0, 0))

EMPTY_EVERY: Final = 12
"""One field in so many holds no cell at all: a label file that says nothing says zero."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One image of a dataset, drawn."""

    index: int
    split: str
    pixels: Bytes
    cells: tuple[Cell, ...]


def _scene(folder: Folder, index: int) -> Scene:
    style = EMPTY if index % EMPTY_EVERY == EMPTY_EVERY // 2 - 1 else SmearStyle()
    pixels, cells = smear(generator(folder.seed, folder.id, index), style, WIDTH, HEIGHT)
    return Scene(index, split_of(index), pixels, cells)


def _item(path: str, split: str | None, objects: tuple[ObjectTruth, ...]) -> ImageTruth:
    counts = counts_of(objects, CONCEPTS)
    return ImageTruth(path=path, width=WIDTH, height=HEIGHT, split=split, objects=objects, counts=counts)


def write_voc(folder: Folder, images: int) -> list[ImageTruth]:
    """`Annotations/*.xml` with 1-based inclusive boxes, `JPEGImages`, and lists of stems in `ImageSets/Main`."""
    labels = {ERYTHROCYTE: "RBC", LEUKOCYTE: "WBC", PLATELET: "Platelets"}
    lists: dict[str, list[str]] = {"train": [], "val": [], "trainval": [], "test": []}
    items: list[ImageTruth] = []
    for index in range(images):
        scene = _scene(folder, index)
        stem = f"Smear_{index:05d}"
        objects = tuple(object_of(cell, Kind.BOX, labels[cell.concept]) for cell in scene.cells)
        names = {"train": ("train", "trainval"), "valid": ("trainval", "val"), "test": ("test",)}[scene.split]
        for name in names:
            lists[name].append(stem)
        path = f"JPEGImages/{stem}.jpg"
        folder.write(path, jpeg(scene.pixels))
        folder.write(f"Annotations/{stem}.xml", _voc_xml(f"{stem}.jpg", objects))
        items.append(_item(path, "+".join(names), objects))
    for name, stems in lists.items():
        if stems:
            folder.write(f"ImageSets/Main/{name}.txt", "".join(f"{stem}\n" for stem in stems))
    return items


VOC_PAGE: Final = """\
<annotation>
\t<folder>JPEGImages</folder>
\t<filename>{name}</filename>
\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
\t<segmented>0</segmented>
{objects}</annotation>
"""

VOC_OBJECT: Final = """\
\t<object>
\t\t<name>{label}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>{truncated:d}</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{xmin:.0f}</xmin>
\t\t\t<ymin>{ymin:.0f}</ymin>
\t\t\t<xmax>{xmax:.0f}</xmax>
\t\t\t<ymax>{ymax:.0f}</ymax>
\t\t</bndbox>
\t</object>
"""


def _voc_xml(name: str, objects: tuple[ObjectTruth, ...]) -> str:
    """First and last pixel of each box, counted from 1."""
    parts = [
        VOC_OBJECT.format(
            label=one.label,
            truncated=one.truncated,
            xmin=one.box[0] + 1,
            ymin=one.box[1] + 1,
            xmax=one.box[2],
            ymax=one.box[3],
        )
        for one in objects
    ]
    return VOC_PAGE.format(name=name, width=WIDTH, height=HEIGHT, objects="".join(parts))


def write_coco(folder: Folder, images: int) -> list[ImageTruth]:
    """One `_annotations.coco.json` per split folder: polygons, both kinds of run lengths, and plain boxes in turn.

    Category 0 is the name of the whole set and is used by no object, as some exporters write it.
    """
    labels = {ERYTHROCYTE: "rbc", LEUKOCYTE: "wbc", PLATELET: "platelet"}
    numbers = {label: number for number, label in enumerate(labels.values(), start=1)}
    categories = [{"id": 0, "name": "cells", "supercategory": "none"}]
    categories += [{"id": number, "name": label, "supercategory": "cells"} for label, number in numbers.items()]
    items: list[ImageTruth] = []
    files: dict[str, dict[str, list[Any]]] = {}
    for index in range(images):
        scene = _scene(folder, index)
        content = files.setdefault(scene.split, {"images": [], "annotations": []})
        name = f"smear-{index:05d}.jpg"
        folder.write(f"{scene.split}/{name}", jpeg(scene.pixels))
        content["images"].append({"id": index, "license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH})
        objects: list[ObjectTruth] = []
        for turn, cell in enumerate(scene.cells):
            one, segmentation = _segmented(cell, labels[cell.concept], turn)
            x0, y0, x1, y1 = one.box
            box = [x0, y0, x1 - x0, y1 - y0]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": index,
                    "category_id": numbers[one.label],
                    "bbox": box,
                    "area": one.area_px if segmentation else box[2] * box[3],
                    "segmentation": segmentation,
                    "iscrowd": 0,
                }
            )
            objects.append(one)
        items.append(_item(f"{scene.split}/{name}", scene.split, tuple(objects)))
    licences = [{"id": 1, "name": "CC0-1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}]
    for split in SPLITS:
        if split in files:
            info = {"description": "made by curate phantom", "version": "1"}
            content = {"info": info, "licenses": licences, "categories": categories, **files[split]}  # type: ignore[dict-item]
            folder.write(f"{split}/_annotations.coco.json", msgspec.json.encode(content) + b"\n")
    return items


def _segmented(cell: Cell, label: str, turn: int) -> tuple[ObjectTruth, Any]:
    """The cell with the geometry of its turn, and COCO's `segmentation` of it: half polygons, a quarter masks."""
    if turn % 4 in (0, 2):
        polygon = cell.blob.outline()
        return msgspec.structs.replace(object_of(cell, Kind.POLYGON, label), polygon=polygon), [list(polygon)]
    if turn % 4 == 1:
        rle = cell.blob.rle(WIDTH, HEIGHT)
        counts = coco_string(rle.counts) if turn % 8 == 1 else rle.counts
        one = msgspec.structs.replace(object_of(cell, Kind.MASK, label), mask=rle)
        return one, {"size": [HEIGHT, WIDTH], "counts": counts}
    return object_of(cell, Kind.BOX, label), []


def write_yolo(folder: Folder, images: int) -> list[ImageTruth]:
    """`<split>/images` beside `<split>/labels`, and `data.yaml` with the names; fractions to ten digits."""
    labels = {ERYTHROCYTE: "RBC", LEUKOCYTE: "WBC", PLATELET: "Platelets"}
    numbers = {label: number for number, label in enumerate(labels.values())}
    items: list[ImageTruth] = []
    for index in range(images):
        scene = _scene(folder, index)
        objects = tuple(object_of(cell, Kind.BOX, labels[cell.concept]) for cell in scene.cells)
        path = f"{scene.split}/images/smear_{index:05d}.jpg"
        folder.write(path, jpeg(scene.pixels))
        lines = "".join(f"{numbers[one.label]} {_fractions(one)}\n" for one in objects)
        folder.write(f"{scene.split}/labels/smear_{index:05d}.txt", lines)
        items.append(_item(path, scene.split, objects))
    folder.write(
        "data.yaml",
        "".join(f"{key}: ../{split}/images\n" for key, split in zip(("train", "val", "test"), SPLITS, strict=True))
        + f"\nnc: {len(labels)}\nnames: [{', '.join(labels.values())}]\n",
    )
    return items


def _fractions(one: ObjectTruth) -> str:
    x0, y0, x1, y1 = one.box
    numbers = ((x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
    return " ".join(f"{number:.10f}" for number in numbers)


def write_points(folder: Folder, images: int) -> list[ImageTruth]:
    """`Label/N.txt`, one "x y type" line per cell with the number of the centre pixel; `Dataset/N.jpg`."""
    numbers = {ERYTHROCYTE: "0", LEUKOCYTE: "1", PLATELET: "2"}
    items: list[ImageTruth] = []
    for index in range(images):
        scene = _scene(folder, index)
        objects = tuple(object_of(cell, Kind.POINT, numbers[cell.concept]) for cell in scene.cells)
        path = f"Dataset/{index + 1}.jpg"
        folder.write(path, jpeg(scene.pixels))
        lines = (f"{cell.blob.centre[0]} {cell.blob.centre[1]} {numbers[cell.concept]}\n" for cell in scene.cells)
        folder.write(f"Label/{index + 1}.txt", "".join(lines))
        items.append(_item(path, None, objects))
    return items
