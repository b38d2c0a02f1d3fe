"""Phantoms tell the truth: what `truth.json` says is what the pixels show and what the label files state."""

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate import geometry, run_lengths
from curate.card import Card, load_card
from curate.errors import UsageError
from curate.layouts import check_card, layout_of, options_of
from curate.layouts.base import Context, RawAnnotation, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.tree import Reader, Tree
from curate.phantom import PHANTOMS, DatasetTruth, ImageTruth, Truth, write_phantoms
from curate.phantom.cells import SmearStyle, smear
from curate.phantom.chest import Chest, Consolidation, anatomy, chest
from curate.phantom.encode import coco_string
from curate.phantom.shapes import Blob, generator
from curate.schema import Kind, Laterality, Reason, Refusal, State
from tests.conftest import tool

CATALOGS = Path(__file__).parents[1] / "catalogs"

FLAT = [name for name, spec in PHANTOMS.items() if spec.most is None]
"""Those whose images are rasters; volumes, slides and clips have tests of their own."""

SMEARS = [
    ("phantom-cells-voc", Kind.BOX),
    ("phantom-cells-coco", None),
    ("phantom-cells-yolo", Kind.BOX),
    ("phantom-cells-points", Kind.POINT),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    root = tmp_path_factory.mktemp("phantoms")
    return root, write_phantoms(root, images=13)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def extent(mask: np.ndarray) -> tuple[float, ...]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def shoelace(ring: tuple[float, ...]) -> float:
    x, y = np.array(ring[0::2]), np.array(ring[1::2])
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# The whole


def test_the_truth_on_disk_is_the_truth_returned(written):
    root, truth = written
    assert msgspec.json.decode((root / "truth.json").read_bytes(), type=Truth) == truth


def test_totals_are_those_of_the_files(written):
    root, truth = written
    assert list(truth.datasets) == list(PHANTOMS)
    for name, dataset in truth.datasets.items():
        assert dataset.files == sum(path.is_file() for path in (root / name).rglob("*"))
        assert dataset.images == len(dataset.items) == min(13, PHANTOMS[name].most or 13)
        assert dataset.objects == sum(len(item.objects) for item in dataset.items)
    assert truth.images == sum(dataset.images for dataset in truth.datasets.values())
    assert truth.objects == sum(dataset.objects for dataset in truth.datasets.values())


def test_every_image_has_the_size_that_the_truth_states(written):
    root, truth = written
    for name in FLAT:
        for item in truth.datasets[name].items:
            if item.member is None and item.row is None:
                shape = pixels_of(root / name / item.path).shape
                assert shape[:2] == (item.height, item.width)


ENDS = (".jpg", ".png", ".JPG", ".zip", ".nii.gz", ".dcm", ".tif", ".mkv")


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(tmp_path):
    for folder, seed in (("a", "phantom"), ("b", "phantom"), ("c", "another")):
        write_phantoms(tmp_path / folder, images=2, seed=seed)
    first, second, other = (digests(tmp_path / folder) for folder in "abc")
    assert first == second
    images = {name: digest for name, digest in first.items() if name.endswith(ENDS)}
    assert {name.partition("/")[0] for name in images} == set(PHANTOMS) - {"phantom-parquet"}
    assert not any(other.get(name) == digest for name, digest in images.items())


def test_a_larger_set_begins_with_the_smaller_one(tmp_path, written):
    root, _ = written
    few = write_phantoms(tmp_path / "few", images=2, only=["phantom-cells-voc"])
    for item in few.datasets["phantom-cells-voc"].items:
        same = Path("phantom-cells-voc") / item.path
        assert (tmp_path / "few" / same).read_bytes() == (root / same).read_bytes()


def test_datasets_do_not_show_the_same_image_twice(written):
    root, _ = written
    images = {name: digest for name, digest in digests(root).items() if name.endswith((".jpg", ".JPG", ".png"))}
    assert max(Counter(digest for name, digest in images.items() if "mask" not in name).values()) == 1


def test_only_writes_what_was_asked(tmp_path):
    truth = write_phantoms(tmp_path, images=1, only=["phantom-qa", "phantom-qa"])
    assert list(truth.datasets) == ["phantom-qa"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phantom-qa", "truth.json"]


def test_an_unknown_dataset_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(UsageError, match="did you mean phantom-cells-voc"):
        write_phantoms(tmp_path, only=["phantom-cell-voc"])
    assert not any(tmp_path.iterdir())


def test_no_images_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 1, got 0"):
        write_phantoms(tmp_path, images=0)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "phantom-qa").mkdir()
    with pytest.raises(UsageError, match="holds phantom-qa already"):
        write_phantoms(tmp_path, images=1)
    assert [path.name for path in tmp_path.iterdir()] == ["phantom-qa"]


# Pixels


@pytest.mark.parametrize("name", [name for name, _ in SMEARS])
def test_stain_lies_in_every_box_and_nowhere_else(written, name):
    root, truth = written
    for item in truth.datasets[name].items:
        pixels = pixels_of(root / name / item.path).astype(np.int16)
        ground = np.median(pixels.reshape(-1, 3), axis=0)
        stained = np.abs(pixels - ground).max(axis=2) > 30
        for one in item.objects:
            x0, y0, x1, y1 = (int(edge) for edge in one.box)
            assert stained[y0:y1, x0:x1].mean() > 0.25
            stained[max(0, y0 - 3) : y1 + 3, max(0, x0 - 3) : x1 + 3] = False
        assert not stained.any()


@pytest.mark.parametrize("name", [name for name, _ in SMEARS])
def test_cells_do_not_overlap_and_their_counts_are_those_of_the_objects(written, name):
    _, truth = written
    for item in truth.datasets[name].items:
        assert item.counts == {
            concept: sum(one.concept == concept for one in item.objects)
            for concept in ("erythrocyte", "leukocyte", "platelet")
        }
        for one in item.objects:
            x0, y0, x1, y1 = one.box
            assert 0 <= x0 < x1 <= item.width
            assert 0 <= y0 < y1 <= item.height
            assert x0 < one.point[0] < x1
            assert y0 < one.point[1] < y1
            assert one.point[0] % 1 == one.point[1] % 1 == 0.5
            assert one.area_px <= (x1 - x0) * (y1 - y0)
    assert any(not item.objects for item in truth.datasets[name].items), "an empty field says zero"
    assert any(one.truncated for item in truth.datasets[name].items for one in item.objects)


def test_masks_of_nuclei_fill_their_boxes_and_never_touch(written):
    root, truth = written
    for item in truth.datasets["phantom-nuclei-masks"].items:
        image = root / "phantom-nuclei-masks" / item.path
        masks = [pixels_of(path) for path in (image.parents[1] / "masks").iterdir()]
        assert {value for mask in masks for value in np.unique(mask)} == {0, 255}
        boxes = Counter((extent(mask > 0), int((mask > 0).sum())) for mask in masks)
        assert boxes == Counter((one.box, one.area_px) for one in item.objects)
        assert item.counts == {"nucleus": len(masks)}
        near = np.zeros((item.height + 2, item.width + 2), np.int16)
        for mask in masks:
            grown = np.zeros_like(near, np.bool_)
            for dy, dx in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):
                grown[dy : dy + item.height, dx : dx + item.width] |= mask > 0
            near += grown
        own = np.sum([mask > 0 for mask in masks], axis=0)
        assert near[1:-1, 1:-1][own > 0].max() == 1
        pixels = pixels_of(image).astype(float)
        for mask in masks:
            assert pixels[mask > 0].mean() > 2 * pixels[own == 0].mean()


