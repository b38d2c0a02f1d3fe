"""The plainest format that names media by their path: one line of JSON per row, one file per split."""

from typing import Any, ClassVar

import msgspec

from curate.publish.base import FormatOptions, Release, Writer, Written


class Options(FormatOptions, frozen=True):
    """None."""


class Plain:
    """See above."""

    name: ClassVar[str] = "plain"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = Options

    def __init__(self, options: Any = None) -> None:
        self.options = options or Options()

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        for split in release.splits:
            path = f"{self.name}/{split}.jsonl"
            with writer.create(path) as file:
                for row in release.rows(split):
                    plain = {
                        "id": row.pair_id,
                        "media": [medium.path for medium in row.media],
                        "messages": msgspec.to_builtins(row.messages),
                    }
                    file.write(msgspec.json.encode(plain) + b"\n")
            writer.count(path, release.rows_in[split])
        return Written(format=self.name, rows=sum(release.rows_in.values()))
