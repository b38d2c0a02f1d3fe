"""Grounding, both ways: from a phrase to its boxes, and from a box to what it holds.

All boxes are asked for only where every object is marked; elsewhere one of them is, chosen by a hash. Masks and
polygons take part with the box that encloses them, and so does a region of a label map: one box of all its pixels.
What two label sets mark is asked about once, and not at all where both claim to mark all of it and do not agree.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from curate.rows import Annotation, Asset, Draft, Subject
from curate.schema import Kind, Refusal
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import marked_in_chinese
from curate.tasks.english import indefinite, plural, region_name, singular, thing_name, verb
from curate.tasks.facts import Objects, objects, sole
from curate.tasks.picture import noun
from curate.tasks.places import PixelBox, in_reading_order, json_list, pixel_box, sized
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Grounding", "undisputed"]

_KINDS = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON})
_SAME_PLACE = 0.8
"""Overlap (intersection over union) from which two boxes mark one place: what such a box holds has no one answer."""
_AGREED = 0.5
"""Overlap above which boxes of two label sets are of one object, as is usual where detections are scored."""


class GroundingOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_objects`: more boxes than these are not asked for at once. `regions`: how many boxes are asked about.

    `min_side_px`: a box with a shorter side is not asked about, since hardly anything can be seen in it; the others of
    its concept are then no longer all.
    """

    max_objects: int = 20
    regions: int = 2
    min_side_px: int = 4


class Grounding:
    """Phrase to boxes for each concept, and box to phrase for some objects of each asset."""

    name: ClassVar[str] = "grounding"
    version: ClassVar[int] = 3
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = GroundingOptions

    def __init__(self, options: GroundingOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """Locating questions, then questions about regions."""
        marked = undisputed(subject.asset, objects(subject, _KINDS))
        for group in marked:
            said = self.locate(subject.asset, group)
            if said is not None:
                yield from drafts(self, subject.asset, said)
        for said in self._identify(subject.asset, marked):
            yield from drafts(self, subject.asset, said)

    def locate(self, asset: Asset, group: Objects) -> Said | None:
        """The question for the boxes of a concept; None where nothing of it can be asked for."""
        placed = [(a, box) for a in sole(group.annotations) if (box := self._box(a, asset))]
        if not placed:
            return None
        if group.region or group.unique:
            return self._locate_region(asset, group, *placed[0]) if len(group.annotations) == 1 else None
        complete = group.countable and len(placed) == len(group.annotations)
        if complete and len(placed) > self.options.max_objects:
            return None
        if not complete:
            placed = [min(placed, key=lambda pair: (hash_of(pair[0].annotation_id, "locate"), pair[0].annotation_id))]
        name = thing_name(group.concept)
        one = name if complete and len(placed) == 1 else singular(name)
        boxes = json_list(in_reading_order(box for _, box in placed))
        exchange = "locate_one" if not complete else "locate_all" if len(placed) > 1 else "locate_sole"
        return Said(
            aspect=f"{group.label_set}:{group.concept}:locate",
            exchange=exchange,
            words={
                "noun": noun(asset, without=frozenset({"view"})),
                "thing": one,
                "things": plural(name),
                "a_thing": indefinite(one, thing=True),
                "is": verb(one),
                "form": sized(self.name, "form", asset, group.concept),
                "boxes": boxes,
            },
            zh=(zh := {"form": sized(self.name, "form", asset, group.concept, language="zh")}),
            chinese=partial(marked_in_chinese, asset, group, {**zh, "boxes": boxes}),
            annotations=[annotation for annotation, _ in placed],
            constraints={
                "ask": "locate",
                "concept": group.concept,
                "label_set": group.label_set,
                "all": complete,
            },
        )

    def _box(self, annotation: Annotation, asset: Asset) -> PixelBox | None:
        box = pixel_box(annotation, asset)
        small = box is not None and min(box[2] - box[0], box[3] - box[1]) < self.options.min_side_px
        return None if small else box

    def _locate_region(self, asset: Asset, group: Objects, annotation: Annotation, box: PixelBox) -> Said | None:
        """The one box of anatomy that there is once, or of a region where the label map leaves out nothing."""
        if not group.unique and not group.exhaustive:
            return None
        name = thing_name(group.concept) if group.unique else region_name(group.concept).removeprefix("region of ")
        return Said(
            aspect=f"{group.label_set}:{group.concept}:locate",
            exchange="locate_sole" if group.unique else "locate_region",
            words={
                "noun": noun(asset, without=frozenset({"view"})),
                "thing": name,
                "is": verb(name),
                "form": sized(self.name, "form", asset, group.concept),
                "boxes": json_list([box]),
            },
            zh=(zh := {"form": sized(self.name, "form", asset, group.concept, language="zh")}),
            chinese=partial(marked_in_chinese, asset, group, {**zh, "boxes": json_list([box])}),
            annotations=[annotation],
            constraints={
                "ask": "locate",
                "concept": group.concept,
                "label_set": group.label_set,
                "all": group.exhaustive,
            },
        )

    def _identify(self, asset: Asset, marked: list[Objects]) -> Iterator[Said]:
        placed = [(g, a, box) for g in marked for a in sole(g.annotations) if (box := self._box(a, asset))]
        ranked = sorted(placed, key=lambda entry: (hash_of(entry[1].annotation_id, "identify"), entry[1].annotation_id))
        asked = 0
        for group, annotation, box in ranked:
            if asked == self.options.regions:
                return
            if any(
                other is not annotation and g.concept != group.concept and _overlap(box, place) > _SAME_PLACE
                for g, other, place in placed
            ):
                continue
            asked += 1
            yield self._region(asset, group, annotation, box)

    def _region(self, asset: Asset, group: Objects, annotation: Annotation, box: PixelBox) -> Said:
        name = region_name(group.concept) if group.region else thing_name(group.concept)
        if not (group.unique or group.region):
            name = singular(name)
        picture = noun(asset, without=frozenset({"view"}))
        if name.lower() in picture.lower():
            picture = "image"
        return Said(
            aspect=f"{group.label_set}:identify",
            exchange="identify",
            words={
                "noun": picture,
                "region": str(list(box)),
                "frame": sized(self.name, "frame", asset, annotation.annotation_id),
                "a_thing": f"the {name}" if group.unique else indefinite(name, thing=not group.region),
            },
            zh=(zh := {"frame": sized(self.name, "frame", asset, annotation.annotation_id, language="zh")}),
            chinese=partial(marked_in_chinese, asset, group, {**zh, "region": str(list(box))}, hides=True),
            annotations=[annotation],
            constraints={"ask": "identify", "label_set": group.label_set},
        )


def undisputed(asset: Asset, marked: Sequence[Objects]) -> list[Objects]:
    """Each concept once, by the set that is exhaustive or named first; without those of which two sets contradict."""
    kept = []
    for group in marked:
        rivals = sorted(
            (other for other in marked if other.concept == group.concept), key=lambda one: not one.exhaustive
        )
        if rivals[0] is group and all(_agree(asset, group, other) for other in rivals[1:]):
            kept.append(group)
    return kept


def _agree(asset: Asset, first: Objects, second: Objects) -> bool:
    """False where both say where all of it is, and not at the same places."""
    if not all(group.exhaustive or group.unique for group in (first, second)):
        return True
    ours, theirs = ([pixel_box(a, asset) for a in group.annotations] for group in (first, second))
    return len(ours) == len(theirs) and all(any(a and b and _overlap(a, b) > _AGREED for b in theirs) for a in ours)


def _overlap(first: PixelBox, second: PixelBox) -> float:
    """Intersection over union."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)
