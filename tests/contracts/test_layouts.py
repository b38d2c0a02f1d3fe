"""Every built-in layout keeps the contract that plug-ins keep."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest

from curate.layouts import BUILT_IN
from curate.layouts.base import Layout
from curate.layouts.coco import Coco
from curate.layouts.folders import Folders
from curate.layouts.headers import Headers
from curate.layouts.labelme import Labelme
from curate.layouts.masks import Masks
from curate.layouts.points import Points
from curate.layouts.qa import Qa
from curate.layouts.table import Table
from curate.layouts.voc import Voc
from curate.layouts.webdataset import WebDataset
from curate.layouts.yolo import Yolo
from curate.testing.layouts import LayoutContract
from tests.contracts.test_dicom_layouts import HELD

IMAGE = b"no layout looks inside"

HEAD = """
id: example
title: An example
source: {home: example.org}
terms: {licence: CC0-1.0, quote: public domain, read_at: README.md}
subject: {none: not published}
images: {glob: "%s"}
labels: [%s]
"""


class TestVoc(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Voc

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("img/*.png", "{layout: voc, files: xml/*.xml}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        box = b"<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax></bndbox>"
        one = b"<object><name>cell</name>" + box + b"</object>"
        return {
            "img/a.png": IMAGE,
            "img/b.png": IMAGE,
            "xml/a.xml": b"<annotation><filename>a.png</filename>" + one + one + b"</annotation>",
            "xml/b.xml": b"<annotation><filename>b.png</filename>" + one + b"<object/></annotation>",
        }


class TestCoco(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Coco

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("*/*.png", '{layout: coco, files: "*/labels.json"}')

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        def document(name: str) -> bytes:
            shapes = [
                {"bbox": [1, 2, 3, 4]},
                {"segmentation": [[1, 1, 5, 1, 5, 5]]},
                {"segmentation": {"size": [6, 8], "counts": [3, 5, 40]}},
                {"bbox": None},
            ]
            return json.dumps(
                {
                    "images": [{"id": 1, "file_name": name, "width": 8, "height": 6}],
                    "categories": [{"id": 1, "name": "polyp"}],
                    "annotations": [
                        {"id": number, "image_id": 1, "category_id": 1, **shape} for number, shape in enumerate(shapes)
                    ],
                }
            ).encode()

        return {
            "train/a.png": IMAGE,
            "valid/b.png": IMAGE,
            "train/labels.json": document("a.png"),
            "valid/labels.json": document("b.png"),
        }


class TestLabelme(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Labelme

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("img/*.png", "{layout: labelme, files: json/*.json}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        box = b'{"label": "cell", "points": [[1, 2], [4, 5]], "shape_type": "rectangle"}'
        line = b'{"label": "cell", "points": [[1, 2], [4, 5]], "shape_type": "line"}'
        return {
            "img/a.png": IMAGE,
            "img/b.png": IMAGE,
            "json/a.json": b'{"shapes": [' + box + b", " + box + b'], "imagePath": "../img/a.png"}',
            "json/b.json": b'{"shapes": [' + box + b", " + line + b'], "imagePath": "b.png"}',
        }


class TestYolo(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Yolo

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("images/*.png", "{layout: yolo, files: labels/*.txt, names: data.yaml}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return {
            "images/a.png": IMAGE,
            "images/b.png": IMAGE,
            "labels/a.txt": b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.5 0.1 0.5 0.5\n",
            "labels/b.txt": b"1 0.5 0.5 0.25 0.25\n7 0.5 0.5 0.25 0.25\n",
            "data.yaml": b"names: [polyp, instrument]\n",
        }


class TestPoints(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Points

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("img/*.png", "{layout: points, files: pts/*.txt}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return {
            "img/1.png": IMAGE,
            "img/2.png": IMAGE,
            "pts/1.txt": b"3 4 mitosis\n5 2 tumour\n",
            "pts/2.txt": b"1 1 mitosis\nx 2 tumour\n",
        }


class TestMasks(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Masks

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("images/*.png", "{layout: masks, files: masks/*.png, per: value, values: {1: lung, 2: heart}}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return dict.fromkeys(("images/a.png", "images/b.png", "masks/a.png", "masks/b.png"), IMAGE)


class TestFolders(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Folders

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("**/*.png", "{layout: folders, kind: class}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return {"normal/a.png": IMAGE, "benign tumour/b.png": IMAGE, "c.png": IMAGE}


class TestHeaders(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Headers

    @pytest.fixture
    def card(self) -> str:
        return HEAD % (
            "*.dcm",
            "{layout: headers, columns: {Modality: {kind: attribute, values: {CT: computed tomography}}}}",
        )

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        folder = Path(pydicom.__file__).parent / "data" / "test_files"
        return {f"{name}.dcm": (folder / f"{name}.dcm").read_bytes() for name in ("CT_small", "MR_small")}


class TestQa(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Qa

    @pytest.fixture
    def card(self) -> str:
        return HEAD % (
            "img/*.png",
            '{layout: qa, files: "*.json*", image: img, question: q, answer: a, answer_type: t, splits: {"a.*": x}}',
        )

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        asked = [
            {"img": "a.png", "q": "Is there a mass?", "a": "no", "t": "CLOSED"},
            {"img": "b.png", "q": "Where?", "a": "left lung", "t": "OPEN"},
            {"img": "b.png", "q": "", "a": 3, "t": None},
        ]
        return {
            "img/a.png": IMAGE,
            "img/b.png": IMAGE,
            "a.json": json.dumps(asked).encode(),
            "b.jsonl": "\n".join(json.dumps(one) for one in asked).encode(),
        }


COLUMNS = """{layout: table, files: %s, image: file, fields: {view: view}, columns: {
    disease: {kind: class}, findings: {kind: multilabel, separator: "|"}, crp: {kind: measurement, unit: mg/L},
    edema: {kind: multilabel, states: {"1": present, "0": absent}}, note: {kind: report}}}"""

ROWS = [
    {"file": "a.png", "view": "PA", "disease": "flu", "findings": "mass|cyst", "crp": "<3", "edema": "1", "note": "x"},
    {"file": "b.png", "view": "", "disease": "", "findings": "", "crp": "12.5", "edema": "0", "note": 'says "no"'},
    {"file": "b.png", "view": "", "disease": "flu", "findings": "", "crp": "much", "edema": "9", "note": ""},
]


class TestTable(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Table

    @pytest.fixture
    def card(self) -> str:
        return HEAD % ("img/*.png", COLUMNS % '"t/*"')

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        parquet = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), parquet)
        lines = [",".join(ROWS[0]), *(",".join(_quoted(cell) for cell in row.values()) for row in ROWS)]
        return {
            "img/a.png": IMAGE,
            "img/b.png": IMAGE,
            "t/rows.csv": "\r\n".join(lines).encode(),
            "t/rows.json": json.dumps(ROWS).encode(),
            "t/rows.parquet": parquet.getvalue(),
        }


class TestTableOfBoxes(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return Table

    @pytest.fixture
    def card(self) -> str:
        box = "box: {columns: [x0, y0, x1, y1], label: kind, convention: xyxy}"
        return HEAD % ("img/*.png", f"{{layout: table, files: boxes.tsv, image: file, {box}}}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        rows = ["file\tx0\ty0\tx1\ty1\tkind", "a.png\t1\t2\t3\t4\tcell", "b.png\t\t\t\t\t", "b.png\t1\t\t3\t4\tcell"]
        return {"img/a.png": IMAGE, "img/b.png": IMAGE, "boxes.tsv": "\n".join(rows).encode()}


class TestWebDataset(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return WebDataset

    @pytest.fixture
    def card(self) -> str:
        columns = "txt: {kind: caption}, cls: {kind: class, values: {'0': benign}}, json.size: {kind: measurement}"
        return HEAD % ("*/*.jpg", f"{{layout: webdataset, files: '*/*', columns: {{{columns}}}}}")

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return {
            "shard/a.jpg": IMAGE,
            "shard/a.txt": b"A small round mass.",
            "shard/a.cls": b"0",
            "shard/a.json": b'{"size": 12.5, "view": "PA"}',
            "shard/b.jpg": IMAGE,
            "shard/b.txt": b"Nothing of note.",
            "shard/b.cls": b"1",
            "shard/b.json": b"[1, 2]",
            "shard/c.txt": b"Without an image.",
        }


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def test_every_built_in_layout_is_held_to_the_contract() -> None:
    held = {
        TestVoc,
        TestCoco,
        TestLabelme,
        TestYolo,
        TestPoints,
        TestMasks,
        TestFolders,
        TestHeaders,
        TestQa,
        TestTable,
        TestWebDataset,
    }
    named = {name.removeprefix("Test").lower() for name in (one.__name__ for one in held)}
    assert named | HELD == set(BUILT_IN)
