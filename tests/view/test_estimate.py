"""What a preview says of the whole build."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.view.estimate import ItemCounts, Prices, Range, Tokens, distinct_of, estimate, prices_of
from curate.view.sampling import SourceSample, Stratum


def sample(*strata: tuple[int, int], size: int = 100) -> SourceSample:
    """Strata as (items, taken)."""
    made = tuple(
        Stratum(f"s{place}", items, tuple(f"{place}/{n}" for n in range(taken)))
        for place, (items, taken) in enumerate(strata)
    )
    items = sum(items for items, _ in strata)
    return SourceSample("a", items, items * size, made)


def counts(of: SourceSample, pairs: dict[str, int]) -> dict[tuple[str, str], ItemCounts]:
    """The pairs of each item by the stratum of its key."""
    return {("a", key): ItemCounts(pairs[key.partition("/")[0]], 1) for key in of.keys}


def test_rare_items_weigh_as_much_as_there_are_of_them() -> None:
    of = sample((990, 2), (10, 2))
    told = estimate([of], counts(of, {"0": 1, "1": 50}), {"a": (800, 400)})
    assert told.pairs == 990 * 1 + 10 * 50


def test_a_stratum_without_a_sample_counts_as_the_others_do() -> None:
    of = sample((50, 1), (50, 0))
    assert estimate([of], counts(of, {"0": 3}), {}).pairs == 300


def test_one_item_tells_no_error_and_all_items_leave_none() -> None:
    one, whole = sample((50, 1)), sample((3, 3))
    assert estimate([one], counts(one, {"0": 3}), {}).pairs_error is None
    assert estimate([whole], counts(whole, {"0": 3}), {}).pairs_error == 0


def test_the_error_is_that_of_a_sample_without_replacement() -> None:
    of = sample((60, 2), (40, 2))
    told = estimate([of], counts(of, {"0": 2, "1": 6}), {})
    spread = (4 * 2**2) / 3
    assert told.pairs_error == pytest.approx(100 * math.sqrt((1 - 4 / 100) * spread / 4))


def test_disk_follows_the_bytes_of_the_source() -> None:
    of = sample((100, 4))
    assert estimate([of], counts(of, {"0": 1}), {"a": (800, 400)}).stored_bytes == 800 * (100 * 100) / 400


def test_without_a_rewriter_nothing_is_said_of_requests() -> None:
    of = sample((100, 4))
    told = estimate([of], counts(of, {"0": 1}), {}, prices=Prices(1, 1, 1, 1))
    assert (told.asked, told.requests, told.price, told.gpu_hours, told.missing) == (None, None, None, None, ())


def test_no_price_speed_or_token_is_invented() -> None:
    of = sample((100, 4))
    told = estimate([of], counts(of, {"0": 1}), {}, requests=["r"] * 4, max_tokens=64, prices=Prices(1, 1, 100, 2))
    assert told.prompt_tokens is told.completion_tokens is told.price is told.gpu_hours is told.gpu_price is None
    assert any("--completer" in line for line in told.missing)


def test_prices_multiply_what_was_measured() -> None:
    of = sample((100, 4))
    told = estimate(
        [of],
        counts(of, {"0": 1}),
        {},
        requests=["a", "b", "c", "d"],
        tokens=Tokens(4, 4000, 400),
        prices=Prices(2.0, 10.0, 50.0, 3.0),
    )
    assert told.requests == Range(100, 100)
    assert told.prompt_tokens == Range(100_000, 100_000)
    assert told.completion_tokens == Range(10_000, 10_000)
    assert told.price is not None and told.price.high == pytest.approx(0.2 + 0.1)
    assert told.gpu_hours is not None and told.gpu_hours.high == pytest.approx(10_000 / 50 / 3600)
    assert told.gpu_price is not None and told.gpu_price.high == pytest.approx(3 * 10_000 / 50 / 3600)
    assert told.missing == ()


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.floats(0, 1e7))
def test_distinct_requests_are_at_least_those_seen_and_at_most_one_a_draft(requests: list[str], drafts: float) -> None:
    told = distinct_of(requests, drafts)
    seen = len(set(requests))
    assert told.low <= told.high
    if drafts > len(requests):
        assert seen <= told.low + 1e-6
        assert told.high <= drafts * (1 + 1e-9)


def test_a_saturated_sample_foretells_nothing_new() -> None:
    assert distinct_of(["a", "a", "b", "b", "b"] * 10, 1e6).low == 2


def test_the_lower_end_is_near_the_truth_where_requests_repeat() -> None:
    """A hundred equally likely requests, four hundred drafts seen of ten thousand."""
    rng = random.Random(7)
    told = distinct_of([str(rng.randrange(100)) for _ in range(400)], 10_000)
    assert 97 <= told.low <= 104


def test_prices_are_read_as_in_and_out() -> None:
    assert prices_of("0.5", None, None) == Prices(0.5, 0.5)
    assert prices_of("0.5:1.5", 10, 2) == Prices(0.5, 1.5, 10, 2)
    assert prices_of(None, None, None) == Prices()


@pytest.mark.parametrize("word", ["", "x", "1:", ":1", "-1", "nan", "inf:1", "1:2:3"])
def test_what_is_no_price_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="price-per-million-tokens"):
        prices_of(word, None, None)
