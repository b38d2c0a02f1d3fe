"""What a recipe cannot say is refused before anything is read."""

from pathlib import Path
from typing import Any

import pytest

from curate.card import parse_card
from curate.corpus import project_key
from curate.errors import CardError, RecipeError, UsageError
from curate.ledger import unit_expected
from curate.plan import check_card
from curate.recipe import Recipe, load_recipe
from curate.schema import Unit
from tests.crash.small import CARD, RECIPE, write_yaml


def recipe(folder: Path, **changes: Any) -> Recipe:
    """The small recipe with other values."""
    write_yaml(folder / "recipe.yaml", RECIPE | changes)
    return load_recipe(folder / "recipe.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": []}, "sources is empty"),
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": ["count", {"name": "count", "variants": 2}]}, r"\['count'\] stand twice"),
        ({"tasks": [{"name": "count", "variants": 0}]}, "variants is at least 1, got 0"),
        ({"sources": [{"card": "cells.yaml", "limit": 0}]}, "limit is at least 1, got 0"),
        ({"sources": [{"card": "cells.yaml", "limit": -1}]}, "limit is at least 1, got -1"),
        ({"parts": {"items": 0}}, "items is at least 1, got 0"),
        ({"parts": {"bytes": -5}}, "bytes is at least 1, got -5"),
        ({"limits": {"rejects": 5}}, "a share between 0 and 1, got 5"),
        ({"limits": {"rejects": float("nan")}}, "a share between 0 and 1, got nan"),
        ({"split": {"fractions": {}}}, "sum to 1"),
        ({"split": {"fractions": {"train": float("nan"), "test": 1.0}}}, "sum to 1"),
        ({"split": {"fractions": {"train": float("inf"), "test": 1.0}}}, "sum to 1"),
        ({"split": {"fractions": {"train": 1.5, "test": -0.5}}}, "between 0 and 1"),
    ],
)
def test_a_number_without_sense_is_refused_where_the_recipe_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(tmp_path, **changes)


def test_ten_tenths_are_a_whole(tmp_path: Path) -> None:
    fractions = {f"fold{number}": 0.1 for number in range(10)}
    assert recipe(tmp_path, split={"fractions": fractions}).split.fractions == fractions


@pytest.mark.parametrize("key", ["boxes", "annotation_count", "pairs", ""])
def test_a_card_expects_only_units_that_are_counted(key: str) -> None:
    with pytest.raises(CardError, match="is no unit; the units are files, images, rows, objects, items, annotations"):
        check_card(parse_card(CARD | {"expects": {key: 3}}, "card"))


@pytest.mark.parametrize("unit", ["image", "row", "object", "file", "item", "annotation"])
def test_a_card_may_expect_a_unit_in_the_singular_or_the_plural(unit: str) -> None:
    for key in (unit, f"{unit}s"):
        check_card(parse_card(CARD | {"expects": {key: 3}}, "card"))
        assert unit_expected(key) is Unit(unit)


@pytest.mark.parametrize("secret", ["a", "fifteen bytes.."])
def test_a_key_that_can_be_guessed_is_no_key(secret: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 16 bytes"):
        project_key({"CURATE_KEY": secret})
    (tmp_path / "key").write_text(secret + "\n")
    with pytest.raises(UsageError, match="at least 16 bytes"):
        project_key({"CURATE_KEY_FILE": str(tmp_path / "key")})


def test_sixteen_bytes_are_a_key() -> None:
    assert not project_key({"CURATE_KEY": "sixteen bytes..."}).is_public


def test_the_first_visits_of_two_patients_have_two_tokens() -> None:
    key = project_key({})
    one, two = key.token("subject", "s", "P1"), key.token("subject", "s", "P2")
    assert key.token("study", "s", "1", one) != key.token("study", "s", "1", two)
    assert key.token("study", "s", "1", one) == key.token("study", "s", "1", one)
