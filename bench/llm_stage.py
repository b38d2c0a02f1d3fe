"""The rewrite stage beside the engine alone, on the same requests: `python -m bench.llm_stage [--model MODEL]`.

`stage` builds the rewrite parts of a drafted corpus: requests from the draft tables, continuous feeding, judging, one
repair, the answer store, committed responses. `engine` gives the same requests, repairs too, to `LLM.chat` of vLLM as
one list: what `vllm bench throughput` does for chats, which itself can take neither a JSON schema nor one seed per
request. Each runs in a process of its own, interleaved; the clock starts when the engine has answered a few other
requests. Without `--model` a random-weight one of a megabyte is made on the spot, which `make test-llm` has the
libraries for: `.venv-llm/bin/python -m bench.llm_stage`. On a GPU nothing but `--model` is needed.

Busy is the share of that time in which the engine computes: within its steps where it runs in this process, with
requests in it where it has a process of its own. Memory is that of the whole process tree, the model included.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bench.common import ROOT, measure, workplace
from curate.build import build
from curate.language.base import Answer, Completer, ImageSource, Outcome, Request
from curate.language.completers import completer_class, options_of
from curate.language.completers.vllm import EngineOptions, started
from curate.language.completers.vllm_chat import Chat, prepare
from curate.language.requests import request, wire_body
from curate.plan import run_for
from curate.schema import REQUESTS
from curate.stages import stage_named
from curate.stages.base import Run, bucket_parts
from curate.stages.rewrite import rewrite_parts
from curate.stages.runner import build_part
from curate.store.parquet import iter_tables

TINY = {"enforce_eager": True, "extra": {"kv_cache_memory_bytes": 2**30, "max_num_seqs": 32}}
"""Engine options that suit the tiny model on a processor. So few at once, since a part of a real corpus is many times
what an engine answers at once, and its first answers and repairs each end in a batch that empties."""
CONTEXT_TOKENS = 16_384
WARM_UP = 64
CONTESTANTS = ("stage", "engine")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A drafted corpus whose recipe names the model."""

    folder: Path
    data: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def asked(self) -> Path:
        """The requests that the stage sent, repairs too: one body a line."""
        return self.folder / "asked.jsonl"

    def run(self) -> Run:
        return dataclasses.replace(
            run_for(self.recipe, self.out, self.data), answers=self.folder / f"answers-{os.getpid()}"
        )


