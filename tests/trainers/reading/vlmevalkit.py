"""VLMEvalKit: the prompts that it builds of each table of a release.

The kit's own index of data sets imports hundreds of benchmarks with all that they need; its classes for tables of one's
own are imported past it, and chosen as it chooses: options make a table one of multiple choice.
"""

import importlib.util
import os
import shutil
import sys
import types
from pathlib import Path
from typing import Any

from tests.trainers.reading import tell


def without_index() -> None:
    """Lets modules of the kit be imported without the packages that list them."""
    found = importlib.util.find_spec("vlmeval")
    assert found is not None
    (folder,) = found.submodule_search_locations or ()
    for name, place in (("vlmeval", folder), ("vlmeval.dataset", f"{folder}/dataset")):
        package = types.ModuleType(name)
        package.__path__ = [place]
        sys.modules[name] = package


def read(release: Path, place: Path) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows: the text that a model is shown, the size of each picture in pixels, and the answer."""
    shutil.copytree(release / "vlmevalkit", place)  # the kit unpacks pictures beside its tables
    os.environ["LMUData"] = str(place)  # noqa: SIM112 - as the kit spells it
    from vlmeval.dataset.image_mcq import CustomMCQDataset
    from vlmeval.dataset.image_vqa import CustomVQADataset
    from vlmeval.smp import load

    found = {}
    for path in sorted(place.glob("*.tsv")):
        kit = CustomMCQDataset if {"A", "B"} <= set(load(str(path))) else CustomVQADataset
        table = kit(path.stem)
        found[path.stem] = [_row(table.build_prompt(line), line) for _, line in table.data.iterrows()]
    return found


def _row(prompt: list[dict[str, str]], line: Any) -> dict[str, Any]:
    from PIL import Image

    return {
        "text": "".join(part["value"] for part in prompt if part["type"] == "text"),
        "sizes": [Image.open(part["value"]).size for part in prompt if part["type"] == "image"],
        "answer": line["answer"],
        "pair_id": line["pair_id"],
    }


if __name__ == "__main__":
    without_index()
    tell(read(Path(sys.argv[2]), Path(sys.argv[3])))
