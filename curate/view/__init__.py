"""Looking at a corpus: the preview of a recipe before it is built."""

from collections.abc import Callable
from pathlib import Path

from curate.build import Progress
from curate.errors import UsageError
from curate.execute import Executing
from curate.store.commit import replace_file
from curate.store.place import Place
from curate.view.estimate import Prices
from curate.view.page import page
from curate.view.preview import ITEMS, Preview, preview

__all__ = ["Preview", "preview", "write_preview"]


def write_preview(
    recipe: Path,
    target: Path,
    items: int = ITEMS,
    *,
    data_root: Path | None = None,
    completer: str | None = None,
    answers: Path | None = None,
    mirrors: Place | None = None,
    prices: Prices | None = None,
    executing: Executing | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Preview:
    """`preview`, written to `target` as a page; the file is there whole or not at all.

    Raises:
        UsageError: there is no folder to write it in.
        CurateError: as `preview`.
    """
    if not target.parent.is_dir():
        raise UsageError(f"--html {target}: the folder {target.parent} is not there; make it, or name another file")
    seen = preview(
        recipe,
        items,
        data_root=data_root,
        completer=completer,
        answers=answers,
        mirrors=mirrors,
        prices=prices,
        executing=executing or Executing(),
        progress=progress,
    )
    replace_file(target, page(seen).encode())
    return seen
