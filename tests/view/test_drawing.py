"""What is drawn lies where the annotation says."""

import base64
import io
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.rows import Annotation, Rle
from curate.run_lengths import decode_mask, encode_mask
from curate.schema import Annotator, Kind, State, World
from curate.view.drawing import COLOURS, SHAPES_AT_MOST, colours_of, drawing_of, slice_of
from curate.view.shown import Drawing


def said(kind: Kind, concept: str = "cell", **values: object) -> Annotation:
    return Annotation(
        annotation_id="0" * 64,
        asset_id="1" * 64,
        source="s",
        label_set="l",
        world=World.OPEN,
        exhaustive=False,
        kind=kind,
        concept=concept,
        state=State.PRESENT,
        frame="raster",
        annotator=Annotator.HUMAN,
        file="f",
        locator="1",
        **values,  # type: ignore[arg-type]
    )


def drawn(*annotations: Annotation, raster: tuple[int, int] = (40, 30), shown: tuple[int, int] = (40, 30)) -> Drawing:
    return drawing_of(list(enumerate(annotations, 1)), colours_of(annotations), raster, shown)


def pixels(uri: str) -> np.ndarray:
    """RGBA of a layer."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_a_box_is_drawn_along_its_edges() -> None:
    (shape,) = drawn(said(Kind.BOX, box=[1.5, 2, 10, 20.25])).shapes
    assert (shape.kind, shape.path, shape.number) == ("box", "M1.5 2H10V20.25H1.5Z", 1)


def test_a_point_and_a_polygon_are_drawn_on_their_coordinates() -> None:
    point, polygon = drawn(
        said(Kind.POINT, point=[3.5, 4.5]), said(Kind.POLYGON, polygons=[[0, 0, 5, 0, 5, 5]], box=[0, 0, 5, 5])
    ).shapes
    assert (point.kind, point.path) == ("point", "M3.5 4.5h0")
    assert (polygon.kind, polygon.path) == ("polygon", "M0 0L5 0L5 5Z")


def test_a_mask_covers_its_own_pixels_and_no_other() -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:12, 7:20] = True
    mask[8, 10] = False
    (layer,) = drawn(said(Kind.MASK, mask=encode_mask(mask), box=[7, 5, 20, 12])).layers
    got = pixels(layer.uri)
    assert np.array_equal(got[..., 3] > 0, mask)
    assert got[5, 7, 3] > got[7, 15, 3] > 0  # the edge is stronger than the inside
    assert tuple(got[5, 7, :3]) == tuple(bytes.fromhex(COLOURS[layer.colour][1:]))


def test_a_mask_smaller_than_a_shown_pixel_is_still_seen() -> None:
    mask = np.zeros((300, 400), bool)
    mask[151, 203] = True
    (layer,) = drawn(said(Kind.MASK, mask=encode_mask(mask)), raster=(400, 300), shown=(40, 30)).layers
    got = pixels(layer.uri)[..., 3] > 0
    assert got[15, 20]
    assert got.sum() <= 4


def test_masks_of_one_concept_share_a_layer_and_touching_ones_keep_their_edges() -> None:
    left, right = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    left[5:15, 5:15], right[5:15, 15:25] = True, True
    (layer,) = drawn(said(Kind.MASK, mask=encode_mask(left)), said(Kind.MASK, mask=encode_mask(right))).layers
    alpha = pixels(layer.uri)[..., 3]
    assert layer.masks == 2
    assert alpha[10, 14] == alpha[10, 15] > alpha[10, 10]


def test_each_concept_has_its_colour_and_what_has_no_place_is_not_drawn() -> None:
    drawing = drawn(said(Kind.BOX, "a", box=[0, 0, 1, 1]), said(Kind.BOX, "b", box=[0, 0, 1, 1]), said(Kind.CLASS, "c"))
    assert [shape.colour for shape in drawing.shapes] == [0, 1]
    assert drawing.kinds == ("box",)


def test_a_mask_of_another_raster_or_of_a_volume_is_not_drawn() -> None:
    odd = said(Kind.MASK, mask=encode_mask(np.ones((3, 4), bool)))
    assert drawn(odd).layers == ()


@pytest.mark.parametrize("n", [SHAPES_AT_MOST, SHAPES_AT_MOST + 7])
def test_so_many_shapes_are_drawn_and_the_rest_is_counted(n: int) -> None:
    drawing = drawn(*[said(Kind.POINT, point=[1, 1])] * n)
    assert (len(drawing.shapes), drawing.left_out) == (SHAPES_AT_MOST, n - SHAPES_AT_MOST)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_slice_of_a_volumes_mask_is_what_lies_on_it(depth: int, height: int, width: int, rng: random.Random) -> None:
    whole = np.array([rng.random() < 0.5 for _ in range(depth * height * width)]).reshape(depth, height, width)
    flat = np.concatenate([plane.ravel(order="F") for plane in whole])
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    counts = [int(n) for n in np.diff(changes, prepend=0, append=flat.size)]
    for index in range(depth):
        cut = slice_of(Rle(height, width, counts, depth), index)
        assert cut.depth is None
        assert np.array_equal(decode_mask(cut), whole[index])
