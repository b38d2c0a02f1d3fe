"""The hand-written sentences, clean and false: YAML as its author writes it, checked and turned into rows.

One file holds a list of entries; `clean/README.md` tells their keys, `lies/README.md` what a false one has beside.
Whatever does not fit is an `EntryError` that names the file and the entry.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from bench.verify.rows import IMAGE_TOKEN, Row
from curate.rows import Annotation, Asset, Draft, Message
from curate.schema import Annotator, Kind, Laterality, Origin, State, World, identity
from curate.vocabulary import LabelNames

__all__ = [
    "CLEAN",
    "LIES",
    "Entry",
    "EntryError",
    "Lie",
    "lies_of_folder",
    "load_entries",
    "load_folder",
    "load_lies",
    "row_of",
    "rows_of_folder",
]

CLEAN = Path(__file__).parent / "clean"
LIES = Path(__file__).parent / "lies"

ASKS: Mapping[str, frozenset[str]] = {
    "caption": frozenset({"attributes"}),
    "presence": frozenset({"concept", "label_set"}),
    "attribute_is": frozenset({"attribute"}),
    "attribute": frozenset({"attribute"}),
    "class": frozenset({"label_set"}),
    "findings": frozenset({"label_set", "all"}),
    "grade": frozenset({"concept", "label_set"}),
    "locate": frozenset({"concept", "label_set", "all"}),
    "point": frozenset({"concept", "label_set", "all"}),
    "identify": frozenset({"label_set"}),
    "count": frozenset({"concept", "label_set"}),
    "count_total": frozenset({"concepts", "label_set"}),
    "measure": frozenset({"concept", "label_set"}),
    "choice": frozenset({"of", "options", "letters"}),
    "compare": frozenset({"label_set", "concept"}),
}
"""What each ask must say; `choice` says further what it is of."""

CHOICE_KEYS = frozenset({"label_set", "concept", "attribute"})


class EntryError(Exception):
    """A file or an entry of the hand-written sentences that cannot be used."""


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of an image beside its findings."""

    modality: str | None
    anatomy: str | None
    view: str | None
    laterality: Laterality | None
    width: int
    height: int
    spacing_mm: list[float] | None = None


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One annotation as the entry's author writes it. `image` is 0 or 1 where there are two."""

    set: str
    kind: Kind
    concept: str | None = None
    world: World | None = None
    exhaustive: bool | None = None
    state: State | None = None
    side: Laterality | None = None
    value: float | None = None
    unit: str | None = None
    label: str | None = None
    text: str | None = None
    box: list[float] | None = None
    point: list[float] | None = None
    image: int | None = None


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one label set can name."""

    concepts: list[str]
    world: World = World.OPEN
    exhaustive: bool = False


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One clean sentence with its question and all that proves it. `kind` is free words for what it tries."""

    id: str
    language: Literal["en", "zh"]
    kind: str
    image: Image
    says: list[Said]
    vocabulary: dict[str, Names]
    asks: dict[str, Any]
    question: str
    answer: str
    prior: bool = False


