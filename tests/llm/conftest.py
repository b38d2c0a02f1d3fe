"""vLLM itself on the processor, with random-weight models made on the spot. `make test-llm` runs these tests."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.llm.tiny import text_model, vision_model

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The engine's own libraries warn of one another; that is no failure of ours."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(autouse=True, scope="session")
def _engine_at_hand() -> None:
    if find_spec("vllm") is None:
        skip_or_fail("llm", "vLLM is not installed in this environment; `make test-llm` sets one up")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def text_folder(_engine_at_hand: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model that reads text."""
    return str(text_model(tmp_path_factory.mktemp("models") / "tiny-text"))


@pytest.fixture(scope="session")
def vision_folder(_engine_at_hand: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model that sees images."""
    return str(vision_model(tmp_path_factory.mktemp("models") / "tiny-vision"))