def test_label_maps_hold_each_organ_where_the_truth_says(written):
    root, truth = written
    folder = root / "phantom-lung-labelmap"
    depths = set()
    for item in truth.datasets["phantom-lung-labelmap"].items:
        image = pixels_of(folder / item.path)
        depths.add((item.bit_depth, image.dtype.itemsize * 8))
        labels = pixels_of(folder / "masks" / f"{Path(item.path).stem}_mask.png")
        assert labels.shape == image.shape
        assert set(np.unique(labels)) == {0, 1, 2, 3}
        for value, one in enumerate(item.objects, start=1):
            assert extent(labels == value) == one.box
            assert int((labels == value).sum()) == one.area_px
            assert np.array_equal(run_lengths.decode_mask(one.mask), labels == value)
        right, left, heart = item.objects
        assert right.label == "right lung"
        assert right.box[2] < left.box[0], "the patient's right is at the picture's left"
        assert image[labels == 3].mean() > 1.4 * image[(labels == 1) | (labels == 2)].mean()
        assert right.point[0] < heart.point[0] < left.point[0]
    assert depths == {(8, 8), (16, 16)}


def gain(ill: Chest, clear: Chest, lung: Blob) -> float:
    x0, y0, x1, y1 = (int(edge) for edge in lung.box)
    window = np.s_[y0:y1, x0:x1]
    return float((ill.brightness[window] - clear.brightness[window])[lung.mask].mean())


