"""What the seven real sources hold, counted by the standard library alone.

Nothing here imports `curate`: these numbers are what its ledger is held against. Each function reads one dataset as a
person would with a text editor, and knows that dataset's layout by heart.

Units as in the ledger: an image is distinct and present or only named; a row is a table row or a question-answer
record; an object is a box, point or mask.
"""

import csv
import json
import re
import struct
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

OVERHANG_PX = 1.0
"""A box may leave its image by this much: pixel indices and edges are often confused by one."""


@dataclass(frozen=True)
class RawCounts:
    """One source's holdings. What a source has no use for is zero or empty."""

    files: int
    unused_files: int  # neither image, mask, label nor split list
    images: int  # present or named
    missing: int  # named, not present
    unnamed: int  # present, and no label, list or row speaks of it
    label_files: int = 0
    rows: int = 0
    rows_without_image: int = 0
    objects: int = 0
    objects_by_label: Counter[str] = field(default_factory=Counter)
    ignored_objects: int = 0
    outside: int = 0
    degenerate: int = 0  # by the source's own convention
    repeats: int = 0
    images_by_label: Counter[str] = field(default_factory=Counter)
    images_by_split: Counter[str] = field(default_factory=Counter)  # names joined by +, sorted
    subjects: int = 0
    objects_by_image: dict[str, int] = field(default_factory=dict)  # images that a label file speaks of
    unlabelled: tuple[str, ...] = ()  # present images without a label file of their own
    cells: Counter[str] = field(default_factory=Counter)  # filled cells of the rows whose image is here, by column

    @property
    def present(self) -> int:
        """Images whose file is here."""
        return self.images - self.missing


def files_below(root: Path) -> list[str]:
    """Every file below a folder, as paths with `/`, sorted."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def size_of_image(path: Path) -> tuple[int, int]:
    """Width and height in pixels of a PNG or JPEG, whatever its name says, from its header alone."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if not data.startswith(b"\xff\xd8"):
        raise ValueError(f"{path.name}: neither PNG nor JPEG")
    place = 2
    while data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length
    raise ValueError(f"{path.name}: no frame header")


def _overhang(box: tuple[float, float, float, float], size: tuple[int, int]) -> float:
    return max(-box[0], -box[1], box[2] - size[0], box[3] - size[1])


def _repeats(statements: Iterable[object]) -> int:
    return sum(times - 1 for times in Counter(statements).values())


def _splits(membership: Iterable[tuple[str, str]]) -> dict[str, str]:
    names: dict[str, set[str]] = {}
    for image, split in membership:
        names.setdefault(image, set()).add(split)
    return {image: "+".join(sorted(splits)) for image, splits in names.items()}


def bccd(root: Path) -> RawCounts:
    """Pascal VOC: pixels from 1, the last one included, so xmin - 1 and xmax are the edges."""
    folder = root / "BCCD"
    present = {path.stem for path in (folder / "JPEGImages").glob("*.jpg")}
    lists = sorted((folder / "ImageSets" / "Main").glob("*.txt"))
    membership = [(stem, path.stem) for path in lists for stem in path.read_text().split()]
    labels: Counter[str] = Counter()
    boxes: list[tuple[object, ...]] = []
    by_image: dict[str, int] = {}
    outside = degenerate = 0
    annotated = sorted((folder / "Annotations").glob("*.xml"))
    for path in annotated:
        tree = ET.parse(path).getroot()
        size = size_of_image(folder / "JPEGImages" / f"{path.stem}.jpg")
        by_image[path.stem] = 0
        for thing in tree.iter("object"):
            x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            edges = (x0 - 1, y0 - 1, x1, y1)
            outside += _overhang(edges, size) > OVERHANG_PX
            degenerate += edges[2] <= edges[0] or edges[3] <= edges[1]
            boxes.append((path.stem, thing.findtext("name"), edges))
            labels[thing.findtext("name", "")] += 1
            by_image[path.stem] += 1
    named = {stem for stem, _ in membership} | {path.stem for path in annotated}
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present) - len(annotated) - len(lists),
        images=len(present | named),
        missing=len(named - present),
        unnamed=len(present - named),
        label_files=len(annotated),
        objects=len(boxes),
        objects_by_label=labels,
        outside=outside,
        degenerate=degenerate,
        repeats=_repeats(boxes),
        images_by_split=Counter(split for stem, split in _splits(membership).items() if stem in present),
        objects_by_image=by_image,
        unlabelled=tuple(sorted(present - set(by_image))),
    )


