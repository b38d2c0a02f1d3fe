"""Files that ask and files that answer: nothing is asked twice, lost or taken for an answer that it is not."""

import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.language.base import Answer, CompleterError, Failure, Outcome, Picture, Request, Trouble, Where
from curate.language.completers.batchfile import BatchFile, BatchFileOptions
from curate.language.requests import wire_body
from curate.testing.completers import a_request, no_images

FIVE = [a_request(n) for n in range(5)]


def run(folder: Path, requests: list[Request] = FIVE, **options: Any) -> dict[str, Outcome]:
    completer = BatchFile("model", None, BatchFileOptions(folder=str(folder), **options))
    return {each.request_id: each for each in completer.complete(iter(requests), no_images)}


def asked_in(folder: Path) -> dict[str, list[str]]:
    """File -> the requests that it asks, in its order."""
    return {
        path.name: [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("batch-*.jsonl"))
        if "out" not in path.name and "err" not in path.name
    }


def completion(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def openai_line(asked: Request, text: str) -> str:
    """As OpenAI's batch API writes an answer."""
    response = {"status_code": 200, "request_id": "req_1", "body": completion(text)}
    return json.dumps({"id": "batch_req_1", "custom_id": asked.request_id, "response": response, "error": None})


def vllm_line(asked: Request, text: str) -> str:
    """As `vllm run-batch` writes an answer: unused fields as nulls."""
    body = completion(text) | {"system_fingerprint": None, "prompt_logprobs": None}
    body["choices"][0]["message"] |= {"refusal": None, "reasoning": None, "tool_calls": []}
    response = {"status_code": 200, "request_id": "vllm-batch-1", "body": body}
    return json.dumps({"id": "vllm-1", "custom_id": asked.request_id, "response": response, "error": None})


def openai_error(asked: Request, code: str) -> str:
    """As the error file of OpenAI's batch API says that there was no time."""
    return json.dumps({"id": "b", "custom_id": asked.request_id, "response": None, "error": {"code": code}})


def vllm_error(asked: Request, status: int, message: str) -> str:
    """As `vllm run-batch` says that a request failed."""
    error = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}
    response = {"status_code": status, "request_id": "vllm-batch-1", "body": None}
    return json.dumps({"id": "vllm-1", "custom_id": asked.request_id, "response": response, "error": error})


def put(folder: Path, name: str, *lines: str, end: str = "\n") -> None:
    (folder / name).write_text("\n".join(lines) + end)


def texts(found: dict[str, Outcome]) -> dict[str, str]:
    return {key: each.text for key, each in found.items() if isinstance(each, Answer)}


def test_requests_are_written_as_batch_apis_take_them(tmp_path: Path) -> None:
    found = run(tmp_path)
    ((name, asked),) = asked_in(tmp_path).items()
    assert asked == [each.request_id for each in FIVE]
    assert list(found.values()) == [Failure(key, Trouble.NOT_YET, f"waits in {tmp_path / name}") for key in asked]
    line = json.loads((tmp_path / name).read_text().splitlines()[0])
    assert {key: line[key] for key in ("method", "url")} == {"method": "POST", "url": "/v1/chat/completions"}
    assert line["body"] == wire_body(FIVE[0], no_images)
    assert len(line["custom_id"]) == 64, "the longest that OpenAI takes"


def test_images_go_along_as_data_urls(tmp_path: Path) -> None:
    completer = BatchFile("model", None, BatchFileOptions(folder=str(tmp_path)))
    picture = Picture("image/jpeg", b"\xff\xd8")
    assert len(list(completer.complete([a_request(1, image="ab" * 32)], lambda _: picture))) == 1
    (path,) = tmp_path.glob("batch-*.jsonl")
    assert '"url":"data:image/jpeg;base64,/9g="' in path.read_text()


