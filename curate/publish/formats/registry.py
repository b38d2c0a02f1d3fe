"""`dataset_info.json`, in which LLaMA-Factory looks up what a file of rows is called and how its keys are named."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from curate.publish.base import Release, Writer
from curate.publish.formats.sheets import MEDIA_KEYS, Sheets

__all__ = ["REGISTRY", "register"]

REGISTRY: Final = "dataset_info.json"
_PLAIN: Final = re.compile(r"[^0-9A-Za-z_]+")


def register(
    sheets: Sheets, release: Release, writer: Writer, *, folder: str, messages: str, tags: Mapping[str, str]
) -> None:
    """Write the entries of all files of a release: `<release>_<split>`, and its parts (`sheets.kind_of`).

    Names are letters, digits and underscores, because the command line separates data sets by commas. `messages` is the
    key of the turns, `tags` how roles are called in them.
    """
    entries: dict[str, Any] = {}
    for part, split in sorted(sheets.rows):
        entries[_PLAIN.sub("_", f"{release.name}_{split}{part and f'_{part}'}")] = {
            "file_name": sheets.path(part, split).removeprefix(f"{folder}/"),
            "formatting": "sharegpt",
            "columns": {"messages": messages, **{key: key for key in MEDIA_KEYS[part]}},
            "tags": dict(tags),
        }
    with writer.create(f"{folder}/{REGISTRY}") as file:
        file.write(json.dumps(entries, ensure_ascii=False, indent=2).encode() + b"\n")
