"""The tables, their frozen values and their JSON Schemas say the same."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import records
from curate.rows import Annotation, Asset, Draft
from curate.schema import ANNOTATIONS, ASSETS, DRAFTS, RULES, Reason, identity
from curate.verify import VERSIONS

SCHEMAS = Path(__file__).parents[1] / "schemas"


@pytest.mark.parametrize(("model", "schema"), [(Asset, ASSETS), (Annotation, ANNOTATIONS), (Draft, DRAFTS)])
def test_a_frozen_row_has_the_columns_of_its_table(model: type, schema: pa.Schema) -> None:
    assert list(model.__struct_fields__) == schema.names  # type: ignore[attr-defined]


def test_the_shipped_schemas_are_those_of_the_code() -> None:
    files = sorted(SCHEMAS.glob("*.schema.json"))
    shipped = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in files}
    assert shipped == json.loads(json.dumps(records.schemas())), "run `make schemas`"


def test_every_rule_that_a_pair_tells_of_exists() -> None:
    assert tuple(VERSIONS) == RULES


def test_only_a_consequence_or_a_limit_of_this_machine_is_excused() -> None:
    assert [reason for reason in Reason if reason.is_consequence] == [Reason.IMAGE_UNAVAILABLE]
    assert {reason for reason in Reason if reason.is_environmental} == {Reason.TIME_LIMIT, Reason.MEMORY_LIMIT}


FIELDS = st.lists(st.one_of(st.none(), st.text(), st.integers()))


@given(FIELDS, FIELDS)
def test_identities_differ_where_fields_do(left: list[object], right: list[object]) -> None:
    def told(fields: list[object]) -> list[str | None]:
        return [None if field is None else str(field) for field in fields]

    assert (identity(*left) == identity(*right)) == (told(left) == told(right))
