"""The changelog of a release: an entry on top of those before, by source and cause."""

from curate.publish.changes import changelog
from curate.publish.index import Cause, Change, Difference, Kind

DIFFERENCE = Difference(
    10,
    9,
    (Change("cells", Kind.REMOVED, Cause.TAKEDOWN, 2, ("a",)), Change("cells", Kind.ADDED, Cause.SOURCE, 1, ("b",))),
)


def test_the_first_release_says_that_it_is_the_first() -> None:
    text = changelog("", 1, "0" * 64, 10, None)
    assert "## Release 1" in text
    assert "10 rows. The first of this place." in text


def test_the_next_one_stands_on_top_with_its_causes() -> None:
    first = changelog("", 1, "0" * 64, 10, None)
    second = changelog(first, 2, "1" * 64, 9, DIFFERENCE)
    assert second.index("## Release 2") < second.index("## Release 1")
    assert "1 added, 2 removed, 0 changed, 8 unchanged" in second
    assert "| cells | removed | takedown | 2 |" in second
    assert second.count("# Changelog") == 1


def test_an_entry_that_an_interrupted_publishing_left_is_replaced() -> None:
    first = changelog("", 1, "0" * 64, 10, None)
    second = changelog(first, 2, "1" * 64, 9, DIFFERENCE)
    assert changelog(second, 2, "1" * 64, 9, DIFFERENCE) == second


def test_the_same_rows_in_other_files_are_told_so() -> None:
    assert "The same rows" in changelog("", 2, "1" * 64, 9, Difference(9, 9, ()))


def test_a_foreign_changelog_is_no_obstacle() -> None:
    assert "## Release 3" in changelog("whatever\n## Release x\n", 3, "1" * 64, 9, DIFFERENCE)
