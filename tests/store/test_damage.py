"""`curate check` finds every altered byte, and a reader that meets one says so plainly."""

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.check import MAX_RECORDS, _sample, check
from curate.errors import CurateError, StoreError
from curate.schema import CATALOG_TABLES, TABLES
from curate.store.parquet import read_table
from curate.store.part import Part, Sidecars, encode_sidecar
from tests.crash.small import CARD, KILLS, World, curate, small_world, tree

FLIPS = 16 * KILLS
"""Bits flipped in each file, one at a time."""


@contextmanager
def damaged(path: Path, data: bytes | None) -> Iterator[None]:
    """The file with other bytes, or gone; mended afterwards."""
    whole = path.read_bytes()
    try:
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        yield
    finally:
        path.write_bytes(whole)


def flips(path: Path) -> Iterator[bytes]:
    """The file's bytes with one bit flipped, at places that depend on nothing but the file."""
    whole = path.read_bytes()
    chosen = random.Random(path.name)
    for _ in range(FLIPS):
        place = chosen.randrange(len(whole))
        yield whole[:place] + bytes([whole[place] ^ (1 << chosen.randrange(8))]) + whole[place + 1 :]


def committed(out: Path) -> list[str]:
    """Every file but what `check` itself writes."""
    return [name for name in tree(out) if not name.startswith("checks/")]


def is_noticed(out: Path) -> bool:
    """True where check finds something or says that it cannot even begin."""
    try:
        return not check(out).ok
    except CurateError:
        return True


def test_an_undamaged_corpus_is_what_it_says(built: Path) -> None:
    assert check(built).ok


def test_every_flipped_bit_is_found(built: Path) -> None:
    for name in committed(built):
        for data in flips(built / name):
            with damaged(built / name, data):
                assert is_noticed(built), f"a flipped bit in {name} went unseen"


def test_every_truncated_emptied_lengthened_or_deleted_file_is_found(built: Path) -> None:
    for name in committed(built):
        whole = (built / name).read_bytes()
        for data in (b"", whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"\0", None):
            with damaged(built / name, data):
                assert is_noticed(built), f"{name} with {'no file' if data is None else len(data)} bytes went unseen"


def test_two_files_that_changed_places_are_found(built: Path) -> None:
    names = committed(built)
    for one, other in zip(names, names[1:] + names[:1], strict=True):
        first, second = (built / one).read_bytes(), (built / other).read_bytes()
        with damaged(built / one, second), damaged(built / other, first):
            assert is_noticed(built), f"{one} and {other} changed places unseen"


