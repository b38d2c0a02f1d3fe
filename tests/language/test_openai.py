"""An OpenAI-compatible server, well and ill: what it says becomes an outcome, a retry, or a reason to stop."""

import contextlib
import itertools
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.language.base import Answer, CompleterError, Failure, Outcome, Picture, Request, Trouble, Where
from curate.language.completers.openai import OpenAI, OpenAIOptions
from curate.language.pace import Bucket, backoff_s, retry_after_s
from curate.testing.completers import a_request, no_images
from curate.testing.scripted import Reply, ScriptedServer, brief_of, well

SECRET = "sk-quarterfoil-9d41"
Script = Callable[[dict[str, Any]], str | Reply]


def ask(script: Script, requests: list[Request], **options: Any) -> tuple[dict[str, Outcome], ScriptedServer]:
    with ScriptedServer(script) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, **{"concurrency": 4, **options}))
        try:
            found = {each.request_id: each for each in completer.complete(requests, no_images)}
        finally:
            completer.close()
    return found, server


def one(script: Script, **options: Any) -> Outcome:
    (found,) = ask(script, [a_request(1)], **options)[0].values()
    return found


def number_of(body: dict[str, Any]) -> int:
    """The number of a contract request; -1 of a probe."""
    return int(body.get("seed", -1)) if "<data>" in str(body["messages"]) else -1


