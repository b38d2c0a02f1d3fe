"""The completers `openai` and `batchfile` with vLLM's own server and its batch runner."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.language.answers import Unreadable, read_object
from curate.language.base import Answer, Completer, CompleterError, Failure, Trouble, Where
from curate.language.completers.batchfile import BatchFile, BatchFileOptions
from curate.language.completers.openai import OpenAI, OpenAIOptions
from curate.language.completers.vllm import InProcess, InProcessOptions
from curate.testing.completers import CompleterContract, no_images
from tests.llm.asking import SHAPES, SMALL, answers, ask

READY_S = 240.0
ARGUMENTS = (
    "--enforce-eager",
    "--dtype=float32",
    f"--kv-cache-memory-bytes={SMALL['extra']['kv_cache_memory_bytes']}",
    f"--max-num-seqs={SMALL['extra']['max_num_seqs']}",
    "--no-enable-chunked-prefill",
    '--structured-outputs-config={"backend": "guidance", "disable_any_whitespace": true}',
)
"""The engine settings of `SMALL` as the command line of vLLM says them."""
VLLM = str(Path(sys.executable).with_name("vllm"))
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


@dataclass(frozen=True)
class Server:
    """A running `vllm serve`."""

    url: str
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def serving(folder: str, log: Path) -> Iterator[Server]:
    """`vllm serve` on a free port of this machine, its model named tiny."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [VLLM, "serve", folder, "--served-model-name=tiny", f"--port={port}", "--host=127.0.0.1", *ARGUMENTS]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, stdout=written, stderr=subprocess.STDOUT, env=os.environ | QUIET, start_new_session=True
        )
    try:
        _until_ready(f"http://127.0.0.1:{port}/health", process, log)
        yield Server(f"http://127.0.0.1:{port}/v1", process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + READY_S
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    raise AssertionError(f"vllm serve did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def server(text_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The tiny model that reads text, over HTTP."""
    with serving(text_folder, tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running


class TestTheContract(CompleterContract):
    model = "tiny"
    requests_ahead = 32

    @pytest.fixture
    def options(self, server: Server) -> OpenAIOptions:
        return OpenAIOptions(url=server.url, concurrency=16, timeout_s=120)

    @pytest.fixture
    def completer(self, options: OpenAIOptions) -> Iterator[Completer]:
        made = OpenAI("tiny", None, options)
        yield made
        made.close()


@pytest.fixture
def over_http(server: Server) -> Iterator[OpenAI]:
    made = OpenAI("tiny", None, OpenAIOptions(url=server.url, concurrency=64, timeout_s=120))
    yield made
    made.close()


def test_sixty_four_at_once_are_all_read(over_http: OpenAI) -> None:
    asked = {ask(number, shape): shape for number, shape in enumerate([*SHAPES.values()] * 8)}
    told = answers(over_http, *asked)
    unread = {key for each, shape in asked.items() if _unread(told[key := each.request_id], shape)}
    assert {told[key].finish_reason for key in unread} <= {"length"}
    assert len(unread) <= 2  # an unbounded text may be cut


def _unread(answer: Answer, shape: dict[str, Any]) -> bool:
    return isinstance(read_object(answer.text, list(shape)), Unreadable)


def test_a_prompt_that_is_too_long_is_told_as_that(over_http: OpenAI) -> None:
    long = ask(1, messages=[{"role": "user", "content": "x" * 5000}])
    (outcome,) = over_http.complete([long], no_images)
    assert isinstance(outcome, Failure)
    assert outcome.trouble is Trouble.REQUEST_TOO_LONG


def test_a_model_that_is_not_served_is_a_failure_of_the_whole(server: Server) -> None:
    completer = OpenAI("other", None, OpenAIOptions(url=server.url, retries=0))
    with pytest.raises(CompleterError):
        list(completer.complete([ask(1, model="other")], no_images))
    completer.close()


def test_one_request_means_the_same_over_http_and_in_this_process(over_http: OpenAI, text_folder: str) -> None:
    asked = [ask(number, shape, temperature=0.0) for number, shape in enumerate(SHAPES.values())]
    asked.append(ask(50, messages=[{"role": "user", "content": "Où? 在哪里?\n<data>{}</data>"}], temperature=0.0))
    asked.append(ask(51, max_tokens=5))
    here = InProcess(text_folder, None, InProcessOptions(**SMALL))
    told = [_alone(here, each) for each in asked]
    here.close()
    assert [_alone(over_http, each) for each in asked] == told


def _alone(completer: Completer, request: Any) -> tuple[str, str, int | None, int | None]:
    """One answer at a time, so that nothing else shares its batch and rounds its sums otherwise."""
    (answer,) = answers(completer, request).values()
    return answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens


def test_requests_in_a_file_are_answered_by_the_batch_runner(text_folder: str, tmp_path: Path) -> None:
    options = BatchFileOptions(folder=str(tmp_path / "batches"), where=Where.LOCAL)
    asked = [
        *(ask(number, model=text_folder) for number in range(20)),
        ask(99, model=text_folder, messages=[{"role": "user", "content": "x" * 5000}]),
    ]
    waiting = list(BatchFile(text_folder, None, options).complete(asked, no_images))
    assert {each.trouble for each in waiting if isinstance(each, Failure)} == {Trouble.NOT_YET}
    (written,) = (tmp_path / "batches").glob("batch-*.jsonl")
    done = written.with_suffix(".out.jsonl")
    command = [VLLM, "run-batch", "-i", str(written), "-o", str(done), "--model", text_folder, *ARGUMENTS]
    ran = subprocess.run(command, env=os.environ | QUIET, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert len(done.read_text().splitlines()) == len(asked)
    found = list(BatchFile(text_folder, None, options).complete(asked, no_images))
    assert [type(each) for each in found] == [Answer] * 20 + [Failure]
    assert found[-1] == Failure(asked[-1].request_id, Trouble.REQUEST_TOO_LONG, found[-1].detail)
    for answer in found[:20]:
        assert isinstance(answer, Answer)
        json.loads(answer.text)
        assert answer.completion_tokens


def test_a_server_that_is_killed_leaves_transient_failures(text_folder: str, tmp_path: Path) -> None:
    with serving(text_folder, tmp_path / "log.txt") as running:
        completer = OpenAI("tiny", None, OpenAIOptions(url=running.url, concurrency=4, retries=1, timeout_s=20))
        asked = [ask(number) for number in range(40)]
        found = []
        with contextlib.suppress(CompleterError):
            for outcome in completer.complete(asked, no_images):
                found.append(outcome)
                if len(found) == 8:
                    os.killpg(running.process.pid, signal.SIGKILL)
        completer.close()
    lost = [each for each in found if isinstance(each, Failure)]
    assert len(found) - len(lost) >= 8
    assert lost
    assert not any(each.trouble.is_definitive for each in lost)