def test_a_sidecar_of_another_build_is_found(built: Path) -> None:
    """Sealed and whole, but what it stands on is not what stands beside it."""
    for sidecar in Sidecars(built).listed():
        name = sidecar.part.sidecar_path
        if sidecar.stage == "scan":
            continue  # made from the data folder alone: `check --sources` speaks of that
        other = msgspec.structs.replace(sidecar, inputs=dict.fromkeys(sidecar.inputs, "0" * 64))
        with damaged(built / name, encode_sidecar(other)):
            assert is_noticed(built), f"{name} of another build went unseen"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("annotations", "annotation_id", "no digest"),
        ("assets", "image_sha256", "0" * 63),
        ("groups", "asset_id", "image one"),
    ],
)
def test_a_row_that_is_no_record_of_its_table_is_found(built: Path, table: str, column: str, value: str) -> None:
    """Written by a build that went astray: digests and sidecar agree with it."""
    sidecar = Sidecars(built).need(Part("catalog"))
    (file,) = sidecar.of(table)
    rows = read_table(built, [file], CATALOG_TABLES[table])
    astray = pa.array([value, *rows.column(column).to_pylist()[1:]], pa.string())
    path = built / file.name
    with damaged(path, path.read_bytes()):
        rows = rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), astray)
        pq.write_table(rows.cast(CATALOG_TABLES[table]), path)
        data = path.read_bytes()
        forged = msgspec.structs.replace(file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        files = tuple(forged if each == file else each for each in sidecar.files)
        with damaged(built / sidecar.part.sidecar_path, encode_sidecar(msgspec.structs.replace(sidecar, files=files))):
            found = [finding for finding in check(built).findings if finding.check == "record"]
    assert [finding.subject for finding in found] == [table]
    assert "1 do not fit" in found[0].message


def test_every_kind_of_record_is_looked_at(built: Path) -> None:
    checked = check(built).checked
    assert checked["records of pairs"] > 0
    assert {f"records of {table}" for table in CATALOG_TABLES} <= set(checked)


def test_of_a_large_table_about_as_many_rows_are_looked_at_and_always_the_same() -> None:
    rows = 1_000_000
    chosen = [number for start in range(0, rows, 50_000) for number in _sample(start, 50_000, rows)]
    assert abs(len(chosen) / MAX_RECORDS - 1) < 0.01
    assert chosen == list(_sample(0, rows, rows))
    assert list(_sample(0, 5, 5)) == [0, 1, 2, 3, 4]


def test_a_reader_of_a_damaged_table_says_so_plainly_or_gives_rows_of_its_schema(built: Path) -> None:
    """Page checksums guard the rows; a damaged footer is a `StoreError` too, never another exception."""
    refused = 0
    for sidecar in Sidecars(built).listed():
        schemas = CATALOG_TABLES if sidecar.stage == "catalog" else TABLES
        for file in sidecar.files:
            for data in flips(built / file.name):
                with damaged(built / file.name, data):
                    try:
                        table = read_table(built, [file], schemas[file.table])
                    except StoreError as told:
                        refused += 1
                        assert "build again" in str(told)
                    else:
                        assert isinstance(table, pa.Table)
    assert refused


@pytest.mark.parametrize("stage", ["read", "group", "verify", "catalog"])
def test_a_command_that_meets_a_damaged_file_ends_with_one_line(built: Path, stage: str) -> None:
    sidecar = Sidecars(built).listed(stage)[0]
    path = built / sidecar.files[-1].name
    with damaged(path, path.read_bytes()[:-9]):
        for arguments in (["status"], ["rejects"], ["rejects", "--list"], ["check"], ["gc", "--dry-run"]):
            said = curate(arguments[0], built, *arguments[1:])
            assert said.code in (0, 1)
        for arguments in (["query", "SELECT count(*) FROM images"], ["why", "c03"]):
            assert curate(arguments[0], built, arguments[1]).code in (0, 1)


def test_what_is_removed_after_a_finding_is_built_again(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=5)
    assert world.build().code == 0
    before = tree(world.out())
    assert "corpus.json" in before
    for table in ("pairs", "images", "catalog", "groups"):
        next(path for path in (world.out() / table).rglob("*.parquet")).unlink()
    assert curate("check", world.out()).code == 1
    assert world.plan()
    assert world.build().code == 0
    assert {name: digest for name, digest in tree(world.out()).items() if not name.startswith("checks/")} == before


@pytest.mark.parametrize("name", ["corpus.json", "parts/scan/cells/all.json", "parts/catalog/_whole/all.json"])
def test_a_build_that_meets_an_altered_sidecar_says_what_to_remove(built: Path, name: str) -> None:
    world = World(built.parent)
    before = {kept: digest for kept, digest in tree(built).items() if not kept.startswith("checks/")}
    path = built / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"cells", b"bells", 1))
    said = world.build()
    assert said.code == 1
    assert "remove it and build again" in said.stderr
    assert str(path) in said.stderr
    path.unlink()
    assert world.build().code == 0
    assert {kept: digest for kept, digest in tree(built).items() if not kept.startswith("checks/")} == before


def test_a_number_in_the_name_of_a_disease_or_modality_needs_no_proof(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=6)
    labels = (world.data / "labels.csv").read_text()
    (world.data / "labels.csv").write_text(labels.replace("anaemia", "COVID-19").replace("healthy", "type 2 diabetes"))
    unnamed = {key: value for key, value in CARD["labels"][0].items() if key != "concepts"}
    world.write_card(labels=[unnamed], modality="T2-weighted MRI", ignores=["boxes.csv"])
    world.write_recipe(tasks=["label_caption", "closed_vqa", "open_vqa"])
    assert world.build().code == 0
    sql = "SELECT count(*) AS n FROM pairs WHERE list_last(messages).content LIKE '%T2-weighted%'"
    assert json.loads(curate("query", world.out(), sql, "--json").stdout)[0]["n"] > 0
    assert check(world.out()).ok
