"""A small world whose texts a scripted model rewrites: built within this process, so that many builds are quick."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate import execute, expectations
from curate.errors import CurateError
from curate.execute.base import Beat, Job, Work, WorkerError
from curate.stages.runner import PartRunner
from curate.testing.scripted import Reply, ScriptedServer, brief_of, well
from tests.crash.small import Said, World, curate, small_world

Script = Callable[[dict[str, Any]], str | Reply]


class Here:
    """An executor that runs its jobs where it is. What its engines hold is given back when it is left."""

    workers = 1

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._runners: dict[Work, PartRunner] = {}

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self._runners.values():
            for engine in runner._engines.values():
                engine.close()

    def run(self, work: Work, jobs: Iterable[Job], beat: Beat) -> Iterator[tuple[Job, Any]]:
        assert work.call == "curate.stages.runner:PartRunner"
        if work not in self._runners:
            self._runners[work] = PartRunner(msgspec.json.decode(work.shared))
        for job in jobs:
            try:
                receipt = self._runners[work](job, beat)
            except CurateError as problem:
                raise WorkerError(str(problem), problem.exit_code) from None
            yield job, json.loads(json.dumps(receipt))


@contextmanager
def built_here() -> Iterator[None]:
    """Builds within this block start no processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(execute.BUILT_IN, "local", "tests.stages.rewriting:Here")
        yield


@dataclass(frozen=True)
class Asking:
    """A world, and the model that its recipe asks."""

    world: World
    server: ScriptedServer

    @property
    def store(self) -> Path:
        """The answer store of the usual output."""
        return self.world.folder / "out.answers" / "answers.jsonl"

    def write(
        self, recipe: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None, **rewrite: Any
    ) -> None:
        """The recipe, with a rewriter that says what differs from the usual one."""
        completer = {"name": "openai", "url": self.server.url, "retries": 0, "timeout_s": 20, **(options or {})}
        self.world.write_recipe(**(recipe or {}), rewrite={"model": "scripted", "completer": completer, **rewrite})

    def build(self, name: str = "out", *more: str) -> Said:
        return self.world.build(name, *more)

    def done(self, name: str = "out", *more: str) -> dict[str, Any]:
        """What a build that comes to its end says of itself."""
        said = self.build(name, "--json", *more)
        assert said.code == 0, said.text
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    def rows(self, sql: str, name: str = "out") -> list[dict[str, Any]]:
        said = curate("query", self.world.out(name), sql, "--json")
        assert said.code == 0, said.text
        found: list[dict[str, Any]] = json.loads(said.stdout)
        return found

    def one(self, sql: str, name: str = "out") -> Any:
        """The only value of a query."""
        (row,) = self.rows(sql, name)
        (value,) = row.values()
        return value

    def check(self, name: str = "out") -> None:
        """Everything that `curate check` asks, but for the expectations, which know nothing of rewriting."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(expectations, "run", lambda _: None)
            said = curate("check", self.world.out(name))
        assert said.code == 0, said.text

    def why(self, key: str, name: str = "out") -> str:
        said = curate("why", self.world.out(name), key)
        assert said.code == 0, said.text
        return said.stdout


@contextmanager
def asking(folder: Path, script: Script = well, images: int = 4, **rewrite: Any) -> Iterator[Asking]:
    """A world of so many images and a server that answers by the script."""
    with ScriptedServer(script) as server:
        made = Asking(small_world(folder, images), server)
        made.write(**rewrite)
        yield made


def is_repair(body: Mapping[str, Any]) -> bool:
    """True of the second request, which shows the refused answer."""
    return '<data>{"question":' not in str(body["messages"][-1]["content"])


def answers(question: str | None = None, answer: str | None = None) -> Script:
    """A model that says a certain question or answer, and otherwise what it was given."""

    def script(body: dict[str, Any]) -> str:
        brief = brief_of(body)
        said = {"question": question or brief["question"], "answer": answer or brief["answer"]}
        return msgspec.json.encode(said).decode()

    return script


def first(lie: Script, then: Script = well) -> Script:
    """A model that lies until it is told so."""
    return lambda body: then(body) if is_repair(body) else lie(body)
