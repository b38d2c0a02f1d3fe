"""A corpus whose cards say other terms: built again from the catalog on, since the pixels are the same."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from curate.corpus import CORPUS_FILE
from curate.store.seal import sealed, unsealed


@contextlib.contextmanager
def with_terms(corpus: Path, terms: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
    """A copy of the corpus in which the cards of some sources state other terms."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "corpus"
        shutil.copytree(corpus, copy)
        path = copy / CORPUS_FILE
        plain = msgspec.convert(unsealed(path.read_bytes()), dict[str, Any])
        for source, said in terms.items():
            plain["cards"][source]["terms"] |= said
        path.write_bytes(sealed(plain))
        yield copy
