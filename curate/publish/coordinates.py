"""Rows in the dialect of a model family: their numbers and the sentence that states their form, together.

The numbers of a row stand word for word in its text, under the names of its fixed slots: `boxes` or `points` in an
answer, `region` in a question, and with them the sentence on their form, `form` or `frame`. Only these words are
replaced, and each must stand in the text exactly once; a row where that does not hold is left out whole, never half
converted. The sentences of the dialects are data (`wordings/coordinates.yaml`), chosen by a hash of the pair.

The numbers count on the stored raster, before any EXIF rotation, which is also what the files of a release hold:
delivery strips EXIF, and with it the rotation, unless a card keeps metadata. A trainer that applies EXIF rotation
itself to such kept metadata would turn the picture under the numbers.
"""

import functools
import importlib.resources
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import yaml

from curate.errors import UsageError
from curate.publish.base import FormatOptions, Row
from curate.publish.dialects import (
    MAX_PIXELS,
    MIN_PIXELS,
    MODEL_FAMILIES,
    Dialect,
    Frame,
    box_to,
    frame_of,
    point_to,
)
from curate.rows import Message
from curate.schema import Form
from curate.tasks.english import thing_name
from curate.tasks.wording import hash_of

__all__ = ["PLACES", "DialectOptions", "Places", "in_dialect", "places_of", "replaced", "sentence"]

PLACES: Final = ("boxes", "points", "region")
"""The slots that hold coordinates. A row has one of them or none."""
_SENTENCES: Final = ("form", "frame")
_NUMBERS: Final = {"boxes": 4, "points": 2, "region": 4}


