"""Placing: a mask file says itself what is nothing in it, and a qualifier may have any name."""

import numpy as np
import pytest

from curate.card import LabelSet
from curate.layouts.base import RawAnnotation, RawMask
from curate.schema import Kind, Refusal
from curate.stages.placing import Placer, Raster

RASTER = Raster(width=4, height=2, asset_id="a", source="example")
LABELS = {"set": LabelSet(layout="masks", name="set", options={"background": 3})}
MAP = np.array([[0, 0, 7, 7], [0, 5, 5, 7]])


def place(**said: object) -> list[dict[str, object]]:
    raw = RawAnnotation(**{"locator": "here", "label_set": "set", **said})  # type: ignore[arg-type]
    rows = Placer(LABELS, lambda _: MAP).place(raw, RASTER)
    assert not isinstance(rows, Refusal)
    return rows


@pytest.mark.parametrize(("background", "areas"), [(0, [2.0, 3.0]), (7, [3.0, 2.0])])
def test_each_value_but_the_background_of_the_mask_is_an_object(background: int, areas: list[float]) -> None:
    mask = RawMask("m.png", background=background, per_instance=True)
    assert [row["area_px"] for row in place(kind=Kind.MASK, mask=mask)] == areas


@pytest.mark.parametrize(("background", "area"), [(0, 5.0), (7, 5.0), (5, 6.0)])
def test_all_that_is_not_background_is_the_object(background: int, area: float) -> None:
    assert [row["area_px"] for row in place(kind=Kind.MASK, mask=RawMask("m.png", background=background))] == [area]


def test_a_qualifier_of_a_measurement_may_be_called_per() -> None:
    (row,) = place(kind=Kind.MEASUREMENT, value=1.0, qualifiers={"per": "day"})
    assert row["qualifiers"] == [("per", "day")]
