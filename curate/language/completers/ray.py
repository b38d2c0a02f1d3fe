"""ray: vLLM engines as ray.data.llm runs them, several replicas on a machine or a cluster. Needs `medcurate[ray,vllm]`.

The chat conversion is that of `vllm` and happens here, so this process needs vLLM and the files of the model too; the
replicas get tokens and sampling parameters. What a replica that dies had in hand is sent again by Ray; what that cannot
save is a transient failure.

Ray Data starts its replicas for one data set and ends them with it, and a build asks many times. So one data set runs
on as long as this completer does: each of its rows is a ticket, which waits at a desk for the next batch of requests,
and what comes out is handed in at the desk. Written against Ray 2.60, whose `build_processor` was
`build_llm_processor` before; Ray is used in this module alone.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
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
from curate.language.completers.vllm import EngineOptions, engine_arguments
from curate.language.completers.vllm_chat import (
    QUIET,
    Chat,
    Parts,
    engine_name,
    no_images_taken,
    not_taken,
    prepare,
    refusal,
)
from curate.language.probe import has_images, probe_of
from curate.language.requests import wire_body

__all__ = ["RayData", "RayOptions"]

TICKETS: Final = 2048
"""Batches until the data set, and with it the replicas, are started anew."""
TICKETS_AT_THE_DESK: Final = 2
LIGHT: Final = {"num_cpus": 0.1}
"""What a step beside the engines takes: next to nothing, so that none waits for a core that a replica holds."""
PATIENCE_S: Final = 1.0
"""Between two looks at whether the data set still runs."""
TOO_LONG: Final = ("maximum model length", "maximum context length", "max_model_len")
"""What vLLM says when a prompt turns out too long once its images have become tokens."""
NOBODY: Final = ""
"""The request id of a row that fills up a batch."""


class RayOptions(EngineOptions, frozen=True):
    """Replicas of an engine and how they are fed."""

    replicas: Annotated[int, Meta(ge=1)] = 1
    resources: dict[str, float] | None = None
    """What one worker of a replica takes. Null: a GPU where the cluster has some, else a core."""
    address: str | None = None  # of a running cluster; null starts one on this machine
    batch_size: Annotated[int, Meta(ge=1)] = 32
    concurrent_batches: Annotated[int, Meta(ge=1)] = 16  # in each replica

    @property
    def in_flight(self) -> int:
        """Requests that are out at once: what the replicas work on, and one batch of each on its way."""
        return self.replicas * self.batch_size * (self.concurrent_batches + 1)


class RayData:
    """vLLM replicas that Ray Data feeds."""

    name: ClassVar[str] = "ray"
    Options: ClassVar[type[CompleterOptions]] = RayOptions

    def __init__(self, model: str, revision: str | None, options: RayOptions) -> None:
        prepare(model, options.download)
        try:
            import ray.data.llm  # noqa: F401
        except ImportError:
            raise CompleterError("ray is not installed; install `medcurate[ray,vllm]`") from None
        self._model = model
        self._revision = revision
        self._options = options
        self._line: _Line | None = None
        self._connected = False

    @staticmethod
    def place(options: RayOptions) -> Where:
        """A cluster is ours."""
        return Where.LOCAL

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        """One outcome for each request, in the order in which batches finish."""
        asked = iter(requests)
        waiting: dict[str, int | None] = {}  # request id -> the most tokens of its answer
        while True:
            rows = []
            for request in islice(asked, self._options.in_flight - len(waiting)):
                row = self._row(request, images)
                if isinstance(row, Failure):
                    yield row
                else:
                    rows.append(row)
                    waiting[request.request_id] = row["sampling_params"].get("max_tokens")
            if not waiting:
                return
            yield from self._turn(rows, waiting)

    def close(self) -> None:
        """Stop the replicas, and leave the cluster."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._connected:
            import ray

            ray.shutdown()
            self._connected = False

    def _turn(self, rows: list[dict[str, Any]], waiting: dict[str, int | None]) -> Iterator[Outcome]:
        """Hand rows in and outcomes out. What no replica can answer any more fails for now."""
        line = self._line or self._start()
        try:
            line.hand_in(rows)
            for row in line.finished():
                if row["request"] in waiting:
                    yield self._outcome(row, waiting.pop(row["request"]))
        except _LineEndedError as end:
            self.close()
            if not line.has_answered:
                raise CompleterError(
                    f"ray.data.llm answered nothing with the model {self._model} ({end}); the logs of its session say "
                    "why. Usual causes: no node has the `resources` of a replica, or vllm does not start there with "
                    "this model (try the completer `vllm` on such a node)"
                ) from None
            for request_id in list(waiting):
                del waiting[request_id]
                yield Failure(request_id, Trouble.SERVER_ERROR, str(end))

    def _row(self, request: Request, images: ImageSource) -> "dict[str, Any] | Failure":
        if not self._chat.takes_images and has_images(msgspec.json.decode(request.body)):
            raise no_images_taken(self._model)
        body = wire_body(request, images)
        try:
            return _as_row(request.request_id, self._chat.parts(body))
        except Exception as problem:
            refused = refusal(request.request_id, problem)
        if refused.trouble.is_definitive:
            try:
                self._chat.parts(probe_of(body))
            except Exception:
                raise not_taken(self._model, refused.detail) from None
        return refused

    def _outcome(self, row: dict[str, Any], most_tokens: int | None) -> Outcome:
        error = row["error"]
        if error:
            trouble = Trouble.REQUEST_TOO_LONG if any(word in error for word in TOO_LONG) else Trouble.SERVER_ERROR
            return Failure(row["request"], trouble, error.partition(":")[0])
        return Answer(
            request_id=row["request"],
            text=row["generated_text"],
            # Ray hands no finish reason over: an answer as long as it may be was cut
            finish_reason="length" if row["num_generated_tokens"] == most_tokens else "stop",
            model=self._model,
            engine=engine_name(),
            prompt_tokens=row["num_input_tokens"],
            completion_tokens=row["num_generated_tokens"],
        )

    def _start(self) -> "_Line":
        self._connect()
        filler = _as_row(NOBODY, self._chat.parts({"messages": [{"role": "user", "content": "."}], "max_tokens": 1}))
        self._line = _Line(self._processor(), filler, self._options.batch_size, self._options.stalled_s)
        return self._line

    def _processor(self) -> Any:
        import ray
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        options = self._options
        resources = options.resources or {"CPU": 1, "GPU": 1 if ray.cluster_resources().get("GPU") else 0}
        config = vLLMEngineProcessorConfig(
            model_source=self._model,
            engine_kwargs={name: value for name, value in self._arguments.items() if name != "model"},
            concurrency=(options.replicas, options.replicas),
            batch_size=options.batch_size,
            max_concurrent_batches=options.concurrent_batches,
            placement_group_config={"bundles": [resources] * options.tensor_parallel_size},
            should_continue_on_error=True,
            log_engine_metrics=False,
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            runtime_env={"env_vars": dict(QUIET) | {"HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0")}},
        )
        return build_processor(config, preprocess=_unpacked, preprocess_map_kwargs=LIGHT, postprocess_map_kwargs=LIGHT)

    @cached_property
    def _chat(self) -> Chat:
        try:
            from vllm.engine.arg_utils import EngineArgs
            from vllm.renderers import renderer_from_config

            config = EngineArgs(**self._arguments).create_engine_config()
            chat = Chat(config.model_config, renderer_from_config(config))
        except CompleterError:
            raise
        except Exception as problem:
            raise CompleterError(
                f"the model {self._model} cannot be read ({type(problem).__name__}): it must be a folder or lie in the "
                "local Hugging Face cache (or set `download: true`), and vllm must know its kind"
            ) from None
        chat.check()
        return chat

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        return engine_arguments(self._model, self._revision, self._options)

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        workers = self._options.replicas * self._options.tensor_parallel_size
        here: dict[str, Any] = {"num_cpus": max(os.cpu_count() or 1, workers + 3), "include_dashboard": False}
        where = {"address": self._options.address} if self._options.address else here
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except Exception as problem:
            raise CompleterError(
                f"Ray did not start, or was not found at {self._options.address or 'this machine'} "
                f"({type(problem).__name__}); see `ray status`"
            ) from None
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        logging.getLogger("ray.llm").setLevel(logging.ERROR)
        self._connected = True


