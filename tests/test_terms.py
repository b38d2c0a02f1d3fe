"""What licences ask of those who pass rows on."""

import pytest

from curate.terms import bound_alike


@pytest.mark.parametrize(
    ("licence", "asked"),
    [
        ("CC-BY-4.0", None),
        ("CC0-1.0 AND MIT", None),
        ("CC-BY-NC-4.0", None),
        ("CC-BY-SA-4.0", "CC-BY-SA"),
        ("CC-BY-SA-3.0-IGO", "CC-BY-SA"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-SA"),
        ("GPL-3.0-or-later", "GPL"),
        ("CC-BY-SA-4.0 AND MIT", "CC-BY-SA"),
    ],
)
def test_share_alike_asks_for_its_own_family(licence: str, asked: str | None) -> None:
    assert bound_alike(licence) == asked
