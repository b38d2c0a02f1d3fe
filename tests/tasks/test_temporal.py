"""What changed between two visits is said only where both are known, comparable and in order."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from curate.rows import Draft, Subject
from curate.schema import Form, Kind, State, World
from curate.tasks.base import SubjectTask, Vocabulary
from curate.tasks.temporal import Temporal, TemporalOptions
from curate.testing.tasks import SubjectTaskContract
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

NAMES: Vocabulary = {"findings": LabelNames(("cardiomegaly", "consolidation", "pneumothorax"))}
RATIO = "cardiothoracic ratio"


def visit(
    day: int | None, *, ratio: float | None = None, side: str | None = None, name: str = "", **fields: Any
) -> Subject:
    """A radiograph of one patient; findings by keyword, attributes of the asset among them."""
    states = {concept: fields.pop(concept) for concept in ("cardiomegaly", "consolidation") if concept in fields}
    plain: dict[str, Any] = {"modality": "DX", "anatomy": "chest", "view": "PA", "subject": "patient"}
    shown = s.asset(f"day {day} {name}", day_offset=day, labelled_by=["findings"], **plain | fields)
    said = [
        s.says(shown, Kind.MULTILABEL, concept, "findings", number, state=State(state), side=side)
        for number, (concept, state) in enumerate(sorted(states.items()))
    ]
    if ratio is not None:
        said.append(s.says(shown, Kind.MEASUREMENT, RATIO, "findings", 9, value=ratio))
    return Subject(shown, tuple(said))


def drafted(*history: Subject, **options: Any) -> list[Draft]:
    """The drafts about one patient."""
    task = Temporal(TemporalOptions(**options), NAMES)
    return [one for one in task.draft(history) if isinstance(one, Draft)]


def kinds(*history: Subject, **options: Any) -> set[str]:
    """Which questions were put."""
    return {one.wording.split("/")[1] for one in drafted(*history, **options)}


class TestTemporal(SubjectTaskContract):
    @pytest.fixture
    def task(self) -> type[SubjectTask]:
        return Temporal

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return NAMES

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"measurements": {RATIO: 0.02}, "unchanged": 9}

    @pytest.fixture
    def histories(self) -> Sequence[Sequence[Subject]]:
        states = ("present", "absent")
        every = itertools.product(states, repeat=4)
        return [
            *(
                [
                    visit(0, name=f"a{number}", consolidation=before, cardiomegaly=large),
                    visit(9, name=f"b{number}", consolidation=after, cardiomegaly=larger),
                ]
                for number, (before, after, large, larger) in enumerate(every)
            ),
            [visit(0, ratio=0.5), visit(3, ratio=0.55), visit(8, ratio=0.48), visit(9, ratio=0.48)],
            [visit(0, consolidation="present")],
            [],
        ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("absent", "present", {"compare_new", "developed_yes"}),
        ("present", "absent", {"compare_gone", "resolved_yes"}),
        ("present", "present", {"compare_persists", "resolved_no"}),
        ("absent", "absent", {"compare_absent", "developed_no"}),
    ],
)
def test_the_answer_has_the_polarity_of_the_change(before: str, after: str, told: set[str]) -> None:
    assert kinds(visit(0, consolidation=before), visit(5, consolidation=after)) <= told
    assert drafted(visit(0, consolidation=before), visit(5, consolidation=after))


def test_the_earlier_image_comes_first() -> None:
    early, late = visit(2, consolidation="absent"), visit(30, consolidation="present")
    for draft in drafted(late, early):
        assert draft.asset_ids == [early.asset.asset_id, late.asset.asset_id]


@pytest.mark.parametrize(
    "later",
    [
        visit(None, consolidation="present"),  # nobody knows when
        visit(0, name="again", consolidation="present"),  # the same day
        visit(5, view="AP", consolidation="present"),  # a heart looks larger
        visit(5, view=None, consolidation="present"),
        visit(5, anatomy="abdomen", consolidation="present"),
        visit(5, consolidation="uncertain"),
        visit(5, consolidation="not_stated"),
        visit(5),  # an open world: silence means nothing
        visit(5, form=Form.SLICE, consolidation="present"),
    ],
)
def test_what_cannot_be_compared_is_not(later: Subject) -> None:
    assert drafted(visit(0, consolidation="absent"), later) == []


def test_unknown_views_are_never_taken_to_be_equal() -> None:
    assert drafted(visit(0, view=None, consolidation="absent"), visit(5, view=None, consolidation="present")) == []


def test_a_finding_that_changed_sides_did_not_persist() -> None:
    first, second = (visit(day, consolidation="present", side=side) for day, side in ((0, "left"), (5, "right")))
    assert drafted(first, second) == []
    again = visit(5, consolidation="present", side="left")
    assert kinds(first, again) <= {"compare_persists", "resolved_no"}


def test_the_silence_of_a_complete_set_is_an_absence() -> None:
    first, second = visit(0, consolidation="present"), visit(5, cardiomegaly="present")
    complete = [
        Subject(one.asset, tuple(s.says(one.asset, Kind.MULTILABEL, a.concept, "findings", 0, state=State.PRESENT,
                                        world=World.COMPLETE) for a in one.annotations))
        for one in (first, second)
    ]  # fmt: skip
    told = {one.wording.split("/")[1] for one in drafted(*complete) if "pneumothorax" not in one.constraints}
    assert len(told) == 2
    assert told & {"compare_gone", "resolved_yes"}
    assert told & {"compare_new", "developed_yes"}


def test_only_consecutive_visits_are_compared() -> None:
    history = [visit(day, consolidation=state) for day, state in ((0, "absent"), (4, "present"), (9, "absent"))]
    pairs = {tuple(draft.asset_ids) for draft in drafted(*history)}
    ids = [one.asset.asset_id for one in history]
    assert pairs == {(ids[0], ids[1]), (ids[1], ids[2])}


def test_no_change_is_asked_as_often_as_balance_allows() -> None:
    first = visit(0, consolidation="present", cardiomegaly="absent")
    second = visit(5, consolidation="present", cardiomegaly="absent")
    assert len(drafted(first, second, unchanged=0)) == 0
    assert len(drafted(first, second, unchanged=1)) == 1
    assert len(drafted(first, second, unchanged=5)) == 2


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(0.5, 0.55, {"value_more"}), (0.5, 0.45, {"value_less"}), (0.5, 0.5, {"value_same"}), (0.5, 0.51, set())],
)
def test_a_value_is_compared_where_the_recipe_vouches_that_it_can_be_seen(
    before: float, after: float, told: set[str]
) -> None:
    history = (visit(0, ratio=before), visit(5, ratio=after))
    assert kinds(*history) == set()
    assert kinds(*history, measurements={RATIO: 0.02}) == told