def prepare_corpus(folder: Path, options: argparse.Namespace) -> Prepared:
    """Build everything up to the drafts."""
    data = Path(os.environ.get("CURATE_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
    name = "seven-sources-rewritten.yaml"
    if not data.is_dir():
        from curate.phantom import write_phantoms

        print("no real datasets at hand (CURATE_TEST_DATA): phantoms stand in", file=sys.stderr)
        data, name = folder / "phantoms", "quickstart.yaml"
        write_phantoms(data, images=max(48, options.limit))
    folder.mkdir(parents=True, exist_ok=True)
    recipe = yaml.safe_load((ROOT / "pipelines" / name).read_text())
    engine = json.loads(options.engine_options) if options.engine_options else (TINY if not options.model else {})
    recipe["rewrite"] = (recipe.get("rewrite") or {}) | {
        "model": options.model or _tiny(folder),
        "revision": options.revision,
        "completer": {"name": "vllm", **engine},
        "max_tokens": options.max_tokens,
    }
    prepared = Prepared(folder, data)
    prepared.recipe.write_text(yaml.safe_dump(recipe))
    for stage in ("scan", "read", "group", "draft"):
        build(prepared.recipe, prepared.out, data, limit=options.limit, only_stage=stage)
    return prepared


def _tiny(folder: Path) -> str:
    from tests.llm.tiny import text_model

    return str(text_model(folder / "tiny", CONTEXT_TOKENS))


def savings(run: Run) -> list[tuple[str, int, int]]:
    """Source, its drafts that ask a model, and its distinct requests; the last row is the corpus."""
    drafts: dict[str, int] = defaultdict(int)
    distinct: dict[str, set[str]] = defaultdict(set)
    for part in bucket_parts(run, "draft"):
        sidecar = run.sidecars.need(part)
        for table in iter_tables(run.out, sidecar.of("requests"), REQUESTS, ("request_id", "drafts")):
            for row in table.to_pylist():
                for key in (part.source, "all"):
                    drafts[key] += row["drafts"]
                    distinct[key].add(row["request_id"])
    names = [*sorted(name for name in drafts if name != "all"), "all"]
    return [(name, drafts[name], len(distinct[name])) for name in names]


class Recording:
    """A completer that notes what it is asked and counts what it answers."""

    def __init__(self, inner: Completer) -> None:
        self.name = inner.name
        self._inner = inner
        self.bodies: list[bytes] = []
        self.answers = 0
        self.tokens = 0

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        for outcome in self._inner.complete(map(self._noted, requests), images):
            if isinstance(outcome, Answer):
                self.answers += 1
                self.tokens += outcome.completion_tokens or 0
            yield outcome

    def _noted(self, asked: Request) -> Request:
        self.bodies.append(asked.body)
        return asked

    def close(self) -> None:
        self._inner.close()


class Busy:
    """How long vLLM's engine computed, told by its own methods."""

    def __init__(self) -> None:
        from vllm.v1.engine.llm_engine import LLMEngine

        self._computed = self._idle = 0.0
        self._idle_since: float | None = None
        step, add = LLMEngine.step, LLMEngine.add_request

        def timed_step(engine: Any) -> Any:
            began = time.perf_counter()
            outputs = step(engine)
            ended = time.perf_counter()
            self._computed += ended - began
            if not engine.get_num_unfinished_requests():
                self._idle_since = ended
            return outputs

        def noted_add(engine: Any, *arguments: Any, **named: Any) -> Any:
            if self._idle_since is not None:
                self._idle += time.perf_counter() - self._idle_since
                self._idle_since = None
            return add(engine, *arguments, **named)

        LLMEngine.step, LLMEngine.add_request = timed_step, noted_add

    def start(self) -> None:
        """Forget the warm-up."""
        self._computed = self._idle = 0.0
        self._idle_since = time.perf_counter()

    def share(self, seconds: float) -> float:
        """Of the seconds since the start."""
        from vllm import envs

        rest = 0.0 if self._idle_since is None else time.perf_counter() - self._idle_since
        return 1 - (self._idle + rest) / seconds if envs.VLLM_ENABLE_V1_MULTIPROCESSING else self._computed / seconds


def run_stage(prepared: Prepared) -> dict[str, Any]:
    """Build the rewrite parts with an engine that is warm."""
    run = prepared.run()
    rewrite = run.corpus.recipe.rewrite
    assert rewrite is not None
    name = rewrite.completer.name
    made = completer_class(name)(rewrite.model, rewrite.revision, options_of(name, rewrite.completer.options))
    list(made.complete(_warm_up(prepared), _no_images))
    recording = Recording(made)
    run.engines[name] = recording  # type: ignore[assignment]
    busy, stage = Busy(), stage_named("rewrite")
    drafts = 0
    began, computed = time.perf_counter(), time.process_time()
    busy.start()
    for part in rewrite_parts(run):
        sidecar = build_part(stage, run, part, lambda _: None)
        drafts += sidecar.statistics["drafts"]
    seconds, cpu = time.perf_counter() - began, time.process_time() - computed
    share = busy.share(seconds)
    made.close()
    if not prepared.asked.exists():
        prepared.asked.write_bytes(b"\n".join(recording.bodies))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "requests": recording.answers,
        "tokens": recording.tokens,
        "drafts": drafts,
        "busy": share,
    }


def run_engine(prepared: Prepared) -> dict[str, Any]:
    """Give the engine all requests at once."""
    rewrite = prepared.run().corpus.recipe.rewrite
    assert rewrite is not None
    options = options_of("vllm", rewrite.completer.options)
    assert isinstance(options, EngineOptions)
    prepare(rewrite.model, options.download)
    llm = started(rewrite.model, rewrite.revision, options)
    chat = Chat(llm.model_config, llm.renderer)
    busy = Busy()

    def answer(requests: Iterable[Request], start: Callable[[], None]) -> tuple[int, int, float, float]:
        bodies = [wire_body(asked, _no_images) for asked in requests]
        sampling = [chat.prompt(body).sampling for body in bodies]
        messages = [body["messages"] for body in bodies]
        start()
        began, computed = time.perf_counter(), time.process_time()
        outputs = llm.chat(messages, sampling, use_tqdm=False)
        seconds, cpu = time.perf_counter() - began, time.process_time() - computed
        return len(outputs), sum(len(each.outputs[0].token_ids) for each in outputs), seconds, cpu

    answer(_warm_up(prepared), lambda: None)
    asked = [Request("", line) for line in prepared.asked.read_bytes().splitlines()]
    requests, tokens, seconds, cpu = answer(asked, busy.start)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "requests": requests,
        "tokens": tokens,
        "drafts": None,
        "busy": busy.share(seconds),
    }


