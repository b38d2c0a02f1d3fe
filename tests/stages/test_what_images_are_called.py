"""From the header of a DICOM file and the values of a label map to what is asked: built, not mocked."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
from PIL import Image
from pydicom.data import get_testdata_file

from curate.build import build
from curate.execute import Executing

HEADERS = """
id: knees
title: Knees
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here, deidentified: true}
images: {glob: "*.dcm", header: {modality: Modality, anatomy: BodyPartExamined, laterality: ImageLaterality}}
subject: {header: PatientID}
"""

LABEL_MAP = """
id: organs
title: Organs
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: CC0, read_at: here}
images: {glob: "images/*.png"}
labels:
  - {layout: masks, files: "masks/*.png", per: value, values: {1: heart, 2: edema, 3: tumor}, exhaustive: true}
subject: {none: "drawn for a test"}
"""


def _built(folder: Path, card: str, tasks: str) -> dict[str, list[dict[str, Any]]]:
    (folder / "card.yaml").write_text(card)
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"name: spoken\nsources: [{{card: card.yaml, data: data}}]\ntasks: {tasks}\n")
    build(recipe, folder / "out", executing=Executing(workers=1))
    tables = {}
    for name in ("assets", "annotations", "pairs", "rejects"):
        files = sorted((folder / "out" / name).rglob("*.parquet"))
        tables[name] = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []
    return tables


def test_sides_of_headers_are_the_patients_and_unpaired_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for code in ("L", "R", "B", "U"):
        knee = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        knee.Modality, knee.BodyPartExamined, knee.ImageLaterality, knee.PatientID = "DX", "KNEE", code, code
        knee.PixelData = bytes([ord(code)]) * len(knee.PixelData)
        knee.save_as(tmp_path / "data" / f"{code}.dcm")
    tables = _built(tmp_path, HEADERS, "[{name: open_vqa, max_attributes: 4}]")
    assert {asset["laterality"] for asset in tables["assets"]} == {"left", "right", "bilateral", None}
    answers = " ".join(pair["messages"][1]["content"] for pair in tables["pairs"]).lower()
    assert "the left knee" in answers
    assert "radiography" in answers
    assert "dx" not in answers.split()


def test_a_label_map_yields_regions_that_nobody_counts(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(2):
        Image.fromarray(np.full((64, 64, 3), 90 + number, np.uint8)).save(tmp_path / f"data/images/{number}.png")
        values = np.zeros((64, 64), np.uint8)
        values[10:40, 10:40] = 1
        values[50:60, 5:20] = values[50:60, 40:60] = 2
        Image.fromarray(values * number).save(tmp_path / f"data/masks/{number}.png")
    tables = _built(tmp_path, LABEL_MAP, "[count, grounding, label_caption, closed_vqa]")
    assert {tuple(row["flags"]) for row in tables["annotations"]} == {("region",)}
    assert {pair["task"] for pair in tables["pairs"]} == {"grounding", "label_caption", "closed_vqa"}
    text = " ".join(message["content"] for pair in tables["pairs"] for message in pair["messages"])
    assert "the heart" in text.lower()
    assert "region of edema" in text
    assert "hearts" not in text
    assert not [row for row in tables["rejects"] if row["stage"] == "verify"]