class _LineEndedError(Exception):
    """The data set came to an end, with requests in it."""


class _Line:
    """The data set that runs on: requests go in by batches, rows come out."""

    def __init__(self, processor: Any, filler: dict[str, Any], batch_size: int, stalled_s: float) -> None:
        import ray
        from ray.data import DataContext

        DataContext.get_current().enable_progress_bars = False
        self.has_answered = False
        self._filler = filler
        self._batch_size = batch_size
        self._stalled_s = stalled_s
        self._desk = ray.remote(_Desk).options(num_cpus=0).remote()
        self._ended: str | None = None
        tickets = ray.data.from_items(list(range(TICKETS)), override_num_blocks=TICKETS)
        asked = tickets.map_batches(
            partial(_next_batch, self._desk), batch_size=1, concurrency=TICKETS_AT_THE_DESK, **LIGHT
        )
        answered = processor(asked).map_batches(partial(_handed_in, self._desk), batch_size=None, **LIGHT)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(answered,), daemon=True)
        self._thread.start()

    def hand_in(self, rows: list[dict[str, Any]]) -> None:
        """Put rows on the desk. The last batch is filled up, since Ray would wait for its other rows."""
        import ray

        for start in range(0, len(rows), self._batch_size):
            batch = rows[start : start + self._batch_size]
            batch += [self._filler] * (self._batch_size - len(batch))
            self._wait(self._desk.ask.remote([ray.cloudpickle.dumps(row) for row in batch]))

    def finished(self) -> list[dict[str, Any]]:
        """The rows of at least one batch, as soon as there is one."""
        rows: list[dict[str, Any]] = self._wait(self._desk.collect.remote())
        self.has_answered = self.has_answered or any(row["request"] != NOBODY and not row["error"] for row in rows)
        return rows

    def close(self) -> None:
        """End the data set and with it the replicas."""
        import ray

        self._stopping.set()
        if self._ended is None:
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it would tell of the end as of a failure
            ray.kill(self._desk)
            self._thread.join(timeout=10 * PATIENCE_S)

    def _wait(self, promise: Any) -> Any:
        import ray

        looks = 0
        while not ray.wait([promise], timeout=PATIENCE_S)[0]:
            looks += 1
            if self._ended is not None:
                raise _LineEndedError(self._ended)
            if looks * PATIENCE_S > self._stalled_s:
                raise _LineEndedError(f"no answer for {self._stalled_s:g} s")
        try:
            return ray.get(promise)
        except ray.exceptions.RayError as problem:
            raise _LineEndedError(type(problem).__name__) from None

    def _run(self, answered: Any) -> None:
        try:
            for _ in answered.iter_batches(batch_size=None, prefetch_batches=0):
                if self._stopping.is_set():
                    break
            self._ended = "its tickets are used up"
        except Exception as problem:
            self._ended = type(problem).__name__


