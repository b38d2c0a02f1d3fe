"""The demo does what the README shows."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.cli import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The quickstart corpus, and what its build printed."""
    folder = tmp_path_factory.mktemp("demo")
    run("phantom", folder / "phantoms")
    said = run("build", ROOT / "pipelines" / "quickstart.yaml", "--data", folder / "phantoms", "--out", folder / "out")
    return folder / "out", said


def run(*words: object) -> str:
    answer = CliRunner().invoke(cli, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_ledger_in_the_readme_is_the_one_that_the_demo_prints(corpus: tuple[Path, str]) -> None:
    (block,) = re.findall(r"```\n(stage   source.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    printed = {" ".join(line.split()) for line in corpus[1].splitlines()}
    quoted = [" ".join(line.split()) for line in block.splitlines() if line != "..."]
    assert len(quoted) > 5
    assert [line for line in quoted if line not in printed] == []


def test_the_demo_is_what_it_says(corpus: tuple[Path, str]) -> None:
    assert "is what it says" in run("check", corpus[0])


def test_the_tour_leads_through_the_demo(corpus: tuple[Path, str]) -> None:
    tour = re.findall(r"^curate (query|why|rejects) build/quickstart ?(.*?)(?:  +#.*)?$", _readme(), flags=re.MULTILINE)
    assert len(tour) >= 3
    (pair,) = re.findall(r"[0-9a-f]{64}", run("query", corpus[0], "SELECT min(pair_id) AS pair FROM pairs", "--json"))
    for name, words in tour:
        argument = words.strip().strip('"').replace("PAIR_ID", pair)
        assert run(name, corpus[0], *([argument] if argument else []))


def _readme() -> str:
    return (ROOT / "README.md").read_text()
