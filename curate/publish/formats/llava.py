"""LLaVA JSON: rows of `id`, `image` and `conversations`, as LLaVA, InternVL and EchoVLM read them.

One picture is a string with its `width` and `height` beside it (InternVL scales boxes by them); several are a list, in
files of their own (`<split>_multi.json`), and so are videos (`_video`, key `video`) and rows without media (`_text`, no
such key), because loaders infer one type per key. Paths are relative to the release: name it as the folder of images.
`layout: internvl` writes JSON lines, `width_list` and `height_list` for several pictures, and for each split a
`meta_<split>.json` that names its files and their lengths, to be read from within the release.
`layout: echovlm` has the keys of EchoVLM's published records and no others: a list of images, a system turn before the
first question (one of the reviewed prompts of `wordings/systems.yaml` in the language of the row, by a hash, where the
row has none of its own), and `description`, which is the text of a caption and null for what answers a question.
Sources: LLaVA's documentation of custom data; InternVL's of chat data; EchoVLM's `public_data`.
"""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import msgspec
import yaml

from curate.errors import UsageError
from curate.publish.base import FormatOptions, Release, Row, Writer, Written
from curate.publish.coordinates import DialectOptions
from curate.publish.formats.sheets import Sheets, images_of, kind_of, paths, render, turns, videos_of
from curate.tasks.wording import hash_of

__all__ = ["Llava", "LlavaOptions"]

_FROM: Final = {"user": "human", "assistant": "gpt", "system": "system"}


class LlavaOptions(DialectOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`image_lists`: a list also for one picture, as EchoVLM has it; all rows with pictures then lie in one file.

    `layout`: `llava` is a JSON list, `internvl` JSON lines with a meta file, `echovlm` a JSON list with EchoVLM's keys.
    """

    image_lists: bool = False
    layout: Literal["llava", "internvl", "echovlm"] = "llava"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout == "internvl" and self.image_lists:
            raise UsageError("format llava: InternVL reads one picture as a text, so image_lists is none of its layout")

    @property
    def lists(self) -> bool:
        """True where one picture is a list too."""
        return self.image_lists or self.layout == "echovlm"


class Llava:
    """See the module."""

    name: ClassVar[str] = "llava"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = LlavaOptions

    def __init__(self, options: LlavaOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        internvl = self.options.layout == "internvl"
        return render(
            release,
            writer,
            name=self.name,
            kind="jsonl" if internvl else "json",
            options=self.options,
            make=self._row,
            register=lambda sheets: _list_files(sheets, release, writer) if internvl else None,
        )

    def _row(self, row: Row) -> tuple[str, Mapping[str, Any]] | str:
        told: dict[str, Any] = {"id": row.pair_id}
        images, videos = images_of(row), videos_of(row)
        if videos and (images or len(videos) > 1):
            return "a video beside other media, for which this format has no key"
        if videos:
            told["video"] = videos[0].path
        elif images and (self.options.lists or len(images) > 1):
            told["image"] = paths(images)
        elif images:
            told["image"] = images[0].path
        if self.options.layout == "echovlm":
            captions = row.constraints.get("ask") == "caption"
            told["description"] = turns(row)[-1][1] if captions else None
        elif len(images) == 1 and self.options.spoken != "resized":
            told |= {"width": images[0].width, "height": images[0].height}
        elif len(images) > 1 and self.options.layout == "internvl":
            told |= {"width_list": [one.width for one in images], "height_list": [one.height for one in images]}
        said = turns(row)
        if self.options.layout == "echovlm" and said[0][0] != "system":
            said = [("system", _system(row)), *said]
        told["conversations"] = [{"from": _FROM[role], "value": text} for role, text in said]
        several = len(images) > 1 and not self.options.lists
        return "multi" if several else kind_of(row), told


def _system(row: Row) -> str:
    pool = _systems()["zh" if row.language == "zh" else "en"]
    return pool[hash_of(row.pair_id, "system") % len(pool)]


@functools.cache
def _systems() -> Mapping[str, tuple[str, ...]]:
    text = importlib.resources.files("curate.publish").joinpath("wordings", "systems.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, tuple[str, ...]])


def _list_files(sheets: Sheets, release: Release, writer: Writer) -> None:
    """The meta file of each split: one for all would train on what is held out."""
    for split in release.splits:
        entries = {
            f"{release.name}_{split}{part and f'_{part}'}": {
                "root": ".",
                "annotation": sheets.path(part, split),
                "data_augment": False,
                "repeat_time": 1,
                "length": sheets.rows[part, split],
            }
            for part in sorted(part for part, of in sheets.rows if of == split)
        }
        if entries:
            with writer.create(f"{Llava.name}/meta_{split}.json") as file:
                file.write(json.dumps(entries, ensure_ascii=False, indent=2).encode() + b"\n")
