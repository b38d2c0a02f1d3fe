"""Rad-ReStruct's JSON: the questions about an image down a tree, each with its answer and with what led to it.

    rad-restruct/<split>_qa_pairs/<row>.json   a list of [question, [answer], history, {answer_type, options, path}]
    rad-restruct/<split>_images.json           {row: picture}, because a file of questions does not name its picture

A file is a row: a conversation down the tree, or one question about one finding. `history` holds the questions and
answers above, from the group down, and is empty for a question that stands at the top. Answers are `yes` and `no`,
options the same, and `answer_type` `single_choice`; the published `multi_choice` questions ask for attributes of a
finding, which no row asks. `path` is the group and the finding, spaces kept, joined by an underscore; published paths
begin with a region of the body instead. Pictures are paths relative to the release.
Source: ChantalMP/Rad-ReStruct, `data/radrestruct/*_qa_pairs`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from curate.publish.base import IMAGE_TOKEN, FormatOptions, LeftOut, Release, Row, Writer, Written
from curate.publish.formats.sheets import unfit

__all__ = ["RadRestruct"]

_OTHER: Final = "neither turns down a tree nor a question about one finding"
_NOT_ONE: Final = "not of one picture"
_NO_ANSWER: Final = "an answer that is neither yes nor no"
_OPTIONS: Final = ("yes", "no")
_SPLITS: Final = {"train": "train", "validation": "val", "test": "test"}
"""How the published folders are called; another split keeps its name."""


class RadRestruct:
    """See the module."""

    name: ClassVar[str] = "rad-restruct"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = FormatOptions

    def __init__(self, options: FormatOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        reasons: Counter[str] = Counter()
        pictures: dict[str, dict[str, str]] = {}
        for row in release.rows():
            asked = _asked(row)
            if isinstance(asked, str):
                reasons[asked] += 1
                continue
            split = _SPLITS.get(row.split, row.split)
            path = f"{self.name}/{split}_qa_pairs/{row.pair_id}.json"
            with writer.create(path) as file:
                file.write(json.dumps(asked, ensure_ascii=False).encode() + b"\n")
            writer.count(path, 1)
            pictures.setdefault(split, {})[row.pair_id] = row.media[0].path
        for split, of_rows in pictures.items():
            with writer.create(f"{self.name}/{split}_images.json") as file:
                file.write(json.dumps(of_rows, ensure_ascii=False, indent=2).encode() + b"\n")
        return Written(format=self.name, rows=sum(map(len, pictures.values())), left_out=LeftOut.of(reasons))


def _asked(row: Row) -> list[Any] | str:
    """The questions of a row as the published files list them, or why there are none."""
    turns = _turns(row.constraints)
    said = [turn.content for turn in row.messages if turn.role != "system"]
    if not turns or len(said) != 2 * len(turns):
        return _OTHER
    reason = unfit(row)
    if reason is not None:
        return reason
    if len(row.media) != 1 or row.media[0].is_video:
        return _NOT_ONE
    told: list[Any] = []
    above: tuple[str, frozenset[str], list[Any]] | None = None
    for turn, question, answer in zip(turns, said[::2], said[1::2], strict=True):
        option = _option(answer)
        if option is None:
            return _NO_ANSWER
        asked = [question.removeprefix(f"{IMAGE_TOKEN}\n"), [option]]
        history: list[Any] = []
        path = str(turn.get("group") or turn.get("concept"))
        if turn["ask"] == "any_of":
            above = (path, frozenset(turn["concepts"]), asked)
        elif above is not None and turn.get("concept") in above[1]:
            history, path = [above[2]], f"{above[0]}_{path}"
        told.append([*asked, history, {"answer_type": "single_choice", "options": list(_OPTIONS), "path": path}])
    return told


def _turns(constraints: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What each turn asks, where all ask whether something is there."""
    turns = constraints.get("turns", ()) if constraints.get("ask") == "dialogue" else (constraints,)
    fits = all(
        turn.get("ask") == "any_of" or (turn.get("ask") == "presence" and isinstance(turn.get("concept"), str))
        for turn in turns
    )
    return turns if fits else ()


def _option(answer: str) -> str | None:
    word = answer.partition(",")[0].rstrip(".").casefold()
    return word if word in _OPTIONS else None
