"""What somebody is told who brings a dataset for the first time, and what the next step is."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.errors import RecipeError
from curate.recipe import load_recipe
from tests.crash.small import curate, write_yaml

CARD: dict[str, Any] = {
    "id": "eyes",
    "title": "Eyes",
    "source": {"home": "unknown"},
    "terms": {"licence": "CC0-1.0", "quote": "public domain", "read_at": "README.md"},
    "images": {"glob": "images/*.png"},
    "subject": {"none": "not published"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder called as its card, within the folder that `--data` names."""
    for number in range(4):
        path = tmp_path / f"eyes/images/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (60 * number, 0, 0)).save(path)
    rows = [f"{n}.png,{n % 2},{'MF'[n % 2]},The disc is pale.\n" for n in range(4)]
    (tmp_path / "eyes/train.csv").write_text("image,Glaucoma,sex,report\n" + "".join(rows))
    return tmp_path


def _built(root: Path, columns: dict[str, Any]) -> str:
    labels = {"layout": "table", "files": "train.csv", "image": "image", "columns": columns}
    write_yaml(root / "eyes.yaml", CARD | {"labels": [labels]})
    said = curate("build", root / "eyes.yaml", "--data", root, "--out", root / "out")
    assert said.code == 0, said.text
    return said.text


def test_sniff_says_which_folder_the_card_is_for(root: Path) -> None:
    (root / "eyes").rename(root / "Göz Görüntüleri")
    said = curate("sniff", root / "Göz Görüntüleri", "-o", root / "my card.yaml").text
    assert f"curate build '{root}/my card.yaml' --out DIR --data ROOT" in said
    assert "with the dataset as the folder ROOT/g-z-g-r-nt-leri" in said


def test_a_folder_that_is_not_there_is_asked_for_by_its_name(root: Path) -> None:
    write_yaml(root / "eyes.yaml", CARD | {"labels": []})
    said = curate("build", root / "eyes.yaml", "--data", root / "eyes", "--out", root / "out")
    assert said.code != 0
    assert "put or link the dataset there, or correct --data, the folder that holds eyes" in said.text


def test_a_build_that_says_nothing_tells_why(root: Path) -> None:
    silent = _built(root, {"sex": {"kind": "attribute"}})
    assert "note: no task has anything to say" in silent
    states = {"1": "present", "0": "absent"}
    assert "no task" not in _built(root, {"Glaucoma": {"kind": "multilabel", "states": states}})


def test_texts_that_no_task_speaks_of_are_named(root: Path) -> None:
    assert "no task speaks of report in eyes" in _built(root, {"report": {"kind": "report"}})


def test_a_recipe_without_tasks_is_told_what_they_are(tmp_path: Path) -> None:
    write_yaml(tmp_path / "recipe.yaml", {"name": "mine", "sources": ["eyes.yaml"]})
    with pytest.raises(RecipeError, match=r"say `tasks`, what shall be asked, such as \[label_caption"):
        load_recipe(tmp_path / "recipe.yaml")
