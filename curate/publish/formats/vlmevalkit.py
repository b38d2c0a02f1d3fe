"""VLMEvalKit's tables: one per split and kind of question, tab separated, with pictures in base64.

    vlmevalkit/<release>_MCQ_test.tsv       several options, the answer a letter
    vlmevalkit/<release>_YORN_test.tsv      the answer Yes or No
    vlmevalkit/<release>_VQA_test.tsv       every other question
    vlmevalkit/md5.json                     the digest of each, as `DATASET_MD5` lists them

Columns: `index`, `image` (base64; where an earlier row of the file shows the same picture its index, as the kit
resolves it), `image_path` (the name under which the kit unpacks a picture), `question`, `A`, `B`, ... (MCQ), `answer`,
`category` (the clinical task of a choice, else what was asked), `l2-category` (the task), `split`, `source`, `pair_id`;
of a choice also `department`, `modality`, `anatomy` and `granularity` where the tree of its task knows them. Of several
pictures both image columns hold lists. A question for the class of an exclusive set becomes one with options: the other
classes that the source says the picture does not show. Files of more than `part_bytes` go on in `..._part2.tsv`.

The kit reads tables with pandas, for which a cell `None` or `NA` is empty: rows with such an answer or option are left
out. With `hide_answers` the column `answer` is left out of the test split, as benchmarks do; its owner renders the same
rows without it elsewhere, where `index` and `pair_id` are the same.
"""

import base64
import csv
import hashlib
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Final

from curate.publish.base import FormatOptions, LeftOut, Medium, Release, Row, Writer, Written
from curate.publish.formats.embedding import MediaSource, not_pictures
from curate.publish.otherwise import absent_in_place_of, known_of
from curate.publish.truth import AnswerForm, Truth, truth
from curate.rows import Subject
from curate.schema import identity
from curate.tasks.english import phrase
from curate.vocabulary import Vocabulary

__all__ = ["VlmEvalKit"]

