"""Runs one layout over a folder, as the scan stage does, and tells what came of it."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.card import parse_card
from curate.layouts.base import Context, Layout, LayoutOptions, RawAnnotation, Record, Refused
from curate.layouts.image_index import ImageIndex
from curate.layouts.tree import Reader, Tree
from curate.schema import Unit

CARD = {
    "id": "example",
    "title": "An example",
    "source": {"home": "example.org"},
    "terms": {"licence": "CC0-1.0", "quote": "public domain", "read_at": "README.md"},
    "subject": {"none": "not published"},
}


def options_of(layout: type[Layout], **options: object) -> LayoutOptions:
    """The layout's options, checked as a card's are."""
    from curate.card import convert_strictly
    from curate.errors import CardError

    return convert_strictly(options, layout.Options, "example", CardError)


def context_of(
    reader: Reader, layout: type[Layout], root: Path, images: str | list[str], labels: Mapping[str, Any]
) -> Context:
    card = parse_card({**CARD, "images": {"glob": images}, "labels": [{"layout": layout.name, **labels}]}, "example")
    label_set = card.labels[0]
    tree = Tree.scan(root, (*card.images.globs, *label_set.files))
    return Context(
        card=card,
        labels=label_set,
        options=options_of(layout, **label_set.options),
        tree=tree,
        read=lambda entry: reader.read(entry.path, entry.member),
        images=tree.match(card.images.globs),
    )


def scan(
    layout: type[Layout], root: Path, images: str | list[str], **labels: Any
) -> tuple[list[Record | Refused], ImageIndex]:
    """Every unit that the layout yields, and the index that finds their images."""
    with Reader(root) as reader:
        context = context_of(reader, layout, root, images, labels)
        return list(layout().scan(context)), ImageIndex(context.images)


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Makes small literal files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def pack(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """Makes a zip of small literal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def objects(units: Sequence[Record | Refused]) -> list[RawAnnotation]:
    """The annotations of all records of single objects."""
    return [
        annotation
        for unit in units
        if isinstance(unit, Record) and unit.unit is Unit.OBJECT
        for annotation in unit.annotations
    ]


def refusals(units: Sequence[Record | Refused]) -> list[tuple[str, str, str]]:
    """Unit, locator and reason of everything that was refused or filtered."""
    return [(unit.unit.value, unit.locator, unit.refusal.reason.value) for unit in units if isinstance(unit, Refused)]


def covered(units: Sequence[Record | Refused]) -> list[str]:
    """The names of the images that some record covers, in the order of the records."""
    return [unit.image.name for unit in units if isinstance(unit, Record) and unit.covers]
