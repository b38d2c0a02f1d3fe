"""Work 3: mixed DICOM (CT, MR, CR, US, NM; raw, RLE, JPEG lossless, JPEG-LS, JPEG 2000) to 16-bit PNG in Parquet.

Ours is scan and read of a real build, headers and identifiers included; the second of ours makes the pictures for the
eye too. `hand` decodes by the same libraries in two threads and writes what the fastest encoder gives. Peers keep the
stored values as well: signed ones are offset. Run: python bench/work3_dicom.py [--images N] [--rounds N]
"""

import hashlib
import io
import multiprocessing
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import ROOT, Inputs, main
from peers import GROUP_ROWS, WORKERS, Made, by_hand, curate_until

NAMES = (
    "medio-ct-series/**/*",
    "pydicom-data/data/693_J2KR.dcm",
    "pydicom-data/data/JPEG-LL.dcm",
    "pydicom-data/data/JPEG2000_UNC.dcm",
    "pydicom-data/data/JPGLosslessP14SV1_1s_1f_8b.dcm",
    "pydicom-data/data/MR-SIEMENS-DICOM-WithOverlays.dcm",
    "pydicom-data/data/MR2_J2KR.dcm",
    "pydicom-data/data/RG3_J2KI.dcm",
    "pydicom-data/data/US1_J2KR.dcm",
    "pydicom-data/data/US1_UNCR.dcm",
    "pydicom-data/data/bad_sequence.dcm",
    "pydicom-data/data/color-pl.dcm",
    "pydicom-data/data/explicit_VR-UN.dcm",
    "pydicom-data/data/mlut_18.dcm",
)
"""Single frames of at least 120 x 256 pixels, of many kinds; the CT series stands for one file in four."""

SERIES_SHARE = 4

CARD = """\
id: bench
title: Copies of real scans
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: none, read_at: nowhere, deidentified: true}
images: {glob: "images/*", header: {modality: Modality, anatomy: BodyPartExamined}}
labels: [{layout: table, files: labels.csv, image: image, columns: {label: {kind: class}}}]
subject: {column: subject}
paths_identify: false
"""


def prepare(folder: Path, count: int) -> Inputs:
    """Copies of real files with identifiers of their own."""
    import csv

    import pydicom

    root = Path(os.environ.get("CURATE_TEST_DATA", ROOT / ".." / "shared" / "data"))
    found = [sorted(path for path in root.glob(name) if _is_dicom(path)) for name in NAMES]
    series, others = found[0], [path for paths in found[1:] for path in paths]
    if not series or not others:
        raise SystemExit("this benchmark needs the real datasets: set CURATE_TEST_DATA")
    inputs = Inputs(folder)
    (inputs.data / "images").mkdir(parents=True)
    with (inputs.data / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "subject"])
        for number in range(count):
            turn, place = divmod(number, SERIES_SHARE)
            path = series[turn % len(series)] if not place else others[(number - turn) % len(others)]
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
            name = f"images/{number:06d}.dcm"
            dataset.save_as(inputs.data / name)
            table.writerow([name, f"class {number % 7}", f"subject {number // 4}"])
    (folder / "card.yaml").write_text(CARD)
    for name, renderings in (("recipe", "false"), ("rendered", "true")):
        (folder / f"{name}.yaml").write_text(
            "name: bench\nsources: [{card: card.yaml, data: data}]\ntasks: [label_caption]\n"
            f"renderings: {renderings}\n"
        )
    return inputs


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def with_renderings(inputs: Inputs, out: Path) -> int:
    """Ours, with a second picture for the eye where one is needed; counted by source files."""
    (inputs.folder / "recipe.yaml").rename(inputs.folder / "plain.yaml")
    (inputs.folder / "rendered.yaml").rename(inputs.folder / "recipe.yaml")
    try:
        curate_until("group")(inputs, out)
    finally:
        (inputs.folder / "recipe.yaml").rename(inputs.folder / "rendered.yaml")
        (inputs.folder / "plain.yaml").rename(inputs.folder / "recipe.yaml")
    return len(inputs.rows())