class Lie(Entry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One false sentence beside the annotations that it contradicts or outruns. `lie` is how (`side`, `count`)."""

    lie: str


E = TypeVar("E", bound=Entry)


def load_folder(folder: Path = CLEAN) -> dict[str, list[Entry]]:
    """File stem (`en_dev`) -> its entries; ids are unique over all files."""
    return _loaded(folder, Entry)


def load_lies(folder: Path = LIES) -> dict[str, list[Lie]]:
    """File stem (`en`) -> its false sentences; ids are unique over all files."""
    return _loaded(folder, Lie)


def _loaded(folder: Path, model: type[E]) -> dict[str, list[E]]:
    found: dict[str, list[E]] = {}
    seen: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        found[path.stem] = _load(path, model)
        for entry in found[path.stem]:
            if entry.id in seen:
                raise EntryError(f"{path.name}: the id {entry.id} stands in {seen[entry.id]} too; rename one of them")
            seen[entry.id] = path.name
    return found


def load_entries(path: Path) -> list[Entry]:
    """The clean entries of one file.

    Raises:
        EntryError: no YAML list, an entry that does not fit the model, or one that contradicts itself.
    """
    return _load(path, Entry)


def _load(path: Path, model: type[E]) -> list[E]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise EntryError(f"{path.name}: cannot be read as YAML ({type(problem).__name__})") from None
    if not isinstance(raw, list):
        raise EntryError(f"{path.name}: holds {type(raw).__name__}, not a list of entries")
    entries: list[E] = []
    for place, item in enumerate(raw, start=1):
        name = item.get("id") if isinstance(item, dict) else None
        try:
            entry = msgspec.convert(item, model)
            _check(entry)
        except (msgspec.ValidationError, EntryError) as problem:
            raise EntryError(f"{path.name}: entry {place} ({name}): {problem}") from None
        entries.append(entry)
    return entries


def _check(entry: Entry) -> None:
    for what, text in (("question", entry.question), ("answer", entry.answer)):
        if not text.strip() or IMAGE_TOKEN in text:
            raise EntryError(f"the {what} is empty or holds an image token")
    _check_asks(entry)
    for place, said in enumerate(entry.says, start=1):
        problem = _problem(said, entry)
        if problem:
            raise EntryError(f"says[{place}] ({said.kind} of {said.concept}): {problem}")


def _check_asks(entry: Entry) -> None:
    ask = str(entry.asks.get("ask"))
    if ask not in ASKS:
        raise EntryError(f"asks {ask!r}; known are {', '.join(ASKS)}")
    keys = entry.asks.keys() - {"ask"}
    missing, surplus = ASKS[ask] - keys, keys - ASKS[ask] - (CHOICE_KEYS if ask == "choice" else set())
    if missing or surplus:
        raise EntryError(f"asks {ask} without {sorted(missing)} or with {sorted(surplus)}")
    named = entry.asks.get("label_set")
    if named is not None and named not in entry.vocabulary:
        raise EntryError(f"asks about the label set {named!r}, which the vocabulary lacks")
    if ask == "compare" and not entry.prior:
        raise EntryError("asks to compare without a prior")


def _problem(said: Said, entry: Entry) -> str | None:
    names = entry.vocabulary.get(said.set)
    if names is None:
        return f"its set {said.set!r} is not in the vocabulary"
    if said.kind is not Kind.ATTRIBUTE and said.concept not in names.concepts:
        return f"its set {said.set!r} does not name this concept"
    if (said.kind is Kind.BOX) != (said.box is not None) or (said.kind is Kind.POINT) != (said.point is not None):
        return "geometry and kind do not fit"
    if said.box is not None:
        x0, y0, x1, y1 = said.box if len(said.box) == 4 else (0, 0, 0, 0)
        if not (0 <= x0 < x1 <= entry.image.width and 0 <= y0 < y1 <= entry.image.height):
            return f"the box {said.box} is no box within the image"
    if said.point is not None:
        x, y = said.point if len(said.point) == 2 else (-1, -1)
        if not (0 <= x <= entry.image.width and 0 <= y <= entry.image.height):
            return f"the point {said.point} is no point within the image"
    if said.kind in (Kind.COUNT, Kind.MEASUREMENT) and said.value is None:
        return "has no value"
    if said.kind is Kind.COUNT and said.value is not None and (said.value < 0 or said.value != int(said.value)):
        return f"counts {said.value}"
    if said.image not in (None, 0, 1) or (said.image == 0 and not entry.prior):
        return f"speaks of image {said.image}"
    return None


def row_of(entry: Entry, group: str) -> Row:
    """The entry as a draft from a model's hand, with its assets and annotations."""
    count = 2 if entry.prior else 1
    assets = tuple(_asset(entry, place, count) for place in range(count))
    annotations = tuple(_annotation(entry, assets, place, said) for place, said in enumerate(entry.says))
    vocabulary = {
        name: LabelNames(tuple(sorted(names.concepts)), names.world, names.exhaustive)
        for name, names in entry.vocabulary.items()
    }
    draft = Draft(
        draft_id=identity("clean", entry.id),
        source="clean",
        asset_ids=[asset.asset_id for asset in assets],
        annotation_ids=[each.annotation_id for each in _rests_on(entry, annotations)],
        task="clean",
        variant=0,
        wording=entry.kind,
        language=entry.language,
        origin=Origin.LLM,
        messages=[
            Message("user", f"{IMAGE_TOKEN}\n" * count + entry.question),
            Message("assistant", entry.answer),
        ],
        constraints=msgspec.json.encode(entry.asks, order="sorted").decode(),
    )
    return Row(entry.id, group, entry.kind, draft, assets, annotations, vocabulary, entry.prior)


def rows_of_folder(folder: Path = CLEAN) -> Iterator[Row]:
    """All hand-written rows, each file a group: `hand en dev`."""
    for stem, entries in load_folder(folder).items():
        for entry in entries:
            yield row_of(entry, f"hand {stem.replace('_', ' ')}")


def lies_of_folder(folder: Path = LIES) -> Iterator[tuple[Row, str]]:
    """All hand-written false rows, each beside its kind of lie; each file a group: `hand-written lies en`."""
    for stem, lies in load_lies(folder).items():
        for entry in lies:
            yield row_of(entry, f"hand-written lies {stem.replace('_', ' ')}"), entry.lie


def _asset(entry: Entry, place: int, count: int) -> Asset:
    image = entry.image
    asset_id = identity("clean", entry.id, "asset", place)
    return Asset(
        asset_id=asset_id,
        source="clean",
        item_key=f"{entry.id}/{place}.png",
        content_sha256=asset_id,
        image_sha256=asset_id,
        subject=identity("clean", entry.id, "subject") if count > 1 else None,
        day_offset=place if count > 1 else None,
        modality=image.modality,
        anatomy=image.anatomy,
        view=image.view,
        laterality=image.laterality,
        media_type="image/png",
        width=image.width,
        height=image.height,
        channels=1,
        bit_depth=8,
        spacing_mm=image.spacing_mm,
        labelled_by=sorted(entry.vocabulary),
    )


def _annotation(entry: Entry, assets: tuple[Asset, ...], place: int, said: Said) -> Annotation:
    names = entry.vocabulary[said.set]
    asset = assets[said.image if said.image is not None else len(assets) - 1]
    stated = said.kind in (Kind.CLASS, Kind.MULTILABEL, Kind.BOX, Kind.POINT)
    return Annotation(
        annotation_id=identity("clean", entry.id, "annotation", place),
        asset_id=asset.asset_id,
        source="clean",
        label_set=said.set,
        world=said.world or names.world,
        exhaustive=names.exhaustive if said.exhaustive is None else said.exhaustive,
        kind=said.kind,
        label=said.label or said.concept,
        concept=said.concept,
        state=said.state or (State.PRESENT if stated else None),
        side=said.side,
        value=said.value,
        unit=said.unit,
        text=said.text,
        language="en" if said.text else None,
        frame="raster" if said.box or said.point else None,
        box=said.box,
        point=said.point,
        annotator=Annotator.HUMAN,
        file="clean",
        locator=f"{entry.id}, says[{place}]",
    )


def _rests_on(entry: Entry, annotations: tuple[Annotation, ...]) -> list[Annotation]:
    """What the text tells of: all for a caption or all findings, else what is asked about."""
    asks = entry.asks
    if asks["ask"] == "identify":
        # As texts write a box: the smallest one with whole edges that holds it.
        written = [json.loads(found) for found in re.findall(r"\[[^\[\]]+\]", entry.question)]
        return [
            each
            for each in annotations
            if each.box and [*map(math.floor, each.box[:2]), *map(math.ceil, each.box[2:])] in written
        ]
    concepts = set(asks.get("concepts", [asks["concept"]] if "concept" in asks else []))
    named = asks.get("label_set")
    if asks["ask"] in ("attribute", "attribute_is"):
        return [each for each in annotations if each.concept == asks["attribute"]]
    return [
        each
        for each in annotations
        if (named is None or each.label_set == named) and (not concepts or each.concept in concepts)
    ]
