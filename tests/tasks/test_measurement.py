"""A question about a measure is asked where mask, affine and view prove it, and nowhere else."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from curate.rows import Annotation, Draft, Subject
from curate.schema import Form, Kind
from curate.tasks.base import Task, Vocabulary
from curate.tasks.measurement import Measurement, MeasurementOptions
from curate.testing.tasks import TaskContract
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

NAMES: Vocabulary = {
    "organs": LabelNames(
        ("left kidney", "liver", "liver lesion", "right kidney", "spleen"), exhaustive=True, regions=True
    )
}
STEPS = (2.0, 1.0, 1.5)
AFFINE = [1.5, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1]


def scan(name: str, masks: Sequence[dict[str, Any]], **fields: Any) -> Subject:
    """A CT of 100 x 100 x 50 voxels; each mask by concept, box and whatever else is known."""
    plain: dict[str, Any] = {
        "form": Form.VOLUME, "modality": "CT", "anatomy": "abdomen", "width": 100, "height": 100, "depth": 50,
        "spacing_mm": list(STEPS), "affine_lps": AFFINE, "rescale_unit": "HU", "labelled_by": ["organs"],
    }  # fmt: skip
    shown = s.asset(name, **plain | fields)
    return Subject(shown, tuple(_mask(shown, number, dict(mask)) for number, mask in enumerate(masks)))


def _mask(shown: Any, number: int, mask: dict[str, Any]) -> Annotation:
    box = mask.get("box", [10.0, 20.0, 5.0, 40.0, 60.0, 25.0])
    size = [end - start for start, end in zip(box[:3], box[3:], strict=True)]
    measured: dict[str, Any] = {
        "box": box, "frame": "volume", "volume_mm3": 1500.0 * size[0], "pieces": 1, "exhaustive": True,
        "extent_mm": [n * step for n, step in zip(size, reversed(STEPS), strict=True)], "flags": ["region"],
    }  # fmt: skip
    return s.says(shown, Kind.MASK, mask.pop("concept"), mask.pop("label_set", "organs"), number, **measured | mask)


def drafted(subject: Subject, **options: Any) -> list[Draft]:
    task = Measurement(MeasurementOptions(**options), NAMES)
    return [one for one in task.draft(subject) if isinstance(one, Draft)]


def quantities(subject: Subject, **options: Any) -> set[str]:
    return {json.loads(one.constraints)["quantity"] for one in drafted(subject, **options)}


LIVER = {"concept": "liver", "mean_hu": 58.7}
RIGHT = {"concept": "right kidney", "volume_mm3": 150_000.0, "box": [60.0, 20.0, 5.0, 80.0, 60.0, 25.0]}
LEFT = {"concept": "left kidney", "volume_mm3": 100_000.0, "box": [15.0, 20.0, 5.0, 35.0, 60.0, 25.0]}
SPREAD = [scan(f"spread {n}", [LIVER | {"volume_mm3": 5e5 + 977 * n}]) for n in range(300)]


class TestMeasurement(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return Measurement

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return NAMES

    @pytest.fixture
    def options(self) -> dict[str, object]:
        return {"lesions": ["liver lesion"]}

    @pytest.fixture
    def subjects(self) -> list[Subject]:
        return [
            scan("organs", [LIVER, RIGHT, LEFT]),
            scan("lesion", [LIVER, {"concept": "liver lesion", "pieces": 3}]),
            scan("no lesion", [LIVER]),
            scan("nothing", []),
        ]


def test_a_volume_is_asked_for_its_volume_extents_and_attenuation_by_its_affine() -> None:
    told = {json.loads(one.constraints)["quantity"]: one for one in drafted(scan("a", [LIVER]), choices=False)}
    assert set(told) == {
        "volume", "mean attenuation", "transverse extent", "anteroposterior extent", "craniocaudal extent",
    }  # fmt: skip
    for quantity, value in (
        ("volume", "45.0 mL"), ("mean attenuation", "59 HU"), ("transverse extent", "45 mm"),
        ("anteroposterior extent", "40 mm"), ("craniocaudal extent", "40 mm"),
    ):  # fmt: skip
        assert value in told[quantity].messages[1].content
    asked = json.loads(told["volume"].constraints)
    assert (asked["unit"], asked["decimals"]) == ("mL", 1)
    assert asked["tolerance"] == pytest.approx(4.5)
    assert told["volume"].annotation_ids == [scan("a", [LIVER]).annotations[0].annotation_id]


@pytest.mark.parametrize(
    "box",
    [
        [0.0, 20.0, 5.0, 40.0, 60.0, 25.0],
        [10.0, 0.0, 5.0, 40.0, 60.0, 25.0],
        [10.0, 20.0, 0.0, 40.0, 60.0, 25.0],
        [10.0, 20.0, 5.0, 100.0, 60.0, 25.0],
        [10.0, 20.0, 5.0, 40.0, 100.0, 25.0],
        [10.0, 20.0, 5.0, 40.0, 60.0, 50.0],
    ],
)
def test_what_the_edge_of_the_scan_cuts_off_is_not_measured_unless_the_recipe_says_so(box: list[float]) -> None:
    cut = scan("cut", [LIVER | {"box": box}])
    assert drafted(cut) == []
    assert all(json.loads(one.constraints)["cut_off"] for one in drafted(cut, cut_off=True))
    assert "volume" in quantities(cut, cut_off=True)


@pytest.mark.parametrize(
    ("masks", "never"),
    [
        ([LIVER, LIVER | {"label_set": "other", "volume_mm3": 40_000.0}], {"volume", "mean attenuation"}),
        ([LIVER | {"flags": ["clipped"]}], {"volume", "transverse extent"}),
        ([LIVER | {"pieces": 2}], {"transverse extent", "anteroposterior extent", "craniocaudal extent"}),
        ([LIVER | {"mean_hu": None}], {"mean attenuation"}),
        ([LIVER | {"volume_mm3": 60.0}], {"volume", "mean attenuation"}),  # of twenty voxels
    ],
)
def test_what_is_not_one_whole_mask_is_not_measured(masks: list[dict[str, Any]], never: set[str]) -> None:
    assert quantities(scan("unclear", masks)).isdisjoint(never)


def test_a_liver_without_its_lesion_is_not_the_liver() -> None:
    subject = scan("lesion", [LIVER, {"concept": "liver lesion"}])
    assert {json.loads(one.constraints).get("concept") for one in drafted(subject)} == {"liver lesion"}


def test_an_oblique_array_has_no_extent_along_the_patient() -> None:
    tilted = [1.2, -0.6, 0, 0, 0.9, 0.8, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1]
    assert {q for q in quantities(scan("tilted", [LIVER], affine_lps=tilted)) if "extent" in q} == {
        "craniocaudal extent"
    }


def test_a_slice_is_asked_for_what_lies_in_its_plane() -> None:
    coronal = [1.5, 0, 0, 0, 0, 0, 1.0, 0, 0, -2.0, 0, 0, 0, 0, 0, 1]
    shown = s.asset(
        "slice", form=Form.SLICE, plane="coronal", modality="CT", width=100, height=50, spacing_mm=[2.0, 1.5],
        affine_lps=coronal, labelled_by=["organs"],
    )  # fmt: skip
    mask = s.says(
        shown, Kind.MASK, "liver", "organs", 0, frame="raster", box=[10.0, 5.0, 40.0, 25.0], area_px=400.0,
        area_mm2=1200.0, extent_mm=[45.0, 40.0], pieces=1, flags=["region"],
    )  # fmt: skip
    assert quantities(Subject(shown, (mask,))) == {"area", "transverse extent", "craniocaudal extent"}


def test_sides_of_a_pair_are_compared_and_equal_ones_are_not_called_larger() -> None:
    both = quantities(scan("pair", [RIGHT, LEFT]))
    assert {"larger volume", "volume ratio"} <= both
    alike = quantities(scan("alike", [RIGHT, LEFT | {"volume_mm3": 140_000.0}]))
    assert "volume ratio" in alike
    assert "larger volume" not in alike


@pytest.mark.parametrize(("pieces", "told"), [(1, "1 distinct liver lesion"), (4, "4 distinct liver lesions")])
def test_lesions_are_the_parts_of_a_semantic_mask_where_the_recipe_vouches_for_it(pieces: int, told: str) -> None:
    subject = scan("lesions", [{"concept": "liver lesion", "pieces": pieces}])
    (draft,) = (one for one in drafted(subject, lesions=("liver lesion",)) if '"pieces"' in one.constraints)
    assert told in draft.messages[1].content
    assert "pieces" not in quantities(subject)
    single = scan("instance", [{"concept": "liver lesion", "pieces": pieces, "flags": []}])
    assert "pieces" not in quantities(single, lesions=("liver lesion",))


def test_no_lesion_is_said_only_by_an_exhaustive_set() -> None:
    assert "pieces" in quantities(scan("none", [LIVER]), lesions=("liver lesion",))
    assert "pieces" not in quantities(scan("open", [LIVER | {"exhaustive": False}]), lesions=("liver lesion",))
    assert "pieces" not in quantities(scan("unseen", [], labelled_by=[]), lesions=("liver lesion",))


def test_wrong_options_are_out_of_reach_of_the_tolerance_and_written_alike() -> None:
    for subject in SPREAD[:60]:
        for draft in drafted(subject):
            asked = json.loads(draft.constraints)
            if asked["ask"] != "choice":
                continue
            numbers = [float(option.split(" ")[0]) for option in asked["options"]]
            true = numbers["ABCD".index(asked["letter"])]
            assert all(abs(one - true) > 1.9 * asked["tolerance"] for one in numbers if one != true)
            assert len({option.partition(" ")[2] for option in asked["options"]}) == 1
            assert len({len(option.split(" ")[0].partition(".")[2]) for option in asked["options"]}) == 1
            assert len(set(numbers)) == len(numbers) == 4


def test_neither_place_nor_rank_tells_which_option_is_true() -> None:
    places: Counter[int] = Counter()
    ranks: Counter[int] = Counter()
    for subject in SPREAD:
        for draft in drafted(subject):
            asked = json.loads(draft.constraints)
            if asked["ask"] == "choice" and asked["quantity"] == "volume":
                numbers = [float(option.split(" ")[0]) for option in asked["options"]]
                places["ABCD".index(asked["letter"])] += 1
                ranks[sorted(numbers).index(numbers["ABCD".index(asked["letter"])])] += 1
    for counted in (places, ranks):
        assert counted.total() == len(SPREAD)
        assert all(0.17 < counted[n] / len(SPREAD) < 0.33 for n in range(4)), counted
