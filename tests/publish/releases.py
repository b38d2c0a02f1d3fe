"""A small corpus of phantoms with every kind of medium, and releases of it."""

from pathlib import Path

from curate.build import build
from curate.phantom import write_phantoms
from curate.publish.base import Release
from curate.publish.rows import open_release
from curate.publish.selection import select

SOURCES = (
    "phantom-cells-voc",
    "phantom-cells-points",
    "phantom-nuclei-masks",
    "phantom-cxr-table",
    "phantom-classes-folders",
    "phantom-qa",
    "phantom-ct",
    "phantom-clip",
)
_RECIPE = """
name: phantoms
sources: [{sources}]
tasks: [label_caption, closed_vqa, open_vqa, grounding, count, points, source_qa]
volumes: {{planes: [axial], slices: 2, windows: [soft_tissue]}}
videos: {{frames: 2}}
"""


def build_corpus(folder: Path, *, images: int = 12, sources: tuple[str, ...] = SOURCES) -> Path:
    """Phantoms drawn and built below `folder`; the place of the corpus."""
    write_phantoms(folder / "phantoms", images=images, only=sources)
    recipe = folder / "recipe.yaml"
    recipe.write_text(_RECIPE.format(sources=", ".join(sources)))
    built = build(recipe, folder / "corpus", folder / "phantoms")
    assert not built.shortfalls, built.shortfalls
    return folder / "corpus"


def release_of(corpus: Path) -> Release:
    """All that may go of a corpus."""
    return open_release(select(corpus))