def bccd_csv_boxes(root: Path) -> tuple[int, int, int]:
    """test.csv: its boxes, its images, and the boxes of present images that differ from the XML."""
    with (root / "test.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    present = {path.stem for path in (root / "BCCD" / "JPEGImages").glob("*.jpg")}
    of_csv = Counter(
        (Path(row["filename"]).stem, row["cell_type"], *(float(row[edge]) for edge in ("xmin", "ymin", "xmax", "ymax")))
        for row in rows
        if Path(row["filename"]).stem in present
    )
    of_xml = Counter(
        (
            path.stem,
            thing.findtext("name"),
            *(float(thing.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")),
        )
        for path in (root / "BCCD" / "Annotations").glob("*.xml")
        for thing in ET.parse(path).getroot().iter("object")
    )
    differing = (of_csv - of_xml).total() + (of_xml - of_csv).total()
    return len(rows), len({row["filename"] for row in rows}), differing


def rbc_wbc_coco(root: Path) -> RawCounts:
    """COCO JSON, one per split folder: left, top, width, height; category 0 is a supercategory."""
    present = {name for name in files_below(root) if name.endswith(".jpg")}
    named: dict[str, str] = {}
    labels: Counter[str] = Counter()
    boxes: list[tuple[object, ...]] = []
    by_image: dict[str, int] = {}
    outside = degenerate = ignored = rows = 0
    documents = sorted(root.glob("*/_annotations.coco.json"))
    for path in documents:
        document = json.loads(path.read_text())
        names = {category["id"]: category["name"] for category in document["categories"]}
        images = {image["id"]: image for image in document["images"]}
        rows += len(images)
        key_of = {image_id: f"{path.parent.name}/{image['file_name']}" for image_id, image in images.items()}
        named |= dict.fromkeys(key_of.values(), path.parent.name)
        by_image |= dict.fromkeys(key_of.values(), 0)
        for thing in document["annotations"]:
            key, label = key_of[thing["image_id"]], names[thing["category_id"]]
            left, top, width, height = thing["bbox"]
            outside += _overhang((left, top, left + width, top + height), size_of_image(root / key)) > OVERHANG_PX
            degenerate += width <= 0 or height <= 0
            ignored += label == "RBC-WBC"
            boxes.append((key, label, left, top, width, height))
            labels[label] += 1
            by_image[key] += 1
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present) - len(documents),
        images=len(present | set(named)),
        missing=len(set(named) - present),
        unnamed=len(present - set(named)),
        label_files=len(documents),
        rows=rows,
        objects=len(boxes),
        objects_by_label=labels,
        ignored_objects=ignored,
        outside=outside,
        degenerate=degenerate,
        repeats=_repeats(boxes),
        images_by_split=Counter(named[key] for key in present if key in named),
        subjects=len({Path(key).name.split("_png.rf.")[0] for key in present}),
        objects_by_image=by_image,
        unlabelled=tuple(sorted(present - set(by_image))),
    )


def chula_rbc_diseases(root: Path) -> RawCounts:
    """The class is the folder."""
    present = [name for name in files_below(root) if name.lower().endswith(".jpg")]
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present),
        images=len(present),
        missing=0,
        unnamed=0,
        images_by_label=Counter(name.split("/")[0] for name in present),
    )


def chula_rbc_12_points(root: Path) -> RawCounts:
    """One text file per image, `x y type` a line; type 10 is uncategorised."""
    present = {path.stem for path in (root / "Dataset").iterdir()}
    points: list[tuple[str, str, str, str]] = []
    by_image: dict[str, int] = {}
    outside = 0
    for path in sorted((root / "Label").glob("*.txt")):
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        width, height = size_of_image(root / "Dataset" / f"{path.stem}.jpg")
        outside += sum(not (0 <= int(x) < width and 0 <= int(y) < height) for x, y, _ in lines)
        points += [(path.stem, x, y, label) for x, y, label in lines]
        by_image[path.stem] = len(lines)
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present) - len(by_image),
        images=len(present | set(by_image)),
        missing=len(set(by_image) - present),
        unnamed=len(present - set(by_image)),
        label_files=len(by_image),
        objects=len(points),
        objects_by_label=Counter(label for *_, label in points),
        ignored_objects=sum(label == "10" for *_, label in points),
        outside=outside,
        repeats=_repeats(points),
        objects_by_image=by_image,
        unlabelled=tuple(sorted(present - set(by_image))),
    )


