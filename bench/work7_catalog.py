"""Work 7: questions to a catalog of ten million images, beside the same engine on Parquet that somebody made by hand.

The rows are assets as a build writes them, through the writer that builds use, under the one sidecar of a catalog; the
hand-made file holds the same rows, written by DuckDB itself. Each contestant is a whole process that asks every
question several times and tells the median of each; its start-up is told apart.

Run: python -m bench.work7_catalog [--rows N] [--rounds N] [--keep DIR]
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.common import measure
from curate.catalog import catalog_files, connect, open_catalog
from curate.corpus import CORPUS_FILE
from curate.schema import CATALOG_TABLES
from curate.store.commit import PartWriter
from curate.store.part import Part
from curate.store.seal import sealed

ROWS = 10_000_000
CHUNK = 100_000
SOURCES = 200
MODALITIES = ("x-ray", "CT", "MR", "ultrasound", "light microscopy", "fundus photography", "endoscopy")
QUESTIONS = {
    "count": "SELECT count(*) FROM {t}",
    "group by": "SELECT source, split, count(*), avg(width) FROM {t} GROUP BY ALL ORDER BY ALL",
    "filter": "SELECT count(*) FROM {t} WHERE modality = 'CT' AND width >= 512 AND split = 'train'",
    "look-up by id": "SELECT item_key, split FROM {t} WHERE asset_id = '{id}'",
    "look-up by item": "SELECT asset_id FROM {t} WHERE source = '{source}' AND item_key = '{item}'",
}


def assets(first: int, n: int, rows: int) -> pa.Table:
    """Rows number `first` and on; ids are as random as digests are, sources follow one another."""
    random = np.random.default_rng(first)

    def digests() -> pa.Array:
        return pa.array([random.bytes(32).hex() for _ in range(n)], pa.string())

    def of(words: tuple[str, ...], chances: np.ndarray | None = None) -> pa.Array:
        return pa.array(words, pa.string()).take(pa.array(random.choice(len(words), n, p=chances)))

    numbers = np.arange(first, first + n)
    sides = random.integers(128, 2048, n).astype(np.int32)
    ids = digests()
    given = {
        "asset_id": ids,
        "form": pa.array(["image"] * n),
        "source": pa.array([f"source-{number * SOURCES // rows:03d}" for number in numbers]),
        "item_key": pa.array([f"images/{number // 1000:05d}/{number:08d}.png" for number in numbers]),
        "content_sha256": digests(),
        "image_sha256": digests(),
        "subject": pa.array([f"{number // 4:032x}" for number in numbers]),
        "modality": of(MODALITIES),
        "media_type": pa.array(["image/png"] * n),
        "width": pa.array(sides),
        "height": pa.array(sides[::-1].copy()),
        "channels": pa.array(np.ones(n, np.int8)),
        "bit_depth": pa.array(np.full(n, 8, np.int8)),
        "changes": pa.array([[]] * n, pa.list_(pa.string())),
        "phash": pa.array(random.integers(0, 2**63, n), pa.uint64()),
        "labelled_by": pa.array([["labels"]] * n, pa.list_(pa.string())),
        "group_id": ids,
        "split": of(("train", "validation", "test"), np.array([0.8, 0.1, 0.1])),
        "licence": pa.array(["CC-BY-4.0"] * n),
        "terms_class": pa.array(["open"] * n),
    }
    schema = CATALOG_TABLES["assets"]
    return pa.Table.from_arrays([given.get(f.name, pa.array([None] * n, f.type)) for f in schema], schema=schema)


def prepare(folder: Path, rows: int) -> None:
    """A corpus that holds nothing but a catalog of assets, and the same rows by hand."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    (corpus / CORPUS_FILE).write_bytes(
        sealed({"recipe": {"name": "bench"}, "cards": {}, "limits": {}, "key_fingerprint": "0" * 16})
    )
    with PartWriter(corpus, Part("catalog"), CATALOG_TABLES, "catalog") as writer:
        for first in range(0, rows, CHUNK):
            writer.write("assets", assets(first, min(CHUNK, rows - first), rows))
        writer.commit({"stage": "bench"}, {})
    connection = connect(corpus)
    connection.execute(f"COPY assets TO '{folder / 'hand.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    middle = rows // 2 + 7
    row = connection.execute(
        "SELECT asset_id, source, item_key FROM assets WHERE item_key = ?",
        [f"images/{middle // 1000:05d}/{middle:08d}.png"],
    ).fetchone()
    assert row is not None
    (folder / "asked.json").write_text(json.dumps(dict(zip(("id", "source", "item"), row, strict=True))))


def ours(folder: Path) -> Callable[[str], object]:
    """`curate query`: the views of a corpus."""
    connection = connect(folder / "corpus")
    return lambda question: connection.execute(question.replace("{t}", "assets")).fetchall()


def hand(folder: Path) -> Callable[[str], object]:
    """DuckDB on the file that it wrote."""
    import duckdb

    connection = duckdb.connect(":memory:")
    return lambda question: connection.execute(
        question.replace("{t}", f"read_parquet('{folder / 'hand.parquet'}')")
    ).fetchall()


def polars(folder: Path) -> Callable[[str], object]:
    """Polars' SQL on the lazy frames of a corpus."""
    import polars as pl

    context = pl.SQLContext(assets=open_catalog(folder / "corpus").assets)
    return lambda question: context.execute(question.replace("{t}", "assets"), eager=True).rows()


def dataset(folder: Path) -> Callable[[str], object]:
    """pyarrow's dataset on the hand-made file: it counts and filters, and knows no SQL."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    file = ds.dataset(folder / "hand.parquet")
    asked = json.loads((folder / "asked.json").read_text())

    def answer(question: str) -> object:
        if "GROUP BY" in question:
            table = file.to_table(columns=["source", "split", "width"])
            return table.group_by(["source", "split"]).aggregate([([], "count_all"), ("width", "mean")]).num_rows
        if "modality" in question:
            kept = (pc.field("modality") == "CT") & (pc.field("width") >= 512) & (pc.field("split") == "train")
            return file.count_rows(filter=kept)
        if "asset_id =" in question:
            return file.to_table(columns=["item_key", "split"], filter=pc.field("asset_id") == asked["id"]).num_rows
        if "item_key =" in question:
            kept = (pc.field("source") == asked["source"]) & (pc.field("item_key") == asked["item"])
            return file.to_table(columns=["asset_id"], filter=kept).num_rows
        return file.count_rows()

    return answer


CONTESTANTS = {"hand": hand, "curate": ours, "curate, by Polars": polars, "pyarrow": dataset}


def ask(folder: Path, who: str, rounds: int) -> None:
    """One contestant's medians, as JSON."""
    begun = time.perf_counter()
    answers = CONTESTANTS[who](folder)
    told: dict[str, float] = {"start": time.perf_counter() - begun}
    asked = json.loads((folder / "asked.json").read_text())
    for name, question in QUESTIONS.items():
        whole = question.replace("{t}", "{{t}}").format(**asked)
        seconds = []
        for _ in range(rounds):
            begun = time.perf_counter()
            answers(whole)
            seconds.append(time.perf_counter() - begun)
        told[name] = statistics.median(seconds)
    (folder / "told.json").write_text(json.dumps(told))
    print(json.dumps({"images": 0}))


def main() -> None:
    """Prepare once, ask in turn, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--ask", nargs=2, metavar=("DIR", "WHO"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(Path(given.ask[0]), given.ask[1], given.rounds)
        return
    folder = given.keep or Path(tempfile.mkdtemp(prefix="bench-catalog-"))
    try:
        if not (folder / "asked.json").exists():
            prepare(folder, given.rows)
        files = catalog_files(folder / "corpus")["assets"]
        size = sum(file.stat().st_size for file in files)
        print(
            f"{given.rows:,} rows, {size / 1e9:.2f} GB; by hand {(folder / 'hand.parquet').stat().st_size / 1e9:.2f} GB"
        )
        runs: dict[str, list[dict[str, float]]] = {who: [] for who in CONTESTANTS}
        peaks: dict[str, int] = dict.fromkeys(CONTESTANTS, 0)
        for _ in range(3):
            for who in CONTESTANTS:
                command = [sys.executable, "-m", "bench.work7_catalog", "--rounds", str(given.rounds)]
                command += ["--ask", str(folder), who]
                peaks[who] = max(peaks[who], measure(command, folder / "nothing").peak_bytes)
                runs[who].append(json.loads((folder / "told.json").read_text()))
        for question in ("start", *QUESTIONS):
            told = {who: statistics.median(run[question] for run in runs[who]) for who in CONTESTANTS}
            line = ", ".join(f"{who} {1000 * s:,.1f} ms ({s / told['hand']:.2f})" for who, s in told.items())
            print(f"{question:16} {line}")
        print("peak memory      " + ", ".join(f"{who} {peak / 1e6:,.0f} MB" for who, peak in peaks.items()))
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
