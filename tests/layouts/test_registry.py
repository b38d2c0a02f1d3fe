"""A card names its layouts, and is told what is wrong with them before any data is read."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from curate import layouts
from curate.card import Card, load_card, parse_card
from curate.errors import CardError
from tests.layouts.scanning import CARD

CATALOG = sorted((Path(__file__).parents[2] / "catalogs").glob("*.yaml"))


def card(**labels: Any) -> Card:
    return parse_card({**CARD, "images": {"glob": "*.png"}, "labels": [labels]}, "example")


def test_every_built_in_layout_loads_and_bears_its_name() -> None:
    for name, layout in layouts.registry().items():
        assert layout.name == name
        assert layout.version >= 1


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.stem)
def test_the_cards_that_ship_fit_their_layouts(path: Path) -> None:
    layouts.check_card(load_card(path))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"layout": "vok", "files": "a"}, "no layout is called 'vok'; known layouts: coco, dicom_seg, folders"),
        ({"layout": "voc"}, "needs `files`"),
        ({"layout": "folders", "files": "*.txt"}, "leave out `files`"),
        ({"layout": "folders", "patern": "x"}, "did you mean `pattern`"),
        ({"layout": "folders", "pattern": "("}, "not a regular expression"),
        ({"layout": "folders", "pattern": "(x)"}, "needs a group"),
        ({"layout": "folders", "kind": "box"}, "Invalid enum value"),
        ({"layout": "table", "files": "a.csv"}, "missing required field `image`"),
        ({"layout": "table", "files": "a.csv", "image": "i", "encoding": "utf-9"}, "encoding 'utf-9' is not known"),
        ({"layout": "table", "files": "a.csv", "image": "i", "delimiter": "||"}, "delimiter is one character"),
        ({"layout": "table", "files": "a.csv", "image": "i", "columns": {"a": {"kind": "box"}}}, "cannot say a box"),
        (
            {"layout": "table", "files": "a.csv", "image": "i", "columns": {"a": {"kind": "class", "stats": {}}}},
            "did you mean `states`",
        ),
        (
            {"layout": "table", "files": "a.csv", "image": "i", "columns": {"a": {"kind": "grade", "unit": "mm"}}},
            "belongs to measurements",
        ),
        (
            {"layout": "table", "files": "a.csv", "image": "i", "box": {"columns": ["x"], "convention": "voc"}},
            "a box has 4 columns, got 1",
        ),
        (
            {"layout": "table", "files": "a.csv", "image": "i", "point": {"columns": ["x", "y"], "convention": "voc"}},
            "a point is written as one of",
        ),
        ({"layout": "table", "files": "a.csv", "image": "i", "fields": {"sid": "s"}}, "sid"),
        ({"layout": "qa", "files": "a.json", "image": "i", "question": "q"}, "missing required field `answer`"),
    ],
)
def test_what_a_card_says_wrongly_is_an_error_with_a_remedy(labels: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError) as caught:
        layouts.check_card(card(**labels))
    assert message in str(caught.value)
    assert "card example" in str(caught.value)


def test_plug_ins_are_layouts_and_must_not_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = EntryPoints(
        [
            EntryPoint("mine", "curate.layouts.folders:Folders", layouts.GROUP),
            EntryPoint("broken", "nowhere.to.be.found:Layout", layouts.GROUP),
            EntryPoint("twice", "one:Layout", layouts.GROUP),
            EntryPoint("twice", "other:Layout", layouts.GROUP),
        ]
    )
    monkeypatch.setattr("curate.plugins.entry_points", installed.select)
    assert "mine" in layouts.layout_names()
    layouts.check_card(card(layout="mine"))
    with pytest.raises(CardError, match="does not import"):
        layouts.check_card(card(layout="broken"))
    with pytest.raises(CardError, match="claimed by one:Layout, other:Layout"):
        layouts.check_card(card(layout="twice"))