def in_turn(*replies: str | Reply) -> Script:
    """One reply after another; the last one for ever."""
    left = itertools.chain(replies, itertools.repeat(replies[-1]))
    lock = threading.Lock()

    def script(_: dict[str, Any]) -> str | Reply:
        with lock:
            return next(left)

    return script


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are a hundredth of what they are."""
    monkeypatch.setattr("curate.language.pace.FIRST_WAIT_S", 0.005)


def test_the_server_gets_the_request_without_what_is_ours_alone() -> None:
    found, server = ask(well, [a_request(3)])
    (body,) = server.bodies
    assert "metadata" not in body
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["question", "answer"]
    assert brief_of(body)["question"] == "What does image 3 show?"
    (answer,) = found.values()
    assert isinstance(answer, Answer)
    assert msgspec.json.decode(answer.text) == {
        "question": "Please look at the image. What does image 3 show?",
        "answer": "Zebulon Quarterfoil has 3 nodules.",
    }
    assert (answer.finish_reason, answer.model, answer.engine) == ("stop", "model", "openai")
    assert answer.completion_tokens == len(answer.text) // 4


def test_images_arrive_as_data_urls() -> None:
    with ScriptedServer(lambda _: "{}") as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url))
        list(completer.complete([a_request(1, image="ab" * 32)], lambda _: Picture("image/png", b"\x89PNG")))
        completer.close()
    url = server.bodies[0]["messages"][1]["content"][0]["image_url"]["url"]
    assert url == "data:image/png;base64,iVBORw=="


def test_as_many_requests_are_under_way_as_the_recipe_says_over_connections_that_are_kept() -> None:
    found, server = ask(lambda _: Reply(text="{}", delay_s=0.02), [a_request(n) for n in range(60)], concurrency=6)
    assert Counter(type(each) for each in found.values()) == {Answer: 60}
    assert server.most_at_once == 6
    assert server.connections == 6


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", f" {SECRET}\n")
    monkeypatch.setenv("OUR_PROJECT", "p1")
    _, server = ask(well, [a_request(1)], key_env="OUR_KEY", headers_env={"X-Project": "OUR_PROJECT"})
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert server.asked[0].headers["x-project"] == "p1"


@pytest.mark.parametrize("value", ["", "  ", "schlüssel", "two\nlines"])
def test_a_key_that_is_none_is_named_and_never_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", value)
    with pytest.raises(CompleterError, match="the environment variable OUR_KEY") as caught:
        OpenAI("model", None, OpenAIOptions(url="http://127.0.0.1:1/v1", key_env="OUR_KEY"))
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "127.0.0.1:8000"}, "url must be an http or https address"),
        ({"url": "ftp://models.example/v1"}, "url must be an http or https address"),
        ({"url": "http://models.example:x/v1"}, "url must be an http or https address"),
        ({"url": f"https://me:{SECRET}@models.example/v1"}, "url must hold no user and no password"),
        ({"url": "http://models.example/v1", "key_env": "KEY"}, "url must begin with https"),
        ({"url": "https://models.example/v1", "key_env": f"{SECRET}-x"}, "key_env"),
        ({"url": "https://models.example/v1", "concurrency": 0}, "concurrency"),
        ({"url": "https://models.example/v1", "key": SECRET}, "unknown field `key`"),
    ],
)
def test_settings_that_leak_or_lead_nowhere_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        convert_strictly(options, OpenAIOptions, "completer openai", RecipeError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "where", "place"),
    [
        ("http://127.0.0.1:8000/v1", None, Where.LOCAL),
        ("http://127.8.9.1/v1", None, Where.LOCAL),
        ("http://[::1]:8000/v1", None, Where.LOCAL),
        ("http://localhost:8000/v1", None, Where.LOCAL),
        ("http://localhost.example/v1", None, Where.REMOTE),
        ("http://127.0.0.1.example/v1", None, Where.REMOTE),
        ("http://10.0.0.7:8000/v1", None, Where.REMOTE),
        ("http://gpu-box:8000/v1", None, Where.REMOTE),
        ("http://gpu-box:8000/v1", Where.LOCAL, Where.LOCAL),
        ("http://127.0.0.1:4000/v1", Where.REMOTE, Where.REMOTE),
    ],
)
def test_only_this_machine_is_local_unless_the_recipe_says_so(url: str, where: Where | None, place: Where) -> None:
    assert OpenAI.place(OpenAIOptions(url=url, where=where)) is place


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_another_moment_may_change_is_tried_again(status: int) -> None:
    found, server = ask(in_turn(Reply(status=status), Reply(status=status), "{}"), [a_request(1)])
    assert [type(each) for each in found.values()] == [Answer]
    assert server.calls == 3


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (Reply(status=429), Trouble.RATE_LIMITED),
        (Reply(status=503), Trouble.SERVER_ERROR),
        (Reply(status=504), Trouble.TIMEOUT),
        (Reply(raw=b"{}"), Trouble.SERVER_ERROR),
        (Reply(raw=b'{"choices": [{"message"'), Trouble.SERVER_ERROR),
        (Reply(raw=b"\xff\xfe<html>busy</html>"), Trouble.SERVER_ERROR),
        (Reply(body={"choices": []}), Trouble.SERVER_ERROR),
        (Reply(body={"choices": [{"index": 0}]}), Trouble.SERVER_ERROR),
        (Reply(body={"error": {"message": "overloaded", "code": 502}}), Trouble.SERVER_ERROR),
        (Reply(raw=b"[" * 100_000), Trouble.SERVER_ERROR),
        (Reply(text="{}", cut=30), Trouble.UNREACHABLE),
        (Reply(text="{}", cut=30, chunked=True), Trouble.UNREACHABLE),
        (Reply(text="{}", cut=0), Trouble.UNREACHABLE),
        (Reply(text="{}", delay_s=9), Trouble.TIMEOUT),
        (Reply(text="{}", pause_s=0.2), Trouble.TIMEOUT),
        (Reply(text="{}", headers={"Content-Encoding": "gzip"}), Trouble.SERVER_ERROR),
        (Reply(text="x" * 5_000_000), Trouble.SERVER_ERROR),
        (Reply(text="x" * 5_000_000, chunked=True), Trouble.SERVER_ERROR),
    ],
)
def test_trouble_that_may_pass_is_told_and_leaves_the_others_alone(reply: Reply, trouble: Trouble) -> None:
    started = time.monotonic()
    found, _ = ask(
        lambda body: reply if number_of(body) == 7 else "{}",
        [a_request(n) for n in range(10)],
        retries=1,
        timeout_s=1.5,
    )
    failures = [each for each in found.values() if isinstance(each, Failure)]
    assert [each.trouble for each in failures] == [trouble]
    assert not trouble.is_definitive
    assert sum(isinstance(each, Answer) for each in found.values()) == 9
    assert time.monotonic() - started < 20


def test_a_chunked_answer_is_whole_too() -> None:
    found = one(lambda _: Reply(text='{"a": "ä"}', chunked=True))
    assert isinstance(found, Answer)
    assert found.text == '{"a": "ä"}'


TOO_LONG = {
    "vLLM": (400, {"error": {"message": "You passed 9 input tokens. However, the model's context length is only 8"}}),
    "vLLM before 0.11": (400, {"object": "error", "message": "This model's maximum context length is 8 tokens."}),
    "vLLM images": (400, {"message": "The prompt (length 9) is longer than the maximum model length of 8."}),
    "OpenAI": (400, {"error": {"message": "shorter, please", "code": "context_length_exceeded"}}),
    "llama.cpp": (400, {"error": {"message": "no", "type": "exceed_context_size_error", "n_ctx": 8}}),
    "llama.cpp 500": (500, {"error": {"message": "Context size has been exceeded.", "type": "server_error"}}),
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 9"}),
    "TGI old": (422, {"error": "Input validation error: `inputs` must have less than 8 tokens. Given: 9"}),
    "SGLang": (400, {"message": "The input (9 tokens) is longer than the model's context length (8 tokens)."}),
    "Anthropic": (400, {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}),
    "Gemini": (400, [{"error": {"message": "The input token count (9) exceeds the maximum number of tokens (8)."}}]),
    "Mistral": (400, {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"}),
    "a proxy": (413, None),
}


@pytest.mark.parametrize("server", TOO_LONG)
def test_a_prompt_beyond_the_context_is_definitive_in_the_words_of_every_server(server: str) -> None:
    status, body = TOO_LONG[server]
    found, asked = ask(
        lambda body_: (
            Reply(status=status, body=body, raw=None if body else b"<html>") if number_of(body_) == 1 else "{}"
        ),
        [a_request(n) for n in range(3)],
    )
    assert found[a_request(1).request_id] == Failure(
        a_request(1).request_id,
        Trouble.REQUEST_TOO_LONG,
        "HTTP 413, more bytes than the server takes"
        if status == 413
        else f"HTTP {status}, more than the context of the model",
    )
    assert asked.calls <= 4, "it is not tried again; a probe may have shown that shorter ones are answered"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=400, body={"error": {"code": "content_policy_violation", "message": "no"}}),
        Reply(
            status=400,
            body={"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        ),
        Reply(status=400, body={"error": {"code": "data_inspection_failed", "message": "inappropriate content"}}),
        Reply(status=403, body={"error": {"message": "your input was flagged", "metadata": {"reasons": ["gore"]}}}),
        Reply(text=None, finish_reason="content_filter"),
        Reply(text=None, message={"refusal": "I'm sorry, I can't help with Zebulon."}),
    ],
)
def test_a_refusal_of_the_model_is_definitive_and_not_quoted(reply: Reply) -> None:
    found = one(lambda _: reply)
    assert isinstance(found, Failure)
    assert found.trouble is Trouble.MODEL_REFUSED
    assert "Zebulon" not in found.detail


@pytest.mark.parametrize(
    ("reply", "text", "reason"),
    [
        (Reply(text="{}", finish_reason="length"), "{}", "length"),
        (Reply(text=None, finish_reason="length", message={"reasoning_content": "hm"}), "", "length"),
        (Reply(text="", finish_reason="stop"), "", "stop"),
        (Reply(text="<think>hm</think>{}", message={"reasoning_content": None}), "<think>hm</think>{}", "stop"),
        (Reply(message={"content": [{"type": "text", "text": "{"}, {"type": "text", "text": "}"}]}), "{}", "stop"),
        (
            Reply(message={"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "{}"}]}),
            "{}",
            "stop",
        ),
        (Reply(raw=b'{"choices":[{"message":{"content":"a\\ud83eb"},"finish_reason":null}]}'), "a�b", "unknown"),
    ],
)
def test_what_a_model_wrote_is_kept_as_it_is(reply: Reply, text: str, reason: str) -> None:
    found = one(lambda _: reply)
    assert isinstance(found, Answer)
    assert (found.text, found.finish_reason) == (text, reason)


def test_counts_that_are_none_are_unknown() -> None:
    body = {"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "9"}}
    found = one(lambda _: Reply(body=body))
    assert isinstance(found, Answer)
    assert (found.prompt_tokens, found.completion_tokens, found.model) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=401, body={"error": {"message": f"bad key {SECRET}"}}), "HTTP 401: it wants a valid key"),
        (Reply(status=403), "HTTP 403: it wants a valid key"),
        (Reply(status=402), "no credit left"),
        (Reply(status=404, body={"error": {"message": "The model `m` does not exist."}}), "does not know the model"),
        (Reply(status=404, body={"detail": "Not Found"}), "correct `url`, which often ends with /v1"),
        (Reply(status=405), "correct `url`"),
        (Reply(status=301, headers={"Location": "http://elsewhere.example/"}), "it sends elsewhere"),
        (Reply(status=308, headers={"Location": "/v2/chat/completions"}), "it sends elsewhere"),
        (Reply(status=429, body={"error": {"code": "insufficient_quota"}}), "no quota left"),
        (
            Reply(status=400, body={"error": {"message": "temperature does not go below 1"}}),
            "a short request of the same",
        ),
        (Reply(status=400, body=TOO_LONG["OpenAI"][1]), "a short request of the same shape too"),
        (
            Reply(status=422, body={"detail": [{"msg": "extra inputs", "input": "Zebulon"}]}),
            "correct `model`, the sampling",
        ),
    ],
)
def test_what_no_other_request_would_change_stops_the_run(reply: Reply, said: str) -> None:
    given: list[Outcome] = []
    with ScriptedServer(lambda _: reply) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, concurrency=4))
        with pytest.raises(CompleterError, match=said) as caught:
            given.extend(completer.complete([a_request(n) for n in range(500)], no_images))
        completer.close()
    assert server.calls < 40, "it does not go on asking"
    assert not any(isinstance(each, Failure) and each.trouble.is_definitive for each in given)
    for secret in (SECRET, "Zebulon", "elsewhere.example"):
        assert secret not in str(caught.value)


def test_a_request_that_the_server_cannot_take_is_refused_once_others_were_answered() -> None:
    found, _ = ask(
        lambda body: Reply(status=400, body={"message": "odd"}) if number_of(body) == 3 else "{}",
        [a_request(n) for n in range(6)],
    )
    assert found[a_request(3).request_id] == Failure(a_request(3).request_id, Trouble.MODEL_REFUSED, "HTTP 400")


def test_a_lone_request_is_refused_after_a_probe_of_its_shape_that_names_nothing_of_it() -> None:
    found, server = ask(
        lambda body: Reply(status=400, body={"message": "odd"}) if number_of(body) == 1 else "{}", [a_request(1)]
    )
    assert [each.trouble for each in found.values() if isinstance(each, Failure)] == [Trouble.MODEL_REFUSED]
    asked, probe = server.bodies
    assert "Zebulon" not in str(probe)
    assert {**probe, "messages": []} == {**asked, "messages": []}


def test_a_text_that_a_gateway_lets_not_pass_is_refused_and_a_revoked_key_is_not_taken_for_one() -> None:
    found, _ = ask(
        lambda body: Reply(status=403, raw=b"<h1>blocked</h1>") if number_of(body) == 9 else "{}",
        [a_request(n) for n in range(12)],
    )
    assert found[a_request(9).request_id] == Failure(a_request(9).request_id, Trouble.MODEL_REFUSED, "HTTP 403")
    replies = in_turn("{}", "{}", "{}", Reply(status=403))
    given: list[Outcome] = []
    with ScriptedServer(replies) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, concurrency=1))
        with pytest.raises(CompleterError, match="HTTP 403: it wants a valid key"):
            given.extend(completer.complete([a_request(n) for n in range(12)], no_images))
        completer.close()
    assert not any(isinstance(each, Failure) and each.trouble.is_definitive for each in given)


def test_a_server_that_comes_back_with_less_context_refuses_no_request_for_ever() -> None:
    replies = in_turn("{}", "{}", "{}", Reply(status=400, body=TOO_LONG["vLLM"][1]))
    given: list[Outcome] = []
    with ScriptedServer(replies) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, concurrency=1))
        with pytest.raises(CompleterError, match="refuses a short request of the same shape too"):
            given.extend(completer.complete([a_request(n) for n in range(12)], no_images))
        completer.close()
    assert sum(isinstance(each, Failure) and each.trouble.is_definitive for each in given) <= 1


def test_words_of_a_prompt_that_a_server_quotes_stop_nobody_else() -> None:
    """A caption may speak of a model that does not exist, or of a guided biopsy."""
    said = "cannot take: the model of the tooth does not exist; ultrasound-guided; billing; flagged"
    found, _ = ask(
        lambda body: Reply(status=400, body={"message": said}) if number_of(body) == 2 else "{}",
        [a_request(n) for n in range(8)],
    )
    assert Counter(type(each) for each in found.values()) == {Answer: 7, Failure: 1}


def test_a_model_that_takes_no_images_is_no_refusal_of_each_request() -> None:
    def script(body: dict[str, Any]) -> str | Reply:
        return Reply(status=400, body={"message": "no images"}) if "image_url" in str(body) else "{}"

    with ScriptedServer(script) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url))
        requests = [a_request(1), a_request(2, image="ab" * 32)]
        with pytest.raises(CompleterError, match="whether images go along"):
            list(completer.complete(requests, lambda _: Picture("image/png", b"png")))
        completer.close()


@pytest.mark.parametrize(("known", "level"), [("json_object", 1), ("text", 2)])
def test_a_server_without_schemas_is_asked_with_less_and_one_line_says_so(
    known: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    def script(body: dict[str, Any]) -> str | Reply:
        wanted = body.get("response_format", {"type": "text"})["type"]
        if wanted in {known, "text"}:
            return "{}"
        return Reply(status=400, body={"error": {"message": f"response_format {wanted}: Zebulon is not supported"}})

    with caplog.at_level(logging.WARNING):
        found, server = ask(script, [a_request(n) for n in range(40)])
    assert {each.engine for each in found.values() if isinstance(each, Answer)} == {f"openai ({known})"}
    assert len(found) == 40
    assert len(caplog.messages) == 1
    assert f"asked for {known} instead" in caplog.messages[0]
    assert "Zebulon" not in caplog.text
    assert server.calls <= 40 + 4 * level, "only the first requests are tried with more"


def test_one_schema_that_a_server_does_not_take_costs_the_others_nothing() -> None:
    def script(body: dict[str, Any]) -> str | Reply:
        is_odd = number_of(body) == 5 and body.get("response_format", {}).get("type") == "json_schema"
        return Reply(status=400, body={"message": "grammar error"}) if is_odd else "{}"

    requests = [a_request(n) for n in range(30)]
    found, _ = ask(script, requests, concurrency=1)
    engines = {key: each.engine for key, each in found.items() if isinstance(each, Answer)}
    assert engines.pop(a_request(5).request_id) == "openai (json_object)"
    assert set(engines.values()) == {"openai"}


def test_retry_after_is_heeded() -> None:
    started = time.monotonic()
    found = one(in_turn(Reply(status=429, headers={"Retry-After": "1"}), "{}"))
    assert isinstance(found, Answer)
    assert 1.0 <= time.monotonic() - started < 20


def test_a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for() -> None:
    started = time.monotonic()
    found = one(lambda _: Reply(status=429, headers={"Retry-After": "86400"}), give_up_s=5.0)
    assert isinstance(found, Failure)
    assert found.trouble is Trouble.RATE_LIMITED
    assert time.monotonic() - started < 20


def test_all_attempts_together_end_in_time() -> None:
    started = time.monotonic()
    found = one(lambda _: Reply(status=503, delay_s=0.2), give_up_s=1.0, retries=20)
    assert isinstance(found, Failure)
    assert time.monotonic() - started < 20


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]  # bound and not listening: nobody answers


def test_no_server_at_all_stops_the_run(free_port: int) -> None:
    for count in (1, 200):
        completer = OpenAI("model", None, OpenAIOptions(url=f"http://127.0.0.1:{free_port}/v1", retries=1))
        with pytest.raises(CompleterError, match=rf"127\.0\.0\.1:{free_port} gives no answer .* start it"):
            list(completer.complete([a_request(n) for n in range(count)], no_images))
        completer.close()


def test_a_server_that_dies_on_the_way_leaves_its_answers_and_stops_the_run() -> None:
    given: list[Outcome] = []
    with ScriptedServer(lambda _: Reply(text="{}", delay_s=0.01)) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, concurrency=4, retries=2))
        started = time.monotonic()
        with pytest.raises(CompleterError, match="what it has answered is kept"):
            for each in completer.complete((a_request(n) for n in range(100_000)), no_images):
                given.append(each)
                if len(given) == 20:
                    server.stop()
        completer.close()
        assert time.monotonic() - started < 20
    assert sum(isinstance(each, Answer) for each in given) >= 20
    assert {each.trouble for each in given if isinstance(each, Failure)} == {Trouble.UNREACHABLE}
    assert len({each.request_id for each in given}) == len(given)


def test_a_server_that_hangs_is_left_within_its_time() -> None:
    started = time.monotonic()
    with ScriptedServer(lambda _: Reply(delay_s=60)) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url, concurrency=4, retries=1, timeout_s=1.0))
        with pytest.raises(CompleterError, match=r"gives no answer .timeout"):
            list(completer.complete([a_request(n) for n in range(1000)], no_images))
        completer.close()
    assert time.monotonic() - started < 20


def test_headers_that_trickle_for_ever_hold_nobody() -> None:
    """Each byte starts a socket's own timeout anew."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for byte in itertools.chain(b"HTTP/1.1 200 OK\r\n", itertools.cycle(b"X-A: b\r\n")):
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return
                if over.wait(0.05):
                    return

    server = threading.Thread(target=serve)
    server.start()
    started = time.monotonic()
    options = OpenAIOptions(url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout_s=0.5, retries=0)
    completer = OpenAI("model", None, options)
    (found,) = completer.complete([a_request(1)], no_images)
    completer.close()
    assert isinstance(found, Failure)
    assert found.trouble is Trouble.TIMEOUT
    assert time.monotonic() - started < 20
    over.set()
    server.join()
    listener.close()


