"""Tables and question-answer records, recognised by the names and a bounded sample of the cells of their columns."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from curate.layouts.concepts import shown
from curate.layouts.objects import number, stem_of
from curate.layouts.sniff_files import (
    SPLIT_WORDS,
    Draft,
    Look,
    escaped,
    is_image_name,
    suffix_of,
)
from curate.layouts.sniff_rows import Records, read_records

__all__ = ["drafted", "record_sets"]

MAX_FILES_A_KIND: Final = 50
"""Files of one folder and extension that are read as records: more are a file per image, which no table is."""

MAX_WORDS: Final = 60
"""A column of at most so many different words may name classes."""

MAX_CELL: Final = 200
"""A longer cell is prose, which may be about a patient, and never a list of labels."""

PROSE_WORDS: Final = 12
"""A cell of so many words is a sentence, whatever ends it."""

_SENTENCE = re.compile(r"\S+(?:\s+\S+){2,}[.!?](?:\s|$)|[\u3002]")
_IMAGE = re.compile(r"image|img|file|path|scan|picture|photo|slice|dicom|frame|slide", re.IGNORECASE)
_QUESTION = re.compile(r"^(?:question|query)$", re.IGNORECASE)
_ANSWER = re.compile(r"^(?:answer|response)s?$", re.IGNORECASE)
_SUBJECT = re.compile(
    r"^(?:patient|subject|participant|person|case)[ _.-]*(?:id|no|number|key|index)?(?: */ *name)?$|^p?id_?patient$",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"^(?:split|fold|subset|partition|set)$", re.IGNORECASE)
_CLASS_WORDS = frozenset(
    [
        "diagnosis",
        "diagnoses",
        "dx",
        "finding",
        "findings",
        "disease",
        "class",
        "label",
        "labels",
        "category",
        "pathology",
    ]
)
_VIEW = re.compile(r"^(?:view|projection)(?:[ _]?position)?$", re.IGNORECASE)
_SEX = re.compile(r"^(?:sex|gender)$", re.IGNORECASE)
_MODALITIES: Final = frozenset(
    {"CR", "CT", "DX", "ES", "IO", "MG", "MR", "NM", "OCT", "OP", "OPT", "PT", "PX", "RF", "SM", "US", "XA", "XC"}
)
"""Defined terms of DICOM's Modality for images (PS3.3, C.7.3.1.1.1)."""

_BOXES: Final = (
    (("xmin", "ymin", "xmax", "ymax"), "voc"),
    (("x_min", "y_min", "x_max", "y_max"), "xyxy"),
    (("x1", "y1", "x2", "y2"), "xyxy"),
    (("left", "top", "right", "bottom"), "xyxy"),
    (("x", "y", "width", "height"), "xywh"),
    (("x", "y", "w", "h"), "xywh"),
)


def record_sets(look: Look, claimed: frozenset[str], boxes_known: bool) -> list[Draft]:
    """Tables and question-answer records in files that no other layout has taken.

    `boxes_known` says that other label files mark objects on these images: a table of boxes is then only told of,
    since it is likely to repeat them.
    """
    found: dict[str, tuple[dict[str, Any], list[Records], Draft]] = {}
    looked_at = Counter[tuple[str, str]]()
    for entry in look.affordable(entry for entry in look.others if entry.key not in claimed):
        kind = (entry.folder, suffix_of(entry.name))
        if looked_at[kind] >= MAX_FILES_A_KIND:
            continue
        records = read_records(look, entry)
        draft = drafted(look, records, boxes_known) if records is not None else None
        if draft is None or records is None:
            looked_at[kind] += 1  # what is understood is worth its time
            continue
        key = repr(sorted(draft.labels.items(), key=str))
        found.setdefault(key, (draft.labels, [], draft))[1].append(records)
    return [_merged(look, labels, sets, draft) for labels, sets, draft in found.values()]


def _merged(look: Look, labels: dict[str, Any], sets: list[Records], draft: Draft) -> Draft:
    """One label set for all files that read the same way."""
    files = look.globs(records.entry.name for records in sets)
    written = {"layout": labels["layout"], "files": files, **labels}
    if not files or labels["layout"] == "none":
        written = labels
    splits = {
        escaped(records.entry.name): split for records in sets if (split := _split_in(stem_of(records.entry.name)))
    }
    if labels["layout"] == "qa" and splits:
        written["splits"] = splits
    names = [records.entry.name for records in sets]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    alike = f"{', '.join(names[:5])}{more}: read alike; what is said of columns was seen in the first"
    unsure = (*draft.unsure, alike) if len(names) > 1 else draft.unsure
    keys = frozenset(records.entry.key for records in sets)
    return Draft(written, keys, unsure, draft.objects, draft.subject, draft.split)


def _split_in(stem: str) -> str | None:
    return next((word for word in sorted(SPLIT_WORDS, key=len, reverse=True) if word in stem.lower()), None)


