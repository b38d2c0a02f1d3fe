"""vllm: the engine in this process, fed continuously. Needs `medcurate[vllm]`.

vLLM batches whatever it holds, so the one thing to do is never to let it run dry: up to `max_in_flight` requests lie in
the engine (it waits with those that do not fit into its batch), each is replaced as it finishes, and an answer leaves
at once. The engine starts with the first request and stops with `close`.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from curate.language.base import (
    Answer,
    CompleterError,
    CompleterOptions,
    Failure,
    ImageSource,
    Outcome,
    Request,
    Trouble,
    Where,
)
from curate.language.completers.vllm_chat import Chat, engine_name, no_images_taken, not_taken, prepare, refusal
from curate.language.probe import has_images, probe_of
from curate.language.requests import wire_body

__all__ = ["EngineOptions", "InProcess", "InProcessOptions", "engine_arguments", "started"]

BATCHES_AHEAD: Final = 2
"""Requests in flight per place in the engine's batch: one being answered, one waiting for its place."""
ON_A_CPU: Final = {"gpu_memory_utilization": 0.3, "enable_chunked_prefill": False}
"""vLLM's own defaults there take 92 % of the machine's memory, and end the engine at the first prompt with a `seed`
that is read in two pieces (vLLM 0.32: a CPU generator has no offset)."""
WATCH_S: Final = 1.0
PROBE: Final = "probe"
"""The request id of a probe."""
UNFINISHED: Final = frozenset({"abort", "error", None})
"""Finish reasons that are no end of an answer."""


class EngineOptions(CompleterOptions, frozen=True):
    """What vLLM is started with; null is its own default. `extra` takes any other of its engine arguments."""

    tensor_parallel_size: Annotated[int, Meta(ge=1)] = 1  # GPUs that share the model
    gpu_memory_utilization: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_model_len: Annotated[int, Meta(ge=1)] | None = None  # tokens of prompt and answer together
    dtype: str = "auto"
    quantization: str | None = None
    structured_outputs: str = "guidance"
    """The engine of JSON schemas. vLLM's default one lets raw control characters through where a schema bounds the
    length of a string; `guidance` does not."""
    enforce_eager: bool = False  # no CUDA graphs: starts faster, answers slower
    download: bool = False  # may fetch the model from the Hugging Face hub; else it must lie in a folder or the cache
    stalled_s: Annotated[float, Meta(gt=0)] = 1800.0  # an engine without a sign of life for so long has ended
    extra: dict[str, Any] = {}


class InProcessOptions(EngineOptions, frozen=True):
    """The engine in this process."""

    max_in_flight: Annotated[int, Meta(ge=1)] | None = None  # null: twice what the engine answers at once
    restarts: Annotated[int, Meta(ge=0)] = 2  # times that an engine that ended is started anew


class InProcess:
    """vLLM's own engine, on whatever device it finds."""

    name: ClassVar[str] = "vllm"
    Options: ClassVar[type[CompleterOptions]] = InProcessOptions

    def __init__(self, model: str, revision: str | None, options: InProcessOptions) -> None:
        prepare(model, options.download)
        self._model = model
        self._revision = revision
        self._options = options
        self._engine: _Engine | None = None

    @staticmethod
    def place(options: InProcessOptions) -> Where:
        """Nothing leaves this machine."""
        return Where.LOCAL

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """One outcome for each request, in the order in which the engine finishes."""
        asked = iter(requests)
        held = deque(islice(asked, 1))
        if not held:  # an engine is started for nothing less than a request
            return
        restarts = self._options.restarts
        while True:
            engine = self._engine or self._start()
            try:
                yield from engine.answer(held, asked, images)
                return
            except _EngineEndedError as end:
                self.close()
                for request_id in end.in_flight:
                    yield Failure(request_id, Trouble.SERVER_ERROR, end.kind)
                if not restarts:
                    raise CompleterError(
                        f"the engine of {self._model} ended ({end.kind}), {self._options.restarts + 1} times in all; "
                        "what it wrote to stderr says why (often memory: lower gpu_memory_utilization, max_model_len "
                        "or max_in_flight); what was answered is kept, build again to go on"
                    ) from None
                restarts -= 1

    def close(self) -> None:
        """Stop the engine and its processes."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _start(self) -> "_Engine":
        try:
            llm = started(self._model, self._revision, self._options)
        except Exception as problem:
            raise CompleterError(
                f"vllm did not start with the model {self._model} ({type(problem).__name__}); what it wrote to stderr "
                "says why. Usual causes: the model is neither a folder nor in the local Hugging Face cache (download "
                "it, or set `download: true`), its memory does not suffice (lower max_model_len or "
                "gpu_memory_utilization, raise tensor_parallel_size), or an engine argument in `extra` is unknown"
            ) from None
        try:
            self._engine = _Engine(llm, self._model, self._options)
        except CompleterError:
            llm.llm_engine.engine_core.shutdown()
            raise
        return self._engine


def started(model: str, revision: str | None, options: EngineOptions) -> Any:
    """A `vllm.LLM` with these settings."""
    from vllm import LLM
    from vllm.platforms import current_platform

    if current_platform.is_cpu():  # a process of the engine's own would only take its cores away
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return LLM(**engine_arguments(model, revision, options))


def engine_arguments(model: str, revision: str | None, options: EngineOptions) -> dict[str, Any]:
    """vLLM's engine arguments for these settings on the device of this machine."""
    from vllm.platforms import current_platform

    given = {
        "model": model,
        "revision": revision,
        "tokenizer_revision": revision,
        "tensor_parallel_size": options.tensor_parallel_size,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "max_model_len": options.max_model_len,
        "dtype": options.dtype,
        "quantization": options.quantization,
        "enforce_eager": options.enforce_eager,
        "structured_outputs_config": {
            "backend": options.structured_outputs,
            "disable_any_whitespace": options.structured_outputs in ("guidance", "xgrammar"),
        },
        "use_tqdm_on_load": False,
    }
    defaults: dict[str, Any] = ON_A_CPU if current_platform.is_cpu() else {}
    return defaults | {name: value for name, value in given.items() if value is not None} | options.extra