def test_a_consolidation_whitens_the_lung_of_its_own_side():
    shape = anatomy(generator("a chest"))
    clear = chest(generator("its picture"), shape)
    for side, own, other in (
        (Laterality.RIGHT, clear.right_lung, clear.left_lung),
        (Laterality.LEFT, clear.left_lung, clear.right_lung),
    ):
        ill = chest(generator("its picture"), shape, Consolidation(side, across=0.66, down=0.5, radius=0.08))
        assert gain(ill, clear, own) > 0.02
        assert gain(ill, clear, other) == 0


def test_the_cardiothoracic_ratio_is_that_of_the_masks():
    rng = generator("a heart")
    drawn = chest(rng, anatomy(rng))
    heart = drawn.heart.box[2] - drawn.heart.box[0]
    inner = max(drawn.left_lung.box[2], drawn.right_lung.box[2]) - min(drawn.left_lung.box[0], drawn.right_lung.box[0])
    assert drawn.cardiothoracic_ratio == heart / inner
    assert 0.35 < drawn.cardiothoracic_ratio < 0.7


@pytest.mark.parametrize("number", range(6))
def test_outlines_run_lengths_and_masks_are_one_shape(number):
    _, cells = smear(generator("shapes", number), SmearStyle(), 200, 160)
    assert cells
    for blob in (cell.blob for cell in cells):
        ring = blob.outline()
        assert shoelace(ring) == blob.area_px
        assert (min(ring[0::2]), min(ring[1::2]), max(ring[0::2]), max(ring[1::2])) == blob.box
        whole = np.zeros((160, 200), np.bool_)
        rows, columns = blob.mask.shape
        whole[blob.y0 : blob.y0 + rows, blob.x0 : blob.x0 + columns] = blob.mask
        rle = blob.rle(200, 160)
        assert sum(rle.counts) == 200 * 160
        assert all(count > 0 for count in rle.counts[1:])
        flat = np.repeat(np.arange(len(rle.counts)) % 2, rle.counts).astype(np.bool_)
        assert np.array_equal(flat.reshape(200, 160).T, whole)


def test_run_lengths_are_compressed_as_the_coco_api_does():
    reference = tool("pycocotools.mask")
    _, cells = smear(generator("runs"), SmearStyle())
    for cell in cells:
        counts = cell.blob.rle(640, 480).counts
        expected = reference.frPyObjects({"size": [480, 640], "counts": counts}, 480, 640)
        assert coco_string(counts) == expected["counts"].decode("ascii")


# Label files, read by nothing of ours


