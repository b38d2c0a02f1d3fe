"""The page on training formats says what the code writes."""

import json
import re
from pathlib import Path

import pytest

from curate.publish.base import Release
from curate.publish.coordinates import DialectOptions, in_dialect
from curate.publish.dialects import DIALECTS, MODEL_FAMILIES
from curate.publish.formats import formats_of
from curate.publish.writing import Staging
from tests.publish.consumers import shape
from tests.publish.rows_by_hand import located

PAGE = (Path(__file__).parents[2] / "docs" / "training-formats.md").read_text("utf-8")
FILES = {
    "llava": "llava/train.json",
    "sharegpt": "sharegpt/train.json",
    "openai": "openai/train.jsonl",
    "ms-swift": "ms-swift/train_grounding.jsonl",
}


def section(name: str) -> str:
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize("name", FILES)
def test_the_example_has_the_keys_of_what_is_written(name: str, release: Release, tmp_path: Path) -> None:
    example = re.search(r"```json\n(.*?)```", section(name), re.DOTALL)
    assert example is not None
    shown = json.loads(example[1])
    formats_of([name])[0].write(release, Staging(tmp_path))
    text = (tmp_path / FILES[name]).read_text("utf-8")
    rows = [json.loads(line.rstrip(",")) for line in text.splitlines() if line.startswith("{")]
    assert shape(shown) in [shape(one) for one in rows]
    assert list(shown) == list(rows[0])


def test_the_table_of_dialects_says_how_a_box_is_written() -> None:
    told = dict(
        re.findall(r"^\| `([^`]+)`(?: \(default\))? \|[^|]*\| `([^`]+)` \|$", section("Coordinates"), re.MULTILINE)
    )
    assert set(told) == set(DIALECTS)
    for dialect in DIALECTS:
        one = in_dialect(located("[[220, 389, 340, 464]]"), DialectOptions(dialect=dialect))
        assert not isinstance(one, str)
        assert one.answer in (f"[{told[dialect]}]", told[dialect])


def test_the_table_names_every_model_family() -> None:
    for family, dialect in MODEL_FAMILIES.items():
        line = next(line for line in section("Coordinates").splitlines() if line.startswith(f"| `{dialect}`"))
        assert f"`{family}`" in line


def test_the_command_names_formats_that_are_known() -> None:
    command = re.search(r"curate publish .*", PAGE)
    assert command is not None
    assert formats_of(re.findall(r"--format (\S+)", command[0]))
