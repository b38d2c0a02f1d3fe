"""Windows put grey where PS3.3 C.11.2.1.2 puts it, edges included; percentiles and names are the same for everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.images.windows import WINDOW_NAMES, VoiTable, named_window, percentile_window, render
from curate.rows import Window


def header(center: float, width: float, function: str = "linear") -> Window:
    return Window(center, width, function, "header")


def shown(values: list[float], window: Window, **options) -> list[int]:
    samples = np.array(values, options.pop("dtype", np.float64))
    return render(samples, slope=None, intercept=None, window=window, **options).tolist()


def linear(value: float, center: float, width: float) -> float:
    """The pseudo-code of PS3.3 C.11.2.1.2.1, for output from 0 to 255."""
    if value <= center - 0.5 - (width - 1) / 2:
        return 0
    if value > center - 0.5 + (width - 1) / 2:
        return 255
    return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255


def linear_exact(value: float, center: float, width: float) -> float:
    """The pseudo-code of PS3.3 C.11.2.1.3.2."""
    if value <= center - width / 2:
        return 0
    if value > center + width / 2:
        return 255
    return ((value - center) / width + 0.5) * 255


@given(st.integers(-2000, 3000), st.integers(2, 4000), st.lists(st.integers(-5000, 5000), min_size=1, max_size=40))
def test_a_linear_window_is_that_of_the_standard(center, width, values):
    expected = [int(np.floor(linear(value, center, width) + 0.5)) for value in values]
    assert shown(values, header(center, width)) == expected
    assert shown(values, header(center, width), dtype=np.int16) == expected


@given(st.integers(-2000, 3000), st.integers(1, 4000), st.lists(st.integers(-5000, 5000), min_size=1, max_size=40))
def test_an_exact_linear_window_is_that_of_the_standard(center, width, values):
    expected = [int(np.floor(linear_exact(value, center, width) + 0.5)) for value in values]
    assert shown(values, header(center, width, "linear_exact")) == expected


def test_the_soft_tissue_window_is_black_at_its_lower_edge_and_white_at_its_upper():
    assert shown([-161, -160, -159, 239, 240], header(40, 400)) == [0, 0, 1, 255, 255]
    assert shown([-160, 240], header(40, 400, "linear_exact")) == [0, 255]


def test_a_linear_window_one_wide_is_a_threshold():
    assert shown([99, 99.5, 99.6, 100], header(100, 1)) == [0, 0, 255, 255]


def test_a_sigmoid_is_half_bright_at_its_center_and_never_saturates_before_it_must():
    values = shown([-1e6, -50, 0, 50, 1e6], header(0, 100, "sigmoid"))
    assert values == [0, 30, 128, 225, 255]


def test_values_are_rescaled_before_the_window():
    stored = np.array([0, 1024, 1064, 2048], np.uint16)
    grey = render(stored, slope=1.0, intercept=-1024.0, window=header(40, 400))
    assert grey.tolist() == [0, 102, 128, 255]


def test_polarity_is_inverted_after_the_window():
    stored = np.arange(0, 256, 5, dtype=np.uint8)
    window = header(100, 50)
    plain = render(stored, slope=None, intercept=None, window=window)
    inverted = render(stored, slope=None, intercept=None, window=window, invert=True)
    assert inverted[0] == 255
    assert inverted[-1] == 0
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1  # (each is rounded by itself)


def test_a_table_of_interest_takes_its_ends_for_what_lies_outside():
    table = VoiTable(-2, np.array([0, 1000, 4095], np.uint16), 12)
    window = Window(None, None, "lut", "header")
    assert shown([-9, -2, -1, 0, 7], window, lut=table) == [0, 0, 62, 255, 255]


def test_no_number_is_as_dark_as_it_gets():
    assert shown([float("nan"), -np.inf, np.inf], header(0, 2)) == [0, 0, 255]


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "i4", "f4", "f8"])
def test_every_type_of_sample_gives_the_same_grey(dtype):
    values = np.arange(0, 120, dtype=dtype).reshape(10, 12)
    expected = render(values.astype(np.float64), slope=2.0, intercept=-7.0, window=header(100, 90))
    assert np.array_equal(render(values, slope=2.0, intercept=-7.0, window=header(100, 90)), expected)


@pytest.mark.parametrize(
    "window",
    [header(0, 0.5), header(0, 0, "sigmoid"), header(0, -1), header(0, 1, "cubic"), Window(None, None, "lut", "x")],
)
def test_a_window_that_means_nothing_is_an_error(window):
    with pytest.raises(ValueError, match=r"width|function|table"):
        shown([1], window)


def test_percentiles_leave_out_the_half_percent_at_either_end():
    samples = np.concatenate([[-30_000] * 4, np.arange(1000), [30_000] * 4]).astype(np.int16)
    window = percentile_window(samples, slope=None, intercept=None)
    assert (window.function, window.name) == ("percentile", "percentile")
    low, high = window.center - window.width / 2, window.center + window.width / 2
    assert (low, high) == (1.0, 998.0)


@given(st.lists(st.integers(-30_000, 30_000), min_size=1, max_size=300), st.sampled_from([-2.0, 0.5, 1.0]))
def test_percentiles_do_not_depend_on_the_type_of_the_samples(values, slope):
    narrow = percentile_window(np.array(values, np.int16), slope=slope, intercept=3.0)
    for dtype in (np.int32, np.float64, ">i2"):
        assert percentile_window(np.array(values, dtype), slope=slope, intercept=3.0) == narrow


def test_padding_is_no_measurement():
    samples = np.array([-2000] * 500 + list(range(100)), np.int16)
    window = percentile_window(samples, slope=None, intercept=None, ignore=(-2000.0, -2000.0))
    assert window.center - window.width / 2 == 0.0
    nothing_else = np.full(9, -2000, np.int16)
    assert percentile_window(nothing_else, slope=None, intercept=None, ignore=(-2000.0, -2000.0)).center == -2000.0


def test_a_blank_picture_with_a_mark_shows_the_mark():
    samples = np.zeros((100, 100), np.uint8)
    samples[5, 5] = 1
    window = percentile_window(samples, slope=None, intercept=None)
    assert render(samples, slope=None, intercept=None, window=window)[5, 5] == 255


def test_a_constant_picture_is_grey():
    samples = np.full((4, 4), 700, np.uint16)
    window = percentile_window(samples, slope=None, intercept=None)
    assert window.width == 1.0
    assert np.all(render(samples, slope=None, intercept=None, window=window) == 128)


def test_names_are_those_of_a_radiologist_with_a_source_for_each():
    assert named_window("lung") == Window(-600.0, 1500.0, "linear", "lung")
    assert {"lung", "mediastinum", "bone", "brain", "subdural", "stroke", "liver"} <= set(WINDOW_NAMES)
    assert "auto" not in WINDOW_NAMES
    with pytest.raises(ValueError, match="did you mean 'mediastinum'"):
        named_window("mediastinal")
