"""A small source of drawn cells, made by hand in a moment: three patients, boxes and diagnoses, several buckets."""

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner
from PIL import Image

from curate.cli import cli
from tests.conftest import ROOT

KILLS = int(os.environ.get("CURATE_KILLS", "1"))
"""Multiplies the rounds of every loop that kills or damages: 1 for a test run, hundreds for a night."""

WIDTH, HEIGHT = 32, 24
LABELS = ("erythrocyte", "leukocyte", "platelet")

CARD: dict[str, Any] = {
    "id": "cells",
    "title": "Drawn cells",
    "source": {"home": "nowhere", "version": "1"},
    "terms": {"licence": "MIT", "quote": "MIT", "read_at": "LICENSE", "deidentified": True},
    "modality": "light microscopy",
    "images": {"glob": "images/*.png"},
    "labels": [
        {
            "layout": "table",
            "name": "diagnoses",
            "files": "labels.csv",
            "image": "images/{name}.png",
            "world": "exclusive",
            "columns": {"diagnosis": {"kind": "class"}},
            "concepts": {"anaemia": "anaemia", "healthy": "no abnormality"},
        },
        {
            "layout": "table",
            "name": "boxes",
            "files": "boxes.csv",
            "image": "images/{name}.png",
            "exhaustive": True,
            "box": {"columns": ["x1", "y1", "x2", "y2"], "label": "label", "convention": "xyxy"},
        },
    ],
    "subject": {"column": "patient"},
}

RECIPE: dict[str, Any] = {
    "name": "small",
    "sources": [{"card": "cells.yaml", "data": "cells"}],
    "tasks": ["label_caption", "count", "grounding"],
    "parts": {"items": 5},
}


@dataclass(frozen=True)
class World:
    """A folder with data, a card and a recipe."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "cells"

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    def out(self, name: str = "out") -> Path:
        return self.folder / name

    def write_card(self, **changes: Any) -> None:
        write_yaml(self.folder / "cells.yaml", CARD | changes)

    def write_recipe(self, **changes: Any) -> None:
        write_yaml(self.recipe, RECIPE | changes)

    def build(self, name: str = "out", *more: str) -> "Said":
        return curate("build", self.recipe, "--out", self.out(name), *more)

    def plan(self, name: str = "out") -> dict[str, list[str]]:
        """Part -> why it is not done; empty where there is nothing to do."""
        import json

        said = curate("plan", self.recipe, "--out", self.out(name), "--json")
        rows = json.loads(said.stdout)
        return {
            f"{row['stage']}/{row['bucket']}" if row["bucket"] is not None else row["stage"]: row["reasons"]
            for row in rows
            if row["state"] != "done"
        }


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


def small_world(folder: Path, images: int = 12) -> World:
    """Images `c00.png` and on, four to a patient."""
    world = World(folder)
    (world.data / "images").mkdir(parents=True)
    rows, boxes = [], []
    for number in range(images):
        name = f"c{number:02d}"
        draw(world.data / "images" / f"{name}.png", number)
        rows.append([name, f"p{number // 4}", "healthy" if number % 3 else "anaemia"])
        for place in range(number % 3 + 1):
            boxes.append([name, 2 + 5 * place, 3, 6 + 5 * place, 9, LABELS[(number + place) % 3]])
    write_csv(world.data / "labels.csv", ["name", "patient", "diagnosis"], rows)
    write_csv(world.data / "boxes.csv", ["name", "x1", "y1", "x2", "y2", "label"], boxes)
    age(world.data)
    world.write_card()
    world.write_recipe()
    return world


def draw(path: Path, seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """Noise, so that no two images are near each other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def age(folder: Path) -> None:
    """As if the data had lain there for a day: a file written a moment ago is never trusted by its time alone."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 86_400 * 10**9))


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_yaml(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def curate(*arguments: object) -> Said:
    """The command line, within this process; only its workers are processes of their own."""
    result = CliRunner(catch_exceptions=False).invoke(cli, [str(argument) for argument in arguments])
    return Said(result.exit_code, result.stdout, result.stderr)


def command(*arguments: object) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "tests.crash.run", *map(str, arguments)]


def run_apart(*arguments: object, environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> Said:
    """Run the command line as a process of its own and wait for it."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    return Said(done.returncode, done.stdout, done.stderr)


def tree(out: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder, hidden ones too."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def places(out: Path) -> dict[str, tuple[int, int]]:
    """Name -> inode and modification time: whether a file was touched at all."""
    return {
        path.relative_to(out).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
