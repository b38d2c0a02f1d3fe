"""What every benchmark shares: distinct inputs, fresh processes in turn, medians, memory of the whole process tree.

Contestants of one benchmark run interleaved on the same inputs, each in a process of its own, start-up included. Memory
is the proportional set size, summed over the process and all that it started: a page that several share counts once.
Processor time stands beside wall time, since it wanders less on a machine that others use. Ratios within one table
carry over; gaps under 15 % are ties.
"""

import argparse
import binascii
import csv
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_S = 0.1
ROOM_BYTES = 8 * 2**30
SOURCES = (
    "bccd/BCCD/JPEGImages/*.jpg",
    "chula-rbc-12-points/Dataset/*.jpg",
    "chula-rbc-diseases/*/*.jpg",
    "dsb2018-nuclei/stage1_train/*/images/*.png",
    "hannover-covid-cxr/png/*.png",
    "rbc-wbc-coco/*/*.jpg",
    "vqa-rad/images/*.jpg",
)
"""The images of the seven real datasets, as their own cards name them."""


@dataclass(frozen=True)
class Inputs:
    """One folder of distinct images with a table of labels, and the card and recipe that describe them."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def rows(self) -> list[dict[str, str]]:
        """`image` (below `data`), `label`, `subject`."""
        with (self.data / "labels.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@dataclass(frozen=True)
class Measured:
    """One run of one contestant."""

    seconds: float
    cpu_seconds: float  # of the process and every descendant that it waited for
    peak_bytes: int
    images: int


CARD = """\
id: bench
title: Copies of real images
source: {home: https://example.org}
terms: {licence: CC0-1.0, quote: none, read_at: nowhere, deidentified: true}
images: {glob: "images/*"}
labels: [{layout: table, files: labels.csv, image: image, columns: {label: {kind: class}}}]
subject: {column: subject}
"""


def replicate(folder: Path, count: int, wanted: Callable[[bytes], bool], images: str = "") -> Inputs:
    """`count` files of distinct bytes made from the images that are at hand, dealt out in turn."""
    originals = [data for data in map(Path.read_bytes, _originals(folder)) if wanted(data)]
    inputs = Inputs(folder)
    (inputs.data / "images").mkdir(parents=True)
    with (inputs.data / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "subject"])
        for number in range(count):
            copy, which = divmod(number, len(originals))
            data = originals[which]
            name = f"images/{number:06d}.{'png' if data.startswith(PNG) else 'jpg'}"
            (inputs.data / name).write_bytes(_varied(data, copy))
            table.writerow([name, f"class {which % 7}", f"subject {number // 4}"])
    (folder / "card.yaml").write_text(CARD)
    (folder / "recipe.yaml").write_text(
        f"name: bench\nsources: [{{card: card.yaml, data: data}}]\ntasks: [label_caption]\n{images}"
    )
    return inputs


def _originals(folder: Path) -> list[Path]:
    root = Path(os.environ.get("CURATE_TEST_DATA", ROOT / ".." / "shared" / "data"))
    found = [path for pattern in SOURCES for path in sorted(root.glob(pattern))]
    if not found:
        from curate.phantom import write_phantoms

        print("no real datasets at hand (CURATE_TEST_DATA): phantoms stand in", file=sys.stderr)
        write_phantoms(folder / "phantoms", images=48)
        found = sorted(path for path in (folder / "phantoms").rglob("*") if path.suffix in {".png", ".jpg"})
    return found


PNG = b"\x89PNG\r\n\x1a\n"


def _varied(data: bytes, copy: int) -> bytes:
    """Other bytes that every tool still reads in full and none has a reason to strip.

    In a JPEG the two highest frequencies of the first quantisation table change, in a PNG the size of a pixel.
    """
    if data.startswith(PNG):
        body = b"pHYs" + struct.pack(">IIB", 2835 + copy, 2835 + copy, 1)
        chunk = struct.pack(">I", 9) + body + struct.pack(">I", binascii.crc32(body))
        return data[:33] + chunk + _without(data[33:], b"pHYs")
    at = data.index(b"\xff\xdb") + 5
    changed = bytearray(data)
    for entry, step in ((63, copy % 255), (62, copy // 255)):
        changed[at + entry] = (data[at + entry] - 1 + step) % 255 + 1
    return bytes(changed)


def _without(chunks: bytes, name: bytes) -> bytes:
    kept, at = [], 0
    while at + 12 <= len(chunks):
        length = 12 + int.from_bytes(chunks[at : at + 4], "big")
        if chunks[at + 4 : at + 8] != name:
            kept.append(chunks[at : at + length])
        at += length
    return b"".join(kept)


def measure(command: Sequence[str], out: Path) -> Measured:
    """Run a command that prints `{"images": n}` as its last line, and watch its tree."""
    with tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed, env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"})
        peak = [0]
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, peak))
        watcher.start()
        _, code, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        ended.set()
        watcher.join()
        printed.seek(0)
        lines = printed.read().decode().splitlines()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    shutil.rmtree(out, ignore_errors=True)
    return Measured(seconds, used.ru_utime + used.ru_stime, peak[0], json.loads(lines[-1])["images"])


def _watch(pid: int, ended: threading.Event, peak: list[int]) -> None:
    while not ended.wait(SAMPLE_S):
        total = 0
        for process in _tree(pid):
            try:
                total += _pss(process.pid)
            except (OSError, psutil.Error):
                continue
        peak[0] = max(peak[0], total)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


Contestants = Mapping[str, Callable[[Inputs, Path], int]]
"""Name -> function that does the work into a folder and returns how many images it stored; the first is `hand`."""


def main(title: str, contestants: Contestants, prepare: Callable[[Path, int], Inputs], count: int) -> None:
    """The command line of a benchmark: without `--run` it compares, with it one contestant does its work."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--images", type=int, default=count, help="distinct input files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(contestants), help="these contestants alone")
    parser.add_argument("--run", choices=list(contestants), help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps({"images": contestants[options.run](Inputs(options.inputs), options.out)}))
        return
    with workplace() as folder:
        inputs = prepare(folder / "inputs", options.images)
        results = compare(options.only or list(contestants), inputs, folder / "out", options.rounds)
    print_table(title, results)


def workplace() -> "tempfile.TemporaryDirectory[str] | _Folder":
    """A temporary folder, in memory where there is room."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    return _Folder(memory if roomy else None)


class _Folder:
    def __init__(self, parent: Path | None) -> None:
        self._made = tempfile.TemporaryDirectory(prefix="curate-bench-", dir=parent)

    def __enter__(self) -> Path:
        return Path(self._made.__enter__())

    def __exit__(self, *problem: object) -> None:
        self._made.cleanup()


def compare(names: Sequence[str], inputs: Inputs, out: Path, rounds: int) -> dict[str, list[Measured]]:
    """Each contestant once a round, every round beginning with another one."""
    results: dict[str, list[Measured]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            command = [sys.executable, sys.argv[0], "--run", name, "--inputs", str(inputs.folder), "--out", str(out)]
            results[name].append(measure(command, out))
            print(f"round {turn + 1}: {name}: {results[name][-1].seconds:.2f} s", file=sys.stderr)
    return results


def print_table(title: str, results: Mapping[str, Sequence[Measured]]) -> None:
    """Medians; the ratio is that of times per image, against the first contestant."""
    print(f"\n{title}")
    print(f"{'':34}{'images':>8}{'seconds':>9}{'images/s':>10}{'x hand':>8}{'cpu s':>8}{'x hand':>8}{'peak MB':>9}")
    base, cpu_base = 0.0, 0.0
    for name, runs in results.items():
        seconds = statistics.median(run.seconds for run in runs)
        images = runs[0].images
        cpu = statistics.median(run.cpu_seconds for run in runs)
        base, cpu_base = base or seconds / images, cpu_base or cpu / images
        peak = statistics.median(run.peak_bytes for run in runs) / 2**20
        rate, ratio, cpu_ratio = images / seconds, seconds / images / base, cpu / images / cpu_base
        print(f"{name:34}{images:>8}{seconds:>9.2f}{rate:>10.0f}{ratio:>8.2f}{cpu:>8.2f}{cpu_ratio:>8.2f}{peak:>9.0f}")
