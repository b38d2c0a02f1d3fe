"""A release of real sources, and trainers in an environment of their own. `make test-trainers` runs these tests."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.build import build
from curate.execute import Executing
from curate.publish.formats import formats_of
from curate.publish.run import publish
from curate.publish.targets import FolderTarget
from tests.conftest import ROOT, skip_or_fail

SOURCES = ("bccd", "chula-rbc-12-points", "hannover-covid-cxr")
CLIPS = "pocus-lung-ultrasound"
RECIPE = """
name: trained
sources: [{sources}]
tasks: [closed_vqa, multiple_choice, grounding, points, {{name: count, variants: 1}}, {{name: referring, objects: 1}}]
videos: {{frames: 2, clip_s: 2}}
"""


@dataclass(frozen=True)
class Trainers:
    """Their environment, a model of noise for them, and a home that no other run has."""

    python: Path
    model: Path
    home: Path

    def run(self, *arguments: str | Path) -> str:
        """What a module prints. It sees no network, no GPU and none of this process's settings of trainers."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CURATE_"))}
        told = subprocess.run(
            [self.python, "-W", "ignore", "-m", *arguments],
            cwd=ROOT,
            env=ours
            | {
                "HOME": str(self.home),
                "HF_HOME": str(self.home / "hf"),
                "MODELSCOPE_CACHE": str(self.home / "modelscope"),
                "HF_HUB_OFFLINE": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "DISABLE_VERSION_CHECK": "1",  # of LLaMA-Factory, which pins an older `datasets` than ms-swift needs
            },
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr[-4000:]
        return told.stdout

    def read(self, module: str, release: Path, *more: str | Path) -> Any:
        """What a trainer made of a release."""
        said = self.run(f"tests.trainers.reading.{module}", self.model, release, *more)
        return json.loads(said.splitlines()[-1].removeprefix("READ"))


@pytest.fixture(scope="session")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Trainers:
    """The environment that CURATE_TRAINERS names."""
    named = os.environ.get("CURATE_TRAINERS")
    if named is None:
        skip_or_fail(
            "trainers", "no environment of trainers is named by CURATE_TRAINERS; `make test-trainers` sets one up"
        )
    assert named is not None
    home = tmp_path_factory.mktemp("trainers")
    found = Trainers(Path(named).absolute() / "bin" / "python", home / "model", home)
    found.run("tests.trainers.reading.model", found.model)
    return found


@pytest.fixture(scope="session")
def corpus(
    trainers: Trainers,
    test_data: Callable[[str], Path],
    data_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Boxes, points, findings, and clips."""
    folder = tmp_path_factory.mktemp("trained")
    for source in (*SOURCES, CLIPS):
        test_data(source)
    card = (ROOT / "catalogs" / f"{CLIPS}.yaml").read_text()
    (folder / f"{CLIPS}.yaml").write_text(card.replace("\nterms:", "\nterms:\n  deidentified: true", 1))
    (folder / "recipe.yaml").write_text(RECIPE.format(sources=", ".join((*SOURCES, f"./{CLIPS}.yaml"))))
    build(folder / "recipe.yaml", folder / "corpus", data_root, limit=12, executing=Executing(workers=2))
    return folder / "corpus"


@pytest.fixture(scope="session")
def release(corpus: Path) -> Path:
    """The corpus in every form that is read here, in pixels."""
    formats = ["sharegpt", "openai:layout=llama-factory", "ms-swift", "preference", "kto", "trl", "verl", "vlmevalkit"]
    publish(corpus, FolderTarget(corpus.parent / "release"), formats_of(formats))
    return corpus.parent / "release"


@pytest.fixture(scope="session")
def release_for_qwen(corpus: Path) -> Path:
    """The same for Qwen2.5-VL, and for fine-tuning with TRL."""
    formats = ["sharegpt:model_family=qwen2.5-vl", "trl:form=sft"]
    publish(corpus, FolderTarget(corpus.parent / "release-for-qwen"), formats_of(formats))
    return corpus.parent / "release-for-qwen"