_PLAIN: Final = re.compile(r"[^0-9A-Za-z]+")
_MISSING: Final = frozenset(
    ["", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan"]
) | {"none", "null"}
"""Cells that pandas reads as missing, in small letters."""
_NO_PICTURE: Final = "no picture"
_READ_AS_MISSING: Final = "a cell that pandas reads as missing"
_FEATURES: Final = ("category", "l2-category", "split", "source", "pair_id")
_PLACES: Final = ("department", "modality", "anatomy", "granularity")
"""Where a choice stands in the lexical tree, as GMAI-MMBench has it in columns of its own."""
_LETTERS: Final = "ABCDEFGH"
_DISTRACTORS: Final = 3
_KINDS: Final = {AnswerForm.CHOICE: "MCQ", AnswerForm.CLOSED: "YORN"}


_Cells = Mapping[str, str]


class VlmEvalKitOptions(FormatOptions, frozen=True):
    """`hide_answers`: no answers in the test split. `part_bytes`: a file ends near so many."""

    hide_answers: bool = False
    part_bytes: int = 10**9


class VlmEvalKit:
    """What the dataset classes of VLMEvalKit load."""

    name: ClassVar[str] = "vlmevalkit"
    version: ClassVar[int] = 1
    names_files: ClassVar[bool] = False
    Options: ClassVar[type[FormatOptions]] = VlmEvalKitOptions

    def __init__(self, options: VlmEvalKitOptions) -> None:
        self.options = options

    def write(self, release: Release, writer: Writer) -> Written:
        """A table per kind of question and split that has rows."""
        left_out: Counter[str] = Counter()
        rows = 0
        digests: dict[str, str] = {}
        vocabularies = {source: release.vocabulary(source) for source in release.cards}
        for split in release.splits:
            hidden = self.options.hide_answers and split == "test"
            source = MediaSource(release)
            with ExitStack() as stack:
                tables = _Tables(stack, writer, self.options.part_bytes)
                for row, subjects in release.annotated(split):
                    asked = (
                        not_pictures(row)
                        or ("" if row.media else _NO_PICTURE)
                        or _asked(row, subjects, vocabularies[row.source])
                    )
                    if isinstance(asked, str):
                        left_out[asked] += 1
                        continue
                    kind, cells = asked
                    columns = [name for name in _columns(kind) if not (hidden and name == "answer")]
                    stem = "_".join((_PLAIN.sub("_", release.name), kind, _PLAIN.sub("_", split)))
                    held = source.bytes_of(row.media)
                    tables.add(f"{self.name}/{stem}", columns, row.media, held, cells=cells)
                    rows += 1
            digests |= tables.digests()
        with writer.create(f"{self.name}/md5.json") as file:
            file.write(json.dumps(digests, indent=2, sort_keys=True).encode() + b"\n")
        return Written(format=self.name, rows=rows, left_out=LeftOut.of(left_out))


def _columns(kind: str) -> tuple[str, ...]:
    options, places = (tuple(_LETTERS), _PLACES) if kind == "MCQ" else ((), ())
    return ("index", "image", "image_path", "question", *options, "answer", *_FEATURES, *places)


def _asked(row: Row, subjects: tuple[Subject, ...], vocabulary: Vocabulary) -> tuple[str, dict[str, str]] | str:
    """The kind of a question with its cells but the picture, or why it cannot stand in a table."""
    known = truth(row, subjects, vocabulary)
    if known is not None and known.form is AnswerForm.CLASS:
        known = _with_options(row, subjects, vocabulary, known)
    kind = "VQA" if known is None else _KINDS.get(known.form, "VQA")
    answer = row.answer if known is None else known.value.capitalize() if kind == "YORN" else known.value
    options = known.options if known is not None and kind == "MCQ" else ()
    if len(options) > len(_LETTERS):
        return f"more than {len(_LETTERS)} options"
    if not _MISSING.isdisjoint(text.strip().lower() for text in (row.question, answer, *options)):
        return _READ_AS_MISSING
    question = row.question.removesuffix(row.slots.get("options", "")).rstrip() if kind == "MCQ" else row.question
    cells = {"question": question, **dict(zip(_LETTERS, options, strict=False)), "answer": answer}
    tree: Mapping[str, str | None] = row.constraints.get("tree") or {}
    category = tree.get("task") or str(row.constraints.get("ask", "")) or row.task
    told = (category, row.task, row.split, row.source, row.pair_id)
    return kind, cells | dict(zip(_FEATURES, told, strict=True)) | {name: tree.get(name) or "" for name in _PLACES}


def _with_options(row: Row, subjects: tuple[Subject, ...], vocabulary: Vocabulary, known: Truth) -> Truth:
    """A question for a class as one with options, where other classes are known to be false of the picture."""
    others = absent_in_place_of(row, known_of(subjects[0], vocabulary, {}))[:_DISTRACTORS] if len(subjects) == 1 else []
    if not others:
        return known
    options = sorted((known.value, *map(phrase, others)), key=lambda option: identity(row.pair_id, "option", option))
    return Truth(AnswerForm.CHOICE, _LETTERS[options.index(known.value)], tuple(options))


class _Part:
    """One file: rows as they come, each picture in base64 once."""

    def __init__(self, writer: Writer, path: str, columns: Sequence[str]) -> None:
        self.path = path
        self.size = 0
        self._writer = writer
        self._columns = columns
        self._stack = ExitStack()
        self._first: dict[tuple[str, ...], int] = {}  # where each picture, or list of pictures, stands in full
        self._rows = 0
        self._digest = hashlib.md5(usedforsecurity=False)

    def __enter__(self) -> "_Part":
        self._file = self._stack.enter_context(self._writer.create(self.path))
        self._put(self._columns)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, problem, trace)
        if kind is None:
            self._writer.count(self.path, self._rows)

    @property
    def digest(self) -> str:
        """MD5 of what was written: what the kit compares."""
        return self._digest.hexdigest()

    def add(self, index: int, media: Sequence[Medium], held: Mapping[str, bytes], cells: Mapping[str, str]) -> None:
        """Append a row."""
        names = [medium.path.rpartition("/")[2] for medium in media]
        shown = tuple(medium.asset_id for medium in media)
        if len(shown) == 1 and shown in self._first:
            picture = str(self._first[shown])
        else:
            self._first[shown] = index
            coded = [base64.b64encode(held[asset_id]).decode("ascii") for asset_id in shown]
            picture = coded[0] if len(coded) == 1 else json.dumps(coded)
        path = names[0] if len(names) == 1 else json.dumps(names)
        row = {"index": str(index), "image": picture, "image_path": path, **cells}
        self._put([row.get(column, "") for column in self._columns])
        self._rows += 1

    def _put(self, cells: Sequence[str]) -> None:
        line = io.StringIO()
        csv.writer(line, delimiter="\t", lineterminator="\n").writerow(cells)
        data = line.getvalue().encode()
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)


class _Tables:
    """The tables of one split, begun when their first row comes; large ones go on in further parts."""

    def __init__(self, stack: ExitStack, writer: Writer, part_bytes: int) -> None:
        self._stack = stack
        self._writer = writer
        self._part_bytes = part_bytes
        self._parts: dict[str, list[_Part]] = {}
        self._rows: Counter[str] = Counter()

    def add(
        self, stem: str, columns: Sequence[str], media: Sequence[Medium], held: Mapping[str, bytes], *, cells: _Cells
    ) -> None:
        """Append a row to a table."""
        parts = self._parts.setdefault(stem, [])
        if not parts or parts[-1].size >= self._part_bytes:
            ending = f"_part{len(parts) + 1}" if parts else ""
            parts.append(self._stack.enter_context(_Part(self._writer, f"{stem}{ending}.tsv", columns)))
        parts[-1].add(self._rows[stem], media, held, cells)
        self._rows[stem] += 1

    def digests(self) -> dict[str, str]:
        """The digest of each file, by what the kit calls it."""
        every = itertools.chain.from_iterable(self._parts.values())
        return {part.path.rpartition("/")[2].removesuffix(".tsv"): part.digest for part in every}
