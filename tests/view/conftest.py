"""Recipes whose names, labels and captions are written by someone who means harm, and the previews of real ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from curate.phantom import write_phantoms
from curate.view import Preview, write_preview
from tests.conftest import ROOT
from tests.crash.small import age, draw, write_csv, write_yaml

PAYLOADS = (
    "<script>window.harmed = 1</script>",
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror=window.harmed=1>",
    '"><svg onload=window.harmed=1>',
    "' onmouseover='window.harmed=1",
    "</style><style>*{display:none}</style>",
    "--></title></textarea><iframe srcdoc='<script>parent.harmed=1</script>'>",
    "{{ 7 * 191 }}{% raw %}${7 * 191}",
    "javascript:window.harmed=1",
    "&lt;script&gt;window.harmed = 1&lt;/script&gt;",
    "<meta http-equiv=refresh content='0;url=http://203.0.113.7/'>",
    "<a href=http://203.0.113.7/>x</a><link rel=stylesheet href=http://203.0.113.7/x.css>",
    "\u202egnihtyreve sesrever\u202c",
    "a\x00b\x1b[31mc\x08d",
    "\u2028\u2029]]><![CDATA[<b>",
)
"""Texts that end or open markup, styles, scripts or templates, call other hosts, or turn the direction of writing."""


@dataclass(frozen=True)
class Seen:
    """A preview and the page that it was written to."""

    preview: Preview
    page: Path

    @property
    def text(self) -> str:
        return self.page.read_text("utf-8")


@pytest.fixture(scope="session")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A source whose captions, classes, file names, titles and quotes are payloads."""
    folder = tmp_path_factory.mktemp("harmful")
    rows = []
    for number, payload in enumerate(PAYLOADS):
        name = payload.replace("/", "∕").replace("\x00", "")[:60] + f" {number}"
        draw(folder / "harm" / "images" / f"{name}.png", number)
        clean = payload.replace("\x00", "")
        rows.append([f"{name}.png", clean, clean, f"What is {clean}?", clean])
    write_csv(folder / "harm" / "labels.csv", ["name", "class", "caption", "question", "answer"], rows)
    age(folder / "harm")
    card = {
        "id": "harm",
        "title": PAYLOADS[0],
        "source": {"home": "javascript:window.harmed=1", "version": PAYLOADS[1]},
        "terms": {"licence": "MIT", "quote": PAYLOADS[3], "read_at": PAYLOADS[4], "deidentified": True},
        "modality": PAYLOADS[2],
        "anatomy": PAYLOADS[5],
        "images": {"glob": "images/*.png"},
        "labels": [
            {
                "layout": "table",
                "name": "table",
                "files": "labels.csv",
                "image": "images/{name}",
                "columns": {"class": {"kind": "class"}, "caption": {"kind": "caption"}},
            },
            {
                "layout": "qa",
                "name": "qa",
                "files": "labels.csv",
                "image": "name",
                "question": "question",
                "answer": "answer",
            },
        ],
        "subject": {"none": "drawn"},
    }
    write_yaml(folder / "harm.yaml", card)
    recipe = {
        "name": PAYLOADS[6],
        "sources": [{"card": "harm.yaml", "data": "harm"}],
        "tasks": ["label_caption", "closed_vqa", "open_vqa", "source_qa"],
    }
    write_yaml(folder / "recipe.yaml", recipe)
    page = folder / "page.html"
    return Seen(write_preview(folder / "recipe.yaml", page, len(PAYLOADS)), page)


@pytest.fixture(scope="session")
def seven(test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The seven real sources, two items of each."""
    root = test_data("bccd").parent
    page = tmp_path_factory.mktemp("seven") / "page.html"
    return Seen(write_preview(ROOT / "pipelines" / "seven-sources.yaml", page, 14, data_root=root), page)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A few phantoms of each kind, below one data root."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, images=12)
    yield folder


@pytest.fixture(scope="session")
def quick(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The quickstart recipe: volumes, slides, clips and DICOM among it."""
    page = tmp_path_factory.mktemp("quick") / "page.html"
    return Seen(write_preview(ROOT / "pipelines" / "quickstart.yaml", page, 24, data_root=phantoms), page)
