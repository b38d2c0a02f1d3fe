"""What runs in a worker: one part after another, with no more imported than their stage needs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from curate._version import __version__
from curate.corpus import Corpus, ProjectKey, project_key
from curate.errors import UsageError
from curate.language.base import Completer, UnansweredError
from curate.schema import CATALOG_TABLES, TABLES, Reason
from curate.stages import Stage, stage_named
from curate.stages.base import RealPaths, Run
from curate.store.answers import AnswerStore
from curate.store.commit import PartWriter
from curate.store.freshness import Freshness, cache_folder
from curate.store.part import Part, Sidecar, Sidecars
from curate.store.place import place_of

__all__ = ["PartRunner", "build_part"]

_POISON: Final = {"crash": Reason.DECODER_CRASH, "time": Reason.TIME_LIMIT, "memory": Reason.MEMORY_LIMIT}


class PartRunner:
    """Builds one part after another in a worker. Made once per worker from what all jobs share.

    `shared` names the `stages` that will be asked for, so that their imports do not wait for the first job, and the
    fingerprint of the `key` and the `version` of curate that this worker must have too.
    """

    def __init__(self, shared: Any) -> None:
        _do_without_pandas()
        self._key = project_key()
        _agree(shared, self._key)
        self._corpus = msgspec.convert(shared["corpus"], Corpus)
        self._out = place_of(shared["out"])
        self._paths: dict[str, RealPaths] = {}
        self._answers = Path(shared["answers"]) if shared.get("answers") else None
        self._engines: dict[str, Completer] = {}
        self._stores: dict[Path, AnswerStore] = {}
        self._sidecars = ("", Sidecars(self._out))
        for name in shared.get("stages", ()):
            stage_named(name)

    def __call__(self, job: Any, beat: Callable[[str], None]) -> dict[str, Any]:
        """Build the job's part and commit it.

        `unanswered` tells why it could not be built this time, `damaged` how many lines of the answer store are lost.
        """
        part = Part(job["stage"], job["source"], job["bucket"])
        stage = stage_named(part.stage)
        poisoned = {key: _POISON[why] for key, why in job.get("poisoned", {}).items()}
        run = Run(
            self._corpus,
            self._key,
            self._out,
            self._sidecars_for(part.stage),
            Freshness(cache_folder(self._out)),
            poisoned,
            self._paths,
            self._answers,
            self._engines,
            self._stores,
        )
        receipt: dict[str, Any] = {}
        try:
            build_part(stage, run, part, beat)
        except UnansweredError as problem:
            receipt = {"unanswered": dict(problem.troubles), "detail": problem.detail}
        damaged = sum(store.damaged for store in self._stores.values())
        return receipt | ({"damaged": damaged} if damaged else {})

    def _sidecars_for(self, stage: str) -> Sidecars:
        """The sidecars that this worker has read since it came to this stage: all that the stage reads is complete."""
        if self._sidecars[0] != stage:
            self._sidecars = (stage, Sidecars(self._out))
        return self._sidecars[1]


def _agree(shared: Any, key: ProjectKey) -> None:
    """Refuse to work with another key or another curate than the process that started the build.

    Raises:
        UsageError: a worker of another machine was set up in another way.
    """
    if shared.get("version", __version__) != __version__:
        raise UsageError(
            f"a worker has curate {__version__}, the build was started by {shared['version']}: install the same "
            "version on all machines"
        )
    if shared.get("key", key.fingerprint) != key.fingerprint:
        raise UsageError(
            f"a worker has the project key with the fingerprint {key.fingerprint}, the build was started with "
            f"{shared['key']}: set CURATE_KEY_FILE to the same key on all machines"
        )


def build_part(stage: Stage, run: Run, part: Part, beat: Callable[[str], None]) -> Sidecar:
    """Build and commit one part here and now."""
    catalog = stage.name == "catalog"
    with PartWriter(run.out, part, CATALOG_TABLES if catalog else TABLES, "catalog" if catalog else "") as writer:
        inputs = stage.build(run, part, writer, beat)
        return writer.commit(run.fingerprint(stage, part), inputs)


class _NoPandas:
    """An import finder that knows of one package that it is not there."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def _do_without_pandas() -> None:
    """Have pyarrow look for pandas now, in vain, so that it never imports it by itself.

    Where pandas is installed, pyarrow imports it at the first list that becomes an array, to recognise its types: half
    a second and 45 MB for each worker, none of which meets a data frame. An explicit `import pandas` works as ever.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([], pa.null())
    finally:
        sys.meta_path.remove(_NoPandas)