def test_a_file_is_named_by_its_bytes_and_the_same_whoever_writes_it(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run(tmp_path / folder)
    ((name, _),) = asked_in(tmp_path / "a").items()
    data = (tmp_path / "a" / name).read_bytes()
    assert data == (tmp_path / "b" / name).read_bytes()
    assert name == f"batch-{hashlib.sha256(data).hexdigest()[:16]}.jsonl"


def test_files_are_split_by_requests_and_by_bytes(tmp_path: Path) -> None:
    found = run(tmp_path / "requests", [a_request(n) for n in range(7)], max_requests=3)
    assert sorted(map(len, asked_in(tmp_path / "requests").values())) == [1, 3, 3]
    assert len(found) == 7
    for key, each in found.items():
        assert isinstance(each, Failure)
        assert key in asked_in(tmp_path / "requests")[Path(each.detail.removeprefix("waits in ")).name]
    run(tmp_path / "bytes", [a_request(n) for n in range(7)], max_bytes=2048)
    assert len(asked_in(tmp_path / "bytes")) > 2
    assert all(path.stat().st_size <= 2048 for path in (tmp_path / "bytes").iterdir())


def test_a_request_larger_than_a_file_is_refused_alone(tmp_path: Path) -> None:
    long = a_request(9, words=1000)
    found = run(tmp_path, [*FIVE, long], max_bytes=4096)
    assert found[long.request_id] == Failure(
        long.request_id, Trouble.REQUEST_TOO_LONG, "more bytes than a batch file may have"
    )
    assert sum(len(asked) for asked in asked_in(tmp_path).values()) == 5


def test_what_waits_is_not_asked_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    before = asked_in(tmp_path)
    assert run(tmp_path) == first
    assert asked_in(tmp_path) == before
    more = run(tmp_path, [*FIVE, a_request(5)])
    (new,) = asked_in(tmp_path).keys() - before.keys()
    assert asked_in(tmp_path)[new] == [a_request(5).request_id]
    assert {key: more[key] for key in first} == first


@pytest.mark.parametrize("name", ["batch-1.out.jsonl", "batch_abc_output.jsonl", "file-9.jsonl"])
@pytest.mark.parametrize("line", [openai_line, vllm_line])
def test_answers_are_read_in_any_order_under_any_name(tmp_path: Path, name: str, line: Any) -> None:
    run(tmp_path)
    lines = [line(each, f"answer {number}") for number, each in enumerate(FIVE)]
    random.Random(7).shuffle(lines)
    put(tmp_path, name, *lines)
    found = run(tmp_path)
    assert texts(found) == {each.request_id: f"answer {number}" for number, each in enumerate(FIVE)}
    answer = found[FIVE[0].request_id]
    assert isinstance(answer, Answer)
    assert (answer.engine, answer.model, answer.prompt_tokens, answer.completion_tokens) == ("batchfile", "model", 3, 2)


def test_answers_come_though_the_files_that_asked_are_gone(tmp_path: Path) -> None:
    put(tmp_path, "out.jsonl", *[openai_line(each, "yes") for each in FIVE])
    assert len(texts(run(tmp_path))) == 5
    assert asked_in(tmp_path) == {}


def test_an_output_that_still_grows_gives_what_it_has(tmp_path: Path) -> None:
    run(tmp_path)
    lines = [openai_line(each, "whole") for each in FIVE]
    put(tmp_path, "out.jsonl", *lines[:2], lines[2][:-20], end="")
    found = run(tmp_path)
    assert list(texts(found)) == [each.request_id for each in FIVE[:2]]
    assert [each.trouble for each in found.values() if isinstance(each, Failure)] == [Trouble.NOT_YET] * 3
    assert len(asked_in(tmp_path)) == 1


def test_the_first_of_two_answers_counts(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", openai_line(FIVE[0], "first"), openai_line(FIVE[0], "second"))
    put(tmp_path, "b.jsonl", openai_line(FIVE[0], "third"))
    assert texts(run(tmp_path)) == {FIVE[0].request_id: "first"}


def test_an_answer_counts_more_than_an_earlier_failure(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", vllm_error(FIVE[0], 500, "crashed"), openai_error(FIVE[0], "batch_expired"))
    put(tmp_path, "b.jsonl", openai_line(FIVE[0], "at last"))
    assert texts(run(tmp_path)) == {FIVE[0].request_id: "at last"}


@pytest.mark.parametrize(
    "line",
    [
        openai_error(FIVE[0], "batch_expired"),
        vllm_error(FIVE[0], 500, "the engine died"),
        vllm_error(FIVE[0], 429, "slowly"),
        json.dumps({"custom_id": FIVE[0].request_id, "response": {"status_code": 200, "body": {}}, "error": None}),
    ],
)
def test_what_the_server_failed_at_is_asked_again_in_a_new_file(tmp_path: Path, line: str) -> None:
    run(tmp_path)
    put(tmp_path, "errors.jsonl", line, openai_line(FIVE[1], "yes"))
    before = asked_in(tmp_path)
    found = run(tmp_path)
    (new,) = asked_in(tmp_path).keys() - before.keys()
    assert asked_in(tmp_path)[new] == [FIVE[0].request_id]
    assert found[FIVE[0].request_id] == Failure(FIVE[0].request_id, Trouble.NOT_YET, f"waits in {tmp_path / new}")
    between = asked_in(tmp_path)
    again = run(tmp_path)[FIVE[0].request_id]
    assert isinstance(again, Failure)
    assert again.detail == f"waits in {' or '.join(str(tmp_path / each) for each in sorted(between))}"
    assert asked_in(tmp_path) == between, "and then it waits again"


def test_definitive_refusals_are_told(tmp_path: Path) -> None:
    refused = {"error": {"message": "no", "code": "content_policy_violation"}}
    response = {"status_code": 400, "request_id": "r", "body": refused}
    lines = [
        vllm_error(FIVE[0], 400, "This model's maximum context length is 8 tokens. Zebulon Quarterfoil has"),
        json.dumps({"custom_id": FIVE[1].request_id, "response": response, "error": None}),
        vllm_error(FIVE[2], 400, "Zebulon is odd"),
        openai_line(FIVE[3], "yes"),
    ]
    put(tmp_path, "out.jsonl", *lines)
    found = list(run(tmp_path, FIVE[:4]).values())
    assert [each.trouble for each in found if isinstance(each, Failure)] == [
        Trouble.REQUEST_TOO_LONG,
        Trouble.MODEL_REFUSED,
        Trouble.MODEL_REFUSED,
    ]
    assert "Zebulon" not in str([each.detail for each in found if isinstance(each, Failure)])
    assert asked_in(tmp_path) == {}


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (404, "The model `model` does not exist.", "it does not know the model"),
        (400, "Zebulon: unexpected keyword seed", "correct the model and the parameters"),
        (400, "response_format json_schema is not known", "correct the model and the parameters"),
    ],
)
def test_a_file_in_which_all_failed_alike_stops_the_run(tmp_path: Path, status: int, message: str, said: str) -> None:
    put(tmp_path, "all_failed.jsonl", *[vllm_error(each, status, message) for each in FIVE])
    with pytest.raises(CompleterError, match=said) as caught:
        run(tmp_path)
    assert "all_failed.jsonl" in str(caught.value)
    assert "Zebulon" not in str(caught.value)
    assert len(run(tmp_path, [a_request(77)])) == 1, "requests of another shape are no business of that file"


def test_what_lies_about_in_the_folder_is_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = FIVE[0].request_id
    put(
        tmp_path,
        "notes.jsonl",
        "",
        "Zebulon Quarterfoil",
        "[]",
        "null",
        '{"custom_id": 7, "response": {}}',
        json.dumps({"custom_id": key, "text": "yes"}),
        json.dumps({"custom_id": key, "response": {"status_code": 200, "body": completion("x" * 9_000_000)}}),
    )
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00\n" * 3 + os.urandom(100))
    (tmp_path / "folder.jsonl").mkdir()
    with caplog.at_level(logging.WARNING):
        assert texts(run(tmp_path)) == {}
    assert "5 lines of notes.jsonl" in caplog.text
    assert "Zebulon" not in caplog.text


def test_a_killed_run_leaves_no_half_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    program = f"""
import os, signal
from curate.language.completers.batchfile import BatchFile, BatchFileOptions
from curate.testing.completers import a_request, no_images
def requests():
    yield from map(a_request, range(3))
    os.kill(os.getpid(), signal.SIGKILL)
list(BatchFile("m", None, BatchFileOptions(folder={str(tmp_path)!r})).complete(requests(), no_images))
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert asked_in(tmp_path) == {}
    assert len(list(tmp_path.iterdir())) == 1, "what it had begun"
    run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == list(asked_in(tmp_path))


def test_a_run_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    completer = BatchFile("m", None, BatchFileOptions(folder=str(tmp_path), max_requests=2))
    running = completer.complete(iter(FIVE), no_images)
    assert isinstance(next(running), Failure)
    running.close()  # type: ignore[attr-defined]
    assert sorted(map(len, asked_in(tmp_path).values())) == [2]
    assert len(list(tmp_path.iterdir())) == 1


def test_who_answers_files_is_a_third_party_unless_the_recipe_says_so(tmp_path: Path) -> None:
    assert BatchFile.place(BatchFileOptions(folder="x")) is Where.REMOTE
    local = convert_strictly({"folder": "x", "where": "local"}, BatchFileOptions, "batchfile", RecipeError)
    assert BatchFile.place(local) is Where.LOCAL
    with pytest.raises(RecipeError, match="folder"):
        convert_strictly({}, BatchFileOptions, "completer batchfile", RecipeError)


def test_a_folder_that_is_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(CompleterError, match="the folder x cannot be used"):
        run(tmp_path / "x")


def test_answers_stay_on_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    requests = [a_request(n) for n in range(3000)]
    put(tmp_path, "out.jsonl", *[openai_line(each, "y" * 5000) for each in requests])
    completer = BatchFile("model", None, BatchFileOptions(folder=str(tmp_path)))
    tracemalloc.start()
    assert sum(isinstance(each, Answer) for each in completer.complete(iter(requests), no_images)) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000, "fifteen megabytes of answers stay on disk"
