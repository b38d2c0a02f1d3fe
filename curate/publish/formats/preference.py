"""Preference pairs and judged answers: a true answer and one that is proved to be false.

`preference` is the ranking form of LLaMA-Factory (`conversations`, `chosen`, `rejected`, `images`), or MMedPO's
(`conversations`, `rejected_conversations`, `weighted_score`); `kto` gives both answers apart, each with its `label`.
Both come with a `dataset_info.json` for LLaMA-Factory's `dataset_dir`; paths of media are relative to the release,
which is its `media_dir`. Beside each file, `<split>_reasons.jsonl` says for each rejected answer which fact is false
and by which rule the verifier refuses it. Rows for which no answer can be proved to be false are left out and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from curate.publish.base import FormatOptions, LeftOut, Release, Row, Writer, Written
from curate.publish.contrast import NOT_PROVED, Contrast, contrasts, survey
from curate.publish.formats.registry import REGISTRY
from curate.publish.formats.sheets import Sheets, kind_of, paths, turns, unfit, videos_of

__all__ = ["Kto", "Preference"]

_PLAIN: Final = re.compile(r"[^0-9A-Za-z_]+")
_EVEN: Final = 1.0
"""MMedPO weighs pairs by a model's judgement; nobody judged these, so each weighs the same."""


@dataclass(frozen=True, slots=True)
class _Style:
    """How the records of a format look: how they are made of a row, and what LLaMA-Factory's registry says of them.

    `records` is given the row, its contrast, and the number of rows before it in its file.
    """

    records: "_Records"
    info: Mapping[str, Any]
    columns: Mapping[str, str]


_Records = Callable[[Row, Contrast, int], tuple[Mapping[str, Any], ...]]


class PreferenceOptions(FormatOptions, frozen=True):
    """`form`: whose keys the records have."""

    form: Literal["llama-factory", "mmedpo"] = "llama-factory"


class Preference:
    """One record per row: the true answer chosen, the false one rejected."""

    name: ClassVar[str] = "preference"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = PreferenceOptions

    def __init__(self, options: PreferenceOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One list per split, pictures and videos apart."""
        columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
        info = {"ranking": True, "formatting": "sharegpt"}
        return _write(self.name, release, writer, _Style(self._records, info, columns))

    def _records(self, row: Row, contrast: Contrast, number: int) -> tuple[dict[str, Any], ...]:
        asked = [_from(role, text) for role, text in turns(row)[:-1]]
        chosen, rejected = _from("assistant", row.answer), _from("assistant", contrast.text)
        if self.options.form == "llama-factory":
            return ({"conversations": asked, "chosen": chosen, "rejected": rejected, **_media(row)},)
        shown = paths(row.media)
        return (
            {
                "id": number,
                "image": shown[0] if len(shown) == 1 else shown,
                "conversations": [*asked, chosen],
                "rejected_conversations": [*asked, rejected],
                "weighted_score": _EVEN,
            },
        )


class Kto:
    """Two records per row: the true answer with label true, the false one with label false."""

    name: ClassVar[str] = "kto"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = FormatOptions

    def __init__(self, options: FormatOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """One list per split, pictures and videos apart; as many true answers as false ones."""
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
        info = {"formatting": "sharegpt", "tags": tags}
        style = _Style(_judged, info, {"messages": "messages", "kto_tag": "label"})
        return _write(self.name, release, writer, style)


def _judged(row: Row, contrast: Contrast, number: int) -> tuple[dict[str, Any], ...]:
    asked = [{"content": text, "role": role} for role, text in turns(row)[:-1]]
    return tuple(
        {"messages": [*asked, {"content": text, "role": "assistant"}], "label": label, **_media(row)}
        for text, label in ((row.answer, True), (contrast.text, False))
    )


def _write(name: str, release: Release, writer: Writer, style: _Style) -> Written:
    seen = survey(release)
    left_out: Counter[str] = Counter()
    rows = 0
    with Sheets(writer, name, "json") as sheets, Sheets(writer, name, "jsonl") as reasons:
        for split in release.splits:
            for row, contrast in contrasts(release, split, seen):
                if contrast is None or unfit(row) is not None:
                    left_out[unfit(row) or NOT_PROVED] += 1
                    continue
                part, why = kind_of(row), "_".join(filter(None, (kind_of(row), "reasons")))
                for record in style.records(row, contrast, reasons.rows[why, split]):
                    sheets.add(part, split, record)
                reasons.add(why, split, _reason(row, contrast, sheets.rows[part, split] - 1))
                rows += 1
    _register(sheets, release, writer, name, style)
    return Written(format=name, rows=rows, left_out=LeftOut.of(left_out))


def _reason(row: Row, contrast: Contrast, place: int) -> dict[str, Any]:
    """Which record is false, and why; `record` counts from 0 in the list beside it."""
    return {
        "record": place,
        "pair_id": row.pair_id,
        "fact": contrast.fact,
        "true": contrast.true,
        "false": contrast.false,
        "refused_by": str(contrast.refused_by),
    }


def _register(sheets: Sheets, release: Release, writer: Writer, name: str, style: _Style) -> None:
    """LLaMA-Factory's registry: what each file is called there, and which key holds what."""
    entries = {}
    for part, split in sorted(sheets.rows):
        media = {"videos": "videos"} if part == "video" else {"images": "images"}
        called = _PLAIN.sub("_", "_".join(filter(None, (release.name, name, split, part))))
        path = sheets.path(part, split).removeprefix(f"{name}/")
        entries[called] = {"file_name": path, **style.info, "columns": {**style.columns, **media}}
    with writer.create(f"{name}/{REGISTRY}") as file:
        file.write(json.dumps(entries, indent=2, ensure_ascii=False).encode() + b"\n")


def _media(row: Row) -> dict[str, list[str]]:
    return {"videos" if videos_of(row) else "images": paths(row.media)}


def _from(role: str, text: str) -> dict[str, str]:
    return {"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": text}
