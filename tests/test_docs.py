"""The pages for first-time users run as they are written, in an empty folder."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

CURATE = [sys.executable, "-c", "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"]
_BLOCK = re.compile(r"^```(sh|yaml (?P<file>\S+))\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str | None, str]]:
    """What a page has its reader do, in order: a file to write with its text, or None and a line to type."""
    for found in _BLOCK.finditer((ROOT / "docs" / page).read_text()):
        if found["file"]:
            yield found["file"], found["text"]
        else:
            yield from ((None, line) for line in found["text"].splitlines() if line.strip())


@pytest.mark.slow
@pytest.mark.parametrize("page", ["quickstart.md", "your-own-dataset.md"])
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    typed = 0
    for file, text in steps(page):
        if file is not None:
            (tmp_path / file).write_text(text)
            continue
        words = shlex.split(text)
        command = [*CURATE, *words[1:]] if words[0] == "curate" else words
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        typed += 1
    assert typed >= 8
    assert (tmp_path / "release" / "MANIFEST.json").exists()
    assert (tmp_path / "release" / "README.md").exists()
