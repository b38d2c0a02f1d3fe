"""How the rows of a release are loaded, in code: one block per format that was written, by what its files are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from curate.publish.base import File, Written
from curate.publish.front_matter import card_configs
from curate.publish.markdown import count, plain, table

__all__ = ["loading"]

_BY_SUFFIX: Final[Mapping[str, str]] = {
    "parquet": "import polars\n\nrows = polars.read_parquet(\"{path}\")",
    "jsonl": "import json\n\nwith open(\"{path}\", encoding=\"utf-8\") as file:\n"
    "    rows = [json.loads(line) for line in file]",
    "json": "import json\n\nwith open(\"{path}\", encoding=\"utf-8\") as file:\n    rows = json.load(file)",
    "tsv": "import csv\n\ncsv.field_size_limit(2**31 - 1)\n"
    "with open(\"{path}\", encoding=\"utf-8\", newline=\"\") as file:\n"
    "    rows = list(csv.DictReader(file, delimiter=\"\\t\"))",
    "tar": "import webdataset\n\nrows = webdataset.WebDataset(\"{path}\", shardshuffle=False)",
}  # fmt: skip
"""Suffix of a data file: what reads one. They are run by the tests."""


def loading(written: Sequence[Written], files: Sequence[File]) -> str:
    """The whole section: what was written, and code for each format."""
    return "\n\n".join(_parts(written, files))


def _parts(written: Sequence[Written], files: Sequence[File]) -> Iterator[str]:
    yield table(("format", "rows", "left out"), [
        (f"`{one.format}`", one.rows, sum(left.rows for left in one.left_out)) for one in written
    ])  # fmt: skip
    reasons = [(f"`{one.format}`", plain(left.reason), left.rows) for one in written for left in one.left_out]
    if reasons:
        yield "What a format could not take:"
        yield table(("format", "reason", "rows"), reasons)
    names = card_configs(written)
    if names:
        name, config = names[0]
        split = next(iter(config.data_files))
        yield (
            "With `datasets`, from this folder, or from a repository of the Hub by its name (configurations: "
            f"{', '.join(f'`{name}`' for name, _ in names)}):"
        )
        yield _code(
            "from pathlib import Path\n\nimport datasets\n\n"
            f'rows = datasets.load_dataset(str(Path.cwd()), "{name}", split="{split}")'
        )
    for one in written:
        data = [file for file in files if file.path.startswith(f"{one.format}/") and file.rows]
        found = next(((file, _suffix(file)) for file in data if _suffix(file) in _BY_SUFFIX), None)
        if found is not None:
            file, suffix = found
            yield f"`{one.format}`, {count(len(data))} files with rows; paths in rows are relative to this folder:"
            yield _code(_BY_SUFFIX[suffix].format(path=file.path))


def _suffix(file: File) -> str:
    return file.path.rpartition(".")[2]


def _code(text: str) -> str:
    return f"```python\n{text}\n```"
