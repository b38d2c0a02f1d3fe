"""Twenty broken or hostile sources in one build: every one becomes rows in rejects, none harms another."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.crash.small import CARD, Said, age, curate, run_apart, tree, write_yaml
from tests.hostile.sources import SECRET, SOURCES, WANTED


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """The output of the one build, and what the command said."""
    folder = tmp_path_factory.mktemp("hostile")
    write_world(folder, list(SOURCES), paths_identify=False)
    out = folder / "out"
    return out, run_apart("build", folder / "hostile.yaml", "--data", folder / "data", "--out", out, "-j", "2")


def write_world(folder: Path, names: list[str], *, paths_identify: bool) -> None:
    """The data, a card each, and one recipe."""
    for name in names:
        root = folder / "data" / name
        root.mkdir(parents=True)
        plain: dict[str, Any] = {"images": {"glob": "*.png"}, "labels": [], "subject": {"none": "a test"}}
        card = CARD | plain | SOURCES[name](root) | {"id": name, "paths_identify": paths_identify}
        write_yaml(folder / f"{name}.yaml", card)
        age(root)
    recipe = {
        "name": "hostile",
        "sources": [{"card": f"{name}.yaml"} for name in names],
        "tasks": ["label_caption", "count", "grounding", "source_qa", "closed_vqa", "open_vqa"],
        "limits": {"rejects": 1.0},
    }
    write_yaml(folder / "hostile.yaml", recipe)


@pytest.fixture(scope="module")
def rejects(built: tuple[Path, Said]) -> list[dict[str, Any]]:
    """Every row of rejects."""
    rows: list[dict[str, Any]] = json.loads(curate("rejects", built[0], "--list", "--json").stdout)
    return rows


def test_the_build_comes_to_its_end(built: tuple[Path, Said]) -> None:
    _, said = built
    assert "Traceback" not in said.text
    shortfalls = [line for line in said.stdout.splitlines() if line.startswith("FAILED")]
    assert said.code == 0, said.stderr + "\n".join(shortfalls)


@pytest.mark.parametrize("source", list(SOURCES))
def test_each_fault_is_a_row_in_rejects(source: str, rejects: list[dict[str, Any]]) -> None:
    reasons = {row["reason"] for row in rejects if row["source"] == source}
    assert reasons >= WANTED[source], f"{source}: {sorted(WANTED[source] - reasons)} is missing from {sorted(reasons)}"
    environmental = [row for row in rejects if row["environmental"]]
    assert environmental == []  # deterministic caps come first


def assets(out: Path) -> dict[str, int]:
    """Source -> assets that were delivered."""
    said = curate("query", out, "SELECT source, count(*) AS n FROM assets GROUP BY ALL", "--json")
    return {row["source"]: row["n"] for row in json.loads(said.stdout)}


def test_what_was_healthy_is_there(built: tuple[Path, Said]) -> None:
    counts = assets(built[0])
    assert set(counts) == set(SOURCES) - {"headers"}
    assert counts["yolo"] == 6
    assert counts["masks"] == 2


def test_the_corpus_is_what_it_says(built: tuple[Path, Said]) -> None:
    said = curate("check", built[0])
    assert said.code == 0, said.text


def test_no_output_holds_a_path_of_this_machine_or_a_refused_cell(built: tuple[Path, Said]) -> None:
    out, said = built
    texts = [*(f"{row}" for row in _rows(out)), said.text]
    for name in tree(out):
        data = (out / name).read_bytes()
        assert str(out.parent).encode() not in data, name
        if not name.startswith("images/"):
            assert SECRET.encode() not in data, name
    assert not [text for text in texts if str(out.parent) in text.replace(str(out), "")]
    assert not [text for text in texts if SECRET in text]


def _rows(out: Path) -> list[Any]:
    """Every row of every table but images, as Python values: Parquet is compressed, so bytes alone prove nothing."""
    import pyarrow.parquet as pq

    return [
        row
        for path in out.rglob("*.parquet")
        if path.parent.parent.name != "images"
        for row in pq.read_table(path).to_pylist()
    ]


def test_nothing_was_written_outside_the_output(built: tuple[Path, Said]) -> None:
    folder = built[0].parent
    assert not list(folder.rglob("escaped*"))
    assert not list(folder.rglob("climbs*"))
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} <= {".out.cache"}


def test_cards_that_hide_paths_deliver_the_same_and_show_no_name(tmp_path: Path, built: tuple[Path, Said]) -> None:
    names = ["zips", "tars", "parquet", "masks", "yolo", "table"]
    write_world(tmp_path, names, paths_identify=True)
    out = tmp_path / "out"
    said = run_apart("build", tmp_path / "hostile.yaml", "--data", tmp_path / "data", "--out", out, "-j", "2")
    assert said.code == 0, said.text
    plain = assets(built[0])
    assert assets(out) == {name: plain[name] for name in names}
    hidden = ("good.png", "slip.zip", "odd.tar", "some.parquet", "a_1.png", "i1.txt")
    assert not [row for row in map(str, _rows(out)) for name in hidden if name in row]
    said = run_apart("plan", tmp_path / "hostile.yaml", "--data", tmp_path / "data", "--out", out)
    assert said.stdout.splitlines()[-1].endswith("Nothing to do.")


def test_a_hostile_source_is_built_once_and_then_left_alone(built: tuple[Path, Said]) -> None:
    folder = built[0].parent
    shutil.rmtree(folder / ".out.cache")
    said = curate("plan", folder / "hostile.yaml", "--data", folder / "data", "--out", built[0])
    assert said.stdout.splitlines()[-1].endswith("Nothing to do."), said.stdout
