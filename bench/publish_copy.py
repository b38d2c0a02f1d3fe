"""How fast a release gets into a folder, beside `cp -r` of the same files: `python -m bench.publish_copy`.

A corpus of noise pictures is drawn and built once. Each round publishes it with nothing kept (media are read from
Parquet, proved by their digest, written, made durable, and linked into the target), then copies the published media
with `cp -r` and makes the copy durable with `sync -f`; then the same with `cp -r` alone. `media` is the time of those
steps alone, `publish` that of the whole command with selection, rows, card and its pictures. Medians of the rounds; the
memory is the most that the publishing process held.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

CARD = {
    "id": "noise",
    "title": "Noise",
    "source": {"home": "drawn by bench/publish_copy.py"},
    "terms": {"licence": "CC0-1.0", "quote": "drawn", "read_at": "here", "deidentified": True},
    "modality": "light microscopy",
    "images": {"glob": "images/*.png"},
    "labels": [
        {
            "layout": "table",
            "name": "labels",
            "files": "labels.csv",
            "image": "images/{name}.png",
            "world": "exclusive",
            "columns": {"label": {"kind": "class"}},
            "concepts": {"even": "even noise", "odd": "odd noise"},
        }
    ],
    "subject": {"none": "drawn"},
}

PUBLISH = """
import json, resource, sys, time
from pathlib import Path
from curate.publish import run
from curate.publish.formats import formats_of
from curate.publish.targets import FolderTarget
out, target, desk = map(Path, sys.argv[1:4])
spent = []

def timed(step):
    def measured(*args):
        began = time.perf_counter()
        done = step(*args)
        spent.append(time.perf_counter() - began)
        return done
    return measured

run.stage_media = timed(run.stage_media)
FolderTarget.deliver = timed(FolderTarget.deliver)
began = time.perf_counter()
run.publish(out, FolderTarget(target), formats_of(["llava"]), desk=desk)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "media": sum(spent), "peak_mb": peak}))
"""


def main() -> None:
    """Draw, build, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=512, help="Width and height of a picture, in pixels.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to work; by default a temporary folder.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(json.dumps(measure(Path(folder), asked.images, asked.size, asked.rounds), indent=1))


def measure(folder: Path, images: int, size: int, rounds: int) -> dict[str, float]:
    """The rates, in bytes a second, and their ratios."""
    draw(folder / "noise", images, size)
    (folder / "noise.yaml").write_text(yaml.safe_dump(CARD))
    recipe = {"name": "noise", "sources": [{"card": "noise.yaml", "data": "noise"}], "tasks": ["label_caption"]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    build = [Path(sys.executable).with_name("curate"), "build", folder / "recipe.yaml", "--out", folder / "corpus"]
    subprocess.run(build, check=True, capture_output=True)
    seconds: dict[str, list[float]] = {"publish": [], "media": [], "cp_sync": [], "cp": []}
    peaks = []
    for _ in range(rounds):
        for name in ("there", "desk", "copy"):
            shutil.rmtree(folder / name, ignore_errors=True)
        os.sync()
        run = [sys.executable, "-c", PUBLISH, folder / "corpus", folder / "there", folder / "desk"]
        done = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
        seconds["publish"].append(done["seconds"])
        seconds["media"].append(done["media"])
        peaks.append(done["peak_mb"])
        for name, after in (("cp_sync", [["sync", "-f", folder / "copy"]]), ("cp", [])):
            shutil.rmtree(folder / "copy", ignore_errors=True)
            os.sync()
            began = time.perf_counter()
            for step in [["cp", "-r", folder / "there" / "images", folder / "copy"], *after]:
                subprocess.run(step, check=True)
            seconds[name].append(time.perf_counter() - began)
    total = sum(path.stat().st_size for path in (folder / "there" / "images").rglob("*") if path.is_file())
    rates = {f"{name}_bytes_per_s": round(total / statistics.median(took)) for name, took in seconds.items()}
    return {
        "bytes": total,
        **rates,
        "media_ratio_to_cp_sync": round(rates["media_bytes_per_s"] / rates["cp_sync_bytes_per_s"], 3),
        "ratio_to_cp_sync": round(rates["publish_bytes_per_s"] / rates["cp_sync_bytes_per_s"], 3),
        "ratio_to_cp": round(rates["publish_bytes_per_s"] / rates["cp_bytes_per_s"], 3),
        "peak_mb": round(max(peaks), 1),
    }


def draw(folder: Path, images: int, size: int) -> None:
    """Noise that no PNG makes smaller, and a table of labels."""
    (folder / "images").mkdir(parents=True)
    lines = ["name,label"]
    for number in range(images):
        pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"n{number:05d}.png", compress_level=1)
        lines.append(f"n{number:05d},{('even', 'odd')[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
