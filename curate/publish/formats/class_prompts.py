"""Class prompts: lists of sentences per class and per image, as contrastive training and zero-shot tests read them.

    class-prompts/class_prompts.json      {class: [sentence, ...]}, every reviewed one of each class of the release
    class-prompts/contrast_prompts.json   {class: [{positive, negative}, ...]}, a pair per reviewed sign
    class-prompts/split.json              {train: [[image, number, class], ...], val: ..., test: ...}
    class-prompts/<split>.jsonl           {image, classes, texts}: an image with all its texts, in a list
    class-prompts/<split>_contrast.jsonl  {image, class, present, prompt, knowledge}: what is affirmed or denied
    class-prompts/texts.csv               image, text, class, split: a line per text

Texts are the answers of rows that caption an image (`label_caption`, `descriptors`, `label_strings`), each once, in the
order of the rows. The first three are those of BiomedCoOp and of DeViDe's and Xplainer's dictionaries, the table is
MedImageInsight's. Nothing is joined: a text may hold any mark. An image stands in `split.json` where its rows name one
class; classes are numbered in alphabetical order over all splits. Paths are relative to the release.
"""

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from curate.publish.base import FormatOptions, LeftOut, Release, Row, Writer, Written
from curate.publish.formats.sheets import Sheets, unfit
from curate.rows import Subject
from curate.tasks.descriptors import Descriptor, descriptor_of
from curate.tasks.english import capitalised

__all__ = ["ClassPrompts"]

_NO_CAPTION: Final = "neither a caption nor a question about a described class"
_NOT_ONE: Final = "not of one picture"
_KINDS: Final = (("positive", "signs"), ("negative", "no signs"))
_SPLITS: Final = {"train": "train", "validation": "val", "test": "test"}
"""How Dassl calls the splits; another keeps its name."""


class ClassPrompts:
    """See the module."""

    name: ClassVar[str] = "class-prompts"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = True
    Options: ClassVar[type[FormatOptions]] = FormatOptions

    def __init__(self, options: FormatOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """See `Format.write`."""
        reasons: Counter[str] = Counter()
        known: dict[str, list[Descriptor]] = {}
        split: dict[str, list[tuple[str, str]]] = {_SPLITS.get(name, name): [] for name in (*_SPLITS, *release.splits)}
        table = _Table()
        taken = 0
        with Sheets(writer, self.name, "jsonl") as sheets:
            for image, rows in _by_image(release.annotated(), reasons):
                taken += len(rows)
                _learn(known, rows)
                captions = [row for row, _ in rows if row.constraints.get("ask") == "caption"]
                name = rows[0][0].split
                texts = list(dict.fromkeys(row.answer for row in captions))
                classes = list(dict.fromkeys(concept for row in captions if (concept := _class_of(row))))
                if texts:
                    sheets.add("", name, {"image": image, "classes": classes, "texts": texts})
                if len(classes) == 1:
                    split[_SPLITS.get(name, name)].append((image, classes[0]))
                for row in captions:
                    table.add(image, row.answer, _class_of(row), name)
                for row, _ in rows:
                    if row.constraints.get("ask") == "presence":
                        sheets.add("contrast", name, _contrast(image, row))
        for path, told in (
            ("class_prompts.json", _sentences(known)),
            ("contrast_prompts.json", _pairs(known)),
            ("split.json", _numbered(split)),
        ):
            with writer.create(f"{self.name}/{path}") as file:
                file.write(json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n")
        with writer.create(f"{self.name}/texts.csv") as file:
            file.write(table.bytes())
        return Written(
            format=self.name,
            rows=taken,
            left_out=LeftOut.of(reasons),
            configs=sheets.configs(self.name, release.splits),
        )


_Given = tuple[Row, tuple[Subject, ...]]


def _by_image(rows: Iterable[_Given], reasons: Counter[str]) -> Iterator[tuple[str, list[_Given]]]:
    """The rows that can be told, by their picture: rows that show the same one stand together."""

    def fits() -> Iterator[_Given]:
        for row, subjects in rows:
            why = unfit(row) or (_NOT_ONE if len(row.media) != 1 else None) or _unasked(row)
            if why is None:
                yield row, subjects
            else:
                reasons[why] += 1

    for image, group in itertools.groupby(fits(), key=lambda given: given[0].media[0].path):
        yield image, list(group)


def _unasked(row: Row) -> str | None:
    ask = row.constraints.get("ask")
    return None if ask == "caption" or (ask == "presence" and row.constraints.get("knowledge")) else _NO_CAPTION


def _class_of(row: Row) -> str | None:
    """The class that a row is about: the one that it describes, or whose string it is."""
    described = row.constraints.get("knowledge")
    concept = described[0] if described else row.constraints.get("concept")
    return str(concept) if concept else None


def _learn(known: dict[str, list[Descriptor]], rows: Iterable[_Given]) -> None:
    """Keep what can be told of each class of the rows; on radiographs it is another thing than on ultrasound."""
    for row, subjects in rows:
        concept = _class_of(row)
        found = descriptor_of(concept, subjects[0].asset) if concept and subjects else None
        if concept and found is not None and found not in known.setdefault(concept, []):
            known[concept].append(found)


def _sentences(known: Mapping[str, list[Descriptor]]) -> dict[str, list[str]]:
    return {
        concept: list(dict.fromkeys(itertools.chain.from_iterable(one.ensemble for one in known[concept])))
        for concept in sorted(known)
    }


def _pairs(known: Mapping[str, list[Descriptor]]) -> dict[str, list[dict[str, str]]]:
    """A pair per sign: the class affirmed and denied, each beside what can be said of it in general."""
    return {
        concept: [
            {kind: f"There are {words} of {one.name}. {told}" for kind, words in _KINDS}
            for one in known[concept]
            for told in (one.sentences(sign)[0] for sign in one.signs)
        ]
        for concept in sorted(known)
    }


def _contrast(image: str, row: Row) -> dict[str, Any]:
    present = row.answer.lower().startswith("yes")
    told = row.answer.partition(",")[2].strip() or row.answer
    return {
        "image": image,
        "class": _class_of(row),
        "present": present,
        "prompt": capitalised(told),
        "knowledge": row.slots.get("knowledge"),
    }


def _numbered(split: Mapping[str, list[tuple[str, str]]]) -> dict[str, list[list[Any]]]:
    classes = sorted({concept for held in split.values() for _, concept in held})
    numbers = {concept: number for number, concept in enumerate(classes)}
    return {name: [[image, numbers[concept], concept] for image, concept in held] for name, held in split.items()}


class _Table:
    """The lines of `texts.csv`, each once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str, str], None] = {}

    def add(self, image: str, text: str, concept: str | None, split: str) -> None:
        """One text of an image."""
        self._lines[image, text, concept or "", split] = None

    def bytes(self) -> bytes:
        """The table with its header."""
        file = io.StringIO()
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", "text", "class", "split"))
        table.writerows(self._lines)
        return file.getvalue().encode()
