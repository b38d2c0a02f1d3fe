"""Mask images: which pixels belong to an object is drawn in a file of its own.

The paths say it all: no pixel is opened here. Which values a label map holds is known when `read` decodes it; until
then an annotation stands for what may be found, and `read` splits or drops it.
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

import msgspec

from curate.card import Concept, LabelSet
from curate.layouts.base import Context, ImageRef, LayoutOptions, RawAnnotation, RawMask, Record, Refused
from curate.layouts.objects import StemIndex, labelled
from curate.layouts.tree import Entry
from curate.schema import Kind, Reason, Refusal, Unit, Verdict

__all__ = ["REGION", "Masks", "MasksOptions", "marks_regions"]

REGION: Final = "region"
"""The flag of all pixels of a concept, however many objects they are: never counted."""

_SEGMENTED: Final = frozenset({"dicom_seg", "rtstruct"})
"""Layouts whose segments are all pixels of their concept, unless `objects` says that each is one object."""

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class MasksOptions(LayoutOptions, frozen=True):
    """`per` says what one file holds: one object, a class per value, or an object per value.

    `empty` says what a file without any pixel or voxel of an object is: a mistake, or the statement that there is
    nothing (which is an absence only in a label set whose `world` says so).
    """

    per: Literal["file", "value", "instance"]
    pattern: str | None = None
    image: str | None = None
    label: str | None = None
    values: dict[int, str] = msgspec.field(default_factory=dict)
    background: int = 0
    empty: Literal["reject", "absent"] = "reject"

    def __post_init__(self) -> None:
        groups = _groups(self.pattern)
        unknown = sorted(set(_PLACEHOLDER.findall(self.image or "")) - groups)
        if unknown:
            raise ValueError(f"image names {unknown}, and pattern has no such group")
        if self.per == "value" and not self.values:
            raise ValueError("per: value needs `values`, the label of each value")
        if self.per != "value" and self.label is None and "label" not in groups:
            raise ValueError(f"per: {self.per} needs `label`, or a group (?P<label>...) in `pattern`")


def marks_regions(labels: LabelSet) -> bool:
    """True where a label set marks the pixels of each concept, not its instances."""
    if labels.layout in _SEGMENTED:
        return not labels.options.get("objects", False)
    return labels.layout == Masks.name and labels.options.get("per") == "value"


class Masks:
    """One unit per mask file, located as `mask`, `instances`, or `value 1`, `value 2`, ... within it."""

    name: ClassVar[str] = "masks"
    version: ClassVar[int] = 4
    Options: ClassVar[type[LayoutOptions]] = MasksOptions

    def label_files(self, context: Context) -> list[Entry]:
        """None: what is read here are paths."""
        return []

    def mask_files(self, context: Context) -> list[Entry]:
        """The mask files, sorted: `scan` accounts for them, `read` opens them."""
        return context.tree.match(context.labels.files)

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        """One unit per mask file, which covers its image; an image without any mask file is not covered."""
        options = context.options
        assert isinstance(options, MasksOptions)
        masks = self.mask_files(context)
        own = set(masks)
        # A wide image glob matches the masks too, and a mask must not find itself by its stem.
        images = StemIndex((image for image in context.images if image not in own), swap=("masks", "images"))
        pattern = re.compile(options.pattern) if options.pattern is not None else None
        for entry in masks:
            found = pattern.search(entry.name) if pattern is not None else None
            if pattern is not None and found is None:
                yield Refused(Unit.OBJECT, entry.key, "mask", _NO_FIT)
                continue
            groups = {name: text or "" for name, text in found.groupdict().items()} if found else {}
            image = images.refer(entry) if options.image is None else _fill(options.image, groups, entry)
            yield from _units(context.labels, options, entry, image, groups)


_NO_FIT: Final = Refusal(
    Reason.UNCLAIMED_FILE, "the label set's `pattern` does not fit this path, so no image is known", Verdict.REJECTED
)


def _fill(template: str, groups: dict[str, str], entry: Entry) -> ImageRef:
    return ImageRef(_PLACEHOLDER.sub(lambda name: groups[name[1]], template), entry.folder)


def _groups(pattern: str | None) -> set[str]:
    if pattern is None:
        return set()
    try:
        return set(re.compile(pattern).groupindex)
    except re.error as problem:
        raise ValueError(f"pattern is not a regular expression: {problem}") from None


def _units(
    labels: LabelSet, options: MasksOptions, entry: Entry, image: ImageRef, groups: dict[str, str]
) -> Iterator[Record | Refused]:
    if options.per == "value":
        yield from _values(labels, options, entry, image)
        return
    locator = "mask" if options.per == "file" else "instances"
    label = groups.get("label") or options.label
    annotation = RawAnnotation(
        kind=Kind.MASK,
        locator=locator,
        mask=RawMask(
            entry.path,
            entry.member,
            background=options.background,
            per_instance=options.per == "instance",
            may_be_empty=options.empty == "absent",
        ),
    )
    outcome = labelled(annotation, label, labels) if label else Refusal(Reason.MISSING_VALUE, "the path names no label")
    if isinstance(outcome, Refusal):
        yield Refused(Unit.OBJECT, entry.key, locator, outcome, image)
    else:
        yield Record(Unit.OBJECT, entry.key, locator, image, (outcome,))


def _values(labels: LabelSet, options: MasksOptions, entry: Entry, image: ImageRef) -> Iterator[Record | Refused]:
    """The file's unit with one annotation per value that the card names; a label that it ignores is left out."""
    annotations: list[RawAnnotation] = []
    for value, label in sorted(options.values.items()):
        if value == options.background or _is_ignored(label, labels.concepts):
            continue
        locator = f"value {value}"
        mask = RawMask(entry.path, entry.member, value, options.background)
        annotation = RawAnnotation(kind=Kind.MASK, locator=locator, mask=mask, flags=(REGION,))
        outcome = labelled(annotation, label, labels)
        if isinstance(outcome, Refusal):
            yield Refused(Unit.OBJECT, entry.key, locator, outcome, image)
        else:
            annotations.append(outcome)
    yield Record(Unit.OBJECT, entry.key, "mask", image, tuple(annotations))


def _is_ignored(label: str, concepts: dict[str, Concept | None] | None) -> bool:
    return concepts is not None and label in concepts and concepts[label] is None