def test_a_run_that_is_broken_off_ends_at_once_though_the_server_is_slow() -> None:
    with ScriptedServer(lambda body: Reply(text="{}", delay_s=0 if number_of(body) == 0 else 60)) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url))
        started = time.monotonic()
        running = completer.complete([a_request(n) for n in range(20)], no_images)
        assert isinstance(next(running), Answer)
        running.close()  # type: ignore[attr-defined]
        completer.close()
        assert time.monotonic() - started < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("curate")]


def test_what_goes_wrong_with_the_requests_themselves_comes_back_as_it_is() -> None:
    def requests() -> Iterator[Request]:
        yield a_request(1)
        raise LookupError("the table is gone")

    with ScriptedServer(lambda _: Reply(text="{}", delay_s=60)) as server:
        completer = OpenAI("model", None, OpenAIOptions(url=server.url))
        with pytest.raises(LookupError, match="the table is gone"):
            list(completer.complete(requests(), no_images))
        completer.close()


def test_limits_per_minute_are_kept_to() -> None:
    started = time.monotonic()
    _, server = ask(lambda _: "{}", [a_request(n) for n in range(14)], requests_per_minute=120)
    assert server.calls == 14
    assert time.monotonic() - started >= 0.9, "12 at once, then two a second"
    uncounted = Reply(body={"choices": [{"message": {"content": "{}"}}]})
    started = time.monotonic()
    ask(lambda _: uncounted, [a_request(n) for n in range(30)], tokens_per_minute=60_000)
    assert time.monotonic() - started >= 1.0, (
        "6,000 at once, then 1,000 a second; each counts its prompt and max_tokens"
    )


