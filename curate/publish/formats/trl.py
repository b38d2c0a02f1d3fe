"""TRL's preference form: `prompt`, `chosen`, `rejected` as conversations in parts, and `images` with their bytes.

    trl/train-00000-of-00001.parquet

A prompt has one part `{"type": "image"}` per picture and then its text. TRL trains on pictures: rows that show videos
or volumes are left out, and so are rows for which no answer can be proved to be false.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import pyarrow as pa

from curate.publish.base import Config, FormatOptions, LeftOut, Release, Row, Writer, Written
from curate.publish.contrast import NOT_PROVED, Seen, contrasts, survey
from curate.publish.formats.embedding import (
    IMAGE,
    SHARD_BYTES,
    STRING,
    Column,
    Embedded,
    not_pictures,
    sizes_of,
    write_shards,
    yaml_features,
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


class TrlOptions(FormatOptions, frozen=True):
    """`shard_bytes`: about how many bytes of media lie in one file."""

    shard_bytes: int = SHARD_BYTES


class Trl:
    """What `DPOTrainer` reads."""

    name: ClassVar[str] = "trl"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = TrlOptions

    def __init__(self, options: TrlOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One set of files per split."""
        sizes, seen = sizes_of(release), survey(release)
        left_out: Counter[str] = Counter()
        for split in release.splits:
            table = Embedded(self.name, split, _COLUMNS, not_pictures, self.options.shard_bytes)
            write_shards(release, writer, table, sizes, _rendered(release, split, seen, left_out))
        config = Config(
            name=self.name,
            data_files={split: f"{self.name}/{split}-*.parquet" for split in release.splits},
            features=yaml_features(_COLUMNS),
        )
        return Written(
            format=self.name,
            rows=sum(release.rows_in.values()) - left_out.total(),
            left_out=LeftOut.of(left_out),
            configs=(config,),
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
