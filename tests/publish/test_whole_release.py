"""Seven real sources, real clips and DICOM, and drawn volumes, in every format, to a folder and a store: each loads."""

import csv
import gc
import json
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import polars
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate import open_catalog
from curate.build import build
from curate.execute import Executing
from curate.phantom import write_phantoms
from curate.publish.base import MANIFEST, Format
from curate.publish.formats import format_names, formats_of
from curate.publish.manifest import Manifest, decode_manifest
from curate.publish.run import publish
from curate.publish.targets import FolderTarget, target_of
from curate.published import check_records
from curate.store.place import read_bytes, walk
from tests.conftest import ROOT
from tests.publish.consumers import ABOUT_THE_CORPUS, load_json
from tests.publish.worlds import files_at
from tests.store.server import remote, s3_server

pytestmark = pytest.mark.slow

SEVEN = (
    "bccd",
    "rbc-wbc-coco",
    "chula-rbc-diseases",
    "chula-rbc-12-points",
    "dsb2018-nuclei",
    "hannover-covid-cxr",
    "vqa-rad",
)
REVIEWED = ("vqa-rad", "pocus-lung-ultrasound", "pydicom-data", "medio-ct-series")
"""Sources that do not say themselves that they are de-identified: their rows go once who publishes has stated it."""

WITHHELD = "rbc-wbc-coco"
"""The one of which the test's card states an agreement: digests of its rows go."""

RECIPE = """
name: whole
sources: [{sources}]
tasks: [label_caption, closed_vqa, open_vqa, grounding, {{name: count, variants: 2}}, points, source_qa,
  {{name: descriptors, styles: [caption], variants: 2}},
  {{name: referring, prompts: true, max_prompted: 20, objects: 2}}]
volumes: {{planes: [axial], slices: 2, windows: [auto]}}
videos: {{frames: 2, clip_s: 2}}
"""


def _card(folder: Path, source: str, *changes: tuple[str, str]) -> str:
    text = (ROOT / "catalogs" / f"{source}.yaml").read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    (folder / f"{source}.yaml").write_text(text)
    return f"./{source}.yaml"


def _every_format() -> list[Format]:
    return formats_of(["medvlsm:several=true" if name == "medvlsm" else name for name in format_names()])