def _warm_up(prepared: Prepared) -> list[Request]:
    """The corpus's own requests with another seed, so that prefix and grammar are known and no answer is."""
    run = prepared.run()
    found: list[Request] = []
    for part in bucket_parts(run, "draft"):
        for table in iter_tables(run.out, run.sidecars.need(part).of("requests"), REQUESTS, ("body",)):
            for body in table.column("body").to_pylist():
                if len(found) < WARM_UP:
                    found.append(request(msgspec.json.decode(body) | {"seed": 2**31 + len(found)}))
    return found


def _no_images(digest: str) -> Any:
    raise AssertionError(f"this bench sends no images, and {digest} is one")


def compare(prepared: Prepared, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Both in turn; the stage goes first, since the requests of the engine are those that it sent."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    report = prepared.folder / "report.json"
    for turn in range(rounds):
        for name in CONTESTANTS if turn % 2 == 0 else reversed(CONTESTANTS):
            command = [sys.executable, "-m", "bench.llm_stage", "--run", name]
            command += ["--inputs", str(prepared.folder), "--data", str(prepared.data), "--report", str(report)]
            measured = measure(command, prepared.folder / "nothing")
            results[name].append(json.loads(report.read_text()) | {"peak": measured.peak_bytes})
            print(f"round {turn + 1}: {name}: {results[name][-1]}", file=sys.stderr)
    return results


def print_results(results: dict[str, list[dict[str, Any]]]) -> None:
    """Medians over the rounds, and the ratio of requests and tokens per second, stage to engine."""
    columns = {
        "requests": 9,
        "tokens": 10,
        "seconds": 9,
        "cpu s": 8,
        "req/s": 8,
        "rows/s": 8,
        "tok/s": 9,
        "busy %": 8,
        "peak MB": 9,
    }
    print("\n" + " " * 8 + "".join(f"{column:>{width}}" for column, width in columns.items()))
    rates: dict[str, tuple[float, float]] = {}
    for name, runs in results.items():
        per_second = {
            key: statistics.median(run[key] / run["seconds"] for run in runs if run[key] is not None)
            for key in ("requests", "tokens", "drafts")
            if runs[0][key] is not None
        }
        rates[name] = (per_second["requests"], per_second["tokens"])
        middle = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu", "busy", "peak")}
        rows = f"{per_second['drafts']:>8.1f}" if "drafts" in per_second else f"{'-':>8}"
        print(
            f"{name:8}{runs[0]['requests']:>9,}{runs[0]['tokens']:>10,}{middle['seconds']:>9.1f}{middle['cpu']:>8.1f}"
            f"{per_second['requests']:>8.1f}{rows}{per_second['tokens']:>9.0f}"
            f"{100 * middle['busy']:>8.1f}{middle['peak'] / 2**20:>9.0f}"
        )
    (requests, tokens), (base_requests, base_tokens) = rates["stage"], rates["engine"]
    cpu = {name: statistics.median(run["cpu"] for run in runs) for name, runs in results.items()}
    print(f"stage to engine: {cpu['engine'] / cpu['stage']:.3f} in requests per processor second of this process;")
    print(f"stage to engine: {requests / base_requests:.3f} in requests/s, {tokens / base_tokens:.3f} in tokens/s")


def main() -> None:
    """The command line; with `--run` one contestant does its work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or a name on the Hugging Face hub; without it a tiny one is made")
    parser.add_argument("--revision")
    parser.add_argument("--limit", type=int, default=40, help="images per source")
    parser.add_argument("--max-tokens", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine-options", help="settings of the completer `vllm`, as JSON")
    parser.add_argument("--savings", action="store_true", help="count drafts and distinct requests, start no engine")
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        result = {"stage": run_stage, "engine": run_engine}[options.run](Prepared(options.inputs, options.data))
        options.report.write_text(json.dumps(result))
        print(json.dumps({"images": result["requests"]}))
        return
    with workplace() as folder:
        prepared = prepare_corpus(folder / "prepared", options)
        print(f"{'source':24}{'drafts':>9}{'distinct':>10}{'saved':>8}")
        for name, drafts, distinct in savings(prepared.run()):
            print(f"{name:24}{drafts:>9,}{distinct:>10,}{100 * (1 - distinct / drafts):>7.1f}%")
        if not options.savings:
            print_results(compare(prepared, options.rounds))


if __name__ == "__main__":
    main()
