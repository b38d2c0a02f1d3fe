"""Record sets of a Croissant file: what stands in the Parquet and JSON-lines files of a release, field by field.

A record set is a configuration of a format (`Written.configs`). Its fields are those that the files state: columns of a
Parquet schema, or the keys of all lines. A list of structs becomes a field with sub-fields; what is nested deeper is
left out, because Croissant's extraction ends there.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate.publish.base import Config, File

__all__ = ["ENCODINGS", "encoding_of", "matched", "record_set", "split_record_set"]

ENCODINGS: Final[Mapping[str, str]] = {
    "parquet": "application/x-parquet",
    "jsonl": "application/jsonlines",
    "json": "application/json",
    "tsv": "text/tab-separated-values",
    "tar": "application/x-tar",
    "png": "image/png",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "txt": "text/plain",
}
_READ: Final = ("parquet", "jsonl")
_SPLITS: Final[Mapping[str, str]] = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


def encoding_of(path: str) -> str:
    """The media type of a file by its suffix."""
    return ENCODINGS.get(path.rpartition(".")[2], "application/octet-stream")


def matched(pattern: str, files: Sequence[File]) -> list[File]:
    """The files that a path or glob of a configuration names; `*` stays within a folder."""
    wanted = re.compile("".join("[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", pattern)))
    return [file for file in files if wanted.fullmatch(file.path)]


def split_record_set(splits: Sequence[str]) -> dict[str, Any]:
    """The splits of the release; those that Croissant knows carry its word."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": split, "splits/url": _SPLITS.get(split, "cr:Split")} for split in splits],
    }


def record_set(
    name: str, config: Config, files: Sequence[File], local: Callable[[str], Path]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The file set and the record set of a configuration; null where its files are of a kind that is not read here."""
    found = {split: matched(pattern, files) for split, pattern in config.data_files.items()}
    data = [file for listed in found.values() for file in listed]
    suffixes = {file.path.rpartition(".")[2] for file in data}
    if len(suffixes) != 1 or not suffixes <= set(_READ):
        return None
    (suffix,) = suffixes
    set_id = f"{name}-files"
    fields = _parquet(data, local) if suffix == "parquet" else _lines(data, local)
    file_set = {
        "@type": "cr:FileSet",
        "@id": set_id,
        "name": set_id,
        "encodingFormat": ENCODINGS[suffix],
        "includes": list(dict.fromkeys(config.data_files.values())),
    }
    told = [_field(name, set_id, column, kind, listed) for column, kind, listed in fields if kind]
    split = _split_field(name, set_id, config)
    return file_set, {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{sum(file.rows or 0 for file in data):,} rows.",
        "field": told + ([split] if split else []),
    }


def _parquet(files: Sequence[File], local: Callable[[str], Path]) -> Iterator[tuple[str, Any, bool]]:
    """Name, type and whether it is a list, of each column."""
    import pyarrow.parquet as pq

    for field in pq.read_schema(local(files[0].path)):
        listed = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        yield field.name, _arrow_type(field.type.value_type if listed else field.type), listed


def _arrow_type(dtype: pa.DataType) -> Any:
    """A data type of Croissant, sub-fields by name of a struct, or null for what is not told."""
    if pa.types.is_struct(dtype):
        inner = {field.name: _arrow_type(field.type) for field in dtype}
        if set(inner) == {"bytes", "path"}:
            return "bytes"
        return {name: kind for name, kind in inner.items() if isinstance(kind, str) and kind != "bytes"}
    if pa.types.is_boolean(dtype):
        return "sc:Boolean"
    if pa.types.is_integer(dtype):
        return "sc:Integer"
    if pa.types.is_floating(dtype):
        return "sc:Float"
    return "sc:Text" if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) else None


def _lines(files: Sequence[File], local: Callable[[str], Path]) -> Iterator[tuple[str, Any, bool]]:
    """The same of JSON lines: a key whose values are of several kinds over all lines is left out."""
    kinds: dict[str, tuple[Any, bool] | None] = {}
    decoder = msgspec.json.Decoder(dict[str, Any])
    for file in files:
        with local(file.path).open("rb") as lines:
            for line in lines:
                for key, value in decoder.decode(line).items():
                    if value is None or value == []:
                        continue
                    kind = _value_kind(value)
                    kinds[key] = kind if key not in kinds or kinds[key] == kind else None
    for key, found in kinds.items():
        if found is not None:
            yield key, *found


def _value_kind(value: Any) -> tuple[Any, bool]:
    if isinstance(value, list):
        inner = [_value_kind(one) for one in value]
        same = bool(inner) and all(one == inner[0] for one in inner) and not inner[0][1]
        return (inner[0][0] if same else None), True
    if isinstance(value, dict):
        told = {key: _value_kind(one) for key, one in value.items()}
        return {key: kind for key, (kind, listed) in told.items() if isinstance(kind, str) and not listed}, False
    words = {bool: "sc:Boolean", int: "sc:Integer", float: "sc:Float", str: "sc:Text"}
    return words.get(type(value)), False


def _field(name: str, set_id: str, column: str, kind: Any, listed: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"@type": "cr:Field", "@id": f"{name}/{column}", "name": column}
    source = {"fileSet": {"@id": set_id}, "extract": {"column": column}}
    if isinstance(kind, dict):
        told["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}/{inner}",
                "name": inner,
                "dataType": of,
                "source": source | {"transform": {"jsonPath": inner}},
            }
            for inner, of in kind.items()
        ]
    elif kind == "bytes":
        video = column.startswith("video")
        told["dataType"] = "sc:VideoObject" if video else "sc:ImageObject"
        told["source"] = source | {"transform": {"jsonPath": "bytes"}}
    else:
        told["dataType"] = kind
        told["source"] = source
    return told | ({"isArray": True, "arrayShape": "-1", "repeated": True} if listed else {})


def _split_field(name: str, set_id: str, config: Config) -> dict[str, Any] | None:
    """The split of a record, from the path of its file; null where the paths do not tell it."""
    found = list(config.data_files.items())
    for prefix in dict.fromkeys(pattern.partition(split)[0] for split, pattern in found):
        rests = {pattern.removeprefix(prefix + split) for split, pattern in found}
        if len(rests) == 1 and all(pattern.startswith(prefix + split) for split, pattern in found):
            words = "|".join(re.escape(split) for split, _ in sorted(found, key=lambda one: -len(one[0])))
            rest = "[^/]*".join(re.escape(part) for part in rests.pop().split("*"))
            return {
                "@type": "cr:Field",
                "@id": f"{name}/split",
                "name": "split",
                "dataType": "sc:Text",
                "references": {"field": {"@id": "splits/name"}},
                "source": {
                    "fileSet": {"@id": set_id},
                    "extract": {"fileProperty": "fullpath"},
                    # mlcroissant matches what it found once more where a field refers to another one.
                    "transform": {"regex": f"^(?:{re.escape(prefix)})?({words})(?:{rest})?$"},
                },
            }
    return None