def dsb2018_nuclei(root: Path) -> RawCounts:
    """One folder per image; each file in its `masks` is one nucleus."""
    folders = sorted(path for path in (root / "stage1_train").iterdir() if path.is_dir())
    by_image = {path.name: len(list((path / "masks").glob("*.png"))) for path in folders}
    present = sum(len(list((path / "images").glob("*.png"))) for path in folders)
    mismatched = sum(
        size_of_image(mask) != size_of_image(path / "images" / f"{path.name}.png")
        for path in folders
        for mask in (path / "masks").glob("*.png")
    )
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - present - sum(by_image.values()),
        images=present,
        missing=0,
        unnamed=sum(masks == 0 for masks in by_image.values()),
        objects=sum(by_image.values()),
        objects_by_label=Counter({"nucleus": sum(by_image.values())}),
        degenerate=mismatched,
        objects_by_image=by_image,
    )


def hannover_covid_cxr(root: Path) -> RawCounts:
    """One CSV row per radiograph, most of which are not here."""
    present = {path.stem for path in (root / "png").glob("*.png")}
    with (root / "data.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    named = {row["image_id"] for row in rows}
    here = [row for row in rows if row["image_id"] in present]
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present) - 1,
        images=len(present | named),
        missing=len(named - present),
        unnamed=len(present - named),
        label_files=1,
        rows=len(rows),
        rows_without_image=len(rows) - len(here),
        images_by_label=Counter(
            f"{column}={row[column]}" for row in here for column in ("sex", "modality", "projection")
        ),
        subjects=len({row["patient_id"] for row in here}),
        cells=Counter(column for row in here for column, cell in row.items() if cell),
    )


def hannover_beyond_detection(root: Path) -> Counter[str]:
    """Cells that say `inf` or `-inf`, in rows whose image is here, by column."""
    present = {path.stem for path in (root / "png").glob("*.png")}
    with (root / "data.csv").open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["image_id"] in present]
    return Counter(column for row in rows for column, cell in row.items() if cell.strip("-") == "inf")


def hannover_visits(root: Path) -> dict[str, list[int]]:
    """Patient -> days of the stay on which the radiographs that are here were taken, sorted."""
    present = {path.stem for path in (root / "png").glob("*.png")}
    days: dict[str, list[int]] = {}
    with (root / "data.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["image_id"] in present:
                days.setdefault(row["patient_id"], []).append(-int(row["admission_offset"]))
    return {patient: sorted(visits) for patient, visits in days.items()}


def vqa_rad_records(root: Path) -> list[tuple[str, dict[str, object]]]:
    """(split, record) in the order of the files by name: test before train."""
    return [
        (split, record)
        for split in ("test", "train")
        for record in json.loads((root / f"{split}set.json").read_text(encoding="utf-8"))
    ]


def same_text(text: object) -> str:
    """A text as it is compared for repeats: white space and letter case aside."""
    return re.sub(r"\s+", " ", str(text)).strip().casefold()


def vqa_rad(root: Path) -> RawCounts:
    """Two JSON lists of question-answer records."""
    present = {path.name for path in (root / "images").glob("*.jpg")}
    records = vqa_rad_records(root)
    named = {str(record["image_name"]) for _, record in records}
    membership = [(str(record["image_name"]), split) for split, record in records]
    return RawCounts(
        files=len(files_below(root)),
        unused_files=len(files_below(root)) - len(present) - 2,
        images=len(present | named),
        missing=len(named - present),
        unnamed=len(present - named),
        label_files=2,
        rows=len(records),
        rows_without_image=sum(str(record["image_name"]) not in present for _, record in records),
        repeats=_repeats((r["image_name"], same_text(r["question"]), same_text(r["answer"])) for _, r in records),
        images_by_label=Counter({str(r["image_name"]): str(r["image_organ"]) for _, r in records}.values()),
        images_by_split=Counter(_splits(membership).values()),
    )


def vqa_rad_answered_by_their_question(root: Path) -> set[tuple[str, str, str]]:
    """(image, question, answer), alike spelled alike, where the words of the answer stand in the question in a row."""
    found = set()
    for _, record in vqa_rad_records(root):
        question, answer = (re.findall(r"[a-z0-9]+", same_text(record[part])) for part in ("question", "answer"))
        if f" {' '.join(answer)} " in f" {' '.join(question)} ":
            found.add((str(record["image_name"]), same_text(record["question"]), same_text(record["answer"])))
    return found


COUNTERS: dict[str, Callable[[Path], RawCounts]] = {
    "bccd": bccd,
    "rbc-wbc-coco": rbc_wbc_coco,
    "chula-rbc-diseases": chula_rbc_diseases,
    "chula-rbc-12-points": chula_rbc_12_points,
    "dsb2018-nuclei": dsb2018_nuclei,
    "hannover-covid-cxr": hannover_covid_cxr,
    "vqa-rad": vqa_rad,
}
"""Source id -> its counter."""
