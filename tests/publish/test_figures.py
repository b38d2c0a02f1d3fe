"""Pictures of the card: drawn from the numbers, the same every time, and of rows that may go."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.publish import figures
from curate.publish.base import Release
from curate.publish.contact_sheet import COLUMNS, Example, chosen_examples, contact_sheet
from curate.publish.figures import COLOURS, GROUND, Bar, bar_chart, font, shortened
from curate.publish.selection import select
from tests.publish.releases import release_of


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def _amount(data: bytes, colour: str) -> int:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((_pixels(data) == wanted).all(axis=2).sum())


def test_bars_are_as_long_as_their_numbers() -> None:
    data = bar_chart("t", [Bar("a", (300, 100)), Bar("b", (0, 100))], ("x", "y"))
    alone = bar_chart("t", [Bar("a", (300, 100))], ("x", "y"))
    assert data is not None
    assert alone is not None
    key = 29 * 29
    first, second = (_amount(data, colour) - key for colour in COLOURS[:2])
    assert first / second == pytest.approx(1.5, rel=0.02)
    assert (_amount(alone, COLOURS[0]) - key) / (_amount(alone, COLOURS[1]) - key) == pytest.approx(3, rel=0.02)


def test_nothing_to_draw_is_no_picture() -> None:
    assert bar_chart("t", [], ()) is None
    assert bar_chart("t", [Bar("a", (0,))], ()) is None


def test_more_bars_than_fit_are_told_as_a_number() -> None:
    many = [Bar(f"label {place}", (place,)) for place in range(200, 0, -1)]
    data = bar_chart("t", many, ())
    assert data is not None
    assert Image.open(io.BytesIO(data)).height < 2100


def test_the_same_numbers_give_the_same_bytes_without_metadata() -> None:
    bars = [Bar("a", (3,)), Bar("b", (1,))]
    assert bar_chart("t", bars, ()) == bar_chart("t", bars, ())
    data = bar_chart("t", bars, ())
    assert data is not None
    assert Image.open(io.BytesIO(data)).info == {}


def test_words_are_cut_to_their_room() -> None:
    letters = font(30)
    long = "a very long name of a finding that no chart has room for"
    assert letters.getlength(shortened(long, letters, 200)) <= 200
    assert shortened("short", letters, 200) == "short"


def test_all_charts_stand_on_ground_of_their_own(published: Path) -> None:
    drawn = sorted((published / "figures").iterdir())
    assert [one.stem for one in drawn] == ["examples", "labels", "lengths", "sizes", "sources", "tasks"]
    for one in drawn:
        picture = Image.open(one)
        assert picture.mode == "RGB"
        assert picture.width == figures.WIDTH
        assert "#{:02x}{:02x}{:02x}".format(*picture.getpixel((2, 2))) == GROUND


def test_every_source_with_a_still_picture_has_an_example_before_one_has_two(release: Release) -> None:
    stills = {row.source for row in release.rows() if len(row.media) == 1 and row.media[0].media_type == "image/png"}
    examples = chosen_examples(release)
    assert stills <= {one.row.source for one in examples}
    few = chosen_examples(release, most=3)
    assert len({one.row.source for one in few}) == 3
    assert [one.row.pair_id for one in chosen_examples(release)] == [one.row.pair_id for one in examples]


def test_boxes_are_drawn_where_the_annotation_says(release: Release) -> None:
    example = next(
        Example(row, (said,))
        for row, (subject, *_) in release.annotated()
        for said in subject.annotations
        if said.box is not None and said.mask is None and not said.polygons and row.source == "phantom-cells-voc"
    )
    sheet = contact_sheet(release, [example])
    bare = contact_sheet(release, [Example(example.row, ())])
    assert sheet is not None
    assert bare is not None
    rows, columns = np.nonzero((_pixels(sheet) != _pixels(bare)).any(axis=2))
    cell = (figures.WIDTH - 28 * (COLUMNS + 1)) // COLUMNS
    medium, box = example.row.media[0], example.said[0].box
    assert box is not None
    scale = min(cell / medium.width, cell / medium.height)
    left = 28 + (cell - round(medium.width * scale)) // 2
    top = 28 + (cell - round(medium.height * scale)) // 2
    found = [(columns.min() - left) / scale, (rows.min() - top) / scale, (columns.max() - left) / scale]
    assert found == pytest.approx([box[0], box[1], box[2]], abs=4 / scale)


def test_what_was_taken_back_is_on_no_sheet(corpus: Path, release: Release) -> None:
    from curate.publish.rows import open_release

    taken = chosen_examples(release)[0].row.media[0].asset_id
    left = chosen_examples(open_release(select(corpus, withdrawn=[taken])), most=100)
    assert all(one.row.media[0].asset_id != taken for one in left)
    assert contact_sheet(release_of(corpus), []) is None
