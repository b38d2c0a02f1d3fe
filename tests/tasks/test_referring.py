"""Expressions that single out one object are true of it and of no other; what is ambiguous is not drafted."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from curate import run_lengths
from curate.rows import Annotation, Draft, Subject
from curate.schema import Form, Kind
from curate.tasks.base import Task, Vocabulary
from curate.tasks.referring import Referring, ReferringOptions
from curate.tasks.shown import Shown, place_of, shape_of, size_of
from curate.testing.tasks import TaskContract
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

VOCABULARY = {"cells": LabelNames(s.CELLS, exhaustive=True), "lesions": s.VOCABULARY["lesions"]}


class TestReferringContract(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return Referring

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"prompts": True}

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        return [
            s.smear("s1", "e"), s.smear("s3", "eeeelp"), s.lesions("l1", "edema"), s.organs("o"), s.graded("g", 2.0),
            s.smear("open", "el", exhaustive=False), traced(ellipse(100, 100, 60, 60), ellipse(400, 300, 90, 20)),
        ]  # fmt: skip

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return s.VOCABULARY


def field(*boxes: list[float], concept: str = "erythrocyte", exhaustive: bool = True, **fields: Any) -> Subject:
    """A picture of 640 x 480 pixels with one cell per box."""
    shown = s.asset("field", modality="light microscopy", labelled_by=["cells"], **fields)
    cells = [
        s.says(shown, Kind.BOX, concept, "cells", number, box=box, exhaustive=exhaustive)
        for number, box in enumerate(boxes)
    ]
    return Subject(shown, tuple(cells))


def traced(*masks: np.ndarray[Any, Any]) -> Subject:
    """Cells with masks of 480 rows and 640 columns."""
    shown = s.asset("traced", modality="light microscopy", labelled_by=["cells"])
    cells = []
    for number, mask in enumerate(masks):
        rle = run_lengths.encode_mask(mask)
        box = run_lengths.mask_box(rle)
        assert box is not None
        area = float(run_lengths.mask_area(rle))
        cells.append(
            s.says(shown, Kind.MASK, "erythrocyte", "cells", number, box=list(box), mask=rle, area_px=area,
                   exhaustive=True)
        )  # fmt: skip
    return Subject(shown, tuple(cells))


def ellipse(x: float, y: float, across: float, down: float) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[:480, :640] + 0.5
    return np.asarray(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1)


def told(subject: Subject, ask: str, **options: Any) -> list[Draft]:
    plain: dict[str, Any] = {"objects": 50, "min_side_px": 1}
    task = Referring(ReferringOptions(**plain | options), VOCABULARY)
    drafts = [draft for draft in task.draft(subject) if isinstance(draft, Draft)]
    return [draft for draft in drafts if json.loads(draft.constraints)["ask"] == ask]


def referred(subject: Subject) -> dict[str, str]:
    """The annotation that each expression of a picture speaks of, over enough variants of its hash."""
    found: dict[str, str] = {}
    for number in range(40):
        renamed = [
            msgspec.structs.replace(one, annotation_id=f"{number:02}-{place}")
            for place, one in enumerate(subject.annotations)
        ]
        for draft in told(Subject(subject.asset, tuple(renamed)), "describe"):
            words = draft.messages[1].content.lower().removeprefix("it is ").removeprefix("this is ")
            found[words.removeprefix("the box marks ").rstrip(".")] = draft.annotation_ids[0].partition("-")[2]
    return found


def test_the_largest_is_told_where_it_is_larger_by_a_margin_and_not_where_two_are_alike() -> None:
    clear = referred(field([10, 10, 60, 60], [300, 200, 420, 320], [560, 400, 620, 460]))
    assert clear["the largest erythrocyte in the image"] == "1"
    alike = referred(field([10, 10, 60, 60], [300, 200, 420, 320], [500, 300, 620, 425]))
    assert not any("largest" in words and "image" in words and "of" not in words for words in alike)


def test_the_smallest_is_none_that_the_picture_cuts_off() -> None:
    cut = referred(field([0, 200, 20, 240], [300, 200, 420, 320]))
    assert not any("smallest" in words for words in cut)
    whole = referred(field([5, 200, 25, 240], [300, 200, 420, 320]))
    assert whole["the smallest erythrocyte in the image"] == "0"


def test_a_place_is_told_where_no_other_object_comes_near_it() -> None:
    apart = referred(field([20, 200, 80, 260], [500, 200, 560, 260]))
    assert apart["the erythrocyte on the left side of the image"] == "0"
    assert apart["the erythrocyte on the right side of the image"] == "1"
    near = referred(field([20, 200, 80, 260], [240, 200, 300, 260]))
    assert not any(words.startswith("the erythrocyte on the left") for words in near)


def test_a_single_object_is_the_only_one_and_nothing_is_the_only_one_among_several() -> None:
    assert referred(field([20, 200, 80, 260]))["the only erythrocyte in the image"] == "0"
    assert not any("only" in words for words in referred(field([20, 200, 80, 260], [500, 200, 560, 260])))


def test_shapes_are_told_of_masks_and_polygons_alone() -> None:
    subject = traced(ellipse(100, 100, 30, 30), ellipse(320, 240, 90, 30))
    words = referred(subject)
    assert words["the round erythrocyte in the image"] == "0"
    assert words["the elongated erythrocyte in the image"] == "1"
    boxes = [msgspec.structs.replace(one, kind=Kind.BOX, mask=None, area_px=None) for one in subject.annotations]
    assert not any("round" in words for words in referred(Subject(subject.asset, tuple(boxes))))
    assert "the elongated erythrocyte in the image" not in referred(Subject(subject.asset, tuple(boxes)))


def test_a_slanted_rod_is_neither_round_nor_surely_not_elongated() -> None:
    rows, columns = np.mgrid[:480, :640] + 0.5
    rod = (abs(columns - rows - 40) <= 8) & (rows > 100) & (rows < 200)
    words = referred(traced(rod, ellipse(500, 400, 60, 20)))
    assert words["the elongated erythrocyte in the lower right of the image"] == "1"
    assert "the elongated erythrocyte in the image" not in words
    assert not any("round" in each for each in words)


@pytest.mark.parametrize(
    "change",
    [
        {"exhaustive": False},
        {"form": Form.VOLUME},
        {"exif_orientation": 6},
    ],
)
def test_nothing_is_singled_out_where_others_may_be_unmarked_or_places_are_unknown(change: dict[str, Any]) -> None:
    exhaustive = bool(change.pop("exhaustive", True))
    subject = field([10, 10, 60, 60], [300, 200, 420, 320], exhaustive=exhaustive, **change)
    assert not told(subject, "refer")
    assert not told(subject, "describe")


def test_nothing_is_singled_out_beside_its_own_kind_or_a_crowd() -> None:
    subject = field([10, 10, 60, 60], [300, 200, 420, 320])
    first, second = subject.annotations
    kin = msgspec.structs.replace(second, concept="nucleated erythrocyte")
    assert not told(Subject(subject.asset, (first, kin)), "refer")
    crowd = msgspec.structs.replace(second, flags=["crowd"])
    assert not told(Subject(subject.asset, (first, crowd)), "refer")


def test_an_organ_and_what_lies_in_it_are_told_apart() -> None:
    shown = s.asset("liver", modality="CT", labelled_by=["organs"])
    places = {"liver": [10.0, 10.0, 300.0, 300.0], "liver lesion": [20.0, 20.0, 60.0, 60.0]}
    masks = [
        s.says(shown, Kind.MASK, name, "organs", number, box=box, exhaustive=True, flags=["region"], area_px=900.0)
        for number, (name, box) in enumerate(places.items())
    ]
    texts = [draft.messages[0].content for draft in told(Subject(shown, tuple(masks)), "refer")]
    assert any("the region of liver lesion in the upper left of the image" in text for text in texts)
    (prompts,) = (
        draft.messages[1].content.splitlines()
        for draft in told(Subject(shown, tuple(masks)), "prompts", prompts=True)
        if "lesion" in draft.constraints
    )
    assert prompts[-1] == "Small region of liver lesion in the CT image, at the top left of the image."


def test_the_pixels_of_a_label_map_are_one_region_of_which_only_the_place_is_told() -> None:
    texts = [draft.messages[0].content for draft in told(s.lesions("l1", "edema", "enhancing tumor"), "refer")]
    assert texts
    assert all("region of" in text and "upper left of the image" in text for text in texts)
    assert not any(word in text for text in texts for word in ("only", "largest", "small"))


def test_a_located_box_is_that_of_the_object_and_a_described_one_is_in_the_question() -> None:
    subject = field([10, 10, 60, 60], [300, 200, 420, 320])
    boxes: dict[str, list[float] | None] = {one.annotation_id: one.box for one in subject.annotations}
    for draft in told(subject, "refer"):
        assert json.loads(draft.messages[1].content) == [boxes[draft.annotation_ids[0]]]
    for draft in told(subject, "describe"):
        assert str([int(edge) for edge in boxes[draft.annotation_ids[0]] or []]) in draft.messages[0].content


def test_prompts_add_one_attribute_per_level_and_repeat_where_none_is_proved() -> None:
    (draft,) = told(traced(ellipse(100, 100, 60, 60)), "prompts", prompts=True)
    assert draft.messages[1].content.splitlines() == [
        "Erythrocyte in the light microscopy image.",
        "One erythrocyte in the light microscopy image.",
        "One small erythrocyte in the light microscopy image.",
        "One small erythrocyte in the light microscopy image, at the top left of the image.",
        "One small round erythrocyte in the light microscopy image, at the top left of the image.",
    ]
    assert json.loads(draft.constraints)["levels"] == [0, 0, 1, 2, 3, 4]


def test_prompts_count_all_objects_and_name_all_places() -> None:
    (draft,) = told(traced(ellipse(100, 100, 40, 40), ellipse(560, 400, 44, 44)), "prompts", prompts=True)
    last = draft.messages[1].content.splitlines()[-1]
    assert last == (
        "Two small round erythrocytes in the light microscopy image, at the top left and bottom right of the image."
    )


def test_size_words_are_shares_of_the_picture_and_unknown_at_their_limits() -> None:
    def square(side: float) -> Shown:
        return Shown((0, 0, side, side), side * side, 1000, 1000)

    assert [size_of(square(side)) for side in (20, 100, 400, 800)] == ["tiny", "small", "medium", "large"]
    assert [size_of(square(side)) for side in (31.7, 283, 548)] == [None, None, None]
    assert size_of(Shown((0, 0, 300, 300), None, 1000, 1000)) is None  # 4.5 % to 9 %


def test_places_are_cells_of_a_grid_and_what_is_wide_is_at_none() -> None:
    def at(x: float, y: float, side: float = 100) -> Shown:
        return Shown((x - side / 2, y - side / 2, x + side / 2, y + side / 2), None, 1000, 1000)

    assert [place_of(at(x, 150)) for x in (150, 500, 850)] == ["top left", "top", "top right"]
    assert [place_of(at(x, 500)) for x in (150, 500, 850)] == ["left", "center", "right"]
    assert place_of(at(400 - 60, 500)) is None
    assert place_of(at(500, 500, 600)) is None
    assert shape_of(at(500, 500)) is None


def test_real_nuclei_are_singled_out_by_what_their_masks_say(test_data: Callable[[str], Path]) -> None:
    from PIL import Image

    folder = test_data("dsb2018-nuclei") / "stage1_train"
    seen = 0
    for image in sorted(folder.iterdir())[:4]:
        masks = [np.asarray(Image.open(path)) > 0 for path in sorted((image / "masks").iterdir())]
        height, width = masks[0].shape
        shown = s.asset(image.name, labelled_by=["cells"], width=width, height=height)
        cells: list[Annotation] = []
        for number, mask in enumerate(masks):
            rle = run_lengths.encode_mask(mask)
            box = run_lengths.mask_box(rle)
            assert box is not None
            cells.append(
                s.says(shown, Kind.MASK, "nucleus", "nuclei", number, box=list(box), area_px=float(mask.sum()),
                       exhaustive=True)
            )  # fmt: skip
        areas = {one.annotation_id: one.area_px or 0 for one in cells}
        for draft in told(Subject(shown, tuple(cells)), "describe"):
            words = draft.messages[1].content.lower()
            if "largest" in words and "in the image" in words:
                seen += 1
                assert areas[draft.annotation_ids[0]] == max(areas.values())
            if "smallest" in words and "in the image" in words:
                seen += 1
                assert areas[draft.annotation_ids[0]] == min(areas.values())
    assert seen
