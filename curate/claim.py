"""An output folder belongs to one corpus: it says so itself, and nothing else is written into."""

from pathlib import Path

from curate.corpus import CORPUS_FILE, Corpus, ProjectKey, described
from curate.errors import StoreError, UsageError
from curate.store.commit import replace_file
from curate.store.part import TEMPORARY_PREFIX
from curate.store.place import Place, names_in, size_of

__all__ = ["claim"]


def claim(corpus: Corpus, out: Place, key: ProjectKey) -> None:
    """Say in the output what it is; refuse a folder that is something else."""
    _keep_apart(corpus, out)
    target = out / CORPUS_FILE
    if not _is_described(target) and _has_foreign_files(out) and not _is_described(target):  # nor claimed meanwhile
        raise UsageError(f"{out} is not empty and holds no corpus; choose another --out")
    if _is_described(target):
        before = described(out).recipe.get("name")
        if before != corpus.recipe.name:
            raise UsageError(f"{out} holds the corpus {before!r}, not {corpus.recipe.name!r}; choose another --out")
    replace_file(target, corpus.described(key))


def _keep_apart(corpus: Corpus, out: Place) -> None:
    """Refuse an output within a source or a source within the output: each build would read what the last one wrote."""
    if not isinstance(out, Path):
        return
    place = out.resolve()
    for source in corpus.sources:
        root = Path(source.root)
        if place.is_relative_to(root) or root.is_relative_to(place):
            raise UsageError(f"{out} and the data folder of {source.id} lie within each other; choose another --out")


def _is_described(target: Place) -> bool:
    try:
        size_of(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise _unseen(target, problem) from None
    return True


def _unseen(place: Place, problem: OSError) -> StoreError:
    return StoreError(f"cannot look into {place}: {problem.strerror}; fix its rights or choose another --out")


def _has_foreign_files(out: Place) -> bool:
    """True where a folder without a description holds anything but sidecars and what a killed build leaves."""
    try:
        names = names_in(out)
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise _unseen(out, problem) from None
    return "parts" not in names and any(not name.startswith(TEMPORARY_PREFIX) for name in names)
