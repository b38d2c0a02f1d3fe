"""Pointing: each object of a kind where all are marked, else one of them, chosen by a hash."""

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from curate.rows import Draft, Subject
from curate.schema import Kind, Refusal
from curate.tasks.base import Scope, SpokenOptions, TaskOptions, Vocabulary
from curate.tasks.chinese import marked_in_chinese
from curate.tasks.english import indefinite, plural, singular, thing_name
from curate.tasks.facts import Objects, objects, sole
from curate.tasks.picture import noun
from curate.tasks.places import in_reading_order, json_list, pixel_point, sized
from curate.tasks.wording import Said, drafts, hash_of

__all__ = ["Points"]

_KINDS = frozenset({Kind.POINT})


class PointsOptions(SpokenOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`max_objects`: more points than these are not asked for at once."""

    max_objects: int = 20


class Points:
    """One question per concept that is marked with points."""

    name: ClassVar[str] = "points"
    version: ClassVar[int] = 2
    scope: ClassVar[Scope] = "asset"
    Options: ClassVar[type[TaskOptions]] = PointsOptions

    def __init__(self, options: PointsOptions, vocabulary: Vocabulary) -> None:
        self.options = options
        self.vocabulary = vocabulary

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        """A list of as many points as there are objects, or a single point."""
        for group in objects(subject, _KINDS):
            said = self._point(subject, group)
            if said is not None:
                yield from drafts(self, subject.asset, said)

    def _point(self, subject: Subject, group: Objects) -> Said | None:
        asset = subject.asset
        placed = [(a, point) for a in sole(group.annotations) if (point := pixel_point(a, asset))]
        if not placed:
            return None
        complete = group.countable and len(placed) == len(group.annotations)
        if complete and len(placed) > self.options.max_objects:
            return None
        if not complete:
            placed = [min(placed, key=lambda pair: (hash_of(pair[0].annotation_id, "point"), pair[0].annotation_id))]
        name = thing_name(group.concept)
        places = json_list(in_reading_order(point for _, point in placed))
        return Said(
            aspect=f"{group.label_set}:{group.concept}:point",
            exchange="point_all" if complete else "point_one",
            words={
                "noun": noun(asset, without=frozenset({"view"})),
                "thing": singular(name),
                "things": plural(name),
                "a_thing": f"the {name}" if group.unique else indefinite(singular(name), thing=True),
                "form": sized(self.name, "form", asset, group.concept),
                "points": places,
            },
            zh=(zh := {"form": sized(self.name, "form", asset, group.concept, language="zh")}),
            chinese=partial(marked_in_chinese, asset, group, {**zh, "points": places}),
            annotations=[annotation for annotation, _ in placed],
            constraints={
                "ask": "point",
                "concept": group.concept,
                "label_set": group.label_set,
                "all": complete,
            },
        )