@pytest.fixture(scope="module")
def world(
    test_data: Callable[[str], Path], data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with the corpus, and its release in a folder."""
    folder = tmp_path_factory.mktemp("whole")
    sources = []
    for source in dict.fromkeys((*SEVEN, *REVIEWED)):
        test_data(source)
        if source in REVIEWED:
            sources.append(_card(folder, source, ("\nterms:", "\nterms:\n  deidentified: true")))
        elif source == WITHHELD:
            sources.append(
                _card(folder, source, ("licence: MIT", "licence: LicenseRef-agreement\n  redistribute: false"))
            )
        else:
            sources.append(source)
    write_phantoms(folder / "phantoms", images=4, only=("phantom-ct",))
    sources.append(f"{{card: phantom-ct, data: {folder / 'phantoms' / 'phantom-ct'}}}")
    (folder / "recipe.yaml").write_text(RECIPE.format(sources=", ".join(sources)))
    build(folder / "recipe.yaml", folder / "corpus", data_root, executing=Executing(workers=2))
    every = _every_format()
    publish(folder / "corpus", FolderTarget(folder / "release"), every, desk=folder / "desk")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def release(world: Path) -> Path:
    """The release in a folder."""
    return world / "release"


@pytest.fixture(scope="module")
def manifest(release: Path) -> Manifest:
    """What it says of itself."""
    return decode_manifest((release / MANIFEST).read_bytes(), str(release))


def _rows(manifest: Manifest, name: str) -> int:
    return next(one.rows for one in manifest.formats if one.format == name)


def test_every_format_holds_rows_and_each_row_goes_or_is_counted(manifest: Manifest, world: Path) -> None:
    assert {one.format for one in manifest.formats} == set(format_names())
    pairs = open_catalog(world / "corpus").pairs.select("source", "task").collect()
    going = sum(manifest.rows.values())
    assert going + sum(sum(why.values()) for why in manifest.withheld.values()) == pairs.height
    assert manifest.withheld == {WITHHELD: {"agreement": pairs.filter(polars.col("source") == WITHHELD).height}}
    for one in manifest.formats:
        assert one.rows > 0, one.format
        assert one.rows + sum(left.rows for left in one.left_out) == going, one.format
    assert not (world / "release/images" / WITHHELD).exists()
    assert (
        pq.read_metadata(world / f"release/rebuild/{WITHHELD}.parquet").num_rows
        == manifest.withheld[WITHHELD]["agreement"]
    )


def test_a_store_holds_the_same_bytes_and_is_read_where_it_lies(world: Path, release: Path) -> None:
    with s3_server():
        sent = publish(world / "corpus", target_of("s3://corpora/whole"), _every_format(), desk=world / "desk")
        assert sent.files == len(files_at(release)) - 1
        place = remote("whole")
        assert {one.name: read_bytes(place / one.name) for one in walk(place)} == files_at(release)
        rows = polars.scan_parquet(str(place / "hf-parquet/data/images/*.parquet"))
        here = polars.scan_parquet(release / "hf-parquet/data/images/*.parquet")
        assert rows.select("pair_id").collect().equals(here.select("pair_id").collect())


def test_datasets_reads_every_config_of_the_card(release: Path, manifest: Manifest, tmp_path: Path) -> None:
    """Configs, splits and features come from the card alone, as from the Hub."""
    import datasets

    read = {
        config: sum(
            split.num_rows for split in datasets.load_dataset(str(release), config, cache_dir=str(tmp_path)).values()
        )
        for config in datasets.get_dataset_config_names(str(release))
    }
    assert read.keys() == {"images", "videos", "trl", "verl"}
    assert (read.pop("trl"), read.pop("verl")) == (_rows(manifest, "trl"), _rows(manifest, "verl"))
    assert sum(read.values()) == _rows(manifest, "hf-parquet")


@pytest.mark.parametrize("name", ["llava", "sharegpt", "openai", "ms-swift", "preference", "kto"])
def test_records_load_name_media_that_are_there_and_have_no_defect(
    release: Path, manifest: Manifest, name: str
) -> None:
    files = [
        path
        for path in sorted((release / name).glob("*.json*"))
        if path.name != "dataset_info.json" and not path.stem.endswith("_reasons")
    ]
    records_per_row = 2 if name == "kto" else 1  # the true answer and the false one are a record each
    assert sum(load_json(path).num_rows for path in files) == records_per_row * _rows(manifest, name)
    found = check_records(files, images=release).findings
    grave = {one.rule: one.count for one in found if one.rule not in ABOUT_THE_CORPUS and one.severity == "error"}
    assert grave in ({}, {"mojibake": 1})  # one answer of VQA-RAD is so in the source, whose words stay
    assert not [one for one in found if one.rule == "missing_media"]


def test_pictures_within_rows_are_known_for_what_they_are(release: Path) -> None:
    found = check_records([release / name for name in ("hf-parquet", "trl", "verl", "vlmevalkit")], images=release)
    assert sum(one.rows for one in found.files) > 0
    assert {one.rule for one in found.findings if one.severity == "error"} <= {"mojibake"}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_streams_every_row_once(release: Path, manifest: Manifest) -> None:
    import webdataset

    told: Counter[str] = Counter()
    tars = sorted(map(str, (release / "webdataset").glob("*.tar")))
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        told.update(one["pair_id"] for one in json.loads(sample["json"])["conversations"])
    assert set(told.values()) == {1}
    assert len(told) == _rows(manifest, "webdataset")
    del sample
    gc.collect()  # the reader leaves its last file to the collector


def test_the_kit_finds_a_picture_for_each_question(release: Path, manifest: Manifest) -> None:
    csv.field_size_limit(2**27)
    rows = 0
    for path in sorted((release / "vlmevalkit").glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file, delimiter="\t"))
        pictures = {one["index"]: one["image"] for one in cells if len(one["image"]) > 64}
        assert all(len(one["image"]) > 64 or one["image"] in pictures for one in cells)
        assert all(one["question"].strip() and one["answer"].strip() for one in cells)
        rows += len(cells)
    assert rows == _rows(manifest, "vlmevalkit")


def test_masks_and_class_texts_lie_beside_their_pictures(release: Path) -> None:
    prompted = [one for path in (release / "medvlsm").glob("t*.json") for one in json.loads(path.read_text())]
    assert prompted
    for one in prompted:
        with (
            Image.open(release / one["img_name"]) as picture,
            Image.open(release / one["mask_name"]) as mask,
        ):
            assert picture.size == mask.size
            assert mask.getbbox() is not None
    split = json.loads((release / "class-prompts/split.json").read_text())
    assert all((release / path).exists() for part in split.values() for path, *_ in part)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own
def test_croissant_validates_and_its_records_are_the_rows(release: Path) -> None:
    mlc = pytest.importorskip("mlcroissant")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlc.Dataset(str(release / "croissant.json"))
        assert not dataset.metadata.ctx.issues.errors
        names = [one.id for one in dataset.metadata.record_sets]
        assert {"images", "videos", "trl", "verl", "ms-swift", "openai"} <= set(names)
        read = [record["videos/pair_id"].decode() for record in dataset.records("videos")]
    told = pq.read_table(sorted((release / "hf-parquet/data/videos").iterdir()), columns=["pair_id"])
    assert sorted(read) == sorted(told["pair_id"].to_pylist())
