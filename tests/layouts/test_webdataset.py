"""Samples of WebDataset tars become rows of their one image; what a sample lacks is counted."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from curate.card import CardError, convert_strictly, parse_card
from curate.layouts.base import Context, Record, Refused
from curate.layouts.tree import Reader, Tree
from curate.layouts.webdataset import WebDataset, WebDatasetOptions
from curate.schema import Kind, Reason

CARD = """
id: example
title: An example
source: {home: example.org}
terms: {licence: CC0-1.0, quote: public domain, read_at: README.md}
subject: {none: not published}
images: {glob: "*.tar/**/*.jpg"}
labels:
  - layout: webdataset
    files: "*.tar/**"
    columns: {txt: {kind: caption}, json.size: {kind: measurement, unit: mm}}
    fields: {view: json.view}
    optional: [json]
"""


def _tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def _scan(root: Path) -> tuple[list[Record | Refused], Tree]:
    card = parse_card(yaml.safe_load(CARD), "test")
    labels = card.labels[0]
    tree = Tree.scan(root, (*card.images.globs, *labels.files))
    options = convert_strictly(labels.options, WebDatasetOptions, "test", CardError)
    with Reader(root) as reader:

        def read(entry: object) -> bytes:
            return reader.read(entry.path, entry.member)

        context = Context(
            card=card, labels=labels, options=options, tree=tree, read=read, images=tree.match(card.images.globs)
        )
        return list(WebDataset().scan(context)), tree


def test_each_member_of_a_sample_is_a_row_of_its_image(tmp_path: Path) -> None:
    members = [("d/1.jpg", b"x"), ("d/1.txt", b"A mass.\n"), ("d/1.json", b'{"size": 3.5, "view": "PA"}')]
    _tar(tmp_path / "0.tar", members)
    units, _ = _scan(tmp_path)
    said, text = units
    assert isinstance(said, Record) and isinstance(text, Record)
    assert (said.image.name, text.image.name) == ("0.tar/d/1.jpg", "0.tar/d/1.jpg")
    (size,), (caption,) = said.annotations, text.annotations
    assert (size.kind, size.value, size.unit, size.concept) == (Kind.MEASUREMENT, 3.5, "mm", "size")
    assert (caption.kind, caption.text) == (Kind.CAPTION, "A mass.")
    assert said.columns["@view"] == "PA"


def test_one_name_in_two_shards_is_two_samples(tmp_path: Path) -> None:
    for shard in ("0", "1"):
        _tar(tmp_path / f"{shard}.tar", [("1.jpg", b"x"), ("1.txt", f"Shard {shard}.".encode())])
    units, _ = _scan(tmp_path)
    assert [unit.image.name for unit in units] == ["0.tar/1.jpg", "1.tar/1.jpg"]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("1.jpg", b"x")], Reason.MISSING_FILE),
        ([("1.txt", b"A mass.")], Reason.MISSING_FILE),
        ([("1.left.jpg", b"x"), ("1.right.jpg", b"y"), ("1.txt", b"A mass.")], Reason.AMBIGUOUS_IMAGE),
        ([("1.jpg", b"x"), ("1.txt", b"")], Reason.EMPTY_FILE),
        ([("1.jpg", b"x"), ("1.txt", b"\xff\xfe")], Reason.BAD_ENCODING),
    ],
)
def test_a_sample_that_is_not_whole_is_a_refused_row(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: Reason
) -> None:
    _tar(tmp_path / "0.tar", members)
    (unit,), _ = _scan(tmp_path)
    assert isinstance(unit, Refused)
    assert unit.refusal.reason is reason


def test_a_tar_that_is_cut_short_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    for shard in ("0", "1"):
        _tar(tmp_path / f"{shard}.tar", [("1.jpg", bytes(4000)), ("1.txt", b"A mass.")])
    whole = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[:2000])
    units, tree = _scan(tmp_path)
    assert [key for key, _ in tree.refusals] == ["0.tar"]
    assert [unit.image.name for unit in units] == ["1.tar/1.jpg"]
