"""Candidates for duplicates: no pair within four bits is missed."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.groups import near

HASH = st.integers(0, 2**64 - 1)


ECHOES = st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=5)), max_size=10)


@given(st.lists(HASH, max_size=30), ECHOES)
@settings(max_examples=60)
def test_exactly_those_with_a_neighbour_within_four_bits_are_candidates(
    hashes: list[int], echoes: list[tuple[int, set[int]]]
) -> None:
    for origin, bits in echoes:
        if hashes:
            hashes.append(hashes[origin % len(hashes)] ^ sum(1 << bit for bit in bits))
    pairs = combinations(range(len(hashes)), 2)
    close = {i for a, b in pairs if (hashes[a] ^ hashes[b]).bit_count() <= near.MAX_BITS for i in (a, b)}
    assert near.candidates(hashes, [(640, 480)] * len(hashes)) == sorted(close)


def test_images_of_another_size_are_not_compared() -> None:
    assert near.candidates([7, 7, 7], [(640, 480), (480, 640), (640, 480)]) == [0, 2]


def test_a_crowd_of_blank_images_are_all_candidates() -> None:
    n = near.CROWDED + 10
    assert near.candidates([0] * n, [(512, 512)] * n) == list(range(n))
