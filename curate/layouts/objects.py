"""What the layouts of boxes, masks and points share: reading text, finding the image of a stem, naming a class."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import yaml

from curate.card import LabelSet
from curate.errors import DataError
from curate.layouts.archives import refusal_of
from curate.layouts.base import Context, ImageRef, RawAnnotation, Record, Refused
from curate.layouts.concepts import name_label
from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal, State, Unit

__all__ = [
    "Names",
    "StemIndex",
    "class_label",
    "finite_numbers",
    "labelled",
    "names_file",
    "number",
    "object_unit",
    "read_bytes",
    "read_lines",
    "read_names",
    "stem_of",
]

Names = list[str] | dict[int | str, str] | str | None
"""Names of classes on a card: in the order of their ids, by id, or the path of a file that holds them."""

_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII
)


def read_bytes(context: Context, entry: Entry) -> bytes | Refusal:
    """The bytes of a label file, or why they cannot be had."""
    try:
        return context.read(entry)
    except OSError as problem:
        return refusal_of(problem)


def read_lines(context: Context, entry: Entry) -> list[tuple[int, str]] | Refusal:
    """The lines of a text file that are not blank, stripped, with their numbers from 1."""
    data = read_bytes(context, entry)
    if isinstance(data, Refusal):
        return data
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        return Refusal(Reason.BAD_ENCODING, f"byte {problem.start} is not UTF-8")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(position, line.strip()) for position, line in enumerate(lines, start=1) if line.strip()]


def number(text: str) -> float | None:
    """The number that a cell holds, which need not be finite; None where it holds something else."""
    stripped = text.strip()
    return float(stripped) if _NUMBER.fullmatch(stripped) else None


def finite_numbers(values: object) -> tuple[float, ...] | None:
    """A JSON list of finite numbers, or None where it is anything else."""
    if not isinstance(values, list):
        return None
    numbers: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not abs(value) < 1e300:  # neither infinite, nor NaN, nor an integer that no float holds
            return None
        numbers.append(float(value))
    return tuple(numbers)


# --- images ----------------------------------------------------------------------------------------------------------


def stem_of(name: str) -> str:
    """The file name without its folder and its extension (`.nii.gz` counts as one)."""
    file = name.rpartition("/")[2]
    if file.lower().endswith(".nii.gz"):
        return file[: -len(".nii.gz")]
    stem, dot, _ = file.rpartition(".")
    return stem if dot and stem else file


class StemIndex:
    """Finds the image of a label file that has the image's stem."""

    def __init__(self, images: Iterable[Entry], swap: tuple[str, str] | None = None) -> None:
        self._swap = swap
        self._found: dict[tuple[str, str], list[Entry]] = {}
        for image in images:
            self._found.setdefault((image.folder, stem_of(image.name)), []).append(image)

    def refer(self, entry: Entry) -> ImageRef:
        """The image in the file's own folder, or in that with the last folder called `swap[0]` called `swap[1]`.

        Where neither holds exactly one image of that stem, the stem itself, for the rule that holds for all layouts.
        """
        stem = stem_of(entry.name)
        for folder in (entry.folder, self._swapped(entry.folder)):
            found = self._found.get((folder, stem), []) if folder is not None else []
            if len(found) == 1:
                return ImageRef(found[0].name)
            if found:
                return ImageRef(stem, folder or "")
        return ImageRef(stem, entry.folder)

    def _swapped(self, folder: str) -> str | None:
        segments = folder.split("/")
        if self._swap is None or self._swap[0] not in segments:
            return None
        last = len(segments) - 1 - segments[::-1].index(self._swap[0])
        return "/".join([*segments[:last], self._swap[1], *segments[last + 1 :]])


# --- classes ---------------------------------------------------------------------------------------------------------


def names_file(context: Context, names: Names) -> Entry | None:
    """The file that `names` points to, or None where the card lists the names itself.

    Raises:
        DataError: there is no such file.
    """
    if not isinstance(names, str):
        return None
    for entry in context.tree.entries:
        if entry.name == names:
            return entry
    raise DataError(
        f"{context.card.id}: `names` of label set {context.labels.name} is {names!r}, and no such file lies below the "
        "data root; correct the path or list the names on the card"
    )


def read_names(context: Context, names: Names) -> dict[str, str] | None:
    """Class id -> name, or None where the card says nothing.

    A YAML file holds them as `names`, a list or a mapping; any other file holds one a line, the first that of id 0.

    Raises:
        DataError: the file is not there or does not hold names.
    """
    entry = names_file(context, names)
    if entry is None:
        return None if names is None else _by_id(names)
    found: object
    if entry.name.lower().endswith((".yaml", ".yml")):
        found = _yaml_names(context, entry)
    else:
        lines = read_lines(context, entry)
        found = None if isinstance(lines, Refusal) else {position - 1: line for position, line in lines}
    if not found or not isinstance(found, list | dict):
        raise DataError(f"{context.card.id}: {entry.key} holds no names of classes; list them on the card as `names`")
    return _by_id(found)


def _yaml_names(context: Context, entry: Entry) -> object:
    data = read_bytes(context, entry)
    if isinstance(data, Refusal):
        return None
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return content.get("names") if isinstance(content, dict) else None


def _by_id(names: object) -> dict[str, str]:
    pairs = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else [])
    return {_canonical(str(key)): str(name) for key, name in pairs if name is not None}


def _canonical(token: str) -> str:
    value = number(token)
    return str(int(value)) if value is not None and value.is_integer() else token.strip()


def class_label(token: str, names: Mapping[str, str] | None, labels: LabelSet) -> str | Refusal:
    """The label that a class id or word means. A bare number that neither `names` nor `concepts` explain has none."""
    key = _canonical(token)
    is_number = number(token) is not None
    if names is not None:
        label = names.get(key)
        if label is None:
            shown = f"class {key}" if is_number else "a class that is not a number"
            return Refusal(Reason.UNKNOWN_CLASS, f"{shown} is not among the {len(names)} names")
        return label
    if is_number and labels.concepts is None:
        return Refusal(Reason.UNKNOWN_CLASS, f"class {key} has no name; give `names` or `concepts`")
    return key


def labelled(annotation: RawAnnotation, label: str, labels: LabelSet) -> RawAnnotation | Refusal:
    """The annotation with its label and the concept that the card gives it; what is marked is present."""
    concept = name_label(label, labels)
    if isinstance(concept, Refusal):
        return concept
    return msgspec.structs.replace(
        annotation,
        label=label,
        concept=concept.name,
        code=concept.code,
        code_system=concept.system,
        state=State.PRESENT,
    )


def object_unit(entry: Entry, locator: str, image: ImageRef, outcome: RawAnnotation | Refusal) -> Record | Refused:
    """One object of a label file: it speaks of a part of its image only, so it covers nothing."""
    if isinstance(outcome, Refusal):
        return Refused(Unit.OBJECT, entry.key, locator, outcome, image)
    return Record(Unit.OBJECT, entry.key, locator, image, (outcome,), covers=False)