def test_proxies_of_the_environment_serve_third_parties_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _: "{}") as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for where, calls in ((Where.LOCAL, 0), (Where.REMOTE, 1)):
            options = OpenAIOptions(url="http://models.invalid/v1", where=where, retries=0)
            completer = OpenAI("model", None, options)
            try:
                found = list(completer.complete([a_request(1)], no_images))
            except CompleterError:
                found = []
            completer.close()
            assert proxy.calls == calls
            assert len(found) == calls


def test_a_gateway_on_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    assert isinstance(one(lambda _: "{}", where=Where.REMOTE, retries=0), Answer)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://[bad", "http://"])
def test_a_proxy_that_cannot_be_used_is_told_and_not_shown(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy.replace("//", f"//me:{SECRET}@"))
    with pytest.raises(CompleterError, match="names a proxy for https") as caught:
        OpenAI("model", None, OpenAIOptions(url="https://models.invalid/v1"))
    assert SECRET not in str(caught.value)


def test_a_server_that_cannot_prove_who_it_is_gets_neither_key_nor_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that it signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl makes the certificate, and is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    got: list[bytes] = []

    def serve() -> None:
        plain, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            got.append(connection.recv(65536))
        plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        monkeypatch.setenv("OUR_KEY", SECRET)
        options = OpenAIOptions(url=f"https://localhost:{listener.getsockname()[1]}/v1", key_env="OUR_KEY")
        completer = OpenAI("model", None, options)
        with pytest.raises(CompleterError, match="a certificate that is not trusted: name its authority"):
            list(completer.complete([a_request(1)], no_images))
        completer.close()
        server.join()
    assert got == []


