"""TRL's forms: conversations in parts, and `images` with their bytes.

    trl/train-00000-of-00001.parquet

The preference form has `prompt`, `chosen` and `rejected`; rows for which no answer can be proved to be false are left
out. The form for supervised fine-tuning has `messages`. The first question has one part `{"type": "image"}` per picture
and then its text, in which no token stands for them: TRL puts one there. It trains on pictures: rows that show videos
or volumes are left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Literal

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
from curate.publish.formats.sheets import opening, turns

__all__ = ["Trl"]

_PARTS: Final = pa.list_(pa.struct([pa.field("type", pa.string()), pa.field("text", pa.string())]))
_TURNS: Final = (
    pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", _PARTS)])),
    [{"role": STRING[1], "content": [{"type": STRING[1], "text": STRING[1]}]}],
)
_PREFERENCE: Final = (
    Column("prompt", *_TURNS),
    Column("chosen", *_TURNS),
    Column("rejected", *_TURNS),
    Column("images", *IMAGE),
)
_SFT: Final = (Column("messages", *_TURNS), Column("images", *IMAGE))


class TrlOptions(ShardOptions, frozen=True):
    """`form`: which of TRL's trainers reads it, `DPOTrainer` or `SFTTrainer`."""

    form: Literal["preference", "sft"] = "preference"


class Trl:
    """What `DPOTrainer` reads, or `SFTTrainer`."""

    name: ClassVar[str] = "trl"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = TrlOptions

    def __init__(self, options: TrlOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One set of files per split."""
        preference = self.options.form == "preference"
        return write_pictures(
            release,
            writer,
            self.name,
            _PREFERENCE if preference else _SFT,
            partial(_pairs, release, survey(release)) if preference else partial(_conversations, release),
            shard_bytes=self.options.shard_bytes,
        )


def _conversations(
    release: Release, split: str, left_out: Counter[str]
) -> Iterator[tuple[Row, Mapping[str, Any] | None]]:
    for row in release.rows(split):
        why_not = not_pictures(row)
        if why_not is not None:
            left_out[why_not] += 1
            continue
        said = turns(row)
        first = next(at for at, (role, _) in enumerate(said) if role == "user")
        messages = [_turn(role, text) for role, text in said]
        messages[first] = _asked(row, said[first][1].removeprefix(opening(row)))
        yield row, {"messages": messages}


def _pairs(
    release: Release, seen: Seen, split: str, left_out: Counter[str]
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
                    "prompt": [_asked(row, row.question)],
                    "chosen": [_turn("assistant", row.answer)],
                    "rejected": [_turn("assistant", contrast.text)],
                },
            )


def _asked(row: Row, text: str) -> dict[str, Any]:
    pictures = [{"type": "image", "text": None} for _ in row.media]
    return {"role": "user", "content": [*pictures, *_turn("user", text)["content"]]}


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
