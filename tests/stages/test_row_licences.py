"""Licences that rows state: each asset and pair has its own, and what no row states is unknown, never the card's."""

from pathlib import Path

import polars as pl
import pytest

from curate import open_catalog
from curate.build import build
from curate.card import Card, parse_card
from curate.errors import CardError
from curate.execute import Executing
from curate.terms import UNSTATED, TermsClass, check_terms, row_licence, terms_class
from tests.crash.small import draw, write_yaml

NAMES = ("open", "bound", "none", "empty", "unlisted", "rowless", "twice", "differing")

CSV = """image,finding,licence
open.png,goitre,CC BY 4.0
bound.png,goitre,CC BY-NC 4.0
none.png,goitre,None
empty.png,goitre,
unlisted.png,goitre,ask the author
twice.png,goitre,CC BY 4.0
twice.png,nodule,CC BY 4.0
differing.png,goitre,CC BY 4.0
differing.png,nodule,ask the author
"""

WORDS = {"CC BY 4.0": "CC-BY-4.0", "CC BY-NC 4.0": "CC-BY-NC-4.0", "None": None}


def card(field: object, licence: str = "CC0-1.0") -> dict[str, object]:
    return {
        "id": "rows",
        "title": "Rows",
        "source": {"home": "https://example.org"},
        "terms": {"licence": licence, "quote": "as stated", "read_at": "here"},
        "images": {"glob": "*.png"},
        "labels": [
            {
                "layout": "table",
                "files": "labels.csv",
                "image": "image",
                "columns": {"finding": {"kind": "multilabel"}},
                "fields": {"licence": field},
            }
        ],
        "subject": {"none": "drawn for a test"},
    }


def built(tmp_path: Path, field: object, csv: str = CSV) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Assets and pairs of a source of one image for each name."""
    data = tmp_path / "data"
    data.mkdir()
    for number, name in enumerate(NAMES):
        draw(data / f"{name}.png", number)
    (data / "labels.csv").write_text(csv)
    write_yaml(tmp_path / "rows.yaml", card(field))
    recipe = {"name": "rows", "sources": [{"card": "rows.yaml", "data": "data"}], "tasks": ["closed_vqa"]}
    write_yaml(tmp_path / "recipe.yaml", recipe)
    build(tmp_path / "recipe.yaml", tmp_path / "out", None, executing=Executing(workers=1))
    catalog = open_catalog(tmp_path / "out")
    return catalog.assets.collect(), catalog.pairs.collect()


def by_name(assets: pl.DataFrame, column: str) -> dict[str, str]:
    return {row["item_key"].removesuffix(".png"): row[column] for row in assets.to_dicts()}


def test_each_asset_and_pair_has_the_licence_of_its_row(tmp_path: Path) -> None:
    assets, pairs = built(tmp_path, {"column": "licence", "values": WORDS})
    unstated = dict.fromkeys(("none", "empty", "unlisted", "rowless", "differing"), UNSTATED)
    wanted = unstated | {"open": "CC-BY-4.0", "twice": "CC-BY-4.0", "bound": "CC-BY-NC-4.0"}
    assert by_name(assets, "licence") == by_name(assets, "row_licence") == wanted
    classes = by_name(assets, "terms_class")
    assert {name: classes[name] for name in ("open", "bound")} == {"open": "open", "bound": "non_commercial"}
    assert {classes[name] for name in unstated} == {"unknown"}
    licence_of = dict(assets.select("asset_id", "licence").iter_rows())
    assert pairs.height
    assert all(
        licence_of[asset_ids[0]] == licence for asset_ids, licence in pairs.select("asset_ids", "licence").rows()
    )
    assert {"CC-BY-4.0", "CC-BY-NC-4.0", UNSTATED} <= set(pairs["licence"])


def test_without_a_list_of_words_a_cell_must_be_an_spdx_expression(tmp_path: Path) -> None:
    csv = "image,finding,licence\nopen.png,goitre,CC-BY-4.0\nbound.png,goitre,CC BY 4.0\nnone.png,goitre,NOASSERTION\n"
    assets, _ = built(tmp_path, "licence", csv)
    licences = by_name(assets, "licence")
    assert (licences["open"], licences["bound"], licences["none"]) == ("CC-BY-4.0", UNSTATED, UNSTATED)


def test_a_card_without_such_a_column_speaks_for_all(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    draw(data / "a.png", 1)
    (data / "labels.csv").write_text("image,finding,licence\na.png,goitre,CC BY-NC 4.0\n")
    plain = card(None)
    del plain["labels"][0]["fields"]  # type: ignore[index]
    write_yaml(tmp_path / "rows.yaml", plain)
    write_yaml(
        tmp_path / "recipe.yaml",
        {"name": "rows", "sources": [{"card": "rows.yaml", "data": "data"}], "tasks": ["closed_vqa"]},
    )
    build(tmp_path / "recipe.yaml", tmp_path / "out", None, executing=Executing(workers=1))
    (row,) = open_catalog(tmp_path / "out").assets.collect().to_dicts()
    assert (row["row_licence"], row["licence"], row["terms_class"]) == (None, "CC0-1.0", "open")


def parsed(field: object, **terms: object) -> Card:
    raw = card(field)
    raw["terms"] |= terms  # type: ignore[operator]
    return parse_card(raw, "rows.yaml")


@pytest.mark.parametrize("word", ["CC BY 4.0", "CC-BY-9.9", "free", "", "CC-BY-4.0 AND"])
def test_words_that_spdx_does_not_know_are_errors_of_the_card(word: str) -> None:
    with pytest.raises(CardError, match="licence"):
        check_terms(parsed({"column": "licence", "values": {"x": word}}))


def test_spdx_expressions_and_references_pass() -> None:
    check_terms(parsed({"column": "licence", "values": {"a": "CC-BY-4.0", "b": "LicenseRef-asked", "c": None}}))
    check_terms(parsed("licence"))


def test_the_class_is_that_of_the_most_bound_part() -> None:
    plain = parsed("licence")
    assert terms_class(plain) is TermsClass.OPEN
    assert terms_class(plain, "CC-BY-4.0 AND CC-BY-NC-4.0") is TermsClass.NON_COMMERCIAL
    assert terms_class(plain, UNSTATED) is TermsClass.UNKNOWN
    assert terms_class(parsed("licence", redistribute=False), "CC0-1.0") is TermsClass.AGREEMENT


def test_a_word_is_worth_what_spdx_makes_of_it() -> None:
    assert row_licence("CC-BY-4.0") == "CC-BY-4.0"
    assert row_licence("LicenseRef-asked") == "LicenseRef-asked"
    assert {row_licence(word) for word in ("NOASSERTION", "CC BY 4.0", "Jane Doe", "", " ")} == {UNSTATED}