def test_nothing_is_logged_of_what_is_asked_or_answered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", SECRET)
    with caplog.at_level(logging.DEBUG):
        ask(in_turn(Reply(status=503), "Zebulon says yes"), [a_request(1)], key_env="OUR_KEY")
    for secret in (SECRET, "Zebulon", "nodules"):
        assert secret not in caplog.text


def test_waits_depend_on_the_request_alone() -> None:
    waits = [backoff_s(a_request(n).request_id, 3) for n in range(50)]
    assert waits == [backoff_s(a_request(n).request_id, 3) for n in range(50)]
    assert len(set(waits)) == 50


def test_a_bucket_lends_and_waits_for_its_rate() -> None:
    now = 0.0
    bucket = Bucket(600, clock=lambda: now)  # ten a second, sixty at once
    assert [bucket.take(30), bucket.take(30)] == [0.0, 0.0]
    assert bucket.take(10) == 1.0
    now = 1.0
    assert bucket.take(600) == 6.0, "more than it ever holds goes out when it is full"
    bucket.give_back(600)
    now = 2.0
    assert bucket.take(10) == 0.0
    now = 1000.0
    assert bucket.take(60) == 0.0
    assert bucket.take(1) == 0.1, "it never held more than sixty"


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 1.5", None, 1.5),
        ("Wed, 21 Oct 2015 07:28:10 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:10 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0.0),
        ("soon", None, 0.0),
        ("-5", None, 0.0),
        ("1" * 60, None, 1e9),
        ("9" * 100_000, None, 0.0),
        ("Wed, 99 Oct 2015 99:28:00 GMT", None, 0.0),
        ("", None, 0.0),
        (None, None, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_moment(said: str | None, date: str | None, seconds: float) -> None:
    assert retry_after_s(said, date) == seconds
