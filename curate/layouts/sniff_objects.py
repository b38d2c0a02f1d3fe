"""Label files of boxes, polygons, points and masks, recognised by a bounded look at their contents."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import yaml
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from curate.images import Limits
from curate.images.masks import read_mask
from curate.layouts.concepts import shown
from curate.layouts.labelme import is_labelme
from curate.layouts.objects import number, stem_of
from curate.layouts.sniff_files import SPLIT_WORDS, Draft, Look, escaped
from curate.layouts.tree import Entry
from curate.schema import Refusal

__all__ = ["coco", "labelme", "mask_word", "masks", "parsed_json", "split_lists", "text_objects", "voc"]

SAMPLE_FILES: Final = 200
"""Label files of one kind that are read; what is said of labels holds for these alone."""

SAMPLE_RECORD_FILES: Final = 500
"""JSON files that are looked at: more are a file per image, of a kind that a person must describe."""

SAMPLE_MASKS: Final = 8
"""Masks whose pixels are looked at."""

MAX_CLASSES: Final = 20
"""A label map of more values is taken to number its objects."""

SAMPLE_LINES: Final = 200
"""Lines of one text file that are looked at."""

_MASK_WORD: Final = re.compile(
    r"(?:^|[_.-])(?:masks?|seg|segmentations?|gt|ground_?truth|labelmaps?|annotations?|labels?(?:T[rs])?)(?:$|[_.-])",
    re.IGNORECASE,
)
_NAMES_FILES: Final = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names", "labels.txt")


def voc(look: Look) -> list[Draft]:
    """Pascal VOC XML: `<annotation>` with `<object>` and `<bndbox>`."""
    candidates = look.with_suffix(".xml")
    sample = {
        entry.key: root for entry in candidates[:SAMPLE_FILES] if (root := _annotation(look.read(entry))) is not None
    }
    if not any(root.find("object/bndbox") is not None for root in sample.values()):
        return []
    files = candidates[SAMPLE_FILES:] + [entry for entry in candidates if entry.key in sample]
    labels = Counter(name.text or "" for root in sample.values() for name in root.iter("name") if name.text)
    lowest = min((_least(root) for root in sample.values()), default=1.0)
    unsure = [_labels_seen("voc", labels, whole=len(candidates) <= SAMPLE_FILES)]
    drafted: dict[str, Any] = {"layout": "voc", "files": _globs(look, files)}
    if lowest == 0:
        drafted["zero_based"] = True
        unsure.append(
            "voc: a box begins at 0, so pixels are counted from 0; whether its last pixel is inside is a guess"
        )
    return [Draft(drafted, _keys(files), tuple(unsure), objects=True)]


def _annotation(data: bytes | None) -> Element | None:
    try:
        root = fromstring(data or b"")
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root if root.tag == "annotation" and root.find("filename") is not None else None


def _least(root: Element) -> float:
    found = [number(corner.text or "") for tag in ("xmin", "ymin") for corner in root.iter(tag)]
    return min((value for value in found if value is not None), default=1.0)


def coco(look: Look) -> list[Draft]:
    """COCO JSON: one document with `images`, `annotations` and `categories`."""
    files, labels = [], Counter[str]()
    for entry in look.affordable(look.with_suffix(".json")[:SAMPLE_RECORD_FILES]):
        data = look.read(entry) or b""
        content = parsed_json(data) if b'"annotations"' in data else None
        if not isinstance(content, dict) or not all(
            isinstance(content.get(key), list) for key in ("images", "annotations")
        ):
            continue
        if not any(isinstance(image, dict) and "file_name" in image for image in content["images"]):
            continue
        files.append(entry)
        names = {
            category.get("id"): str(category.get("name"))
            for category in content.get("categories") or []
            if isinstance(category, dict) and isinstance(category.get("id"), int | str)
        }
        ids = Counter(
            thing["category_id"]
            for thing in content["annotations"]
            if isinstance(thing, dict) and isinstance(thing.get("category_id"), int | str)
        )
        labels.update({names[known]: ids[known] for known in names})
    if not files:
        return []
    dummies = {label for label, times in labels.items() if not times}
    unsure = [_labels_seen("coco", +labels, whole=True)]
    if dummies:
        unsure.append(f"coco: no object is of {_listed(dummies)}; a parent class of the export, or a class never met")
    return [Draft({"layout": "coco", "files": _globs(look, files)}, _keys(files), tuple(unsure), objects=True)]


def labelme(look: Look) -> list[Draft]:
    """Labelme JSON: one document per image, with `shapes` and `imagePath`."""
    candidates = look.with_suffix(".json")
    found: dict[str, dict[str, Any]] = {}
    for entry in look.affordable(candidates[:SAMPLE_FILES]):
        data = look.read(entry) or b""
        content = parsed_json(data) if b'"shapes"' in data and b'"imagePath"' in data else None
        if isinstance(content, dict) and is_labelme(content):
            found[entry.key] = content
    if not found:
        return []
    files = [entry for entry in candidates if entry.key in found]
    folders = {entry.folder for entry in files}
    files += [entry for entry in candidates[SAMPLE_FILES:] if entry.folder in folders]
    shapes = [shape for content in found.values() for shape in content["shapes"] if isinstance(shape, dict)]
    labels = Counter(shape["label"] for shape in shapes if isinstance(shape.get("label"), str))
    unsure = [_labels_seen("labelme", labels, whole=len(candidates) <= SAMPLE_FILES)]
    return [Draft({"layout": "labelme", "files": _globs(look, files)}, _keys(files), tuple(unsure), objects=True)]


def parsed_json(data: bytes) -> object:
    """A JSON document, or None where the bytes are none."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def text_objects(look: Look) -> list[Draft]:
    """YOLO and points: one text file per image, under its stem, of numbers; each folder by itself says which."""
    files = [entry for entry in look.with_suffix(".txt") if entry.name.rpartition("/")[2] not in _NAMES_FILES]
    stems = {stem_of(image.name) for image in look.images}
    by_folder: dict[str, list[Entry]] = {}
    for entry in files:
        if stem_of(entry.name) in stems:
            by_folder.setdefault(entry.folder, []).append(entry)
    found: dict[str | int, tuple[list[Entry], list[list[str]]]] = {}
    budget = SAMPLE_FILES
    for held in list(by_folder.values())[:SAMPLE_FILES]:
        sample = held[: max(budget // len(by_folder), 1)]
        lines = [_cells(look.read(entry)) for entry in sample]
        rows = [row for one in lines for row in one or ()]
        kind = _kind_of(rows) if None not in lines else None
        if kind is not None:
            known = found.setdefault(kind, ([], []))
            known[0].extend(held)
            known[1].extend(rows)
    return [
        _yolo(look, held, rows) if kind == "yolo" else _points(look, held, rows)
        for kind, (held, rows) in sorted(found.items(), key=lambda item: str(item[0]))
    ]


def _kind_of(rows: list[list[str]]) -> str | int | None:
    """`yolo`, or the number of cells in a line of points; None where the lines are neither."""
    if rows and all(_is_yolo(row) for row in rows):
        return "yolo"
    widths = {len(row) for row in rows}
    if len(widths) == 1 and widths <= {2, 3} and all(number(cell) is not None for row in rows for cell in row[:2]):
        return widths.pop()
    return None


def _cells(data: bytes | None) -> list[list[str]] | None:
    try:
        text = (data or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return [line.split() for line in text.splitlines()[:SAMPLE_LINES] if line.strip()]


def _is_yolo(row: Sequence[str]) -> bool:
    values = [number(cell) for cell in row]
    if not row[0].isdigit() or len(row) < 5 or (len(row) > 6 and len(row) % 2 == 0):
        return False
    return all(value is not None and -0.01 <= value <= 1.01 for value in values[1:])


def _yolo(look: Look, files: list[Entry], rows: list[list[str]]) -> Draft:
    named = (entry for name in _NAMES_FILES for entry in look.others if entry.name.rpartition("/")[2] == name)
    known = next((entry for entry in itertools.islice(named, SAMPLE_FILES) if _holds_names(look, entry)), None)
    drafted: dict[str, Any] = {"layout": "yolo", "files": _globs(look, files)}
    if known is not None:
        drafted["names"] = known.name
        unsure = f"yolo: labels are the names in {known.name}; give standard names in `concepts`"
        return Draft(drafted, _keys([*files, known]), (unsure,), objects=True)
    drafted["names"], unsure = _numbered("yolo", {row[0] for row in rows})
    return Draft(drafted, _keys(files), (unsure,), objects=True)


def _holds_names(look: Look, entry: Entry) -> bool:
    """The file gives names to class numbers, as the layout will read them."""
    data = look.read(entry)
    if not entry.name.lower().endswith((".yaml", ".yml")):
        return bool(_cells(data))
    try:
        content = yaml.safe_load(data or b"")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return False
    names = content.get("names") if isinstance(content, dict) else None
    return isinstance(names, list | dict) and bool(names)


def _points(look: Look, files: list[Entry], rows: list[list[str]]) -> Draft:
    width = max(len(row) for row in rows)
    drafted: dict[str, Any] = {"layout": "points", "files": _globs(look, files), "columns": ["x", "y", "label"][:width]}
    places = [value for row in rows for cell in row[:2] if (value := number(cell)) is not None]
    unsure = []
    if all(0 <= place <= 1 for place in places) and not all(place.is_integer() for place in places):
        drafted["convention"] = "normalised"
    elif all(place.is_integer() for place in places):
        drafted["convention"] = "index"
        unsure.append(
            "points: whole numbers, taken as pixels counted from 0; they may count from 1, or be x and y swapped"
        )
    else:
        drafted["convention"] = "continuous"
        unsure.append("points: fractions of pixels, taken as places on the raster; x and y may be swapped")
    labels = {row[2] for row in rows if len(row) == 3}
    if any(number(label) is not None for label in labels):
        drafted["names"], numbered = _numbered("points", labels)
        unsure.append(numbered)
    elif labels:
        unsure.append(_labels_seen("points", Counter(row[2] for row in rows if len(row) == 3), whole=False))
    return Draft(drafted, _keys(files), tuple(unsure), objects=True)


def _numbered(layout: str, ids: Iterable[str]) -> tuple[dict[str, str], str]:
    keys = sorted(ids, key=lambda text: (number(text) or 0, text))
    names = {key: f"type {key}" for key in keys}
    return names, f"{layout}: classes are numbers ({', '.join(keys)}); their names stand in no file, see the README"


def split_lists(look: Look) -> tuple[dict[str, Any], frozenset[str]] | None:
    """Text files called after splits that list images, one a line: the card's `split`, and their keys."""
    found: dict[str, list[Entry]] = {}
    for entry in look.with_suffix(".txt"):
        if stem_of(entry.name).lower() in SPLIT_WORDS and _lists_images(look, entry):
            found.setdefault(entry.folder, []).append(entry)
    if not found:
        return None
    folder, files = max(found.items(), key=lambda item: (len(item[1]), item[0]))
    return {"lists": f"{escaped(folder)}/{{split}}.txt".lstrip("/")}, _keys(files)


def _lists_images(look: Look, entry: Entry) -> bool:
    lines = [row for row in _cells(look.read(entry)) or () if row]
    return bool(lines) and sum(look.finds(row[0], entry.folder) is not None for row in lines) * 10 >= len(lines)


def masks(look: Look) -> tuple[list[Draft], frozenset[str]]:
    """Images that are masks of others, by the words in their paths; and the keys of these masks."""
    shared = _shared_folders(look.images)
    marked = [entry for entry in look.images if entry.key not in look.dicom and _is_mask_name(entry.name, shared)]
    keys = _keys(marked)
    pictures = [entry for entry in look.images if entry.key not in keys]
    if not marked or not pictures:
        return [], frozenset()
    pairing = _pairing(marked, pictures)
    if pairing is None:
        told = f"masks: of {len(marked)} image files called masks most lead to no image; they are taken for images"
        return [Draft({"layout": "none"}, frozenset(), (told,))], frozenset()
    options, of_image = pairing
    files = _globs(look, marked)
    several = max(Counter(of_image.values()).values()) > 1
    held, told = _held(look, marked, several)
    drafted: dict[str, Any] = {"layout": "masks", "files": files, **options, **held}
    return [Draft(drafted, keys, (f"masks: {told}; their names stand in no file",), objects=True)], keys


def _shared_folders(entries: Sequence[Entry]) -> int:
    """How many leading folders all entries share: what stands there parts no mask from its image."""
    folders = [entry.folder.split("/") for entry in entries]
    first, last = min(folders, default=[]), max(folders, default=[])
    return next(
        (depth for depth, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )


def _held(look: Look, marked: Sequence[Entry], several: bool) -> tuple[dict[str, Any], str]:
    """What one mask file holds, as options of the layout, and on what grounds."""
    if several:
        return {"per": "file", "label": "object"}, "several files to an image, so each is taken for one object"
    values = _values_of(look, marked)
    if values is not None:
        return {"per": "value", "values": values}, f"values {', '.join(map(str, values))} in each, taken for classes"
    told = "one file to an image, taken for a map of instances; say `per: value` where its values are classes"
    return {"per": "instance", "label": "object"}, told


def _values_of(look: Look, marked: Sequence[Entry]) -> dict[int, str] | None:
    """Value -> a label that only numbers it, where a few masks hold the same few values; else they number objects."""
    found: list[frozenset[int]] = []
    for entry in marked[:: max(len(marked) // SAMPLE_MASKS, 1)][:SAMPLE_MASKS]:
        data = look.read(entry)
        mask = read_mask(data, Limits()) if data else None
        if mask is None or isinstance(mask, Refusal):
            continue
        found.append(frozenset(np.unique(mask).tolist()) - {0})
    classes = frozenset().union(*found)
    alike = sum(values == classes for values in found) * 2 > len(found)
    if not classes or len(classes) > MAX_CLASSES or not alike:
        return None
    return {value: f"value {value}" for value in sorted(classes)}


def _is_mask_name(name: str, shared: int) -> bool:
    return mask_word(name, shared) is not None


def mask_word(name: str, shared: int) -> str | None:
    """The word, and what parts it from others, that says that a path is a mask's; folders all share say nothing."""
    folders = [] if "/" not in name else name.split("/")[shared:-1]
    found = (_MASK_WORD.search(segment) for segment in (stem_of(name), *folders))
    return next((match[0] for match in found if match), None)


def _pairing(marked: Sequence[Entry], pictures: Sequence[Entry]) -> tuple[dict[str, str], dict[str, str]] | None:
    """How the path of a mask leads to its image: options of the layout, and mask -> image."""
    by_stem = Counter(stem_of(entry.name) for entry in pictures)
    for options in _pairings(marked[0], pictures):
        pattern = re.compile(options["pattern"]) if options else None
        names = {entry.name for entry in pictures}
        of_image: dict[str, str] = {}
        for entry in marked:
            if pattern is None:
                image = stem_of(entry.name) if by_stem[stem_of(entry.name)] else None
            else:
                groups = pattern.search(entry.name)
                wanted = options["image"].format(**groups.groupdict()) if groups else ""
                image = wanted if wanted in names or by_stem[wanted] == 1 else None
            if image is not None:
                of_image[entry.name] = image
        if len(of_image) * 10 >= len(marked) * 9:
            return options, of_image
    return None


def _pairings(mask: Entry, pictures: Sequence[Entry]) -> Iterator[dict[str, str]]:
    """The same stem; the stem without its mask word; the image that the folder of the mask is named after."""
    yield {}
    stem = stem_of(mask.name)
    word = _MASK_WORD.search(stem)
    if word and word.end() == len(stem):
        yield {"pattern": f"(?P<stem>[^/]+){re.escape(word[0])}\\.[^./]+$", "image": "{stem}"}
    elif word and word.start() == 0:
        yield {"pattern": f"(?:^|/){re.escape(word[0])}(?P<stem>[^/]+)\\.[^./]+$", "image": "{stem}"}
    segments = mask.name.split("/")[:-1]
    for depth, segment in enumerate(segments):
        image = next((picture.name for picture in pictures if stem_of(picture.name) == segment), None)
        if image is not None and "{" not in image:
            before, after = (
                "".join(f"{re.escape(part)}/" for part in parts) for parts in (segments[:depth], segments[depth + 1 :])
            )
            yield {"pattern": f"^{before}(?P<id>[^/]+)/{after}", "image": image.replace(segment, "{id}")}


def _globs(look: Look, files: Iterable[Entry]) -> list[str]:
    return look.globs(entry.name for entry in files)


def _keys(entries: Iterable[Entry]) -> frozenset[str]:
    return frozenset(entry.key for entry in entries)


def _labels_seen(layout: str, labels: Counter[str], whole: bool) -> str:
    bound = "" if whole else f" in the first {SAMPLE_FILES} files"
    return f"{layout}: labels seen{bound}: {_listed(labels)}; give standard names in `concepts`"


def _listed(labels: Iterable[str]) -> str:
    names = sorted(shown(label) for label in labels)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
