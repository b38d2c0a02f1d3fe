"""The card of a release says what is in it: every number is counted again, from the catalog and the files that went."""

import json
import re
import warnings
from pathlib import Path

import duckdb
import pytest
from huggingface_hub import DatasetCard

from curate.catalog import query
from curate.publish.base import Config, Written
from curate.publish.front_matter import card_configs, config_names, hub_licence
from curate.publish.markdown import plain, table
from curate.schema import RULES
from tests.publish.cards import front, number, section, tables


@pytest.fixture(scope="session")
def card(published: Path) -> str:
    """The card of the phantoms' release."""
    return (published / "README.md").read_text()


def _asked(corpus: Path, sql: str) -> dict[str, int]:
    return {str(name): n for name, n in query(corpus, sql).fetchall()}


def test_rows_by_source_are_those_of_the_files_and_the_catalog(corpus: Path, published: Path, card: str) -> None:
    told = next(tables(section(card, "Sources")))
    of_card = {re.sub(r"^\[([^]]+)\].*", r"\1", row["source"]): row for row in told}
    files = duckdb.sql(
        f"SELECT source, count(*) FROM read_parquet('{published}/hf-parquet/data/*/*.parquet') GROUP BY source"
    ).fetchall()
    volumes = _asked(
        corpus,
        "SELECT source, count(*) FROM (SELECT source, unnest(asset_ids) AS asset_id FROM pairs) "
        "JOIN (SELECT asset_id FROM assets WHERE form = 'volume') USING (asset_id) GROUP BY source",
    )
    assert {name: number(row["rows"]) for name, row in of_card.items()} == {
        name: n + volumes.get(name, 0) for name, n in files
    }
    ledger = query(
        corpus,
        "SELECT source, sum(n_in), sum(n_used), sum(n_rejected), sum(n_filtered) FROM parts "
        "WHERE stage = 'read' AND unit = 'item' GROUP BY source",
    ).fetchall()
    for source, *numbers in ledger:
        row = of_card[source]
        assert [number(row[word]) for word in ("items", "used", "rejected", "filtered")] == [int(n) for n in numbers]


def test_refusals_are_those_of_the_catalog(corpus: Path, card: str) -> None:
    told = next(found for found in tables(section(card, "Sources")) if "reason" in found[0])
    counted = query(
        corpus,
        "SELECT source, unit, verdict, reason, count(*) FROM rejects "
        "WHERE unit NOT IN ('draft', 'request', 'answer') GROUP BY ALL",
    ).fetchall()
    assert {(row["source"], row["unit"], row["verdict"], row["reason"]): number(row["number"]) for row in told} == {
        (source, unit, verdict, reason): n for source, unit, verdict, reason, n in counted
    }


def test_splits_tasks_languages_and_origins_are_counted(corpus: Path, card: str) -> None:
    splits = next(tables(section(card, "Splits")))
    assert {row["split"]: number(row["rows"]) for row in splits} == _asked(
        corpus, "SELECT split, count(*) FROM pairs GROUP BY split"
    )
    media = "SELECT * FROM assets SEMI JOIN (SELECT unnest(asset_ids) AS asset_id FROM pairs) USING (asset_id)"
    assert {row["split"]: number(row["media"]) for row in splits} == _asked(
        corpus, f"SELECT split, count(*) FROM ({media}) GROUP BY split"
    )
    assert {row["split"]: number(row["groups"]) for row in splits} == _asked(
        corpus, f"SELECT split, count(DISTINCT group_id) FROM ({media}) GROUP BY split"
    )
    tasks = next(tables(section(card, "Tasks")))
    assert {row["task"].strip("`"): number(row["all"]) for row in tasks} == _asked(
        corpus, "SELECT task, count(*) FROM pairs GROUP BY task"
    )
    languages, origins, *_ = tables(section(card, "Languages and authors"))
    assert {row["language"]: number(row["rows"]) for row in languages} == _asked(
        corpus, "SELECT language, count(*) FROM pairs GROUP BY language"
    )
    assert {row["origin"].strip("`"): number(row["rows"]) for row in origins} == _asked(
        corpus, "SELECT origin, count(*) FROM pairs GROUP BY origin"
    )


def test_the_sources_own_splits_are_set_against_ours(corpus: Path, card: str) -> None:
    told = list(tables(section(card, "Splits")))[-1]
    for own, split, n in query(
        corpus, "SELECT coalesce(source_split, 'not stated'), split, count(*) FROM pairs GROUP BY ALL"
    ).fetchall():
        (row,) = [row for row in told if row["the source's own split"] == plain(own)]
        assert number(row[split]) == n


def test_each_rule_is_listed_with_its_verdicts(corpus: Path, card: str) -> None:
    told = {row["rule"].strip("`"): row for row in next(tables(section(card, "Verification")))}
    assert tuple(told) == RULES
    for rule, row in told.items():
        counted = _asked(corpus, f"SELECT checks.{rule}, count(*) FROM pairs GROUP BY 1")
        assert number(row["pass"]) == counted.get("pass", 0)
        assert number(row["fail"]) == counted.get("fail", 0) == 0
        assert number(row["not applicable"]) == counted.get("not_applicable", 0)


