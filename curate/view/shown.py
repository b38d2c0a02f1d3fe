"""What a page shows of a corpus, as plain values: text that is not escaped yet, pictures as data URIs."""

from dataclasses import dataclass, field

__all__ = [
    "Answer",
    "Drawing",
    "Figure",
    "Layer",
    "Pair",
    "Picture",
    "Said",
    "Shape",
    "ShownItem",
    "Thumbnail",
    "Turn",
]


@dataclass(frozen=True, slots=True)
class Picture:
    """8 bits for the eye. `width` and `height` are those of the encoded picture, in pixels."""

    uri: str = field(repr=False)
    width: int
    height: int
    how: str = ""  # what was done to show it
    slice: int | None = None  # the plane of a volume, along its first axis in space


@dataclass(frozen=True, slots=True)
class Shape:
    """One box, polygon or point: an SVG path in the pixels of the raster."""

    number: int  # of the annotation in the table beside the picture
    kind: str
    name: str  # the concept
    colour: int  # place in `drawing.COLOURS`
    path: str
    told: str
    at: tuple[float, float]  # where its number stands


@dataclass(frozen=True, slots=True)
class Layer:
    """All masks of one concept as a translucent picture over the raster."""

    concept: str
    colour: int
    masks: int
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn over a picture; `left_out` shapes are not, so that the page stays light."""

    shapes: tuple[Shape, ...] = ()
    layers: tuple[Layer, ...] = ()
    left_out: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be switched on and off."""
        present = {shape.kind for shape in self.shapes} | ({"mask"} if self.layers else set())
        return tuple(kind for kind in ("box", "mask", "polygon", "point") if kind in present)


@dataclass(frozen=True, slots=True)
class Said:
    """One annotation as a row of a table."""

    number: int
    kind: str
    label: str
    state: str
    value: str
    place: str
    origin: str  # label set, file and locator
    colour: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a draft's request, and what became of it."""

    attempt: int
    text: str
    verdict: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture shown small: a tile or frame, or one of the images that a pair speaks of together."""

    caption: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Pair:
    """One draft with all that was decided about it."""

    draft_id: str
    task: str
    wording: str
    origin: str  # who wrote the text that is kept: template, llm or source
    kept: bool
    draft: tuple[Turn, ...]
    rewritten: tuple[Turn, ...] | None  # null: nobody rewrote it, or not acceptably
    asked: bool  # a rewriter is wanted
    answers: tuple[Answer, ...]
    checks: tuple[tuple[str, str], ...]  # rule, verdict
    reason: str = ""
    detail: str = ""
    images: tuple[Thumbnail, ...] = ()  # where it speaks of several, in its order

    @property
    def refused(self) -> tuple[Answer, ...]:
        """The answers that did not do."""
        return tuple(answer for answer in self.answers if answer.verdict != "accepted")

    @property
    def passed(self) -> tuple[str, ...]:
        """The rules that hold."""
        return tuple(rule for rule, verdict in self.checks if verdict == "pass")

    @property
    def failed(self) -> tuple[str, ...]:
        """The rules that do not."""
        return tuple(rule for rule, verdict in self.checks if verdict == "fail")

    @property
    def silent(self) -> tuple[str, ...]:
        """The rules that found nothing to judge."""
        return tuple(rule for rule, verdict in self.checks if verdict == "not_applicable")


@dataclass(frozen=True, slots=True)
class Figure:
    """One asset with what is said and asked about it."""

    asset_id: str
    caption: str
    facts: tuple[tuple[str, str], ...]
    width: int  # of the raster that coordinates speak of
    height: int
    picture: Picture | None  # null: there is none to show, and `caption` says why
    drawing: Drawing
    said: tuple[Said, ...]
    said_in_all: int
    pairs: tuple[Pair, ...]
    pairs_in_all: int
    kept_in_all: int


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One item of a source: an image, a series, a slide or a clip, or what was refused of it."""

    source: str
    key: str
    stratum: str
    figures: tuple[Figure, ...]
    thumbnails: tuple[Thumbnail, ...]
    assets_in_all: int
    refusals: tuple[tuple[str, str, str, str, int], ...]  # stage, unit, reason, detail, how often
