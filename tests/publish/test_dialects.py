"""Coordinates keep their place in every dialect, and the text says in which one it speaks."""

import json
import math
import re
import string
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import curate.publish
from curate.errors import UsageError
from curate.publish.base import Release, Row
from curate.publish.coordinates import PLACES, DialectOptions, in_dialect, places_of
from curate.publish.dialects import (
    DIALECTS,
    MODEL_FAMILIES,
    Dialect,
    Frame,
    box_from,
    box_to,
    frame_of,
    point_from,
    point_to,
    resized_size,
)
from tests.publish.rows_by_hand import FORM_ZH, located, medium, row, video

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SIDES = st.one_of(st.just(1), st.integers(1, 40), st.integers(1, 5000), st.integers(1, 60000))


@st.composite
def framed(draw: st.DrawFn, dialect: Dialect) -> Frame:
    width, height = draw(SIDES), draw(SIDES)
    decimals = draw(st.integers(1, 6))
    frame = frame_of(
        dialect, width, height, max_pixels=draw(st.sampled_from([3136, 1003520, 12845056])), decimals=decimals
    )
    if frame is None:  # the published rules take no such image: its neighbour is a square
        frame = frame_of(dialect, width, width, decimals=decimals)
    assert frame is not None
    return frame


@st.composite
def boxed(draw: st.DrawFn, dialect: Dialect) -> tuple[Frame, tuple[int, int, int, int]]:
    frame = draw(framed(dialect))
    edges = []
    for side in (frame.width, frame.height):
        low = draw(st.one_of(st.just(0), st.just(side - 1), st.integers(0, side - 1)))
        edges.append((low, draw(st.one_of(st.just(side), st.just(low + 1), st.integers(low + 1, side)))))
    (x0, x1), (y0, y1) = edges
    return frame, (x0, y0, x1, y1)


def highest(frame: Frame) -> tuple[int, int]:
    return (frame.steps[0] - 1, frame.steps[1] - 1) if frame.dialect == "loc" else frame.steps


@pytest.mark.parametrize("dialect", DIALECTS)
@UNHURRIED
@given(data=st.data())
def test_a_box_keeps_its_order_its_bounds_and_its_place(dialect: Dialect, data: st.DataObject) -> None:
    frame, box = data.draw(boxed(dialect))
    told = box_to(box, frame)
    right, bottom = highest(frame)
    assert 0 <= told[0] < told[2] <= right
    assert 0 <= told[1] < told[3] <= bottom
    back = box_from(told, frame)
    assert 0 <= back[0] < back[2] <= frame.width
    assert 0 <= back[1] < back[3] <= frame.height
    for at, (was, now) in enumerate(zip(box, back, strict=True)):
        step = Fraction((frame.width, frame.height)[at % 2], frame.steps[at % 2])
        reach = step * (Fraction(3, 2) if dialect == "loc" else 1)  # a bin that was opened, seen from its middle
        assert abs(was - now) <= reach + 1, "within a step of the dialect, and the rounding to a pixel"
        if step <= 1 and dialect != "loc":
            assert was == now, "a dialect finer than the pixels loses nothing"


@pytest.mark.parametrize("dialect", DIALECTS)
@UNHURRIED
@given(data=st.data())
def test_a_point_keeps_its_pixel_where_the_dialect_is_finer(dialect: Dialect, data: st.DataObject) -> None:
    frame = data.draw(framed(dialect))
    point = (data.draw(st.integers(0, frame.width - 1)), data.draw(st.integers(0, frame.height - 1)))
    told = point_to(point, frame)
    limits = (frame.steps[0] - 1, frame.steps[1] - 1) if frame.counts_pixels else highest(frame)
    assert 0 <= told[0] <= limits[0]
    assert 0 <= told[1] <= limits[1]
    back = point_from(told, frame)
    for was, now, side, steps in zip(point, back, (frame.width, frame.height), frame.steps, strict=True):
        assert 0 <= now < side
        assert abs(was - now) <= math.ceil(Fraction(side, steps))
        if steps >= 2 * side or (frame.counts_pixels and steps >= side):
            assert was == now


