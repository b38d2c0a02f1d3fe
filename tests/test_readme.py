"""What the README and the house page say is so."""

import re
from pathlib import Path

import pytest

from curate.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    shown = set(re.findall(r"^\s*(?:\.venv/bin/)?curate ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
    assert shown <= set(cli.commands)


def test_every_room_of_the_house_page_is_there_and_none_is_missing() -> None:
    named = set(re.findall(r"`([a-z0-9_]+(?:/|\.py))`", (ROOT / "docs" / "house.md").read_text()))
    inside = [path for path in (ROOT / "curate").iterdir() if not path.name.startswith("_")]
    rooms = {path.name + ("/" if path.is_dir() else "") for path in inside}
    assert rooms - {"py.typed", "dicom_names.yaml"} - named == set()
    assert {name for name in named if name not in rooms} <= {"base.py"}


def test_make_has_the_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_no_file_names_the_folder_that_it_was_written_in() -> None:
    for folder in ("curate", "catalogs", "pipelines", "schemas", "docs", "bench", "tests", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".yaml", ".json", ".md", ".toml", ""}:
                assert str(ROOT) not in path.read_text(errors="replace"), path