def test_what_formats_left_out_is_that_of_the_manifest(published: Path, card: str) -> None:
    manifest = json.loads((published / "MANIFEST.json").read_bytes())
    told = {row["format"].strip("`"): row for row in next(tables(section(card, "Load it")))}
    assert {one["format"]: one["rows"] for one in manifest["formats"]} == {
        name: number(row["rows"]) for name, row in told.items()
    }
    left = {one["format"]: sum(other["rows"] for other in one.get("left_out", ())) for one in manifest["formats"]}
    assert left == {name: number(row["left out"]) for name, row in told.items()}
    assert sum(left.values())


def test_the_hub_reads_the_head(card: str) -> None:
    data = DatasetCard(card, ignore_metadata_errors=False).data.to_dict()
    assert data["license"] == "cc0-1.0"
    assert data["language"] == ["en"]
    assert "medical" in data["tags"]
    assert [config["config_name"] for config in data["configs"] if config.get("default")] == ["images"]


def test_datasets_loads_the_folder_by_the_card(published: Path, tmp_path: Path) -> None:
    import datasets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = datasets.load_dataset(str(published), "images", cache_dir=str(tmp_path))
    names = duckdb.sql(f"SELECT pair_id FROM read_parquet('{published}/hf-parquet/data/images/*.parquet')").fetchall()
    assert sorted(name for split in loaded.values() for name in split["pair_id"]) == sorted(name for (name,) in names)
    assert isinstance(loaded["train"].features["images"].feature, datasets.Image)
    assert loaded["train"][0]["images"][0].size


def test_code_on_the_card_runs(published: Path, card: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    blocks = re.findall(r"```python\n(.*?)```", section(card, "Load it"), re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(published)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    for block in blocks:
        held: dict[str, object] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(block, held)
        assert len(held["rows"]) > 0  # type: ignore[arg-type]


def test_every_picture_and_link_of_the_card_is_there(published: Path, card: str) -> None:
    paths = [path for path in re.findall(r"\]\(([^)<#]+)\)", card) if "://" not in path]
    assert {"figures/examples.png", "figures/labels.png", "LICENSE.md"} <= set(paths)
    assert all((published / path).exists() for path in paths)


def test_the_same_corpus_gives_the_same_card(corpus: Path, published: Path, tmp_path: Path) -> None:
    from curate.publish.formats import formats_of
    from curate.publish.run import publish
    from curate.publish.targets import FolderTarget

    publish(corpus, FolderTarget(tmp_path / "again"), formats_of(["hf-parquet", "ms-swift"]), desk=tmp_path / "desk")
    drawn = sorted(f"figures/{one.name}" for one in (published / "figures").iterdir())
    for path in ("README.md", "LICENSE.md", "croissant.json", *drawn):
        assert (published / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path


def test_words_of_a_card_are_never_markup() -> None:
    assert plain("a|b\n<script> [x](y) `z` *w*") == r"a\|b \<script\> \[x\](y) \`z\` \*w\*"
    assert table(("a", "b"), [("x", 1234)]) == "| a | b |\n| --- | ---: |\n| x | 1,234 |"


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("CC-BY-NC-SA-4.0", {"license": "cc-by-nc-sa-4.0"}),
        ("ODC-By-1.0", {"license": "odc-by"}),
        ("CC-BY-4.0 AND MIT", {"license": "other", "license_name": "cc-by-4.0-and-mit", "license_link": "LICENSE.md"}),
    ],
)
def test_the_hub_is_told_the_licence_in_its_words(expression: str, told: dict[str, str]) -> None:
    assert hub_licence(expression) == told


def test_configurations_of_several_formats_have_names_of_their_own() -> None:
    written = [
        Written(format="verl", rows=1, configs=(Config(name="default", data_files={"train": "verl/a.parquet"}),)),
        Written(format="trl", rows=1, configs=(Config(name="images", data_files={"train": "trl/a.parquet"}),)),
        Written(format="hf-parquet", rows=1, configs=(Config(name="images", data_files={"train": "x"}, default=True),)),
    ]
    assert [name for name, _ in config_names(written)] == ["images", "trl-images", "verl"]


def test_a_card_lists_only_what_one_reader_reads() -> None:
    lines = Config(name="default", data_files={"train": "llava/train.json"})
    rows = Config(name="images", data_files={"train": "hf-parquet/train-*.parquet"}, default=True)
    both = [Written(format="llava", rows=1, configs=(lines,)), Written(format="hf-parquet", rows=1, configs=(rows,))]
    assert [name for name, _ in card_configs(both)] == ["images"]
    assert [name for name, _ in card_configs(both[:1])] == ["llava"]


def test_the_head_holds_what_the_card_holds(card: str) -> None:
    rows = sum(number(row["rows"]) for row in next(tables(section(card, "Splits"))))
    assert front(card)["size_categories"] == ["n<1K" if rows < 1000 else "1K<n<10K"]
