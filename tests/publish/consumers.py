"""Those who read what a format wrote: `datasets`, our own record checks, and comparisons with published records."""

from collections import Counter
from pathlib import Path
from typing import Any

from curate.publish.base import Release
from curate.published import check_records

ABOUT_THE_CORPUS = frozenset({
    "label_balance", "repeated_answer", "repeated_row", "unsupported_side", "small_stratum",
})  # fmt: skip
"""Rules that judge what a corpus says, which no format changes."""


def defects(release: Release, folder: Path, media: Path | None = None) -> dict[str, int]:
    """What our record checks hold against files of records: rows by rule."""
    found: Counter[str] = Counter()
    for finding in check_records([folder], images=media).findings:
        if finding.rule not in ABOUT_THE_CORPUS:
            found[finding.rule] += finding.count
    return dict(found)


def with_media(release: Release, folder: Path) -> None:
    """The media of a release as files, as the publisher lays them down."""
    for medium, data in release.medium_bytes(one for one in release.media() if not one.is_volume):
        path = folder / medium.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def load_json(*paths: Path) -> Any:
    """Rows as the JSON loader of `datasets` gives them."""
    import datasets

    cache = paths[0].parent / ".cache"
    return datasets.load_dataset("json", data_files=[str(path) for path in paths], split="train", cache_dir=str(cache))


def shape(value: Any) -> Any:
    """Keys and types of a value of JSON, without what it says."""
    if isinstance(value, dict):
        return {key: shape(held) for key, held in value.items()}
    if isinstance(value, list):
        shapes = [shape(one) for one in value]
        return [one for at, one in enumerate(shapes) if one not in shapes[:at]]
    return type(value).__name__