class _EngineEndedError(Exception):
    """The engine failed as a whole, with these requests in flight."""

    def __init__(self, kind: str, in_flight: list[str]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.in_flight = in_flight


class _Engine:
    """A running engine: requests in, outcomes out."""

    def __init__(self, llm: Any, model: str, options: InProcessOptions) -> None:
        self._core = llm.llm_engine
        self._model = model
        self._name = engine_name()
        self._chat = Chat(llm.model_config, llm.renderer)
        self._chat.check()
        batch = self._core.vllm_config.scheduler_config.max_num_seqs
        self._room = options.max_in_flight or BATCHES_AHEAD * batch
        self._closed = threading.Event()
        self._steps = 0
        if hasattr(self._core.engine_core, "outputs_queue"):
            threading.Thread(target=self._watch, args=(options.stalled_s,), daemon=True).start()

    def answer(self, held: deque[Request], asked: Iterator[Request], images: ImageSource) -> Iterator[Outcome]:
        """The loop: fill up, step, hand out what finished. `held` are requests that were taken already.

        Raises:
            _EngineEndedError: the engine failed; the other requests are still in `held` and `asked`.
        """
        flying: set[str] = set()
        try:
            while True:
                held.extend(islice(asked, self._room - len(flying) - len(held)))
                while held:
                    request = held.popleft()
                    refused = self._add(request, images)
                    if refused is None:
                        flying.add(request.request_id)
                    else:
                        yield refused
                if not flying:
                    return
                for output in self._step(flying):
                    flying.discard(output.request_id)
                    yield self._outcome(output)
        finally:
            if flying and sys.exc_info()[0] is not _EngineEndedError:
                self._core.abort_request(sorted(flying))

    def _add(self, request: Request, images: ImageSource) -> Failure | None:
        if not self._chat.takes_images and has_images(msgspec.json.decode(request.body)):
            raise no_images_taken(self._model)
        body = wire_body(request, images)
        problem = self._give(request.request_id, body)
        if problem is None:
            return None
        refused = refusal(request.request_id, problem)
        if refused.trouble.is_definitive:  # of this request alone? Then a short one of its kind is taken
            if self._give(PROBE, probe_of(body)) is not None:
                raise not_taken(self._model, refused.detail)
            self._core.abort_request([PROBE])
        return refused

    def _give(self, request_id: str, body: dict[str, Any]) -> Exception | None:
        try:
            prompt = self._chat.prompt(body)
            self._core.add_request(request_id, prompt.rendered, prompt.sampling)
        except Exception as problem:
            return problem
        return None

    def _step(self, flying: set[str]) -> list[Any]:
        try:
            self._steps += 1
            return [output for output in self._core.step() if output.finished]
        except Exception as problem:
            raise _EngineEndedError(type(problem).__name__, sorted(flying)) from None

    def _outcome(self, output: Any) -> Outcome:
        (completion,) = output.outputs
        if completion.finish_reason in UNFINISHED:
            return Failure(output.request_id, Trouble.SERVER_ERROR, f"finish reason {completion.finish_reason}")
        return Answer(
            request_id=output.request_id,
            text=completion.text,
            finish_reason=completion.finish_reason,
            model=self._model,
            engine=self._name,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(completion.token_ids),
        )

    def close(self) -> None:
        self._closed.set()
        self._core.engine_core.shutdown()

    def _watch(self, stalled_s: float) -> None:
        """Wake the loop where its engine has a process of its own that died, or hangs.

        vLLM 0.32 notes the death of that process and goes on waiting for its answers.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        client = self._core.engine_core
        seen, since = self._steps, time.monotonic()
        while not self._closed.wait(WATCH_S):
            if self._steps != seen or not self._core.has_unfinished_requests():
                seen, since = self._steps, time.monotonic()
            if client.resources.engine_dead or time.monotonic() - since > stalled_s:
                client.outputs_queue.put_nowait(EngineDeadError())
                return