def test_numbers_are_those_of_the_published_conventions() -> None:
    box = (220, 389, 340, 464)  # on 640 x 480
    told = {dialect: box_to(box, frame) for dialect in DIALECTS if (frame := frame_of(dialect, 640, 480))}
    assert told["pixels"] == box
    assert told["resized"] == (221, 386, 342, 460)  # on 644 x 476
    assert told["0-1000"] == (344, 810, 531, 967)
    assert told["0-999"] == (343, 810, 531, 966)
    assert told["loc"] == (343, 810, 531, 966)
    assert told["0-1"] == (3438, 8104, 5312, 9667)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((640, 480), (644, 476)),
        ((512, 512), (504, 504)),
        ((2048, 1365), (2044, 1372)),
        ((4000, 3000), (4004, 2996)),
        ((1, 1), (56, 56)),
        ((14, 14), (56, 56)),
        ((20, 1500), (28, 1512)),
        ((13, 2000), None),  # one publication says 28 x 1988, the other 28 x 812
        ((27, 5601), None),  # more than 200 : 1
    ],
)
def test_sizes_are_those_at_which_qwen_sees_images(size: tuple[int, int], seen: tuple[int, int] | None) -> None:
    """Measured with `smart_resize` of transformers 5.23.0 and of qwen_vl_utils 0.0.14."""
    assert resized_size(*size) == seen


def test_a_trainers_limit_changes_the_size() -> None:
    assert resized_size(4000, 3000, max_pixels=1280 * 28 * 28) == (1148, 840)
    assert resized_size(56, 56, min_pixels=256 * 28 * 28) == (448, 448)


def test_a_box_of_one_pixel_in_a_large_image_keeps_an_area() -> None:
    for dialect in DIALECTS:
        frame = frame_of(dialect, 40000, 30000)
        assert frame is not None
        for box in ((0, 0, 1, 1), (39999, 29999, 40000, 30000), (20003, 15001, 20004, 15002)):
            x0, y0, x1, y1 = box_to(box, frame)
            assert x0 < x1, dialect
            assert y0 < y1, dialect


def numbers_in(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "pixels"])
def test_question_and_answer_change_together(release: Release, dialect: Dialect) -> None:
    options = DialectOptions(dialect=dialect)
    seen = 0
    for one in release.rows():
        told = in_dialect(one, options)
        assert isinstance(told, Row), told
        places = places_of(one)
        if places is None:
            assert told == one
            continue
        assert not isinstance(places, str)
        seen += 1
        text = told.question + told.answer
        assert one.slots[places.slot] not in text or told.slots[places.slot] == one.slots[places.slot]
        assert one.slots[places.sentence] not in text
        assert "in pixels;" not in text
        assert text.count(told.slots[places.sentence]) == 1
        frame = options.frame(one.media[0].width, one.media[0].height)
        assert frame is not None
        change = point_to if places.slot == "points" else box_to
        expected = [number for place in places.numbers for number in change(place, frame)]
        scale = frame.steps[0] if dialect == "0-1" else 1
        assert numbers_in(told.slots[places.slot]) == pytest.approx([number / scale for number in expected])
    assert seen > 20


def test_all_other_words_stay(release: Release) -> None:
    for one in release.rows():
        told = in_dialect(one, DialectOptions(dialect="0-1000"))
        assert isinstance(told, Row)
        for before, after in zip(one.messages, told.messages, strict=True):
            words, changed = before.content, after.content
            for name in one.fixed:
                words, changed = words.replace(one.slots[name], name), changed.replace(told.slots[name], name)
            assert words == changed


def test_a_sentence_in_chinese_stays_chinese() -> None:
    one = located(form=FORM_ZH, language="zh")
    for dialect in DIALECTS[1:]:
        told = in_dialect(one, DialectOptions(dialect=dialect))
        assert isinstance(told, Row)
        assert re.search("[一-鿿]", told.slots["form"])
        assert not re.search(r"[a-z]{4,}", told.slots["form"].replace("JSON", "").replace("<loc_", ""))


