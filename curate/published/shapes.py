"""What a whole JSON document is when it is no list: where its rows lie, by its keys and the types of its values."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from curate.published.keys import BOX_KEYS, TURN_KEYS

__all__ = ["LOOKED_FOR", "Shaped", "shape_of", "split_word"]

LOOKED_FOR: Final = (
    "lists of conversations, messages, preference pairs, questions with answers, referring prompts, captions, texts or "
    "replies; sections of training and testing; mixture manifests; dataset registries; annotated intervals; tables"
)
_SPLITS: Final = {
    "train": "train", "training": "train", "trainset": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "dev": "validation", "valset": "validation", "validate": "validation",
    "test": "test", "testing": "test", "testset": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_ANNOTATION_KEYS: Final = ("annotations", "annotation", "annotation_path", "anno_path", "data_path", "json_path")
_MIXTURE_KEYS: Final = (
    "length",
    "root",
    "image_dir",
    "repeat_time",
    "sample_ratio",
    "data_augment",
    "sampling_strategy",
)
_REGISTRY_KEYS: Final = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_PLAIN: Final = re.compile(r"[\w.-]{1,60}")
_WRAPPERS: Final = ("data", "records", "rows", "items", "questions", "samples", "examples", "annotations", "results")


class Shaped(msgspec.Struct, frozen=True):
    """A document that is no list. `entries` are its rows: (locator, section or name, value)."""

    format: str
    entries: tuple[tuple[str, str, Any], ...] = ()
    summary: str = ""


def split_word(name: str) -> str | None:
    """The split that a word names; null where it names none."""
    return _SPLITS.get(name.lower())


def shape_of(value: Any) -> Shaped:
    """The shape of a document. `unrecognised` where it is none of those that are looked for."""
    if not isinstance(value, dict) or not value:
        return Shaped("unrecognised")
    if "@context" in value and ("recordSet" in value or "distribution" in value):
        return Shaped("Croissant metadata")
    if isinstance(value.get("database"), dict):
        return Shaped("annotated intervals", _named(value["database"]))
    if any(isinstance(value.get(name), list) for name in TURN_KEYS) or "question" in value or "chosen" in value:
        return Shaped("records", (("row 1", "", value),))
    named = {name: held for name, held in value.items() if isinstance(held, dict)}
    if named and len(named) == len(value):
        return _of_objects(value)
    sections = {name: held for name, held in value.items() if split_word(str(name)) and isinstance(held, list)}
    if sections:
        return _sections(sections)
    if "images" in value and "annotations" in value and isinstance(value["annotations"], list):
        return Shaped("COCO", _numbered(value["annotations"]))
    lists = {name: held for name, held in value.items() if isinstance(held, list) and held}
    texts = all(isinstance(one, str) for held in lists.values() for one in held)
    if lists and len(lists) == len(value) and texts:
        entries = tuple((f"entry {at}", str(name), one) for at, name, one in _flat(lists))
        return Shaped("texts by name", entries, f"{len(lists)} names")
    for name in (*_WRAPPERS, *lists):
        if name in lists and isinstance(lists[name][0], (dict, list)):
            return Shaped("records", _numbered(lists[name]))
    return Shaped("unrecognised")


def _of_objects(value: dict[str, Any]) -> Shaped:
    held = list(value.values())
    if all(any(key in one for key in _ANNOTATION_KEYS) and any(key in one for key in _MIXTURE_KEYS) for one in held):
        return Shaped("mixture manifest", _named(value))
    if 2 * sum(any(key in one for key in _REGISTRY_KEYS) for one in held) > len(held) or (
        all("columns" in one or "formatting" in one or any(key in one for key in _REGISTRY_KEYS) for one in held)
    ):
        return Shaped("dataset registry", _named(value))
    if all(isinstance(one.get("annotations"), list) for one in held):
        first = next((entry for one in held for entry in one["annotations"]), None)
        if isinstance(first, dict) and ("segment" in first or "timestamp" in first):
            return Shaped("annotated intervals", _named(value))
    common = set.intersection(*(set(one) for one in held))
    known = {"question", "answer", "file", "image", "images", "caption", "report", "label", *TURN_KEYS, *BOX_KEYS}
    if common & known:
        return Shaped("records", _named(value))
    return Shaped("unrecognised")


def _sections(sections: dict[str, list[Any]]) -> Shaped:
    entries = tuple(
        (f"{name} {number}", name, one) for name, held in sections.items() for number, one in enumerate(held, 1)
    )
    summary = ", ".join(f"{name} {len(held)}" for name, held in sections.items())
    return Shaped("sections by split", entries, summary)


def _flat(lists: dict[str, list[Any]]) -> Iterator[tuple[int, str, Any]]:
    number = 0
    for name, held in lists.items():
        for one in held:
            number += 1
            yield number, name, one


def _named(value: dict[str, Any]) -> tuple[tuple[str, str, Any], ...]:
    return tuple((_place(at, str(name)), str(name), held) for at, (name, held) in enumerate(value.items(), 1))


def _place(at: int, name: str) -> str:
    return f"entry {at} ({name})" if _PLAIN.fullmatch(name) else f"entry {at}"


def _numbered(held: list[Any]) -> tuple[tuple[str, str, Any], ...]:
    return tuple((f"row {at}", "", one) for at, one in enumerate(held, 1))
