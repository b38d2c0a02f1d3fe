"""One small corpus for all tests of publishing."""

from pathlib import Path

import pytest

from curate.publish.base import Release
from tests.publish.releases import build_corpus, release_of


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built corpus of phantoms; not to be changed."""
    return build_corpus(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def release(corpus: Path) -> Release:
    """All rows of it."""
    return release_of(corpus)