def test_voc_boxes_are_first_and_last_pixel_from_one(written):
    root, truth = written
    folder = root / "phantom-cells-voc"
    names = {"RBC": "erythrocyte", "WBC": "leukocyte", "Platelets": "platelet"}
    for item in truth.datasets["phantom-cells-voc"].items:
        xml = ET.parse(folder / "Annotations" / f"{Path(item.path).stem}.xml").getroot()
        assert xml.findtext("filename") == Path(item.path).name
        stated = [
            (
                names[one.findtext("name")],
                tuple(int(one.findtext(f"bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax")),
                one.findtext("truncated") == "1",
            )
            for one in xml.iter("object")
        ]
        true = [(one.concept, one.box, one.truncated) for one in item.objects]
        assert [(name, (box[0] - 1, box[1] - 1, box[2], box[3]), cut) for name, box, cut in stated] == true
    lists = {path.stem: path.read_text().split() for path in (folder / "ImageSets/Main").iterdir()}
    assert sorted(lists["train"] + lists["val"]) == sorted(lists["trainval"])
    assert sorted(lists["trainval"] + lists["test"]) == sorted(path.stem for path in (folder / "JPEGImages").iterdir())


def test_coco_states_polygons_runs_and_boxes(written):
    root, truth = written
    kinds: Counter[str] = Counter()
    for split in ("train", "valid", "test"):
        content = json.loads((root / "phantom-cells-coco" / split / "_annotations.coco.json").read_text())
        assert content["categories"][0] == {"id": 0, "name": "cells", "supercategory": "none"}
        labels = {one["id"]: one["name"] for one in content["categories"]}
        items = {item.path: item for item in truth.datasets["phantom-cells-coco"].items if item.split == split}
        assert {f"{split}/{one['file_name']}" for one in content["images"]} == set(items)
        for image in content["images"]:
            stated = [one for one in content["annotations"] if one["image_id"] == image["id"]]
            true = items[f"{split}/{image['file_name']}"].objects
            for raw, one in zip(stated, true, strict=True):
                x, y, width, height = raw["bbox"]
                assert (x, y, x + width, y + height) == one.box
                assert labels[raw["category_id"]] == one.label
                kinds[one.kind] += 1
                if one.kind is Kind.POLYGON:
                    assert raw["segmentation"] == [list(one.polygon)]
                    assert shoelace(one.polygon) == one.area_px == raw["area"]
                elif one.kind is Kind.MASK:
                    rle = run_lengths.read_rle(raw["segmentation"]["counts"], 640, 480)
                    assert rle.counts == one.mask.counts
                    kinds[type(raw["segmentation"]["counts"]).__name__] += 1
                else:
                    assert raw["segmentation"] == []
    assert set(kinds) == {"polygon", "mask", "box", "list", "str"}


def test_yolo_fractions_and_points_name_the_same_cells_as_the_truth(written):
    root, truth = written
    for item in truth.datasets["phantom-cells-yolo"].items:
        text = (root / "phantom-cells-yolo" / item.path.replace("images", "labels")).with_suffix(".txt").read_text()
        for line, one in zip(text.splitlines(), item.objects, strict=True):
            number, cx, cy, width, height = (float(cell) for cell in line.split())
            assert ["RBC", "WBC", "Platelets"][int(number)] == one.label
            centre, size = np.array([cx * 640, cy * 480]), np.array([width * 640, height * 480])
            assert np.abs(np.concatenate([centre - size / 2, centre + size / 2]) - one.box).max() < 1e-6
    for item in truth.datasets["phantom-cells-points"].items:
        text = (root / "phantom-cells-points" / "Label" / f"{Path(item.path).stem}.txt").read_text()
        lines = [line.split() for line in text.splitlines()]
        assert [(int(x) + 0.5, int(y) + 0.5, label) for x, y, label in lines] == [
            (*one.point, one.label) for one in item.objects
        ]


def test_the_table_states_findings_in_four_states_and_names_three_absent_visits(written):
    root, truth = written
    folder, dataset = root / "phantom-cxr-table", truth.datasets["phantom-cxr-table"]
    rows = list(csv.DictReader(io.StringIO((folder / "data.csv").read_text())))
    assert len(rows) == dataset.rows == dataset.images + 3
    assert dataset.named == dataset.images + 3
    present = [row for row in rows if (folder / "png" / f"{row['image_id']}.png").exists()]
    absent = [row for row in rows if row not in present]
    assert len(absent) == 3 == dataset.expected_rejects[Reason.MISSING_FILE]
    assert {row["patient_id"] for row in absent} <= {row["patient_id"] for row in present}
    states = {"1": State.PRESENT, "0": State.ABSENT, "-1": State.UNCERTAIN, "": State.NOT_STATED}
    for row, item in zip(present, dataset.items, strict=True):
        assert (row["patient_id"], int(row["visit_day"])) == (item.subject, item.day_offset)
        assert row["projection"] == item.view
        assert {name: states[row[name]] for name in item.states} == item.states
        assert float(row["ctr"]) == item.measurements["ctr"]
        assert {"L": "left", "R": "right", "": None}[row["side"]] == item.attributes.get("side")
        assert (row["Consolidation"] in ("1", "-1")) == bool(row["side"])
        assert row["Cardiomegaly"] in (
            "",
            "1" if float(row["ctr"]) > 0.5 else "-1" if float(row["ctr"]) >= 0.48 else "0",
        )
    days: dict[str, list[int]] = {}
    for item in dataset.items:
        days.setdefault(item.subject, []).append(item.day_offset)
    assert all(offsets[0] == 0 and offsets == sorted(set(offsets)) for offsets in days.values())
    assert max(len(offsets) for offsets in days.values()) > 1


def test_every_state_occurs_in_a_table_of_ordinary_size(tmp_path):
    truth = write_phantoms(tmp_path, only=["phantom-cxr-table"])
    items = truth.datasets["phantom-cxr-table"].items
    assert {item.states["Consolidation"] for item in items} == set(State)
    assert {State.PRESENT, State.ABSENT} <= {item.states["Cardiomegaly"] for item in items}
    assert {item.attributes.get("side") for item in items} == {"left", "right", None}


def test_the_folder_names_the_class(written):
    root, truth = written
    items = truth.datasets["phantom-classes-folders"].items
    assert all((root / "phantom-classes-folders" / item.path).parent.name == item.label for item in items)
    assert len({item.label for item in items}) == 4
    assert any(" " in item.label for item in items)


def test_one_question_stands_twice(written):
    root, truth = written
    dataset = truth.datasets["phantom-qa"]
    with zipfile.ZipFile(root / "phantom-qa" / "phantom-qa.zip") as archive:
        records = [one for name in ("test.json", "train.json") for one in json.loads(archive.read(name))]
        assert {item.member for item in dataset.items} == {n for n in archive.namelist() if n.startswith("images/")}
    assert len(records) == dataset.rows
    assert len({one["qid"] for one in records}) == len(records)
    stated = Counter((one["image_name"], one["question"], one["answer"], one["answer_type"]) for one in records)
    true = {
        (Path(item.member).name, one.question, one.answer, one.answer_type)
        for item in dataset.items
        for one in item.questions
    }
    assert set(stated) == true
    assert sorted(stated.values())[-2:] == [1, 2]
    assert dataset.expected_filtered[Reason.REPEATED] == 1
    assert {one["answer_type"] for one in records} == {"CLOSED", "OPEN"}


def test_each_row_of_parquet_is_an_image_with_its_label(written):
    root, truth = written
    tables: dict[str, list[dict[str, object]]] = {}
    dataset = truth.datasets["phantom-parquet"]
    for item in dataset.items:
        path = root / "phantom-parquet" / item.path
        rows = tables.setdefault(item.path, pq.read_table(path).to_pylist())
        row = rows[item.row]
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert image.size == (item.width, item.height)
        assert (row["label"], row["slide_id"]) == (item.label, item.subject)
    assert sum(len(rows) for rows in tables.values()) == dataset.rows == dataset.images


# Cards


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_phantom_has_a_card_that_vouches_for_it(written, name):
    root, truth = written
    card = load_card(CATALOGS / f"{name}.yaml")
    check_card(card)
    assert card.id == name
    assert card.terms.licence == "CC0-1.0"
    assert card.terms.deidentified is True
    assert card.terms.quote in (root / name / card.terms.read_at).read_text()
    assert card.expected_rejects == truth.datasets[name].expected_rejects


@pytest.mark.parametrize("name", FLAT)
def test_the_card_finds_every_image_and_every_object(written, name):
    """What the layouts yield, placed on the raster, is what was drawn."""
    root, truth = written
    dataset = truth.datasets[name]
    card = load_card(CATALOGS / f"{name}.yaml")
    said, missing = read_by_card(card, root / name)
    assert len(missing) == sum(dataset.expected_rejects.values())
    assert {key_of(item) for item in dataset.items} == set(said)
    for item in dataset.items:
        check_item(item, said[key_of(item)], card.labels[0].layout)


def key_of(item: ImageTruth) -> str:
    inner = f"row={item.row}" if item.row is not None else item.member
    return item.path if inner is None else f"{item.path}!{inner}"


def read_by_card(card: Card, root: Path) -> tuple[dict[str, list[RawAnnotation]], list[str]]:
    labels = card.labels[0]
    tree = Tree.scan(root, (*card.images.globs, *labels.files))
    if card.images.column is not None:
        tree, images = tree.with_embedded(card.images.globs, card.images.column)
    else:
        images = tree.match(card.images.globs)
    index = ImageIndex(images)
    said: dict[str, list[RawAnnotation]] = {entry.key: [] for entry in images}
    missing: list[str] = []
    with Reader(root, card.images.column) as reader:
        context = Context(
            card=card,
            labels=labels,
            options=options_of(labels, card.id),
            tree=tree,
            read=lambda entry: reader.read(entry.path, entry.member),
            images=images,
        )
        for unit in layout_of(labels).scan(context):
            assert not isinstance(unit, Refused), unit
            assert isinstance(unit, Record)
            entry = index.resolve(unit.image.name, unit.image.near)
            if isinstance(entry, Refusal):
                missing.append(unit.locator)
            else:
                said[entry.key] += unit.annotations
    return said, missing


def check_item(item: ImageTruth, raw: list[RawAnnotation], layout: str) -> None:
    by_kind = Counter(one.kind for one in raw)
    if item.objects:
        assert [one.concept for one in raw if one.kind in (Kind.BOX, Kind.POLYGON, Kind.MASK, Kind.POINT)] == [
            one.concept for one in item.objects
        ]
    if layout in ("voc", "yolo"):
        for said, one in zip(raw, item.objects, strict=True):
            placed = geometry.place_box(said.coords, said.convention, item.width, item.height)
            assert np.abs(np.array(placed.box) - one.box).max() < 1e-6
    elif layout == "points":
        for said, one in zip(raw, item.objects, strict=True):
            assert geometry.place_point(said.coords, said.convention, item.width, item.height).point == one.point
    elif layout == "coco":
        for said, one in zip(raw, item.objects, strict=True):
            assert said.kind is one.kind
            if said.kind is Kind.POLYGON:
                polygons = geometry.place_polygons(said.polygons, said.convention, item.width, item.height)
                assert (polygons.box, polygons.area_px) == (one.box, one.area_px)
            elif said.kind is Kind.MASK:
                mask = geometry.place_mask(said.rle, said.size, item.width, item.height)
                assert (mask.box, mask.area_px) == (one.box, one.area_px)
            else:
                assert geometry.place_box(said.coords, said.convention, item.width, item.height).box == one.box
    elif layout == "table":
        assert {one.concept: one.state for one in raw if one.kind is Kind.MULTILABEL} == {
            name.lower(): state for name, state in item.states.items()
        }
        assert {one.value for one in raw if one.kind is Kind.MEASUREMENT} == set(item.measurements.values())
        assert [one.label for one in raw if one.kind is Kind.CLASS] == ([item.label] if item.label else [])
    elif layout == "qa":
        assert by_kind[Kind.QA] in (len(item.questions), len(item.questions) + 1)
        assert {(one.question, one.text) for one in raw} == {(one.question, one.answer) for one in item.questions}
    elif layout == "folders":
        assert [one.label for one in raw] == [item.label]


def test_every_dataset_says_how_many_rows_it_holds(written):
    _, truth = written
    rows = {name: dataset.rows for name, dataset in truth.datasets.items()}
    assert {name for name, count in rows.items() if count} == {
        "phantom-cxr-table",
        "phantom-qa",
        "phantom-parquet",
        "phantom-clip",
    }
    assert all(isinstance(dataset, DatasetTruth) for dataset in truth.datasets.values())
