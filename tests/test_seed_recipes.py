"""Every recipe that the page of systems names builds from sources at hand and is what it says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.build import build
from curate.catalog import query
from curate.check import check
from curate.phantom import write_phantoms
from curate.plan import load
from tests.conftest import ROOT

TABLE = (ROOT / "docs" / "seeds.md").read_text()
RECIPES = sorted(set(re.findall(r"^\|[^|]+\|[^|]+\| `([a-z0-9-]+\.yaml)` \|", TABLE, re.MULTILINE)))
LIMIT = 6


def test_a_system_is_built_where_it_has_a_recipe_and_next_where_it_has_none() -> None:
    lines = [line.split("|")[1:-1] for line in TABLE.splitlines() if line.startswith("| ") and line.count("|") == 6]
    told = {cells[0].strip(): (cells[2].strip(), cells[4].strip()) for cells in lines[1:] if "---" not in cells[0]}
    assert len(told) > 50
    for system, (recipe, state) in told.items():
        assert bool(recipe) == state.startswith("built"), system
    assert len(RECIPES) >= 30


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_tells_what_it_reproduces(recipe: str) -> None:
    header = re.match(r"(?:#.*\n)+", (ROOT / "pipelines" / recipe).read_text())
    assert header is not None
    assert len(header[0].splitlines()) >= 7
    for word in ("Known from", "Stand-in", "Difference"):
        assert word in header[0], f"{recipe} does not tell: {word}"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_builds_and_is_what_it_says(recipe: str, test_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    named = re.search(r"^sources: \[(.*)\]$", (ROOT / "pipelines" / recipe).read_text(), re.MULTILINE)
    assert named is not None
    sources = named[1].split(", ")
    drawn = tuple(source for source in sources if source.startswith("phantom-"))
    data.mkdir()
    if drawn:
        write_phantoms(data, images=12, only=drawn)
    for source in set(sources) - set(drawn):
        (data / source).symlink_to(test_data(source))
    path = ROOT / "pipelines" / recipe
    assert [source.id for source in load(path, data).sources] == sources
    build(path, tmp_path / "out", data, limit=LIMIT)
    assert check(tmp_path / "out").ok
    assert query(tmp_path / "out", "SELECT pair_id FROM pairs LIMIT 1").fetchall()
