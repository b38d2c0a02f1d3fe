"""Who belongs together, and that nobody moves when somebody else arrives."""

import random

from hypothesis import given
from hypothesis import strategies as st

from curate.groups.links import Components, split_of

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_two_visits_of_one_patient_are_one_group() -> None:
    groups = Components.of(3)
    groups.join_equal(["patient-1", "patient-2", "patient-1"], "subject")
    assert groups.find(0) == groups.find(2) != groups.find(1)
    assert groups.linked_by == {0: {"subject"}, 2: {"subject"}}


def test_an_unknown_patient_is_not_every_other_unknown_patient() -> None:
    groups = Components.of(3)
    groups.join_equal([None, None, None], "subject")
    assert len({groups.find(member) for member in range(3)}) == 3


def test_a_duplicate_across_sources_ties_two_patients_together() -> None:
    groups = Components.of(4)
    groups.join_equal(["a", "a", "b", "b"], "subject")
    groups.join_equal(["x", "y", "y", "z"], "bytes")
    assert len({groups.find(member) for member in range(4)}) == 1


@given(st.lists(st.lists(st.integers(0, 19), min_size=2, max_size=4), max_size=15), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_links(links: list[list[int]], shuffle: random.Random) -> None:
    forwards, backwards = Components.of(20), Components.of(20)
    for link in links:
        forwards.join(link, "subject")
    mixed = [list(link) for link in links]
    shuffle.shuffle(mixed)
    for link in mixed:
        shuffle.shuffle(link)
        backwards.join(link, "subject")
    assert [forwards.find(member) for member in range(20)] == [backwards.find(member) for member in range(20)]


def test_the_split_of_a_group_is_its_own_affair() -> None:
    names = [f"group-{number}" for number in range(20_000)]
    splits = [split_of(name, FRACTIONS, "") for name in names]
    for split, fraction in FRACTIONS.items():
        assert abs(splits.count(split) / len(splits) - fraction) < 0.01
    assert splits[:100] == [split_of(name, FRACTIONS, "") for name in names[:100]]


def test_a_larger_test_fraction_only_moves_groups_into_test() -> None:
    names = [f"group-{number}" for number in range(2_000)]
    narrow = {name: split_of(name, {"test": 0.1, "train": 0.9}, "") for name in names}
    wide = {name: split_of(name, {"test": 0.2, "train": 0.8}, "") for name in names}
    assert all(wide[name] == "test" for name in names if narrow[name] == "test")


def test_a_split_of_fraction_zero_stays_empty() -> None:
    assert {split_of(f"g{n}", {"train": 1.0, "test": 0.0}, "seed") for n in range(500)} == {"train"}
