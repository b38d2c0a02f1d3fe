"""Candidates for duplicates: no pair within four bits is missed."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.groups import near

HASH = st.integers(0, 2**64 - 1)


@given(st.lists(HASH, max_size=30), st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=5)), max_size=10))
@settings(max_examples=60)
def test_exactly_those_with_a_neighbour_within_four_bits_are_candidates(
    hashes: list[int], echoes: list[tuple[int, set[int]]]
) -> None:
    for origin, bits in echoes:
        if hashes:
            hashes.append(hashes[origin % len(hashes)] ^ sum(1 << bit for bit in bits))
    close = {i for pair in combinations(range(len(hashes)), 2) if (hashes[pair[0]] ^ hashes[pair[1]]).bit_count() <= 4 for i in pair}
    assert near.candidates(hashes, [(640, 480)] * len(hashes)) == sorted(close)


def test_images_of_another_size_are_not_compared() -> None:
    assert near.candidates([7, 7, 7], [(640, 480), (480, 640), (640, 480)]) == [0, 2]


def test_a_crowd_of_blank_images_are_all_candidates() -> None:
    n = near.CROWDED + 10
    assert near.candidates([0] * n, [(512, 512)] * n) == list(range(n))
