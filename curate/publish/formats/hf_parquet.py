"""Hugging Face Parquet: pictures with their bytes, one configuration for pictures and one for videos.

    hf-parquet/data/images/train-00000-of-00002.parquet     rows that show pictures
    hf-parquet/data/videos/train-00000-of-00001.parquet     rows that show videos

Every file states its features in the metadata key `huggingface`, so that `datasets` needs nothing else; the card of a
repository repeats them per configuration (`Written.configs`). A row whose medium is a volume is left out: it is no
file. Ten rows of one picture hold its bytes once per row group, see `embedding`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from curate.publish.base import Config, FormatOptions, LeftOut, Release, Row, Writer, Written
from curate.publish.formats.embedding import (
    IMAGE,
    MESSAGES,
    STRING,
    STRINGS,
    VIDEO,
    Column,
    Embedded,
    ShardOptions,
    messages_of,
    not_pictures,
    not_videos,
    sizes_of,
    write_shards,
    yaml_features,
)
from curate.publish.formats.sheets import turns, unfit

__all__ = ["HfParquet"]

_MIXED: Final = "pictures and videos in one row"
_PLAIN: Final = ("task", "source", "language", "origin", "licence")


def _columns(name: str, media: tuple[Any, Any]) -> tuple[Column, ...]:
    return (
        Column("pair_id", *STRING),
        Column(name, *media),
        Column("messages", *MESSAGES),
        *(Column(plain, *STRING) for plain in _PLAIN),
        Column("annotation_ids", *STRINGS),
    )


_CONFIGS: Final = {
    "images": (_columns("images", IMAGE), not_pictures),
    "videos": (_columns("videos", VIDEO), not_videos),
}


class HfParquet:
    """Parquet that `datasets`, Polars and DuckDB read as it lies there."""

    name: ClassVar[str] = "hf-parquet"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = ShardOptions

    def __init__(self, options: ShardOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One set of files per configuration and split that has rows."""
        sizes = sizes_of(release)
        held: Counter[tuple[str, str]] = Counter()
        left_out: Counter[str] = Counter()
        for row in release.rows():
            config = _config(row)
            if config is None:
                left_out[unfit(row) or _MIXED] += 1
            else:
                held[config, row.split] += 1
        configs: list[Config] = []
        for name, (columns, why_not) in _CONFIGS.items():
            folder = f"{self.name}/data/{name}"
            splits = [split for split in release.splits if held[name, split]]
            for split in splits:
                table = Embedded(folder, split, columns, why_not, self.options.shard_bytes)
                write_shards(release, writer, table, sizes, _rendered(release, table))
            if splits:
                configs.append(
                    Config(
                        name=name,
                        data_files={split: f"{folder}/{split}-*.parquet" for split in splits},
                        features=yaml_features(columns),
                        default=not configs,
                    )
                )
        return Written(
            format=self.name,
            rows=held.total(),
            left_out=LeftOut.of(left_out),
            configs=tuple(configs),
        )


def _config(row: Row) -> str | None:
    return next((name for name, (_, why_not) in _CONFIGS.items() if why_not(row) is None), None)


def _rendered(release: Release, table: Embedded) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    for row in release.rows(table.split):
        if table.unfit(row) is None:
            yield (
                row,
                {
                    "pair_id": row.pair_id,
                    "messages": messages_of(turns(row)),
                    "annotation_ids": list(row.annotation_ids),
                    **{name: str(getattr(row, name)) for name in _PLAIN},
                },
            )
