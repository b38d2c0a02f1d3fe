"""Ours and the peers, as a careful user of each would run them on two processors."""

import binascii
import contextlib
import hashlib
import io
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from common import PNG, Inputs

WORKERS = 2
GROUP_ROWS = 100


def curate_until(stage: str) -> Callable[[Inputs, Path], int]:
    """A real build that ends when `stage` begins."""

    def run(inputs: Inputs, out: Path) -> int:
        from curate.build import Progress, build

        class Enough(Exception):  # noqa: N818
            pass

        def watch(progress: Progress) -> None:
            if progress.stage == stage:
                raise Enough

        with contextlib.suppress(Enough):
            build(inputs.folder / "recipe.yaml", out / "corpus", jobs=WORKERS, progress=watch)
        return _rows_below(out / "corpus" / "images")

    return run


def _rows_below(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


class Made(NamedTuple):
    """What the hand-written script knows of an image that it stores."""

    data: bytes
    sha256: str
    width: int
    height: int


def by_hand(make: Callable[[bytes], Made]) -> Callable[[Inputs, Path], int]:
    """The practical limit: the fastest parts, two threads, one file, nothing recorded that nobody asked for."""

    def run(inputs: Inputs, out: Path) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        out.mkdir(parents=True)
        rows = inputs.rows()
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        strings = [(name, pa.string()) for name in ("sha256", "label", "subject")]
        schema = pa.schema([("image", image), *strings, ("width", pa.int32()), ("height", pa.int32())])
        with (
            pq.ParquetWriter(
                out / "images.parquet", schema, compression="NONE", use_dictionary=False, write_statistics=False
            ) as writer,
            ThreadPoolExecutor(WORKERS) as threads,
        ):
            for first in range(0, len(rows), GROUP_ROWS):
                chunk = rows[first : first + GROUP_ROWS]
                made = list(threads.map(lambda row: make((inputs.data / row["image"]).read_bytes()), chunk))
                data, digests, widths, heights = zip(*made, strict=True)
                structs = pa.StructArray.from_arrays(
                    [pa.array(data, pa.binary()), pa.array([row["image"] for row in chunk])], ["bytes", "path"]
                )
                said = [pa.array([row[name] for row in chunk]) for name in ("label", "subject")]
                columns = [
                    structs,
                    pa.array(digests),
                    *said,
                    pa.array(widths, pa.int32()),
                    pa.array(heights, pa.int32()),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        return _rows_below(out)

    return run


def verified(data: bytes) -> Made:
    """Digest, and a full strict check at the least cost."""
    import simplejpeg

    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(PNG):
        header, _ = checked_png(data)
        return Made(data, digest, header[0], header[1])
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
    return Made(data, digest, width, height)


def checked_png(data: bytes) -> tuple[tuple[int, int, int, int], bytes]:
    """Width, height, depth and colour type, and the filtered rows: checksums, length and filter bytes checked."""
    import numpy as np
    from isal import isal_zlib

    view, at, pixels = memoryview(data), 8, []
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        name = bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if binascii.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ValueError("a chunk is damaged")
        if name == b"IDAT":
            pixels.append(view[at + 8 : end - 4])
        at = end
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, colour, interlaced = data[24], data[25], data[28]
    raw = isal_zlib.decompress(b"".join(pixels))
    stride = 1 + (width * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth + 7) // 8
    if not interlaced and (len(raw) != height * stride or np.frombuffer(raw, np.uint8)[::stride].max() > 4):
        raise ValueError("the rows are damaged")
    return (width, height, depth, colour), raw


def _pillow_verified(data: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


def datasets_map(inputs: Inputs, out: Path) -> int:
    """Hugging Face `datasets`: `map` over two processes that read and decode, then Parquet."""
    import datasets

    rows = inputs.rows()

    def read(row: dict[str, str]) -> dict[str, object]:
        data = (inputs.data / row["name"]).read_bytes()
        width, height = _pillow_verified(data)
        digest = hashlib.sha256(data).hexdigest()
        return {"image": {"bytes": data, "path": row["name"]}, "sha256": digest, "width": width, "height": height}

    out.mkdir(parents=True)
    datasets.config.HF_DATASETS_CACHE = out / "cache"
    datasets.disable_progress_bars()
    plain = datasets.Dataset.from_dict(
        {"name": [row["image"] for row in rows], "label": [row["label"] for row in rows]}
        | {"subject": [row["subject"] for row in rows]}
    )
    features = datasets.Features(
        {name: datasets.Value("string") for name in ("name", "label", "subject", "sha256")}
        | {name: datasets.Value("int32") for name in ("width", "height")}
        | {"image": datasets.Image()}
    )
    mapped = plain.map(
        read, num_proc=WORKERS, features=features, writer_batch_size=GROUP_ROWS, cache_file_name=str(out / "map.arrow")
    )
    mapped.to_parquet(out / "images.parquet", batch_size=GROUP_ROWS)
    return _rows_below(out)


def datasets_embed(inputs: Inputs, out: Path) -> int:
    """Hugging Face `datasets`: files embedded on the way to Parquet, nothing verified."""
    import datasets

    out.mkdir(parents=True)
    datasets.disable_progress_bars()
    rows = inputs.rows()
    plain = datasets.Dataset.from_dict(
        {"image": [str(inputs.data / row["image"]) for row in rows], "label": [row["label"] for row in rows]}
        | {"subject": [row["subject"] for row in rows]}
    ).cast_column("image", datasets.Image())
    plain.to_parquet(out / "images.parquet", batch_size=GROUP_ROWS)
    return _rows_below(out)


def webdataset_pillow(inputs: Inputs, out: Path) -> int:
    """webdataset: two processes that decode with Pillow and write tar shards."""
    rows = inputs.rows()
    out.mkdir(parents=True)
    halves = [(inputs, rows[number::WORKERS], out, number) for number in range(WORKERS)]
    with multiprocessing.Pool(WORKERS) as pool:
        return sum(pool.starmap(_shards, halves))


def _shards(inputs: Inputs, rows: list[dict[str, str]], out: Path, number: int) -> int:
    import webdataset

    with webdataset.ShardWriter(str(out / f"{number}-%06d.tar"), maxcount=1000, verbose=0) as sink:
        for row in rows:
            path = inputs.data / row["image"]
            data = path.read_bytes()
            _pillow_verified(data)
            said = {"label": row["label"], "subject": row["subject"], "sha256": hashlib.sha256(data).hexdigest()}
            sink.write({"__key__": path.stem, path.suffix[1:]: data, "json": said})
    return len(rows)


def img2dataset_with(**settings: object) -> Callable[[Inputs, Path], int]:
    """img2dataset on `file://` addresses, which its downloader opens like any other: two processes, Parquet."""

    def run(inputs: Inputs, out: Path) -> int:
        import csv

        from img2dataset import download

        rows = inputs.rows()
        out.mkdir(parents=True)
        with (out / "urls.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["url", "caption", "subject"])
            table.writerows([(inputs.data / row["image"]).as_uri(), row["label"], row["subject"]] for row in rows)
        given = {"processes_count": WORKERS, "thread_count": 16, "number_sample_per_shard": 500}
        given |= {"input_format": "csv", "caption_col": "caption", "save_additional_columns": ["subject"]}
        given |= {"output_format": "parquet", "extract_exif": False, "enable_wandb": False}
        download(url_list=str(out / "urls.csv"), output_folder=str(out / "shards"), **(given | settings))
        return _rows_below(out / "shards")

    return _quietly(run)


def _quietly(run: Callable[[Inputs, Path], int]) -> Callable[[Inputs, Path], int]:
    def quiet(inputs: Inputs, out: Path) -> int:
        with contextlib.redirect_stdout(sys.stderr):
            return run(inputs, out)

    return quiet
