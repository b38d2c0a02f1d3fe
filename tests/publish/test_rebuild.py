"""Where terms let no bytes go, others who have the source build the same rows and prove it."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.build import build
from curate.card import load_card
from curate.catalog import query
from curate.corpus import described
from curate.errors import StoreError, UsageError
from curate.phantom import write_phantoms
from curate.publish.formats import formats_of
from curate.publish.rebuild import DIGESTS, card_yaml, recipe_files, same_rows
from curate.publish.run import publish
from curate.publish.selection import select
from curate.publish.targets import FolderTarget
from curate.resources import shipped

KEPT, OPEN = "phantom-nuclei-masks", "phantom-cells-voc"
RECIPE = "name: bound\nsources: [./catalogs/{kept}.yaml, {open}]\ntasks: [closed_vqa, {{name: count, variants: 2}}]\n"


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with phantoms, a corpus of which one source is under an agreement, and its release."""
    folder = tmp_path_factory.mktemp("bound")
    write_phantoms(folder / "data", images=8, only=(KEPT, OPEN))
    (folder / "catalogs").mkdir()
    text = (shipped("catalogs") / f"{KEPT}.yaml").read_text()
    text = text.replace("licence: CC0-1.0", "licence: LicenseRef-agreement\n  redistribute: false", 1)
    (folder / "catalogs" / f"{KEPT}.yaml").write_text(text)
    (folder / "recipe.yaml").write_text(RECIPE.format(kept=KEPT, open=OPEN))
    built = build(folder / "recipe.yaml", folder / "corpus", folder / "data")
    assert not built.shortfalls, built.shortfalls
    publish(folder / "corpus", FolderTarget(folder / "release"), formats_of(["ms-swift"]), desk=folder / "desk")
    return folder


@pytest.fixture(scope="module")
def again(bound: Path) -> Path:
    """The corpus that someone else builds, from the recipe of the release and data of their own."""
    build(bound / "release/recipe/recipe.yaml", bound / "again", bound / "data")
    return bound / "again"


def test_a_source_under_an_agreement_leaves_digests_and_no_bytes(bound: Path) -> None:
    release = bound / "release"
    rows = query(bound / "corpus", f"SELECT pair_id FROM pairs WHERE source = '{KEPT}' ORDER BY 1").fetchall()
    lines = pq.read_table(release / f"rebuild/{KEPT}.parquet")
    assert lines.schema.equals(DIGESTS)
    assert lines["pair_id"].to_pylist() == [name for (name,) in rows]
    assert not (release / "images" / KEPT).exists()
    assert not (release / f"rebuild/{OPEN}.parquet").exists()
    card = (release / "README.md").read_text()
    assert f"| {KEPT} | [rebuild/{KEPT}.parquet](rebuild/{KEPT}.parquet) | {len(rows)} |" in card
    assert f"| {KEPT} | its terms let nobody pass it on | {len(rows)} |" in card


def test_digests_hold_no_text_no_path_and_no_label(bound: Path) -> None:
    data = (bound / f"release/rebuild/{KEPT}.parquet").read_bytes()
    texts = query(bound / "corpus", f"SELECT messages[-1].content FROM pairs WHERE source = '{KEPT}'").fetchall()
    keys = query(bound / "corpus", f"SELECT item_key FROM assets WHERE source = '{KEPT}'").fetchall()
    lines = pq.read_table(bound / f"release/rebuild/{KEPT}.parquet").to_pylist()
    whole = str(lines)
    assert all(key not in whole and key.encode() not in data for (key,) in keys)
    assert all(text not in whole for (text,) in texts)
    assert "nucle" not in whole


def test_what_is_built_from_the_release_is_the_same(bound: Path, again: Path) -> None:
    found = same_rows(again, KEPT, bound / f"release/rebuild/{KEPT}.parquet")
    assert found.is_whole
    assert found.lines == found.same > 0
    assert (found.changed, found.missing, found.extra, found.missing_files) == (0, 0, 0, 0)
    rows = "SELECT pair_id, split, messages FROM pairs ORDER BY pair_id"
    assert query(bound / "corpus", rows).fetchall() == query(again, rows).fetchall()


def test_other_data_are_told(bound: Path, tmp_path: Path) -> None:
    shutil.copytree(bound / "data", tmp_path / "data")
    gone = sorted((tmp_path / "data" / KEPT).glob("stage1_train/*"))[0]
    shutil.rmtree(gone)
    (bound / "release/recipe").mkdir(exist_ok=True)
    build(bound / "release/recipe/recipe.yaml", tmp_path / "less", tmp_path / "data")
    found = same_rows(tmp_path / "less", KEPT, bound / f"release/rebuild/{KEPT}.parquet")
    assert not found.is_whole
    assert found.missing == found.lines - found.same > 0
    assert found.missing_files == 1


def test_a_change_of_text_is_told(bound: Path, again: Path, tmp_path: Path) -> None:
    table = pq.read_table(bound / f"release/rebuild/{KEPT}.parquet")
    proofs = ["0" * 64, *table["proof"].to_pylist()[1:]]
    other = table.set_column(DIGESTS.get_field_index("proof"), DIGESTS.field("proof"), [proofs])
    pq.write_table(other, tmp_path / "other.parquet")
    found = same_rows(again, KEPT, tmp_path / "other.parquet")
    assert (found.same, found.changed, found.missing) == (found.lines - 1, 1, 0)


def test_another_project_key_changes_no_proof(bound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_KEY", "a key of someone else, long enough")
    build(bound / "release/recipe/recipe.yaml", tmp_path / "keyed", bound / "data")
    assert same_rows(tmp_path / "keyed", KEPT, bound / f"release/rebuild/{KEPT}.parquet").is_whole


def test_what_was_taken_back_leaves_no_digest(bound: Path) -> None:
    from curate.publish.rebuild import digests_of

    ((pair, asset),) = query(
        bound / "corpus", f"SELECT pair_id, asset_ids[1] FROM pairs WHERE source = '{KEPT}' LIMIT 1"
    ).fetchall()
    ((_, data),) = digests_of(select(bound / "corpus", withdrawn=[asset]))
    assert pair.encode() not in data
    assert asset.encode() not in data


def test_files_that_are_none_are_refused(again: Path, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match="cannot be read as digests"):
        same_rows(again, KEPT, tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="has no source nobody"):
        same_rows(again, "nobody", tmp_path / "x.parquet")


@pytest.mark.parametrize("path", sorted(shipped("catalogs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_card_comes_back_as_it_was(path: Path, tmp_path: Path) -> None:
    card = load_card(path)
    (tmp_path / "card.yaml").write_text(card_yaml(card))
    assert load_card(tmp_path / "card.yaml") == card


def test_the_recipe_of_a_release_is_that_of_its_corpus(bound: Path, again: Path) -> None:
    first, second = described(bound / "corpus"), described(again)
    assert dict(recipe_files(first)) == dict(recipe_files(second))
    assert first == second
