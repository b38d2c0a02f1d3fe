"""Messages of `role` and `content` as OpenAI's chat format has them, in three forms.

`parts` (default), JSON lines: content is a list of parts in every turn, so that it has one type: text, and by
`media_keys` either OpenAI's own `image_url` (also `video_url`, as servers of open models read it) or Qwen's `image` and
`video`. `urls: data` holds media within the file as data URLs; then it needs nothing beside it, at 4/3 of their size.
`llama-factory`, a JSON list: content is text with `<image>` tokens, media in lists, and a `dataset_info.json` with the
tags `role` and `content` (see `sharegpt` for how to train with it, and for which rows lie in files of their own).
Sources: OpenAI's guide to vision fine-tuning, Qwen2.5-VL's README, LLaMA-Factory's data/README.md.
"""

import base64
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from curate.errors import UsageError
from curate.publish.base import FormatOptions, Medium, Release, Row, Writer, Written
from curate.publish.coordinates import DialectOptions
from curate.publish.formats.registry import register
from curate.publish.formats.sheets import alternate, kind_of, media_lists, opening, render, turns

__all__ = ["OpenAi", "OpenAiOptions"]

_TAGS: Final = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


class OpenAiOptions(DialectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`layout`: parts, or text for LLaMA-Factory. `media_keys`, `urls`: of parts; Qwen's keys take paths."""

    layout: Literal["parts", "llama-factory"] = "parts"
    media_keys: Literal["openai", "qwen"] = "openai"
    urls: Literal["paths", "data"] = "paths"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout == "llama-factory" and (self.urls == "data" or self.media_keys == "qwen"):
            raise UsageError("format openai: `urls: data` and `media_keys: qwen` belong to the layout `parts`")


class OpenAi:
    """See the module."""

    name: ClassVar[str] = "openai"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = OpenAiOptions

    def __init__(self, options: OpenAiOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        if self.options.layout == "llama-factory":
            return render(
                release,
                writer,
                name=self.name,
                kind="json",
                options=self.options,
                make=_with_tokens,
                register=lambda sheets: register(
                    sheets, release, writer, folder=self.name, messages="messages", tags=_TAGS
                ),
            )
        address = _data_urls(release) if self.options.urls == "data" else lambda medium: medium.path
        return render(
            release,
            writer,
            name=self.name,
            kind="jsonl",
            options=self.options,
            make=lambda row: (kind_of(row), {"messages": list(self._messages(row, address))}),
        )

    def _messages(self, row: Row, address: Callable[[Medium], str]) -> Iterator[Mapping[str, Any]]:
        waiting = opening(row)
        for role, text in turns(row):
            parts: list[Mapping[str, Any]] = []
            said = text
            if role == "user" and waiting:
                parts += [self._part(medium, address(medium)) for medium in row.media]
                said, waiting = text.removeprefix(waiting), ""
            yield {"role": role, "content": [*parts, {"type": "text", "text": said}]}

    def _part(self, medium: Medium, address: str) -> Mapping[str, Any]:
        kind = "video" if medium.is_video else "image"
        if self.options.media_keys == "qwen":
            return {"type": kind, kind: address}
        return {"type": f"{kind}_url", f"{kind}_url": {"url": address}}


def _with_tokens(row: Row) -> tuple[str, Mapping[str, Any]] | str:
    if not alternate(row):
        return "turns that do not alternate between user and assistant"
    messages = [{"role": role, "content": text} for role, text in turns(row)]
    return kind_of(row), {"messages": messages, **media_lists(row)}


def _data_urls(release: Release) -> Callable[[Medium], str]:
    """The bytes of media as data URLs, asked for in the order of the rows; the last one is kept."""
    wanted: deque[Medium] = deque()

    def asked() -> Iterator[Medium]:
        while wanted:
            yield wanted.popleft()

    known: list[tuple[str, str]] = []

    def address(medium: Medium) -> str:
        if not known or known[0][0] != medium.asset_id:
            wanted.append(medium)
            _, data = next(found)
            known[:] = [(medium.asset_id, f"data:{medium.media_type};base64,{base64.b64encode(data).decode()}")]
        return known[0][1]

    found = release.medium_bytes(asked())
    return address