def _samples(data: bytes) -> Any:
    """Stored values by pydicom, signed ones offset."""
    import warnings

    import numpy as np
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data))
        samples = dataset.pixel_array
    if samples.dtype.kind == "i":
        samples = (samples.astype(np.int32) + (1 << (8 * samples.itemsize - 1))).astype(f"u{samples.itemsize}")
    return samples


def by_fast_png(data: bytes) -> Made:
    """pydicom's decoders, rows filtered by numpy, deflated by ISA-L."""
    import numpy as np
    from isal import isal_zlib

    digest = hashlib.sha256(data).hexdigest()
    samples = _samples(data)
    height, width = samples.shape[:2]
    rows = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0], filtered[0, 1:] = 2, rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, 2 if samples.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", isal_zlib.compress(filtered.data, 1)), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return Made(b"\x89PNG\r\n\x1a\n" + b"".join(parts), digest, width, height)


def by_opencv(data: bytes) -> Made:
    """pydicom, then OpenCV's PNG at its own settings."""
    import cv2

    samples = _samples(data)
    height, width = samples.shape[:2]
    _, encoded = cv2.imencode(".png", samples[..., ::-1] if samples.ndim == 3 else samples)
    return Made(encoded.tobytes(), hashlib.sha256(data).hexdigest(), width, height)


def by_pillow(data: bytes) -> Made:
    """pydicom, then Pillow's PNG at its own settings."""
    from PIL import Image

    samples = _samples(data)
    height, width = samples.shape[:2]
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "PNG")
    return Made(stream.getvalue(), hashlib.sha256(data).hexdigest(), width, height)


def simpleitk(inputs: Inputs, out: Path) -> int:
    """SimpleITK in two processes: each file read and written as PNG by ITK, the bytes gathered in Parquet."""
    out.mkdir(parents=True)
    rows = inputs.rows()
    with multiprocessing.Pool(WORKERS) as pool:
        return sum(pool.starmap(_by_simpleitk, [(inputs, rows[turn::WORKERS], out, turn) for turn in range(WORKERS)]))


def _by_simpleitk(inputs: Inputs, rows: list[dict[str, str]], out: Path, turn: int) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import SimpleITK

    made, place = [], out / f"{turn}.png"
    for row in rows:
        path = inputs.data / row["image"]
        samples = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
        samples = samples.reshape(samples.shape[-3:] if samples.shape[-1] == 3 else samples.shape[-2:])
        if samples.dtype != np.uint8:
            samples = (samples.astype(np.int64) + 32768).astype(np.uint16)
        image = SimpleITK.GetImageFromArray(samples, isVector=samples.ndim == 3)
        SimpleITK.WriteImage(image, str(place), imageIO="PNGImageIO")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append({"image": place.read_bytes(), "sha256": digest, "label": row["label"], "subject": row["subject"]})
    pq.write_table(pa.Table.from_pylist(made), out / f"{turn}.parquet", row_group_size=GROUP_ROWS, compression="NONE")
    return len(made)


def in_one_process(make: Callable[[bytes], Made]) -> Callable[[Inputs, Path], int]:
    """One after another, as most notebooks do it."""

    def run(inputs: Inputs, out: Path) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        out.mkdir(parents=True)
        made = [
            make((inputs.data / row["image"]).read_bytes())._asdict()
            | {"label": row["label"], "subject": row["subject"]}
            for row in inputs.rows()
        ]
        pq.write_table(pa.Table.from_pylist(made), out / "images.parquet", row_group_size=GROUP_ROWS)
        return len(made)

    return run


CONTESTANTS = {
    "hand": by_hand(by_fast_png),
    "curate": curate_until("group"),
    "curate with renderings": with_renderings,
    "pydicom + OpenCV PNG": by_hand(by_opencv),
    "SimpleITK": simpleitk,
    "pydicom + Pillow, one process": in_one_process(by_pillow),
}

if __name__ == "__main__":
    main("Work 3: DICOM to 16-bit PNG", CONTESTANTS, prepare, 1200)
