"""Sources that are broken or hostile, each in its own way: one healthy image beside what is wrong with it."""

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.crash.small import draw, write_csv

SECRET = "Zebulon Quartermain"
"""A patient's name in cells that are refused: no output, message or reject may hold it."""

Card = dict[str, Any]
Source = Callable[[Path], Card]

TABLE = {"layout": "table", "files": "labels.csv", "image": "image", "columns": {"label": {"kind": "class"}}}
BOXES = TABLE | {
    "box": {"columns": ["x1", "y1", "x2", "y2"], "label": "label", "convention": "xyxy"},
    "exhaustive": True,
}
BOXES = {key: value for key, value in BOXES.items() if key != "columns"}


def good(root: Path, name: str = "good.png", seed: int = 1) -> None:
    """One healthy image."""
    draw(root / name, seed)


def png(width: int, height: int) -> bytes:
    """A one-bit PNG of zeros, of any size that its header can state."""
    row = b"\0" * (1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(row * 64) for _ in range(height // 64)), packer.compress(row * (height % 64))])
    data += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def images(root: Path) -> Card:
    """Empty, cut, lying and exploding files."""
    good(root)
    whole = (root / "good.png").read_bytes()
    (root / "empty.png").write_bytes(b"")
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "text.png").write_text("no image at all")
    (root / "bomb.png").write_bytes(png(40_000, 40_000))
    (root / "claims-much.png").write_bytes(png(8, 8)[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + png(8, 8)[24:])
    jpeg = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(jpeg, "JPEG")
    (root / "is-a-jpeg.png").write_bytes(jpeg.getvalue())
    (root / "cut.jpg").write_bytes(jpeg.getvalue()[:200])
    (root / "folder.png").mkdir()
    (root / "newline\nin name.png").write_bytes(whole)
    return {"images": {"glob": "*.*"}}


def links(root: Path) -> Card:
    """Links that leave the root, lead to themselves, or to nothing."""
    good(root)
    outside = root.parent / "outside.png"
    draw(outside, 9)
    (root / "out.png").symlink_to(outside)
    (root / "passwd.png").symlink_to("/etc/passwd")
    (root / "loop.png").symlink_to("loop.png")
    (root / "nowhere.png").symlink_to("gone.png")
    (root / "up").symlink_to("..")
    return {"images": {"glob": "**/*.png"}}


def table(root: Path) -> Card:
    """Rows that are ragged, empty, about nothing, or about a file outside."""
    good(root)
    good(root, "also.png", 2)
    write_csv(
        root / "labels.csv",
        ["image", "label", "patient"],
        [
            ["good.png", "fine", "p1"],
            ["good.png"],
            ["good.png", "fine", "p1", SECRET, SECRET],
            ["", SECRET, "p1"],
            ["../outside.png", SECRET, "p1"],
            ["/etc/passwd", SECRET, "p1"],
            ["also.png", "fine", "p2"],
            ["also.png", "fine", "p3"],
        ],
    )
    return {"labels": [TABLE], "subject": {"column": "patient"}}


def no_column(root: Path) -> Card:
    """The column that the card names is not there."""
    good(root)
    write_csv(root / "labels.csv", ["image", "other"], [["good.png", SECRET]])
    return {"labels": [TABLE]}


def encoding(root: Path) -> Card:
    """Not UTF-8."""
    good(root)
    (root / "labels.csv").write_bytes(b"image,label\r\ngood.png,\xff\xfe\xfa\r\n")
    return {"labels": [TABLE]}


def binary_table(root: Path) -> Card:
    """Null bytes and a cell without end."""
    good(root)
    (root / "labels.csv").write_bytes(b'image,label\r\ngood.png,\0\0\0\r\ngood.png,"' + b"x" * 300_000)
    return {"labels": [TABLE]}


def empty_table(root: Path) -> Card:
    """Zero bytes."""
    good(root)
    (root / "labels.csv").write_bytes(b"")
    return {"labels": [TABLE]}


def boxes(root: Path) -> Card:
    """Boxes that are no numbers, infinite, inverted, flat, huge or elsewhere."""
    good(root)
    rows = [
        ["good.png", "nan", 1, 5, 5, "cell"],
        ["good.png", "inf", 1, 5, 5, "cell"],
        ["good.png", "1e308", 1, "1e309", 5, "cell"],
        ["good.png", 9, 9, 1, 1, "cell"],
        ["good.png", 3, 3, 3, 3, "cell"],
        ["good.png", 100, 100, 200, 200, "cell"],
        ["good.png", "9" * 400, 1, 5, 5, "cell"],
        ["good.png", SECRET, 1, 5, 5, "cell"],
        ["good.png", 1, 1, 5, 5, "cell"],
    ]
    write_csv(root / "labels.csv", ["image", "x1", "y1", "x2", "y2", "label"], rows)
    return {"labels": [BOXES]}


def coco(root: Path) -> Card:
    """Unknown categories and images, run lengths of another raster, coordinates of every bad kind."""
    good(root)
    box = [1.0, 1.0, 4.0, 4.0]
    wrong: list[dict[str, Any]] = [
        {"category_id": 77, "bbox": box},
        {"image_id": 99, "bbox": box},
        {"bbox": [float("nan")] * 4},
        {"bbox": [1e308, 1e308, 1e308, 1e308]},
        {"bbox": [1, 2]},
        {"bbox": SECRET},
        {"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}},
        {"segmentation": {"size": [24, 32], "counts": "\x00" * 50}},
        {"segmentation": [[1, 2]]},
        {"segmentation": [[SECRET] * 6]},
        {"bbox": box, "area": -1},
    ]
    document = {
        "images": [{"id": 1, "file_name": "good.png"}, {"id": 2, "file_name": "../../outside.png"}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, **one} for number, one in enumerate(wrong, start=1)
        ],
    }
    (root / "coco.json").write_text(json.dumps(document))
    return {"labels": [{"layout": "coco", "files": "coco.json"}]}


def json_files(root: Path) -> Card:
    """JSON that is cut, deep, or of another shape."""
    good(root)
    (root / "cut.json").write_text('{"images": [{"id": 1, "file_name": "' + SECRET)
    (root / "deep.json").write_text("[" * 100_000)
    (root / "list.json").write_text("[1, 2, 3]")
    (root / "null.json").write_text("null")
    (root / "empty.json").write_bytes(b"")
    (root / "shapes.json").write_text('{"images": {"a": 1}, "annotations": "x", "categories": 4}')
    return {"labels": [{"layout": "coco", "files": "*.json"}]}


def voc(root: Path) -> Card:
    """Entities that multiply or reach out, and XML that is none."""
    good(root)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    (root / "laughs.xml").write_text(f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><annotation>&l9;</annotation>')
    (root / "outside.xml").write_text(
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation><filename>&e;</filename></annotation>'
    )
    (root / "cut.xml").write_text(f"<annotation><filename>{SECRET}")
    (root / "deep.xml").write_text("<a>" * 50_000)
    (root / "empty.xml").write_bytes(b"")
    (root / "boxes.xml").write_text(
        "<annotation><filename>good.png</filename>"
        "<object><name>cell</name><bndbox><xmin>NaN</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>"
        f"<object><name>cell</name><bndbox><xmin>{SECRET}</xmin></bndbox></object>"
        "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
    )
    return {"labels": [{"layout": "voc", "files": "*.xml"}]}


def yolo(root: Path) -> Card:
    """Classes without a name, numbers that are none, files of zero bytes."""
    for number, text in enumerate(
        [
            "0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n",
            "",
            "0 nan 0.5 0.2 0.2\n",
            f"{SECRET}\n",
            "0 9 9 9 9\n",
            "-1 1 1 1 1\n0 0.5\n",
        ]
    ):
        good(root, f"i{number}.png", number + 1)
        (root / f"i{number}.txt").write_text(text)
    (root / "no-image.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return {"labels": [{"layout": "yolo", "files": "*.txt", "names": ["cell"], "exhaustive": True}]}


def masks(root: Path) -> Card:
    """Masks that are cut, empty, of another raster, or huge."""
    good(root, "images/a.png", 1)
    good(root, "images/b.png", 2)
    folder = root / "masks"
    folder.mkdir()
    Image.new("L", (32, 24), 0).save(folder / "a_1.png")
    Image.new("L", (5, 5), 255).save(folder / "a_2.png")
    (folder / "a_3.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    (folder / "a_4.png").write_bytes(b"")
    (folder / "a_5.png").write_bytes(png(40_000, 40_000))
    (folder / "gone_1.png").write_bytes((folder / "a_1.png").read_bytes())
    labels = {
        "layout": "masks",
        "files": "masks/*.png",
        "per": "file",
        "label": "cell",
        "pattern": r"masks/(?P<stem>\w+)_\d+\.png$",
        "image": "images/{stem}.png",
    }
    return {"images": {"glob": "images/*.png"}, "labels": [labels]}


def points(root: Path) -> Card:
    """Points that are nowhere."""
    good(root)
    (root / "good.txt").write_text(f"1 1 cell\nnan 1 cell\n999 999 cell\n{SECRET}\n1\n1e400 1 cell\n")
    return {"labels": [{"layout": "points", "files": "*.txt"}]}


def questions(root: Path) -> Card:
    """Records without answers, lines that are no JSON, and questions that give orders."""
    good(root)
    lines = [
        json.dumps({"image": "good.png", "question": "Is this a cell?", "answer": "yes"}),
        json.dumps({"image": "good.png", "question": "", "answer": SECRET}),
        json.dumps({"image": "good.png", "question": "What is it?"}),
        json.dumps({"image": "good.png", "question": ["a"], "answer": {"b": 1}}),
        json.dumps([1, 2]),
        '{"image": ' + SECRET,
        "[" * 5000,
    ]
    (root / "qa.jsonl").write_text("\n".join(lines))
    labels = {"layout": "qa", "files": "qa.jsonl", "image": "image", "question": "question", "answer": "answer"}
    return {"labels": [labels]}


def folders(root: Path) -> Card:
    """A class that is no more than a dot, and one that the card does not list."""
    good(root, "known/a.png", 1)
    good(root, "unknown/b.png", 2)
    good(root, "c.png", 3)
    return {"images": {"glob": "**/*.png"}, "labels": [{"layout": "folders", "concepts": {"known": "healthy"}}]}


def headers(root: Path) -> Card:
    """DICOM that is none, or ends in its header."""
    (root / "text.dcm").write_text(SECRET)
    (root / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0")
    (root / "empty.dcm").write_bytes(b"")
    (root / "long.dcm").write_bytes(b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 8, 16, b"OB", 0, 2**32 - 2) + b"abc")
    return {
        "images": {"glob": "*.dcm"},
        "labels": [{"layout": "headers", "columns": {"BodyPartExamined": {"kind": "attribute"}}}],
        "subject": {"header": "PatientID"},
    }


def zips(root: Path) -> Card:
    """A member that climbs out, one that explodes, an archive that is none."""
    good(root)
    whole = (root / "good.png").read_bytes()
    with zipfile.ZipFile(root / "slip.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.png", whole)
        archive.writestr("/absolute.png", whole)
        archive.writestr("inside.png", whole[:-1] + b"\x82")
    with zipfile.ZipFile(root / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("bomb.png", b"\0" * (64 << 20))
    (root / "cut.zip").write_bytes((root / "slip.zip").read_bytes()[:40])
    (root / "none.zip").write_text("no archive")
    (root / "empty.zip").write_bytes(b"")
    return {"images": {"glob": ["*.png", "*.zip/**/*.png"]}}


def tars(root: Path) -> Card:
    """Devices, links out of the archive, and a name that climbs."""
    good(root)
    whole = (root / "good.png").read_bytes()
    with tarfile.open(root / "odd.tar", "w") as archive:
        for name, kind, target in (
            ("device.png", tarfile.CHRTYPE, ""),
            ("pipe.png", tarfile.FIFOTYPE, ""),
            ("link.png", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.png", tarfile.LNKTYPE, "../../etc/passwd"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        for name in ("../climbs.png", "fine.png"):
            member = tarfile.TarInfo(name)
            member.size = len(whole)
            archive.addfile(member, io.BytesIO(whole))
    (root / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\0cut")
    return {"images": {"glob": ["*.png", "*.tar/**/*.png", "*.tar.gz/**/*.png"]}}


def parquet(root: Path) -> Card:
    """Parquet that is none, lacks the column, or holds no image."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw(root.parent / "source.png", 4)
    whole = (root.parent / "source.png").read_bytes()
    pq.write_table(pa.table({"image": [whole, None, b"", SECRET.encode()], "n": [1, 2, 3, 4]}), root / "some.parquet")
    pq.write_table(pa.table({"other": [1]}), root / "other.parquet")
    (root / "none.parquet").write_text("no table")
    return {"images": {"glob": "*.parquet", "column": "image"}}


SOURCES: dict[str, Source] = {
    function.__name__.replace("_", "-"): function
    for function in (
        images,
        links,
        table,
        no_column,
        encoding,
        binary_table,
        empty_table,
        boxes,
        coco,
        json_files,
        voc,
        yolo,
        masks,
        points,
        questions,
        folders,
        headers,
        zips,
        tars,
        parquet,
    )
}

WANTED: dict[str, set[str]] = {
    "images": {"empty_file", "truncated_image", "unsupported_format", "too_many_pixels"},
    "links": {"outside_root", "unreadable_file"},
    "table": {"outside_root", "conflicting_subject", "invalid_row"},
    "no-column": {"missing_column"},
    "encoding": {"bad_encoding"},
    "binary-table": {"invalid_row"},
    "empty-table": {"empty_file"},
    "boxes": {"invalid_geometry", "outside_image"},
    "coco": {"unknown_class", "outside_root", "invalid_geometry"},
    "json-files": {"invalid_json", "empty_file"},
    "voc": {"invalid_xml", "empty_file", "invalid_geometry"},
    "yolo": {"unknown_class", "invalid_geometry", "missing_file"},
    "masks": {"empty_mask", "size_mismatch", "empty_file", "missing_file", "too_many_pixels"},
    "points": {"invalid_geometry", "outside_image"},
    "questions": {"invalid_json", "missing_value"},
    "folders": {"unknown_class"},
    "headers": {"empty_file", "invalid_header"},
    "zips": {"unsafe_archive", "unreadable_file", "empty_file"},
    "tars": {"unsafe_archive", "unreadable_file"},
    "parquet": {"missing_column", "unsupported_format"},
}
"""Reasons that must stand among each source's rejects; others may."""
