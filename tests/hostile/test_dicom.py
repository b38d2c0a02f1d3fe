"""DICOM that means harm ends as a row in rejects, within its memory and time; what a header knows stays in it."""

import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from curate.images import deliver, read_header
from curate.images.dicom import HEADER_KEYWORDS
from curate.schema import Refusal
from tests.conftest import ROOT
from tests.crash.small import run_apart, write_yaml
from tests.hostile.dicom_files import harmless, hostile

MEMORY_BYTES = 2 * 2**30
SECONDS = 30.0

SMALL_BYTES = 2**18
"""Of files that a whole build is tried on: bombs are slow to refuse, and were refused above."""

ENVIRONMENTAL = {"memory_limit", "time_limit", "decoder_crash"}

CARD: dict[str, Any] = {
    "id": "harm",
    "title": "Files that mean harm",
    "source": {"home": "nowhere"},
    "terms": {"licence": "MIT", "quote": "MIT", "read_at": "nowhere"},
    "images": {"glob": "*.dcm", "header": {"modality": "Modality", "anatomy": "BodyPartExamined"}},
    "labels": [{"layout": "headers", "columns": {"Modality": {"kind": "attribute", "concept": "modality"}}}],
    "subject": {"header": "PatientID", "missing": "alone"},
}


def main() -> None:
    """Deliver every hostile file in this process, under the limit on memory of a reading child."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    said = {}
    for name, data in hostile():
        began = time.perf_counter()
        verdicts = [read_header(data), deliver(data)]
        reasons = [str(one.reason) for one in verdicts if isinstance(one, Refusal)]
        said[name] = {"reasons": reasons, "seconds": time.perf_counter() - began}
    print(json.dumps(said))


@pytest.fixture(scope="module")
def said() -> dict[str, dict[str, Any]]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.hostile.test_dicom"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    answer: dict[str, dict[str, Any]] = json.loads(run.stdout)
    return answer


def test_every_hostile_file_is_refused_by_what_it_is(said):
    assert {name for name, one in said.items() if not one["reasons"]} == set()
    assert {name for name, one in said.items() if ENVIRONMENTAL & set(one["reasons"])} == set()


def test_no_hostile_file_takes_longer_than_an_item_may(said):
    assert {name for name, one in said.items() if one["seconds"] > SECONDS} == set()


@pytest.mark.parametrize(("name", "data"), list(harmless()), ids=[name for name, _ in harmless()])
def test_a_lie_about_what_is_not_needed_costs_nothing(name, data):
    assert not isinstance(deliver(data), Refusal), name


def test_a_build_of_nothing_but_harm_comes_to_its_end(tmp_path):
    folder = tmp_path / "harm"
    folder.mkdir()
    names = {}
    for number, (name, data) in enumerate(one for one in hostile() if len(one[1]) < SMALL_BYTES):
        (folder / f"{number:02d}.dcm").write_bytes(data)
        names[f"{number:02d}.dcm"] = name
    out = build(tmp_path)
    refused = {row["item_key"] for row in rows(out, "rejects") if row["unit"] in {"image", "item", "file"}}
    assert len(refused) == len(names)
    assert rows(out, "assets") == []


def build(folder: Path) -> Path:
    write_yaml(folder / "harm.yaml", CARD)
    recipe = {"name": "harm", "sources": [{"card": "harm.yaml", "data": "harm"}], "tasks": ["label_caption"]}
    write_yaml(folder / "recipe.yaml", recipe | {"limits": {"rejects": 1.0}})
    said = run_apart("build", folder / "recipe.yaml", "--out", folder / "out")
    assert said.code == 0, said.text
    (folder / "said.txt").write_text(said.text)
    return folder / "out"


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


# what a header knows

CANARY = "QZCANARY"
TOO_LONG = " BORN IN THE YEAR"
TEXTS = {"LO", "SH", "PN", "ST", "LT", "UT", "UC", "CS", "AE", "UR"}
ALLOWED = {"Modality", "PhotometricInterpretation", "SpecificCharacterSet", "ImageType", "PresentationLUTShape"}
"""Codes without which the file would not be read as what it is."""


def with_canaries() -> tuple[Dataset, set[str]]:
    """A CT slice with a word of its own in every element that may hold text, at three depths, and in its overlays."""
    from pydicom.datadict import DicomDictionary, keyword_for_tag

    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    inner, middle = Dataset(), Dataset()
    words: set[str] = set()
    for holder, depth in ((dataset, 0), (middle, 1), (inner, 3)):
        for number, (tag, (vr, *_)) in enumerate(sorted(DicomDictionary.items())):
            keyword = keyword_for_tag(tag)
            if vr in TEXTS and keyword not in ALLOWED and 0x0008 <= tag >> 16 < 0x7FE0 and keyword:
                word = f"{CANARY}{depth}{number}"
                if keyword in HEADER_KEYWORDS:  # a card may ask for it: what is no code is left out all the same
                    word += TOO_LONG
                words.add(word)
                holder.add_new(tag, vr, word if vr != "PN" else f"{word}^{word}")
            elif vr in {"UI", "DA", "DT", "TM"} and depth and keyword:
                holder.add_new(
                    tag, vr, {"UI": "1.2.3.987654321", "DA": "19870605", "DT": "19870605", "TM": "123456"}[vr]
                )
    dataset.PatientID = dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.840.987654321.1"
    dataset.SOPInstanceUID = dataset.FrameOfReferenceUID = "1.2.840.987654321.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.SourceApplicationEntityTitle = f"{CANARY}AE"
    dataset.PatientBirthDate = dataset.StudyDate = dataset.ContentDate = "19870605"
    middle.OtherPatientIDsSequence = [inner]
    dataset.ReferencedStudySequence = [middle]
    dataset.SharedFunctionalGroupsSequence = [middle]
    block = dataset.private_block(0x0099, f"{CANARY} PRIVATE", create=True)
    block.add_new(1, "LT", f"{CANARY} private text")
    dataset.preamble = (CANARY * 16).encode()
    dataset.PixelData = dataset.PixelData
    return dataset, words


SECRETS = (CANARY.encode(), b"987654321", b"19870605")


def test_no_word_of_a_header_that_is_not_a_code_leaves_it(tmp_path):
    folder = tmp_path / "harm"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset, words = with_canaries()
    assert len(words) > 500
    path = folder / "1.dcm"
    dataset.save_as(path)
    whole = path.read_bytes()
    (folder / "2.dcm").write_bytes(whole[: len(whole) - 9000])
    (folder / "3.dcm").write_bytes(whole[:2000] + b"\xff" * 300 + whole[2300:])
    out = build(tmp_path)
    assert len(rows(out, "assets")) == 2
    held = b"".join(_bytes_of(file) for file in sorted(out.rglob("*")) if file.is_file())
    held += (tmp_path / "said.txt").read_bytes()
    assert [secret for secret in SECRETS if secret in held] == []


def _bytes_of(file: Path) -> bytes:
    """A file as it lies, and the cells of a table uncompressed."""
    data = file.name.encode() + file.read_bytes()
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        data += json.dumps(table.to_pylist(), default=repr).encode() + repr(table.schema.metadata).encode()
    return data


if __name__ == "__main__":
    main()
