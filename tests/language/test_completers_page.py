"""The page on completers says what the code does: every setting with its default, every completer, every reason."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from curate.language.completers import BUILT_IN
from curate.language.completers.batchfile import BatchFileOptions
from curate.language.completers.openai import FEWEST_IN_A_ROW, LONGEST_RETRY_AFTER_S, OpenAIOptions
from curate.language.pace import FIRST_WAIT_S, LONGEST_WAIT_S

PAGE = (Path(__file__).parents[2] / "docs" / "completers.md").read_text()
BLOCKS = [yaml.safe_load(block)["completer"] for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize(("name", "options"), [("openai", OpenAIOptions), ("batchfile", BatchFileOptions)])
def test_every_setting_stands_there_with_its_default(name: str, options: type[msgspec.Struct]) -> None:
    (block,) = [block for block in BLOCKS if block["name"] == name]
    said = {key: value for key, value in block.items() if key != "name"}
    assert list(said) == [field.name for field in msgspec.structs.fields(options)]
    made = msgspec.convert(said, options, strict=False)
    for field in msgspec.structs.fields(options):
        if not field.required and field.default is not msgspec.NODEFAULT:
            assert getattr(made, field.name) == field.default, field.name


def test_every_completer_is_named() -> None:
    assert set(BUILT_IN) == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"after 0 to {FIRST_WAIT_S:g} s" in PAGE
    assert f"at most {LONGEST_WAIT_S:g} s" in PAGE
    assert f"up to {LONGEST_RETRY_AFTER_S:g} s" in PAGE
    assert f"at\nleast {FEWEST_IN_A_ROW}" in PAGE
