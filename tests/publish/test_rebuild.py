"""Where terms let no bytes go, others who have the source build the same rows and prove it."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.build import build
from curate.card import load_card
from curate.catalog import query
from curate.corpus import described
from curate.errors import GateError, StoreError, UsageError
from curate.phantom import write_phantoms
from curate.publish.formats import formats_of
from curate.publish.rebuild import DIGESTS, card_yaml, rebuilt, recipe_files, same_rows
from curate.publish.run import publish
from curate.publish.selection import select
from curate.publish.targets import FolderTarget
from curate.resources import shipped
from tests.crash.small import curate
from tests.publish.worlds import files_at

KEPT, OPEN = "phantom-nuclei-masks", "phantom-cells-voc"
RECIPE = "name: bound\nsources: [./catalogs/{kept}.yaml, {open}]\ntasks: [closed_vqa, {{name: count, variants: 2}}]\n"
RECIPE += "split: {{fractions: {{train: 0.4, holdout: 0.2, again: 0.4}}}}\n"


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


# --- a release that passes no row on


@pytest.fixture(scope="module")
def digested(bound: Path) -> Path:
    """A release of the whole corpus that holds the recipe and digests alone."""
    said = curate("publish", bound / "corpus", bound / "digested", "--digests", "--name", "bound-digests")
    assert said.code == 0, said.text
    return bound / "digested"


def test_where_no_row_may_go_the_refusal_names_what_may(bound: Path, tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"or the recipe and digests alone \(--digests\)"):
        publish(bound / "corpus", FolderTarget(tmp_path / "x"), formats_of(["llava"]), sources=[KEPT])
    assert not (tmp_path / "x").exists()


def test_a_release_of_digests_holds_no_row_and_no_medium(bound: Path, digested: Path) -> None:
    files = files_at(digested)
    assert {path.partition("/")[0] for path in files if "/" in path} == {"index", "rebuild", "recipe"}
    assert {path for path in files if path.startswith("rebuild/")} == {
        f"rebuild/{KEPT}.parquet",
        f"rebuild/{OPEN}.parquet",
    }
    assert sum(pq.read_metadata(path).num_rows for path in (digested / "index").iterdir()) == 0
    texts = query(bound / "corpus", "SELECT messages[-1].content FROM pairs WHERE len(messages[-1].content) > 8")
    plain = b"\n".join(data for path, data in files.items() if not path.endswith((".png", ".parquet")))
    assert all(text.encode() not in plain for (text,) in texts.fetchall())


def test_its_card_says_so_and_quotes_the_terms_of_every_source(digested: Path) -> None:
    card, licences = ((digested / name).read_text() for name in ("README.md", "LICENSE.md"))
    assert "No row, no text and no medium is passed on" in card
    assert "curate check corpus --digests rebuild" in card
    assert all(f"(`{source}`)" in licences for source in (KEPT, OPEN))
    assert "LicenseRef-agreement" in licences


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own
def test_its_croissant_validates(digested: Path) -> None:
    mlc = pytest.importorskip("mlcroissant")
    dataset = mlc.Dataset(str(digested / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert "No row and no medium is passed on" in dataset.metadata.description


def test_whoever_has_the_sources_builds_it_from_the_release_and_proves_it(digested: Path, bound: Path) -> None:
    own = bound / "own"
    said = curate("build", digested / "recipe/recipe.yaml", "--out", own, "--data", bound / "data")
    assert said.code == 0, said.text
    said = curate("check", own, "--digests", digested)
    assert said.code == 0, said.text
    for source, found in rebuilt(own, digested).items():
        assert f"digests: {source}: {found.lines:,} of {found.lines:,} rows are those of the release" in said.text
    (digested / "recipe").joinpath("other.yaml").write_text(
        (digested / "recipe/recipe.yaml").read_text().replace("variants: 2", "variants: 1")
    )
    curate("build", digested / "recipe/other.yaml", "--out", bound / "fewer", "--data", bound / "data")
    said = curate("check", bound / "fewer", "--digests", digested / "rebuild")
    assert said.code == 1
    assert "FAILED digests:" in said.text


def test_digests_and_formats_exclude_each_other(bound: Path, tmp_path: Path) -> None:
    said = curate("publish", bound / "corpus", tmp_path / "x", "--digests", "--format", "llava")
    assert said.code == 2
    assert "leave --format out" in said.text
    said = curate("check", "--records", bound / "recipe.yaml", "--digests", bound / "release")
    assert said.code == 2
    assert "asked of a corpus" in said.text
    (tmp_path / "empty").mkdir()
    assert curate("check", bound / "corpus", "--digests", tmp_path / "empty").code == 2