def drafted(look: Look, records: Records, boxes_known: bool, image: str | None = None) -> Draft | None:
    """What one file of records says of images; `image` is the column that names them, where that is known."""
    question, answer = _named(records, _QUESTION), _named(records, _ANSWER)
    image = image or image_column(look, records) or _absent_images(look, records, bool(question and answer))
    if image is None:
        return None
    guessed = ("delimiter", "encoding")
    unsure = [f"{records.entry.name}: `{key}` is a guess from its bytes" for key in guessed if key in records.options]
    asks = (question, answer) if question and answer else None
    found = _qa(records, image, *asks) if asks is not None else _table(records, image, boxes_known)
    if image != "@row" and not any(look.finds(cell, records.entry.folder) for cell in records.cells(image)[:500]):
        unsure.append(f"{found.labels['layout']}: no image that column {image!r} names is here")
    return replace(found, unsure=(*unsure, *found.unsure))


def _named(records: Records, pattern: re.Pattern[str]) -> str | None:
    return next((column for column in records.columns if pattern.search(column)), None)


def image_column(look: Look, records: Records) -> str | None:
    """The column whose cells name most images; without a telling name almost all of its cells must."""
    best: tuple[int, str] | None = None
    for column in records.columns:
        cells = records.cells(column)
        sample = cells[:: max(len(cells) // 500, 1)]
        images = {image.key for cell in sample if (image := look.finds(cell, records.entry.folder))}
        hits = sum(look.finds(cell, records.entry.folder) is not None for cell in sample)
        telling = bool(_IMAGE.search(column)) and hits >= min(3, len(sample))
        if not sample or not images or not (telling or (hits >= 0.9 * len(sample) and len(images) * 2 >= hits)):
            continue
        if best is None or hits > best[0]:
            best = (hits, column)
    return best[1] if best else None


def _absent_images(look: Look, records: Records, asked: bool) -> str | None:
    """The column that names images, none of which is here: one of file names; of questions also one by its name."""
    files = [column for column in records.columns if _all_image_names(records.cells(column)[:20])]
    telling = [column for column in records.columns if _IMAGE.search(column)]
    if asked:
        return next(iter([*(column for column in files if column in telling), *files, *telling]), None)
    return next(iter(files), None) if not look.images else None


def _all_image_names(cells: Sequence[str]) -> bool:
    return bool(cells) and sum(is_image_name(cell) for cell in cells) * 10 >= len(cells) * 9


def _qa(records: Records, image: str, question: str, answer: str) -> Draft:
    if "delimiter" in records.options:
        told = f"{records.entry.name}: questions in cells parted by {records.options['delimiter']!r}; write them as CSV"
        return Draft({"layout": "none"}, frozenset(), (told,))
    labels: dict[str, Any] = {"layout": "qa", **records.options, "image": image, "question": question, "answer": answer}
    unsure = []
    kind = _named(records, re.compile(r"^(?:answer|a)_?type$", re.IGNORECASE))
    if kind:
        labels["answer_type"] = kind
    language = _named(records, re.compile(r"^(?:q_)?lang(?:uage)?$", re.IGNORECASE))
    if language:
        labels["language"] = language
    elif any(ord(letter) > 0x2E7F for cell in records.cells(question)[:200] for letter in cell):
        unsure.append("qa: questions are not all in Latin letters and no column says the language")
    others = [
        column for column in records.columns if column.endswith("_type") and column != kind and _words(records, column)
    ]
    if others:
        labels["qualifiers"] = {column: column for column in others}
    left = [column for column in records.columns if column not in (image, question, answer, kind, language, *others)]
    if left:
        unsure.append(f"qa: columns left out: {', '.join(left)}; `fields` or `qualifiers` may want them")
    return Draft(labels, frozenset(), tuple(unsure), False, *_rules(records))


def _rules(records: Records) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The columns that tell subjects and splits."""
    subject, split = _named(records, _SUBJECT), _named(records, _SPLIT)
    words = set(records.cells(split)) if split else set()
    known = bool(words) and all(word.lower() in SPLIT_WORDS for word in words)
    return ({"column": subject} if subject else None), ({"column": split} if split and known else None)


def _table(records: Records, image: str, boxes_known: bool) -> Draft:
    labels: dict[str, Any] = {"layout": "table", **records.options, "image": image}
    unsure: list[str] = []
    subject, split = _rules(records)
    used = {image, *(subject or {}).values(), *(split or {}).values()}
    box = _box(records, unsure)
    if box is not None and boxes_known:
        told = f"{records.entry.name}: a table of boxes, left out since other label files mark objects on these images"
        return Draft({"layout": "none"}, frozenset(), (told,))
    if box is not None:
        labels["box"] = box
        used |= {*box["columns"], box["label"]}
    fields = _fields(records)
    used |= set(fields.values())
    labels |= {"fields": fields} if fields else {}
    columns: dict[str, Any] = {}
    left: dict[str, list[str]] = {}
    for column in records.columns:
        said = _column(records, column) if column not in used and records.cells(column) else None
        columns |= {column: said.spec} if said is not None and said.spec else {}
        if said is not None and said.unsure:
            left.setdefault(said.unsure, []).append(column)
    labels |= {"columns": columns} if columns else {}
    if not columns and box is None:
        unsure.append(f"{records.entry.name}: names images, but no column is plainly a label")
    if "view" in fields:
        words = _listed(set(records.cells(fields["view"])))
        unsure.append(f"{records.entry.name}, {fields['view']}: taken for the view as it stands, {words}; say `values`")
    unsure += [f"{records.entry.name}, {_spelt(names)}: {why}" for why, names in left.items()]
    return Draft(labels, frozenset(), tuple(unsure), box is not None, subject, split)


def _fields(records: Records) -> dict[str, str]:
    """Columns that fill typed columns of the asset: the view by its name, the modality by its DICOM terms."""
    view = _named(records, _VIEW)
    fields = {"view": view} if view is not None else {}
    modality = next((column for column in records.columns if column.lower() == "modality"), None)
    if modality is not None and set(records.cells(modality)) <= _MODALITIES:
        fields["modality"] = modality
    return fields


def _box(records: Records, unsure: list[str]) -> dict[str, Any] | None:
    lowered = {column.lower(): column for column in records.columns}
    for names, convention in _BOXES:
        columns = [lowered[name] for name in names if name in lowered]
        if len(columns) < 4 or not all(_numbers(records, column) for column in columns):
            continue
        label = next((column for column in records.columns if _is_label(records, column, columns)), None)
        unsure.append(f"table: boxes in {', '.join(columns)} are taken as `{convention}` by these names alone")
        if label is None:
            unsure.append("table: no column is plainly the label of a box")
            return None
        return {"columns": columns, "label": label, "convention": convention}
    return None


def _is_label(records: Records, column: str, boxes: Sequence[str]) -> bool:
    telling = _names_classes(column) or re.search(r"type|name|kind", column, re.IGNORECASE) is not None
    return column not in boxes and telling and not _numbers(records, column) and _words(records, column)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a column is taken for, if anything, and what a person must decide about it."""

    spec: dict[str, Any] | None
    unsure: str = ""


def _column(records: Records, column: str) -> _Said:
    """What a column plainly says; nothing where a reader of the data's own description is needed."""
    cells = records.cells(column)
    words = set(cells)
    if _SEX.search(column) and _words(records, column) and not any(len(cell) > MAX_CELL for cell in words):
        return _Said({"kind": "attribute"}, f"words as they stand: {_listed(words)}; say what they mean in `values`")
    if _numbers(records, column):
        if words <= {"0", "1", "-1", "0.0", "1.0", "-1.0"}:
            spec = '`{kind: multilabel, states: {"1": present, "0": absent}}`'
            told = f"left out, holds {_listed(words)}; if it is a finding, say its `states`, such as {spec}"
            return _Said(None, f"{told} where zero means looked for and not there")
        if _names_classes(column) and _words(records, column):
            return _Said(None, f"left out, holds {_listed(words)}; if classes, say `kind: class` and their `values`")
        return _Said(None, "left out, numbers of no stated unit; if measured, say `kind: measurement` and `unit`")
    if not _names_classes(column) or any(len(cell) > MAX_CELL for cell in words):
        return _Said(None, "left out; may be an attribute, a text or an identifier")
    if _prose(words):
        return _Said(None, "left out, holds sentences; if texts are wanted, say `kind: report` or `kind: caption`")
    for separator in ("|", ";"):
        parts = {part.strip() for cell in cells for part in cell.split(separator)}
        if sum(separator in cell for cell in cells) * 20 >= len(cells) and len(parts) <= MAX_WORDS:
            told = f"labels seen: {_listed(parts)}; say which means no finding (`none`) and give names in `concepts`"
            return _Said({"kind": "multilabel", "separator": separator}, told)
    if _words(records, column):
        return _Said({"kind": "class"}, f"labels seen: {_listed(words)}; give standard names in `concepts`")
    return _Said(None, "left out; may be an attribute, a text or an identifier")


def _prose(cells: Iterable[str]) -> bool:
    """Half of the different cells are sentences, long or ended by a full stop: no names of classes."""
    told = [bool(_SENTENCE.search(cell)) or len(cell.split()) >= PROSE_WORDS for cell in cells]
    return sum(told) * 2 >= max(len(told), 1)


def _names_classes(column: str) -> bool:
    """The column's name holds a word for classes, as a word of its own: `Label`, `nine_partition_label`, `dxClass`."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return not _CLASS_WORDS.isdisjoint(re.split(r"[^a-z]+", parted.lower()))


def _numbers(records: Records, column: str) -> bool:
    cells = records.cells(column)
    return bool(cells) and all(number(cell) is not None for cell in cells)


def _words(records: Records, column: str) -> bool:
    cells = records.cells(column)
    return bool(cells) and len(set(cells)) <= min(MAX_WORDS, max(len(cells) // 2, 2))


def _spelt(columns: Iterable[str]) -> str:
    return ", ".join(column if column and column.isprintable() else repr(column) for column in columns)


def _listed(labels: Iterable[str]) -> str:
    names = sorted(shown(label) for label in labels)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
