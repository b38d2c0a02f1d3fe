"""What a row's annotations prove, gathered for the mutators: only what they say outright is a fact here."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.verify.rows import Row
from curate.rows import Annotation, Asset
from curate.schema import Kind, State, World

__all__ = ["Box", "Facts", "Point", "Value", "whole_box", "whole_point"]

Box = tuple[float, float, float, float]
Point = tuple[float, float]

STATED = frozenset({Kind.CLASS, Kind.MULTILABEL, Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
DRAWN = frozenset({Kind.BOX, Kind.MASK, Kind.POLYGON, Kind.POINT})
UNCOUNTABLE = frozenset({"crowd", "region"})


@dataclass(frozen=True, slots=True)
class Value:
    """A number that the source gives."""

    concept: str
    quantity: str | None
    value: float
    unit: str | None


def whole_box(box: Box) -> list[int]:
    """How texts write a box: the smallest one with whole edges that holds it."""
    return [int(box[0] // 1), int(box[1] // 1), int(-(-box[2] // 1)), int(-(-box[3] // 1))]


def whole_point(point: Point) -> list[int]:
    """How texts write a point: the pixel that it lies in."""
    return [int(point[0] // 1), int(point[1] // 1)]


class Facts:
    """The annotations of one row by what they say. With a prior, they are those of the later image."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.asset: Asset = row.assets[-1]
        self.own: tuple[Annotation, ...] = tuple(
            each for each in row.annotations if each.asset_id == self.asset.asset_id
        )

    @cached_property
    def states(self) -> Mapping[str, State]:
        """Concept -> its state on every image of the row; where statements differ, it is left out."""
        found: dict[str, set[State]] = defaultdict(set)
        for each in self.row.annotations:
            if each.concept and each.kind in STATED:
                found[each.concept].add(each.state or State.PRESENT)
            elif each.concept and each.kind is Kind.COUNT and each.value is not None:
                found[each.concept].add(State.PRESENT if each.value > 0 else State.ABSENT)
        for concept in self._silently_absent(found.keys()):
            found[concept].add(State.ABSENT)
        return {concept: next(iter(states)) for concept, states in found.items() if len(states) == 1}

    def _silently_absent(self, spoken: "set[str] | object") -> list[str]:
        absent: list[str] = []
        for name, names in self.row.vocabulary.items():
            own = [each for each in self.own if each.label_set == name and each.kind in STATED]
            worlds = {each.world for each in own} or {names.world}
            held = {each.concept for each in own if each.state in (None, State.PRESENT)}
            known = worlds == {World.COMPLETE} or (worlds == {World.EXCLUSIVE} and len(held) == 1)
            if known and name in self.asset.labelled_by and len(self.row.assets) == 1:
                absent += [concept for concept in names.concepts if concept not in spoken]  # type: ignore[operator]
        return absent

    def having(self, state: State) -> list[str]:
        """The concepts in one state, sorted."""
        return sorted(concept for concept, each in self.states.items() if each is state)

    @cached_property
    def possible(self) -> frozenset[str]:
        """Every concept that a text may speak of as there: stated in any way, save as absent."""
        named = {each.concept for each in self.row.annotations if each.concept}
        return frozenset(concept for concept in named if self.states.get(concept) is not State.ABSENT)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Every concept that some label set of the source can name, sorted."""
        return sorted({concept for names in self.row.vocabulary.values() for concept in names.concepts})

    def sides(self, concept: str) -> frozenset[str]:
        """The sides on which a concept is said to be."""
        return frozenset(
            str(each.side) for each in self.row.annotations if each.concept == concept and each.side is not None
        )

    @cached_property
    def all_sides(self) -> frozenset[str]:
        """Every side that annotations, concepts or the images themselves name."""
        said = {str(each.side) for each in self.row.annotations if each.side is not None}
        said |= {str(asset.laterality) for asset in self.row.assets if asset.laterality is not None}
        words = " ".join([*self.possible, *(asset.anatomy or "" for asset in self.row.assets)]).split()
        return frozenset(said | ({"left", "right", "bilateral"} & set(words)))

    @cached_property
    def boxes(self) -> Mapping[str, list[Box]]:
        """Concept -> the boxes of what is present."""
        found: dict[str, list[Box]] = defaultdict(list)
        for each in self.own:
            if each.concept and each.box is not None and len(each.box) == 4 and each.state in (None, State.PRESENT):
                found[each.concept].append((each.box[0], each.box[1], each.box[2], each.box[3]))
        return found

    @cached_property
    def points(self) -> Mapping[str, list[Point]]:
        """Concept -> the points of what is present; the centre of each box too."""
        found: dict[str, list[Point]] = defaultdict(list)
        for each in self.own:
            if each.concept and each.point is not None and each.state in (None, State.PRESENT):
                found[each.concept].append((each.point[0], each.point[1]))
        return found

    @cached_property
    def drawn(self) -> Mapping[str, int]:
        """Concept -> how many objects of it are marked on the image: at least so many are there."""
        found: dict[str, int] = defaultdict(int)
        for each in self.own:
            if each.concept and each.kind in DRAWN and each.state in (None, State.PRESENT):
                found[each.concept] += 1
        return found

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Concept -> its number, where an exhaustive set or a count proves one."""
        found: dict[str, set[int]] = defaultdict(set)
        for each in self.own:
            if each.kind is Kind.COUNT and each.concept and each.value is not None:
                found[each.concept].add(int(each.value))
        for name, names in self.row.vocabulary.items():
            own = [each for each in self.own if each.label_set == name and each.kind in DRAWN]
            if not own or not all(each.exhaustive for each in own):
                continue
            if any(not UNCOUNTABLE.isdisjoint(each.flags) for each in own):
                continue
            for concept in {*names.concepts, *(each.concept for each in own if each.concept)}:
                found[concept].add(sum(1 for each in own if each.concept == concept))
        return {concept: next(iter(numbers)) for concept, numbers in found.items() if len(numbers) == 1}

    @cached_property
    def values(self) -> list[Value]:
        """Every measured number."""
        return [
            Value(each.concept or "", each.label, each.value, each.unit)
            for each in self.row.annotations
            if each.kind is Kind.MEASUREMENT and each.value is not None
        ]

    @cached_property
    def numbers(self) -> frozenset[float]:
        """Every number that a text may bear: counts and their sums, values, grades, sizes and coordinates."""
        found: set[float] = set()
        for asset in self.row.assets:
            found |= {float(asset.width), float(asset.height), *(asset.spacing_mm or [])}
        for each in self.row.annotations:
            found |= {float(each.value)} if each.value is not None else set()
            found |= {float(edge) for edge in whole_box(tuple(each.box))} if each.box else set()  # type: ignore[arg-type]
            found |= {float(edge) for edge in whole_point(tuple(each.point))} if each.point else set()  # type: ignore[arg-type]
        counted = list(self.counts.values())
        found |= {float(count) for count in counted} | {float(sum(counted))}
        return frozenset(found)

    @cached_property
    def told(self) -> str:
        """Every word that the source gives, for the question whether some word is given: lower case."""
        words: list[str] = []
        for asset in self.row.assets:
            words += [asset.modality or "", asset.anatomy or "", asset.view or "", str(asset.laterality or "")]
        for each in self.row.annotations:
            words += [each.concept or "", each.label or "", each.text or "", str(each.side or ""), each.unit or ""]
        return " ".join(words).lower()
