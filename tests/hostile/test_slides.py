"""Slides whose directories lie, whose bytes are cut or overwritten: refused with a reason, beside a sound one."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import tifffile

from curate.images.slides import open_slide
from curate.schema import Reason, Refusal
from tests.crash.small import CARD, Said, age, curate, run_apart, write_yaml
from tests.images.slide_files import stained, write_slide

NAME: Final = "Quartermain"
"""In the name of every broken file: nothing that is said may repeat it."""

LONG: Final = 4
TILES: Final = 30


def patched(whole: bytes, tag: str, value: int) -> bytes:
    """A slide whose first directory states another value for a tag."""
    data = bytearray(whole)
    at = places(whole)[tag]
    data[at + 2 : at + 8] = struct.pack("<HI", LONG, 1)
    data[at + 8 : at + 12] = struct.pack("<I", value)
    return bytes(data)


def counted(whole: bytes, tag: str, count: int) -> bytes:
    """A slide whose first directory states another number of values."""
    data = bytearray(whole)
    at = places(whole)[tag]
    data[at + 4 : at + 8] = struct.pack("<I", count)
    return bytes(data)


def places(whole: bytes) -> dict[str, int]:
    """Where each entry of the first directory begins."""
    import io

    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        return {tag.name: tag.offset for tag in file.pages.first.tags}


def tables(whole: bytes) -> tuple[list[int], list[int], int, int]:
    """Offsets and lengths of the first level's tiles, and where those two lists stand."""
    import io

    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        page: Any = file.pages.first
        stand = [page.tags[name].valueoffset for name in ("TileOffsets", "TileByteCounts")]
        return list(page.dataoffsets), list(page.databytecounts), stand[0], stand[1]


