"""Planning a million items, and a build that has nothing to do.

Both are whole processes, start-up included, as somebody types them. The million are empty files, since a scan opens
none; the complete build is a real one of tiny images, two in a part, and making it takes most of the time.

Run: python -m bench.scale_plan [--items N] [--parts N] [--keep DIR]
"""

import argparse
import csv
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from bench.common import CARD, measure

CURATE = [sys.executable, "-c", "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"]
QUIET = """\
import subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print('{"images": 0}')
"""
STAGES_OF_BUCKETS = 3
ITEMS_OF_A_SOURCE = 50_000
"""A scan holds its source in memory, at some 6 kB an item."""


def tiny(number: int) -> bytes:
    """A grey image of 16 x 16 that no other number gives."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    grey = bytes((number * 7 + place * 13) & 255 for place in range(252)) + struct.pack(">I", number)
    lines = b"".join(b"\0" + grey[16 * row : 16 * row + 16] for row in range(16))
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def prepare(folder: Path, count: int, parts: str, *, empty: bool) -> Path:
    """Sources of at most `ITEMS_OF_A_SOURCE` images, each of a subject of its own, and their recipe."""
    names = []
    for first in range(0, count, ITEMS_OF_A_SOURCE):
        names.append(f"bench-{first // ITEMS_OF_A_SOURCE:03d}")
        numbers = range(first, min(count, first + ITEMS_OF_A_SOURCE))
        write_source(folder / "data" / names[-1], numbers, empty=empty)
        (folder / f"{names[-1]}.yaml").write_text(CARD.replace("id: bench", f"id: {names[-1]}").replace("/*", "/*/*"))
    entries = ", ".join(f"{{card: {name}.yaml, data: data/{name}}}" for name in names)
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"name: bench\nsources: [{entries}]\ntasks: [label_caption]\nparts: {parts}\n")
    return recipe


def write_source(data: Path, numbers: range, *, empty: bool) -> None:
    """Images in folders of a thousand, and a table of labels."""
    data.mkdir(parents=True)
    with (data / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "subject"])
        for number in numbers:
            name = f"images/{number // 1000:04d}/{number:07d}.png"
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_bytes(b"" if empty else tiny(number))
            table.writerow([name, f"class {number % 7}", f"subject {number}"])


def timed(title: str, *arguments: str) -> None:
    """Print what one command costs."""
    spent = measure([sys.executable, "-c", QUIET, *CURATE, *arguments], Path("/nowhere"))
    print(f"{title:44}{spent.seconds:8.1f} s{spent.cpu_seconds:8.1f} s of processor{spent.peak_bytes / 2**20:8.0f} MB")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Planning a million items, and a build that has nothing to do")
    parser.add_argument("--items", type=int, default=1_000_000, help="to plan; 0: leave it out")
    parser.add_argument(
        "--parts", type=int, default=10_000, help="about so many in the complete build; 0: leave it out"
    )
    parser.add_argument("--keep", type=Path, help="where the complete build is made, or lies from the last time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as made:
        if options.items:
            recipe = prepare(Path(made) / "many", options.items, "{items: 300}", empty=True)
            where = ("--out", str(Path(made) / "many" / "out"))
            timed(f"scan of {options.items:,} items", "build", str(recipe), *where, "--stage", "scan")
            timed(f"plan of {options.items:,} items, all scanned", "plan", str(recipe), *where)
        if options.parts:
            folder = options.keep or Path(made) / "complete"
            recipe = folder / "recipe.yaml"
            if not recipe.exists():
                buckets = options.parts // STAGES_OF_BUCKETS
                prepare(folder, round(buckets * 2 * 1.03), "{items: 2}", empty=False)
            command = [*CURATE, "build", str(recipe), "--out", str(folder / "out")]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = sum(1 for _ in (folder / "out" / "parts").rglob("*.json"))
            for _ in range(3):
                timed(f"nothing to do in {found:,} parts", "build", str(recipe), "--out", str(folder / "out"))
            timed(f"plan of {found:,} parts that are done", "plan", str(recipe), "--out", str(folder / "out"))
            timed(f"status of {found:,} parts", "status", str(folder / "out"))


if __name__ == "__main__":
    main()
