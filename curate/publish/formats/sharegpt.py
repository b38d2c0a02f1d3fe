"""ShareGPT for LLaMA-Factory: `conversations` of `from` and `value`, media in lists, and a `dataset_info.json`.

Train with `dataset_dir: <release>/sharegpt`, `media_dir: <release>` and `dataset: <release>_train`. Rows with videos
lie in `<split>_video.json`, those with both kinds of media in `_mixed`, those with none in `_text`: each file has the
keys that its rows need, and the registry names them. Source: LLaMA-Factory, data/README.md; its converter wants turns
of user and assistant in alternation after an optional system turn, and its plug-ins as many `<image>` as images over
all turns.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from curate.publish.base import FormatOptions, Release, Row, Writer, Written
from curate.publish.coordinates import DialectOptions
from curate.publish.formats.registry import register
from curate.publish.formats.sheets import alternate, kind_of, media_lists, render, turns

__all__ = ["ShareGpt", "ShareGptOptions"]

_FROM: Final = {"user": "human", "assistant": "gpt", "system": "system"}
_TAGS: Final = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "system_tag": "system",
}


class ShareGptOptions(DialectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dialect of coordinates."""


class ShareGpt:
    """See the module."""

    name: ClassVar[str] = "sharegpt"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = ShareGptOptions

    def __init__(self, options: ShareGptOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        return render(
            release,
            writer,
            name=self.name,
            kind="json",
            options=self.options,
            make=self._row,
            register=lambda sheets: register(
                sheets, release, writer, folder=self.name, messages="conversations", tags=_TAGS
            ),
        )

    def _row(self, row: Row) -> tuple[str, Mapping[str, Any]] | str:
        if not alternate(row):
            return "turns that do not alternate between user and assistant"
        told: dict[str, Any] = {"id": row.pair_id, "task": row.task, **media_lists(row)}
        told["conversations"] = [{"from": _FROM[role], "value": text} for role, text in turns(row)]
        return kind_of(row), told
