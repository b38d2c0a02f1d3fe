"""Every completer that needs no engine keeps the contract that plug-ins keep; the engines do in tests/llm."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.language.base import Completer, CompleterOptions
from curate.language.completers.batchfile import BatchFile, BatchFileOptions
from curate.language.completers.openai import OpenAI, OpenAIOptions
from curate.language.completers.replay import Replay
from curate.testing.completers import CompleterContract
from curate.testing.scripted import Reply, ScriptedServer, well

TOO_LONG = {"error": {"message": "This model's maximum context length is 8192 tokens. However, you asked: Zebulon"}}


def _server(body: dict[str, Any]) -> str | Reply:
    """A model with a short memory that quotes what it was asked when it complains."""
    if len(str(body)) > 100_000 and "base64" not in str(body):
        return Reply(status=400, body={**TOO_LONG, "input": body})
    return well(body)


class TestOpenAI(CompleterContract):
    sees_images = True
    requests_ahead = 16

    @pytest.fixture
    def options(self) -> Iterator[CompleterOptions]:
        with ScriptedServer(_server) as server:
            yield OpenAIOptions(url=server.url, concurrency=8)

    @pytest.fixture
    def completer(self, options: OpenAIOptions) -> Iterator[Completer]:
        made = OpenAI("model", None, options)
        yield made
        made.close()


class TestReplay(CompleterContract):
    answers = False

    @pytest.fixture
    def options(self) -> CompleterOptions:
        return CompleterOptions()

    @pytest.fixture
    def completer(self, options: CompleterOptions) -> Completer:
        return Replay("model", None, options)


class TestBatchFile(CompleterContract):
    answers = False
    joins = False
    sees_images = True
    requests_ahead = 51

    @pytest.fixture
    def too_long(self) -> None:
        """A file takes whatever fits in."""

    @pytest.fixture
    def options(self, tmp_path: Path) -> CompleterOptions:
        return BatchFileOptions(folder=str(tmp_path / "batches"), max_requests=50, max_bytes=10_000_000)

    @pytest.fixture
    def completer(self, options: BatchFileOptions) -> Completer:
        return BatchFile("model", None, options)
