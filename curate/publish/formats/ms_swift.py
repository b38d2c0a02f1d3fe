"""ms-swift JSON lines: `messages`, media in lists, and `objects` whose numbers it writes in the way of its model.

By default coordinates are kept out of the text: `<bbox>` stands where they belong and `<ref-object>` where their object
is named, `objects` holds both in the order of the placeholders, in pixels of the image file (`bbox_type: real`; a box
has four numbers, a point two, the centre of its pixel), and no sentence speaks of a form. ms-swift then renders them
per model. Such rows lie in `<split>_grounding.jsonl`, or `_grounding_unnamed` where no name could be marked; rows with
videos in `_video`, with both kinds of media in `_mixed`, with none in `_text`: loaders infer types from the first
megabytes of a file, and an empty list has none. With `objects: false` coordinates are text in the dialect that the
options name. Paths are relative to the release: train from there, or set ROOT_IMAGE_DIR.
Source: ms-swift, Customization/Custom-dataset.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from curate.errors import UsageError
from curate.publish.base import FormatOptions, Release, Row, Writer, Written
from curate.publish.coordinates import DialectOptions, Places, places_of, replaced, sentence
from curate.publish.formats.sheets import kind_of, media_lists, render, turns

__all__ = ["MsSwift", "MsSwiftOptions"]

_BOX: Final = "<bbox>"
_REFERENCE: Final = "<ref-object>"
_RESERVED: Final = re.compile(r"<(?:bbox|ref-object|cot-process|start-image)>")
_NAMES: Final = ("things", "a_thing", "thing")
"""Slots that name what is marked, the longer words before those that they may hold."""


class MsSwiftOptions(DialectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`objects`: coordinates apart from the text, for ms-swift to render; else text in a dialect."""

    objects: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objects and (self.dialect is not None or self.model_family is not None):
            raise UsageError(
                "format ms-swift: with `objects` it renders coordinates itself; a dialect needs objects: false"
            )


class MsSwift:
    """See the module."""

    name: ClassVar[str] = "ms-swift"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = MsSwiftOptions

    def __init__(self, options: MsSwiftOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        return render(release, writer, name=self.name, kind="jsonl", options=self.options, make=self._row)

    def _row(self, row: Row) -> tuple[str, Mapping[str, Any]] | str:
        if any(_RESERVED.search(turn.content) for turn in row.messages):
            return "its text holds a token that trainers read as a place"
        places = places_of(row) if self.options.objects else None
        if isinstance(places, str):
            return places
        objects, named = (None, row) if places is None else _apart(row, places)
        messages = [{"role": role, "content": text} for role, text in turns(named)]
        told: dict[str, Any] = {"messages": messages, **media_lists(row)}
        if objects is None:
            return kind_of(row), told
        return "grounding" if objects["ref"] else "grounding_unnamed", told | {"objects": objects}


def _apart(row: Row, places: Places) -> tuple[Mapping[str, Any], Row]:
    """What a row marks, and the row with placeholders in its place."""
    marks = _BOX * len(places.numbers)
    told = sentence("objects", places.slot, row)
    marked = replaced(row, {places.slot: marks, places.sentence: told})
    name = next((name for name in _NAMES if _stands_once(marked, name)), None)
    references = [] if name is None else [marked.slots[name]]
    if name is not None:
        marked = replaced(marked, {name: _REFERENCE})
    numbers = [[float(number) for number in place] for place in places.numbers]
    if places.slot == "points":
        numbers = [[number + 0.5 for number in place] for place in numbers]
    return {"ref": references, "bbox": numbers, "bbox_type": "real"}, marked


def _stands_once(row: Row, name: str) -> bool:
    """True for words that stand once in the whole text, as words."""
    word = row.slots.get(name)
    if not word:
        return False
    text = "\n".join(turn.content for turn in row.messages)
    return len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text)) == 1 == text.count(word)
