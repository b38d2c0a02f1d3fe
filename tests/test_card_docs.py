"""docs/cards.md says what the code does: every key and option stands in it, and its examples are cards."""

import re
from typing import Any

import msgspec
import pytest
import yaml

from curate import layouts
from curate.card import LABEL_SET_KEYS, Card, Images, Source, Split, Subject, Terms, parse_card
from curate.geometry import Convention
from curate.layouts import BUILT_IN, layout_names
from curate.layouts.cells import ColumnSpec, FromColumn
from curate.layouts.table import Place
from curate.schema import Reason
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")

HEAD = {
    "id": "example",
    "title": "An example",
    "source": {"home": "example.org"},
    "terms": {"licence": "CC0-1.0", "quote": "public domain", "read_at": "README.md"},
    "images": {"glob": "*.png"},
    "subject": {"none": "not published"},
}


def section(layout: str) -> str:
    found = re.search(rf"^### {layout}$(?P<text>.*?)^##", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/cards.md has no section on {layout}"
    return found["text"]


def is_named(key: str, text: str) -> bool:
    """The key stands in code within the prose: alone, or in a list or a mapping."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return any(re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", code) for code in re.findall(r"`[^`]+`", prose))


def fields(model: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(model)]


def test_every_layout_has_a_section() -> None:
    assert set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)) == set(BUILT_IN)


@pytest.mark.parametrize("layout", BUILT_IN)
def test_every_option_of_a_layout_is_described_in_its_section(layout: str) -> None:
    options = fields(layouts.registry()[layout].Options)
    assert [option for option in options if not is_named(option, section(layout))] == []


@pytest.mark.parametrize("model", [ColumnSpec, FromColumn, Place])
def test_every_key_of_a_column_or_a_place_is_described(model: Any) -> None:
    assert [key for key in fields(model) if not is_named(key, section("table"))] == []


@pytest.mark.parametrize("model", [Card, Images, Source, Split, Subject, Terms])
def test_every_key_of_a_card_is_described(model: Any) -> None:
    assert [key for key in fields(model) if not is_named(key, TEXT)] == []


def test_every_key_of_a_label_set_is_described() -> None:
    assert [key for key in sorted(LABEL_SET_KEYS) if not is_named(key, TEXT)] == []


def test_every_convention_is_described() -> None:
    assert [name for name in Convention if not is_named(name, TEXT)] == []


def test_reasons_that_are_named_exist() -> None:
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", TEXT))
    keys = {key for model in (Card, Images, Terms, ColumnSpec, FromColumn, Place) for key in fields(model)}
    options = {option for one in layouts.registry().values() for option in fields(one.Options)}
    fields_of_assets = {"day_offset", "not_stated", "xyxy_normalised", "fractional_type", "algorithm_type"}
    assert words - keys - options - fields_of_assets <= set(Reason)


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
def test_every_example_is_a_card(example: str) -> None:
    card = parse_card(HEAD | yaml.safe_load(example), "docs/cards.md")
    layouts.check_card(card)


def test_inline_examples_of_images_subjects_and_splits_parse() -> None:
    for text in re.findall(r"`((?:images|expects|expected_rejects): \{[^`]*\})`", TEXT):
        parse_card(HEAD | yaml.safe_load(text), text)
    subjects = re.findall(r"`(\{(?:column|pattern|header|none|lists): [^`]*\})`", TEXT)
    assert len(subjects) >= 7
    for text in subjects:
        rule = yaml.safe_load(text)
        key = "split" if "lists" in rule or "<split>" in text or rule.get("column") == "fold" else "subject"
        parse_card(HEAD | {key: rule}, text)


def test_the_docs_name_every_layout_that_is_registered_here() -> None:
    assert set(BUILT_IN) <= set(layout_names())
