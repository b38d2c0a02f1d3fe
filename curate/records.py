"""JSON Schemas of what others read: cards, recipes, sidecars, and the rows of the tables as records.

`schemas/*.json` are these functions' output; `make schemas` writes them and a test compares.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate.card import Card
from curate.recipe import Recipe
from curate.resources import shipped
from curate.schema import (
    CATALOG_TABLES,
    RULES,
    Annotator,
    CheckVerdict,
    Form,
    Kind,
    Laterality,
    Origin,
    Reason,
    State,
    Unit,
    Verdict,
    World,
)
from curate.store.part import Sidecar

__all__ = ["RECORDS", "closed_words", "record_validator", "schemas", "write_schemas"]

_WORDS: Final[dict[tuple[str, str], type[Any]]] = {
    ("annotations", "kind"): Kind,
    ("annotations", "state"): State,
    ("annotations", "world"): World,
    ("annotations", "annotator"): Annotator,
    ("assets", "form"): Form,
    ("assets", "laterality"): Laterality,
    ("pairs", "origin"): Origin,
    ("responses", "reason"): Reason,
    ("rejects", "verdict"): Verdict,
    ("rejects", "reason"): Reason,
    ("rejects", "unit"): Unit,
    ("parts", "unit"): Unit,
}

RECORDS: Final = {
    "assets": "asset",
    "annotations": "annotation",
    "groups": "group",
    "pairs": "pair",
    "responses": "response",
    "rejects": "reject",
    "parts": "ledger-line",
}
"""Table of the catalog -> the schema of its rows as records."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def closed_words() -> dict[tuple[str, str], tuple[str, ...]]:
    """(table, column) -> the words that it may hold besides null."""
    return {place: tuple(str(word) for word in enum) for place, enum in _WORDS.items()}


def schemas() -> dict[str, dict[str, Any]]:
    """File stem -> JSON Schema."""
    found: dict[str, dict[str, Any]] = {
        "card": _of_struct(Card, "A source card, as YAML says it"),
        "recipe": _of_struct(Recipe, "A recipe, with short forms written out"),
        "sidecar": _of_sealed(Sidecar, "The sidecar of one part, as its file says it"),
    }
    for table, name in RECORDS.items():
        found[name] = _of_table(table)
    return found


def _of_struct(model: type[Any], title: str) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    return {"$schema": _DIALECT, "title": title, **schema, "$defs": components}


def _of_sealed(model: type[Any], title: str) -> dict[str, Any]:
    """The schema of a file that holds the sha256 of itself."""
    schema = _of_struct(model, title)
    home = schema["$defs"][model.__name__] if "$ref" in schema else schema
    home["properties"] = home["properties"] | {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
    home["required"] = [*home["required"], "sha256"]
    return schema


def _of_table(table: str) -> dict[str, Any]:
    schema = CATALOG_TABLES[table]
    properties = {field.name: _of_field(table, field) for field in schema}
    return {
        "$schema": _DIALECT,
        "title": f"A row of the catalog's table {table}",
        "type": "object",
        "properties": properties,
        "required": [field.name for field in schema],
        "additionalProperties": False,
    }


def _of_field(table: str, field: pa.Field) -> dict[str, Any]:
    words = closed_words().get((table, field.name))
    plain: dict[str, Any] = {"enum": list(words)} if words else _of_type(field.type)
    if table == "pairs" and field.name == "checks":
        plain["properties"] = {rule: {"enum": [CheckVerdict.PASS, CheckVerdict.NOT_APPLICABLE]} for rule in RULES}
    if table == "pairs" and field.name == "messages":
        plain["minItems"] = 2
        plain["items"]["properties"] = {
            "role": {"enum": ["system", "user", "assistant"]},
            "content": {"type": "string", "minLength": 1},
        }
    if table == "pairs" and field.name == "asset_ids":
        plain["minItems"] = 1
    if field.name.endswith(("_id", "_sha256")) and plain == {"type": "string"} and field.name != "group_id":
        plain["pattern"] = "^[0-9a-f]{64}$"
    return {"anyOf": [plain, {"type": "null"}]} if field.nullable else plain


def _of_type(dtype: pa.DataType) -> dict[str, Any]:
    if pa.types.is_map(dtype):
        return {
            "type": "array",
            "items": {"type": "array", "items": {"type": ["string", "null"]}, "minItems": 2, "maxItems": 2},
        }
    if pa.types.is_list(dtype):
        return {"type": "array", "items": _of_type(dtype.value_type)}
    if pa.types.is_struct(dtype):
        return {
            "type": "object",
            "properties": {
                field.name: {"anyOf": [_of_type(field.type), {"type": "null"}]}
                if field.nullable
                else _of_type(field.type)
                for field in dtype
            },
            "required": [field.name for field in dtype],
            "additionalProperties": False,
        }
    if pa.types.is_boolean(dtype):
        return {"type": "boolean"}
    if pa.types.is_integer(dtype):
        return {"type": "integer"}
    if pa.types.is_floating(dtype):
        return {"type": "number"}
    return {"type": "string"}


def record_validator(name: str) -> Any:
    """A validator of one record kind, from the shipped schema.

    Raises:
        FileNotFoundError: the schemas are not shipped with this installation.
    """
    import jsonschema_rs

    return jsonschema_rs.validator_for(json.loads((shipped("schemas") / f"{name}.schema.json").read_text()))


def write_schemas(folder: Path) -> None:
    """Write every schema as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.schema.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_schemas(shipped("schemas"))
