"""TRL's preference form: `prompt`, `chosen`, `rejected` as conversations in parts, and `images` with their bytes.

    trl/train-00000-of-00001.parquet

A prompt has one part `{"type": "image"}` per picture and then its text. TRL trains on pictures: rows that show videos
or volumes are left out, and so are rows for which no answer can be proved to be false.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import pyarrow as pa

from curate.publish.base import FormatOptions, Release, Row, Writer, Written
from curate.publish.contrast import NOT_PROVED, Seen, contrasts, survey
from curate.publish.formats.embedding import (
    IMAGE,
    STRING,
    Column,
    ShardOptions,
    not_pictures,
    write_pictures,
)

__all__ = ["Trl"]

_PARTS: Final = pa.list_(pa.struct([pa.field("type", pa.string()), pa.field("text", pa.string())]))
_TURNS: Final = (
    pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", _PARTS)])),
    [{"role": STRING[1], "content": [{"type": STRING[1], "text": STRING[1]}]}],
)
_COLUMNS: Final = (
    Column("prompt", *_TURNS),
    Column("chosen", *_TURNS),
    Column("rejected", *_TURNS),
    Column("images", *IMAGE),
)


class Trl:
    """What `DPOTrainer` reads."""

    name: ClassVar[str] = "trl"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = ShardOptions

    def __init__(self, options: ShardOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One set of files per split."""
        seen = survey(release)
        return write_pictures(
            release,
            writer,
            self.name,
            _COLUMNS,
            lambda split, left_out: _rendered(release, split, seen, left_out),
            shard_bytes=self.options.shard_bytes,
        )


def _rendered(
    release: Release, split: str, seen: Seen, left_out: Counter[str]
) -> Iterator[tuple[Row, Mapping[str, Any] | None]]:
    for row, contrast in contrasts(release, split, seen):
        why_not = not_pictures(row)
        if why_not is not None:
            left_out[why_not] += 1
        elif contrast is None:
            left_out[NOT_PROVED] += 1
            yield row, None
        else:
            yield (
                row,
                {
                    "prompt": [_prompt(row)],
                    "chosen": [_turn("assistant", row.answer)],
                    "rejected": [_turn("assistant", contrast.text)],
                },
            )


def _prompt(row: Row) -> dict[str, Any]:
    pictures = [{"type": "image", "text": None} for _ in row.media]
    return {"role": "user", "content": [*pictures, *_turn("user", row.question)["content"]]}


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