class _Desk:
    """Where tickets wait for requests, and answers for whoever asked. A process of its own, as Ray runs it."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self._answered: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()

    async def ask(self, batch: list[bytes]) -> None:
        """A batch of requests is to be answered."""
        await self._asked.put(batch)

    async def next(self) -> list[bytes]:
        """The next batch, as soon as there is one."""
        return await self._asked.get()

    async def answer(self, rows: list[dict[str, Any]]) -> None:
        """Rows were answered."""
        await self._answered.put(rows)

    async def collect(self) -> list[dict[str, Any]]:
        """All rows that were answered since, as soon as there are any."""
        rows = await self._answered.get()
        while not self._answered.empty():
            rows = [*rows, *self._answered.get_nowait()]
        return rows


def _as_row(request_id: str, parts: Parts) -> dict[str, Any]:
    row = {"request": request_id, "tokenized_prompt": parts.tokens, "sampling_params": parts.sampling}
    return row | ({"multimodal_data": parts.media} if parts.media else {})


def _next_batch(desk: Any, ticket: dict[str, Any]) -> dict[str, Any]:
    """A ticket becomes a batch of requests. They travel packed: a table would give each the keys of all."""
    import ray

    return {"packed": ray.get(desk.next.remote())}


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    import ray

    unpacked: dict[str, Any] = ray.cloudpickle.loads(row["packed"])
    return unpacked | {"whole": _Whole()}


class _Whole:
    """No table has a column for this, so that Ray passes the row on as it is.

    As columns, rows with different sampling parameters would get those of each other, and whole numbers that some of
    them lack would become floats, at which the engine's process stops listening (vLLM 0.32).
    """


def _handed_in(desk: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of answers becomes their number."""
    import ray

    rows = [
        {
            "request": str(request),
            "error": str(error),
            "generated_text": str(text),
            "num_input_tokens": int(read),
            "num_generated_tokens": int(written),
        }
        for request, error, text, read, written in zip(
            batch["request"],
            batch["__inference_error__"],
            batch["generated_text"],
            batch["num_input_tokens"],
            batch["num_generated_tokens"],
            strict=True,
        )
    ]
    ray.get(desk.answer.remote(rows))
    return {"rows": [len(rows)]}