class DialectOptions(FormatOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How coordinates are written. Name a dialect or the family of the model; neither is `pixels`.

    `notation`: `json` is lists; `box` is `<ref>name</ref><box>[[..]]</box>`, known for 0-1000 and 0-999. `loc` has its
    tokens. `min_pixels`, `max_pixels`: the limits between which the trainer lets Qwen2.5-VL resize, for `resized`.
    `decimals`: of fractions.
    """

    dialect: Dialect | None = None
    model_family: str | None = None
    notation: Literal["json", "box"] = "json"
    min_pixels: int = MIN_PIXELS
    max_pixels: int = MAX_PIXELS
    decimals: int = 4

    def __post_init__(self) -> None:
        family = self.model_family
        if family is not None and family not in MODEL_FAMILIES:
            raise UsageError(f"no model family is called {family!r}; known: {', '.join(MODEL_FAMILIES)}")
        if family is not None and self.dialect not in (None, MODEL_FAMILIES[family]):
            raise UsageError(
                f"{family} speaks {MODEL_FAMILIES[family]}, not {self.dialect}; name the family or the dialect"
            )
        if self.notation == "box" and self.spoken not in ("0-1000", "0-999"):
            raise UsageError(f"the notation `box` is known for 0-1000 and 0-999, not for {self.spoken}")
        if not 0 < self.min_pixels <= self.max_pixels:
            raise UsageError(
                f"min_pixels {self.min_pixels} and max_pixels {self.max_pixels} leave no size between them"
            )
        if not 1 <= self.decimals <= 9:
            raise UsageError(f"decimals {self.decimals}: fractions have 1 to 9")

    @property
    def spoken(self) -> Dialect:
        """The dialect that was asked for."""
        if self.dialect is not None:
            return self.dialect
        return "pixels" if self.model_family is None else MODEL_FAMILIES[self.model_family]

    def frame(self, width: int, height: int) -> Frame | None:
        """The dialect on an image, see `dialects.frame_of`."""
        return frame_of(
            self.spoken,
            width,
            height,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
            decimals=self.decimals,
        )


class Places(msgspec.Struct, frozen=True):
    """The coordinates of a row: in which slot, in canonical numbers, and under which slot the sentence stands."""

    slot: str
    numbers: tuple[tuple[int, ...], ...]
    sentence: str


def places_of(row: Row) -> Places | str | None:
    """What a row says of places; null where it says nothing, a reason where that cannot be read without doubt."""
    slots = [name for name in PLACES if name in row.fixed]
    if not slots:
        return None
    slot = slots[0]
    sentences = [name for name in _SENTENCES if name in row.fixed]
    if len(slots) > 1 or len(sentences) > 1:
        return "several kinds of coordinates in one text"
    if not sentences:
        return "no sentence states the form of its coordinates"
    if len(row.media) != 1 or row.media[0].is_video or row.media[0].form is Form.VOLUME:
        return "coordinates, and not exactly one picture that they are counted on"
    for name in (slot, sentences[0]):
        if sum(turn.content.count(row.slots[name]) for turn in row.messages) != 1:
            return f"the words of its slot {name!r} do not stand in the text exactly once"
    numbers = _numbers(row.slots[slot], single=slot == "region")
    if numbers is None or not all(_is_inside(place, row, _NUMBERS[slot]) for place in numbers):
        return "coordinates that are no places of its picture"
    return Places(slot, numbers, sentences[0])


def _numbers(text: str, *, single: bool) -> tuple[tuple[int, ...], ...] | None:
    try:
        found = json.loads(text)
        return msgspec.convert([found] if single else found, tuple[tuple[int, ...], ...])
    except (ValueError, msgspec.ValidationError):
        return None


def _is_inside(place: Sequence[int], row: Row, numbers: int) -> bool:
    width, height = row.media[0].width, row.media[0].height
    if len(place) != numbers:
        return False
    if numbers == _NUMBERS["points"]:
        return 0 <= place[0] < width and 0 <= place[1] < height
    return 0 <= place[0] < place[2] <= width and 0 <= place[1] < place[3] <= height


def in_dialect(row: Row, options: DialectOptions) -> Row | str:
    """The row with its coordinates in a dialect, or why it cannot have them. A row without coordinates stays."""
    if options.spoken == "pixels":
        return row
    places = places_of(row)
    if places is None or isinstance(places, str):
        return row if places is None else places
    medium = row.media[0]
    frame = options.frame(medium.width, medium.height)
    if frame is None:
        return "an image of a shape that the rule of resizing does not take, or on which its two publications differ"
    if options.notation == "box" and places.slot == "points":
        return "points, for which the notation `box` has no form"
    words = _written(row, places, frame, options)
    key = frame.dialect if options.notation == "json" else f"{frame.dialect} {options.notation}"
    told = sentence(key, places.slot, row, width=frame.steps[0], height=frame.steps[1])
    return replaced(row, {places.slot: words, places.sentence: told})


def _written(row: Row, places: Places, frame: Frame, options: DialectOptions) -> str:
    change: Callable[[Sequence[int], Frame], tuple[int, ...]] = point_to if places.slot == "points" else box_to
    changed = [change(place, frame) for place in places.numbers]
    if frame.dialect == "loc":
        tokens = ["".join(f"<loc_{number}>" for number in place) for place in changed]
        return (", " if places.slot == "points" else "").join(tokens)
    if frame.dialect == "0-1":
        lists = [_list(f"{number / frame.steps[0]:.{options.decimals}f}" for number in place) for place in changed]
    else:
        lists = [_list(str(number) for number in place) for place in changed]
    if options.notation == "box":
        return f"{_reference(row, places)}<box>{_list(lists)}</box>"
    return lists[0] if places.slot == "region" else _list(lists)


def _list(parts: Any) -> str:
    return f"[{', '.join(parts)}]"


def _reference(row: Row, places: Places) -> str:
    """The name of what an answer locates; of a Chinese text it is not known."""
    concept = row.constraints.get("concept")
    named = places.slot == "boxes" and row.language == "en" and isinstance(concept, str)
    return f"<ref>{thing_name(concept)}</ref>" if named and isinstance(concept, str) else ""


def sentence(key: str, slot: str, row: Row, **fields: int) -> str:
    """The sentence on the form of coordinates, one of the reviewed ones, chosen by the pair."""
    pool = _wordings()[key]["zh" if row.language == "zh" else "en"][slot]
    return pool[hash_of(row.pair_id, key, slot) % len(pool)].format(**fields)


@functools.cache
def _wordings() -> Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]]:
    text = importlib.resources.files("curate.publish").joinpath("wordings", "coordinates.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, dict[str, dict[str, tuple[str, ...]]]])


def replaced(row: Row, words: Mapping[str, str]) -> Row:
    """The row with other words in some of its slots, each of which stands in the text exactly once."""
    contents = [turn.content for turn in row.messages]
    for name, word in words.items():
        contents = [content.replace(row.slots[name], word) for content in contents]
    messages = tuple(Message(turn.role, content) for turn, content in zip(row.messages, contents, strict=True))
    return msgspec.structs.replace(row, messages=messages, slots={**row.slots, **words})
