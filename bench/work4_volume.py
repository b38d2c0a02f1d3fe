"""Work 4: CT series into volumes, as they lie or compressed by JPEG 2000.

Ours is scan and read of a real build: every file digested, the volume proved, stored as compressed, sharded zarr with
checksums. The peers write NIfTI without compression, and prove nothing.
Run: python bench/work4_volume.py [--j2k] [--images N] [--rounds N], where N counts slices.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import ROOT, Inputs, main
from peers import WORKERS

SERIES_SLICES = 250
"""Slices of 512 x 512 in one series: a chest at 1.25 mm."""

CARD = """\
id: bench
title: Copies of a real CT
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: none, read_at: nowhere, deidentified: true}
images: {glob: "*/*.dcm", form: volume}
subject: {none: "copies"}
"""

J2K = "--j2k"


def prepare_with(*, compressed: bool) -> Callable[[Path, int], Inputs]:
    """Series of the twenty slices of `totalsegmentator-tests` in turn: JPEG 2000 as they come, or decoded."""

    def prepare(folder: Path, count: int) -> Inputs:
        import os
        import warnings

        import pydicom

        warnings.simplefilter("ignore")
        root = Path(os.environ.get("CURATE_TEST_DATA", ROOT / ".." / "shared" / "data"))
        slices = [
            pydicom.dcmread(path) for path in sorted((root / "totalsegmentator-tests/example_ct_dicom").iterdir())
        ]
        if not slices:
            raise SystemExit("this benchmark needs totalsegmentator-tests (CURATE_TEST_DATA)")
        slices.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
        for dataset in slices:
            if not compressed:
                dataset.decompress(generate_instance_uid=False)
        for number in range(count):
            series, index = divmod(number, SERIES_SLICES)
            dataset = slices[index % len(slices)]
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"2.25.1{series:03d}", f"2.25.2{number:06d}"
            dataset.SeriesNumber, dataset.InstanceNumber = series + 1, index + 1
            dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], -800 + 2 * index]
            target = inputs_folder(folder) / f"{series:03d}" / f"{index:04d}.dcm"
            target.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(target)
        (folder / "card.yaml").write_text(CARD)
        (folder / "recipe.yaml").write_text(
            "name: bench\nsources: [{card: card.yaml, data: data}]\ntasks: [label_caption]\n"
        )
        return Inputs(folder)

    return prepare


def inputs_folder(folder: Path) -> Path:
    """Where the series lie, a folder each."""
    return folder / "data"


def series_of(inputs: Inputs) -> Iterator[tuple[str, list[str]]]:
    """Name and files of each series."""
    for folder in sorted(inputs.data.iterdir()):
        yield folder.name, sorted(map(str, folder.iterdir()))


def curate(inputs: Inputs, out: Path) -> int:
    """A real build that ends when the volumes are stored."""
    import pyarrow.parquet as pq

    from curate.build import Progress, build

    class Enough(Exception):  # noqa: N818
        pass

    def watch(progress: Progress) -> None:
        if progress.stage == "group":
            raise Enough

    with contextlib.suppress(Enough):
        build(inputs.folder / "recipe.yaml", out / "corpus", jobs=WORKERS, progress=watch)
    tables = [pq.read_table(path, columns=["depth"]) for path in (out / "corpus" / "assets").rglob("*.parquet")]
    return sum(depth for table in tables for depth in table["depth"].to_pylist() if depth)


def by_hand(inputs: Inputs, out: Path) -> int:
    """The practical limit: headers, one sort, two threads, one mapped NIfTI file a series, nothing checked."""
    import numpy as np
    import pydicom
    from pydicom.pixels.utils import pixel_array

    out.mkdir(parents=True)
    total = 0
    for name, paths in series_of(inputs):
        heads = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in paths}
        paths.sort(key=lambda path: float(heads[path].ImagePositionPatient[2]))
        first = heads[paths[0]]
        shape = (len(paths), first.Rows, first.Columns)
        volume = np.memmap(out / f"{name}.nii", np.int16, "w+", offset=352, shape=shape)

        def put(index: int, paths: list[str] = paths, volume: "np.memmap" = volume) -> None:
            volume[index] = pixel_array(paths[index])

        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(put, range(len(paths))))
        volume.flush()
        total += len(paths)
    return total


def dcm2niix(inputs: Inputs, out: Path) -> int:
    """The converter that neuroimaging uses."""
    out.mkdir(parents=True)
    subprocess.run(
        ["dcm2niix", "-z", "n", "-b", "n", "-o", str(out), str(inputs.data)], check=True, stdout=subprocess.DEVNULL
    )
    return sum(len(paths) for _, paths in series_of(inputs))


def simpleitk(inputs: Inputs, out: Path) -> int:
    """ITK's reader of series."""
    import SimpleITK as sitk  # noqa: N813

    out.mkdir(parents=True)
    total = 0
    for name, paths in series_of(inputs):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(Path(paths[0]).parent)))
        sitk.WriteImage(reader.Execute(), str(out / f"{name}.nii"))
        total += len(paths)
    return total


def dicom2nifti(inputs: Inputs, out: Path) -> int:
    """The converter that is written in Python."""
    import dicom2nifti  # not among our own requirements

    out.mkdir(parents=True)
    for name, paths in series_of(inputs):
        dicom2nifti.dicom_series_to_nifti(str(Path(paths[0]).parent), str(out / f"{name}.nii"), reorient_nifti=False)
    return sum(len(paths) for _, paths in series_of(inputs))


CONTESTANTS = {
    "hand": by_hand,
    "curate": curate,
    "dcm2niix": dcm2niix,
    "SimpleITK": simpleitk,
    "dicom2nifti": dicom2nifti,
}


def installed() -> dict[str, Callable[[Inputs, Path], int]]:
    """The contestants that are at hand."""
    import importlib.util
    import shutil

    there = {
        "dcm2niix": shutil.which("dcm2niix") is not None,
        "dicom2nifti": importlib.util.find_spec("dicom2nifti") is not None,
    }
    return {name: run for name, run in CONTESTANTS.items() if there.get(name, True)}


if __name__ == "__main__":
    wants_j2k = J2K in sys.argv
    sys.argv = [word for word in sys.argv if word != J2K]
    title = f"Work 4: CT series into volumes, {'JPEG 2000' if wants_j2k else 'raw'}"
    main(title, installed(), prepare_with(compressed=wants_j2k), 500)