def test_marks_of_medrega_and_tokens_of_florence() -> None:
    one = located("[[0, 0, 640, 480], [64, 48, 128, 96]]")
    told = in_dialect(one, DialectOptions(model_family="medrega", notation="box"))
    assert isinstance(told, Row)
    assert told.answer == "<ref>erythrocyte</ref><box>[[0, 0, 999, 999], [100, 100, 200, 200]]</box>"
    assert "JSON" not in told.question
    told = in_dialect(one, DialectOptions(model_family="florence-2"))
    assert isinstance(told, Row)
    assert told.answer == "<loc_0><loc_0><loc_999><loc_999><loc_100><loc_100><loc_200><loc_200>"
    told = in_dialect(one, DialectOptions(dialect="0-1", decimals=2))
    assert isinstance(told, Row)
    assert told.answer == "[[0.00, 0.00, 1.00, 1.00], [0.10, 0.10, 0.20, 0.20]]"
    assert json.loads(told.answer)


def test_what_cannot_be_converted_whole_is_left_out() -> None:
    options = DialectOptions(dialect="0-1000")
    twice = located()
    again = row(twice.question, f"{twice.answer} {twice.answer}", slots=twice.slots, fixed=twice.fixed)
    assert "exactly once" in str(in_dialect(again, options))
    gone = row("Where are erythrocytes?", "[[1, 2, 30, 40]]", slots=twice.slots, fixed=twice.fixed)
    assert "exactly once" in str(in_dialect(gone, options))
    assert "no places of its picture" in str(in_dialect(located("[[1, 2, 641, 40]]"), options))
    assert "no places of its picture" in str(in_dialect(located("[[30, 2, 30, 40]]"), options))
    assert "no places of its picture" in str(in_dialect(located("[[1.5, 2, 30, 40]]"), options))
    assert "no places of its picture" in str(in_dialect(located("[[1, 2, 30]]"), options))
    assert "no places of its picture" in str(in_dialect(located("somewhere"), options))
    for media in ((medium("a"), medium("b")), (video(),), ()):
        assert "exactly one picture" in str(in_dialect(located(media=media), options))
    assert "no sentence" in str(in_dialect(located(fixed=("boxes",)), options))
    narrow = located("[[1, 2, 3, 4]]", media=(medium(width=13, height=2000),))
    assert "rule of resizing" in str(in_dialect(narrow, DialectOptions(dialect="resized")))
    points = row("Point.  F.", "[[1, 2]]", slots={"points": "[[1, 2]]", "form": "F."}, fixed=("form", "points"))
    assert "no form" in str(in_dialect(points, DialectOptions(dialect="0-999", notation="box")))


def test_rows_without_coordinates_and_the_canonical_dialect_change_nothing() -> None:
    plain = row("How many cells measure 7 [um]?", "There are 3, see [1, 2, 3, 4].")
    assert in_dialect(plain, DialectOptions(dialect="0-1000")) is plain
    one = located()
    assert in_dialect(one, DialectOptions()) is one
    assert not set(plain.fixed) & set(PLACES)


def test_every_dialect_has_its_sentences_in_both_languages() -> None:
    path = Path(curate.publish.__file__).parent / "wordings" / "coordinates.yaml"
    sentences = yaml.safe_load(path.read_text("utf-8"))
    marked = {"0-1000 box", "0-999 box"}
    assert set(sentences) == {*DIALECTS, *marked, "objects"} - {"pixels"}
    for key, languages in sentences.items():
        assert set(languages) == {"en", "zh"}
        for language, slots in languages.items():
            assert set(slots) == (set(PLACES) - {"points"} if key in marked else set(PLACES))
            for slot, pool in slots.items():
                assert pool
                for told in pool:
                    fields = {name for _, name, _, _ in string.Formatter().parse(told) if name}
                    assert fields == ({"width", "height"} if key == "resized" else set())
                    assert ("JSON" in told) == (key in DIALECTS and key != "loc" and slot != "region")
                    assert bool(re.search("[一-鿿]", told)) == (language == "zh")
                    assert told[-1] in ".。"


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="no model family is called 'gpt'; known: florence-2"):
        DialectOptions(model_family="gpt")
    with pytest.raises(UsageError, match="qwen3-vl speaks 0-1000, not resized"):
        DialectOptions(model_family="qwen3-vl", dialect="resized")
    with pytest.raises(UsageError, match="not for pixels"):
        DialectOptions(notation="box")
    with pytest.raises(UsageError, match="leave no size"):
        DialectOptions(min_pixels=10, max_pixels=5)
    with pytest.raises(UsageError, match="decimals 0"):
        DialectOptions(decimals=0)
    for family, dialect in MODEL_FAMILIES.items():
        assert DialectOptions(model_family=family).spoken == dialect
