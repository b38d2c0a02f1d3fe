"""What others open: `datasets` decodes the images, DuckDB and Polars read the catalog without us."""

from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

import curate
from curate.build import build
from curate.execute import Executing
from curate.phantom import write_phantoms
from tests.conftest import tool

CATALOGS = Path(__file__).parents[1] / "catalogs"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms")
    write_phantoms(root / "data", images=5, only=["phantom-lung-labelmap", "phantom-cells-voc"])
    recipe = root / "both.yaml"
    sources = "sources: [phantom-lung-labelmap, phantom-cells-voc]"
    recipe.write_text(f"name: both\n{sources}\ntasks: [label_caption, grounding]\n")
    build(recipe, root / "out", root / "data", executing=Executing(workers=1))
    return root / "out"


def test_datasets_opens_the_image_files_decoded(corpus: Path, tmp_path: Path) -> None:
    datasets = tool("datasets")
    files = [str(path) for path in sorted((corpus / "images").rglob("*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"), split="train")
    assets = {row["asset_id"]: row for row in curate.open_catalog(corpus).assets.collect().rows(named=True)}
    assert len(loaded) == len(assets) == 10
    for row in loaded:
        assert row["image"].size == (assets[row["asset_id"]]["width"], assets[row["asset_id"]]["height"])
    assert {row["image"].mode for row in loaded} >= {"RGB"}


TABLES_AS_THEY_CAME = ("groups", "rejects", "responses")
"""Those of the catalog to which nothing is joined."""


def test_files_are_laid_out_as_promised(corpus: Path) -> None:
    for path in corpus.rglob("*.parquet"):
        meta = pq.ParquetFile(path).metadata
        for group in range(meta.num_row_groups):
            assert meta.row_group(group).total_byte_size <= 128 * 2**20
            for column in range(meta.num_columns):
                chunk = meta.row_group(group).column(column)
                pixels = chunk.path_in_schema == "image.bytes"
                assert chunk.compression == ("UNCOMPRESSED" if pixels else "ZSTD")
                joined = path.parent.name == "catalog" and not path.name.startswith(
                    ("groups-", "rejects-", "responses-")
                )
                assert chunk.has_offset_index is not joined, (path.name, chunk.path_in_schema)


def test_deep_data_stay_deep(corpus: Path) -> None:
    depths = curate.open_catalog(corpus).assets.filter(source="phantom-lung-labelmap").collect()["bit_depth"]
    assert set(depths) <= {8, 16}
    assert 16 in set(depths)


def test_the_catalog_is_byte_free_and_reads_without_us(corpus: Path) -> None:
    pairs = next((corpus / "catalog").glob("pairs-*.parquet"))
    assert duckdb.sql(f"SELECT count(*) FROM '{pairs}'").fetchall()[0][0] == len(pl.read_parquet(pairs)) > 0
    for path in (corpus / "catalog").glob("*.parquet"):
        assert "image.bytes" not in [column.path for column in pq.ParquetFile(path).schema]