def overwritten(whole: bytes, number: int) -> bytes:
    """A slide with the middle of one tile zeroed."""
    offsets, counts, _, _ = tables(whole)
    at, count = offsets[number], counts[number]
    return whole[: at + count // 3] + bytes(count // 3) + whole[at + count // 3 + count // 3 :]


def far(whole: bytes) -> bytes:
    """A slide all of whose tiles lie beyond the end of the file."""
    _, _, at, _ = tables(whole)
    return whole[:at] + struct.pack("<I", 2**32 - 16) * TILES + whole[at + 4 * TILES :]


def giant_frame(whole: bytes) -> bytes:
    """A slide one of whose tiles claims 60,000 pixels a side."""
    offsets, _, _, _ = tables(whole)
    at = whole.index(b"\xff\xc0", offsets[7])
    return whole[: at + 5] + struct.pack(">HH", 60_000, 60_000) + whole[at + 9 :]


def circle(whole: bytes) -> bytes:
    """A slide whose second directory is the first one."""
    first = struct.unpack_from("<I", whole, 4)[0]
    entries = struct.unpack_from("<H", whole, first)[0]
    at = first + 2 + 12 * entries
    return whole[:at] + struct.pack("<I", first) + whole[at + 4 :]


BROKEN: Final[dict[str, tuple[Callable[[bytes], bytes], set[str]]]] = {
    "wide": (lambda w: patched(w, "ImageWidth", 200_000), {"corrupt_image", "too_many_pixels"}),
    "endless": (lambda w: patched(w, "ImageWidth", 2**31 - 1), {"corrupt_image", "too_many_pixels"}),
    "tall": (lambda w: patched(w, "ImageLength", 2**32 - 1), {"corrupt_image"}),
    "empty-width": (lambda w: patched(w, "ImageWidth", 0), {"corrupt_image", "unsupported_format"}),
    "narrow-tiles": (lambda w: patched(w, "TileWidth", 16), {"corrupt_image"}),
    "no-tiles": (lambda w: patched(w, "TileWidth", 0), {"corrupt_image", "unsupported_format"}),
    "giant-tiles": (
        lambda w: patched(patched(w, "TileWidth", 65_536), "TileLength", 65_536),
        {"too_many_pixels", "corrupt_image"},
    ),
    "many-offsets": (lambda w: counted(w, "TileOffsets", 2**31 - 1), {"corrupt_image", "unsupported_format"}),
    "few-offsets": (lambda w: counted(w, "TileOffsets", 3), {"corrupt_image"}),
    "many-lengths": (lambda w: counted(w, "TileByteCounts", 2**31 - 1), {"corrupt_image", "unsupported_format"}),
    "far": (far, {"truncated_image"}),
    "circle": (circle, {"corrupt_image"}),
    "head": (lambda w: w[:12], {"truncated_image"}),
    "cut": (lambda w: w[:200], {"truncated_image"}),
    "empty": (lambda w: b"", {"empty_file"}),
    "text": (lambda w: b"no slide at all", {"unsupported_format"}),
}
"""What becomes of a slide, and the reasons that may stand for it."""

DAMAGED: Final[dict[str, Callable[[bytes], bytes]]] = {"tile": lambda w: overwritten(w, 12), "frame": giant_frame}
"""Slides that lose one tile alone."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """One build over a healthy slide and every broken one, in a process of its own with its limits."""
    folder = tmp_path_factory.mktemp("slides")
    data = folder / "data"
    data.mkdir()
    healthy = write_slide(data / "healthy.tif", stained(1500, 1100)).read_bytes()
    for name, (breaking, _) in BROKEN.items():
        (data / f"{NAME}-{name}.tif").write_bytes(breaking(healthy))
    for name, damaging in DAMAGED.items():
        (data / f"damaged-{name}.tif").write_bytes(damaging(healthy))
    age(data)
    plain = {"id": "slides", "images": {"glob": "*.tif", "form": "slide"}, "subject": {"none": "a test"}, "labels": []}
    write_yaml(folder / "slides.yaml", CARD | plain | {"paths_identify": True})
    recipe = {"name": "slides", "sources": [{"card": "slides.yaml", "data": "data"}], "tasks": ["open_vqa"]}
    wanted = {"slides": {"mpp": 0.5, "size": 256, "tissue": 0}, "limits": {"rejects": 1.0}}
    write_yaml(folder / "recipe.yaml", recipe | wanted)
    return folder / "out", run_apart("build", folder / "recipe.yaml", "--out", folder / "out", "-j", "1")


@pytest.fixture(scope="module")
def rejects(build: tuple[Path, Said]) -> list[dict[str, Any]]:
    """Every row of rejects."""
    found: list[dict[str, Any]] = json.loads(curate("rejects", build[0], "--list", "--json").stdout)
    return found


def test_the_build_goes_on_and_names_no_file(build: tuple[Path, Said]) -> None:
    out, said = build
    assert said.code == 0, said.text
    assert NAME not in said.text
    assert not [path for path in out.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]


def test_every_broken_slide_is_refused_and_none_by_time_or_memory(rejects: list[dict[str, Any]]) -> None:
    items = [row for row in rejects if row["unit"] == "item"]
    assert len(items) == len(BROKEN)
    assert not [row for row in rejects if row["environmental"]]
    assert {row["reason"] for row in items} <= {reason for _, reasons in BROKEN.values() for reason in reasons}


def test_a_damaged_tile_alone_is_lost(rejects: list[dict[str, Any]]) -> None:
    lost = [row for row in rejects if row["unit"] == "region" and row["verdict"] == "rejected"]
    assert sorted(row["locator"] for row in lost) == ["x=0,y=512,w=256,h=256", "x=256,y=256,w=256,h=256"]
    assert {row["reason"] for row in lost} <= {"corrupt_image", "too_many_pixels", "truncated_image"}


@pytest.mark.parametrize("name", list(BROKEN))
def test_the_reason_is_the_fault(name: str, tmp_path: Path) -> None:
    from curate.images.slides import open_slide
    from curate.schema import Refusal

    healthy = write_slide(tmp_path / "healthy.tif", stained(1500, 1100)).read_bytes()
    breaking, reasons = BROKEN[name]
    path = tmp_path / "broken.tif"
    path.write_bytes(breaking(healthy))
    with open_slide(path) as slide:
        if isinstance(slide, Refusal):
            assert slide.reason in reasons
            return
        pixels = slide.read(0, (0, 0, 300, 300))
    assert pixels.damage is not None
    assert pixels.damage.reason in reasons


def test_a_level_larger_than_the_first_is_refused(tmp_path: Path) -> None:
    """Half as wide and four times as high: no scale is that of both."""
    with tifffile.TiffWriter(tmp_path / "grows.tif") as file:
        for kind, shape in enumerate([(64, 512, 3), (256, 256, 3)]):
            whole = np.full(shape, 180, np.uint8)
            file.write(whole, tile=(64, 64), photometric="rgb", compression="jpeg", subfiletype=kind)
    with open_slide(tmp_path / "grows.tif") as slide:
        assert isinstance(slide, Refusal)
        assert slide.reason is Reason.CORRUPT_IMAGE
