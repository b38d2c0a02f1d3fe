"""verl's Parquet for reinforcement learning: a prompt, its pictures, and an answer that a program can check.

    verl/train-00000-of-00001.parquet

Keys are those of verl's data preparation: `data_source` (the source), `prompt` with one `<image>` per picture, `images`
with their bytes, `ability` (the task), `reward_model` of `style` `rule` and `ground_truth`, and `extra_info`, whose
`answer_form` says how to compare: `closed` (yes, no), `choice` (a letter), `class` (a name out of `options`), `count`,
`grade`, `boxes` and `points` (JSON, in pixels of the picture). Rows without such an answer, such as captions, are left
out and counted, and so are rows that show videos or volumes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final

import pyarrow as pa

from curate.publish.base import FormatOptions, Release, Row, Writer, Written
from curate.publish.formats.embedding import (
    IMAGE,
    MESSAGES,
    STRING,
    STRINGS,
    Column,
    ShardOptions,
    messages_of,
    not_pictures,
    write_pictures,
)
from curate.publish.formats.sheets import turns
from curate.publish.truth import Truth, truth

__all__ = ["Verl"]

_NOT_CHECKABLE: Final = "no program can tell its right answer from a wrong one"
_EXTRA: Final = ("split", "pair_id", "source", "licence", "question", "answer", "answer_form")
_COLUMNS: Final = (
    Column("data_source", *STRING),
    Column("prompt", *MESSAGES),
    Column("images", *IMAGE),
    Column("ability", *STRING),
    Column(
        "reward_model",
        pa.struct([pa.field("style", pa.string()), pa.field("ground_truth", pa.string())]),
        {"style": STRING[1], "ground_truth": STRING[1]},
    ),
    Column(
        "extra_info",
        pa.struct(
            [
                pa.field("index", pa.int64()),
                *(pa.field(name, pa.string()) for name in _EXTRA),
                pa.field("options", STRINGS[0]),
            ]
        ),
        {
            "index": {"dtype": "int64", "_type": "Value"},
            **dict.fromkeys(_EXTRA, STRING[1]),
            "options": STRINGS[1],
        },
    ),
)


class Verl:
    """What verl's `RLHFDataset` reads."""

    name: ClassVar[str] = "verl"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = ShardOptions

    def __init__(self, options: ShardOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One set of files per split."""
        return write_pictures(
            release, writer, self.name, _COLUMNS, partial(_rendered, release), shard_bytes=self.options.shard_bytes
        )


def _rendered(release: Release, split: str, left_out: Counter[str]) -> Iterator[tuple[Row, Mapping[str, Any] | None]]:
    number = 0
    vocabularies = {source: release.vocabulary(source) for source in release.cards}
    for row, subjects in release.annotated(split):
        why_not = not_pictures(row)
        if why_not is not None:
            left_out[why_not] += 1
            continue
        known = truth(row, subjects, vocabularies[row.source])
        if known is None:
            left_out[_NOT_CHECKABLE] += 1
            yield row, None
        else:
            yield row, _cells(row, known, number)
            number += 1


def _cells(row: Row, known: Truth, number: int) -> dict[str, Any]:
    return {
        "data_source": row.source,
        "prompt": messages_of(turns(row)[:-1]),
        "ability": row.task,
        "reward_model": {"style": "rule", "ground_truth": known.value},
        "extra_info": {
            "index": number,
            "split": row.split,
            "pair_id": row.pair_id,
            "source": row.source,
            "licence": row.licence,
            "question": row.question,
            "answer": row.answer,
            "answer_form": str(known.form),
            "options": list(known.options),
        },
    }
