"""Parquet files with a column of images, as the `datasets` library writes them, drafted from their first rows."""

import io
import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.layouts.archives import is_parquet
from curate.layouts.records import read_rows
from curate.layouts.row import Row
from curate.layouts.sniff_files import SPLIT_WORDS, Draft, Look, is_image_bytes
from curate.layouts.sniff_records import drafted
from curate.layouts.sniff_rows import SAMPLE_ROWS, Records
from curate.layouts.tree import Entry
from curate.schema import Refusal

__all__ = ["embedded_images"]


def embedded_images(look: Look) -> tuple[dict[str, Any], list[Draft]] | None:
    """The card's `images` and what the other columns say; None where no Parquet file embeds images."""
    files = [entry for entry in look.others if is_parquet(entry.name) and entry.member is None]
    for entry in files:
        found = _first_rows(look, entry)
        if found is not None:
            return _drafted(look, files, entry, *found)
    return None


def _first_rows(look: Look, entry: Entry) -> tuple[pa.Table, list[str]] | None:
    """The first rows and the columns of images among them; None where there are none."""
    try:
        with pq.ParquetFile(look.tree.root / entry.path) as file:
            candidates = [field.name for field in file.schema_arrow if _may_hold_images(field.type)]
            if not candidates:
                return None
            head = next(file.iter_batches(batch_size=1, columns=candidates), None)
            columns = [name for name in candidates if _holds_image(head, name)]
            plain = [field.name for field in file.schema_arrow if not _may_hold_images(field.type)]
            batch = next(file.iter_batches(batch_size=SAMPLE_ROWS, columns=plain), None) if plain else None
            schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError):
        return None
    if not columns:
        return None
    empty = pa.schema([schema.field(name) for name in plain]).empty_table()
    table = empty if batch is None else pa.Table.from_batches([batch])
    return table.replace_schema_metadata(schema.metadata), columns


def _drafted(
    look: Look, files: Sequence[Entry], first: Entry, rows: pa.Table, columns: Sequence[str]
) -> tuple[dict[str, Any], list[Draft]]:
    globs = look.globs(entry.name for entry in files)
    classes = _class_names(rows.schema)
    unsure = [f"column {name!r}: holds images too, left out" for name in columns[1:]]
    if len(files) > 1:
        unsure.append(f"parquet: {len(files)} files, only the columns of {first.name} were looked at")
    found = _from_cells(look, first, rows.drop_columns([name for name in classes if name in rows.column_names]))
    labels: dict[str, Any] = {"layout": "table", "image": "@row"} if found is None else dict(found.labels)
    named = {
        name: {"kind": "class", "values": {str(number): label for number, label in enumerate(labels_of)}}
        for name, labels_of in classes.items()
    }
    drafts = []
    if labels["layout"] == "table":
        labels["columns"] = named | labels.get("columns", {})
    elif named:
        drafts.append(Draft({"layout": "table", "files": globs, "image": "@row", "columns": named}, frozenset()))
    unsure += [f"column {name!r}: classes have the names that the file gives them; say `concepts`" for name in named]
    keys = frozenset(entry.key for entry in files)
    labels = {"layout": labels.pop("layout"), "files": globs, **labels}
    told = (*unsure, *(() if found is None else found.unsure))
    subject, split = (None, None) if found is None else (found.subject, found.split)
    split = split or _split_of(files)
    drafts.append(Draft(labels, keys, told, found is not None and found.objects, subject, split))
    return {"glob": globs, "column": columns[0]}, drafts


def _split_of(files: Sequence[Entry]) -> dict[str, Any] | None:
    """The split that the `datasets` library writes into the names of its files: `train-00000-of-00005.parquet`."""
    words = sorted(SPLIT_WORDS, key=len, reverse=True)
    pattern = rf"(?:^|/)(?P<split>{'|'.join(words)})-[0-9]+[^/]*\.parquet"
    return {"pattern": pattern} if all(re.search(pattern, entry.name) for entry in files) else None


def _from_cells(look: Look, entry: Entry, rows: pa.Table) -> Draft | None:
    if not rows.num_columns or not rows.num_rows:
        return None
    buffer = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata(None), buffer)
    reading = read_rows(buffer.getvalue(), "parquet", needed=())
    if isinstance(reading, Refusal):
        return None
    sample = tuple(row for row in reading.rows if isinstance(row, Row))
    columns = tuple(name for name in rows.column_names if name not in reading.repeated)
    return drafted(look, Records(entry, {}, columns, sample), False, image="@row") if sample else None


def _may_hold_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_image(head: pa.RecordBatch | None, name: str) -> bool:
    """The first cell begins as an image does; the struct of the `datasets` library is believed without."""
    if head is None or not head.num_rows:
        return False
    cell = head.column(name)[0].as_py()
    return isinstance(cell, dict) or (isinstance(cell, bytes) and is_image_bytes(cell))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Columns whose numbers the `datasets` library has given names to."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: [str(label) for label in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
